//! What clients did and were told.

use crate::model::Ended;

/// One event as it was submitted once.
pub struct Submitted {
    /// The event.
    pub bytes: Vec<u8>,
    /// How it ended, if it was told. At most one, if all is well.
    pub answers: Vec<Ended>,
}

/// All clients together.
#[derive(Default)]
pub struct History {
    /// Every submission.
    pub events: Vec<Submitted>,
    /// Answers to reads.
    pub reads: u64,
}
