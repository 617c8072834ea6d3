//! The part of the replicated log that this replica has in memory: one chain of accepted slots.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::manifest::Ordered;
use assize_wire::{Ballot, Hash, Slot, StreamTime};

/// Where a log stands: what the next manifest chains to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogTip {
    /// The last slot.
    pub slot: Slot,
    /// The hash of its manifest.
    pub hash: Hash,
    /// Its stream time.
    pub time: StreamTime,
}

impl LogTip {
    /// Before the first slot.
    pub const START: LogTip = LogTip { slot: Slot::ZERO, hash: Hash::ZERO, time: StreamTime(0) };

    pub(crate) fn of(ordered: &Ordered) -> LogTip {
        let manifest = &ordered.manifest;
        LogTip { slot: manifest.slot, hash: ordered.hash, time: manifest.time }
    }

    /// Whether this value may stand right above (P4), at a time that does not move back.
    pub(crate) fn is_continued_by(&self, ordered: &Ordered) -> bool {
        let manifest = &ordered.manifest;
        manifest.slot == self.slot.next() && manifest.previous == self.hash && manifest.time >= self.time
    }
}

/// A slot as it was last written here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) ordered: Arc<Ordered>,
    /// The ballot of its last record.
    pub(crate) ballot: Ballot,
    /// Whether it was freshly formed under that ballot.
    pub(crate) fresh: bool,
    /// Whether a record of this value is durable and no record of another value was written after it.
    pub(crate) durable: bool,
    /// Bit s: shard s has a stripe in this slot and has not published it.
    pub(crate) owing: u64,
}

/// Slots without a gap, each chained to the one below.
///
/// Invariant: the first of `slots` continues `base`, every other the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Chain {
    /// What the first slot in memory chains to.
    base: LogTip,
    slots: VecDeque<Held>,
}

impl Chain {
    pub(crate) fn new(base: LogTip) -> Chain {
        Chain { base, slots: VecDeque::new() }
    }

    /// Below the first slot in memory.
    pub(crate) fn base(&self) -> Slot {
        self.base.slot
    }

    pub(crate) fn tip(&self) -> LogTip {
        self.slots.back().map_or(self.base, |held| LogTip::of(&held.ordered))
    }

    /// Where the log stands at `slot`, if that is in memory or right below.
    pub(crate) fn tip_at(&self, slot: Slot) -> Option<LogTip> {
        if slot == self.base.slot {
            return Some(self.base);
        }
        self.get(slot).map(|held| LogTip::of(&held.ordered))
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Held> {
        self.at(slot).and_then(|at| self.slots.get(at))
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Held> {
        self.at(slot).and_then(|at| self.slots.get_mut(at))
    }

    /// The slots above `slot`, in order.
    pub(crate) fn above(&self, slot: Slot) -> impl Iterator<Item = &Held> {
        let skipped = slot.0.saturating_sub(self.base.slot.0);
        self.slots.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    /// Puts a value at its slot. The same value keeps what is above; another voids all of it (P4) and returns it, its
    /// own predecessor first.
    ///
    /// # Panics
    /// When it does not chain to the slot below, or the slot has another value under the same ballot (P6).
    pub(crate) fn put(&mut self, ordered: Arc<Ordered>, ballot: Ballot, fresh: bool) -> Vec<Held> {
        let slot = ordered.manifest.slot;
        let below = self.tip_at(Slot(slot.0 - 1));
        let Some(below) = below.filter(|below| below.is_continued_by(&ordered)) else {
            panic!("slot {slot} does not continue {below:?}: {ordered:?} (P4)");
        };
        let mut voided = Vec::new();
        match self.get_mut(slot) {
            Some(held) if held.ordered.hash == ordered.hash => {
                assert!(held.ballot <= ballot, "slot {slot} falls from ballot {} to {ballot}", held.ballot);
                (held.ballot, held.fresh) = (ballot, fresh);
                return voided;
            }
            Some(held) => {
                assert!(held.ballot < ballot, "another value at slot {slot} under ballot {ballot} (P6)");
                let keep = (below.slot.0 - self.base.slot.0) as usize;
                voided.extend(self.slots.drain(keep..));
            }
            None => {}
        }
        let owing = ordered.manifest.stripes.iter().fold(0u64, |mask, stripe| mask | 1 << stripe.id.shard.0);
        self.slots.push_back(Held { ordered, ballot, fresh, durable: false, owing });
        voided
    }

    /// Forgets the lowest slots, up to `slot`.
    pub(crate) fn forget_through(&mut self, slot: Slot) {
        while self.base.slot < slot
            && let Some(held) = self.slots.pop_front()
        {
            self.base = LogTip::of(&held.ordered);
        }
    }

    pub(crate) fn check_invariants(&self) {
        let mut below = self.base;
        for held in &self.slots {
            assert!(below.is_continued_by(&held.ordered), "the chain is broken at {}", below.slot.next());
            below = LogTip::of(&held.ordered);
        }
    }

    fn at(&self, slot: Slot) -> Option<usize> {
        slot.0.checked_sub(self.base.slot.0 + 1).and_then(|at| usize::try_from(at).ok())
    }
}
