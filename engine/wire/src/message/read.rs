//! `Read` and `States`: entities asked for, their states.

use alloc::vec::Vec;

use zerocopy::little_endian::{U16, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MessageError, count_header};
use crate::limits::{ENTITY_STATE_BYTES_MAX, READ_ENTITIES_MAX, padded};
use crate::{DomainId, EntityId, Slot};

/// How fresh a read must be (C8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Consistency {
    /// The state at a published slot of whatever replica answers.
    Local = 1,
    /// Every event answered before the read was sent is seen.
    Linearizable = 2,
}

/// One entity of a `Read`: 32 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
pub struct EntityRef {
    entity: U128,
    domain: U16,
    reserved: [u8; 14],
}

impl EntityRef {
    /// Names an entity of a domain.
    #[must_use]
    pub fn new(domain: DomainId, entity: EntityId) -> EntityRef {
        EntityRef { entity: U128::new(entity.0), domain: U16::new(domain.0), reserved: [0; 14] }
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> EntityId {
        EntityId(self.entity.get())
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        DomainId(self.domain.get())
    }
}

/// `Read`: a 16-byte header with the number of entities and the consistency, then the entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// What to read, at least 1.
    pub entities: &'a [EntityRef],
}

impl<'a> Read<'a> {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&(self.entities.len() as u32).to_le_bytes());
        header[4] = self.consistency as u8;
        out.extend_from_slice(&header);
        out.extend_from_slice(self.entities.as_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<Read<'a>, MessageError> {
        let (count, rest) = count_header(payload, READ_ENTITIES_MAX)?;
        let consistency = match payload[4] {
            1 => Consistency::Local,
            2 => Consistency::Linearizable,
            found => return Err(MessageError::UnknownConsistency { found }),
        };
        let entities = <[EntityRef]>::ref_from_bytes(rest).map_err(|_| MessageError::Truncated)?;
        if entities.len() != count as usize {
            return Err(MessageError::BadCount { found: count as usize, max: entities.len() });
        }
        Ok(Read { consistency, entities })
    }
}

/// One entry of `States`: a 16-byte header, then the state, padded to a multiple of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityState<'a> {
    /// Which entity of the request.
    pub index: u32,
    /// Its state, or nothing if it is absent.
    pub state: Option<&'a [u8]>,
}

impl<'a> EntityState<'a> {
    /// Appends it to `out`, padded.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.state.unwrap_or(&[]);
        assert!(bytes.len() <= ENTITY_STATE_BYTES_MAX, "a state of {} bytes", bytes.len());
        let mut header = [0; 16];
        header[..4].copy_from_slice(&self.index.to_le_bytes());
        header[4..6].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        header[6] = self.state.is_some().into();
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len() + padded(bytes.len()) - bytes.len(), 0);
    }

    fn parse(bytes: &'a [u8]) -> Result<(EntityState<'a>, &'a [u8]), MessageError> {
        let (header, rest) = bytes.split_first_chunk::<16>().ok_or(MessageError::Truncated)?;
        let index = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        if length > ENTITY_STATE_BYTES_MAX {
            return Err(MessageError::BadCount { found: length, max: ENTITY_STATE_BYTES_MAX });
        }
        if rest.len() < padded(length) {
            return Err(MessageError::Truncated);
        }
        let (body, after) = rest.split_at(padded(length));
        let state = (header[6] == 1).then_some(&body[..length]);
        Ok((EntityState { index, state }, after))
    }
}

/// `States`: a 16-byte header with the number of states and the slot at which they hold, then the states.
#[derive(Clone, Copy, Debug)]
pub struct States<'a> {
    /// A published slot at which these states hold: the last one in which their shard had a part when they were read.
    /// Another shard's may be lower, though it was read later.
    pub slot: Slot,
    count: u32,
    rest: &'a [u8],
}

impl<'a> States<'a> {
    /// The payload's header, to be followed by `count` encoded states.
    #[must_use]
    pub fn header(count: u32, slot: Slot) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes[8..].copy_from_slice(&slot.0.to_le_bytes());
        bytes
    }

    /// Reads the payload's header; the states are checked as they are read.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<States<'a>, MessageError> {
        let (count, rest) = count_header(payload, READ_ENTITIES_MAX)?;
        let slot = payload[8..16].try_into().map_err(|_| MessageError::Truncated)?;
        Ok(States { slot: Slot(u64::from_le_bytes(slot)), count, rest })
    }
}

impl<'a> Iterator for States<'a> {
    type Item = Result<EntityState<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let read = EntityState::parse(self.rest);
        match &read {
            Ok((_, after)) => self.rest = after,
            Err(_) => self.count = 0,
        }
        Some(read.map(|(state, _)| state))
    }
}

const _: () = assert!(size_of::<EntityRef>() == 32);
