//! Reads (C8): the states of some entities after one slot.

use alloc::vec::Vec;

use assize_wire::{DomainId, EntityId, Slot};

/// Entities to be read, all with this shard as their home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// Drawn by the caller; the answer carries it.
    pub token: u64,
    /// Which.
    pub entities: Vec<ReadEntity>,
}

/// One entity to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadEntity {
    /// The caller's number for it; the answer carries it.
    pub index: u32,
    /// Its domain.
    pub domain: DomainId,
    /// Its id.
    pub entity: EntityId,
}

/// The answer to a [`ReadRequest`], to be held until `slot` is published by the whole replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Of the request.
    pub token: u64,
    /// The highest slot whose effects it may show. All entities are read after the same stripes.
    pub slot: Slot,
    /// By the request's indexes, in its order: the state, or nothing if the entity is absent.
    pub states: Vec<(u32, Option<Vec<u8>>)>,
}

/// A read that waits for entities to come back.
#[derive(Clone, Debug)]
pub(crate) struct PendingRead {
    pub(crate) answer: ReadAnswer,
}
