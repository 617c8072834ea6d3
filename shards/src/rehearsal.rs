//! Faults that an operator asks for, to see what a cluster makes of a machine that goes wrong.

use core::fmt;

use assize_wire::Slot;

/// One fault, committed once, at a slot or the first one after it where that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// One event gets another outcome than its domain gave it, as from a wrong computation.
    WrongOutcome(Slot),
    /// A bit of an entity's state turns over in memory, while nobody uses it.
    FlipBit(Slot),
    /// Nothing is executed any more, as by a core that hangs.
    Stall(Slot),
}

impl Rehearsal {
    /// Where it begins.
    #[must_use]
    pub fn slot(self) -> Slot {
        let (Rehearsal::WrongOutcome(slot) | Rehearsal::FlipBit(slot) | Rehearsal::Stall(slot)) = self;
        slot
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, slot) = match self {
            Rehearsal::WrongOutcome(slot) => ("wrong-outcome", slot),
            Rehearsal::FlipBit(slot) => ("flip-bit", slot),
            Rehearsal::Stall(slot) => ("stall", slot),
        };
        write!(f, "{fault}@{slot}")
    }
}
