//! What waits for a stripe: the clients whose events are in it, from its sealing until it is published, and the shard
//! that is to run it, from its choice on. Its bytes are with [`crate::stripes`].

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wal::BlockBuffer;
use assize_wire::{Hash, Slot, StripeId};

use crate::stages::StripeStages;
use crate::usher::Run;

/// A stripe's bytes, in the buffer that was written to the log.
#[derive(Clone, Debug)]
pub struct StripePayload(pub Arc<BlockBuffer>);

impl AsRef<[u8]> for StripePayload {
    fn as_ref(&self) -> &[u8] {
        self.0.payload()
    }
}

/// A stripe that is not published yet.
#[derive(Debug)]
pub(crate) struct HeldStripe {
    pub(crate) id: StripeId,
    /// Who is to be answered, in the order of the events. Empty for a stripe that another replica sealed, or that was
    /// sealed before the last start.
    pub(crate) runs: Vec<Run>,
    pub(crate) stages: StripeStages,
    /// Whether it was reported durable.
    pub(crate) durable: bool,
    /// Set when it is chosen.
    pub(crate) slot: Option<Slot>,
    /// The digest published before a restart, to be compared (C4).
    pub(crate) expected: Option<Hash>,
}

/// A shard's stripes that are not published.
#[derive(Debug, Default)]
pub(crate) struct HeldStripes {
    /// Sealed here and not chosen, in the order of sealing, which is that of their slots if they get any.
    sealed: VecDeque<HeldStripe>,
    /// Chosen and not published, in slot order.
    chosen: VecDeque<HeldStripe>,
    /// Events of both.
    events: u64,
}

impl HeldStripes {
    /// A stripe was sealed here.
    pub(crate) fn push_sealed(&mut self, stripe: HeldStripe) {
        self.events += u64::from(stripe.stages.events);
        self.sealed.push_back(stripe);
    }

    /// A stripe is chosen at `slot`: the one that was sealed here, or one of which only the bytes are known.
    pub(crate) fn choose(&mut self, id: StripeId, slot: Slot, events: u32, expected: Option<Hash>, now: u64) {
        let own = self.sealed.iter().position(|stripe| stripe.id == id);
        let mut stripe = own.and_then(|at| self.sealed.remove(at)).unwrap_or_else(|| {
            self.events += u64::from(events);
            let stages = StripeStages { events, ..StripeStages::default() };
            HeldStripe { id, runs: Vec::new(), stages, durable: true, slot: None, expected: None }
        });
        stripe.slot = Some(slot);
        stripe.expected = expected;
        stripe.stages.chosen = now;
        self.chosen.push_back(stripe);
    }

    /// Who is to be answered.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.sealed.iter().chain(&self.chosen).flat_map(|stripe| &stripe.runs)
    }

    pub(crate) fn len(&self) -> usize {
        self.sealed.len() + self.chosen.len()
    }

    /// Events of all of them.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Events of the chosen ones.
    pub(crate) fn chosen_events(&self) -> u64 {
        self.chosen.iter().map(|stripe| u64::from(stripe.stages.events)).sum()
    }

    /// How many are chosen.
    pub(crate) fn chosen_len(&self) -> u64 {
        self.chosen.len() as u64
    }

    /// A stripe is durable; nothing if it was not sealed here, or nobody waits for it any more.
    pub(crate) fn handle_durable(&mut self, id: StripeId, now: u64) {
        let mut all = self.sealed.iter_mut().chain(&mut self.chosen);
        if let Some(stripe) = all.find(|stripe| stripe.id == id) {
            stripe.durable = true;
            stripe.stages.durable = now;
        }
    }

    /// The stripe of this slot has run here, and waits for equal copies.
    pub(crate) fn handle_evaluated(&mut self, slot: Slot, now: u64) {
        if let Some(stripe) = self.chosen.iter_mut().rev().find(|stripe| stripe.slot == Some(slot)) {
            stripe.stages.evaluated = now;
        }
    }

    /// Whether every chosen stripe of this slot and those below it is published.
    pub(crate) fn is_published_through(&self, slot: Slot) -> bool {
        self.chosen.iter().all(|stripe| stripe.slot.is_none_or(|named_by| named_by > slot))
    }

    /// The first slot whose stripe is chosen and not published.
    pub(crate) fn first_chosen(&self) -> Option<Slot> {
        self.chosen.front().and_then(|stripe| stripe.slot)
    }

    /// Takes the stripe that was published at `slot`, the oldest one.
    pub(crate) fn take_published(&mut self, slot: Slot) -> HeldStripe {
        let first = self.chosen.pop_front();
        let Some(stripe) = first.filter(|stripe| stripe.slot == Some(slot)) else {
            panic!("slot {slot} is published and its stripe is not the oldest held");
        };
        self.events -= u64::from(stripe.stages.events);
        stripe
    }

    /// Takes the stripes that were sealed here and of which this is true: they get no slot any more (P10).
    pub(crate) fn take_sealed(&mut self, gone: impl Fn(StripeId) -> bool) -> Vec<HeldStripe> {
        let (gone, kept): (Vec<_>, Vec<_>) = self.sealed.drain(..).partition(|stripe| gone(stripe.id));
        self.sealed = kept.into();
        self.events -= gone.iter().map(|stripe| u64::from(stripe.stages.events)).sum::<u64>();
        gone
    }
}
