//! A stripe between its sealing and its publication, on the core that owns its shard.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wal::{BlockBuffer, RecordLocation};
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

/// A sealed stripe that is not published yet.
#[derive(Debug)]
pub(crate) struct HeldStripe {
    pub(crate) id: StripeId,
    /// Who is to be answered, in the order of the events. Empty for a replayed stripe.
    pub(crate) runs: Vec<Run>,
    pub(crate) stages: StripeStages,
    /// Set when its record is durable.
    pub(crate) bytes: Option<Arc<BlockBuffer>>,
    /// Where its record lies, if it is in this core's log and durable.
    pub(crate) location: Option<RecordLocation>,
    /// Set when it is chosen.
    pub(crate) slot: Option<Slot>,
    /// The digest published before a restart, to be compared (C4).
    pub(crate) expected: Option<Hash>,
}

/// A shard's stripes that are sealed and not published, in the order of sealing, which is that of their slots.
#[derive(Debug, Default)]
pub(crate) struct HeldStripes {
    stripes: VecDeque<HeldStripe>,
    /// Events of `stripes`.
    events: u64,
}

impl HeldStripes {
    pub(crate) fn push(&mut self, stripe: HeldStripe) {
        self.events += u64::from(stripe.stages.events);
        self.stripes.push_back(stripe);
    }

    pub(crate) fn len(&self) -> usize {
        self.stripes.len()
    }

    /// Events of all of them.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// How many are not durable yet.
    pub(crate) fn writing(&self) -> usize {
        self.stripes.iter().filter(|stripe| stripe.bytes.is_none() && stripe.slot.is_none()).count()
    }

    /// The stripe with this identity: found by identity, never by position (P8).
    pub(crate) fn find(&mut self, id: StripeId) -> &mut HeldStripe {
        match self.stripes.iter_mut().find(|stripe| stripe.id == id) {
            Some(stripe) => stripe,
            None => panic!("stripe {id:?} is not held"),
        }
    }

    /// Whether every stripe of this slot and those below it is published.
    pub(crate) fn is_published_through(&self, slot: Slot) -> bool {
        self.stripes.iter().all(|stripe| stripe.slot.is_none_or(|named_by| named_by > slot))
    }

    /// Where the stripes lie that are durable and that no slot names yet (P8).
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = RecordLocation> {
        self.stripes.iter().filter(|stripe| stripe.slot.is_none()).filter_map(|stripe| stripe.location)
    }

    /// Takes the stripe that was published at `slot`, the oldest one.
    pub(crate) fn take_published(&mut self, slot: Slot) -> HeldStripe {
        let first = self.stripes.pop_front();
        let Some(stripe) = first.filter(|stripe| stripe.slot == Some(slot)) else {
            panic!("slot {slot} is published and its stripe is not the oldest held");
        };
        self.events -= u64::from(stripe.stages.events);
        stripe
    }
}
