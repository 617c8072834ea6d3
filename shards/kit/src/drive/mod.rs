//! What drives a replica's production shards by hand, in one thread: a log, a schedule from a seed, checkpoints and
//! starts from them, and the promises of the messages between shards. The engine's own tests are written with it;
//! authors of domains need [`crate::Kit`] only.

mod cut;
mod guard;
mod log;
mod messages;
mod replica;

pub use cut::{Cut, cut};
pub use guard::{Guard, quiet, quietly};
pub use log::{LogSlot, SlotDraft, StripeDraft};
pub use messages::Messages;
pub use replica::{Agreed, Replica, restore};
