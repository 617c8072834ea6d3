//! A shard, and all shards of a replica, from the outside: requests by hand, and seeds against a serial reference.

mod bank;
mod checkpoint;
mod lending;
mod log;
mod model;
mod regroup;
mod replica;
mod requests;
mod schedule;
mod seeds;
mod serial;
