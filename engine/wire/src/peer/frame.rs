//! The frames between replicas: a 32-byte header with a checksum over the whole frame, then a payload.
//!
//! They look like the client protocol's ([`crate::frame`]) under a magic of their own, so that a client at the wrong
//! port, or a replica at a client's, is told so by the first four bytes.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{PEER_HANDSHAKE_BYTES_MAX, PEER_PAYLOAD_BYTES_MAX};

/// What a frame between replicas carries. The numbers are part of the protocol and never change; those that are missing
/// are for kinds to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum PeerKind {
    /// Dialer: who it is and which lane it wants.
    Hello = 1,
    /// Acceptor: who it is, with the proof that it has the secret.
    Welcome = 2,
    /// Dialer: the proof that it has the secret.
    Proof = 3,
    /// Either: why the connection is closed.
    Refused = 4,
    /// Acceptor: which core owns the lane.
    Redirect = 5,
    /// Either: the sender is there, and has nothing to say.
    Alive = 6,
    /// Control lane: a message of the Docket.
    Docket = 16,
    /// Control lane: what a checkpoint came to.
    Checkpoint = 17,
    /// Control lane: tell me what this checkpoint came to.
    CheckpointWanted = 18,
    /// Control lane: the sender's logs have no room, which only a checkpoint makes.
    ShortOfRoom = 19,
    /// Shard lane: a sealed stripe.
    Stripe = 32,
    /// Shard lane: send me this stripe.
    StripeWanted = 33,
    /// Shard lane: the stripe that was asked for is not here.
    StripeMissing = 34,
    /// Shard lane: digests of outcomes.
    Copies = 35,
    /// Shard lane: send me your digests of these slots.
    CopiesWanted = 36,
    /// Shard lane: digests of slots below this one are not kept here any more.
    CopiesGone = 37,
    /// Shard lane: the digest of each event of the sender's stripe, which is outside of those that agree.
    EventDigests = 38,
    /// Shard lane: the first event of a stripe that differs, as the sender evaluated it.
    EventDiffers = 39,
    /// Shard lane: send me this record of your part of a checkpoint.
    PartWanted = 40,
    /// Shard lane: a record of a part.
    Part = 41,
}

impl PeerKind {
    /// All of them.
    pub const ALL: [PeerKind; 20] = [
        PeerKind::Hello,
        PeerKind::Welcome,
        PeerKind::Proof,
        PeerKind::Refused,
        PeerKind::Redirect,
        PeerKind::Alive,
        PeerKind::Docket,
        PeerKind::Checkpoint,
        PeerKind::CheckpointWanted,
        PeerKind::ShortOfRoom,
        PeerKind::Stripe,
        PeerKind::StripeWanted,
        PeerKind::StripeMissing,
        PeerKind::Copies,
        PeerKind::CopiesWanted,
        PeerKind::CopiesGone,
        PeerKind::EventDigests,
        PeerKind::EventDiffers,
        PeerKind::PartWanted,
        PeerKind::Part,
    ];

    /// The longest payload that is accepted. Whoever has not proved the secret makes nobody allocate more than a page.
    #[must_use]
    pub fn payload_bytes_max(self) -> usize {
        match self {
            PeerKind::Docket
            | PeerKind::Stripe
            | PeerKind::Copies
            | PeerKind::EventDigests
            | PeerKind::Part
            | PeerKind::EventDiffers => PEER_PAYLOAD_BYTES_MAX,
            _ => PEER_HANDSHAKE_BYTES_MAX,
        }
    }
}

/// One whole frame, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerFrame<'a> {
    /// What it carries.
    pub kind: PeerKind,
    /// What it carries, a multiple of 16 bytes.
    pub payload: &'a [u8],
}

/// What the front of a byte stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerParsed<'a> {
    /// A whole frame of `bytes` bytes, header included.
    Whole {
        /// The frame.
        frame: PeerFrame<'a>,
        /// Bytes to take off the stream.
        bytes: usize,
    },
    /// A frame's beginning: this many bytes in all are needed before it can be read.
    Needs(usize),
}

impl<'a> PeerFrame<'a> {
    /// Reads the frame at the front of `bytes`. `payload_bytes_max` bounds what the caller is ready to wait for, beside
    /// the bound of the frame's kind.
    ///
    /// # Errors
    /// [`PeerFrameError`]; the stream has no known frame boundary after it, so the connection must be closed.
    pub fn parse(bytes: &'a [u8], payload_bytes_max: usize) -> Result<PeerParsed<'a>, PeerFrameError> {
        let Ok((header, rest)) = PeerHeader::ref_from_prefix(bytes) else {
            // A stream that cannot become a frame is refused by its first bytes, not when 32 of them have come.
            let known = bytes.len().min(4);
            if bytes[..known] != MAGIC.to_le_bytes()[..known] {
                return Err(PeerFrameError::BadMagic);
            }
            return Ok(PeerParsed::Needs(PEER_FRAME_HEADER_BYTES));
        };
        if header.magic.get() != MAGIC {
            return Err(PeerFrameError::BadMagic);
        }
        if header.version.get() != PEER_PROTOCOL_VERSION {
            return Err(PeerFrameError::BadVersion { found: header.version.get() });
        }
        let kind = PeerKind::ALL
            .into_iter()
            .find(|kind| *kind as u16 == header.kind.get())
            .ok_or(PeerFrameError::UnknownKind { found: header.kind.get() })?;
        let payload_bytes = header.payload_bytes.get() as usize;
        let most = payload_bytes_max.min(kind.payload_bytes_max());
        if payload_bytes > most || !payload_bytes.is_multiple_of(16) {
            return Err(PeerFrameError::BadLength { kind, bytes: payload_bytes, most });
        }
        if rest.len() < payload_bytes {
            return Ok(PeerParsed::Needs(PEER_FRAME_HEADER_BYTES + payload_bytes));
        }
        let payload = &rest[..payload_bytes];
        let found = checksum(&bytes[..PEER_FRAME_HEADER_BYTES], payload);
        if header.checksum.get() != found {
            return Err(PeerFrameError::BadChecksum { named: header.checksum.get(), found });
        }
        if header.reserved != [0; 16] {
            return Err(PeerFrameError::Reserved);
        }
        let frame = PeerFrame { kind, payload };
        Ok(PeerParsed::Whole { frame, bytes: PEER_FRAME_HEADER_BYTES + payload_bytes })
    }
}

/// Appends a frame to `out`; `payload` appends what it carries, which is padded with zeros to a multiple of 16.
///
/// # Panics
/// When the payload is longer than its kind's may be: the caller's own broken promise.
pub fn write_peer_frame(out: &mut Vec<u8>, kind: PeerKind, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let body = start + PEER_FRAME_HEADER_BYTES;
    out.resize(body, 0);
    payload(out);
    let padded = (out.len() - body).next_multiple_of(16);
    assert!(padded <= kind.payload_bytes_max(), "a {kind:?} of {padded} payload bytes");
    out.resize(body + padded, 0);
    let mut header = PeerHeader {
        magic: U32::new(MAGIC),
        version: U16::new(PEER_PROTOCOL_VERSION),
        kind: U16::new(kind as u16),
        payload_bytes: U32::new(padded as u32),
        checksum: U32::new(0),
        reserved: [0; 16],
    };
    header.checksum = U32::new(checksum(header.as_bytes(), &out[body..]));
    out[start..body].copy_from_slice(header.as_bytes());
}

/// crc32c over the header, its checksum field taken as zero, and the payload.
fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&header[..CHECKSUM_OFFSET]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    let sum = crc32c::crc32c_append(sum, &header[CHECKSUM_OFFSET + 4..]);
    crc32c::crc32c_append(sum, payload)
}

/// Why a byte stream is not one of frames between replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFrameError {
    /// It does not begin as a frame does.
    BadMagic,
    /// A protocol version that is not spoken here.
    BadVersion {
        /// The version found.
        found: u16,
    },
    /// A payload that is too long for what it carries, or no multiple of 16.
    BadLength {
        /// What it carries.
        kind: PeerKind,
        /// The length named.
        bytes: usize,
        /// The most that is accepted here.
        most: usize,
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
    /// Reserved bytes of the header are in use.
    Reserved,
}

impl fmt::Display for PeerFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerFrameError::BadMagic => f.write_str(
                "this is not the protocol between Assize replicas: a frame begins with 'ASZP'; clients connect to the port \
                 of listen.client",
            ),
            PeerFrameError::BadVersion { found } => write!(
                f,
                "version {found} of the protocol between replicas is not spoken here; version {PEER_PROTOCOL_VERSION} is: \
                 all replicas must run a release that speaks it"
            ),
            PeerFrameError::BadLength { kind, bytes, most } => {
                write!(f, "a {kind:?} of {bytes} bytes; accepted here are multiples of 16 up to {most}")
            }
            PeerFrameError::UnknownKind { found } => {
                write!(f, "frame kind {found} is unknown to version {PEER_PROTOCOL_VERSION}")
            }
            PeerFrameError::BadChecksum { named, found } => {
                write!(f, "the frame's checksum is {found:08x}, its header says {named:08x}")
            }
            PeerFrameError::Reserved => f.write_str("reserved bytes of a frame's header are not zero"),
        }
    }
}

impl core::error::Error for PeerFrameError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PeerHeader {
    magic: U32,
    version: U16,
    kind: U16,
    payload_bytes: U32,
    checksum: U32,
    reserved: [u8; 16],
}

/// The version of the protocol between replicas. It stands in every frame, so that a replica of another release is told
/// apart before anything else is read.
pub const PEER_PROTOCOL_VERSION: u16 = 5;

/// Bytes of a frame before its payload.
pub const PEER_FRAME_HEADER_BYTES: usize = size_of::<PeerHeader>();

const MAGIC: u32 = u32::from_le_bytes(*b"ASZP");
const CHECKSUM_OFFSET: usize = 12;

const _: () = assert!(PEER_FRAME_HEADER_BYTES == 32);
