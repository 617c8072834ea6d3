//! From a shard's published outcomes to the clients' answers and the outcome stream.

use alloc::vec::Vec;

use assize_shards::{FirstResponse, Published};
use assize_wal::{Quarantine, QuarantineKind};
use assize_wire::canary::{self, Canary};
use assize_wire::frame::{FrameKind, FrameWriter};
use assize_wire::message::{Answer, Answers};
use assize_wire::outcome::Outcome;
use assize_wire::published::PublishedStripe;
use assize_wire::{Position, ShardId};

use crate::connections::ConnectionRef;
use crate::core::Core;
use crate::message::CoreMessage;
use crate::outcome_stream::{Found, Wanted};
use crate::output::Output;
use crate::usher::Run;

/// An answer that lacks only its response, which the outcome stream has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfilled {
    connection: ConnectionRef,
    request: u64,
    answer: Answer<'static>,
}

impl Unfilled {
    pub(crate) fn connection(&self) -> ConnectionRef {
        self.connection
    }
}

impl Core {
    /// Answers the clients of a published stripe and appends it to the outcome stream.
    pub(crate) fn publish(&mut self, seat: usize, published: Published) {
        let shard = published.shard;
        let mut held = self.usher.seats[seat].held.take_published(published.slot);
        if held.stages.evaluated == 0 {
            // Nobody else is to compute the same: it waited for nothing.
            held.stages.evaluated = self.now.monotonic_ns;
        }
        if held.expected.is_some_and(|expected| expected != published.digest) {
            self.tally.divergences += 1;
            let (slot, found) = (published.slot, published.digest);
            let expected = held.expected.unwrap_or_default();
            if self.greeting.replicas == 1 {
                // Nobody has the right outcomes: there is nothing to accept for, and nothing to rebuild from.
                self.outputs.push_back(Output::Diverged { slot, shard, expected, found });
            } else {
                let kind = QuarantineKind::Replay;
                self.doubt(Quarantine { kind, slot, shard: Some(shard), expected, found });
            }
            return;
        }
        self.stream_time = self.stream_time.max(published.time);
        let stripe = PublishedStripe {
            slot: published.slot,
            time: published.time,
            digest: published.digest,
            events: held.stages.events,
            outcomes: published.outcomes.bytes(),
        };
        self.outcomes.append(shard, &stripe, self.now.monotonic_ns);

        let mut outcomes = published.outcomes.iter();
        let mut fills = published.fills.iter().peekable();
        let time = self.stream_time;
        // A request that went to several shards comes in pieces here: they are answered in one frame.
        let of_one = |run: &Run, next: &Run| (run.connection, run.request) == (next.connection, next.request);
        for runs in held.runs.chunk_by(of_one) {
            let Run { connection, request, .. } = runs[0];
            let events: u32 = runs.iter().map(|run| run.events).sum();
            let mut unfilled = Vec::new();
            let mut write = |out: &mut Vec<u8>| {
                let writer = FrameWriter::begin(out, FrameKind::Answers, request);
                let header = out.len();
                out.extend_from_slice(&Answers::header(events, time));
                let indexes = runs.iter().flat_map(|run| run.first..run.first + run.events);
                // The indexes come first: an outcome that was taken off the stripe's is answered.
                for (index, outcome) in indexes.zip(&mut outcomes) {
                    let fill = fills.next_if(|fill| fill.index == outcome.index);
                    let mut answer = answer_of(&outcome, index, shard);
                    match fill.map(|fill| &fill.first) {
                        None => answer.encode(out),
                        Some(FirstResponse::Inline { bytes, length }) => {
                            answer.response = &bytes[..usize::from(*length)];
                            answer.encode(out);
                        }
                        Some(FirstResponse::InStream { slot, index }) => {
                            let off = u32::from(canary::armed(Canary::WrongFirstResponse));
                            let index = index.saturating_sub(off);
                            unfilled.push((Answer { response: &[], ..answer }, *slot, index));
                        }
                    }
                }
                let answered = events - unfilled.len() as u32;
                if answered == 0 {
                    out.truncate(writer.payload_start() - assize_wire::frame::FRAME_HEADER_BYTES);
                } else {
                    out[header..header + 16].copy_from_slice(&Answers::header(answered, time));
                    writer.finish(out);
                }
            };
            // Every piece takes its outcomes off the stripe's, also when nobody is there to be told.
            if connection.core == self.id && self.connections.is_listening(connection.connection) {
                self.connections.write(connection.connection, write);
                self.note_answered(connection, events - unfilled.len() as u32);
            } else {
                let mut bytes = Vec::new();
                write(&mut bytes);
                let answered = events - unfilled.len() as u32;
                if connection.core != self.id && answered > 0 {
                    self.send(connection.core, CoreMessage::Frames { connection, answered, bytes });
                }
            }
            for (answer, slot, index) in unfilled {
                let then = Unfilled { connection, request, answer };
                self.outcomes.want(Wanted { shard, slot, index, then });
            }
        }
        if let Some(bytes) = self.stripes.handle_published(held.id) {
            self.usher.recycle(bytes);
        }
        let mut stages = held.stages;
        stages.published = self.now.monotonic_ns;
        if !held.runs.is_empty() {
            self.outputs.push_back(Output::Stages(stages));
        }
        self.send(self.layout.control, CoreMessage::Published { slot: published.slot, shard });
    }

    /// Sends the answers whose responses were read from the outcome stream, and hands on the digests that were.
    pub(crate) fn publish_filled(&mut self) -> bool {
        let (mut found, mut digests) = (Vec::new(), Vec::new());
        while self.outcomes.poll_found(|what| match what {
            Found::Response(wanted, response) => found.push((wanted.then, response.to_vec())),
            Found::Digests(shard, of_chunk) => digests.push((shard, of_chunk)),
        }) {}
        let any = !found.is_empty() || !digests.is_empty();
        for (shard, of_chunk) in digests {
            self.take_old_digests(shard, of_chunk);
        }
        for (unfilled, response) in found {
            let Unfilled { connection, request, answer } = unfilled;
            let mut bytes = Vec::new();
            let writer = FrameWriter::begin(&mut bytes, FrameKind::Answers, request);
            bytes.extend_from_slice(&Answers::header(1, self.stream_time));
            Answer { response: &response, ..answer }.encode(&mut bytes);
            writer.finish(&mut bytes);
            self.send(connection.core, CoreMessage::Frames { connection, answered: 1, bytes });
        }
        any
    }

    pub(crate) fn note_answered(&mut self, connection: ConnectionRef, answered: u32) {
        self.connections.note_answered(connection.connection, answered);
    }
}

fn answer_of<'a>(outcome: &Outcome<'a>, index: u32, shard: ShardId) -> Answer<'a> {
    Answer {
        index,
        status: outcome.status,
        first_status: outcome.first_status,
        reason: outcome.reason,
        position: Position { slot: outcome.original_slot, shard, index: outcome.original_index },
        retry_after_us: 0,
        response: outcome.response,
    }
}
