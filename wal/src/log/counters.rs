//! What a log has written and how full it is, for whoever watches it.

use super::Log;

/// What a log has had the device do since this start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Bytes of group commits, headers and padding included.
    pub bytes_written: u64,
    /// Group commits.
    pub writes: u64,
    /// Flushes: those that came with a write, and those of their own.
    pub flushes: u64,
}

impl LogCounters {
    /// A group commit was written, and flushed with it if `flushed`.
    pub(super) fn note_written(&mut self, bytes: u64, flushed: bool) {
        self.bytes_written += bytes;
        self.writes += 1;
        self.flushes += u64::from(flushed);
    }
}

impl Log {
    /// What was written since this start.
    #[must_use]
    pub fn counters(&self) -> LogCounters {
        self.counters
    }

    /// Bytes between the begin of the first kept segment and the end of what was appended.
    #[must_use]
    pub fn bytes_used(&self) -> u64 {
        self.planned_through.saturating_sub(self.identity.start_of(self.segments.first()))
    }

    /// What [`Log::bytes_used`] may come to by the configuration, if that says; a device without space ends it earlier.
    #[must_use]
    pub fn bytes_max(&self) -> Option<u64> {
        let max = self.config.segments_max.saturating_mul(self.identity.segment_bytes);
        (!self.config.on_demand).then_some(max)
    }
}
