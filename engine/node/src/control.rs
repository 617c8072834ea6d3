//! The control core's part: it runs the Docket, replays before it leads, and tells the other cores.

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wal::{BlockBuffer, Entry};
use assize_wire::accept::Accept;
use assize_wire::manifest::Ordered;
use assize_wire::{Ballot, CoreId, Hash, ShardId, StreamTime};

use crate::core::{Core, Output};
use crate::message::CoreMessage;
use crate::replay::Brought;

impl Core {
    /// Forms what may be formed and tells of what is chosen.
    pub(crate) fn step_docket(&mut self) -> bool {
        let Some(docket) = &mut self.docket else { return false };
        let mut progress = false;
        while docket.room()
            && let Some(ordered) = self.replay.next()
        {
            docket.replay(ordered.manifest, ordered.hash);
            progress = true;
        }
        if let Some(proposal) = docket.form(StreamTime(self.now.wall_ns)) {
            let manifest = Hash::of(&proposal.bytes);
            let payload = Accept::encode(proposal.ballot, true, &proposal.bytes);
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
        let Brought { stripes, digests } = self.replay.take(ordered.manifest.slot);
        for core in self.layout.cores() {
            let of_core = |shard: &ShardId| self.layout.owner(*shard) == core;
            let stripes = stripes.iter().filter(|(shard, _)| of_core(shard)).cloned().collect();
            let digests = digests.iter().filter(|(shard, _)| of_core(shard)).copied().collect();
            let ordered = Arc::clone(&ordered);
            self.send(core, CoreMessage::Chosen { ordered, stripes, digests });
        }
    }

    /// On the control core: tells every core when the room for accept records falls short, and when it is there again.
    pub(crate) fn tell_docket_open(&mut self) -> bool {
        let open = self.usher.room.takes_slots(self.usher.promised());
        if self.docket.is_none() || self.ballot == Ballot::NONE || open == self.told_open {
            return false;
        }
        self.told_open = open;
        for core in self.layout.cores() {
            self.send(core, CoreMessage::DocketOpen(open));
        }
        true
    }
}
