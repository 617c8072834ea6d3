//! Whether this replica is stranded, so that it must take over a checkpoint of a peer, and of which one.
//!
//! What is at or below a replica's active checkpoint is gone from its log, stripes first. A replica that has published
//! less than that may get what it lacks from nobody: not manifests, not stripes, not copies. It notices by standing
//! still below a peer's checkpoint. What other peers have is not asked: of five replicas two may be stranded, and each
//! has nothing for the other.

use alloc::collections::BTreeMap;

use assize_consensus::limits::REPLICAS_MAX;
use assize_wire::peer::CheckpointOffer;
use assize_wire::{Incarnation, ReplicaId, Slot};

use crate::limits::{CATCHING_UP_NS, STRANDED_NS, TAKE_OVER_AGAIN_NS, TAKE_OVER_DOUBLED_MAX};

/// What peers have, and how long this replica stands still.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Of peers that are connected, once they have said.
    offers: BTreeMap<ReplicaId, Option<CheckpointOffer>>,
    published: Slot,
    since: u64,
    /// How often one could not be taken over, one time after the other.
    failed: u32,
    /// Which peer is preferred turns with it.
    turn: u64,
    /// Of peers that had a checkpoint and are not connected any more, until when they are waited for.
    left: BTreeMap<ReplicaId, u64>,
    /// The slot of the last checkpoint that a peer took itself.
    taken: BTreeMap<ReplicaId, Slot>,
    now: u64,
}

impl Offers {
    /// Of peers that have the same the next one is asked after each start, so that it is not always one whose memory is
    /// bad.
    pub(super) fn new(incarnation: Incarnation) -> Offers {
        Offers { turn: incarnation.0, ..Offers::default() }
    }

    /// A peer says what its active checkpoint is.
    pub(super) fn note(&mut self, peer: ReplicaId, offer: Option<CheckpointOffer>) {
        self.left.remove(&peer);
        self.offers.insert(peer, offer);
    }

    /// A peer is not heard any more.
    pub(super) fn forget(&mut self, peer: ReplicaId) {
        if self.offers.remove(&peer).flatten().is_some() {
            self.left.insert(peer, self.now + CATCHING_UP_NS);
        }
    }

    /// A peer has taken a checkpoint of what it has executed itself.
    pub(super) fn note_taken(&mut self, peer: ReplicaId, slot: Slot) {
        self.taken.insert(peer, slot);
    }

    /// Whether a peer that is there, or was until just now, has a checkpoint and did not take the active one, after
    /// this slot, itself: it is taking one over, or starts again from one, and its log begins there.
    pub(super) fn is_any_behind(&self, active: Slot) -> bool {
        let there = self.offers.iter().filter(|(_, offer)| offer.is_some()).map(|(peer, _)| peer);
        let left = self.left.iter().filter(|(_, until)| self.now < **until).map(|(peer, _)| peer);
        there.chain(left).any(|peer| self.taken.get(peer).is_none_or(|taken| *taken < active))
    }

    /// This replica has published through here.
    pub(super) fn note_published(&mut self, published: Slot, now: u64) {
        self.now = now;
        if published != self.published || self.since == 0 {
            (self.published, self.since, self.failed) = (published, now.max(1), 0);
        }
    }

    /// It could not be taken over, for want of space as a rule: it is tried again, of another peer if there is one.
    pub(super) fn put_off(&mut self, now: u64) {
        (self.since, self.failed) = (now.max(1), self.failed + 1);
    }

    /// Until when none is taken over, since that came to nothing.
    pub(super) fn put_off_until(&self) -> Option<u64> {
        let times = self.failed.checked_sub(1)?;
        Some(self.since + (TAKE_OVER_AGAIN_NS << times.min(TAKE_OVER_DOUBLED_MAX)))
    }

    /// The newest checkpoint of a peer, and whose.
    pub(super) fn best(&self) -> Option<(ReplicaId, CheckpointOffer)> {
        let offers = self.offers.iter().filter_map(|(peer, offer)| Some((*peer, (*offer)?)));
        let turn = self.turn + u64::from(self.failed);
        offers.max_by_key(|(peer, offer)| (offer.slot, (u64::from(peer.0) + turn) % REPLICAS_MAX as u64))
    }

    /// The newest one, if this replica has stood still below it for long.
    pub(super) fn stranded(&self, now: u64) -> Option<(ReplicaId, CheckpointOffer)> {
        let due = self.due().is_some_and(|due| now >= due);
        self.best().filter(|_| due)
    }

    /// When [`Offers::stranded`] is to be asked.
    pub(super) fn due(&self) -> Option<u64> {
        self.best().filter(|(_, offer)| offer.slot > self.published)?;
        Some(self.put_off_until().unwrap_or(self.since + STRANDED_NS))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

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

    /// TakeOverPutOff: of another peer each time, and less often the more often it fails.
    #[test]
    fn l6_what_could_not_be_taken_over_is_tried_again_of_another_peer() {
        let mut offers = Offers::new(Incarnation(1));
        [1, 2].into_iter().for_each(|peer| offers.note(ReplicaId(peer), offer(9)));
        offers.note_published(Slot(3), 1);
        assert_eq!((offers.due(), offers.put_off_until()), (Some(1 + STRANDED_NS), None));
        let mut asked = Vec::new();
        for times in 0..3 {
            asked.extend(offers.best().map(|(peer, _)| peer));
            offers.put_off(10);
            assert_eq!(offers.due(), Some(10 + (TAKE_OVER_AGAIN_NS << times)));
            assert_eq!(offers.due(), offers.put_off_until());
        }
        asked.dedup();
        assert!(asked.len() > 1, "{asked:?}");
        (0..99).for_each(|_| offers.put_off(10));
        assert_eq!(
            offers.due(),
            Some(10 + (TAKE_OVER_AGAIN_NS << TAKE_OVER_DOUBLED_MAX)),
            "and not for ever"
        );
        offers.note_published(Slot(4), 20);
        assert_eq!(offers.due(), Some(20 + STRANDED_NS), "it moves");
    }

    /// ReplicaStranded: each start begins with another peer.
    #[test]
    fn c7_a_start_asks_another_peer_first() {
        let from = |incarnation| {
            let mut offers = Offers::new(Incarnation(incarnation));
            [1, 2].into_iter().for_each(|peer| offers.note(ReplicaId(peer), offer(9)));
            offers.best().map(|(peer, _)| peer)
        };
        let asked: BTreeMap<ReplicaId, u64> =
            (1..=5).filter_map(|start| Some((from(start)?, start))).collect();
        assert_eq!(asked.len(), 2, "{asked:?}");
    }

    /// FlagPutOff.
    #[test]
    fn l6_a_peer_is_behind_until_it_takes_checkpoints_itself_or_is_gone_for_long() {
        let mut offers = Offers::default();
        offers.note_published(Slot(9), 10);
        assert!(!offers.is_any_behind(Slot(9)), "nobody is there");
        offers.note(ReplicaId(1), offer(9));
        offers.note(ReplicaId(2), None);
        assert!(offers.is_any_behind(Slot(9)), "it may have been taken over");
        offers.note_taken(ReplicaId(1), Slot(9));
        assert!(!offers.is_any_behind(Slot(9)) && offers.is_any_behind(Slot(12)));
        offers.forget(ReplicaId(1));
        offers.note_published(Slot(9), 9 + CATCHING_UP_NS);
        assert!(offers.is_any_behind(Slot(12)), "it starts again");
        offers.note_published(Slot(9), 10 + CATCHING_UP_NS);
        assert!(!offers.is_any_behind(Slot(12)), "it is gone");
        offers.note(ReplicaId(1), offer(12));
        assert!(offers.is_any_behind(Slot(12)), "it is back, from what it took over");
        offers.note_taken(ReplicaId(1), Slot(14));
        assert!(!offers.is_any_behind(Slot(12)));
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
