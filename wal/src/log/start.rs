//! What a log is tuned with, and from where it resumes.

use alloc::vec::Vec;

use assize_wire::Incarnation;

use crate::header::Mark;
use crate::operation::SegmentId;

/// What a log may be tuned with. None of it changes the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Group commits under way at most.
    pub writes_in_flight: usize,
    /// Segments kept prepared beyond the one being filled.
    pub prepare_ahead: u64,
    /// Whether segments are prepared only when [`crate::Log::demand`] asks for them: for logs that are seldom used, and
    /// that nobody relies on to take a record.
    pub on_demand: bool,
    /// Segments of this log at most. Full is `busy`.
    pub segments_max: u64,
    /// Bytes at the log's end that stripes leave free for accepts and marks.
    pub reserve_bytes: u64,
    /// When writes are flushed.
    pub flush: FlushPolicy,
}

/// When a log's writes are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// Every group commit, for logs that somebody waits for.
    EachGroup,
    /// Only when asked, for the outcome stream.
    OnRequest,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            writes_in_flight: 4,
            prepare_ahead: 2,
            on_demand: false,
            segments_max: 256,
            reserve_bytes: 1 << 20,
            flush: FlushPolicy::EachGroup,
        }
    }
}

/// Whether a log has space for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSpace {
    /// In a segment that is prepared.
    Prepared,
    /// In a segment that can be prepared.
    Unprepared,
    /// The log is at its limit, or the device had no space.
    None,
}

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Logical offset of the next record.
    pub offset: u64,
    /// Checksum of the last record, 0 if there is none.
    pub checksum: u32,
}

/// From where a log resumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// This start's incarnation, durable in the superblock before the log is used.
    pub incarnation: Incarnation,
    /// Where it ends.
    pub end: LogEnd,
    /// The first segment that is kept.
    pub first_segment: SegmentId,
    /// The first segment that is not prepared.
    pub prepared_end: SegmentId,
    /// Segments that were given up and are still there.
    pub free: Vec<SegmentId>,
    /// For each kept segment with records the checksum of the record before its first one.
    pub previous: Vec<(SegmentId, u32)>,
    /// Accepted-through as recovered.
    pub mark: Mark,
}

impl LogStart {
    /// A log that was never written.
    #[must_use]
    pub fn fresh(incarnation: Incarnation) -> LogStart {
        LogStart {
            incarnation,
            end: LogEnd::default(),
            first_segment: SegmentId(0),
            prepared_end: SegmentId(0),
            free: Vec::new(),
            previous: Vec::new(),
            mark: Mark::default(),
        }
    }
}
