//! Every byte layout that leaves a core: ids, events, stripes, manifests, outcomes and the client protocol's frames.
//!
//! It never does I/O, keeps no state between calls and decides nothing: it says what bytes mean and whether they
//! are whole.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod accept;
pub mod canary;
pub mod checkpoint;
pub mod control;
pub mod event;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod logic;
pub mod manifest;
pub mod message;
pub mod outcome;
pub mod peer;
pub mod published;
pub mod routing;
pub mod stripe;

pub use control::Control;
pub use ids::{
    Ballot, ClusterId, CoreId, DomainId, EntityId, EventKey, Hash, Incarnation, LogId, Position, ReplicaId,
    ShardId, Slot, StreamTime, StripeId,
};
pub use logic::{LogicVersion, LogicVersions};
