//! How far a replica is: each mark advances in O(1).

use assize_wire::Slot;

/// `published <= chosen <= accepted <= formed`, all inclusive; slot 0 is "nothing yet".
///
/// Within an incarnation chosen and published never move back; accepted, which belongs to a ballot, may fall back to
/// chosen when the ballot changes, and formed to accepted (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Watermarks {
    /// The highest slot that has a value here, written or about to be; on a leader the highest it proposed.
    pub formed: Slot,
    /// The highest slot that is durable here under the present ballot, or known chosen, as all below it are.
    pub accepted: Slot,
    /// The highest slot that is known chosen and durable here, as all below it are.
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
