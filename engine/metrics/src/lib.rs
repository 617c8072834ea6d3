//! What a replica is at, in numbers, for whoever watches it.
//!
//! | file | is |
//! |---|---|
//! | `board.rs` | where cores write their numbers and others read them: memory that both see, and no message |
//! | `numbers.rs` | the numbers themselves |
//! | `stages.rs` | how long events took from stage to stage, in buckets |
//! | `state.rs` | what a replica is doing, in a word |
//! | `process.rs` | what the system says of the process |
//! | `metrics.rs` | every metric: its name, what it is, and from where it has its samples |
//! | `exposition.rs` | all of it as the text that Prometheus reads |
//!
//! A core stores its numbers at the end of a turn, for itself: who reads them costs it nothing but the cache line that
//! moves. What is read together need not be of one moment.

mod board;
mod exposition;
mod metrics;
mod numbers;
mod process;
mod stages;
mod state;

pub use board::{Board, DomainName, DomainReadings, LOGS, Readings};
pub use exposition::{CONTENT_TYPE, Identity, exposition};
pub use metrics::{Kind, METRICS, Metric, Scrape};
pub use numbers::{ControlNumbers, CoreNumbers, DomainNumbers, LogNumbers, ShardNumbers};
pub use process::ProcessNumbers;
pub use stages::{BUCKETS, COARSE, STAGES, StageReadings, bucket_bound_ns};
pub use state::State;
