//! **Exchange**: what shards of one replica tell each other about entities (X1).
//!
//! For each slot in which a shard has a stripe it sends one [`Claim`] to each other shard of the stripe's mask, empty
//! ones too, so that a home knows every claim it has to wait for from the manifest alone. The home answers a claim that
//! is not empty with [`Grant`]s: each carries what came free since the last one, so that nothing that is here waits for
//! what is not. The claimant gives an entity back in a [`Return`] after its last use in the stripe.
//!
//! Both are coalesced: whatever the inputs between two polls of a shard set free goes in one grant for each claim and
//! one return for each (slot, home). They name entities by their position in the claim.
//!
//! Plain owned data. Between a pair of shards messages arrive in the order in which they were sent; nothing else is
//! promised or needed.

mod states;

pub use states::{StateList, StateListIter, StateOf};

use alloc::vec::Vec;

use assize_wire::{DomainId, EntityId, Slot};

/// A message from one shard to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// What a stripe needs.
    Claim(Claim),
    /// Some of what it gets.
    Grant(Grant),
    /// Some of what it gives back.
    Return(Return),
}

impl Exchange {
    /// The slot of the stripe it is about.
    #[must_use]
    pub fn slot(&self) -> Slot {
        match self {
            Exchange::Claim(claim) => claim.slot,
            Exchange::Grant(grant) => grant.slot,
            Exchange::Return(returned) => returned.slot,
        }
    }
}

/// The entities of one home that a stripe needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The stripe's slot.
    pub slot: Slot,
    /// Each once. None if the mask promised more than the events need.
    pub entities: Vec<(DomainId, EntityId)>,
}

/// States of some of them, lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The stripe's slot.
    pub slot: Slot,
    /// Whether the home has room for new entities in this slot (D5). The same in every grant for a claim.
    pub room: bool,
    /// Which: positions in the claim, none of them in another grant.
    pub positions: Vec<u32>,
    /// For each position, present or absent.
    pub states: StateList,
}

/// States of some of them, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The stripe's slot.
    pub slot: Slot,
    /// Which: positions in the claim that were granted, none of them in another return.
    pub positions: Vec<u32>,
    /// For each position, present, absent or unchanged.
    pub states: StateList,
}
