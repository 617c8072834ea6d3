//! Slots that recovery found, run again before this replica leads; at most a window of them at once.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_shards::StripeBytes;
use assize_wire::{Ballot, Hash, ShardId, Slot};

use crate::message::ReplayedSlot;

/// On the control core: what is still to be replayed, and what to do then.
#[derive(Default)]
pub(crate) struct Replay {
    waiting: VecDeque<ReplayedSlot>,
    /// Stripes and digests of the slots that the Docket was given and has not told of yet.
    running: VecDeque<(Slot, Vec<(ShardId, StripeBytes)>, Vec<(ShardId, Hash)>)>,
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
    pub(crate) fn next(&mut self) -> Option<Arc<assize_wire::manifest::Ordered>> {
        let slot = self.waiting.pop_front()?;
        self.running.push_back((slot.ordered.manifest.slot, slot.stripes, slot.digests));
        Some(Arc::new(slot.ordered))
    }

    /// The stripes and digests of a slot that the Docket told of; none when it was not replayed.
    #[allow(clippy::type_complexity, reason = "the two lists of a replayed slot")]
    pub(crate) fn take(&mut self, slot: Slot) -> (Vec<(ShardId, StripeBytes)>, Vec<(ShardId, Hash)>) {
        match self.running.front() {
            Some((running, _, _)) if *running == slot => {
                let (_, stripes, digests) = self.running.pop_front().unwrap_or_default();
                (stripes, digests)
            }
            _ => Default::default(),
        }
    }

    /// The ballot to lead under, once nothing is left to replay and `idle`.
    pub(crate) fn take_ballot(&mut self, idle: bool) -> Option<Ballot> {
        (idle && self.waiting.is_empty() && self.running.is_empty()).then(|| self.then_lead.take())?
    }
}
