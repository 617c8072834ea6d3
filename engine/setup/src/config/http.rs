//! `[http]`: how much of anybody's asking by HTTP is put up with.

use serde::{Deserialize, Serialize};

use super::ConfigFile;
use super::error::ConfigError;
use super::units::{self, show_duration_ns};

/// `[http]`: bounds of the HTTP server. Of use where `[listen] http` says that there is one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Bytes of a request's body.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub body_bytes_max: u64,
    /// Header fields of a request.
    pub headers_max: u32,
    /// Bytes of a request's line and header fields together.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub head_bytes_max: u64,
    /// Connections at once.
    pub connections_max: u32,
    /// How long a request's head may take, its body, and the answer, each, in nanoseconds.
    #[serde(
        deserialize_with = "units::deserialize_duration_ns",
        serialize_with = "units::serialize_duration_ns"
    )]
    pub request_timeout: u64,
    /// Events and reads that callers wait for, of all connections together.
    pub waiting_max: u32,
}

impl Default for HttpSection {
    fn default() -> HttpSection {
        HttpSection {
            body_bytes_max: 4 << 20,
            headers_max: 64,
            head_bytes_max: 16 << 10,
            connections_max: 256,
            request_timeout: 30_000_000_000,
            waiting_max: 16_384,
        }
    }
}

impl ConfigFile {
    /// What the server cannot work with.
    pub(super) fn check_http(&self) -> Result<(), ConfigError> {
        let http = &self.config.http;
        let numbers = [
            ("http.body_bytes_max", http.body_bytes_max, BODY_BYTES),
            ("http.headers_max", http.headers_max.into(), HEADERS),
            ("http.head_bytes_max", http.head_bytes_max, HEAD_BYTES),
            ("http.connections_max", http.connections_max.into(), CONNECTIONS),
            ("http.waiting_max", http.waiting_max.into(), WAITING),
        ];
        for (key, found, (min, max)) in numbers {
            if !(min..=max).contains(&found) {
                return Err(self.source.refuse(key, found.to_string(), format!("{min} to {max}")));
            }
        }
        let (min, max) = REQUEST_TIMEOUT_NS;
        if !(min..=max).contains(&http.request_timeout) {
            let accepted = format!("{} to {}", show_duration_ns(min), show_duration_ns(max));
            let found = show_duration_ns(http.request_timeout);
            return Err(self.source.refuse("http.request_timeout", found, accepted));
        }
        Ok(())
    }
}

const BODY_BYTES: (u64, u64) = (1 << 10, 1 << 30);
const HEADERS: (u64, u64) = (8, 1024);
/// The server reads a head into one buffer, which is no smaller.
const HEAD_BYTES: (u64, u64) = (8 << 10, 1 << 20);
const CONNECTIONS: (u64, u64) = (1, 65_536);
const WAITING: (u64, u64) = (1, 1 << 24);
const REQUEST_TIMEOUT_NS: (u64, u64) = (100_000_000, 3_600_000_000_000);
