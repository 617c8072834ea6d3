//! What stands outside the engine and talks to it: the client library and the load generator.
//!
//! It speaks the client protocol and nothing else; it never reads a replica's files and never links the engine.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod aside;
pub mod client;
pub mod load;
