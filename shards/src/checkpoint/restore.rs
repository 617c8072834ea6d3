//! A shard from its part of a checkpoint.

use alloc::sync::Arc;
use core::fmt;

use assize_domain::DomainRegistry;
use assize_wire::canary::{self, Canary};
use assize_wire::checkpoint::{CheckpointError, PartHead, SavedEntity, SumDigest};
use assize_wire::{DomainId, EntityId, ShardId, Slot, StreamTime};

use crate::limits::WINDOW_SLOTS_MAX;
use crate::warden::KeysError;
use crate::{PanicGuard, Shard, ShardConfig};

/// A shard that is taking up a part: give it every record's payload, keys in order, then [`ShardRestore::finish`].
pub struct ShardRestore {
    shard: Shard,
    head: PartHead,
    entities: u64,
    digest: SumDigest,
}

impl ShardRestore {
    /// From the part's head. `time` is the stream time of its slot.
    #[must_use]
    pub fn new(
        config: ShardConfig,
        domains: Arc<DomainRegistry>,
        guard: Arc<dyn PanicGuard>,
        head: PartHead,
        time: StreamTime,
    ) -> ShardRestore {
        assert_eq!(head.shard, config.shard, "the part of another shard");
        let mut shard = Shard::begin_after(config, domains, guard, head.slot);
        shard.warden.restore(head.slot, time, head.keys_from);
        for above in 0..WINDOW_SLOTS_MAX {
            let room = head.rooms >> above & 1 == 1 || canary::armed(Canary::RoomNotRestored);
            shard.room[((head.slot.0 + 1 + above) % WINDOW_SLOTS_MAX) as usize] = room;
        }
        if !canary::armed(Canary::LogicNotRestored) {
            shard.logic = head.logic;
        }
        ShardRestore { shard, head, entities: 0, digest: SumDigest::EMPTY }
    }

    /// The part's head.
    #[must_use]
    pub fn head(&self) -> &PartHead {
        &self.head
    }

    /// Takes up a record of entities.
    ///
    /// # Errors
    /// [`RestoreError`]
    pub fn entities(&mut self, payload: &[u8]) -> Result<(), RestoreError> {
        let entities = &mut self.shard.entities;
        let mut rest = payload;
        while !rest.is_empty() {
            let (saved, own, after) = SavedEntity::parse(rest).map_err(RestoreError::Payload)?;
            rest = after;
            self.digest.add(own);
            self.entities += 1;
            let (domain, id) = (saved.domain, saved.id);
            if saved.state.len() > self.shard.state_bytes_max {
                return Err(RestoreError::StateTooLong { domain, entity: id, bytes: saved.state.len() });
            }
            let hash = entities.hash(domain, id);
            let at = entities.find_or_add(hash, domain, id);
            if entities.store(at, Some(saved.state)) != 1 {
                return Err(RestoreError::EntityTwice { domain, entity: id });
            }
        }
        Ok(())
    }

    /// Takes up a record of the keys `first .. next`.
    ///
    /// # Errors
    /// [`RestoreError`]
    pub fn keys(&mut self, first: u64, next: u64, payload: &[u8]) -> Result<(), RestoreError> {
        let next = next.min(self.head.keys_next);
        self.shard.warden.restore_keys(first, next, payload).map_err(RestoreError::Keys)
    }

    /// The shard, once every record was taken up.
    ///
    /// # Errors
    /// [`RestoreError`] when the records are not those that the head is about.
    pub fn finish(mut self) -> Result<Shard, RestoreError> {
        let (entities, head) = (self.entities, &self.head);
        if (entities, self.digest) != (head.entities, head.entities_digest) {
            let (slot, shard) = (head.slot, head.shard);
            return Err(RestoreError::Entities { slot, shard, found: entities, expected: head.entities });
        }
        let found = self.shard.warden.next_number();
        if found != head.keys_next {
            return Err(RestoreError::MissingKeys { shard: head.shard, found, expected: head.keys_next });
        }
        self.shard.entities_executed = entities;
        self.shard.count();
        Ok(self.shard)
    }
}

/// Why a part cannot be taken up. Its records were whole, so a program has written something else than it meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// A record of entities cannot be read.
    Payload(CheckpointError),
    /// A record of keys is not one, or not the next.
    Keys(KeysError),
    /// A state is over the limit of the domains that this program has.
    StateTooLong {
        /// The domain.
        domain: DomainId,
        /// The entity.
        entity: EntityId,
        /// Bytes of the state.
        bytes: usize,
    },
    /// An entity is there twice.
    EntityTwice {
        /// The domain.
        domain: DomainId,
        /// The entity.
        entity: EntityId,
    },
    /// The entities are not those that the head digests.
    Entities {
        /// The checkpoint's slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// Keys are missing at the end.
    MissingKeys {
        /// The shard.
        shard: ShardId,
        /// Number of the first that is missing.
        found: u64,
        /// Number of the one after the last.
        expected: u64,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Payload(error) => error.fmt(f),
            RestoreError::Keys(error) => error.fmt(f),
            RestoreError::StateTooLong { domain, entity, bytes } => write!(
                f,
                "entity {entity} of domain {domain} has a state of {bytes} bytes, more than this program's domains take"
            ),
            RestoreError::EntityTwice { domain, entity } => {
                write!(f, "entity {entity} of domain {domain} is in the checkpoint twice")
            }
            RestoreError::Entities { slot, shard, found, expected } => write!(
                f,
                "the {found} entities of shard {shard} in the checkpoint after slot {slot} are not the {expected} that \
                 its head is about"
            ),
            RestoreError::MissingKeys { shard, found, expected } => {
                write!(f, "keys {found} to {expected} of shard {shard} are missing")
            }
        }
    }
}

impl core::error::Error for RestoreError {}
