//! What follows where a core's logs are short of room, or a shard's Warden: who is told, and who makes some.

use assize_consensus::Heir;
use assize_shards::Shard;
use assize_wire::outcome::Status;
use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::{Ballot, LogId};

use crate::core::Core;
use crate::limits::{FULL_AGAIN_NS, SHORT_OF_ROOM_NS};
use crate::message::CoreMessage;
use crate::output::Output;

/// What an operator was told of shards that refused keys.
#[derive(Debug, Default)]
pub(crate) struct KeysFull {
    /// Events that were refused by the shards of this core when it was last looked.
    refused: u64,
    told: Option<u64>,
}

impl Core {
    /// Now and then, while new keys are refused: tells the operator, for a cluster that takes no new event is in good
    /// health otherwise. What was refused long ago and is replayed now is no news.
    pub(crate) fn tell_keys_full(&mut self) {
        let refused = self.shards.iter().map(|shard| shard.counters().endings.of(Status::Full)).sum();
        let (before, now) = (core::mem::replace(&mut self.keys_full.refused, refused), self.now.monotonic_ns);
        let due = self.keys_full.told.is_none_or(|told| now >= told + FULL_AGAIN_NS);
        if refused == before || !self.told_serving || !due {
            return;
        }
        let is_full = |shard: &Shard| shard.counters().live_keys >= shard.capacities().0;
        let full = self.shards.iter().position(is_full);
        let Some(seat) = full else { return };
        self.keys_full.told = Some(now);
        let (shard, capacity) = (self.usher.seats[seat].shard, self.shards[seat].capacities().0);
        let ttl_ns = self.greeting.warden_ttl_ns;
        self.outputs.push_back(Output::KeysFull { shard, capacity, ttl_ns });
    }

    /// Now and then, while room is wanted: asks the device again for space that it did not have, and the control core
    /// for a checkpoint.
    pub(crate) fn tell_short_of_room(&mut self) -> bool {
        let due = self.short_told == 0 || self.now.monotonic_ns >= self.short_told + SHORT_OF_ROOM_NS;
        if !self.usher.room.take_wanted() || !due {
            return false;
        }
        self.short_told = self.now.monotonic_ns;
        let disk_full = self.full_log().is_some();
        self.log.retry_space();
        self.outcomes.log.retry_space();
        self.send(self.layout.control, CoreMessage::ShortOfRoom { disk_full });
        true
    }

    /// A core lacks room. A checkpoint makes some where logs are at their limit. On a full disk there may be none for
    /// the checkpoint either, and nothing stands still for the Docket to notice: nothing is admitted. Others may have
    /// space, so one of them is to lead.
    pub(crate) fn take_short_of_room(&mut self, disk_full: bool) {
        if self.quarantine.is_some() {
            // C5: it gives nothing up before it is rebuilt, whatever checkpoint the others take. Its log is as large as
            // it may be, and it accepts no more: those who agree on outcomes are a majority without it.
            return;
        }
        let (several, now) = (self.greeting.replicas > 1, self.now.monotonic_ns);
        self.control().short_at = Some(now);
        self.ask_for_checkpoint();
        if disk_full && several {
            // One that does not lead has nothing to hand over, and one that is refused is told of its full disk again.
            let _ = self.begin_hand_over(Heir::Anybody, None);
        }
    }

    /// A checkpoint is to be taken as soon as may be. Only the leader flags a slot (L6), and its logs may have room.
    pub(crate) fn ask_for_checkpoint(&mut self) {
        let own = self.greeting.replica;
        let control = self.control();
        control.coordinator.handle_short_of_room();
        if let Some(leader) = control.docket.leader().filter(|leader| *leader != own) {
            self.send_peer(leader, Lane::Control, &PeerMessage::ShortOfRoom);
        }
    }

    /// Now and then, while the device has no space for another segment: tells the operator.
    pub(crate) fn tell_disk_full(&mut self) {
        let now = self.now.monotonic_ns;
        let Some(log) = self.full_log() else { return };
        if self.disk_full_told.is_none_or(|told| now >= told + FULL_AGAIN_NS) {
            self.disk_full_told = Some(now);
            self.outputs.push_back(Output::DiskFull(log));
        }
    }

    /// A log of this core for which the device had no space when it was last asked.
    fn full_log(&self) -> Option<LogId> {
        let full = [&self.log, &self.outcomes.log].into_iter().find(|log| log.has_no_space());
        full.map(|log| log.identity().log)
    }

    /// On the control core: tells every core when the room for accept records falls short, and when it is there again.
    pub(crate) fn tell_docket_open(&mut self) -> bool {
        let promised = self.usher.promised();
        let Some(control) = &mut self.control else { return false };
        let open = self.usher.room.takes_slots(promised);
        if self.ballot == Ballot::NONE || open == control.told_open {
            return false;
        }
        control.told_open = open;
        self.tell_cores(|| CoreMessage::DocketOpen(open));
        true
    }
}
