//! How a request's events reach the stripes of the shards that own their keys.

use alloc::vec::Vec;

use assize_domain::EngineReason;
use assize_wire::event::Event;
use assize_wire::frame::{FrameKind, FrameWriter};
use assize_wire::message::{Answer, Answers, Refused, RefusedCode, Submit};
use assize_wire::outcome::Status;
use assize_wire::{LogicVersion, LogicVersions, Position, ShardId, StreamTime};

use super::Usher;
use crate::connections::{ConnectionId, ConnectionRef, Connections};
use crate::limits::RETRY_AFTER_US;
use crate::message::CoreMessage;

/// An event that is answered without the log: its index in the request, how, and why.
pub(crate) struct Turned {
    pub(crate) index: u32,
    pub(crate) status: Status,
    pub(crate) reason: u16,
}

impl Usher {
    /// Takes the events of one request. Each of them is admitted, forwarded to its owner, or answered.
    pub(crate) fn submit(
        &mut self,
        connections: &mut Connections,
        id: ConnectionId,
        request: u64,
        submit: &Submit<'_>,
        stream_time: StreamTime,
        now: u64,
    ) {
        let Some(connection) = connections.get(id) else { return };
        if !self.is_admitting() {
            let refused = self.not_admitting();
            connections.refuse(id, request, &refused, false);
            return;
        }
        if connection.unanswered + submit.count > self.limits.credit_events {
            let text = alloc::format!(
                "{} events are unanswered on this connection and the credit is {}: wait for answers",
                connection.unanswered,
                self.limits.credit_events
            );
            let refused = Refused { code: RefusedCode::Busy, retry_after_us: RETRY_AFTER_US, text };
            connections.refuse(id, request, &refused, false);
            return;
        }
        self.batches.iter_mut().for_each(super::Batch::clear);
        let mut turned = Vec::new();
        let whole = match self.sort(submit, &mut turned) {
            Ok(whole) => whole,
            Err(text) => {
                let refused = Refused { code: RefusedCode::BadMessage, retry_after_us: 0, text };
                connections.refuse(id, request, &refused, true);
                return;
            }
        };
        connections.note_taken(id, submit.count);
        let origin = ConnectionRef { core: self.core, connection: id };
        for shard in 0..self.layout.shards() {
            let mut batch = core::mem::take(&mut self.batches[usize::from(shard)]);
            if !batch.indexes.is_empty() {
                let bytes = if whole { submit.events } else { &batch.bytes };
                self.place(ShardId(shard), origin, request, &batch, bytes, now, &mut turned);
            }
            batch.clear();
            self.batches[usize::from(shard)] = batch;
        }
        answer_turned(connections, id, request, &turned, stream_time);
    }

    /// Why events are not taken now.
    pub(crate) fn not_admitting(&self) -> Refused {
        if self.stopping {
            let text = "this replica is stopping; try the same keys again".into();
            return Refused { code: RefusedCode::NotServing, retry_after_us: RETRY_AFTER_US, text };
        }
        self.not_leader()
    }

    /// Events that another core forwarded: they were validated there. Returns a frame for those that found no room.
    #[must_use]
    pub(crate) fn accept_forwarded(
        &mut self,
        shard: ShardId,
        origin: ConnectionRef,
        request: u64,
        batch: &super::Batch,
        stream_time: StreamTime,
        now: u64,
    ) -> Option<(u32, Vec<u8>)> {
        let mut turned = Vec::new();
        self.place(shard, origin, request, batch, &batch.bytes, now, &mut turned);
        if turned.is_empty() {
            return None;
        }
        let mut frame = Vec::new();
        write_turned(&mut frame, request, &turned, stream_time);
        Some((turned.len() as u32, frame))
    }

    /// Validates every event and sorts them by shard. Returns whether all go to one shard, in which case the
    /// request's own bytes are the batch's.
    fn sort(&mut self, submit: &Submit<'_>, turned: &mut Vec<Turned>) -> Result<bool, alloc::string::String> {
        let full_mask = u64::MAX >> (64 - u32::from(self.layout.shards()));
        let mut rest = submit.events;
        let mut only: Option<ShardId> = None;
        let mut whole = true;
        for index in 0..submit.count {
            let (event, after) =
                Event::parse(rest).map_err(|error| alloc::format!("event {index}: {error}"))?;
            let consumed = submit.events.len() - rest.len();
            rest = after;
            let shard = self.routing.shard_of_key(event.key());
            let batch = &mut self.batches[usize::from(shard.0)];
            if let Err(reason) = validate(
                &self.domains,
                &self.logic,
                &*self.guard,
                &self.limits,
                &self.routing,
                &event,
                &mut self.entities,
                full_mask,
                &mut batch.home_mask,
            ) {
                turned.push(Turned { index, status: Status::Invalid, reason });
            }
            let is_turned = turned.last().is_some_and(|last| last.index == index);
            if whole && (is_turned || only.is_some_and(|only| only != shard)) {
                // No longer one run of bytes for one shard: what was only counted so far is copied.
                whole = false;
                if let Some(only) = only {
                    self.batches[usize::from(only.0)].bytes.extend_from_slice(&submit.events[..consumed]);
                }
            }
            if is_turned {
                continue;
            }
            only = only.or(Some(shard));
            let batch = &mut self.batches[usize::from(shard.0)];
            batch.indexes.push(index);
            if whole {
                batch.ends.push((consumed + event.bytes().len()) as u32);
            } else {
                batch.bytes.extend_from_slice(event.bytes());
                batch.ends.push(batch.bytes.len() as u32);
            }
        }
        // A frame's payload is padded to 16 bytes, which is what events are padded to: nothing may follow them.
        if !rest.is_empty() {
            return Err(alloc::format!("{} bytes follow the {} events", rest.len(), submit.count));
        }
        Ok(whole)
    }

    /// Gives a shard's part of a request to its stripes, or to the core that owns it.
    #[allow(
        clippy::too_many_arguments,
        reason = "the part, who it is from, and where what finds no room goes"
    )]
    fn place(
        &mut self,
        shard: ShardId,
        origin: ConnectionRef,
        request: u64,
        batch: &super::Batch,
        bytes: &[u8],
        now: u64,
        turned: &mut Vec<Turned>,
    ) {
        let Some(seat) = self.seat_index(shard) else {
            let message = CoreMessage::Forward {
                shard,
                connection: origin,
                request,
                indexes: batch.indexes.clone(),
                home_mask: batch.home_mask,
                events: bytes.to_vec(),
            };
            self.outgoing.push_back((self.layout.owner(shard), message));
            return;
        };
        let fitting = self.room.fitting(self.promised(), &batch.ends);
        let taken = if fitting > 0 && self.is_admitting() {
            self.seats[seat].admit(
                &mut self.pool,
                &self.limits,
                origin,
                request,
                &batch.indexes[..fitting],
                &batch.ends[..fitting],
                bytes,
                batch.home_mask,
                now,
            )
        } else {
            0
        };
        let left = batch.indexes[taken..].iter();
        turned.extend(left.map(|index| Turned { index: *index, status: Status::Busy, reason: 0 }));
    }
}

/// Whether the event is one that its domain can read; adds the homes of its entities to `mask`.
#[allow(clippy::too_many_arguments, reason = "parts of an Usher of which another is borrowed")]
fn validate(
    domains: &assize_domain::DomainRegistry,
    logic: &LogicVersions,
    guard: &dyn assize_shards::PanicGuard,
    limits: &super::UsherLimits,
    routing: &assize_wire::routing::Routing,
    event: &Event<'_>,
    entities: &mut assize_domain::Entities,
    full_mask: u64,
    mask: &mut u64,
) -> Result<(), u16> {
    let domain = event.domain();
    let version = logic.get(domain).ok_or(EngineReason::UnknownDomain as u16)?;
    let logic = LogicVersion { domain, version };
    let domain = domains.get(logic).ok_or(EngineReason::UnknownDomain as u16)?;
    entities.clear();
    let mut named = Ok(());
    let completed = guard.run(&mut || named = domain.entities(event, entities));
    if !completed {
        // D4: it is the log that makes a domain's panic the outcome `fault`, and records it.
        return Ok(());
    }
    named.map_err(|invalid| invalid.reason)?;
    let too_large = event.payload().len() > limits.event_payload_bytes_max
        || entities.as_slice().len() > limits.event_entities_max;
    if too_large || !entities.is_valid() {
        return Err(EngineReason::BadEntities as u16);
    }
    // The mask is a superset: once it names every home there is nothing to add (X6).
    if *mask != full_mask {
        for entity in entities.as_slice() {
            *mask |= 1 << routing.home_of(event.domain(), *entity).0;
        }
    }
    Ok(())
}

fn answer_turned(
    connections: &mut Connections,
    id: ConnectionId,
    request: u64,
    turned: &[Turned],
    stream_time: StreamTime,
) {
    if turned.is_empty() {
        return;
    }
    connections.note_answered(id, turned.len() as u32);
    connections.write(id, |out| write_turned(out, request, turned, stream_time));
}

/// Appends a frame that answers them.
pub(crate) fn write_turned(out: &mut Vec<u8>, request: u64, turned: &[Turned], stream_time: StreamTime) {
    let writer = FrameWriter::begin(out, FrameKind::Answers, request);
    out.extend_from_slice(&Answers::header(turned.len() as u32, stream_time));
    for event in turned {
        let retry_after_us = if event.status == Status::Busy { RETRY_AFTER_US } else { 0 };
        let answer = Answer {
            index: event.index,
            status: event.status,
            first_status: event.status,
            reason: event.reason,
            position: Position::default(),
            retry_after_us,
            response: &[],
        };
        answer.encode(out);
    }
    writer.finish(out);
}
