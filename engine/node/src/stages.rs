//! When a stripe passed each stage of its way, for the latency histograms of the shell.

/// Times of one stripe in nanoseconds of the monotonic clock, each at or after the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StripeStages {
    /// Events in the stripe: each counts once in a histogram.
    pub events: u32,
    /// Its first event was read from a socket.
    pub accepted: u64,
    /// It was sealed.
    pub sealed: u64,
    /// It was durable in its own log.
    pub durable: u64,
    /// Its slot was chosen.
    pub chosen: u64,
    /// Its outcomes were computed.
    pub evaluated: u64,
    /// Its outcomes were published: the answers are on their way.
    pub published: u64,
}
