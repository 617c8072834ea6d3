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

use crate::limits::{CATCHING_UP_NS, NEWER_ASKED_MAX, NEWER_DOUBLED_MAX, NEWER_WANTED_NS, STRANDED_NS};

/// What peers have, and how long this replica stands still.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Of peers that are connected, once they have said.
    offers: BTreeMap<ReplicaId, Option<CheckpointOffer>>,
    published: Slot,
    since: u64,
    /// One after this slot could not be taken over; only newer ones count.
    newer_than: Slot,
    /// How many could not, one after the other.
    failed: u32,
    /// How often a newer one was asked for since the last of them.
    asked: u32,
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
            (self.published, self.since, self.failed, self.asked) = (published, now.max(1), 0, 0);
        }
    }

    /// The one after this slot could not be taken over: a newer one may. What has come of it stays in the logs, and a
    /// start could not tell a second head of one part from the first.
    pub(super) fn wait_for_newer(&mut self, slot: Slot, now: u64) {
        (self.newer_than, self.since, self.failed, self.asked) = (slot, now.max(1), self.failed + 1, 0);
    }

    /// The newest checkpoint of a peer, and whose.
    pub(super) fn best(&self) -> Option<(ReplicaId, CheckpointOffer)> {
        self.newest().filter(|(_, offer)| offer.slot > self.newer_than)
    }

    fn newest(&self) -> Option<(ReplicaId, CheckpointOffer)> {
        let offers = self.offers.iter().filter_map(|(peer, offer)| Some((*peer, (*offer)?)));
        offers.max_by_key(|(peer, offer)| (offer.slot, (u64::from(peer.0) + self.turn) % REPLICAS_MAX as u64))
    }

    /// The newest one, if this replica has stood still below it for long.
    pub(super) fn stranded(&self, now: u64) -> Option<(ReplicaId, CheckpointOffer)> {
        let due = self.due().is_some_and(|due| now >= due);
        self.best().filter(|_| due)
    }

    /// Whether this replica has stood still below one that it could not take over, and there is no newer one: where
    /// nothing is submitted none would ever come. Then it stands still anew.
    pub(super) fn needs_newer(&mut self, now: u64) -> bool {
        let needs = self.best().is_none() && self.due().is_some_and(|due| now >= due);
        if needs {
            (self.since, self.asked) = (now.max(1), self.asked + 1);
        }
        needs
    }

    /// The slot of the one that could not be taken over, once a newer one was asked for so often that there will be
    /// none.
    ///
    /// 1. Replicas 0 and 1 took a checkpoint. Replica 2 is stranded, and has no space to take it over.
    /// 2. Replica 0 loses its disk: it has no vote until a slot above all that it may have accepted is chosen.
    /// 3. No slot is chosen without replica 2, which can accept none before it took over a checkpoint; and no
    ///    checkpoint is taken without a slot.
    ///
    /// Meanwhile there may be space again, and a new incarnation may take over the same.
    pub(super) fn asked_in_vain(&self) -> Option<Slot> {
        (self.asked > NEWER_ASKED_MAX).then_some(self.newer_than)
    }

    /// When [`Offers::stranded`] and [`Offers::needs_newer`] are to be asked.
    pub(super) fn due(&self) -> Option<u64> {
        let (_, offer) = self.newest().filter(|(_, offer)| offer.slot > self.published)?;
        let newer_wanted = NEWER_WANTED_NS << self.failed.saturating_sub(1).min(NEWER_DOUBLED_MAX);
        Some(self.since + if offer.slot > self.newer_than { STRANDED_NS } else { newer_wanted })
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

    /// NotTakenOver.
    #[test]
    fn c7_what_could_not_be_taken_over_is_taken_from_another_peer_or_is_a_newer_one() {
        let from = |incarnation| {
            let mut offers = Offers::new(Incarnation(incarnation));
            [1, 2].into_iter().for_each(|peer| offers.note(ReplicaId(peer), offer(9)));
            offers.best().map(|(peer, _)| peer)
        };
        let asked: BTreeMap<ReplicaId, u64> =
            (1..=5).filter_map(|start| Some((from(start)?, start))).collect();
        assert_eq!(asked.len(), 2, "a start asks the other one: {asked:?}");
        let mut offers = Offers::new(Incarnation(1));
        offers.note(ReplicaId(1), offer(9));
        offers.wait_for_newer(Slot(9), 5);
        assert_eq!((offers.best(), offers.due()), (None, Some(5 + NEWER_WANTED_NS)));
        offers.note(ReplicaId(1), offer(12));
        assert_eq!(offers.due(), Some(5 + STRANDED_NS));
    }

    /// TakeOverTriedAgain: not before it was asked for a newer one again and again, and not once there is one.
    #[test]
    fn l6_who_asks_in_vain_for_a_newer_one_starts_again_for_the_same() {
        let mut offers = Offers::new(Incarnation(1));
        offers.note(ReplicaId(1), offer(9));
        offers.note_published(Slot(3), 1);
        offers.wait_for_newer(Slot(9), 10);
        let ask = |offers: &mut Offers, times: u64| {
            assert!(offers.needs_newer(10 + times * NEWER_WANTED_NS));
            offers.asked_in_vain()
        };
        let asked: Vec<_> =
            (1..=u64::from(NEWER_ASKED_MAX) + 1).map(|times| ask(&mut offers, times)).collect();
        let (last, before) = asked.split_last().expect("it asked");
        assert!(before.iter().all(Option::is_none), "{asked:?}");
        assert_eq!(*last, Some(Slot(9)));
        offers.wait_for_newer(Slot(12), 20);
        assert_eq!(offers.asked_in_vain(), None, "there was a newer one");
    }

    /// NewerWanted: now and then, for as long as there is none; less often where one after the other fails.
    #[test]
    fn l6_who_could_not_take_over_the_newest_wants_a_newer_one() {
        let mut offers = Offers::new(Incarnation(1));
        offers.note(ReplicaId(1), offer(9));
        offers.note_published(Slot(3), 1);
        assert!(!offers.needs_newer(1 + NEWER_WANTED_NS), "it may take over the one that there is");
        offers.wait_for_newer(Slot(9), 10);
        let asks = [9, 10, 11].map(|ns| offers.needs_newer(ns + NEWER_WANTED_NS));
        assert_eq!(asks, [false, true, false]);
        assert!(offers.needs_newer(10 + 2 * NEWER_WANTED_NS));
        offers.note_published(Slot(9), 11 + 2 * NEWER_WANTED_NS);
        assert!(!offers.needs_newer(11 + 3 * NEWER_WANTED_NS), "it has caught up without it");
        offers.note_published(Slot(3), 11 + 3 * NEWER_WANTED_NS);
        offers.note(ReplicaId(1), offer(12));
        assert!(!offers.needs_newer(11 + 4 * NEWER_WANTED_NS), "there is one");
        [12, 15].into_iter().for_each(|slot| offers.wait_for_newer(Slot(slot), 5));
        assert_eq!(offers.due(), Some(5 + 2 * NEWER_WANTED_NS));
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
