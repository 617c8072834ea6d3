//! The reference: one event after the other in (slot, shard, index) order (D1), with maps and no cleverness.

use std::collections::{BTreeMap, BTreeSet};

use assize_domain::{Domain, EngineReason, Entities, Event, Response, States, Verdict};
use assize_kit::drive::{Guard, LogSlot};
use assize_shards::PanicGuard;
use assize_wire::outcome::{Outcome, Status};
use assize_wire::stripe::Stripe;
use assize_wire::{Control, DomainId, EntityId, EventKey, Hash, ShardId, Slot, StreamTime};

use super::bank::{BANK, Bank, STATE_BYTES_MAX, VERSION, cell};
use super::log::Agreed;

/// Slots between the count that decides and the slot it decides for (D5).
const ROOM_LAG: usize = 8;

pub struct Model {
    agreed: Agreed,
    /// By shard and key.
    warden: Vec<BTreeMap<u128, Recorded>>,
    pub entities: BTreeMap<u128, Vec<u8>>,
    /// Entities of each home after each slot, from slot 0.
    counts: Vec<Vec<usize>>,
    pub stripes: Vec<Ran>,
    /// Entities after each (slot, shard).
    pub snapshots: Vec<(Slot, BTreeMap<u128, Vec<u8>>)>,
    pub statuses: BTreeSet<(Status, u16)>,
    /// What evaluates the next slot (R5).
    pub logic: u16,
}

#[derive(Clone, Debug)]
struct Recorded {
    body: Vec<u8>,
    time: u64,
    slot: Slot,
    index: u32,
    status: Status,
    reason: u16,
    response: Vec<u8>,
}

/// What a shard must publish.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub slot: Slot,
    pub shard: ShardId,
    pub digest: Hash,
    pub outcomes: Vec<u8>,
    /// By the duplicate's index: the first response and where it was.
    pub fills: Vec<(u32, Vec<u8>, Slot, u32)>,
}

struct Ended {
    status: Status,
    reason: u16,
    response: Vec<u8>,
    changes: Vec<(u128, Option<Vec<u8>>)>,
}

impl Ended {
    fn unchanged(status: Status, reason: u16) -> Ended {
        Ended { status, reason, response: Vec::new(), changes: Vec::new() }
    }
}

impl Model {
    pub fn run(agreed: Agreed, log: &[LogSlot]) -> Model {
        let shards = usize::from(agreed.routing.shards);
        let mut model = Model {
            agreed,
            warden: vec![BTreeMap::new(); shards],
            entities: BTreeMap::new(),
            counts: vec![vec![0; shards]],
            stripes: Vec::new(),
            snapshots: vec![(Slot::ZERO, BTreeMap::new())],
            statuses: BTreeSet::new(),
            logic: VERSION,
        };
        for slot in log {
            for stripe in &slot.ordered.manifest.stripes {
                let shard = stripe.id.shard;
                let bytes = slot.stripes[usize::from(shard.0)].as_ref().unwrap();
                model.run_stripe(slot, shard, bytes, stripe.home_mask, stripe.events);
                model.snapshots.push((slot.ordered.manifest.slot, model.entities.clone()));
            }
            for Control::SwitchLogic(to) in &slot.ordered.manifest.controls {
                model.logic = to.version;
            }
            let counts = (0..shards).map(|home| {
                let at_home = model.entities.keys().filter(|id| model.home(**id) == home);
                at_home.count()
            });
            let counts = counts.collect();
            model.counts.push(counts);
        }
        model
    }

    fn home(&self, id: u128) -> usize {
        self.agreed.routing.home_of(BANK, EntityId(id)).0.into()
    }

    fn run_stripe(&mut self, slot: &LogSlot, shard: ShardId, bytes: &[u8], mask: u64, events: u32) {
        let number = slot.ordered.manifest.slot;
        let time = slot.ordered.manifest.time.0;
        let ttl = self.agreed.ttl;
        self.warden[usize::from(shard.0)].retain(|_, recorded| time - recorded.time < ttl);
        let mut digested = slot.ordered.hash.0.to_vec();
        digested.extend_from_slice(&shard.0.to_le_bytes());
        let mut outcomes = Vec::new();
        let mut fills = Vec::new();
        let stripe = Stripe::parse(bytes).ok().filter(|stripe| stripe.head.events == events);
        let mut read = stripe.map(|stripe| stripe.events());
        for index in 0..events {
            let event = read.as_mut().and_then(|events| events.next().unwrap().ok());
            let mut first = None;
            let ended = match event {
                None => Ended::unchanged(Status::Invalid, EngineReason::Unreadable as u16),
                Some(event) => {
                    let seen = &self.warden[usize::from(shard.0)];
                    let seen = seen.get(&event.key().0).cloned();
                    if self.agreed.routing.shard_of_key(event.key()) != shard {
                        Ended::unchanged(Status::Invalid, EngineReason::WrongShard as u16)
                    } else if let Some(seen) = seen {
                        if seen.body == event.body() {
                            let ended = Ended::unchanged(Status::Duplicate, seen.reason);
                            fills.push((index, seen.response.clone(), seen.slot, seen.index));
                            first = Some(seen);
                            ended
                        } else {
                            Ended::unchanged(Status::Conflict, 0)
                        }
                    } else {
                        self.run_event(&event, number, time, shard, mask, index)
                    }
                }
            };
            self.statuses.insert((ended.status, ended.reason));
            let mut encoded = Vec::new();
            Outcome {
                key: event.map_or(EventKey(0), |event| event.key()),
                domain: event.map_or(DomainId(0), |event| event.domain()),
                status: ended.status,
                first_status: first.as_ref().map_or(ended.status, |first| first.status),
                reason: ended.reason,
                index,
                original_slot: first.as_ref().map_or(number, |first| first.slot),
                original_index: first.as_ref().map_or(index, |first| first.index),
                response: &ended.response,
            }
            .encode(&mut encoded);
            outcomes.extend_from_slice(&encoded);
            digested.extend_from_slice(&encoded);
            digested.push(ended.changes.len() as u8);
            for (id, state) in ended.changes {
                digested.extend_from_slice(&BANK.0.to_le_bytes());
                digested.extend_from_slice(&id.to_le_bytes());
                digested.push(state.is_some().into());
                digested.push(state.as_ref().map_or(0, Vec::len) as u8);
                digested.extend_from_slice(state.as_deref().unwrap_or(&[]));
                match state {
                    Some(state) => self.entities.insert(id, state),
                    None => self.entities.remove(&id),
                };
            }
        }
        self.stripes.push(Ran { slot: number, shard, digest: Hash::of(&digested), outcomes, fills });
    }

    /// An event whose key is not live.
    fn run_event(
        &mut self,
        event: &Event<'_>,
        slot: Slot,
        time: u64,
        shard: ShardId,
        mask: u64,
        index: u32,
    ) -> Ended {
        let invalid = |reason: EngineReason| Ended::unchanged(Status::Invalid, reason as u16);
        if event.domain() != BANK || !(VERSION..=self.logic).contains(&event.version()) {
            return invalid(EngineReason::UnknownDomain);
        }
        let mut entities = Entities::new();
        let mut named = Ok(());
        let completed = Guard::default().run(&mut || named = Bank(self.logic).entities(event, &mut entities));
        if completed {
            if let Err(error) = named {
                return Ended::unchanged(Status::Invalid, error.reason);
            }
            if !entities.is_valid() {
                return invalid(EngineReason::BadEntities);
            }
            let inside = |id: &EntityId| mask >> self.home(id.0) & 1 == 1;
            if !entities.as_slice().iter().all(inside) {
                return invalid(EngineReason::OutsideMask);
            }
        }
        let deadline = event.deadline().0;
        if deadline <= time || deadline > time + self.agreed.ttl {
            return Ended::unchanged(Status::Expired, 0);
        }
        let warden = &self.warden[usize::from(shard.0)];
        if warden.len() >= self.agreed.keys as usize {
            return Ended::unchanged(Status::Full, 0);
        }
        let ended = match completed {
            false => Ended::unchanged(Status::Fault, 0),
            true => self.evaluate(event, slot, StreamTime(time), entities.as_slice()),
        };
        let recorded = Recorded {
            body: event.body().to_vec(),
            time,
            slot,
            index,
            status: ended.status,
            reason: ended.reason,
            response: ended.response.clone(),
        };
        self.warden[usize::from(shard.0)].insert(event.key().0, recorded);
        ended
    }

    fn evaluate(&self, event: &Event<'_>, slot: Slot, now: StreamTime, ids: &[EntityId]) -> Ended {
        let mut cells: Vec<_> = ids.iter().map(|id| cell(self.entities.get(&id.0))).collect();
        let mut response = Response::new();
        let mut verdict = None;
        let completed = Guard::default().run(&mut || {
            verdict =
                Some(Bank(self.logic).evaluate(event, now, &mut States::new(&mut cells), &mut response));
        });
        let response = response.as_slice().to_vec();
        match verdict.filter(|_| completed) {
            Some(Verdict::Applied) => {}
            Some(Verdict::Rejected(reason)) if reason > 0 && reason < assize_domain::ENGINE_REASONS => {
                return Ended { status: Status::Rejected, reason, response, changes: Vec::new() };
            }
            _ => return Ended::unchanged(Status::Fault, 0),
        }
        let changed = ids.iter().zip(&cells).filter(|(_, cell)| cell.is_changed());
        let changes: Vec<_> = changed.map(|(id, cell)| (id.0, cell.get().map(<[u8]>::to_vec))).collect();
        let too_long = |(_, state): &(u128, Option<Vec<u8>>)| {
            state.as_ref().is_some_and(|state| state.len() > STATE_BYTES_MAX)
        };
        if changes.iter().any(too_long) {
            return Ended::unchanged(Status::Fault, 0);
        }
        let counts = &self.counts[(slot.0 as usize).saturating_sub(ROOM_LAG)];
        let no_room = |(id, state): &(u128, Option<Vec<u8>>)| {
            state.is_some()
                && !self.entities.contains_key(id)
                && counts[self.home(*id)] >= self.agreed.entities as usize
        };
        if changes.iter().any(no_room) {
            return Ended::unchanged(Status::Rejected, EngineReason::NoRoom as u16);
        }
        Ended { status: Status::Applied, reason: 0, response, changes }
    }
}
