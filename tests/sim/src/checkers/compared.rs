//! C7: a checkpoint becomes active, or is taken over from a peer, only once `copies` replicas reported its digest
//! equal; and replicas that hold the same log report the same.

use std::collections::BTreeMap;

use assize_wire::{Hash, Slot};

use super::hold;

pub(super) struct Compared {
    pub(super) needed: usize,
    /// By slot and replica; with whether it is made wrong on purpose.
    reported: BTreeMap<Slot, BTreeMap<usize, (Hash, bool)>>,
}

impl Compared {
    pub(super) fn new() -> Compared {
        Compared { needed: 1, reported: BTreeMap::new() }
    }

    /// A replica's own checkpoint is whole, and it tells its peers the digest.
    pub(super) fn reported(&mut self, replica: usize, slot: Slot, digest: Hash, wrong: bool) {
        let of_slot = self.reported.entry(slot).or_default();
        let differs = |(other, of_wrong): &(Hash, bool)| !wrong && !of_wrong && *other != digest;
        let other = of_slot.iter().find(|(_, other)| differs(other));
        hold!(
            "compared",
            other.is_none(),
            "D1: after slot {slot} replica {replica} has {digest}, and {other:?} another"
        );
        of_slot.insert(replica, (digest, wrong));
    }

    /// A replica relies on the checkpoint after this slot from now on.
    pub(super) fn active(&self, replica: usize, slot: Slot) {
        let have = self.reported.get(&slot).map_or(0, BTreeMap::len);
        let needed = self.needed;
        hold!(
            "compared",
            have >= needed,
            "C7: replica {replica} relies on the checkpoint after slot {slot}, which {have} replicas have reported; \
             {needed} must have"
        );
    }
}
