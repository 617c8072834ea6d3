//! One replica, composed: for each core the Usher, its shards, its logs' group commits and, on the control core, the
//! Docket. It is what the simulator, replay and the engine all run.
//!
//! It never does I/O, reads a clock or starts a thread: bytes, completions, messages of other cores and the time are
//! given to [`Core`], and what it wants done comes back as [`Output`]s.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod agreed;
pub mod boot;
mod catch_up;
mod checkpoint;
mod clocks;
mod cluster;
mod connections;
mod control;
mod copies;
mod core;
mod disk;
mod divergence;
mod election;
mod execute;
pub mod federation;
mod forwarded;
mod frames;
mod gauges;
mod hand_over;
mod held;
mod layout;
mod leading;
mod lease;
mod limits;
mod logic;
mod logs;
mod message;
mod old_digests;
mod outcome_stream;
mod output;
mod owed;
mod peers;
mod publish;
mod quarantine;
mod reads;
mod rejoin;
mod replay;
pub mod retrace;
mod room;
mod short_of_room;
mod stages;
mod stop;
mod stripes;
mod usher;
mod wanted;

pub use boot::CoreStart;
pub use checkpoint::{
    ActiveCheckpoint, CheckpointEnd, CheckpointFailure, CheckpointReport, CoordinatorStart, Founded,
    Founding, FoundingError, PartFailure,
};
pub use connections::{ConnectionId, ConnectionRef};
pub use core::{ControlStart, Core, CoreConfig, Now};
pub use divergence::DivergenceReport;
pub use election::ElectionTimes;
pub use gauges::{ControlGauges, CoreGauges, LogGauges, ShardGauges};
pub use hand_over::HandOverEnd;
pub use held::StripePayload;
pub use layout::Layout;
pub use lease::LeaseUse;
pub use logic::LogicStart;
pub use logs::{CoreLogs, LogIds};
pub use message::{CoreMessage, ReplayedSlot};
pub use output::{Output, StartAgain};
pub use peers::PeerNotice;
pub use rejoin::RejoinNotice;
pub use room::segments_ahead_min;
pub use stages::StripeStages;
pub use usher::{Greeting, UsherLimits};
