//! The real binary as a process: real disk, real sockets, kill -9. Nothing here knows the engine's inside.
//!
//! | file | asks |
//! |---|---|
//! | `crash.rs` | is every answered event there exactly once after a kill at any moment |
//! | `site.rs`, `engine.rs` | a data directory with its configuration; a running process |
//! | `load.rs`, `rng.rs` | clients that keep the same keys through restarts, and remember every answer |

mod bad_input;
mod bad_manners;
mod crash;
mod engine;
mod load;
mod raw;
mod rng;
mod site;
