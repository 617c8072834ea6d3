//! The simulator: the production state machines of a replica in one thread, with virtual time, from one seed. What
//! happens next is drawn; after every step checkers compare what clients are told and what the disk holds with a plain
//! serial model.
//!
//! It never decides anything that the engine decides: it plays devices, channels, clocks and clients.

pub mod bank;
mod boot;
pub mod checkers;
pub mod cluster;
pub mod disk;
pub mod frames;
mod hand_overs;
pub mod history;
pub mod left;
pub mod model;
mod operator;
pub mod options;
mod power;
pub mod recorder;
pub mod replica;
pub mod runner;
pub mod scenario;
mod schedule;
pub mod seeds;
pub mod shape;
mod socket;
pub mod world;
