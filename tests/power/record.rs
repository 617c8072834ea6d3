//! What the device did, and what clients were answered, in one order.

use std::sync::{Mutex, PoisonError};

use assize_device::{DiskEvent, Tracer};
use assize_tools::client::AnswerOwned;

/// Takes down everything in the order in which it is told. One lock for all cores and clients: an answer that reached
/// a client stands behind all that the device had done before it left.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Entry>>);

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Entry {
    /// To a file.
    Disk(DiskEvent),
    /// `format` has said that it is done.
    Formatted,
    /// A client has its answer.
    Answered(Answered),
}

/// An event that was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its bytes.
    pub event: Vec<u8>,
    /// The first answer.
    pub answer: AnswerOwned,
}

impl Recorder {
    pub fn note(&self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// All of it, and begins anew.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tracer for Recorder {
    fn record(&self, event: DiskEvent) {
        self.note(Entry::Disk(event));
    }
}
