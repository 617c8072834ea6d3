//! Records on their way: waiting for a group commit, and group commits under way.

use alloc::vec::Vec;

use super::record::{Durable, RecordSequence};
use crate::block::BlockBuffer;
use crate::header::Entry;
use crate::operation::SegmentId;

/// A record that has its place and waits for its group.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) sequence: RecordSequence,
    pub(super) entry: Entry,
    pub(super) copy: u8,
    pub(super) buffer: BlockBuffer,
    pub(super) offset: u64,
}

impl Pending {
    pub(super) fn bytes(&self) -> usize {
        self.buffer.as_blocks_bytes().len()
    }
}

/// One write.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) number: u64,
    pub(super) segment: SegmentId,
    pub(super) start: u64,
    pub(super) end: u64,
    /// First copies only: what is reported durable.
    pub(super) records: Vec<Durable>,
    pub(super) flush: bool,
    pub(super) state: GroupState,
}

impl Group {
    pub(super) fn first_sequence(&self) -> Option<RecordSequence> {
        self.records.first().map(|record| record.sequence)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum GroupState {
    /// `formed_at` completions had been seen when it was submitted.
    Writing { formed_at: u64 },
    /// Written, not flushed; the completion counter at that moment.
    Written { at: u64 },
    /// Flushed.
    Durable,
}

#[derive(Debug)]
pub(super) struct FlushUnderWay {
    pub(super) number: u64,
    pub(super) segment: SegmentId,
    pub(super) formed_at: u64,
}
