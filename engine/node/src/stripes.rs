//! The stripes that this core holds, own and peers', by identity: in memory while they are wanted there, else in the
//! log.
//!
//! A stripe comes before the manifest that names it, or is asked for after it; it is found, given to peers and
//! evaluated by its identity, never by its position (P8).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wal::{BlockBuffer, RecordLocation};
use assize_wire::{Ballot, Hash, LogId, ReplicaId, ShardId, Slot, StripeId};

use crate::limits::UNNAMED_STRIPES_MAX;
use crate::wanted::WantedStripes;

/// Stripes of one core's shards.
///
/// Invariants: what is `durable` has a location; a stripe that a chosen slot names stays until a checkpoint covers that
/// slot, any other until it is released (P8).
#[derive(Debug, Default)]
pub(crate) struct Stripes {
    held: BTreeMap<StripeId, Stripe>,
    /// Those of `held` that no chosen slot names: few, while `held` goes back to the last checkpoint.
    unnamed: BTreeSet<StripeId>,
    /// Those that manifests name and that are not here.
    pub(crate) wanted: WantedStripes,
    /// Stripes whose records have decayed, with the slots that name them: they are fetched again from peers.
    decayed: BTreeMap<StripeId, Option<Slot>>,
    /// Stripes of lower ballots than this are named by nothing that is still to come (P8).
    released: Ballot,
}

/// One stripe.
#[derive(Debug)]
pub(crate) struct Stripe {
    /// Under which it was sealed; of one that recovery found, this or a higher one.
    pub(crate) ballot: Ballot,
    /// Its bytes, from when they are durable until its slot is published; they can be read again from `location`.
    pub(crate) buffer: Option<Arc<BlockBuffer>>,
    /// Where its record lies, once it is durable.
    pub(crate) location: Option<RecordLocation>,
    /// The slot that names it, once that is chosen.
    pub(crate) slot: Option<Slot>,
    /// Peers that asked for it before it was durable.
    asked_by: Vec<ReplicaId>,
}

impl Stripes {
    /// What recovery found in the logs, of this core's shards.
    pub(crate) fn recovered(&mut self, id: StripeId, ballot: Ballot, location: RecordLocation) {
        let stripe =
            Stripe { ballot, buffer: None, location: Some(location), slot: None, asked_by: Vec::new() };
        self.held.insert(id, stripe);
        self.unnamed.insert(id);
    }

    /// A stripe is being written.
    pub(crate) fn handle_appended(&mut self, id: StripeId, ballot: Ballot) {
        let slot = self.decayed.remove(&id).flatten();
        let stripe = Stripe { ballot, buffer: None, location: None, slot, asked_by: Vec::new() };
        let twice = self.held.insert(id, stripe).is_some();
        assert!(!twice, "stripe {id:?} is written twice");
        if slot.is_none() {
            self.unnamed.insert(id);
        }
        self.wanted.forget(id);
    }

    /// Its record cannot be read back any more: it is asked for, and written again.
    pub(crate) fn handle_decayed(&mut self, id: StripeId, from: ReplicaId, now: u64) {
        let Some(stripe) = self.held.remove(&id) else { return };
        let bytes = stripe.location.map_or(0, |location| location.bytes);
        self.unnamed.remove(&id);
        self.decayed.insert(id, stripe.slot);
        self.wanted.want(id, bytes, from, now);
    }

    /// Its record is durable. Returns the peers that wait for it.
    pub(crate) fn handle_durable(
        &mut self,
        id: StripeId,
        buffer: Arc<BlockBuffer>,
        location: RecordLocation,
    ) -> Vec<ReplicaId> {
        // One that was released meanwhile is of no use to anybody.
        let Some(stripe) = self.held.get_mut(&id) else { return Vec::new() };
        stripe.buffer = Some(buffer);
        stripe.location = Some(location);
        core::mem::take(&mut stripe.asked_by)
    }

    pub(crate) fn get(&self, id: StripeId) -> Option<&Stripe> {
        self.held.get(&id)
    }

    /// Whether it is here, durable or being written.
    pub(crate) fn contains(&self, id: StripeId) -> bool {
        self.held.contains_key(&id)
    }

    /// A peer wants it and it is being written: it is sent once it is durable.
    pub(crate) fn send_when_durable(&mut self, id: StripeId, to: ReplicaId) {
        if let Some(stripe) = self.held.get_mut(&id)
            && !stripe.asked_by.contains(&to)
        {
            stripe.asked_by.push(to);
        }
    }

    /// A chosen slot names it.
    pub(crate) fn handle_chosen(&mut self, id: StripeId, slot: Slot) -> &Stripe {
        let Some(stripe) = self.held.get_mut(&id) else {
            panic!("slot {slot} is chosen and its stripe {id:?} is not here (P2)");
        };
        stripe.slot = Some(slot);
        self.unnamed.remove(&id);
        stripe
    }

    /// Its slot is published: from now on it is read from the log. Returns its bytes, to be used again.
    pub(crate) fn handle_published(&mut self, id: StripeId) -> Option<Arc<BlockBuffer>> {
        self.held.get_mut(&id).and_then(|stripe| stripe.buffer.take())
    }

    /// Any durable stripe of a shard that no slot names: what must never be asked for (P8), but by a canary.
    pub(crate) fn any_unnamed(&self, shard: ShardId) -> Option<StripeId> {
        let durable = |id: &StripeId| self.held.get(id).is_some_and(|stripe| stripe.location.is_some());
        self.unnamed.iter().copied().find(|id| id.shard == shard && durable(id))
    }

    /// Whether one more stripe that nobody asked for may be taken from a peer: a peer that seals without end while
    /// nothing is chosen costs bounded memory and log.
    pub(crate) fn takes_unasked(&self, shard: ShardId) -> bool {
        // A replica that starts holds all above its checkpoint without a slot: of them no more is counted than matters.
        let first = StripeId { shard, hash: Hash([0; 32]) };
        let unnamed = self.unnamed.range(first..).take_while(|id| id.shard == shard);
        unnamed.take(UNNAMED_STRIPES_MAX).count() < UNNAMED_STRIPES_MAX
    }

    /// Stripes sealed under ballots below this one that no chosen slot names may go (P8). Returns those that went.
    pub(crate) fn release(&mut self, below: Ballot) -> Vec<StripeId> {
        self.released = self.released.max(below);
        let held = &self.held;
        let lower = |id: &StripeId| held.get(id).is_some_and(|stripe| stripe.ballot < below);
        let gone: Vec<StripeId> = self.unnamed.extract_if(.., lower).collect();
        for id in &gone {
            self.held.remove(id);
        }
        gone
    }

    /// A checkpoint covers everything through this slot.
    pub(crate) fn handle_checkpoint(&mut self, through: Slot) {
        self.held.retain(|_, stripe| stripe.slot.is_none_or(|slot| slot > through));
        let covered = self.decayed.extract_if(.., |_, slot| slot.is_some_and(|slot| slot <= through));
        for (id, _) in covered {
            self.wanted.forget(id);
        }
    }

    /// Where the stripes lie in this log that no slot names yet (P8).
    pub(crate) fn unnamed(&self, log: LogId) -> impl Iterator<Item = RecordLocation> {
        let unnamed = self.unnamed.iter().filter_map(|id| self.held.get(id)?.location);
        unnamed.filter(move |location| location.log == log)
    }

    /// Whether a stripe of this ballot comes too late to be of use to anybody: nothing would ever release it again,
    /// and the log could not give up its segment.
    pub(crate) fn is_too_late(&self, ballot: Ballot) -> bool {
        ballot < self.released
    }

    /// Panics, with the values, when a promise at the head of this type is broken.
    pub(crate) fn check_invariants(&self) {
        for (id, stripe) in &self.held {
            assert_eq!(
                self.unnamed.contains(id),
                stripe.slot.is_none(),
                "{id:?} is named by {:?}",
                stripe.slot
            );
        }
        assert!(self.unnamed.iter().all(|id| self.held.contains_key(id)), "unnamed and not held");
        assert!(self.held.keys().all(|id| !self.wanted.contains(*id)), "asked for and held");
        self.wanted.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use assize_wal::SegmentId;

    use super::*;

    fn id(number: u8) -> StripeId {
        StripeId { shard: ShardId(0), hash: Hash([number; 32]) }
    }

    fn at(offset: u64) -> RecordLocation {
        RecordLocation { log: LogId(0), segment: SegmentId(0), offset, bytes: 4096 }
    }

    fn buffer() -> Arc<BlockBuffer> {
        Arc::new(BlockBuffer::for_record(0))
    }

    const OLD: Ballot = Ballot::NONE;

    fn new() -> Ballot {
        Ballot::new(2, ReplicaId(1))
    }

    /// StripeDurable, StripeNamed, StripeReleased: what a chosen slot names stays until a checkpoint covers it; of the
    /// rest goes what was sealed under lower ballots.
    #[test]
    fn p8_a_stripe_stays_until_it_is_released_or_covered() {
        let mut stripes = Stripes::default();
        for (number, ballot) in [(1, OLD), (2, OLD), (3, new())] {
            stripes.handle_appended(id(number), ballot);
            assert!(stripes.handle_durable(id(number), buffer(), at(u64::from(number) * 4096)).is_empty());
        }
        stripes.handle_chosen(id(1), Slot(7));
        assert_eq!(stripes.unnamed(LogId(0)).count(), 2);
        assert_eq!(stripes.release(new()), [id(2)]);
        assert!(stripes.contains(id(1)) && !stripes.contains(id(2)) && stripes.contains(id(3)));
        stripes.handle_checkpoint(Slot(6));
        assert!(stripes.contains(id(1)), "slot 7 is above the checkpoint");
        stripes.handle_checkpoint(Slot(7));
        assert!(!stripes.contains(id(1)) && stripes.contains(id(3)));
    }

    /// StripeTaken: a peer that seals without end while nothing is chosen fills neither memory nor log.
    #[test]
    fn p8_few_stripes_are_taken_unasked() {
        let mut stripes = Stripes::default();
        for number in 0..UNNAMED_STRIPES_MAX as u8 {
            assert!(stripes.takes_unasked(ShardId(0)));
            stripes.handle_appended(id(number), new());
        }
        assert!(!stripes.takes_unasked(ShardId(0)) && stripes.takes_unasked(ShardId(1)));
        stripes.handle_durable(id(0), buffer(), at(0));
        stripes.handle_chosen(id(0), Slot(1));
        assert!(stripes.takes_unasked(ShardId(0)));
    }

    #[test]
    fn a_peer_that_asks_while_a_stripe_is_written_is_sent_it_once_it_is_durable() {
        let mut stripes = Stripes::default();
        stripes.handle_appended(id(1), new());
        for peer in [2, 0, 2] {
            stripes.send_when_durable(id(1), ReplicaId(peer));
        }
        assert_eq!(stripes.handle_durable(id(1), buffer(), at(0)), [ReplicaId(2), ReplicaId(0)]);
        assert!(stripes.handle_published(id(1)).is_some(), "its buffer is used again");
        assert!(
            stripes.get(id(1)).is_some_and(|stripe| stripe.buffer.is_none() && stripe.location.is_some())
        );
    }
}
