//! What a caller may choose about a client; every value has a default that suits a service.

use std::time::Duration;

use assize_wire::ClusterId;

/// Options of [`super::Client`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster that is meant; `ClusterId(0)` takes whichever answers first, and stays with it.
    pub cluster: ClusterId,
    /// How long [`super::Client::connect`] waits for a replica's welcome.
    pub connect_timeout: Duration,
    /// How long a call waits for its answers.
    pub call_timeout: Duration,
    /// How far ahead the deadline of a new key lies, at most 7/8 of the cluster's TTL (W1).
    pub key_lifetime: Duration,
    /// How long the leader may leave everything on a connection unanswered until the other replicas are asked who
    /// leads. Nothing is given up by it: if nobody else leads, the answers are waited for.
    pub request_timeout: Duration,
    /// A connection that owes something and does not even answer a ping for so long is given up and made anew.
    pub silence_timeout: Duration,
    /// A connection that owes something and answers nothing but pings for so long is made anew, too: what is under way
    /// may have been lost, and sending it again under the same keys finds out.
    pub answer_timeout: Duration,
    /// The first wait before looking for a leader, connecting or submitting again.
    pub backoff_min: Duration,
    /// The longest wait before looking for a leader, connecting or submitting again.
    pub backoff_max: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cluster: ClusterId(0),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            key_lifetime: Duration::from_secs(3600),
            request_timeout: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_millis(2),
            backoff_max: Duration::from_millis(500),
        }
    }
}
