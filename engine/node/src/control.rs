//! The control core's part: it runs the Docket, replays before it leads, and tells the other cores.

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_consensus::CheckpointFlag;
use assize_wal::{BlockBuffer, Entry};
use assize_wire::accept::{ACCEPT_HEADER_BYTES, Accept};
use assize_wire::manifest::{Manifest, Ordered};
use assize_wire::{Ballot, CoreId, ShardId, StreamTime};

use crate::checkpoint::CheckpointReport;
use crate::core::{Core, Output};
use crate::limits::SHORT_OF_ROOM_NS;
use crate::message::CoreMessage;
use crate::replay::Brought;

impl Core {
    /// Forms what may be formed and tells of what is chosen.
    pub(crate) fn step_docket(&mut self) -> bool {
        let (Some(docket), Some(coordinator)) = (&mut self.docket, &mut self.coordinator) else {
            return false;
        };
        let mut progress = false;
        while docket.room()
            && let Some(ordered) = self.replay.next()
        {
            coordinator.handle_formed(log_bytes(&ordered.manifest), ordered.manifest.checkpoint);
            docket.replay(ordered.manifest, ordered.hash);
            progress = true;
        }
        let alone = coordinator.wants_slot() && self.usher.room.takes_flag(self.usher.promised());
        let flag = match (coordinator.wants_flag(), alone) {
            (_, true) => CheckpointFlag::Alone,
            (true, false) => CheckpointFlag::Raised,
            (false, false) => CheckpointFlag::Lowered,
        };
        if let Some(proposal) = docket.form(StreamTime(self.now.wall_ns), flag) {
            coordinator.handle_formed(log_bytes(&proposal.manifest), proposal.manifest.checkpoint);
            let manifest = proposal.hash;
            let chosen = docket.watermarks().chosen;
            let payload = Accept::encode(proposal.ballot, true, chosen, &proposal.bytes);
            let mut buffer = BlockBuffer::for_record(payload.len());
            buffer.extend_from_slice(&payload);
            let entry = Entry::Accept { slot: proposal.slot, ballot: proposal.ballot, manifest };
            if let Err(full) = self.log.append(entry, buffer) {
                panic!("no room for the accept record {:?}, for which a reserve is kept", full.entry);
            }
            self.log_busy_since = Some(self.now.monotonic_ns);
            progress = true;
        }
        let mut chosen = Vec::new();
        while let Some(ordered) = docket.poll_chosen() {
            chosen.push(ordered);
        }
        let marks = docket.watermarks();
        let idle = docket.is_idle();
        for ordered in chosen {
            self.tell_chosen(ordered);
            progress = true;
        }
        if marks.published > self.told_published {
            self.told_published = marks.published;
            if self.ballot == Ballot::NONE {
                self.outputs.push_back(Output::Replayed(marks.published));
            }
            self.handle_published_through(marks.published);
            progress = true;
        }
        let due: Vec<CoreId> = self
            .watchers
            .extract_if(.., |(slot, _)| *slot <= marks.published)
            .map(|(_, core)| core)
            .collect();
        for core in due {
            self.send(core, CoreMessage::PublishedThrough(marks.published));
        }
        progress |= self.tell_checkpoint_active();
        if let Some(ballot) = self.replay.take_ballot(idle) {
            self.docket().lead(ballot);
            for core in self.layout.cores() {
                self.send(core, CoreMessage::Lead(ballot));
            }
            progress = true;
        }
        progress
    }

    /// Every core learns every slot, in slot order: homes follow the order of claims by it.
    fn tell_chosen(&mut self, ordered: Arc<Ordered>) {
        let manifest = &ordered.manifest;
        let Brought { stripes, digests, ballot } = self.replay.take(manifest.slot);
        let ballot = if self.ballot == Ballot::NONE { ballot } else { self.ballot };
        let (slot, time, hash) = (manifest.slot, manifest.time, ordered.hash);
        let checkpoint = manifest.checkpoint && self.coordinator().handle_chosen(slot, time, hash, ballot);
        for core in self.layout.cores() {
            let of_core = |shard: &ShardId| self.layout.owner(*shard) == core;
            let stripes = stripes.iter().filter(|(shard, _)| of_core(shard)).cloned().collect();
            let digests = digests.iter().filter(|(shard, _)| of_core(shard)).copied().collect();
            let ordered = Arc::clone(&ordered);
            self.send(core, CoreMessage::Chosen { ordered, stripes, digests, checkpoint });
        }
    }

    /// A core has taken its part of a checkpoint.
    pub(crate) fn take_report(&mut self, report: CheckpointReport) {
        let ended = self.coordinator().handle_report(report);
        self.outputs.extend(ended.map(Output::Checkpoint));
    }

    /// Tells every core of a checkpoint that the superblock names.
    fn tell_checkpoint_active(&mut self) -> bool {
        let Some((active, end)) = self.coordinator().poll_active() else { return false };
        self.outputs.push_back(Output::Checkpoint(end));
        for core in self.layout.cores() {
            self.send(core, CoreMessage::CheckpointActive(active.clone()));
        }
        true
    }

    /// Now and then, while room is wanted: asks the device again for space that it did not have, and the control core
    /// for a checkpoint.
    pub(crate) fn tell_short_of_room(&mut self) -> bool {
        let due = self.short_told == 0 || self.now.monotonic_ns >= self.short_told + SHORT_OF_ROOM_NS;
        if !self.usher.room.take_wanted() || !due {
            return false;
        }
        self.short_told = self.now.monotonic_ns;
        self.log.retry_space();
        self.outcomes.log.retry_space();
        self.send(self.layout.control, CoreMessage::ShortOfRoom);
        true
    }

    /// On the control core: tells every core when the room for accept records falls short, and when it is there again.
    pub(crate) fn tell_docket_open(&mut self) -> bool {
        if self.docket.is_none() {
            return false;
        }
        let promised = self.usher.promised();
        let open = self.usher.room.takes_slots(promised);
        if self.ballot == Ballot::NONE || open == self.told_open {
            return false;
        }
        self.told_open = open;
        for core in self.layout.cores() {
            self.send(core, CoreMessage::DocketOpen(open));
        }
        true
    }
}

/// What a slot takes of the logs: its stripes, and twice its accept record.
fn log_bytes(manifest: &Manifest) -> u64 {
    let stripes = manifest.stripes.iter().map(|stripe| BlockBuffer::record_bytes(stripe.bytes as usize));
    let accept = BlockBuffer::record_bytes(manifest.encoded_bytes() + ACCEPT_HEADER_BYTES);
    (stripes.sum::<usize>() + 2 * accept) as u64
}
