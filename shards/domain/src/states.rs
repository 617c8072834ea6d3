//! The arguments of a domain: which entities, their states, and where its response goes.

use assize_wire::EntityId;
use assize_wire::limits::{ENTITY_STATE_BYTES_MAX, EVENT_ENTITIES_MAX, RESPONSE_BYTES_MAX};

/// The entities of one event, in the domain's order, at most [`EVENT_ENTITIES_MAX`].
#[derive(Clone, Debug)]
pub struct Entities {
    ids: [EntityId; EVENT_ENTITIES_MAX],
    length: usize,
    overflowed: bool,
    /// Entities that did not fit.
    refused: u32,
}

impl Entities {
    /// None yet.
    #[must_use]
    pub fn new() -> Entities {
        Entities { ids: [EntityId(0); EVENT_ENTITIES_MAX], length: 0, overflowed: false, refused: 0 }
    }

    /// Adds one. One too many makes the event invalid.
    ///
    /// # Panics
    /// When it is called without end ([`CALLS_MAX`]): the event's outcome is `fault`.
    pub fn push(&mut self, entity: EntityId) {
        if self.length == EVENT_ENTITIES_MAX {
            self.overflowed = true;
            self.refused += 1;
            assert!(self.refused < CALLS_MAX, "a domain that names entities without end");
            return;
        }
        self.ids[self.length] = entity;
        self.length += 1;
    }

    /// Forgets all, for the next event.
    pub fn clear(&mut self) {
        self.length = 0;
        self.overflowed = false;
        self.refused = 0;
    }

    /// The entities, in the order they were added.
    #[must_use]
    pub fn as_slice(&self) -> &[EntityId] {
        &self.ids[..self.length]
    }

    /// Whether there is at least one, none too many and none twice.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let ids = self.as_slice();
        let distinct = ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id));
        !ids.is_empty() && !self.overflowed && distinct
    }
}

impl Default for Entities {
    fn default() -> Entities {
        Entities::new()
    }
}

/// A state of one entity, absent or up to [`ENTITY_STATE_BYTES_MAX`] bytes, as a domain reads and changes it.
#[derive(Clone, Debug)]
pub struct Cell {
    bytes: [u8; ENTITY_STATE_BYTES_MAX],
    length: u8,
    present: bool,
    changed: bool,
}

impl Cell {
    /// An entity that does not exist.
    #[must_use]
    pub fn absent() -> Cell {
        Cell { bytes: [0; ENTITY_STATE_BYTES_MAX], length: 0, present: false, changed: false }
    }

    /// Takes a state over from the engine, as not changed.
    pub fn load(&mut self, state: Option<&[u8]>) {
        self.present = state.is_some();
        self.changed = false;
        self.fill(state.unwrap_or(&[]));
    }

    /// The state, or nothing if the entity is absent.
    #[must_use]
    pub fn get(&self) -> Option<&[u8]> {
        self.present.then(|| &self.bytes[..usize::from(self.length)])
    }

    /// Whether a domain set or removed it since it was loaded.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    fn fill(&mut self, state: &[u8]) {
        assert!(state.len() <= ENTITY_STATE_BYTES_MAX, "a state of {} bytes", state.len());
        self.bytes[..state.len()].copy_from_slice(state);
        self.length = state.len() as u8;
    }
}

/// The states of an event's entities, indexed as [`crate::Domain::entities`] added them.
///
/// A domain that runs away is stopped where it asks for something: after [`CALLS_MAX`] calls of one event (D4).
#[derive(Debug)]
pub struct States<'a> {
    cells: &'a mut [Cell],
    calls_left: core::cell::Cell<u32>,
}

impl<'a> States<'a> {
    /// Over these cells.
    #[must_use]
    pub fn new(cells: &'a mut [Cell]) -> States<'a> {
        States { cells, calls_left: core::cell::Cell::new(CALLS_MAX) }
    }

    /// How many entities the event has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The state of entity `index`, or nothing if it is absent.
    ///
    /// # Panics
    /// When it is called without end ([`CALLS_MAX`]): the event's outcome is `fault`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.count_call();
        self.cells[index].get()
    }

    /// Sets the state of entity `index`, creating it if it is absent.
    ///
    /// # Panics
    /// When it is longer than the limit, or called without end ([`CALLS_MAX`]): the event's outcome is `fault`.
    pub fn set(&mut self, index: usize, state: &[u8]) {
        self.count_call();
        let cell = &mut self.cells[index];
        cell.fill(state);
        cell.present = true;
        cell.changed = true;
    }

    /// Makes entity `index` absent.
    ///
    /// # Panics
    /// When it is called without end ([`CALLS_MAX`]): the event's outcome is `fault`.
    pub fn remove(&mut self, index: usize) {
        self.count_call();
        let cell = &mut self.cells[index];
        cell.length = 0;
        cell.present = false;
        cell.changed = true;
    }

    fn count_call(&self) {
        let left = self.calls_left.get();
        assert!(left > 0, "a domain that calls more than {CALLS_MAX} times for one event");
        self.calls_left.set(left - 1);
    }
}

/// What a domain returns to the client, at most [`RESPONSE_BYTES_MAX`] bytes.
#[derive(Clone, Debug)]
pub struct Response {
    bytes: [u8; RESPONSE_BYTES_MAX],
    length: usize,
    calls: u32,
}

impl Response {
    /// Empty.
    #[must_use]
    pub fn new() -> Response {
        Response { bytes: [0; RESPONSE_BYTES_MAX], length: 0, calls: 0 }
    }

    /// Forgets all, for the next event.
    pub fn clear(&mut self) {
        self.length = 0;
        self.calls = 0;
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// When it grows over the limit, or is called without end ([`CALLS_MAX`]): the event's outcome is `fault`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.calls += 1;
        assert!(self.calls <= CALLS_MAX, "a domain that calls more than {CALLS_MAX} times for one event");
        let end = self.length + bytes.len();
        assert!(
            end <= RESPONSE_BYTES_MAX,
            "a response of {end} bytes is over the limit of {RESPONSE_BYTES_MAX}"
        );
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    /// What was appended.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Default for Response {
    fn default() -> Response {
        Response::new()
    }
}

const _: () = assert!(ENTITY_STATE_BYTES_MAX <= u8::MAX as usize, "a cell keeps its length in a byte");

/// How often a domain may call each of these for one event: far more than any event has a use for. The same on every
/// replica, so a domain that is stopped is stopped at the same call everywhere.
pub const CALLS_MAX: u32 = 10_000;
