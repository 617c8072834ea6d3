//! The stripes that this core holds, own and peers', by identity: in memory while they are wanted there, else in the log.
//!
//! A stripe comes before the manifest that names it, or is asked for after it; it is found, given to peers and evaluated
//! by its identity, never by its position (P8).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wal::{BlockBuffer, RecordLocation};
use assize_wire::{Ballot, LogId, ReplicaId, ShardId, Slot, StripeId};

use crate::limits::{STRIPE_ASK_AGAIN_NS, UNNAMED_STRIPES_MAX};

/// Stripes of one core's shards.
///
/// Invariants: what is `durable` has a location; a stripe that a chosen slot names stays until a checkpoint covers that
/// slot, any other until it is released (P8).
#[derive(Debug, Default)]
pub(crate) struct Stripes {
    held: BTreeMap<StripeId, Stripe>,
    wanted: BTreeMap<StripeId, Wanted>,
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

/// A stripe that a manifest names and that is not here.
#[derive(Debug)]
struct Wanted {
    /// Whom to ask next.
    from: ReplicaId,
    /// When to ask.
    due: u64,
}

impl Stripes {
    /// What recovery found in the logs, of this core's shards.
    pub(crate) fn recovered(&mut self, id: StripeId, ballot: Ballot, location: RecordLocation) {
        let stripe =
            Stripe { ballot, buffer: None, location: Some(location), slot: None, asked_by: Vec::new() };
        self.held.insert(id, stripe);
    }

    /// A stripe is being written.
    pub(crate) fn handle_appended(&mut self, id: StripeId, ballot: Ballot) {
        let stripe = Stripe { ballot, buffer: None, location: None, slot: None, asked_by: Vec::new() };
        let twice = self.held.insert(id, stripe).is_some();
        assert!(!twice, "stripe {id:?} is written twice");
        self.wanted.remove(&id);
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
        stripe
    }

    /// Its slot is published: from now on it is read from the log. Returns its bytes, to be used again.
    pub(crate) fn handle_published(&mut self, id: StripeId) -> Option<Arc<BlockBuffer>> {
        self.held.get_mut(&id).and_then(|stripe| stripe.buffer.take())
    }

    /// Any durable stripe of a shard that no slot names: what must never be asked for (P8), but by a canary.
    pub(crate) fn any_unnamed(&self, shard: ShardId) -> Option<StripeId> {
        let unnamed = |stripe: &Stripe| stripe.slot.is_none() && stripe.location.is_some();
        self.held.iter().find(|(id, stripe)| id.shard == shard && unnamed(stripe)).map(|(id, _)| *id)
    }

    /// Whether one more stripe that nobody asked for may be taken from a peer: a peer that seals without end while nothing
    /// is chosen costs bounded memory and log.
    pub(crate) fn takes_unasked(&self, shard: ShardId) -> bool {
        let of_shard = |id: &StripeId| id.shard == shard;
        let unnamed = self.held.iter().filter(|(id, stripe)| of_shard(id) && stripe.slot.is_none());
        unnamed.count() < UNNAMED_STRIPES_MAX
    }

    /// Stripes sealed under ballots below this one that no chosen slot names may go (P8). Returns those that went.
    pub(crate) fn release(&mut self, below: Ballot) -> Vec<StripeId> {
        let gone = self.held.extract_if(.., |_, stripe| stripe.slot.is_none() && stripe.ballot < below);
        gone.map(|(id, _)| id).collect()
    }

    /// A checkpoint covers everything through this slot.
    pub(crate) fn handle_checkpoint(&mut self, through: Slot) {
        self.held.retain(|_, stripe| stripe.slot.is_none_or(|slot| slot > through));
    }

    /// Where the stripes lie in this log that no slot names yet (P8).
    pub(crate) fn unnamed(&self, log: LogId) -> impl Iterator<Item = RecordLocation> {
        let unnamed = self.held.values().filter(|stripe| stripe.slot.is_none());
        unnamed.filter_map(|stripe| stripe.location).filter(move |location| location.log == log)
    }

    /// A manifest names it and it is not here: to be asked for, first of `from`.
    pub(crate) fn want(&mut self, id: StripeId, from: ReplicaId, now: u64) {
        self.wanted.entry(id).or_insert(Wanted { from, due: now });
    }

    /// Whether it was asked for.
    pub(crate) fn is_wanted(&self, id: StripeId) -> bool {
        self.wanted.contains_key(&id)
    }

    /// Nothing names it any more.
    pub(crate) fn forget_wanted(&mut self, id: StripeId) {
        self.wanted.remove(&id);
    }

    /// A peer does not have it: the next one is asked at once.
    pub(crate) fn handle_missing(&mut self, id: StripeId, now: u64) {
        if let Some(wanted) = self.wanted.get_mut(&id) {
            // Not in the same turn, so that peers that lack it are not asked in a circle without a pause.
            wanted.due = wanted.due.min(now + STRIPE_ASK_AGAIN_NS / 8);
        }
    }

    /// The next stripe that is to be asked for, and of whom: each peer in turn, this replica never.
    pub(crate) fn poll_wanted(
        &mut self,
        own: ReplicaId,
        replicas: u8,
        now: u64,
    ) -> Option<(StripeId, ReplicaId)> {
        let (id, wanted) = self.wanted.iter_mut().find(|(_, wanted)| wanted.due <= now)?;
        let other = |from: ReplicaId| ReplicaId((from.0 + 1) % replicas);
        let from = if wanted.from == own { other(own) } else { wanted.from };
        wanted.from = other(from);
        wanted.due = now + STRIPE_ASK_AGAIN_NS;
        Some((*id, from))
    }

    /// When [`Stripes::poll_wanted`] has something next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.wanted.values().map(|wanted| wanted.due).min()
    }
}
