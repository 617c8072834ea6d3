//! What a replica is at, in numbers, for whoever watches it.
//!
//! | file | is |
//! |---|---|
//! | `board.rs` | where cores write their numbers and others read them: memory that both see, and no message |
//! | `numbers.rs` | the numbers themselves |
//! | `stages.rs` | how long events took from stage to stage, in buckets |
//! | `exposition.rs` | all of it as the text that Prometheus reads |
//!
//! A core stores its numbers at the end of a turn, for itself: who reads them costs it nothing but the cache line that
//! moves. What is read together need not be of one moment.

mod board;
mod exposition;
mod numbers;
mod stages;

pub use board::{Board, Readings};
pub use exposition::{CONTENT_TYPE, Identity, exposition};
pub use numbers::{ControlNumbers, CoreNumbers, ShardNumbers};
pub use stages::{BUCKET_BOUNDS_NS, STAGES, StageReadings};
