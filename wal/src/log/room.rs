//! How much a log surely still takes.

use super::{Log, LogSpace};
use crate::limits::BLOCK_BYTES;
use crate::operation::SegmentId;

impl Log {
    /// Whether a record of so many bytes, header and padding included, could be written at once.
    #[must_use]
    pub fn space_for(&self, bytes: usize) -> LogSpace {
        let start = self.place(bytes as u64);
        let end = self.identity.segment_of(start + bytes as u64 - 1).next();
        if end <= self.segments.prepared_end() {
            LogSpace::Prepared
        } else if end <= self.segments_limit() {
            LogSpace::Unprepared
        } else {
            LogSpace::None
        }
    }

    /// Whether the device had no space for another segment when it was last asked.
    #[must_use]
    pub fn has_no_space(&self) -> bool {
        self.segments.has_no_space()
    }

    /// Whether no more segments are prepared until old ones are given up.
    #[must_use]
    pub fn is_at_limit(&self) -> bool {
        self.segments.prepared_end() >= self.segments_limit()
    }

    /// Bytes that stripes must leave free.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        self.config.reserve_bytes
    }

    /// Bytes of records that still surely fit above the reserve: see [`Log::room_bytes_in_all`]. Below what it is about
    /// to seal, the Usher says `busy`.
    #[must_use]
    pub fn room_bytes(&self, record_bytes_max: usize) -> u64 {
        self.room_bytes_in_all(record_bytes_max).saturating_sub(self.config.reserve_bytes)
    }

    /// Bytes of records, headers and padding included ([`crate::BlockBuffer::record_bytes`]), that still surely fit
    /// prepared space, the reserve included, however they are cut into records of at most `record_bytes_max` bytes.
    #[must_use]
    pub fn room_bytes_in_all(&self, record_bytes_max: usize) -> u64 {
        self.room_bytes_below(self.segments.prepared_end().min(self.segments_limit()), record_bytes_max)
    }

    /// The same when all segments that the log may still have are prepared: what [`Log::append`] surely takes of
    /// records that may use the reserve.
    #[must_use]
    pub fn room_bytes_to_limit(&self, record_bytes_max: usize) -> u64 {
        self.room_bytes_below(self.segments_limit(), record_bytes_max)
    }

    fn room_bytes_below(&self, end: SegmentId, record_bytes_max: usize) -> u64 {
        // A segment's rest smaller than the next record is lost, so each segment surely takes its size less that.
        let waste = record_bytes_max as u64 - BLOCK_BYTES as u64;
        let end = self.identity.start_of(end);
        if self.planned_through >= end {
            return 0;
        }
        let segment = self.identity.segment_of(self.planned_through);
        let rest = self.identity.start_of(segment.next()) - self.planned_through;
        let whole = (end - self.identity.start_of(segment.next())) / self.identity.segment_bytes;
        rest.saturating_sub(waste) + whole * self.identity.segment_bytes.saturating_sub(waste)
    }
}
