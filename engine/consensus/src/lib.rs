//! The **Docket**: which stripes fill which slot of the replicated log.
//!
//! It forms manifests from the shards' offers, accepts them in slot order, learns that they are chosen and keeps the
//! watermarks. It never touches event bytes, never reads a clock and does no I/O: what must be durable before it
//! counts is told to it by [`Docket::handle_accept_durable`], which only a completed flush can lead to.
//!
//! With one replica a slot is chosen when its accept record is durable here; the messages between several replicas
//! come with them.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod docket;
mod offers;
mod watermarks;

pub use docket::{CheckpointFlag, Docket, DocketConfig, LogTip, Proposal};
pub use offers::Offer;
pub use watermarks::Watermarks;
