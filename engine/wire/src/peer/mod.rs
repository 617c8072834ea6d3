//! The protocol between the replicas of a cluster.

mod docket;

pub use docket::{Chosen, DocketMessage, Promised};
