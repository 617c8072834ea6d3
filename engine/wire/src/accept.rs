//! The payload of an accept record in a log: ballot, whether the proposal was fresh, and the manifest's bytes (P2).

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Ballot;
use crate::manifest::{Manifest, ManifestError};

/// What a replica promised to remember by accepting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The ballot under which it was accepted.
    pub ballot: Ballot,
    /// Freshly formed, as against inherited, chosen or replayed (P13).
    pub fresh: bool,
    /// The slot's value.
    pub manifest: Manifest,
}

impl Accept {
    /// The record's payload.
    #[must_use]
    pub fn encode(ballot: Ballot, fresh: bool, manifest: &[u8]) -> Vec<u8> {
        let header = AcceptHeader {
            ballot: U64::new(ballot.to_raw()),
            manifest_bytes: U32::new(manifest.len() as u32),
            fresh: U32::new(fresh.into()),
        };
        let mut bytes = Vec::with_capacity(ACCEPT_HEADER_BYTES + manifest.len());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(manifest);
        bytes
    }

    /// Reads a record's payload.
    ///
    /// # Errors
    /// [`AcceptError`] when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Accept, AcceptError> {
        let (header, rest) = AcceptHeader::ref_from_prefix(bytes)
            .map_err(|_| AcceptError::Malformed { bytes: bytes.len() })?;
        if header.manifest_bytes.get() as usize != rest.len() || header.fresh.get() > 1 {
            return Err(AcceptError::Malformed { bytes: bytes.len() });
        }
        Ok(Accept {
            ballot: Ballot::from_raw(header.ballot.get()),
            fresh: header.fresh.get() == 1,
            manifest: Manifest::parse(rest).map_err(AcceptError::Manifest)?,
        })
    }
}

/// What is wrong with an accept record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// The header does not fit the bytes.
    Malformed {
        /// Bytes of the payload.
        bytes: usize,
    },
    /// The manifest inside is not one.
    Manifest(ManifestError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcceptError::Malformed { bytes } => {
                write!(f, "the header of an accept record of {bytes} bytes does not fit them")
            }
            AcceptError::Manifest(error) => write!(f, "in an accept record: {error}"),
        }
    }
}

impl core::error::Error for AcceptError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AcceptHeader {
    ballot: U64,
    manifest_bytes: U32,
    fresh: U32,
}

/// Bytes before the manifest.
pub const ACCEPT_HEADER_BYTES: usize = size_of::<AcceptHeader>();
