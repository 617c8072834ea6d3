//! **Exchange**: what shards of one replica tell each other about entities (X1).
//!
//! For each slot in which a shard has a stripe it sends one [`Claim`] to each other shard of the stripe's mask, empty
//! ones too, so that a home knows every claim it has to wait for from the manifest alone. The home answers a claim that
//! is not empty with one [`Grant`] when it has all the entities, and gets one [`Return`] when the stripe has run.
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
    /// What it gets.
    Grant(Grant),
    /// What it gives back.
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

/// Their states, lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The stripe's slot.
    pub slot: Slot,
    /// Whether the home has room for new entities in this slot (D5).
    pub room: bool,
    /// In the claim's order, each present or absent.
    pub states: StateList,
}

/// Their states, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The stripe's slot.
    pub slot: Slot,
    /// In the claim's order.
    pub states: StateList,
}
