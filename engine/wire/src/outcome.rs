//! What evaluating one event produced, as digests and the outcome stream hold it: a 48-byte header, then the
//! response, padded with zeros to a multiple of 16.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{RESPONSE_BYTES_MAX, padded};
use crate::{DomainId, EventKey, Slot};

/// How an event ended. The numbers are part of every layout and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Status {
    /// The domain applied it. Recorded.
    Applied = 1,
    /// The domain refused it, with a reason, and changed nothing. Recorded.
    Rejected = 2,
    /// The domain's logic failed on it; nothing changed. Recorded.
    Fault = 3,
    /// The key was seen before with the same body; the first outcome follows. Nothing changed.
    Duplicate = 4,
    /// The key is live with another body. Nothing changed, nothing recorded.
    Conflict = 5,
    /// The Warden is at its capacity. Nothing changed, nothing recorded.
    Full = 6,
    /// Its deadline passed, or lies beyond the TTL, in stream time. Nothing changed, nothing recorded.
    Expired = 7,
    /// The event is not one that its domain can read. Nothing changed, nothing recorded.
    Invalid = 8,
    /// Not admitted: no room now. Its fate is open; the right move is the same key again (P10). Only in answers.
    Busy = 16,
    /// Not admitted: this replica does not lead. As [`Status::Busy`]. Only in answers.
    NotLeader = 17,
}

impl Status {
    /// Every status, in the order of their numbers.
    pub const ALL: [Status; 10] = [
        Status::Applied,
        Status::Rejected,
        Status::Fault,
        Status::Duplicate,
        Status::Conflict,
        Status::Full,
        Status::Expired,
        Status::Invalid,
        Status::Busy,
        Status::NotLeader,
    ];

    /// The status with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Status> {
        Status::ALL.into_iter().find(|status| *status as u8 == number)
    }

    /// Whether the Warden keeps the key (W3).
    #[must_use]
    pub fn is_recorded(self) -> bool {
        matches!(self, Status::Applied | Status::Rejected | Status::Fault)
    }

    /// Whether the log decided it. A client retries the same key after any other.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Status::Busy | Status::NotLeader)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Applied => "applied",
            Status::Rejected => "rejected",
            Status::Fault => "fault",
            Status::Duplicate => "duplicate",
            Status::Conflict => "conflict",
            Status::Full => "full",
            Status::Expired => "expired",
            Status::Invalid => "invalid",
            Status::Busy => "busy",
            Status::NotLeader => "not leader",
        })
    }
}

/// One outcome, read in place or about to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// The event's key.
    pub key: EventKey,
    /// The event's domain: its key says nothing of it, and a response and a reason mean nothing without. 0, which none
    /// has, of an event that cannot be read.
    pub domain: DomainId,
    /// How it ended.
    pub status: Status,
    /// For a duplicate how the first submission ended; else equal to `status`.
    pub first_status: Status,
    /// The domain's reason for a rejection (for a duplicate: of the first), or the engine's for `invalid`; else 0.
    pub reason: u16,
    /// Its index in the stripe.
    pub index: u32,
    /// For a duplicate the slot of the first submission; else the slot of this one.
    pub original_slot: Slot,
    /// For a duplicate the index of the first submission; else `index`. The shard is the same by construction.
    pub original_index: u32,
    /// What the domain returns. Empty for a duplicate: the first response is filled in at publish (W2).
    pub response: &'a [u8],
}

impl<'a> Outcome<'a> {
    /// Appends it to `out`, padded.
    ///
    /// # Panics
    /// When the response is over [`RESPONSE_BYTES_MAX`]: the caller's own broken promise.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = self.response.len();
        assert!(length <= RESPONSE_BYTES_MAX, "a response of {length} bytes");
        let header = OutcomeHeader {
            key: U128::new(self.key.0),
            status: self.status as u8,
            first_status: self.first_status as u8,
            reason: U16::new(self.reason),
            index: U32::new(self.index),
            original_slot: U64::new(self.original_slot.0),
            original_index: U32::new(self.original_index),
            response_bytes: U16::new(length as u16),
            domain: U16::new(self.domain.0),
            reserved: [0; 8],
        };
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(self.response);
        out.resize(out.len() + padded(length) - length, 0);
    }

    /// Reads the outcome at the front of `bytes` and returns it with what follows it.
    ///
    /// # Errors
    /// [`OutcomeError`] when the bytes are not an outcome's.
    pub fn parse(bytes: &'a [u8]) -> Result<(Outcome<'a>, &'a [u8]), OutcomeError> {
        let (header, rest) = OutcomeHeader::ref_from_prefix(bytes).map_err(|_| OutcomeError::Truncated)?;
        let length = header.response_bytes.get() as usize;
        if length > RESPONSE_BYTES_MAX || header.reserved != [0; 8] {
            return Err(OutcomeError::Malformed);
        }
        if rest.len() < padded(length) {
            return Err(OutcomeError::Truncated);
        }
        let (body, after) = rest.split_at(padded(length));
        if body[length..].iter().any(|byte| *byte != 0) {
            return Err(OutcomeError::Malformed);
        }
        let outcome = Outcome {
            key: EventKey(header.key.get()),
            domain: DomainId(header.domain.get()),
            status: Status::from_number(header.status).ok_or(OutcomeError::Malformed)?,
            first_status: Status::from_number(header.first_status).ok_or(OutcomeError::Malformed)?,
            reason: header.reason.get(),
            index: header.index.get(),
            original_slot: Slot(header.original_slot.get()),
            original_index: header.original_index.get(),
            response: &body[..length],
        };
        Ok((outcome, after))
    }
}

/// What is wrong with an outcome's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeError {
    /// They end before it does.
    Truncated,
    /// A status, a length, a reserved byte or the padding is not one that is written.
    Malformed,
}

impl fmt::Display for OutcomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutcomeError::Truncated => "an outcome's bytes end early",
            OutcomeError::Malformed => "the bytes are not those of an outcome",
        })
    }
}

impl core::error::Error for OutcomeError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct OutcomeHeader {
    key: U128,
    status: u8,
    first_status: u8,
    reason: U16,
    index: U32,
    original_slot: U64,
    original_index: U32,
    response_bytes: U16,
    domain: U16,
    reserved: [u8; 8],
}

/// Bytes of an outcome before its response.
pub const OUTCOME_HEADER_BYTES: usize = size_of::<OutcomeHeader>();

const _: () = assert!(OUTCOME_HEADER_BYTES == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_reads_back_and_every_accepted_byte_counts() {
        let outcome = Outcome {
            key: EventKey(5),
            domain: DomainId(3),
            status: Status::Duplicate,
            first_status: Status::Rejected,
            reason: 4,
            index: 7,
            original_slot: Slot(3),
            original_index: 1,
            response: &[1, 2, 3],
        };
        let mut bytes = Vec::new();
        outcome.encode(&mut bytes);
        assert_eq!(Outcome::parse(&bytes).unwrap(), (outcome, &[][..]));
        for length in 0..bytes.len() {
            assert_eq!(Outcome::parse(&bytes[..length]), Err(OutcomeError::Truncated));
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            if let Ok((read, _)) = Outcome::parse(&flipped) {
                let mut again = Vec::new();
                read.encode(&mut again);
                assert_eq!(again, flipped, "byte {at} is not part of the value");
            }
        }
    }
}
