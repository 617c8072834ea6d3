//! The simulator: the production state machines of a replica in one thread, with virtual time, from one seed. What
//! happens next is drawn; what clients are told and what the disk holds is compared with a plain serial model.
//!
//! It never decides anything that the engine decides: it plays devices, channels, clocks and clients.

pub mod bank;
mod boot;
pub mod disk;
pub mod frames;
pub mod history;
pub mod left;
pub mod model;
pub mod replica;
pub mod seeds;
pub mod shape;
mod socket;
pub mod world;
