//! What the records of a checkpoint hold (L6): for each shard its entities, the keys of its Warden, and a head.
//!
//! All little-endian, back to back, without padding:
//!
//! | record | its payload |
//! |---|---|
//! | entities | each: domain 2, id 16, length of the state 1, state. In no order |
//! | keys | each: 56 bytes as the Warden keeps them, in order of arrival |
//! | head | see below |
//!
//! | head | field |
//! |---|---|
//! | 0..8 | slot |
//! | 8..10 | shard |
//! | 10 | bit n: there is room for new entities in the n-th slot after this one (D5) |
//! | 11..16 | 0 |
//! | 16..24 | entities |
//! | 24..32 | number of the oldest key that is live |
//! | 32..40 | number of the next key |
//! | 40..48 | number of the key that was the next one at the flagged slot before this one |
//! | 48..80 | digest of the entities |
//! | 80..112 | digest of the live keys from that number on, in order |
//! | 112..152 | the versions of the domains' logic: how many (2), 0 (6), of each domain 2, version 2; then 0 |
//!
//! A head holds nothing that two replicas which executed the same log may have differently, so the checkpoint's digest
//! over all heads is what they compare (C7). Which keys are digested follows from the log, too: one replica may lack a
//! checkpoint that another has, and then writes more keys, but slots are flagged for all.

use core::fmt;

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::logic::RawLogic;
use crate::{DomainId, EntityId, Hash, LogicVersions, ShardId, Slot, StreamTime};

/// A shard's part of a checkpoint, but for the entities and keys themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The slot after which the part was taken.
    pub slot: Slot,
    /// Whose.
    pub shard: ShardId,
    /// Bit n: there is room for new entities in slot `slot + 1 + n` (D5).
    pub rooms: u8,
    /// Entities that exist.
    pub entities: u64,
    /// Number of the oldest key that is live at the slot's stream time. Keys are numbered as they arrive.
    pub keys_from: u64,
    /// Number of the next key. Keys `keys_from .. keys_next` belong to the part.
    pub keys_next: u64,
    /// Number of the key that was the next one at the flagged slot before this one, whether or not a checkpoint was
    /// taken there.
    pub keys_digested_from: u64,
    /// Of the entities.
    pub entities_digest: SumDigest,
    /// Of the live keys from `keys_digested_from` on, a [`ListDigest`]: older ones were compared before.
    pub keys_digest: Hash,
    /// What evaluates from the next slot on (R5).
    pub logic: LogicVersions,
}

impl PartHead {
    /// Of a shard without anything.
    #[must_use]
    pub fn empty(slot: Slot, shard: ShardId) -> PartHead {
        PartHead {
            slot,
            shard,
            rooms: 0,
            entities: 0,
            keys_from: 0,
            keys_next: 0,
            keys_digested_from: 0,
            entities_digest: SumDigest::EMPTY,
            keys_digest: ListDigest::default().hash(),
            logic: LogicVersions::NONE,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; PART_HEAD_BYTES] {
        let raw = RawHead {
            slot: self.slot.0.into(),
            shard: self.shard.0.into(),
            rooms: self.rooms,
            zero: [0; 5],
            entities: self.entities.into(),
            keys_from: self.keys_from.into(),
            keys_next: self.keys_next.into(),
            keys_digested_from: self.keys_digested_from.into(),
            entities_digest: self.entities_digest.to_bytes(),
            keys_digest: self.keys_digest.0,
            logic: self.logic.to_raw(),
        };
        let mut bytes = [0; PART_HEAD_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// Reads a head record's payload.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<PartHead, CheckpointError> {
        let raw = RawHead::ref_from_bytes(bytes);
        let raw = raw.ok().filter(|raw| raw.zero == [0; 5] && raw.keys_from.get() <= raw.keys_next.get());
        let raw = raw.filter(|raw| raw.keys_digested_from.get() <= raw.keys_next.get());
        let error = CheckpointError::Head { bytes: bytes.len() };
        let raw = raw.ok_or(error)?;
        let logic = LogicVersions::from_raw(&raw.logic).ok_or(error)?;
        Ok(PartHead {
            slot: Slot(raw.slot.get()),
            shard: ShardId(raw.shard.get()),
            rooms: raw.rooms,
            entities: raw.entities.get(),
            keys_from: raw.keys_from.get(),
            keys_next: raw.keys_next.get(),
            keys_digested_from: raw.keys_digested_from.get(),
            entities_digest: SumDigest::from_bytes(&raw.entities_digest),
            keys_digest: Hash(raw.keys_digest),
            logic,
        })
    }
}

/// The digest of a checkpoint: blake3 over its slot's stream time and the hash of its manifest, then the heads of its
/// parts, by shard.
#[must_use]
pub fn digest_of(time: StreamTime, manifest: Hash, heads: &[PartHead]) -> Hash {
    assert!(heads.is_sorted_by_key(|head| head.shard), "heads are digested by shard");
    let mut bytes = alloc::vec::Vec::with_capacity(40 + heads.len() * PART_HEAD_BYTES);
    bytes.extend_from_slice(&time.0.to_le_bytes());
    bytes.extend_from_slice(&manifest.0);
    heads.iter().for_each(|head| bytes.extend_from_slice(&head.encode()));
    Hash::of(&bytes)
}

/// An entity as a checkpoint holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedEntity<'a> {
    /// Its domain.
    pub domain: DomainId,
    /// Its id.
    pub id: EntityId,
    /// Its state.
    pub state: &'a [u8],
}

impl<'a> SavedEntity<'a> {
    /// Appends its bytes.
    pub fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
        let length = u8::try_from(self.state.len()).expect("a state's length fits a byte");
        out.extend_from_slice(&self.domain.0.to_le_bytes());
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.push(length);
        out.extend_from_slice(self.state);
    }

    /// Reads the entity at the front of `bytes` and returns it with its own bytes and what follows them.
    ///
    /// # Errors
    /// [`CheckpointError`] when the bytes end early.
    pub fn parse(bytes: &'a [u8]) -> Result<(SavedEntity<'a>, &'a [u8], &'a [u8]), CheckpointError> {
        let short = CheckpointError::Entity { bytes: bytes.len() };
        let (head, rest) = bytes.split_first_chunk::<ENTITY_HEAD_BYTES>().ok_or(short)?;
        let length = usize::from(head[18]);
        if rest.len() < length {
            return Err(short);
        }
        let (own, after) = bytes.split_at(ENTITY_HEAD_BYTES + length);
        let domain = DomainId(u16::from_le_bytes([head[0], head[1]]));
        let mut id = [0; 16];
        id.copy_from_slice(&head[2..18]);
        let entity = SavedEntity { domain, id: EntityId(u128::from_le_bytes(id)), state: &rest[..length] };
        Ok((entity, own, after))
    }
}

/// A digest of a set, whatever the order in which its members come: the sum of their blake3 hashes, as four 64-bit
/// words without carry between them.
///
/// Replicas keep the same entities in different places, and a checkpoint is written in many small steps, so a digest
/// over them in one order would need a sort of all of them. A sum finds every fault of value, which is what copies
/// are compared for (C2); it is no proof against somebody who forges states to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SumDigest([u64; 4]);

impl SumDigest {
    /// Of no members.
    pub const EMPTY: SumDigest = SumDigest([0; 4]);

    /// Takes in one member.
    pub fn add(&mut self, member: &[u8]) {
        let hash = Hash::of(member);
        for (sum, word) in self.0.iter_mut().zip(hash.0.chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads it back.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> SumDigest {
        let mut words = [0; 4];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().expect("eight bytes"));
        }
        SumDigest(words)
    }
}

/// A digest of members that come in one order on every replica: blake3 over all of them, one after another. Members of
/// equal length only, or two lists could have the same bytes.
///
/// Many short members cost a fifth of what a [`SumDigest`] of them does, which hashes each by itself.
#[derive(Clone, Debug, Default)]
pub struct ListDigest(blake3::Hasher);

impl ListDigest {
    /// Takes in the members that follow.
    pub fn add(&mut self, members: &[u8]) {
        self.0.update(members);
    }

    /// What all of them come to.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}

/// What is wrong with a checkpoint's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// Not a head.
    Head {
        /// Bytes of the payload.
        bytes: usize,
    },
    /// An entity is cut short.
    Entity {
        /// Bytes that are left for it.
        bytes: usize,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::Head { bytes } => write!(f, "{bytes} bytes that are not a checkpoint's head"),
            CheckpointError::Entity { bytes } => {
                write!(f, "an entity of a checkpoint is cut short: {bytes} bytes are left for it")
            }
        }
    }
}

impl core::error::Error for CheckpointError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHead {
    slot: U64,
    shard: U16,
    rooms: u8,
    zero: [u8; 5],
    entities: U64,
    keys_from: U64,
    keys_next: U64,
    keys_digested_from: U64,
    entities_digest: [u8; 32],
    keys_digest: [u8; 32],
    logic: RawLogic,
}

/// Bytes of a head.
pub const PART_HEAD_BYTES: usize = size_of::<RawHead>();

/// Bytes of an entity before its state.
pub const ENTITY_HEAD_BYTES: usize = 19;

/// Bytes of a key.
pub const SAVED_KEY_BYTES: usize = 56;

const _: () = assert!(PART_HEAD_BYTES == 152, "the table above is the layout");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogicVersion;
    use alloc::vec::Vec;

    fn head() -> PartHead {
        let mut digest = SumDigest::EMPTY;
        digest.add(b"a member");
        PartHead {
            slot: Slot(7),
            shard: ShardId(3),
            rooms: 0b1010_0101,
            entities: 12,
            keys_from: 5,
            keys_next: 9,
            keys_digested_from: 6,
            entities_digest: digest,
            keys_digest: Hash::of(b"keys"),
            logic: [LogicVersion { domain: DomainId(4), version: 2 }].into_iter().collect(),
        }
    }

    #[test]
    fn a_head_comes_out_as_it_went_in_and_every_byte_of_it_counts() {
        let bytes = head().encode();
        assert_eq!(PartHead::parse(&bytes), Ok(head()));
        for at in 0..bytes.len() {
            let mut flipped = bytes;
            flipped[at] ^= 0x10;
            let read = PartHead::parse(&flipped);
            let digest = |head| digest_of(StreamTime(5), Hash([6; 32]), &[head]);
            assert!(read.is_err() || digest(read.unwrap()) != digest(head()), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert!(PartHead::parse(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn entities_come_out_as_they_went_in() {
        let mut bytes = Vec::new();
        let entities = [&[1u8, 2, 3][..], &[], &[9; 200]].map(|state| SavedEntity {
            domain: DomainId(4),
            id: EntityId(state.len() as u128),
            state,
        });
        entities.iter().for_each(|entity| entity.encode(&mut bytes));
        let mut rest = &bytes[..];
        for entity in entities {
            let (read, _, after) = SavedEntity::parse(rest).unwrap();
            assert_eq!(read, entity);
            rest = after;
        }
        assert!(rest.is_empty());
        assert!(SavedEntity::parse(&bytes[..18]).is_err() && SavedEntity::parse(&bytes[..20]).is_err());
    }

    #[test]
    fn c7_a_sum_digest_depends_on_the_members_and_not_on_their_order() {
        let sum = |members: &[&[u8]]| {
            let mut digest = SumDigest::EMPTY;
            members.iter().for_each(|member| digest.add(member));
            digest
        };
        assert_eq!(sum(&[b"a", b"b", b"c"]), sum(&[b"c", b"a", b"b"]));
        assert_ne!(sum(&[b"a", b"b"]), sum(&[b"a", b"b", b"b"]));
        assert_ne!(sum(&[b"a", b"b"]), sum(&[b"a", b"d"]));
        let digest = sum(&[b"a"]);
        assert_eq!(SumDigest::from_bytes(&digest.to_bytes()), digest);
    }

    #[test]
    fn c7_a_list_digest_depends_on_the_order_and_not_on_how_the_members_come() {
        let list = |parts: &[&[u8]]| {
            let mut digest = ListDigest::default();
            parts.iter().for_each(|part| digest.add(part));
            digest.hash()
        };
        assert_eq!(list(&[b"a", b"bc"]), list(&[b"ab", b"c"]));
        assert_ne!(list(&[b"a", b"b"]), list(&[b"b", b"a"]));
        assert_eq!(list(&[]), PartHead::empty(Slot(1), ShardId(0)).keys_digest);
    }
}
