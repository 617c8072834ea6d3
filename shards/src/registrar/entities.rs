//! The records of a shard's entities: an index by (domain, id) over a slab of records of one fixed size.
//!
//! A record is id 16, domain 2, length 1, flags 1, queue 4, then the state: one cache line for a small state, and never
//! more of them than its size needs. The slab grows by chunks, so that growing never copies. What a checkpoint takes of
//! them is in `saving.rs`.
//!
//! Invariants:
//! * `present` records are present;
//! * a record is in use while it is present or someone has it or waits for it (outside of a stripe that is running);
//! * the index has exactly the records in use.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use ahash::RandomState;
use assize_wire::{DomainId, EntityId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::saving::Saving;
use crate::index::{Index, Probe};

/// The records.
pub(crate) struct Entities {
    chunks: Vec<Box<[CacheLine]>>,
    stride: usize,
    index: Index,
    hasher: RandomState,
    /// Records that were in use and are not.
    free: Vec<u32>,
    /// Records at or above this one were never in use.
    pub(super) fresh: u32,
    present: u64,
    /// What the flag [`SAVED`] of a record is when no checkpoint wants it any more.
    pub(super) saved_flag: u8,
    /// The checkpoint that is being taken.
    pub(super) saving: Option<Saving>,
}

impl Entities {
    /// None yet; the index has room for `capacity` without growing.
    pub(crate) fn new(capacity: u32, state_bytes_max: usize, seed: u64) -> Entities {
        Entities {
            chunks: Vec::new(),
            stride: stride(STATE + state_bytes_max),
            index: Index::new(capacity),
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(16), 0x52),
            free: Vec::new(),
            fresh: 0,
            present: 0,
            saved_flag: 0,
            saving: None,
        }
    }

    /// How many entities exist.
    pub(crate) fn present(&self) -> u64 {
        self.present
    }

    /// How many records are in use.
    pub(crate) fn records(&self) -> u32 {
        self.index.used()
    }

    pub(crate) fn hash(&self, domain: DomainId, id: EntityId) -> u64 {
        self.hasher.hash_one((domain.0, id.0))
    }

    /// Brings what look-ups of these hashes need into the cache, as far as one can tell: all begin before the first one
    /// ends, so that their misses overlap.
    pub(crate) fn touch_all(&self, hashes: &[u64]) {
        black_box(hashes.iter().fold(0, |all, hash| all ^ self.index.touch(*hash)));
        self.touch_records(hashes.iter().filter_map(|hash| self.index.guess(*hash)));
    }

    /// Brings these records into the cache.
    pub(crate) fn touch_records(&self, records: impl Iterator<Item = u32>) {
        black_box({ records }.fold(0, |all, at| all ^ self.record(at)[FLAGS]));
    }

    /// The record of an entity, if it has one.
    pub(crate) fn find(&self, domain: DomainId, id: EntityId) -> Option<u32> {
        match self.probe(self.hash(domain, id), domain, id) {
            Probe::Found { position, .. } => Some(position),
            Probe::Vacant { .. } => None,
        }
    }

    /// The record of an entity, a new one if it has none. A new one is absent, and goes with [`Entities::tidy`].
    pub(crate) fn find_or_add(&mut self, hash: u64, domain: DomainId, id: EntityId) -> u32 {
        let mut probe = self.probe(hash, domain, id);
        if let Probe::Found { position, .. } = probe {
            return position;
        }
        if self.index.used() == self.index.positions() {
            self.grow();
            probe = self.probe(hash, domain, id);
        }
        let Probe::Vacant { slot } = probe else {
            panic!("entity {id} appeared while the index grew");
        };
        let at = self.free.pop().unwrap_or_else(|| self.add_fresh());
        self.index.fill(slot, hash, at);
        // A checkpoint begins when every record that its slot needs is there: it does not want a new one.
        let saved_flag = self.saved_flag;
        let record = self.record_mut(at);
        record[ID..DOMAIN].copy_from_slice(&id.0.to_le_bytes());
        record[DOMAIN..LENGTH].copy_from_slice(&domain.0.to_le_bytes());
        record[LENGTH] = 0;
        record[FLAGS] = IN_USE | saved_flag;
        record[QUEUE..STATE].copy_from_slice(&NOBODY.to_le_bytes());
        at
    }

    /// The state, or nothing if the entity is absent.
    pub(crate) fn state(&self, at: u32) -> Option<&[u8]> {
        let record = self.record(at);
        assert!(record[FLAGS] & IN_USE != 0, "record {at} is not in use");
        let length = usize::from(record[LENGTH]);
        (record[FLAGS] & PRESENT != 0).then(|| &record[STATE..STATE + length])
    }

    /// Sets the state and returns by how much the number of entities changed.
    pub(crate) fn store(&mut self, at: u32, state: Option<&[u8]>) -> i64 {
        let record = self.record_mut(at);
        assert!(record[FLAGS] & IN_USE != 0, "record {at} is not in use");
        let before = record[FLAGS] & PRESENT != 0;
        let bytes = state.unwrap_or(&[]);
        record[STATE..STATE + bytes.len()].copy_from_slice(bytes);
        record[LENGTH] = bytes.len() as u8;
        let present = if state.is_some() { PRESENT } else { 0 };
        record[FLAGS] = record[FLAGS] & !PRESENT | present;
        let change = i64::from(state.is_some()) - i64::from(before);
        self.present = self.present.checked_add_signed(change).expect("entities are counted");
        change
    }

    /// A bit turns over in the state of an entity that is here and that nobody uses, if there is one: a rehearsed
    /// fault.
    pub(crate) fn flip_bit(&mut self) -> bool {
        let at_rest =
            |at: &u32| self.queue(*at) == NOBODY && self.state(*at).is_some_and(|state| !state.is_empty());
        let found = self.iter().find(at_rest);
        if let Some(at) = found {
            self.record_mut(at)[STATE] ^= 1;
        }
        found.is_some()
    }

    /// The last in the queue for this entity, or [`NOBODY`].
    pub(crate) fn queue(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.record(at)[QUEUE..STATE].try_into().expect("four bytes"))
    }

    pub(crate) fn set_queue(&mut self, at: u32, last: u32) {
        self.record_mut(at)[QUEUE..STATE].copy_from_slice(&last.to_le_bytes());
    }

    /// Gives up the record if the entity is absent and nobody has it or waits for it.
    #[inline]
    pub(crate) fn tidy(&mut self, at: u32) {
        if self.record(at)[FLAGS] & !SAVED == IN_USE && self.queue(at) == NOBODY {
            self.give_up(at);
        }
    }

    fn give_up(&mut self, at: u32) {
        let (domain, id) = self.name(at);
        let Probe::Found { slot, position } = self.probe(self.hash(domain, id), domain, id) else {
            panic!("record {at} of entity {id} is not in the index");
        };
        assert!(position == at, "entity {id} has records {at} and {position}");
        let Entities { index, chunks, hasher, stride, .. } = self;
        index.remove(slot, |at| {
            let (domain, id) = name_in(record_in(chunks, *stride, at));
            hasher.hash_one((domain.0, id.0))
        });
        self.record_mut(at)[FLAGS] = 0;
        self.free.push(at);
    }

    pub(crate) fn name(&self, at: u32) -> (DomainId, EntityId) {
        name_in(self.record(at))
    }

    /// Every record in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.fresh).filter(|at| self.record(*at)[FLAGS] & IN_USE != 0)
    }

    /// Panics when a promise at the head of this file is broken.
    pub(crate) fn check_invariants(&self) {
        let present = self.iter().filter(|at| self.state(*at).is_some()).count() as u64;
        assert!(present == self.present, "{present} entities exist, {} are counted", self.present);
        for at in self.iter() {
            let (domain, id) = self.name(at);
            assert!(self.find(domain, id) == Some(at), "record {at} of entity {id} is not in the index");
            assert!(
                self.state(at).is_some() || self.queue(at) != NOBODY,
                "record {at} of entity {id} is neither present nor wanted"
            );
        }
        self.check_saving();
        assert!(
            self.fresh as usize == self.free.len() + self.index.used() as usize,
            "{} records: {} free, {} in use",
            self.fresh,
            self.free.len(),
            self.index.used()
        );
    }

    fn probe(&self, hash: u64, domain: DomainId, id: EntityId) -> Probe {
        self.index.probe(hash, |at| self.name(at) == (domain, id))
    }

    fn add_fresh(&mut self) -> u32 {
        let at = self.fresh;
        if at as usize == self.chunks.len() * CHUNK_RECORDS {
            let lines = CHUNK_RECORDS * self.stride / CACHE_LINE_BYTES;
            self.chunks.push(vec![CacheLine([0; CACHE_LINE_BYTES]); lines].into_boxed_slice());
        }
        self.fresh += 1;
        at
    }

    /// Only beyond the agreed capacity: stripes under way may overshoot it (D5).
    fn grow(&mut self) {
        let mut index = Index::new(self.index.positions() * 2);
        for at in 0..self.fresh {
            if self.record(at)[FLAGS] & IN_USE != 0 {
                let (domain, id) = self.name(at);
                let hash = self.hash(domain, id);
                let Probe::Vacant { slot } = index.probe(hash, |_| false) else {
                    panic!("a probe that matches nothing found something");
                };
                index.fill(slot, hash, at);
            }
        }
        self.index = index;
    }

    pub(super) fn record(&self, at: u32) -> &[u8] {
        record_in(&self.chunks, self.stride, at)
    }

    pub(super) fn record_mut(&mut self, at: u32) -> &mut [u8] {
        let from = at as usize % CHUNK_RECORDS * self.stride;
        &mut self.chunks[at as usize / CHUNK_RECORDS].as_mut_bytes()[from..from + self.stride]
    }
}

fn record_in(chunks: &[Box<[CacheLine]>], stride: usize, at: u32) -> &[u8] {
    let from = at as usize % CHUNK_RECORDS * stride;
    &chunks[at as usize / CHUNK_RECORDS].as_bytes()[from..from + stride]
}

/// Bytes from one record to the next: a part of a cache line or whole ones, so that none begins in the middle of one
/// and ends in the next.
fn stride(record_bytes: usize) -> usize {
    match record_bytes <= CACHE_LINE_BYTES {
        true => record_bytes.next_power_of_two(),
        false => record_bytes.next_multiple_of(CACHE_LINE_BYTES),
    }
}

/// What the processor reads at once.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(64))]
struct CacheLine([u8; CACHE_LINE_BYTES]);

const CACHE_LINE_BYTES: usize = 64;

fn name_in(record: &[u8]) -> (DomainId, EntityId) {
    let id = u128::from_le_bytes(record[ID..DOMAIN].try_into().expect("sixteen bytes"));
    let domain = u16::from_le_bytes(record[DOMAIN..LENGTH].try_into().expect("two bytes"));
    (DomainId(domain), EntityId(id))
}

/// In place of the last in a queue: the entity is here and nobody wants it.
pub(crate) const NOBODY: u32 = u32::MAX;

const CHUNK_RECORDS: usize = 1024;

/// Where the fields of a record begin.
const ID: usize = 0;
const DOMAIN: usize = 16;
const LENGTH: usize = 18;
pub(super) const FLAGS: usize = 19;
const QUEUE: usize = 20;
const STATE: usize = 24;

pub(super) const IN_USE: u8 = 1;
const PRESENT: u8 = 2;
pub(super) const SAVED: u8 = 4;
