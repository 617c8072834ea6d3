//! **Registrar**: the entities whose home is this shard, and who has them.
//!
//! Each entity is with at most one holder at a time: this shard's own stripe or a claimant. Who wants one that is away
//! waits in its queue; queues are joined in (slot, shard) order, so that is the order of lending (X1). Absent is a
//! state: an entity that does not exist is lent and queued for like any other, and its record goes when nobody has it.
//!
//! It never evaluates and never decides the order: the caller opens turns in (slot, shard) order.

mod entities;
mod read;
mod saving;
#[cfg(test)]
mod tests;
mod turns;

pub use read::{ReadAnswer, ReadEntity, ReadRequest};

pub(crate) use entities::{Entities, NOBODY};
pub(crate) use read::PendingRead;
pub(crate) use turns::{Holder, TurnId, Turns};
