//! The payload of an accept record in a log: ballot, what its writer knew chosen, whether the proposal was fresh, and
//! the manifest's bytes (P2, P7). Little-endian:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..8 | ballot | under which it was accepted |
//! | 8..16 | chosen | the highest slot that its writer knew chosen |
//! | 16..20 | manifest bytes | of the manifest that fills the rest |
//! | 20..24 | fresh | 0 or 1 |
//! | 24..32 | | 0 |
//! | 32.. | manifest | |

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::manifest::{Manifest, ManifestError};
use crate::{Ballot, Slot};

/// What a replica promised to remember by accepting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The ballot under which it was accepted.
    pub ballot: Ballot,
    /// The highest slot that its writer knew chosen when it wrote this: chosen is the manifest of that slot which the
    /// chain of this one has. At or above its own slot: it was fetched as chosen (P7), and at its own slot at least.
    pub chosen: Slot,
    /// Freshly formed, as against inherited, chosen or replayed (P13).
    pub fresh: bool,
    /// The slot's value.
    pub manifest: Manifest,
}

impl Accept {
    /// The record's payload.
    #[must_use]
    pub fn encode(ballot: Ballot, fresh: bool, chosen: Slot, manifest: &[u8]) -> Vec<u8> {
        let header = AcceptHeader {
            ballot: U64::new(ballot.to_raw()),
            chosen: U64::new(chosen.0),
            manifest_bytes: U32::new(manifest.len() as u32),
            fresh: U32::new(fresh.into()),
            zero: U64::ZERO,
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
        let whole = header.manifest_bytes.get() as usize == rest.len() && header.zero == U64::ZERO;
        if !whole || header.fresh.get() > 1 {
            return Err(AcceptError::Malformed { bytes: bytes.len() });
        }
        Ok(Accept {
            ballot: Ballot::from_raw(header.ballot.get()),
            chosen: Slot(header.chosen.get()),
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
    chosen: U64,
    manifest_bytes: U32,
    fresh: U32,
    zero: U64,
}

/// Bytes before the manifest.
pub const ACCEPT_HEADER_BYTES: usize = size_of::<AcceptHeader>();

const _: () = assert!(ACCEPT_HEADER_BYTES.is_multiple_of(16), "the manifest is read in place");
