//! The stripes that shards offered and that no slot has yet, by shard, in the order of their sealing.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_wire::manifest::StripeRef;
use assize_wire::{Ballot, ShardId, StripeId};

/// A shard's stripe, to be given a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The ballot in the stripe's bytes: it is named under this one only (P8).
    pub ballot: Ballot,
    /// The stripe.
    pub stripe: StripeRef,
    /// Whether it stands before the accept record in the same log, so that one flush covers both (P2). A stripe in
    /// another log must be reported durable first.
    pub in_docket_log: bool,
}

/// Offers by shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offers {
    /// Invariant: an offer of `by_shard[s]` is of shard s; per shard in the order of sealing.
    by_shard: Vec<VecDeque<Held>>,
    /// How many shards have a first offer that may be named now.
    ready: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    stripe: StripeRef,
    durable: bool,
}

impl Offers {
    pub(crate) fn new(shards: u16) -> Offers {
        Offers { by_shard: (0..shards).map(|_| VecDeque::new()).collect(), ready: 0 }
    }

    pub(crate) fn push(&mut self, offer: Offer) {
        let queue = &mut self.by_shard[usize::from(offer.stripe.id.shard.0)];
        let twice = queue.iter().any(|held| held.stripe.id == offer.stripe.id);
        assert!(!twice, "stripe {:?} is offered twice", offer.stripe.id);
        queue.push_back(Held { stripe: offer.stripe, durable: offer.in_docket_log });
        if queue.len() == 1 && offer.in_docket_log {
            self.ready += 1;
        }
    }

    /// Marks a stripe of another log as durable.
    pub(crate) fn mark_durable(&mut self, id: StripeId) {
        let queue = &mut self.by_shard[usize::from(id.shard.0)];
        let Some(at) = queue.iter().position(|held| held.stripe.id == id) else {
            panic!("stripe {id:?} is reported durable and was never offered, or has its slot already");
        };
        if !queue[at].durable && at == 0 {
            self.ready += 1;
        }
        queue[at].durable = true;
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.ready > 0
    }

    /// Whether this shard has an offer waiting.
    pub(crate) fn waiting(&self, shard: ShardId) -> usize {
        self.by_shard[usize::from(shard.0)].len()
    }

    /// Takes the first offer of every shard that may be named now, by shard ascending.
    pub(crate) fn take_ready(&mut self) -> Vec<StripeRef> {
        let mut taken = Vec::with_capacity(self.ready);
        self.ready = 0;
        for queue in &mut self.by_shard {
            if queue.front().is_some_and(|held| held.durable) {
                taken.extend(queue.pop_front().map(|held| held.stripe));
                self.ready += usize::from(queue.front().is_some_and(|held| held.durable));
            }
        }
        taken
    }
}
