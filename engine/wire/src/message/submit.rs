//! `Submit` and `Answers`: events in, how each ended out.

use alloc::vec::Vec;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MessageError, count_header};
use crate::limits::{RESPONSE_BYTES_MAX, STRIPE_EVENTS_MAX, padded};
use crate::outcome::Status;
use crate::{Position, ShardId, Slot, StreamTime};

/// `Submit`: a 16-byte header with the number of events, then the events (see [`crate::event`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit<'a> {
    /// Events that follow, at least 1.
    pub count: u32,
    /// Their bytes, one event after the other. Not yet checked.
    pub events: &'a [u8],
}

impl<'a> Submit<'a> {
    /// The payload's header, to be followed by the events' bytes.
    #[must_use]
    pub fn header(count: u32) -> [u8; SUBMIT_HEADER_BYTES] {
        let mut bytes = [0; SUBMIT_HEADER_BYTES];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<Submit<'a>, MessageError> {
        let (count, events) = count_header(payload, STRIPE_EVENTS_MAX)?;
        Ok(Submit { count, events })
    }
}

/// One entry of `Answers`: a 32-byte header, then the response, padded to a multiple of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Which event of the request.
    pub index: u32,
    /// How it ended.
    pub status: Status,
    /// For a duplicate how the first submission ended; else equal to `status`.
    pub first_status: Status,
    /// The reason for a rejection or for `invalid`; else 0.
    pub reason: u16,
    /// Where the log has it; for a duplicate where it has the first submission. Slot 0 where it has no place.
    pub position: Position,
    /// With `busy`: when to try again, in microseconds.
    pub retry_after_us: u32,
    /// What the domain returned; for a duplicate what it returned to the first.
    pub response: &'a [u8],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AnswerHeader {
    index: U32,
    status: u8,
    first_status: u8,
    reason: U16,
    slot: U64,
    stripe_index: U32,
    shard: U16,
    response_bytes: U16,
    retry_after_us: U32,
    reserved: [u8; 4],
}

impl<'a> Answer<'a> {
    /// Appends it to `out`, padded.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = self.response.len();
        assert!(length <= RESPONSE_BYTES_MAX, "a response of {length} bytes");
        let header = AnswerHeader {
            index: U32::new(self.index),
            status: self.status as u8,
            first_status: self.first_status as u8,
            reason: U16::new(self.reason),
            slot: U64::new(self.position.slot.0),
            stripe_index: U32::new(self.position.index),
            shard: U16::new(self.position.shard.0),
            response_bytes: U16::new(length as u16),
            retry_after_us: U32::new(self.retry_after_us),
            reserved: [0; 4],
        };
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(self.response);
        out.resize(out.len() + padded(length) - length, 0);
    }

    fn parse(bytes: &'a [u8]) -> Result<(Answer<'a>, &'a [u8]), MessageError> {
        let (header, rest) = AnswerHeader::ref_from_prefix(bytes).map_err(|_| MessageError::Truncated)?;
        let length = header.response_bytes.get() as usize;
        if length > RESPONSE_BYTES_MAX {
            return Err(MessageError::BadCount { found: length, max: RESPONSE_BYTES_MAX });
        }
        if rest.len() < padded(length) {
            return Err(MessageError::Truncated);
        }
        let (body, after) = rest.split_at(padded(length));
        let status =
            |number| Status::from_number(number).ok_or(MessageError::UnknownStatus { found: number });
        let answer = Answer {
            index: header.index.get(),
            status: status(header.status)?,
            first_status: status(header.first_status)?,
            reason: header.reason.get(),
            position: Position {
                slot: Slot(header.slot.get()),
                shard: ShardId(header.shard.get()),
                index: header.stripe_index.get(),
            },
            retry_after_us: header.retry_after_us.get(),
            response: &body[..length],
        };
        Ok((answer, after))
    }
}

/// `Answers`: a 16-byte header with the number of answers and stream time, then the answers. A request may be
/// answered by several frames; each of its events is answered in exactly one.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// Stream time as this replica knows it.
    pub stream_time: StreamTime,
    count: u32,
    rest: &'a [u8],
}

impl<'a> Answers<'a> {
    /// The payload's header, to be followed by `count` encoded answers.
    #[must_use]
    pub fn header(count: u32, stream_time: StreamTime) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes[8..].copy_from_slice(&stream_time.0.to_le_bytes());
        bytes
    }

    /// Reads the payload's header; the answers are checked as they are read.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<Answers<'a>, MessageError> {
        let (count, rest) = count_header(payload, STRIPE_EVENTS_MAX)?;
        let time = payload[8..16].try_into().map_err(|_| MessageError::Truncated)?;
        Ok(Answers { stream_time: StreamTime(u64::from_le_bytes(time)), count, rest })
    }
}

impl<'a> Iterator for Answers<'a> {
    type Item = Result<Answer<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let read = Answer::parse(self.rest);
        match &read {
            Ok((_, after)) => self.rest = after,
            Err(_) => self.count = 0,
        }
        Some(read.map(|(answer, _)| answer))
    }
}

/// Bytes of a `Submit` before its events.
pub const SUBMIT_HEADER_BYTES: usize = 16;

const _: () = assert!(size_of::<AnswerHeader>() == 32);
