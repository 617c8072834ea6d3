//! What the events of a stripe came to, kept until all have run.
//!
//! Events that wait for different entities run in any order; outcomes and digest have one, by index. A piece is exactly
//! the bytes of one event that the digest covers, so that assembling them is copying.

use alloc::vec::Vec;

use assize_wire::limits::padded;
use assize_wire::outcome::{OUTCOME_HEADER_BYTES, Status};

/// The pieces of one stripe. Reused, so that nothing is allocated for an event.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// In the order of running.
    bytes: Vec<u8>,
    /// By event.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    from: u32,
    ending: Ending,
}

/// How an evaluated event ended, and how long its bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) status: Status,
    pub(crate) reason: u16,
    pub(crate) response_bytes: u16,
    /// Encoded outcome, number of changed entities and their states.
    pub(crate) bytes: u32,
}

impl Ending {
    /// Bytes of its encoded outcome, at the front of the piece.
    pub(crate) fn outcome_bytes(&self) -> usize {
        OUTCOME_HEADER_BYTES + padded(self.response_bytes.into())
    }

    /// The response, given the piece.
    pub(crate) fn response<'a>(&self, piece: &'a [u8]) -> &'a [u8] {
        &piece[OUTCOME_HEADER_BYTES..][..self.response_bytes.into()]
    }
}

impl Pieces {
    /// None yet, of so many events.
    pub(crate) fn begin(&mut self, events: usize) {
        self.bytes.clear();
        self.places.clear();
        self.places.resize(events, Place::NONE);
    }

    /// The bytes of all pieces, to append one to; then [`Pieces::keep`].
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What was appended last is the piece of this event.
    pub(crate) fn keep(&mut self, event: u32, ending: Ending) {
        let place = &mut self.places[event as usize];
        assert!(place.ending.bytes == 0, "event {event} runs twice");
        *place = Place { from: self.bytes.len() as u32 - ending.bytes, ending };
    }

    /// The piece of an event that ran.
    pub(crate) fn get(&self, event: u32) -> (&[u8], Ending) {
        let Place { from, ending } = self.places[event as usize];
        assert!(ending.bytes > 0, "event {event} has not run");
        (&self.bytes[from as usize..][..ending.bytes as usize], ending)
    }
}

impl Place {
    const NONE: Place =
        Place { from: 0, ending: Ending { status: Status::Invalid, reason: 0, response_bytes: 0, bytes: 0 } };
}
