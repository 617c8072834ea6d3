//! How much of anybody's asking is put up with.

use std::time::Duration;

/// Bounds of the server: none of them can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Bytes of a request's line and header fields together.
    pub head_bytes_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// How long a request's head may take to come, on a new connection or on one that was used before; how long its
    /// body may take; how long an answer is waited for; and how long whoever asked may take nothing of it.
    pub request_timeout: Duration,
    /// Events and reads that callers wait for, of all connections together.
    pub waiting_max: usize,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            body_bytes_max: 4 << 20,
            headers_max: 64,
            head_bytes_max: 16 << 10,
            connections_max: 256,
            request_timeout: Duration::from_secs(30),
            waiting_max: 16_384,
        }
    }
}
