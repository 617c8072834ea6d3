//! When a peer's checkpoint is taken over, from whom, and what comes of it.

use alloc::format;

use assize_wire::peer::CheckpointOffer;
use assize_wire::{ReplicaId, Slot};

use super::{Coordinator, Gathering, PartFailure, Stage};

impl Coordinator {
    /// Every part of a peer's checkpoint is here. C7: it is the one that was reported only if its digest, from the
    /// bytes at rest here, is.
    pub(super) fn fetched(
        &mut self,
        gathering: Gathering,
        offer: CheckpointOffer,
        from: ReplicaId,
        now_ns: u64,
    ) {
        let wrong = || {
            let (came, offered) = (gathering.digest(), offer.digest);
            let reason = format!("what came has digest {came}, and {offered} was offered");
            (came != offered).then_some(PartFailure { reason, sent_wrong: true })
        };
        if let Some(failed) = gathering.failed.clone().or_else(wrong) {
            self.not_taken_over(gathering.slot, from, failed, now_ns);
            return;
        }
        // P7: whatever leads under this ballot or a higher one has no other value at the slot.
        self.activate(gathering, offer.digest, Some(offer.ballot));
    }

    /// A peer does not have what is taken over from it any more.
    pub(crate) fn handle_part_gone(&mut self, peer: ReplicaId, slot: Slot, now_ns: u64) {
        if let Stage::Fetching { gathering, from, again_at, lost, .. } = &mut self.stage
            && (*from, gathering.slot) == (peer, slot)
        {
            // It says what it has instead when that is active; not at once again and again.
            (*again_at, *lost) = ((*again_at).min(now_ns + FETCH_AGAIN_NS / 8), true);
        }
    }

    /// Whether a peer's checkpoint must be taken over, or be taken from another peer.
    pub(super) fn look_at_offers(&mut self, now_ns: u64) {
        let stranded = match &self.stage {
            _ if self.start_over => None,
            Stage::Fetching { again_at, .. } if now_ns < *again_at => None,
            Stage::None
                if self.rebuilds && self.offers.put_off_until().is_some_and(|until| now_ns < until) =>
            {
                None
            }
            Stage::None | Stage::Fetching { .. } if self.rebuilds => {
                self.offers.best().filter(|(_, offer)| self.may_rebuild_from(offer))
            }
            Stage::Fetching { .. } => self.offers.best(),
            Stage::None | Stage::Gathered { .. } | Stage::Taken(_) if !self.ended => {
                self.offers.stranded(now_ns)
            }
            _ => None,
        };
        let Some((peer, found)) = stranded else { return };
        let next = now_ns + FETCH_AGAIN_NS;
        self.give_way();
        match &mut self.stage {
            // Cores told of the same peer again begin anew what is not complete: what takes long never would be.
            Stage::Fetching { offer, from, again_at, lost: false, .. }
                if (offer.digest, *from) == (found.digest, peer) =>
            {
                *again_at = next;
                return;
            }
            // Parts that are complete stay; the rest comes from whoever has the same.
            Stage::Fetching { offer, from, again_at, lost, .. } if offer.digest == found.digest => {
                (*from, *again_at, *lost) = (peer, next, false);
                self.take_over = Some(TakeOver { from: peer, offer: found, anew: false });
                return;
            }
            Stage::Fetching { offer, again_at, .. } if offer.slot >= found.slot => {
                *again_at = next;
                return;
            }
            stage => {
                let CheckpointOffer { slot, time, manifest, ballot, .. } = found;
                let gathering = Gathering::new(slot, time, manifest, ballot);
                *stage = Stage::Fetching { gathering, offer: found, from: peer, again_at: next, lost: false };
            }
        }
        self.has_fetched = true;
        self.take_over = Some(TakeOver { from: peer, offer: found, anew: true });
    }

    /// C7, R3: `copies` replicas, not counting the one to be rebuilt, have reported it; and this replica's log reaches
    /// back to it, so that what was accepted here goes on from there.
    ///
    /// 1. Replica 2 is wrong, and only replica 1 is there. Both reported the same digest before replica 2 was found
    ///    out.
    /// 2. Were replica 2 to count, it would be rebuilt from a state for which nobody but replica 1 can speak.
    fn may_rebuild_from(&self, offer: &CheckpointOffer) -> bool {
        self.reports.others_agree(offer.slot, offer.digest) && offer.slot >= self.active_slot()
    }

    /// What the cores are to take over, and from whom.
    pub(crate) fn poll_take_over(&mut self) -> Option<TakeOver> {
        self.take_over.take()
    }
}

/// What is to be taken over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakeOver {
    /// From whom.
    pub(crate) from: ReplicaId,
    pub(crate) offer: CheckpointOffer,
    /// What came of it before counts for nothing: else only the peer is another one, and parts that are complete stay.
    pub(crate) anew: bool,
}

/// Whether there is another peer to take a checkpoint from, or a newer one, is looked at this often, in nanoseconds.
const FETCH_AGAIN_NS: u64 = 2_000_000_000;
