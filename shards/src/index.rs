//! An open-addressing index from a hash to a `u32` position in a table that lives elsewhere.
//!
//! 8 bytes a position: two slots of 4, so never more than half full. What the position's number leaves free of a slot
//! is filled with bits of the hash, so that a probe seldom has to look at the table (a cache miss) in vain. Slots are
//! zeros at first, which the allocator gives out untouched. Deletion shifts back what follows: no tombstones, no sweep.
//!
//! Invariants:
//! * at most half of the slots are used;
//! * between a position's home slot and the slot it sits in, every slot is used.

use alloc::vec;
use alloc::vec::Vec;

/// The index. The caller compares keys and knows the hash of each position.
pub(crate) struct Index {
    /// 0 is empty; else `position + 1` in the bits of `position_mask`, bits of the hash above them.
    slots: Vec<u32>,
    position_mask: u32,
    positions: u32,
    used: u32,
}

/// Where a probe ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    Found { slot: usize, position: u32 },
    Vacant { slot: usize },
}

impl Index {
    /// For positions `0 .. positions`.
    pub(crate) fn new(positions: u32) -> Index {
        assert!(positions < u32::MAX / 2, "an index of {positions} positions");
        let positions = positions.max(4);
        Index {
            slots: vec![0; positions as usize * 2],
            position_mask: u32::MAX >> positions.leading_zeros(),
            positions,
            used: 0,
        }
    }

    pub(crate) fn positions(&self) -> u32 {
        self.positions
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<u32>()
    }

    /// Reads the slot where a probe for `hash` begins. Many of these in a row overlap their cache misses.
    pub(crate) fn touch(&self, hash: u64) -> u32 {
        self.slots[self.home(hash)]
    }

    /// The position that is probably the one looked for, if there is one: the first with the same bits of the hash.
    pub(crate) fn guess(&self, hash: u64) -> Option<u32> {
        match self.probe(hash, |_| true) {
            Probe::Found { position, .. } => Some(position),
            Probe::Vacant { .. } => None,
        }
    }

    /// Every position from the home slot of `hash` to the next empty slot: what taking one out of there looks at.
    pub(crate) fn neighbours(&self, hash: u64) -> impl Iterator<Item = u32> {
        let mut slot = self.home(hash);
        core::iter::from_fn(move || {
            let position = (self.slots[slot] & self.position_mask).checked_sub(1)?;
            slot = self.after(slot);
            Some(position)
        })
    }

    /// Looks for the position for which `is_it` holds.
    pub(crate) fn probe(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Probe {
        let tag = self.tag(hash);
        let mut slot = self.home(hash);
        loop {
            let value = self.slots[slot];
            if value == 0 {
                return Probe::Vacant { slot };
            }
            if value & !self.position_mask == tag {
                let position = (value & self.position_mask) - 1;
                if is_it(position) {
                    return Probe::Found { slot, position };
                }
            }
            slot = self.after(slot);
        }
    }

    /// Fills the vacant slot that a probe for `hash` ended at.
    pub(crate) fn fill(&mut self, slot: usize, hash: u64, position: u32) {
        assert!(self.slots[slot] == 0, "slot {slot} is not vacant");
        assert!(self.used < self.positions, "an index of {} positions is full", self.positions);
        self.used += 1;
        self.write(slot, hash, position);
    }

    /// Points a slot that a probe for `hash` found to another position of the same key.
    pub(crate) fn repoint(&mut self, slot: usize, hash: u64, position: u32) {
        assert!(self.slots[slot] != 0, "slot {slot} is vacant");
        self.write(slot, hash, position);
    }

    /// Empties a slot. `hash_of` gives the hash of a position.
    pub(crate) fn remove(&mut self, slot: usize, hash_of: impl Fn(u32) -> u64) {
        assert!(self.slots[slot] != 0, "slot {slot} is vacant");
        self.used -= 1;
        let mut hole = slot;
        let mut at = slot;
        loop {
            at = self.after(at);
            let value = self.slots[at];
            if value == 0 {
                break;
            }
            let home = self.home(hash_of((value & self.position_mask) - 1));
            // It may move into the hole unless that would put it before its home.
            if self.distance(home, at) >= self.distance(hole, at) {
                self.slots[hole] = value;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }

    /// Panics when a promise at the head of this file is broken. `hash_of` gives the hash of a position.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self, hash_of: impl Fn(u32) -> u64) {
        let mut used = 0;
        for (at, value) in self.slots.iter().enumerate().filter(|(_, value)| **value != 0) {
            used += 1;
            let position = (value & self.position_mask) - 1;
            let mut slot = self.home(hash_of(position));
            while slot != at {
                assert!(self.slots[slot] != 0, "slot {slot} is empty before position {position} at {at}");
                slot = self.after(slot);
            }
        }
        assert!(used == self.used, "{used} slots are used, {} counted", self.used);
        assert!(self.used <= self.positions, "{} of {} positions", self.used, self.positions);
    }

    fn write(&mut self, slot: usize, hash: u64, position: u32) {
        assert!(position < self.positions, "position {position} of {}", self.positions);
        self.slots[slot] = self.tag(hash) | (position + 1);
    }

    fn tag(&self, hash: u64) -> u32 {
        hash as u32 & !self.position_mask
    }

    /// Lemire's reduction of the upper half, so that the number of slots need not be a power of two.
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Few bits in use, so that many positions share a home, and the ends of the table meet.
    fn hash_of(position: u32, crowd: u64) -> u64 {
        let spread = u64::from(position).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (spread % crowd).wrapping_mul(u64::MAX / crowd) | u64::from(position & 3)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn it_finds_what_was_filled_and_not_removed(
            crowd in 1u64..40,
            steps in proptest::collection::vec(0u32..40, 0..200),
        ) {
            let mut index = Index::new(40);
            let mut model = BTreeSet::new();
            for position in steps {
                let hash = hash_of(position, crowd);
                match index.probe(hash, |found| found == position) {
                    Probe::Found { slot, .. } => {
                        assert!(model.remove(&position));
                        index.remove(slot, |position| hash_of(position, crowd));
                    }
                    Probe::Vacant { slot } => {
                        assert!(model.insert(position));
                        index.fill(slot, hash, position);
                    }
                }
                index.check_invariants(|position| hash_of(position, crowd));
                for position in 0..40 {
                    let found = index.probe(hash_of(position, crowd), |found| found == position);
                    assert_eq!(matches!(found, Probe::Found { .. }), model.contains(&position));
                }
            }
        }
    }
}
