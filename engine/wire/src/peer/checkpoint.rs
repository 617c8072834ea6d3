//! What replicas say to each other of checkpoints: what became of one (C7), and its records, for a replica whose own
//! log does not reach to where the others' begin (L6).

use alloc::vec::Vec;

use super::hello::zero;
use super::message::{LENGTH_BYTES, counted};
use super::{PeerKind, PeerMessageError};
use crate::limits::{PEER_PART_BYTES_MAX, padded};
use crate::{Ballot, Hash, Slot, StreamTime};

/// What a replica says of a checkpoint (C7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointTold {
    /// The flagged slot.
    pub slot: Slot,
    /// Computed from the bytes at rest ([`crate::checkpoint::digest_of`]); never [`Hash::ZERO`]. None if the sender
    /// took no checkpoint after this slot, could not finish it, or does not know any more.
    pub digest: Option<Hash>,
    /// The sender's active checkpoint, if it has one. What is at or below its slot is gone from its log.
    pub active: Option<CheckpointOffer>,
}

/// A checkpoint that counts: `copies` replicas have reported its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointOffer {
    /// It holds the state after this slot; not 0.
    pub slot: Slot,
    /// The slot's stream time.
    pub time: StreamTime,
    /// The hash of the slot's manifest.
    pub manifest: Hash,
    /// Over its heads, the time and the manifest's hash.
    pub digest: Hash,
    /// Not below the ballot under which the slot was chosen: what the sender has promised (P7).
    pub ballot: Ballot,
}

/// A record of a shard's part of a checkpoint, on its way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRecord<'a> {
    /// The checkpoint's slot.
    pub slot: Slot,
    /// Counts the part's records, from 0.
    pub index: u64,
    /// What it holds.
    pub item: PartItem,
    /// The record's payload, at most [`PEER_PART_BYTES_MAX`]; empty with [`PartItem::Gone`].
    pub bytes: &'a [u8],
}

/// What a record of a part holds. They come in this order, the head last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartItem {
    /// Nothing: the sender does not have this checkpoint any more.
    Gone,
    /// A chunk of the outcome stream (W2).
    Outcomes {
        /// The first slot in it.
        first: Slot,
        /// The last one.
        last: Slot,
        /// Stream time of the last one.
        time: StreamTime,
    },
    /// Keys of the Warden.
    Keys {
        /// Number of the first.
        first: u64,
        /// Number of the one after the last.
        next: u64,
    },
    /// Entities.
    Entities {
        /// Counts the records of entities, from 0.
        number: u64,
    },
    /// The head: the part is complete.
    Head {
        /// How many records of entities there are.
        records: u64,
    },
}

impl CheckpointTold {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let CheckpointTold { slot, digest, active } = self;
        assert_ne!(*digest, Some(Hash::ZERO), "no digest is zero");
        let none = CheckpointOffer {
            slot: Slot::ZERO,
            time: StreamTime(0),
            manifest: Hash::ZERO,
            digest: Hash::ZERO,
            ballot: Ballot::NONE,
        };
        assert!(active.is_none_or(|active| active.slot > Slot::ZERO), "a checkpoint before the first slot");
        let CheckpointOffer { slot: offered, time, manifest, digest: of_offered, ballot } =
            active.unwrap_or(none);
        for word in [slot.0, offered.0, time.0, ballot.to_raw()] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for hash in [digest.unwrap_or(Hash::ZERO), of_offered, manifest] {
            out.extend_from_slice(&hash.0);
        }
    }

    pub(super) fn parse(bytes: &[u8; CHECKPOINT_BYTES]) -> Result<CheckpointTold, PeerMessageError> {
        let digest = hash_at(bytes, 32);
        let slot = Slot(word_at(bytes, 8));
        if slot == Slot::ZERO {
            zero("a checkpoint that is not there", &bytes[16..32])?;
            zero("a checkpoint that is not there", &bytes[64..])?;
        }
        let offer = CheckpointOffer {
            slot,
            time: StreamTime(word_at(bytes, 16)),
            ballot: Ballot::from_raw(word_at(bytes, 24)),
            digest: hash_at(bytes, 64),
            manifest: hash_at(bytes, 96),
        };
        Ok(CheckpointTold {
            slot: Slot(word_at(bytes, 0)),
            digest: Some(digest).filter(|digest| *digest != Hash::ZERO),
            active: Some(offer).filter(|offer| offer.slot > Slot::ZERO),
        })
    }
}

impl<'a> CheckpointRecord<'a> {
    pub(super) fn payload_bytes(&self) -> usize {
        PART_HEADER_BYTES + LENGTH_BYTES + padded(self.bytes.len())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.bytes.len() <= PEER_PART_BYTES_MAX, "a record of {} bytes", self.bytes.len());
        let (kind, numbers) = match self.item {
            PartItem::Gone => (0, [0; 3]),
            PartItem::Outcomes { first, last, time } => (1, [first.0, last.0, time.0]),
            PartItem::Keys { first, next } => (2, [first, next, 0]),
            PartItem::Entities { number } => (3, [number, 0, 0]),
            PartItem::Head { records } => (4, [records, 0, 0]),
        };
        for word in [self.slot.0, self.index, kind].into_iter().chain(numbers) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&(self.bytes.len() as u128).to_le_bytes());
        out.extend_from_slice(self.bytes);
    }

    pub(super) fn parse(payload: &'a [u8]) -> Result<CheckpointRecord<'a>, PeerMessageError> {
        let kind = PeerKind::Part;
        let length = PeerMessageError::Length { kind, bytes: payload.len() };
        let (header, rest) = payload.split_first_chunk::<PART_HEADER_BYTES>().ok_or(length)?;
        let bytes = counted(kind, rest, 1, PEER_PART_BYTES_MAX)?;
        let [a, b, c] = [24, 32, 40].map(|at| word_at(header, at));
        let (item, unused) = match word_at(header, 16) {
            0 => (PartItem::Gone, 24),
            1 => (PartItem::Outcomes { first: Slot(a), last: Slot(b), time: StreamTime(c) }, 48),
            2 => (PartItem::Keys { first: a, next: b }, 40),
            3 => (PartItem::Entities { number: a }, 32),
            4 => (PartItem::Head { records: a }, 32),
            found => return Err(PeerMessageError::BadValue { field: "kind of a record", found }),
        };
        zero("a record of a checkpoint", &header[unused..])?;
        if item == PartItem::Gone && !bytes.is_empty() {
            return Err(length);
        }
        Ok(CheckpointRecord { slot: Slot(word_at(header, 0)), index: word_at(header, 8), item, bytes })
    }
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn hash_at(bytes: &[u8], at: usize) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[at..at + 32]);
    Hash(hash)
}

/// Bytes of what is told of a checkpoint.
pub(super) const CHECKPOINT_BYTES: usize = 128;

/// Bytes of a record before its length.
const PART_HEADER_BYTES: usize = 48;

const _: () = assert!(
    PART_HEADER_BYTES + LENGTH_BYTES + padded(PEER_PART_BYTES_MAX) <= crate::limits::PEER_PAYLOAD_BYTES_MAX,
    "the largest record of a checkpoint fits a frame"
);
