//! The layout of an event: a 32-byte header, then the payload, padded with zeros to a multiple of 16.
//!
//! The bytes are the same in a client's frame, in a stripe, in the log and where the Arbiter reads them.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{EVENT_PAYLOAD_BYTES_MAX, padded};
use crate::{DomainId, EventKey, StreamTime};

/// The fixed part of an event. Offsets: key 0, deadline 16, domain 24, version 26, payload length 28.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
pub struct EventHeader {
    key: U128,
    deadline: U64,
    domain: U16,
    version: U16,
    payload_bytes: U32,
}

/// One event, read in place.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    header: &'a EventHeader,
    bytes: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads the event at the front of `bytes` and returns it with what follows it.
    ///
    /// # Errors
    /// [`EventError`] when the bytes end early, the payload is too long or its padding is not zero.
    pub fn parse(bytes: &'a [u8]) -> Result<(Event<'a>, &'a [u8]), EventError> {
        let (header, rest) = EventHeader::ref_from_prefix(bytes)
            .map_err(|_| EventError::Truncated { have: bytes.len(), need: EVENT_HEADER_BYTES })?;
        let payload = header.payload_bytes.get() as usize;
        if payload > EVENT_PAYLOAD_BYTES_MAX {
            return Err(EventError::PayloadTooLong { bytes: payload });
        }
        let body = padded(payload);
        if rest.len() < body {
            return Err(EventError::Truncated { have: bytes.len(), need: EVENT_HEADER_BYTES + body });
        }
        if rest[payload..body].iter().any(|byte| *byte != 0) {
            return Err(EventError::PaddingNotZero);
        }
        let (event, after) = bytes.split_at(EVENT_HEADER_BYTES + body);
        Ok((Event { header, bytes: event }, after))
    }

    /// The idempotency key.
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey(self.header.key.get())
    }

    /// Until when, in stream time, the event may be evaluated (W1).
    #[must_use]
    pub fn deadline(&self) -> StreamTime {
        StreamTime(self.header.deadline.get())
    }

    /// The domain that evaluates it.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        DomainId(self.header.domain.get())
    }

    /// The version of the domain's event layout.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.header.version.get()
    }

    /// The payload, without its padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[EVENT_HEADER_BYTES..EVENT_HEADER_BYTES + self.header.payload_bytes.get() as usize]
    }

    /// Header, payload and padding.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What must be the same under a reused key: domain, version and payload, but not the deadline (W1).
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[BODY_OFFSET..]
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("key", &self.key())
            .field("deadline", &self.deadline())
            .field("domain", &self.domain())
            .field("version", &self.version())
            .field("payload_bytes", &self.payload().len())
            .finish()
    }
}

/// Appends an event to `out`, padded.
///
/// # Errors
/// [`EventError::PayloadTooLong`], with nothing appended.
pub fn encode_event(
    out: &mut Vec<u8>,
    key: EventKey,
    deadline: StreamTime,
    domain: DomainId,
    version: u16,
    payload: &[u8],
) -> Result<(), EventError> {
    if payload.len() > EVENT_PAYLOAD_BYTES_MAX {
        return Err(EventError::PayloadTooLong { bytes: payload.len() });
    }
    let header = EventHeader {
        key: U128::new(key.0),
        deadline: U64::new(deadline.0),
        domain: U16::new(domain.0),
        version: U16::new(version),
        payload_bytes: U32::new(payload.len() as u32),
    };
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len() + padded(payload.len()) - payload.len(), 0);
    Ok(())
}

/// What is wrong with an event's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventError {
    /// The bytes end before the event does.
    Truncated {
        /// Bytes that are there.
        have: usize,
        /// Bytes that the event needs.
        need: usize,
    },
    /// The payload is over the limit.
    PayloadTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Bytes after the payload, up to the next multiple of 16, are not zero.
    PaddingNotZero,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventError::Truncated { have, need } => {
                write!(f, "the event needs {need} bytes and {have} are left")
            }
            EventError::PayloadTooLong { bytes } => write!(
                f,
                "an event's payload of {bytes} bytes is over the limit of {EVENT_PAYLOAD_BYTES_MAX}"
            ),
            EventError::PaddingNotZero => {
                f.write_str("the bytes that pad an event's payload to a multiple of 16 are not zero")
            }
        }
    }
}

impl core::error::Error for EventError {}

/// Bytes of [`EventHeader`].
pub const EVENT_HEADER_BYTES: usize = size_of::<EventHeader>();

/// Where domain, version and payload begin.
const BODY_OFFSET: usize = 24;

const _: () = assert!(EVENT_HEADER_BYTES == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(rkyv::Archive, rkyv::Serialize)]
    struct Mirror {
        key: u128,
        deadline: u64,
        domain: u16,
        version: u16,
        payload_bytes: u32,
    }

    #[test]
    fn the_archive_of_an_event_header_is_exactly_its_bytes() {
        let mirror = Mirror { key: 7 << 90 | 3, deadline: 99, domain: 4, version: 2, payload_bytes: 5 };
        let archive = rkyv::to_bytes::<rkyv::rancor::Panic>(&mirror).unwrap();
        let mut bytes = Vec::new();
        encode_event(&mut bytes, EventKey(7 << 90 | 3), StreamTime(99), DomainId(4), 2, &[1; 5]).unwrap();
        assert_eq!(archive.as_slice(), &bytes[..EVENT_HEADER_BYTES]);
        assert_eq!(bytes.len(), 48);
    }

    #[test]
    fn every_truncation_and_every_dirty_pad_is_refused() {
        let mut bytes = Vec::new();
        encode_event(&mut bytes, EventKey(1), StreamTime(2), DomainId(3), 4, &[9; 20]).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(Event::parse(&bytes[..length]), Err(EventError::Truncated { .. })));
        }
        let (event, rest) = Event::parse(&bytes).unwrap();
        assert_eq!((event.payload(), rest.len()), (&[9u8; 20][..], 0));
        for pad in 52..64 {
            let mut dirty = bytes.clone();
            dirty[pad] = 1;
            assert_eq!(Event::parse(&dirty).unwrap_err(), EventError::PaddingNotZero);
        }
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Event::parse(&bytes), Err(EventError::PayloadTooLong { .. })));
    }
}
