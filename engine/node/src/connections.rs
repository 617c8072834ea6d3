//! The clients' connections of one core: what was promised to each and what waits to be sent.

use alloc::vec::Vec;

use assize_wire::CoreId;
use assize_wire::frame::{FrameKind, FrameWriter};
use assize_wire::message::{Refused, RefusedCode};

use crate::limits::{HELLO_NS, PARTIAL_FRAME_NS, UNSENT_BYTES_MAX};

/// A connection of one core. Never names two connections: a reused place has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// Its place in the core's table.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

/// A connection, seen from any core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionRef {
    /// The core whose socket it is.
    pub core: CoreId,
    /// The connection there.
    pub connection: ConnectionId,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) greeted: bool,
    /// Events that were taken and not answered yet; at most the credit.
    pub(crate) unanswered: u32,
    /// Frames that wait to be sent.
    pub(crate) out: Vec<u8>,
    /// Since when the client owes us the rest of a frame, or its `Hello`.
    waiting_since: Option<u64>,
    /// Nothing more is read; it is closed once `out` is sent.
    pub(crate) closing: bool,
    /// When [`Connections::close_stalled`] first saw it closing.
    closing_since: Option<u64>,
    /// Its client does not read: it is closed without sending anything more.
    pub(crate) given_up: bool,
    listed: bool,
}

/// All connections of a core.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Connections with something to send or to close, each once.
    dirty: Vec<ConnectionId>,
    open: usize,
    /// Events that are not answered, of those that are not closing.
    unanswered: u32,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    connection: Option<Connection>,
}

impl Connections {
    pub(crate) fn open(&mut self, now: u64) -> ConnectionId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, connection: None });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.connection = Some(Connection {
            greeted: false,
            unanswered: 0,
            out: Vec::new(),
            waiting_since: Some(now),
            closing: false,
            closing_since: None,
            given_up: false,
            listed: false,
        });
        self.open += 1;
        ConnectionId { index, generation: place.generation }
    }

    /// The socket is gone. What is answered to it from here on is dropped: the client asks again with the same keys.
    pub(crate) fn close(&mut self, id: ConnectionId) {
        if self.get(id).is_some() {
            self.begin_closing(id);
            let place = &mut self.places[id.index as usize];
            place.connection = None;
            place.generation = place.generation.wrapping_add(1);
            self.free.push(id.index);
            self.open -= 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// Events that clients who listen wait for.
    pub(crate) fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// So many events of this connection are to be answered.
    pub(crate) fn note_taken(&mut self, id: ConnectionId, events: u32) {
        if let Some(connection) = self.get(id) {
            connection.unanswered += events;
            let listens = !connection.closing;
            self.unanswered += if listens { events } else { 0 };
        }
    }

    /// So many of them were answered.
    pub(crate) fn note_answered(&mut self, id: ConnectionId, events: u32) {
        if let Some(connection) = self.get(id) {
            connection.unanswered -= events;
            let listens = !connection.closing;
            self.unanswered -= if listens { events } else { 0 };
        }
    }

    /// Nobody waits on it any more.
    fn begin_closing(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id)
            && !core::mem::replace(&mut connection.closing, true)
        {
            let unanswered = connection.unanswered;
            self.unanswered -= unanswered;
        }
    }

    /// For each client who listens, how many events it waits for.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = (ConnectionId, u32)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(index, Place { generation, connection })| {
            let connection = connection.as_ref().filter(|connection| !connection.closing)?;
            Some((ConnectionId { index: index as u32, generation: *generation }, connection.unanswered))
        })
    }

    pub(crate) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.places.get_mut(id.index as usize)?;
        place.connection.as_mut().filter(|_| place.generation == id.generation)
    }

    /// Whether what is written to this connection will be sent.
    pub(crate) fn is_listening(&mut self, id: ConnectionId) -> bool {
        self.get(id).is_some_and(|connection| !connection.closing)
    }

    /// Appends frames to what waits to be sent; a reader that is too slow is closed (explicitly, not forgotten).
    pub(crate) fn write(&mut self, id: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.get(id) else { return };
        if connection.closing {
            return;
        }
        write(&mut connection.out);
        if connection.out.len() > UNSENT_BYTES_MAX {
            self.give_up(id);
        } else {
            self.list(id);
        }
    }

    /// Closes a connection whose client does not read. What it was not sent it gets by asking again.
    fn give_up(&mut self, id: ConnectionId) {
        self.begin_closing(id);
        if let Some(connection) = self.get(id) {
            connection.given_up = true;
            connection.out = Vec::new();
            self.list(id);
        }
    }

    /// Closes all of them without another word.
    pub(crate) fn drop_all(&mut self) {
        for index in 0..self.places.len() {
            let generation = self.places[index].generation;
            self.give_up(ConnectionId { index: index as u32, generation });
        }
    }

    /// Puts a connection among those with something to send or to close.
    fn list(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id)
            && !connection.listed
        {
            connection.listed = true;
            self.dirty.push(id);
        }
    }

    /// Sends `code` with a sentence. With `close`, nothing more is read or written after it.
    pub(crate) fn refuse(&mut self, id: ConnectionId, request: u64, refused: &Refused, close: bool) {
        self.write(id, |out| {
            let writer = FrameWriter::begin(out, FrameKind::Refused, request);
            refused.encode(out);
            writer.finish(out);
        });
        if close {
            self.begin_closing(id);
        }
    }

    /// Panics when what is counted is not what there is.
    pub(crate) fn check_invariants(&self) {
        let open = self.places.iter().filter_map(|place| place.connection.as_ref());
        let listening = open.filter(|connection| !connection.closing);
        let unanswered: u32 = listening.map(|connection| connection.unanswered).sum();
        assert!(unanswered == self.unanswered, "{unanswered} events wait, {} counted", self.unanswered);
    }

    /// The next connection with something to send or to close.
    pub(crate) fn poll_dirty(&mut self) -> Option<ConnectionId> {
        loop {
            let id = self.dirty.pop()?;
            if let Some(connection) = self.get(id) {
                connection.listed = false;
                return Some(id);
            }
        }
    }

    /// Remembers since when the client owes the rest of a frame: since the last whole one, if one `came` just now.
    pub(crate) fn note_partial(&mut self, id: ConnectionId, partial: bool, came: bool, now: u64) {
        if let Some(connection) = self.get(id) {
            let since = connection.waiting_since.filter(|_| !came).unwrap_or(now);
            connection.waiting_since = (partial || !connection.greeted).then_some(since);
        }
    }

    /// Closes those that have owed the rest of a frame, or their `Hello`, for too long, and gives those up that do not
    /// take the last words said to them.
    pub(crate) fn close_stalled(&mut self, now: u64) {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            let Some(connection) = &mut place.connection else { continue };
            let id = ConnectionId { index: index as u32, generation: place.generation };
            if connection.closing {
                let since = *connection.closing_since.get_or_insert(now);
                if now.saturating_sub(since) > PARTIAL_FRAME_NS && !connection.given_up {
                    self.give_up(id);
                }
                continue;
            }
            let limit = if connection.greeted { PARTIAL_FRAME_NS } else { HELLO_NS };
            if connection.waiting_since.is_some_and(|since| now.saturating_sub(since) > limit) {
                let refused = Refused {
                    code: RefusedCode::TimedOut,
                    retry_after_us: 0,
                    text: "no whole frame came for 10 seconds: the connection is closed".into(),
                };
                self.refuse(id, 0, &refused, true);
            }
        }
    }
}
