//! What is wrong with the payload of a frame between replicas.

use core::fmt;

use super::PeerKind;
use crate::manifest::ManifestError;

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMessageError {
    /// It ends before what it names does, or goes on after it.
    Length {
        /// What it carries.
        kind: PeerKind,
        /// Its bytes.
        bytes: usize,
    },
    /// A count out of range.
    BadCount {
        /// What was found.
        found: usize,
        /// The most that is accepted.
        max: usize,
    },
    /// A number that stands for nothing, or reserved bytes in use.
    BadValue {
        /// The field.
        field: &'static str,
        /// What was found.
        found: u64,
    },
    /// A manifest inside is not one.
    Manifest(ManifestError),
    /// The kind carries nothing of this sort.
    NotAMessage {
        /// The kind.
        kind: PeerKind,
    },
}

impl fmt::Display for PeerMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerMessageError::Length { kind, bytes } => {
                write!(f, "the {bytes} bytes of a {kind:?} are not as many as what it names")
            }
            PeerMessageError::BadCount { found, max } => {
                write!(f, "a count of {found}; accepted are up to {max}")
            }
            PeerMessageError::BadValue { field, found } => {
                write!(f, "{found} in '{field}' stands for nothing")
            }
            PeerMessageError::Manifest(error) => write!(f, "in a message of the Docket: {error}"),
            PeerMessageError::NotAMessage { kind } => write!(f, "{kind:?} is not expected here"),
        }
    }
}

impl core::error::Error for PeerMessageError {}
