//! Slots that recovery found, run again before this replica leads; at most a window of them at once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_shards::StripeBytes;
use assize_wire::manifest::Ordered;
use assize_wire::{Ballot, Hash, ShardId, Slot};

use crate::message::ReplayedSlot;

/// What a replayed slot brings along.
#[derive(Default)]
pub(crate) struct Brought {
    /// The bytes of its stripes.
    pub(crate) stripes: Vec<(ShardId, StripeBytes)>,
    /// The digests under which they were published before the restart.
    pub(crate) digests: Vec<(ShardId, Hash)>,
    /// The ballot under which it was accepted.
    pub(crate) ballot: Ballot,
}

/// On the control core: what is still to be replayed, and what to do then.
#[derive(Default)]
pub(crate) struct Replay {
    waiting: VecDeque<ReplayedSlot>,
    /// Stripes and digests of the slots that the Docket was given and has not told of yet.
    running: VecDeque<(Slot, Brought)>,
    /// Lead under this ballot once everything is published.
    then_lead: Option<Ballot>,
}

impl Replay {
    pub(crate) fn push(&mut self, slot: ReplayedSlot) {
        assert!(self.then_lead.is_none(), "a slot after the last one");
        self.waiting.push_back(slot);
    }

    pub(crate) fn end(&mut self, ballot: Ballot) {
        self.then_lead = Some(ballot);
    }

    /// The next slot for the Docket, whose stripes are kept until it is told chosen.
    pub(crate) fn next(&mut self) -> Option<Ordered> {
        let slot = self.waiting.pop_front()?;
        let brought = Brought { stripes: slot.stripes, digests: slot.digests, ballot: slot.ballot };
        self.running.push_back((slot.ordered.manifest.slot, brought));
        Some(slot.ordered)
    }

    /// What a slot that the Docket told of brought; nothing when it was not replayed.
    pub(crate) fn take(&mut self, slot: Slot) -> Brought {
        match self.running.front() {
            Some((running, _)) if *running == slot => {
                self.running.pop_front().map(|(_, brought)| brought).unwrap_or_default()
            }
            _ => Brought::default(),
        }
    }

    /// The ballot to lead under, once nothing is left to replay and `idle`.
    pub(crate) fn take_ballot(&mut self, idle: bool) -> Option<Ballot> {
        (idle && self.waiting.is_empty() && self.running.is_empty()).then(|| self.then_lead.take())?
    }
}
