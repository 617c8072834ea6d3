//! The deterministic core of one shard: what it makes of the slots that the log decided.
//!
//! [`Shard`] takes chosen slots, messages of the other shards and reads, and returns messages, published outcomes and
//! answers. It checks keys (Warden), borrows and lends entities (Registrar, exchange), finds out which events have
//! nothing to do with each other (Partitioner), evaluates events (Arbiter) and releases outcomes (Clerk). It never does
//! I/O, never sees a clock and never decides order: the same log gives the same bytes on every replica, whatever the
//! timing (D1).
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arbiter;
pub mod checkpoint;
pub mod clerk;
mod endings;
mod evaluated;
pub mod exchange;
mod index;
pub mod limits;
mod partitioner;
mod published;
pub mod registrar;
mod rehearsal;
mod shard;
pub mod warden;

pub use arbiter::PanicGuard;
pub use assize_wire::manifest::Ordered as OrderedSlot;
pub use checkpoint::{CheckpointStep, PartRecord, RestoreError, ShardRestore, StateDigest};
pub use clerk::{CopyFate, Finding};
pub use endings::{DomainEndings, Endings};
pub use evaluated::{Difference, Evaluated, Piece};
pub use exchange::Exchange;
pub use published::{Fill, FirstResponse, Outcomes, OutcomesIter, Published};
pub use registrar::{ReadAnswer, ReadEntity, ReadRequest};
pub use rehearsal::Rehearsal;
pub use shard::{Counters, Shard, ShardConfig, StripeBytes};
