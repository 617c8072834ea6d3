//! A shard's part of a **checkpoint** (L6, X5, W5): its state after every stripe up to one slot, given out in small
//! steps while stripes above that slot go on, and taken up again at a start.
//!
//! It begins in the middle of the slot's way through the shard, each component at the moment when what the slot and
//! those below it did can still be told from what comes after:
//! 1. the slot's stripe is *examined*: the Warden's keys up to here belong to the part;
//! 2. its *turns* are open: an entity that a later turn acquires keeps its pre-image;
//! 3. the slot is *finished*: everything is back, room and counts are those after the slot, and steps may be taken.
//!
//! It never does I/O, and it does not know whether what it gave out became durable until it is told.

mod restore;

pub use restore::{RestoreError, ShardRestore};

use alloc::vec::Vec;

use assize_wire::checkpoint::{
    ENTITY_HEAD_BYTES, ListDigest, PartHead, SAVED_KEY_BYTES, SavedEntity, SumDigest,
};
use assize_wire::{Hash, LogicVersions, ShardId, Slot, StreamTime};

use crate::Shard;
use crate::limits::{
    CHECKPOINT_RECORD_BYTES_MIN, CHECKPOINT_STEP_ENTITIES, CHECKPOINT_STEP_KEYS, WINDOW_SLOTS_MAX,
};
use crate::warden::KeyNumbers;

/// One record of a part, its payload given apart. In this order: keys, entities, the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartRecord {
    /// The keys `first .. next`.
    Keys {
        /// Number of the first.
        first: u64,
        /// Number of the one after the last.
        next: u64,
    },
    /// Some entities.
    Entities {
        /// Counts the part's records of entities, from 0.
        number: u64,
    },
    /// The head: the part is complete.
    Head {
        /// The head.
        head: PartHead,
        /// How many records of entities there are.
        records: u64,
    },
}

/// What a step of a checkpoint came to.
#[must_use = "a part without one of its records is not whole"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointStep {
    /// There is nothing to do: no checkpoint is being taken, or its slot is not finished here.
    Idle,
    /// It looked at records and found nothing to write. There is more to do.
    Walked,
    /// A record's payload was appended.
    Record(PartRecord),
}

/// A part that is being taken.
#[derive(Debug)]
pub(crate) struct Taking {
    slot: Slot,
    /// Of its keys.
    keys: KeyNumbers,
    /// What evaluates the slot after it.
    logic: LogicVersions,
    /// Room in the slots above and the number of entities, once the slot is finished.
    finished: Option<(u8, u64)>,
    records: u64,
    entities: u64,
    entities_digest: SumDigest,
    keys_digest: ListDigest,
}

/// What a shard's entities come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDigest {
    /// Whose.
    pub shard: ShardId,
    /// After which slot.
    pub slot: Slot,
    /// How many entities exist.
    pub entities: u64,
    /// The sum of their hashes.
    pub digest: SumDigest,
}

impl StateDigest {
    /// What the entities of all shards of a replica come to, and the slot through which each of them executed: the same
    /// on all replicas that executed the same slots. Nothing of no shards.
    #[must_use]
    pub fn of_all(digests: &[StateDigest]) -> Option<(Slot, Hash)> {
        let mut digests = digests.to_vec();
        digests.sort_by_key(|digest| digest.shard);
        let slot = digests.iter().map(|digest| digest.slot).min()?;
        let mut bytes = Vec::new();
        for digest in &digests {
            bytes.extend_from_slice(&digest.shard.0.to_le_bytes());
            bytes.extend_from_slice(&digest.entities.to_le_bytes());
            bytes.extend_from_slice(&digest.digest.to_bytes());
        }
        Some((slot, Hash::of(&bytes)))
    }
}

impl Shard {
    /// The next step of a checkpoint's part, which may append a record's payload of at most `bytes_max` bytes to `out`.
    ///
    /// # Panics
    /// When `bytes_max` is below [`CHECKPOINT_RECORD_BYTES_MIN`].
    pub fn checkpoint_step(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> CheckpointStep {
        assert!(bytes_max >= CHECKPOINT_RECORD_BYTES_MIN, "records of {bytes_max} bytes are too small");
        let Some(mut taking) = self.taking.take() else { return CheckpointStep::Idle };
        let Some((rooms, count)) = taking.finished else {
            self.taking = Some(taking);
            return CheckpointStep::Idle;
        };
        let keys = CHECKPOINT_STEP_KEYS.min((bytes_max / SAVED_KEY_BYTES) as u64);
        if let Some(keys) = self.warden.save_next(keys, out, &mut taking.keys_digest) {
            self.taking = Some(taking);
            return CheckpointStep::Record(PartRecord::Keys { first: keys.first, next: keys.next });
        }
        let from = out.len();
        let entity_bytes = ENTITY_HEAD_BYTES + self.state_bytes_max;
        let entities = CHECKPOINT_STEP_ENTITIES.min((bytes_max / entity_bytes) as u32);
        if let Some(saved) = self.entities.save_next(entities, out) {
            let number = taking.records;
            taking.entities += saved;
            taking.records += u64::from(saved > 0);
            add_entities(&mut taking.entities_digest, &out[from..]);
            self.taking = Some(taking);
            return match saved {
                0 => CheckpointStep::Walked,
                _ => CheckpointStep::Record(PartRecord::Entities { number }),
            };
        }
        assert!(
            taking.entities == count,
            "{} entities were given out after slot {}, there were {count}",
            taking.entities,
            taking.slot
        );
        let KeyNumbers { live: keys_from, next: keys_next, digested_from: keys_digested_from } = taking.keys;
        let head = PartHead {
            slot: taking.slot,
            shard: self.rules.shard,
            rooms,
            entities: count,
            keys_from,
            keys_next,
            keys_digested_from,
            entities_digest: taking.entities_digest,
            keys_digest: taking.keys_digest.hash(),
            logic: taking.logic,
        };
        out.extend_from_slice(&head.encode());
        CheckpointStep::Record(PartRecord::Head { head, records: taking.records })
    }

    /// The digest of every entity's state as it is now: the same on all replicas that executed the same slots, wherever
    /// they keep them. It takes time with the number of entities.
    #[must_use]
    pub fn state_digest(&self) -> StateDigest {
        let mut digest = SumDigest::EMPTY;
        let mut encoded = Vec::new();
        for at in self.entities.iter() {
            let Some(state) = self.entities.state(at) else { continue };
            let (domain, id) = self.entities.name(at);
            encoded.clear();
            SavedEntity { domain, id, state }.encode(&mut encoded);
            add_entities(&mut digest, &encoded);
        }
        StateDigest {
            shard: self.rules.shard,
            slot: self.executed(),
            entities: self.entities.present(),
            digest,
        }
    }

    /// Whether a checkpoint's part is being taken.
    #[must_use]
    pub fn is_taking_checkpoint(&self) -> bool {
        self.taking.is_some()
    }

    /// Whether a step of a checkpoint has something to do now.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        self.taking.as_ref().is_some_and(|taking| taking.finished.is_some())
    }

    /// The checkpoint with this part is active: its keys need not be written again.
    pub fn handle_checkpoint_active(&mut self, head: &PartHead) {
        assert_eq!(head.shard, self.rules.shard, "the part of another shard");
        self.warden.confirm_saved(head.keys_next);
    }

    /// Begins a checkpoint of all that this shard has after the slot that was executed last, at that slot's stream
    /// time; while no slot is under way. Keys that an earlier checkpoint has are written again: it is for a place where
    /// there is no earlier one.
    pub fn begin_whole_checkpoint(&mut self, time: StreamTime) {
        let slot = self.executed();
        assert!(!self.has_slots_under_way(), "a checkpoint of all after slot {slot} with others under way");
        let keys = self.warden.begin_saving_all(time);
        self.begin_taking(slot, keys);
        self.checkpoint_turned(slot);
        self.checkpoint_finished(slot);
    }

    /// The slot of a checkpoint was examined, and none above it.
    pub(crate) fn checkpoint_examined(&mut self, slot: Slot, time: StreamTime) {
        let keys = self.warden.begin_saving(time);
        self.begin_taking(slot, keys);
    }

    fn begin_taking(&mut self, slot: Slot, keys: KeyNumbers) {
        assert!(self.taking.is_none(), "a checkpoint of slot {slot} within another one");
        self.taking = Some(Taking {
            slot,
            keys,
            logic: self.logic,
            finished: None,
            records: 0,
            entities: 0,
            entities_digest: SumDigest::EMPTY,
            keys_digest: ListDigest::default(),
        });
    }

    /// A flagged slot was examined, and none above it: see [`crate::warden::Warden::note_flagged`].
    pub(crate) fn flagged_examined(&mut self) {
        self.warden.note_flagged();
    }

    /// All turns of a slot are open, and none of a slot above it.
    pub(crate) fn checkpoint_turned(&mut self, slot: Slot) {
        if self.taking.as_ref().is_some_and(|taking| taking.slot == slot) {
            self.entities.begin_saving(slot);
        }
    }

    /// A slot is finished, and none above it.
    pub(crate) fn checkpoint_finished(&mut self, slot: Slot) {
        let (rooms, count) = (self.rooms_above(slot), self.entities_executed);
        if let Some(taking) = self.taking.as_mut().filter(|taking| taking.slot == slot) {
            taking.finished = Some((rooms, count));
        }
    }

    /// Bit n: there is room for new entities in the n-th slot above a finished one (D5).
    fn rooms_above(&self, slot: Slot) -> u8 {
        let room = |above: u64| self.room[((slot.0 + 1 + above) % WINDOW_SLOTS_MAX) as usize];
        (0..WINDOW_SLOTS_MAX).fold(0, |rooms, above| rooms | u8::from(room(above)) << above)
    }
}

/// Adds encoded entities to a digest.
pub(crate) fn add_entities(digest: &mut SumDigest, mut encoded: &[u8]) {
    while !encoded.is_empty() {
        let (_, own, after) = SavedEntity::parse(encoded).expect("it was encoded here");
        digest.add(own);
        encoded = after;
    }
}

const _: () = assert!(WINDOW_SLOTS_MAX == 8, "a head has one bit for each slot of the window");
