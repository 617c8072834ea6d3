//! The **Docket**: which stripes fill which slot of the replicated log: multi-Paxos over manifests, for 1, 3 or 5
//! replicas.
//!
//! It elects a leader, forms manifests from the leader's offers, has them accepted in slot order by a majority, learns
//! that they are chosen, catches up and keeps the watermarks. It never touches event bytes, never reads a clock and
//! does no I/O: what must be durable before it counts is told to it by [`Docket::handle_promise_durable`] and
//! [`Docket::handle_accept_durable`], which only a completed flush can lead to.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod accept;
mod candidate;
mod catch_up;
mod docket;
mod effect;
mod follower;
mod hand_over;
mod intake;
mod invariants;
mod leader;
mod lease;
pub mod limits;
mod log;
mod offers;
mod quorum;
mod rejoin;
mod room;
mod status;
mod stripes;
mod watermarks;

pub use docket::{Docket, DocketConfig, DocketStart, Role};
pub use effect::{Alarm, Effect, Proposal};
pub use hand_over::{HandOverRefused, Heir};
pub use leader::CheckpointFlag;
pub use lease::LeaseOver;
pub use log::LogTip;
pub use offers::Offer;
pub use rejoin::RejoinStatus;
pub use watermarks::Watermarks;
