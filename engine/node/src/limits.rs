//! Bounds of one core's composition.

/// The outcome stream is appended to its log in chunks of about this many bytes; fewer when it falls idle.
pub(crate) const OUTCOME_CHUNK_BYTES: usize = 1 << 20;

/// An open chunk of outcomes is appended after this long at the latest, in nanoseconds.
pub(crate) const OUTCOME_CHUNK_AGE_NS: u64 = 50_000_000;

/// A log that was silent this long writes one empty record with its mark (L5), in nanoseconds.
pub(crate) const IDLE_MARK_NS: u64 = 5_000_000;

/// A connection that sent part of a frame and nothing more for this long is closed, in nanoseconds.
pub(crate) const PARTIAL_FRAME_NS: u64 = 10_000_000_000;

/// A connection that did not say `Hello` for this long is closed, in nanoseconds.
pub(crate) const HELLO_NS: u64 = 10_000_000_000;

/// What a client that is told `busy` is asked to wait, in microseconds.
pub(crate) const RETRY_AFTER_US: u32 = 2_000;

/// Answer bytes that may wait for one slow reader before its connection is closed.
pub(crate) const UNSENT_BYTES_MAX: usize = 64 << 20;

/// Log bytes kept back when `busy` is said, for accept records and idle marks of what is under way.
pub(crate) const LOG_RESERVE_BYTES: u64 = 4 << 20;
