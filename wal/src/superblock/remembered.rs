//! What a start found to have been accepted, remembered for the next one (L5).

use alloc::vec::Vec;

use assize_wire::{Ballot, Slot};

use crate::header::Mark;

/// Marks like those of records, ascending by slot and descending by ballot: every slot up to that of a mark was
/// accepted under its ballot or a higher one, or was known chosen.
///
/// One mark would not do:
/// 1. A start finds slot 37 accepted under ballot 3 and slot 38 under ballot 2. It remembers (ballot 2, slot 38).
/// 2. The newer accept of slot 37 decays. The next start finds the older one, under ballot 2, and nothing against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered([Mark; STEPS]);

impl Remembered {
    /// With steps of any number, ascending by slot. Of too many the first ones above the lowest are joined with what is
    /// above them, which asks for more than was found and never for less.
    #[must_use]
    pub fn new(steps: &[Mark]) -> Remembered {
        let mut steps: Vec<Mark> = steps.to_vec();
        while steps.len() > STEPS {
            let last = steps.remove(1);
            steps[1].ballot = steps[1].ballot.max(last.ballot);
        }
        let mut remembered = Remembered::default();
        for (at, step) in steps.into_iter().enumerate() {
            remembered.0[at] = step;
        }
        remembered
    }

    /// The marks.
    pub fn iter(&self) -> impl Iterator<Item = Mark> + '_ {
        self.0.iter().copied().filter(|mark| *mark != Mark::default())
    }

    /// The last slot that it tells of.
    #[must_use]
    pub fn last_slot(&self) -> Slot {
        self.iter().map(|mark| mark.slot).max().unwrap_or_default()
    }

    pub(super) fn encode(&self) -> [u8; REMEMBERED_BYTES] {
        let mut bytes = [0; REMEMBERED_BYTES];
        for (mark, at) in self.0.iter().zip(bytes.chunks_exact_mut(STEP_BYTES)) {
            at[..8].copy_from_slice(&mark.ballot.to_raw().to_le_bytes());
            at[8..].copy_from_slice(&mark.slot.0.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Remembered {
        let mut remembered = Remembered::default();
        let word = |at: &[u8]| u64::from_le_bytes(at.try_into().expect("8 bytes"));
        for (mark, at) in remembered.0.iter_mut().zip(bytes.chunks_exact(STEP_BYTES)) {
            *mark = Mark { ballot: Ballot::from_raw(word(&at[..8])), slot: Slot(word(&at[8..])) };
        }
        remembered
    }
}

const STEPS: usize = 8;
const STEP_BYTES: usize = 16;
/// Bytes of it in the superblock.
pub(super) const REMEMBERED_BYTES: usize = STEPS * STEP_BYTES;

#[cfg(test)]
mod tests {
    use assize_wire::ReplicaId;

    use super::*;

    fn mark(ballot: u64, slot: u64) -> Mark {
        Mark { ballot: Ballot::new(ballot, ReplicaId(0)), slot: Slot(slot) }
    }

    #[test]
    fn more_steps_than_fit_ask_for_no_less() {
        let steps: Vec<Mark> = (0..12).map(|at| mark(20 - at, 5 + at)).collect();
        let remembered = Remembered::new(&steps);
        assert_eq!(remembered.last_slot(), Slot(16));
        for step in steps {
            let mut above = remembered.iter().filter(|mark| mark.slot >= step.slot);
            assert!(above.any(|mark| mark.ballot >= step.ballot), "{step:?} is forgotten: {remembered:?}");
        }
        assert_eq!(Remembered::decode(&remembered.encode()), remembered);
    }
}
