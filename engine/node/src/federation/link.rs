//! The connections of one core to its peers, proved or not.
//!
//! Invariant: a link that is established belongs to exactly one place of [`super::places::Places`], which names it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use assize_wire::peer::{PeerHello, PeerKind, PeerRefused, PeerWelcome, write_peer_frame};

use crate::limits::{LINK_FAREWELL_NS, LINK_HANDSHAKE_NS, LINK_QUIET_NS, LINK_SILENCE_NS};

/// A connection of one core to a peer. Never names two: a reused index has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// Its index in the core's table.
    pub index: u32,
    /// How often the index was used before.
    pub generation: u32,
}

/// How far a connection is. Places are indexes into [`super::places::Places`].
#[derive(Debug)]
pub(super) enum Stage {
    /// Acceptor: a `Hello` is to come.
    Accepted,
    /// Dialer: a `Welcome` is to come.
    Greeted { place: usize, hello: PeerHello },
    /// Acceptor: a `Proof` is to come.
    Welcomed { place: usize, hello: PeerHello, welcome: Box<PeerWelcome> },
    /// Both have proved themselves.
    Established { place: usize },
    /// Nothing more is read; it is closed once what waits is sent.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stage: Stage,
    /// Counts the links of this core: which of two was made later.
    pub(super) order: u64,
    /// Frames that wait to be sent; at most `LINK_UNSENT_BYTES_MAX`, a keep-alive or refusal beyond it.
    pub(super) out: Vec<u8>,
    /// Whether a message found no room since bytes were last taken.
    pub(super) was_full: bool,
    /// It is to be closed at once, whatever is being sent.
    pub(super) given_up: bool,
    /// When this stage must be over, unless it is established.
    until: u64,
    /// When something last came.
    heard: u64,
    /// When something was last sent.
    spoke: u64,
    listed: bool,
}

impl Link {
    /// Whether the other side has proved nothing yet.
    pub(super) fn is_unproved(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::Welcomed { .. })
    }

    /// When [`super::Federation::handle_time`] has something to do for it.
    pub(super) fn due(&self) -> u64 {
        match self.stage {
            Stage::Closing if self.given_up => u64::MAX,
            Stage::Established { .. } if self.out.is_empty() => {
                (self.spoke + LINK_QUIET_NS).min(self.heard + LINK_SILENCE_NS)
            }
            Stage::Established { .. } => self.heard + LINK_SILENCE_NS,
            _ => self.until,
        }
    }

    pub(super) fn note_heard(&mut self, now: u64) {
        self.heard = now;
    }

    pub(super) fn is_silent(&self, now: u64) -> bool {
        now >= self.heard + LINK_SILENCE_NS
    }

    pub(super) fn is_quiet(&self, now: u64) -> bool {
        self.out.is_empty() && now >= self.spoke + LINK_QUIET_NS
    }

    pub(super) fn is_overdue(&self, now: u64) -> bool {
        now >= self.until
    }

    pub(super) fn note_spoke(&mut self, now: u64) {
        self.spoke = now;
    }
}

/// All connections of a core.
#[derive(Debug, Default)]
pub(super) struct Links {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Links with something to send or to close, each once.
    dirty: Vec<LinkId>,
    opened: u64,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    link: Option<Link>,
}

impl Links {
    pub(super) fn open(&mut self, stage: Stage, now: u64) -> LinkId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, link: None });
            self.entries.len() as u32 - 1
        });
        self.opened += 1;
        let entry = &mut self.entries[index as usize];
        entry.link = Some(Link {
            stage,
            order: self.opened,
            out: Vec::new(),
            was_full: false,
            given_up: false,
            until: now + LINK_HANDSHAKE_NS,
            heard: now,
            spoke: now,
            listed: false,
        });
        LinkId { index, generation: entry.generation }
    }

    /// The socket is gone.
    pub(super) fn close(&mut self, id: LinkId) -> Option<Link> {
        self.get(id)?;
        let entry = &mut self.entries[id.index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.index);
        entry.link.take()
    }

    pub(super) fn get(&mut self, id: LinkId) -> Option<&mut Link> {
        let entry = self.entries.get_mut(id.index as usize)?;
        entry.link.as_mut().filter(|_| entry.generation == id.generation)
    }

    /// Every link, with its id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let id = LinkId { index: index as u32, generation: entry.generation };
            entry.link.as_ref().map(|link| (id, link))
        })
    }

    /// Appends a frame to what waits to be sent.
    pub(super) fn write(&mut self, id: LinkId, kind: PeerKind, payload: impl FnOnce(&mut Vec<u8>), now: u64) {
        let Some(link) = self.get(id) else { return };
        write_peer_frame(&mut link.out, kind, payload);
        link.note_spoke(now);
        self.list(id);
    }

    /// Puts a link among those with something to send or to close.
    pub(super) fn list(&mut self, id: LinkId) {
        if let Some(link) = self.get(id)
            && !link.listed
        {
            link.listed = true;
            self.dirty.push(id);
        }
    }

    /// Closes it once a last frame, which says why, is sent; or after a while, if the other side does not read.
    pub(super) fn refuse(&mut self, id: LinkId, refused: &PeerRefused, now: u64) {
        self.write(id, PeerKind::Refused, |out| refused.encode(out), now);
        self.finish(id, now);
    }

    /// Closes it once what waits is sent.
    pub(super) fn finish(&mut self, id: LinkId, now: u64) {
        if let Some(link) = self.get(id) {
            link.stage = Stage::Closing;
            link.until = now + LINK_FAREWELL_NS;
            self.list(id);
        }
    }

    /// Closes it at once.
    pub(super) fn give_up(&mut self, id: LinkId) {
        if let Some(link) = self.get(id) {
            link.stage = Stage::Closing;
            link.given_up = true;
            link.out = Vec::new();
            self.list(id);
        }
    }

    /// The next link with something to send or to close.
    pub(super) fn poll_dirty(&mut self) -> Option<LinkId> {
        loop {
            let id = self.dirty.pop()?;
            if let Some(link) = self.get(id) {
                link.listed = false;
                return Some(id);
            }
        }
    }
}
