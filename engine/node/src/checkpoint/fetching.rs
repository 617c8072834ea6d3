//! Whether this replica is stranded, so that it must take over a checkpoint of a peer, and of which one.
//!
//! What is at or below a replica's active checkpoint is gone from its log, stripes first. A replica that has published
//! less than that may get what it lacks from nobody: not manifests, not stripes, not copies. It notices by standing
//! still below a peer's checkpoint. What other peers have is not asked: of five replicas two may be stranded, and each
//! has nothing for the other.

use alloc::collections::BTreeMap;

use assize_wire::peer::CheckpointOffer;
use assize_wire::{ReplicaId, Slot};

use crate::limits::STRANDED_NS;

/// What peers have, and how long this replica stands still.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Of peers that are connected, once they have said.
    offers: BTreeMap<ReplicaId, Option<CheckpointOffer>>,
    published: Slot,
    since: u64,
}

impl Offers {
    /// A peer says what its active checkpoint is.
    pub(super) fn note(&mut self, peer: ReplicaId, offer: Option<CheckpointOffer>) {
        self.offers.insert(peer, offer);
    }

    /// A peer is not heard any more.
    pub(super) fn forget(&mut self, peer: ReplicaId) {
        self.offers.remove(&peer);
    }

    /// This replica has published through here.
    pub(super) fn note_published(&mut self, published: Slot, now: u64) {
        if published != self.published || self.since == 0 {
            (self.published, self.since) = (published, now.max(1));
        }
    }

    /// Begins to wait anew.
    pub(super) fn wait_again(&mut self, now: u64) {
        self.since = now.max(1);
    }

    /// The newest checkpoint of a peer, and whose.
    pub(super) fn best(&self) -> Option<(ReplicaId, CheckpointOffer)> {
        let offers = self.offers.iter().filter_map(|(peer, offer)| Some((*peer, (*offer)?)));
        offers.max_by_key(|(peer, offer)| (offer.slot, *peer))
    }

    /// The newest one, if this replica has stood still below it for long.
    pub(super) fn stranded(&self, now: u64) -> Option<(ReplicaId, CheckpointOffer)> {
        let due = self.due().is_some_and(|due| now >= due);
        self.best().filter(|_| due)
    }

    /// When [`Offers::stranded`] is to be asked.
    pub(super) fn due(&self) -> Option<u64> {
        self.best().filter(|(_, offer)| offer.slot > self.published).map(|_| self.since + STRANDED_NS)
    }
}

#[cfg(test)]
mod tests {
    use assize_wire::{Ballot, Hash, StreamTime};

    use super::*;

    fn offer(slot: u64) -> Option<CheckpointOffer> {
        let (manifest, digest) = (Hash([1; 32]), Hash([2; 32]));
        Some(CheckpointOffer {
            slot: Slot(slot),
            time: StreamTime(1),
            manifest,
            digest,
            ballot: Ballot::NONE,
        })
    }

    /// ReplicaStranded.
    #[test]
    fn l6_who_stands_still_below_a_peers_checkpoint_takes_the_newest_over() {
        let mut offers = Offers::default();
        offers.note_published(Slot(5), 10);
        assert_eq!(offers.due(), None, "nobody is there");
        offers.note(ReplicaId(2), offer(5));
        offers.note(ReplicaId(3), None);
        assert_eq!(offers.due(), None, "replica 2 has slot 6, and replica 3 everything");
        offers.note(ReplicaId(1), offer(9));
        offers.note(ReplicaId(2), offer(7));
        assert_eq!(offers.due(), Some(10 + STRANDED_NS));
        assert_eq!(offers.stranded(9 + STRANDED_NS), None);
        let from = |offers: &Offers, now| offers.stranded(now).map(|(from, offer)| (from, offer.slot));
        assert_eq!(from(&offers, 10 + STRANDED_NS), Some((ReplicaId(1), Slot(9))));
        offers.note_published(Slot(6), 20);
        assert_eq!(offers.stranded(10 + STRANDED_NS), None, "it moves");
        offers.forget(ReplicaId(1));
        assert_eq!(from(&offers, 20 + STRANDED_NS), Some((ReplicaId(2), Slot(7))));
    }
}
