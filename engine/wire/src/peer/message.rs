//! What two replicas say to each other once each has proved itself: on the control lane the Dockets' messages and
//! what checkpoints came to, on a shard's lane stripes and copies.

use alloc::vec::Vec;

use super::checkpoint::{CHECKPOINT_BYTES, CheckpointRecord, CheckpointTold};
use super::docket_bytes::{docket_bytes, encode_docket, parse_docket};
use super::frame::write_peer_frame;
use super::hello::zero;
use super::{DocketMessage, Generations, PEER_FRAME_HEADER_BYTES, PeerFrame, PeerKind, PeerMessageError};
use crate::limits::{EVENT_PIECE_BYTES_MAX, PEER_COPIES_MAX, STRIPE_BYTES_MAX, STRIPE_EVENTS_MAX, padded};
use crate::{Hash, Slot};

/// One message between replicas. A stripe's bytes stay where they were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage<'a> {
    /// Control lane: between Dockets.
    Docket {
        /// The sender's wall clock as it sent this, in nanoseconds since the Unix epoch (P13).
        clock_ns: u64,
        /// What the sender knew of the disks of all replicas (R3).
        generations: Generations,
        /// The message.
        message: DocketMessage,
    },
    /// Control lane: what became of the checkpoint after `slot` here (C7).
    Checkpoint(CheckpointTold),
    /// Control lane: tell me that of this slot.
    CheckpointWanted(Slot),
    /// Control lane: my logs have no room for what is accepted; a checkpoint would make some.
    ShortOfRoom,
    /// Shard lane: a sealed stripe. What is wrong inside it is found by those who evaluate it (D4).
    Stripe {
        /// Its bytes, at most [`STRIPE_BYTES_MAX`].
        bytes: &'a [u8],
    },
    /// Shard lane: send me the stripe of this hash.
    StripeWanted(Hash),
    /// Shard lane: I do not have the stripe of this hash; ask another.
    StripeMissing(Hash),
    /// Shard lane: for each slot the digest of the outcomes of this shard's stripe, at most [`PEER_COPIES_MAX`].
    Copies(Vec<(Slot, Hash)>),
    /// Shard lane: send me your digests of these slots.
    CopiesWanted {
        /// The first slot.
        from: Slot,
        /// The last.
        through: Slot,
    },
    /// Shard lane: digests of this shard's slots below this one are not kept here any more, so they cannot be sent.
    CopiesGone {
        /// The first slot whose digest may be asked for.
        below: Slot,
    },
    /// Shard lane: the sender's outcomes of this shard's stripe in a slot are not those that others agree on (C6).
    EventDigests {
        /// The slot.
        slot: Slot,
        /// For each event of the stripe the digest of its outcome and of what it changed, at most
        /// [`STRIPE_EVENTS_MAX`].
        digests: Vec<Hash>,
    },
    /// Shard lane: the first event of a stripe that differs, as the sender evaluated it.
    EventDiffers {
        /// The slot.
        slot: Slot,
        /// The event's index in the stripe.
        index: u32,
        /// Its outcome, and what it changed, at most [`EVENT_PIECE_BYTES_MAX`] bytes.
        piece: Vec<u8>,
    },
    /// Shard lane: send me this record of your part of your active checkpoint.
    PartWanted {
        /// The checkpoint's slot.
        slot: Slot,
        /// Counts the part's records, from 0.
        index: u64,
    },
    /// Shard lane: the record that was asked for.
    Part(CheckpointRecord<'a>),
}

impl<'a> PeerMessage<'a> {
    /// The kind of its frame.
    #[must_use]
    pub fn kind(&self) -> PeerKind {
        match self {
            PeerMessage::Docket { .. } => PeerKind::Docket,
            PeerMessage::Checkpoint(_) => PeerKind::Checkpoint,
            PeerMessage::CheckpointWanted(_) => PeerKind::CheckpointWanted,
            PeerMessage::ShortOfRoom => PeerKind::ShortOfRoom,
            PeerMessage::Stripe { .. } => PeerKind::Stripe,
            PeerMessage::StripeWanted(_) => PeerKind::StripeWanted,
            PeerMessage::StripeMissing(_) => PeerKind::StripeMissing,
            PeerMessage::Copies(_) => PeerKind::Copies,
            PeerMessage::CopiesWanted { .. } => PeerKind::CopiesWanted,
            PeerMessage::CopiesGone { .. } => PeerKind::CopiesGone,
            PeerMessage::EventDigests { .. } => PeerKind::EventDigests,
            PeerMessage::EventDiffers { .. } => PeerKind::EventDiffers,
            PeerMessage::PartWanted { .. } => PeerKind::PartWanted,
            PeerMessage::Part(_) => PeerKind::Part,
        }
    }

    /// How many bytes its frame takes.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        PEER_FRAME_HEADER_BYTES
            + match self {
                PeerMessage::Docket { message, .. } => docket_bytes(message),
                PeerMessage::Checkpoint(_) => CHECKPOINT_BYTES,
                PeerMessage::CheckpointWanted(_) => 16,
                PeerMessage::ShortOfRoom => 0,
                PeerMessage::Stripe { bytes } => LENGTH_BYTES + padded(bytes.len()),
                PeerMessage::StripeWanted(_) | PeerMessage::StripeMissing(_) => 32,
                PeerMessage::Copies(copies) => LENGTH_BYTES + padded(copies.len() * COPY_BYTES),
                PeerMessage::CopiesWanted { .. }
                | PeerMessage::CopiesGone { .. }
                | PeerMessage::PartWanted { .. } => 16,
                PeerMessage::EventDigests { digests, .. } => 16 + digests.len() * 32,
                PeerMessage::EventDiffers { piece, .. } => 16 + padded(piece.len()),
                PeerMessage::Part(part) => part.payload_bytes(),
            }
    }

    /// Appends its frame.
    ///
    /// # Panics
    /// When it is over a bound of its kind: the caller's own broken promise.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_peer_frame(out, self.kind(), |out| match self {
            PeerMessage::Docket { clock_ns, generations, message } => {
                encode_docket(*clock_ns, generations, message, out)
            }
            PeerMessage::Checkpoint(told) => told.encode(out),
            PeerMessage::CheckpointWanted(slot) => {
                out.extend_from_slice(&u128::from(slot.0).to_le_bytes());
            }
            PeerMessage::ShortOfRoom => {}
            PeerMessage::Stripe { bytes } => {
                assert!(bytes.len() <= STRIPE_BYTES_MAX, "a stripe of {} bytes", bytes.len());
                out.extend_from_slice(&(bytes.len() as u128).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            PeerMessage::StripeWanted(hash) | PeerMessage::StripeMissing(hash) => {
                out.extend_from_slice(&hash.0)
            }
            PeerMessage::Copies(copies) => {
                assert!(copies.len() <= PEER_COPIES_MAX, "{} copies in one message", copies.len());
                out.extend_from_slice(&(copies.len() as u128).to_le_bytes());
                for (slot, digest) in copies {
                    out.extend_from_slice(&slot.0.to_le_bytes());
                    out.extend_from_slice(&digest.0);
                }
            }
            PeerMessage::PartWanted { slot, index } => {
                out.extend_from_slice(&slot.0.to_le_bytes());
                out.extend_from_slice(&index.to_le_bytes());
            }
            PeerMessage::Part(part) => part.encode(out),
            PeerMessage::CopiesWanted { from, through } => {
                out.extend_from_slice(&from.0.to_le_bytes());
                out.extend_from_slice(&through.0.to_le_bytes());
            }
            PeerMessage::CopiesGone { below } => out.extend_from_slice(&u128::from(below.0).to_le_bytes()),
            PeerMessage::EventDigests { slot, digests } => {
                assert!(digests.len() <= STRIPE_EVENTS_MAX, "{} events of one stripe", digests.len());
                out.extend_from_slice(&slot.0.to_le_bytes());
                out.extend_from_slice(&(digests.len() as u64).to_le_bytes());
                digests.iter().for_each(|digest| out.extend_from_slice(&digest.0));
            }
            PeerMessage::EventDiffers { slot, index, piece } => {
                assert!(piece.len() <= EVENT_PIECE_BYTES_MAX, "a piece of {} bytes", piece.len());
                out.extend_from_slice(&slot.0.to_le_bytes());
                out.extend_from_slice(&index.to_le_bytes());
                out.extend_from_slice(&(piece.len() as u32).to_le_bytes());
                out.extend_from_slice(piece);
            }
        });
    }

    /// Reads what a frame carries.
    ///
    /// # Errors
    /// [`PeerMessageError`]; every accepted message encodes to the same bytes again.
    pub fn parse(frame: &PeerFrame<'a>) -> Result<PeerMessage<'a>, PeerMessageError> {
        let (kind, payload) = (frame.kind, frame.payload);
        let length = PeerMessageError::Length { kind, bytes: payload.len() };
        match kind {
            PeerKind::Docket => {
                let (clock_ns, generations, message) = parse_docket(payload)?;
                Ok(PeerMessage::Docket { clock_ns, generations, message })
            }
            PeerKind::Checkpoint => {
                let bytes = <[u8; CHECKPOINT_BYTES]>::try_from(payload).map_err(|_| length)?;
                CheckpointTold::parse(&bytes).map(PeerMessage::Checkpoint)
            }
            PeerKind::CheckpointWanted => {
                let bytes = <[u8; 16]>::try_from(payload).map_err(|_| length)?;
                zero("padding", &bytes[8..])?;
                Ok(PeerMessage::CheckpointWanted(Slot(u128::from_le_bytes(bytes) as u64)))
            }
            PeerKind::Stripe => {
                let bytes = counted(kind, payload, 1, STRIPE_BYTES_MAX)?;
                Ok(PeerMessage::Stripe { bytes })
            }
            PeerKind::StripeWanted | PeerKind::StripeMissing => {
                let hash = <[u8; 32]>::try_from(payload).map(Hash).map_err(|_| length)?;
                match kind {
                    PeerKind::StripeWanted => Ok(PeerMessage::StripeWanted(hash)),
                    _ => Ok(PeerMessage::StripeMissing(hash)),
                }
            }
            PeerKind::Copies => {
                let copies = counted(kind, payload, COPY_BYTES, PEER_COPIES_MAX)?;
                let (copies, _) = copies.as_chunks::<COPY_BYTES>();
                Ok(PeerMessage::Copies(copies.iter().map(copy).collect()))
            }
            PeerKind::CopiesWanted => {
                let bytes = <[u8; 16]>::try_from(payload).map_err(|_| length)?;
                let both = u128::from_le_bytes(bytes);
                Ok(PeerMessage::CopiesWanted { from: Slot(both as u64), through: Slot((both >> 64) as u64) })
            }
            PeerKind::CopiesGone => {
                let (below, rest) = payload.split_first_chunk::<8>().ok_or(length)?;
                if rest.len() != 8 {
                    return Err(length);
                }
                zero("reserved", rest)?;
                Ok(PeerMessage::CopiesGone { below: Slot(u64::from_le_bytes(*below)) })
            }
            PeerKind::EventDigests => {
                let (head, rest) = payload.split_first_chunk::<16>().ok_or(length)?;
                let both = u128::from_le_bytes(*head);
                let count = usize::try_from(both >> 64).ok().filter(|count| *count <= STRIPE_EVENTS_MAX);
                let max = STRIPE_EVENTS_MAX;
                let count = count.ok_or(PeerMessageError::BadCount { found: payload.len(), max })?;
                let (digests, []) = rest.as_chunks::<32>() else { return Err(length) };
                if digests.len() != count {
                    return Err(length);
                }
                let digests = digests.iter().copied().map(Hash).collect();
                Ok(PeerMessage::EventDigests { slot: Slot(both as u64), digests })
            }
            PeerKind::EventDiffers => {
                let (head, rest) = payload.split_first_chunk::<16>().ok_or(length)?;
                let both = u128::from_le_bytes(*head);
                let (index, bytes) = ((both >> 64) as u32, (both >> 96) as usize);
                if bytes > EVENT_PIECE_BYTES_MAX {
                    let max = EVENT_PIECE_BYTES_MAX;
                    return Err(PeerMessageError::BadCount { found: bytes, max });
                }
                if rest.len() != padded(bytes) {
                    return Err(length);
                }
                zero("padding", &rest[bytes..])?;
                let piece = rest[..bytes].to_vec();
                Ok(PeerMessage::EventDiffers { slot: Slot(both as u64), index, piece })
            }
            PeerKind::PartWanted => {
                let bytes = <[u8; 16]>::try_from(payload).map_err(|_| length)?;
                let both = u128::from_le_bytes(bytes);
                Ok(PeerMessage::PartWanted { slot: Slot(both as u64), index: (both >> 64) as u64 })
            }
            PeerKind::ShortOfRoom => payload.is_empty().then_some(PeerMessage::ShortOfRoom).ok_or(length),
            PeerKind::Part => CheckpointRecord::parse(payload).map(PeerMessage::Part),
            PeerKind::Hello
            | PeerKind::Welcome
            | PeerKind::Proof
            | PeerKind::Refused
            | PeerKind::Redirect
            | PeerKind::Alive => Err(PeerMessageError::NotAMessage { kind }),
        }
    }
}

/// What a count of things of `each` bytes in the first 16 bytes says is behind it, without padding.
pub(super) fn counted(
    kind: PeerKind,
    payload: &[u8],
    each: usize,
    max: usize,
) -> Result<&[u8], PeerMessageError> {
    let length = PeerMessageError::Length { kind, bytes: payload.len() };
    let (count, rest) = payload.split_first_chunk::<LENGTH_BYTES>().ok_or(length)?;
    let count = u128::from_le_bytes(*count);
    let count = usize::try_from(count).ok().filter(|count| *count <= max);
    let count = count.ok_or(PeerMessageError::BadCount { found: payload.len(), max })?;
    if rest.len() != padded(count * each) {
        return Err(length);
    }
    zero("padding", &rest[count * each..])?;
    Ok(&rest[..count * each])
}

fn copy(bytes: &[u8; COPY_BYTES]) -> (Slot, Hash) {
    let (mut slot, mut digest) = ([0; 8], [0; 32]);
    slot.copy_from_slice(&bytes[..8]);
    digest.copy_from_slice(&bytes[8..]);
    (Slot(u64::from_le_bytes(slot)), Hash(digest))
}

/// Bytes of the count before a stripe or copies.
pub(super) const LENGTH_BYTES: usize = 16;

/// Bytes of a slot and a digest.
const COPY_BYTES: usize = 40;

const _: () = assert!(
    LENGTH_BYTES + padded(STRIPE_BYTES_MAX) <= crate::limits::PEER_PAYLOAD_BYTES_MAX,
    "the largest stripe fits a frame"
);
const _: () = assert!(
    LENGTH_BYTES + padded(PEER_COPIES_MAX * COPY_BYTES) <= crate::limits::PEER_PAYLOAD_BYTES_MAX,
    "the most copies fit a frame"
);
const _: () = assert!(
    16 + STRIPE_EVENTS_MAX * 32 <= crate::limits::PEER_PAYLOAD_BYTES_MAX,
    "a digest for each event of the largest stripe fits a frame"
);
