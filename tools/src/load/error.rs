//! Why a load could not be run to its end.

use std::fmt;
use std::io;

use crate::client::{ClientError, Outcome};

/// A value of a plan that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The value's name, as its flag has it.
    pub what: &'static str,
    /// What was given.
    pub found: String,
    /// What is accepted.
    pub accepted: &'static str,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{} {} cannot be; accepted: {}", self.what, self.found, self.accepted)
    }
}

impl std::error::Error for PlanError {}

/// Why [`super::run`] failed.
#[derive(Debug)]
pub enum LoadError {
    /// The plan cannot be run.
    Plan(PlanError),
    /// A call of the client library failed while doing this.
    Client {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: ClientError,
    },
    /// An item or a sensor could not be created.
    SetUp {
        /// The engine's answer.
        outcome: Outcome,
    },
    /// Sockets, threads or the timer failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Connections that the engine never welcomed.
    NotConnected {
        /// How many.
        connections: usize,
        /// What the last attempt met.
        last: String,
    },
    /// Events without an answer when the time for it was over.
    Unanswered {
        /// How many.
        events: u64,
        /// How long was waited, in seconds.
        waited_s: f64,
        /// What the last failed connection met.
        last: String,
    },
    /// The system's random numbers are not to be had.
    Random(getrandom::Error),
    /// A thread of the load generator panicked: a bug here, not in the engine.
    Panicked,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Plan(error) => error.fmt(f),
            LoadError::Client { doing, source } => write!(f, "{doing}: {source}"),
            LoadError::SetUp { outcome } => {
                write!(f, "an item or a sensor could not be created; the engine's answer: {outcome:?}")
            }
            LoadError::Io { doing, source } => write!(f, "{doing}: {source}"),
            LoadError::NotConnected { connections, last } => write!(
                f,
                "{connections} connections were never welcomed (the last attempt: {last}); fewer --connections?"
            ),
            LoadError::Unanswered { events, waited_s, last } => {
                write!(
                    f,
                    "{events} events have no answer after {waited_s:.1} s: what became of them is open, and without it \
                     there is nothing to report"
                )?;
                if !last.is_empty() {
                    write!(f, " (the last lost connection: {last})")?;
                }
                Ok(())
            }
            LoadError::Random(error) => write!(f, "no random numbers: {error}"),
            LoadError::Panicked => {
                f.write_str("a thread of the load generator panicked; this is a bug in it")
            }
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Client { source, .. } => Some(source),
            LoadError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<PlanError> for LoadError {
    fn from(error: PlanError) -> LoadError {
        LoadError::Plan(error)
    }
}
