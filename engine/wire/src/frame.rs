//! The client protocol's frames: a 32-byte header with a checksum over the whole frame, then a payload.
//!
//! Reading is incremental: [`Frame::parse`] says how many bytes it still needs. What a frame carries is read by the
//! types of [`crate::message`].

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::FRAME_PAYLOAD_BYTES_MAX;

/// What a frame carries. The numbers are part of the protocol and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FrameKind {
    /// Client: first on a connection.
    Hello = 1,
    /// Replica: the answer to `Hello`.
    Welcome = 2,
    /// Client: events to be ordered.
    Submit = 3,
    /// Replica: answers to some or all events of one `Submit`.
    Answers = 4,
    /// Client: entities to be read.
    Read = 5,
    /// Replica: the states of some or all entities of one `Read`.
    States = 6,
    /// Replica: a request, or the connection, is refused.
    Refused = 7,
    /// Client: is anyone there?
    Ping = 8,
    /// Replica: the answer to `Ping`.
    Pong = 9,
}

impl FrameKind {
    /// All of them: what is not here is not read.
    pub const ALL: [FrameKind; 9] = [
        FrameKind::Hello,
        FrameKind::Welcome,
        FrameKind::Submit,
        FrameKind::Answers,
        FrameKind::Read,
        FrameKind::States,
        FrameKind::Refused,
        FrameKind::Ping,
        FrameKind::Pong,
    ];
}

/// One whole frame, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// The request it belongs to, drawn by the client; 0 where there is none.
    pub request: u64,
    /// What it carries, a multiple of 16 bytes.
    pub payload: &'a [u8],
}

/// What the front of a byte stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole frame of `bytes` bytes, header included.
    Whole {
        /// The frame.
        frame: Frame<'a>,
        /// Bytes to take off the stream.
        bytes: usize,
    },
    /// A frame's beginning: this many bytes in all are needed before it can be read.
    Needs(usize),
}

impl<'a> Frame<'a> {
    /// Reads the frame at the front of `bytes`.
    ///
    /// # Errors
    /// [`FrameError`]; the stream has no known frame boundary after it, so the connection must be closed.
    pub fn parse(bytes: &'a [u8]) -> Result<Parsed<'a>, FrameError> {
        let Ok((header, rest)) = FrameHeader::ref_from_prefix(bytes) else {
            // A stream that cannot become a frame is refused by its first bytes, not when 32 of them have come.
            let known = bytes.len().min(4);
            if bytes[..known] != MAGIC.to_le_bytes()[..known] {
                return Err(FrameError::BadMagic);
            }
            return Ok(Parsed::Needs(FRAME_HEADER_BYTES));
        };
        if header.magic.get() != MAGIC {
            return Err(FrameError::BadMagic);
        }
        if header.version.get() != PROTOCOL_VERSION {
            return Err(FrameError::BadVersion { found: header.version.get() });
        }
        let payload_bytes = header.payload_bytes.get() as usize;
        if payload_bytes > FRAME_PAYLOAD_BYTES_MAX || !payload_bytes.is_multiple_of(16) {
            return Err(FrameError::BadLength { bytes: payload_bytes });
        }
        let kind = FrameKind::ALL
            .into_iter()
            .find(|kind| *kind as u16 == header.kind.get())
            .ok_or(FrameError::UnknownKind { found: header.kind.get() })?;
        if rest.len() < payload_bytes {
            return Ok(Parsed::Needs(FRAME_HEADER_BYTES + payload_bytes));
        }
        let payload = &rest[..payload_bytes];
        let expected = checksum(&bytes[..FRAME_HEADER_BYTES], payload);
        if header.checksum.get() != expected {
            return Err(FrameError::BadChecksum { named: header.checksum.get(), found: expected });
        }
        let frame = Frame { kind, request: header.request.get(), payload };
        Ok(Parsed::Whole { frame, bytes: FRAME_HEADER_BYTES + payload_bytes })
    }
}

/// Writes a frame into a byte vector: begin, append the payload, [`FrameWriter::finish`].
#[derive(Debug)]
pub struct FrameWriter {
    start: usize,
    kind: FrameKind,
    request: u64,
}

impl FrameWriter {
    /// Makes room for the header at the end of `out`; what is appended to `out` from here on is the payload.
    #[must_use]
    pub fn begin(out: &mut Vec<u8>, kind: FrameKind, request: u64) -> FrameWriter {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        FrameWriter { start, kind, request }
    }

    /// Where the payload begins in `out`.
    #[must_use]
    pub fn payload_start(&self) -> usize {
        self.start + FRAME_HEADER_BYTES
    }

    /// Pads the payload and completes the header.
    ///
    /// # Panics
    /// When the payload is over [`FRAME_PAYLOAD_BYTES_MAX`]: the caller's own broken promise.
    pub fn finish(self, out: &mut Vec<u8>) {
        let payload = out.len() - self.start - FRAME_HEADER_BYTES;
        let padded = payload.next_multiple_of(16);
        assert!(padded <= FRAME_PAYLOAD_BYTES_MAX, "a frame of {payload} payload bytes");
        out.resize(out.len() + padded - payload, 0);
        let mut header = FrameHeader {
            magic: U32::new(MAGIC),
            version: U16::new(PROTOCOL_VERSION),
            kind: U16::new(self.kind as u16),
            payload_bytes: U32::new(padded as u32),
            checksum: U32::new(0),
            request: U64::new(self.request),
            reserved: [0; 8],
        };
        let sum = checksum(header.as_bytes(), &out[self.start + FRAME_HEADER_BYTES..]);
        header.checksum = U32::new(sum);
        out[self.start..self.start + FRAME_HEADER_BYTES].copy_from_slice(header.as_bytes());
    }
}

/// crc32c over the header, its checksum field taken as zero, and the payload.
fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&header[..CHECKSUM_OFFSET]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    let sum = crc32c::crc32c_append(sum, &header[CHECKSUM_OFFSET + 4..]);
    crc32c::crc32c_append(sum, payload)
}

/// Why a byte stream is not one of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It does not begin as a frame does.
    BadMagic,
    /// A protocol version that is not spoken here.
    BadVersion {
        /// The version found.
        found: u16,
    },
    /// A payload that is too long, or no multiple of 16.
    BadLength {
        /// The length named.
        bytes: usize,
    },
    /// No such frame.
    UnknownKind {
        /// The kind found.
        found: u16,
    },
    /// The bytes are not those that were sent.
    BadChecksum {
        /// The checksum that the header names.
        named: u32,
        /// That of the bytes.
        found: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::BadMagic => {
                f.write_str("this is not the Assize client protocol: a frame begins with 'ASZ1'")
            }
            FrameError::BadVersion { found } => {
                write!(f, "protocol version {found} is not spoken here; version {PROTOCOL_VERSION} is")
            }
            FrameError::BadLength { bytes } => write!(
                f,
                "a payload of {bytes} bytes; accepted are multiples of 16 up to {FRAME_PAYLOAD_BYTES_MAX}"
            ),
            FrameError::UnknownKind { found } => write!(f, "frame kind {found} is unknown; kinds are 1 to 9"),
            FrameError::BadChecksum { named, found } => {
                write!(f, "the frame's checksum is {found:08x}, its header says {named:08x}")
            }
        }
    }
}

impl core::error::Error for FrameError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FrameHeader {
    magic: U32,
    version: U16,
    kind: U16,
    payload_bytes: U32,
    checksum: U32,
    request: U64,
    reserved: [u8; 8],
}

/// The version of the client protocol.
pub const PROTOCOL_VERSION: u16 = 1;

/// Bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: usize = size_of::<FrameHeader>();

const MAGIC: u32 = u32::from_le_bytes(*b"ASZ1");
const CHECKSUM_OFFSET: usize = 12;

const _: () = assert!(FRAME_HEADER_BYTES == 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Vec<u8> {
        let mut out = Vec::new();
        let writer = FrameWriter::begin(&mut out, FrameKind::Submit, 77);
        out.extend_from_slice(&[5; 20]);
        writer.finish(&mut out);
        out
    }

    #[test]
    fn every_flipped_byte_of_a_frame_is_detected() {
        let bytes = frame();
        assert_eq!(bytes.len(), 64);
        assert!(matches!(Frame::parse(&bytes), Ok(Parsed::Whole { bytes: 64, .. })));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let read = Frame::parse(&flipped);
                assert!(!matches!(read, Ok(Parsed::Whole { .. })), "byte {at} bit {bit}: {read:?}");
            }
        }
    }

    #[test]
    fn a_frame_asks_for_what_is_missing() {
        let bytes = frame();
        for length in 0..bytes.len() {
            let needs = if length < FRAME_HEADER_BYTES { FRAME_HEADER_BYTES } else { bytes.len() };
            assert_eq!(Frame::parse(&bytes[..length]), Ok(Parsed::Needs(needs)));
        }
        assert_eq!(Frame::parse(b"GET / HTTP/1.1"), Err(FrameError::BadMagic));
    }
}
