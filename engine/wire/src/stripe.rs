//! The layout of a stripe: a 48-byte header, then its events one after the other.
//!
//! Ballot and counter stand in the header, so that no two stripes have the same bytes, and so the same identity.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::event::{Event, EventError};
use crate::limits::{SHARDS_MAX, STRIPE_BYTES_MAX, STRIPE_EVENTS_MAX};
use crate::{Ballot, ShardId};

/// What a stripe says of itself before its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeHead {
    /// The shard that sealed it.
    pub shard: ShardId,
    /// The ballot under which it was sealed; it may be named only under this one (P8).
    pub ballot: Ballot,
    /// The how-manieth stripe of this shard under this ballot.
    pub counter: u64,
    /// Bit h: an event may touch an entity whose home is shard h. A superset (X6).
    pub home_mask: u64,
    /// Events in the stripe.
    pub events: u32,
    /// Their bytes.
    pub events_bytes: u32,
}

impl StripeHead {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; STRIPE_HEADER_BYTES] {
        let header = StripeHeader {
            magic: U32::new(MAGIC),
            version: U16::new(VERSION),
            shard: U16::new(self.shard.0),
            ballot: U64::new(self.ballot.to_raw()),
            counter: U64::new(self.counter),
            home_mask: U64::new(self.home_mask),
            events: U32::new(self.events),
            events_bytes: U32::new(self.events_bytes),
            reserved: [0; 8],
        };
        let mut bytes = [0; STRIPE_HEADER_BYTES];
        bytes.copy_from_slice(header.as_bytes());
        bytes
    }
}

/// A stripe, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Stripe<'a> {
    /// Its header.
    pub head: StripeHead,
    events: &'a [u8],
}

impl<'a> Stripe<'a> {
    /// Reads a stripe that fills `bytes`.
    ///
    /// # Errors
    /// [`StripeError`] when the header is not one, or does not fit the bytes. The events are checked as they are read.
    pub fn parse(bytes: &'a [u8]) -> Result<Stripe<'a>, StripeError> {
        if bytes.len() > STRIPE_BYTES_MAX {
            return Err(StripeError::TooLong { bytes: bytes.len() });
        }
        let (header, events) = StripeHeader::ref_from_prefix(bytes)
            .map_err(|_| StripeError::Truncated { bytes: bytes.len() })?;
        if header.magic.get() != MAGIC || header.version.get() != VERSION || header.reserved != [0; 8] {
            return Err(StripeError::NotAStripe { magic: header.magic.get(), version: header.version.get() });
        }
        let head = StripeHead {
            shard: ShardId(header.shard.get()),
            ballot: Ballot::from_raw(header.ballot.get()),
            counter: header.counter.get(),
            home_mask: header.home_mask.get(),
            events: header.events.get(),
            events_bytes: header.events_bytes.get(),
        };
        if head.shard.0 as usize >= SHARDS_MAX {
            return Err(StripeError::ShardOutOfRange { shard: head.shard });
        }
        if head.events as usize > STRIPE_EVENTS_MAX {
            return Err(StripeError::TooManyEvents { events: head.events });
        }
        if head.events_bytes as usize != events.len() {
            return Err(StripeError::LengthMismatch { named: head.events_bytes, found: events.len() });
        }
        Ok(Stripe { head, events })
    }

    /// Its events in order, exactly `head.events` items. Once one cannot be read, where the next begins is
    /// unknown, so that one and all after it are errors, the same on every replica (D4).
    #[must_use]
    pub fn events(&self) -> Events<'a> {
        Events { rest: Ok(self.events), left: self.head.events }
    }
}

/// Iterator over a stripe's events.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    rest: Result<&'a [u8], EventError>,
    left: u32,
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.rest.and_then(|bytes| match Event::parse(bytes) {
            Ok((event, rest)) => {
                self.rest = Ok(rest);
                Ok(event)
            }
            Err(error) => {
                self.rest = Err(error);
                Err(error)
            }
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Events<'_> {}

/// What is wrong with a stripe's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeError {
    /// Fewer bytes than a header.
    Truncated {
        /// Bytes that are there.
        bytes: usize,
    },
    /// More bytes than a stripe may have.
    TooLong {
        /// Bytes that are there.
        bytes: usize,
    },
    /// The magic, the version or the reserved bytes are not a stripe's.
    NotAStripe {
        /// Magic found.
        magic: u32,
        /// Version found.
        version: u16,
    },
    /// No such shard can be.
    ShardOutOfRange {
        /// The shard named.
        shard: ShardId,
    },
    /// More events than a stripe may have.
    TooManyEvents {
        /// Events named.
        events: u32,
    },
    /// The header's length is not that of the bytes.
    LengthMismatch {
        /// Bytes that the header names.
        named: u32,
        /// Bytes that are there.
        found: usize,
    },
}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StripeError::Truncated { bytes } => {
                write!(f, "a stripe of {bytes} bytes is shorter than its header of {STRIPE_HEADER_BYTES}")
            }
            StripeError::TooLong { bytes } => {
                write!(f, "a stripe of {bytes} bytes is over the limit of {STRIPE_BYTES_MAX}")
            }
            StripeError::NotAStripe { magic, version } => {
                write!(f, "not a stripe of version {VERSION}: magic {magic:08x}, version {version}")
            }
            StripeError::ShardOutOfRange { shard } => {
                write!(f, "a stripe of shard {shard}; shards are below {SHARDS_MAX}")
            }
            StripeError::TooManyEvents { events } => {
                write!(f, "a stripe of {events} events is over the limit of {STRIPE_EVENTS_MAX}")
            }
            StripeError::LengthMismatch { named, found } => {
                write!(f, "a stripe's header names {named} bytes of events and {found} follow it")
            }
        }
    }
}

impl core::error::Error for StripeError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StripeHeader {
    magic: U32,
    version: U16,
    shard: U16,
    ballot: U64,
    counter: U64,
    home_mask: U64,
    events: U32,
    events_bytes: U32,
    reserved: [u8; 8],
}

/// Bytes of the header; the first event begins there.
pub const STRIPE_HEADER_BYTES: usize = size_of::<StripeHeader>();

const MAGIC: u32 = u32::from_le_bytes(*b"STRP");
const VERSION: u16 = 1;

const _: () = assert!(STRIPE_HEADER_BYTES == 48 && STRIPE_HEADER_BYTES.is_multiple_of(16));

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::event::encode_event;
    use crate::ids::{DomainId, EventKey, ReplicaId, StreamTime};

    fn stripe(events: u32) -> Vec<u8> {
        let mut bodies = Vec::new();
        for index in 0..events {
            encode_event(&mut bodies, EventKey(index.into()), StreamTime(9), DomainId(1), 1, &[7; 24])
                .unwrap();
        }
        let head = StripeHead {
            shard: ShardId(3),
            ballot: Ballot::new(5, ReplicaId(1)),
            counter: 11,
            home_mask: 0b1010,
            events,
            events_bytes: bodies.len() as u32,
        };
        let mut bytes = head.encode().to_vec();
        bytes.extend(bodies);
        bytes
    }

    #[test]
    fn a_stripe_reads_back_as_it_was_written() {
        let bytes = stripe(4);
        let read = Stripe::parse(&bytes).unwrap();
        assert_eq!(read.head.encode(), bytes[..STRIPE_HEADER_BYTES]);
        let keys: Vec<_> = read.events().map(|event| event.unwrap().key().0).collect();
        assert_eq!(keys, [0, 1, 2, 3]);
    }

    #[test]
    fn every_truncation_is_refused_and_a_broken_event_spoils_only_what_follows_it() {
        let bytes = stripe(3);
        for length in 0..bytes.len() {
            assert!(Stripe::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut broken = bytes;
        let second = STRIPE_HEADER_BYTES + 64;
        broken[second + 28..second + 32].copy_from_slice(&u32::MAX.to_le_bytes());
        let read: Vec<_> = Stripe::parse(&broken).unwrap().events().map(|event| event.is_ok()).collect();
        assert_eq!(read, [true, false, false]);
    }
}
