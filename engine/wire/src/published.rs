//! The payload of an outcome-stream record: for each of a shard's published stripes, in slot order, a 64-byte entry and
//! then its outcomes.

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::outcome::{Outcome, OutcomeError};
use crate::{Hash, Slot, StreamTime};

/// One published stripe of the outcome stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedStripe<'a> {
    /// Its slot.
    pub slot: Slot,
    /// Stream time of the slot.
    pub time: StreamTime,
    /// The digest that `copies` replicas agreed on.
    pub digest: Hash,
    /// How many outcomes follow.
    pub events: u32,
    /// The outcomes, one after the other (see [`crate::outcome`]).
    pub outcomes: &'a [u8],
}

impl<'a> PublishedStripe<'a> {
    /// The entry's header, to be followed by the outcomes' bytes.
    #[must_use]
    pub fn header(&self) -> [u8; PUBLISHED_HEADER_BYTES] {
        let header = Header {
            slot: U64::new(self.slot.0),
            time: U64::new(self.time.0),
            digest: self.digest.0,
            events: U32::new(self.events),
            outcomes_bytes: U32::new(self.outcomes.len() as u32),
            reserved: [0; 8],
        };
        let mut bytes = [0; PUBLISHED_HEADER_BYTES];
        bytes.copy_from_slice(header.as_bytes());
        bytes
    }

    /// Reads the entry at the front of `bytes` and returns it with what follows it.
    ///
    /// # Errors
    /// [`PublishedError`]
    pub fn parse(bytes: &'a [u8]) -> Result<(PublishedStripe<'a>, &'a [u8]), PublishedError> {
        let (header, rest) = Header::ref_from_prefix(bytes).map_err(|_| PublishedError::Truncated)?;
        if header.reserved != [0; 8] {
            return Err(PublishedError::UnknownContent);
        }
        let length = header.outcomes_bytes.get() as usize;
        if rest.len() < length {
            return Err(PublishedError::Truncated);
        }
        let (outcomes, after) = rest.split_at(length);
        let entry = PublishedStripe {
            slot: Slot(header.slot.get()),
            time: StreamTime(header.time.get()),
            digest: Hash(header.digest),
            events: header.events.get(),
            outcomes,
        };
        Ok((entry, after))
    }

    /// The outcome at `index`.
    ///
    /// # Errors
    /// [`PublishedError`] when there is none or the bytes are not outcomes.
    pub fn outcome(&self, index: u32) -> Result<Outcome<'a>, PublishedError> {
        let mut rest = self.outcomes;
        loop {
            let (outcome, after) = Outcome::parse(rest).map_err(PublishedError::Outcome)?;
            if outcome.index == index {
                return Ok(outcome);
            }
            rest = after;
        }
    }
}

/// What is wrong with an outcome-stream record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedError {
    /// It ends before what it names does.
    Truncated,
    /// Bytes that this version leaves zero are not.
    UnknownContent,
    /// An outcome in it is not one, or the one asked for is not there.
    Outcome(OutcomeError),
}

impl fmt::Display for PublishedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishedError::Truncated => f.write_str("an entry of the outcome stream ends early"),
            PublishedError::UnknownContent => {
                f.write_str("an entry of the outcome stream has content that this version does not know")
            }
            PublishedError::Outcome(error) => write!(f, "in the outcome stream: {error}"),
        }
    }
}

impl core::error::Error for PublishedError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    slot: U64,
    time: U64,
    digest: [u8; 32],
    events: U32,
    outcomes_bytes: U32,
    reserved: [u8; 8],
}

/// Bytes of an entry before its outcomes.
pub const PUBLISHED_HEADER_BYTES: usize = size_of::<Header>();

const _: () = assert!(PUBLISHED_HEADER_BYTES == 64);
