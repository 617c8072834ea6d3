//! How far a replica is: each mark advances in O(1) and, within an incarnation, never moves back (R4).

use assize_wire::Slot;

/// `published <= chosen <= accepted <= formed`, all inclusive; slot 0 is "nothing yet".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Watermarks {
    /// The highest slot that was formed here.
    pub formed: Slot,
    /// The highest slot whose accept record, and all below it, is durable here.
    pub accepted: Slot,
    /// The highest slot that is known chosen, as all below it are.
    pub chosen: Slot,
    /// The highest slot that every shard with a stripe in it has published, as all below it are.
    pub published: Slot,
}

impl Watermarks {
    /// All at one slot: how a log begins, or begins again.
    #[must_use]
    pub fn at(slot: Slot) -> Watermarks {
        Watermarks { formed: slot, accepted: slot, chosen: slot, published: slot }
    }

    /// Panics, with the values, when the order is broken.
    pub fn check_invariants(&self) {
        let ordered =
            self.published <= self.chosen && self.chosen <= self.accepted && self.accepted <= self.formed;
        assert!(ordered, "watermarks out of order: {self:?}");
    }
}
