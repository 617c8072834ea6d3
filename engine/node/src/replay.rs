//! Slots that recovery found: their stripes are read ahead by the boot thread, and brought along when the Docket tells
//! that they are chosen.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_shards::StripeBytes;
use assize_wire::{Hash, ShardId, Slot};

use crate::message::ReplayedSlot;

/// What a replayed slot brings along.
#[derive(Default)]
pub(crate) struct Brought {
    /// The bytes of its stripes.
    pub(crate) stripes: Vec<(ShardId, StripeBytes)>,
    /// The digests under which they were published before the restart.
    pub(crate) digests: Vec<(ShardId, Hash)>,
}

/// On the control core: what the boot thread has read and the Docket has not told of.
pub(crate) struct Replay {
    /// The last slot that the boot thread brings, as long as what recovery found still stands.
    through: Slot,
    waiting: VecDeque<ReplayedSlot>,
}

impl Replay {
    /// Recovery found slots through this one.
    pub(crate) fn through(through: Slot) -> Replay {
        Replay { through, waiting: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, slot: ReplayedSlot) {
        // Another value was chosen below: what comes after it was void (P4).
        if slot.ordered.manifest.slot <= self.through {
            self.waiting.push_back(slot);
        }
    }

    /// Whether `slot` may be told: the boot thread has brought it, or does not bring it at all.
    pub(crate) fn is_ready(&self, slot: Slot) -> bool {
        slot > self.through || !self.waiting.is_empty()
    }

    /// Whether `slot` is one that was accepted before the start.
    pub(crate) fn brings(&self, slot: Slot) -> bool {
        slot <= self.through
    }

    /// Whether everything was brought and told.
    pub(crate) fn is_over(&self) -> bool {
        self.through == Slot::ZERO
    }

    /// What a slot brings that is told with this manifest; nothing when it was not replayed.
    pub(crate) fn take(&mut self, slot: Slot, hash: Hash) -> Brought {
        if slot > self.through {
            self.through = Slot::ZERO;
            return Brought::default();
        }
        let Some(replayed) = self.waiting.pop_front() else {
            panic!("slot {slot} is told before it was brought");
        };
        if replayed.ordered.hash != hash {
            // What was accepted before the restart was not chosen.
            self.through = Slot::ZERO;
            self.waiting.clear();
            return Brought::default();
        }
        if slot == self.through {
            self.through = Slot::ZERO;
        }
        Brought { stripes: replayed.stripes, digests: replayed.digests }
    }
}
