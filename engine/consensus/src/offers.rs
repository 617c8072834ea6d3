//! The stripes that this replica's shards offered and that no slot has yet, by shard, in the order of their sealing.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_wire::manifest::StripeRef;
use assize_wire::{Ballot, StripeId};

/// A shard's stripe, to be given a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The ballot in the stripe's bytes: it is named under this one only (P8).
    pub ballot: Ballot,
    /// The stripe.
    pub stripe: StripeRef,
    /// Whether it stands before the accept record in the same log, so that one flush covers both (P2). A stripe in
    /// another log must be reported stored first.
    pub in_docket_log: bool,
}

/// Offers by shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offers {
    /// Invariant: an offer of `by_shard[s]` is of shard s; per shard in the order of sealing.
    by_shard: Vec<VecDeque<Waiting>>,
    /// How many shards have a first offer that may be named now.
    ready: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    stripe: StripeRef,
    stored: bool,
}

impl Offers {
    pub(crate) fn new(shards: u16) -> Offers {
        Offers { by_shard: (0..shards).map(|_| VecDeque::new()).collect(), ready: 0 }
    }

    pub(crate) fn push(&mut self, stripe: StripeRef, stored: bool) {
        let queue = &mut self.by_shard[usize::from(stripe.id.shard.0)];
        let twice = queue.iter().any(|waiting| waiting.stripe.id == stripe.id);
        assert!(!twice, "stripe {:?} is offered twice", stripe.id);
        queue.push_back(Waiting { stripe, stored });
        if queue.len() == 1 && stored {
            self.ready += 1;
        }
    }

    /// Notes whether a stripe is stored, if it is offered.
    pub(crate) fn mark(&mut self, id: StripeId, stored: bool) {
        let Some(queue) = self.by_shard.get_mut(usize::from(id.shard.0)) else { return };
        let Some(at) = queue.iter().position(|waiting| waiting.stripe.id == id) else { return };
        if at == 0 && queue[at].stored != stored {
            self.ready = if stored { self.ready + 1 } else { self.ready - 1 };
        }
        queue[at].stored = stored;
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.ready > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_shard.iter().all(VecDeque::is_empty)
    }

    /// Takes the first offer of every shard that may be named now, by shard ascending.
    pub(crate) fn take_ready(&mut self) -> Vec<StripeRef> {
        let mut taken = Vec::with_capacity(self.ready);
        self.ready = 0;
        for queue in &mut self.by_shard {
            if queue.front().is_some_and(|waiting| waiting.stored) {
                taken.extend(queue.pop_front().map(|waiting| waiting.stripe));
                self.ready += usize::from(queue.front().is_some_and(|waiting| waiting.stored));
            }
        }
        taken
    }

    /// Forgets all of them: leading ended (P10).
    pub(crate) fn clear(&mut self) {
        self.by_shard.iter_mut().for_each(VecDeque::clear);
        self.ready = 0;
    }

    pub(crate) fn check_invariants(&self) {
        let first_stored = |queue: &&VecDeque<Waiting>| queue.front().is_some_and(|waiting| waiting.stored);
        assert_eq!(self.ready, self.by_shard.iter().filter(first_stored).count(), "offers that are ready");
    }
}
