//! What can go wrong on a connection and in a call, in words for the person who must act.

use std::fmt;
use std::io;
use std::time::Duration;

use assize_wire::event::EventError;
use assize_wire::frame::{FrameError, FrameKind};
use assize_wire::message::{MessageError, Refused};

use super::event::Completion;

/// Why a connection must be closed. What is unanswered on it is open; the same keys go again on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The bytes are not frames.
    Frame(FrameError),
    /// A frame's content is malformed.
    Message(MessageError),
    /// A frame that cannot come now.
    UnexpectedFrame {
        /// Its kind.
        kind: FrameKind,
    },
    /// An answer to a request that is not open.
    UnknownRequest {
        /// Its number.
        number: u64,
    },
    /// More answers than the request has events, or to an event that has one.
    TooManyAnswers {
        /// The request's number.
        number: u64,
    },
    /// The replica refuses the connection.
    Refused(Refused),
    /// The replica belongs to another cluster than before.
    OtherCluster,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Frame(error) => write!(f, "the replica's bytes are not frames: {error}"),
            SessionError::Message(error) => write!(f, "a frame of the replica is malformed: {error}"),
            SessionError::UnexpectedFrame { kind } => {
                write!(f, "the replica sent {kind:?} where it cannot come")
            }
            SessionError::UnknownRequest { number } => {
                write!(f, "the replica answered request {number}, which is not open")
            }
            SessionError::TooManyAnswers { number } => {
                write!(f, "the replica answered more of request {number} than was open")
            }
            SessionError::Refused(refused) => write!(f, "refused ({:?}): {}", refused.code, refused.text),
            SessionError::OtherCluster => f.write_str("the replica belongs to another cluster"),
        }
    }
}

impl std::error::Error for SessionError {}

/// Why a call of [`super::Client`] failed.
#[derive(Debug)]
pub enum ClientError {
    /// An address is not `host:port`, or its name cannot be resolved.
    Address {
        /// The address as given.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// No replica welcomed us in time.
    NotConnected {
        /// How long was waited.
        waited: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// The replica cannot serve this client, now or later: another cluster, another protocol.
    Refused(SessionError),
    /// The call's time is over. Its events' fate is open: `completions` holds what was answered, and only the same
    /// keys with the same deadlines are safe to submit again.
    TimedOut {
        /// How long was waited.
        waited: Duration,
        /// Events or entities without an answer.
        unanswered: usize,
        /// What the last failed attempt met; empty if none failed.
        last: String,
        /// What was answered.
        completions: Vec<Completion>,
    },
    /// Deadlines passed without an answer (W4). `completions` says which.
    OutcomeUnknown {
        /// Events whose fate is unknown.
        unknown: usize,
        /// Every event of the call.
        completions: Vec<Completion>,
    },
    /// An event cannot be encoded.
    Event(EventError),
    /// The system's random numbers are not to be had.
    Random(getrandom::Error),
    /// The system's polling of sockets failed.
    Poll(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Address { address, source } => write!(
                f,
                "address '{address}' cannot be used: {source}; accepted are host:port, the host a name or an address"
            ),
            ClientError::NotConnected { waited, last } => write!(
                f,
                "no replica answered within {waited:?}; the last attempt: {last}. Is `assize serve` running there?"
            ),
            ClientError::Refused(error) => write!(f, "the replica cannot serve this client: {error}"),
            ClientError::TimedOut { waited, unanswered, last, .. } => {
                write!(
                    f,
                    "{unanswered} without an answer after {waited:?}; submit the same keys again to learn their fate"
                )?;
                if !last.is_empty() {
                    write!(f, " (the last failure: {last})")?;
                }
                Ok(())
            }
            ClientError::OutcomeUnknown { unknown, .. } => write!(
                f,
                "the deadline of {unknown} events passed without an answer: outcome unknown; read the entities to see"
            ),
            ClientError::Event(error) => write!(f, "the event cannot be sent: {error}"),
            ClientError::Random(error) => write!(f, "no random key: {error}"),
            ClientError::Poll(error) => write!(f, "polling sockets failed: {error}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::Address { source, .. } | ClientError::Poll(source) => Some(source),
            ClientError::Refused(error) => Some(error),
            ClientError::Event(error) => Some(error),
            _ => None,
        }
    }
}
