//! One core's part when a checkpoint passes from one replica to another (L6, C7): the peer's records go into this
//! core's own logs as if its shards had given them out, are read back and compared with their head, and are reported.
//! Then the superblock names the checkpoint, and the replica starts again from it.
//!
//! It starts again, instead of putting the state into running shards, because a start knows how to begin from a
//! checkpoint, and nothing else has to. What this replica promised and accepted is in its logs as before (R3).

use alloc::vec::Vec;

use assize_wal::OutcomeIndex;
use assize_wire::peer::{CheckpointRecord, Lane, PeerMessage};
use assize_wire::{ReplicaId, ShardId, Slot, StreamTime};

use super::offered::{Asked, Offered, OfferedPart, outcomes_through};
use super::part::Part;
use super::{ActiveCheckpoint, Checkpoints, Taking};
use crate::core::Core;
use crate::federation::PartReceived;
use crate::limits::CHECKPOINT_NEEDED_TOLD_NS;
use crate::message::CoreMessage;
use crate::output::Output;

impl Checkpoints {
    /// Remembers where the parts lie that are about to be reported, and the outcomes, which are durable.
    pub(super) fn keep_for_offer(&mut self, outcomes: &OutcomeIndex) {
        let Some(taking) = self.taking.as_ref().filter(|taking| taking.failed.is_none()) else { return };
        let part = |part: &Part| {
            let (head, entities, keys) = (part.head(), part.entities(), Vec::new());
            let outcomes = outcomes_through(outcomes, head.shard, taking.slot);
            OfferedPart { head, entities, keys, outcomes }
        };
        self.reported = Some(Offered::new(taking.slot, taking.time, taking.parts.iter().map(part).collect()));
    }

    /// The one that was reported last is active: peers may have it.
    pub(super) fn offer(&mut self, active: &ActiveCheckpoint) {
        if let Some(mut offered) = self.reported.take_if(|reported| reported.slot() == active.slot) {
            let live = |shard: ShardId| active.heads.iter().find(|head| head.shard == shard);
            let from = |shard| live(shard).map_or(0, |head| head.keys_from);
            self.known_keys.retain(|keys| keys.next > from(keys.shard));
            offered.cover_keys(&self.known_keys);
            self.offered = offered;
        }
    }
}

impl Core {
    /// Every answer of such a peer says it, many times a second: an operator reads it now and then.
    pub(crate) fn tell_checkpoint_needed(&mut self, from: ReplicaId, chosen: Slot) {
        let now = self.now.monotonic_ns;
        let told = &mut self.control().told_checkpoint_needed;
        if told.is_none_or(|told| now >= told + CHECKPOINT_NEEDED_TOLD_NS) {
            *told = Some(now);
            self.outputs.push_back(Output::CheckpointNeeded { from, chosen });
        }
    }

    /// A peer asks for a record of this replica's checkpoint.
    pub(crate) fn give_part(&mut self, peer: ReplicaId, shard: ShardId, slot: Slot, index: u64) {
        let (now, ttl_ns) = (self.now.monotonic_ns, self.greeting.warden_ttl_ns);
        let Checkpoints { parts, offered, sending, .. } = &mut self.checkpoints;
        let asked = Asked { peer, shard, slot, index };
        if self.quarantine.is_some() {
            // What lies here is worth nothing to anybody (C5).
            *offered = Offered::default();
        }
        sending.handle_wanted(asked, offered, ttl_ns, parts, now);
    }

    /// Sends what was read for peers. What does not go out is asked for again.
    pub(super) fn send_parts(&mut self) {
        self.checkpoints.sending.handle_time(self.now.monotonic_ns);
        while let Some((asked, item, buffer)) = self.checkpoints.sending.poll_ready() {
            let Asked { peer, shard, slot, index } = asked;
            let bytes = buffer.as_ref().map_or(&[][..], |buffer| buffer.payload());
            let record = CheckpointRecord { slot, index, item, bytes };
            self.send_peer(peer, Lane::Shard(shard), &PeerMessage::Part(record));
        }
    }

    /// While this replica is quarantined: only a peer's checkpoint is of any use.
    pub(crate) fn step_rebuild(&mut self) {
        self.checkpoints.take_in();
        self.send_parts();
        self.step_take_over();
    }

    /// The control core says whose checkpoint is to be taken over: anew, or the rest of it of another peer.
    pub(crate) fn take_over(&mut self, from: ReplicaId, (slot, time): (Slot, StreamTime), anew: bool) {
        if !anew {
            match &mut self.checkpoints.taking {
                Some(Taking { slot: of, parts, incoming: Some(incoming), .. }) if *of == slot => {
                    incoming.change_peer(from, parts);
                }
                _ => panic!(
                    "nothing of the checkpoint after slot {slot} has come, and replica {from} has the rest"
                ),
            }
            return;
        }
        self.pending.give_up_checkpoints();
        // The device may have space again.
        self.outcomes.log.retry_space();
        self.checkpoints.begin_incoming(slot, time, from, self.shards.len());
    }

    /// A record of a peer's checkpoint.
    pub(crate) fn take_part(&mut self, from: ReplicaId, shard: ShardId, received: PartReceived) {
        let seat = self.seat_of(shard);
        let Some(Taking { slot, incoming: Some(incoming), .. }) = &mut self.checkpoints.taking else {
            return;
        };
        if *slot != received.slot {
            return;
        }
        incoming.handle_part(from, seat, received);
        if incoming.gone {
            let slot = *slot;
            self.send(self.layout.control, CoreMessage::PartGone { from, slot });
        }
    }

    /// Takes in what came of a peer's checkpoint. True while there is one.
    pub(super) fn step_take_over(&mut self) -> bool {
        let now = self.now.monotonic_ns;
        let Checkpoints { parts: of_parts, keys, taking, outcomes_taken, .. } = &mut self.checkpoints;
        let Some(taking) = taking.as_mut().filter(|taking| taking.incoming.is_some()) else { return false };
        let (slot, Some(incoming)) = (taking.slot, &mut taking.incoming) else { return false };
        if taking.reported {
            return true;
        }
        let shards = self.usher.seats.iter().map(|seat| seat.shard);
        let logs = [&mut self.outcomes.log, &mut *of_parts, &mut *keys];
        let mut taken = incoming.take_up(slot, shards, &mut taking.parts, outcomes_taken, logs).map(drop);
        for part in &mut taking.parts {
            taken = taken.and_then(|()| part.read_back(false, of_parts, keys).map(drop));
        }
        if let Err(fault) = taken {
            taking.failed.get_or_insert(fault.failure(true));
        }
        let mut wanted = Vec::new();
        let (from, failed) = (incoming.from, taking.failed.is_some());
        while let Some(next) = incoming.poll_wanted(now).filter(|_| !failed) {
            wanted.push(next);
        }
        let complete = taking.parts.iter().all(Part::is_over);
        if complete && !taking.outcomes_asked {
            taking.outcomes_asked = true;
            self.outcomes.close_all();
        }
        taking.reported = failed || (complete && self.outcomes.is_settled());
        let over = taking.reported;
        for (seat, index) in wanted {
            let shard = self.usher.seats[seat].shard;
            self.send_peer(from, Lane::Shard(shard), &PeerMessage::PartWanted { slot, index });
        }
        if over {
            let report = self.report();
            self.send(self.layout.control, CoreMessage::Checkpoint(report));
        }
        true
    }

    /// When [`Core::step_take_over`] has something to do though nothing came.
    pub(crate) fn take_over_due(&self) -> Option<u64> {
        let taking = self.checkpoints.taking.as_ref().filter(|taking| !taking.reported)?;
        let incoming = taking.incoming.as_ref()?;
        let reads = taking.parts.iter().any(Part::is_read_due).then_some(self.now.monotonic_ns);
        reads.or(incoming.next_due())
    }
}
