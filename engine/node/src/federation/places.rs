//! The lanes of one core to every peer: which link serves each, and when the next is dialed.
//!
//! Invariant: only lanes to replicas with a lower number are dialed; there is at most one dial, or one dialed link, for
//! each at a time.

use alloc::vec::Vec;

use assize_wire::peer::{Generation, Lane};
use assize_wire::{Incarnation, ReplicaId};

use super::link::LinkId;
use crate::limits::{DIAL_PAUSE_NS_MAX, DIAL_PAUSE_NS_MIN, REDIRECTS_MAX};

/// What is done to connect a lane that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialing {
    /// The peer dials.
    Never,
    /// At this time.
    At(u64),
    /// As soon as the shell asks.
    Now,
    /// The shell is at it.
    UnderWay,
    /// This link is being greeted, or is established.
    Linked(LinkId),
}

/// The link that serves a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Established {
    pub(super) link: LinkId,
    /// The peer's disk.
    pub(super) generation: Generation,
    /// Orders the connections that a dialer made: its start, then as they were made.
    pub(super) made: (Incarnation, u64),
}

/// One lane to one peer.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) peer: ReplicaId,
    pub(super) lane: Lane,
    /// The link that serves it.
    pub(super) established: Option<Established>,
    pub(super) dialing: Dialing,
    /// The core of the peer to dial, as last told.
    pub(super) core_offset: u16,
    /// Redirects since the last dial that ended otherwise.
    redirects: u32,
    /// Dials that failed since the last link.
    failures: u32,
}

impl Place {
    /// The peer does not answer, or the link ended: the next dial, after a pause that doubles. `jitter` is any number.
    pub(super) fn retry(&mut self, now: u64, jitter: u64) {
        let pause = (DIAL_PAUSE_NS_MIN << self.failures.min(16)).min(DIAL_PAUSE_NS_MAX);
        self.failures = self.failures.saturating_add(1);
        // Half of it by chance, so that replicas that lost each other at once do not meet again at once.
        self.schedule(now + pause / 2 + jitter % (pause / 2));
    }

    /// The peer refuses: what it takes to mend that is not done in a moment.
    pub(super) fn retry_late(&mut self, now: u64, jitter: u64) {
        self.failures = u32::MAX;
        self.retry(now, jitter);
    }

    /// Another core of the peer owns the lane. Too many of these in a row are a failure.
    pub(super) fn redirect(&mut self, core_offset: u16, now: u64, jitter: u64) {
        self.redirects += 1;
        if self.redirects > REDIRECTS_MAX {
            self.forget_core();
            return self.retry(now, jitter);
        }
        self.core_offset = core_offset;
        if self.dialing != Dialing::Never {
            self.dialing = Dialing::Now;
        }
    }

    /// Nobody is where the peer's core was: its core map may be another now.
    pub(super) fn forget_core(&mut self) {
        self.core_offset = 0;
        self.redirects = 0;
    }

    pub(super) fn connect(&mut self, established: Established) {
        self.established = Some(established);
        self.redirects = 0;
        self.failures = 0;
    }

    fn schedule(&mut self, at: u64) {
        if self.dialing != Dialing::Never {
            self.dialing = Dialing::At(at);
        }
    }
}

/// Every lane of one core to every peer.
#[derive(Debug)]
pub(super) struct Places {
    entries: Vec<Place>,
    lanes: Vec<Lane>,
    own: ReplicaId,
}

impl Places {
    /// Those of replica `own` of `replicas`, all to be dialed at once where this replica dials.
    pub(super) fn new(own: ReplicaId, replicas: u8, lanes: Vec<Lane>) -> Places {
        let peers = (0..replicas).map(ReplicaId).filter(|peer| *peer != own);
        let place = |peer, lane| Place {
            peer,
            lane,
            established: None,
            dialing: if peer < own { Dialing::Now } else { Dialing::Never },
            core_offset: 0,
            redirects: 0,
            failures: 0,
        };
        let entries = peers.flat_map(|peer| lanes.iter().map(move |lane| place(peer, *lane))).collect();
        Places { entries, lanes, own }
    }

    /// The index of a lane to a peer, if this core owns the lane and there is such a peer.
    pub(super) fn find(&self, peer: ReplicaId, lane: Lane) -> Option<usize> {
        if peer == self.own {
            return None;
        }
        let before = usize::from(peer.0) - usize::from(peer > self.own);
        let lane = self.lanes.iter().position(|own| *own == lane)?;
        let index = before * self.lanes.len() + lane;
        (index < self.entries.len()).then_some(index)
    }

    pub(super) fn get(&mut self, index: usize) -> &mut Place {
        &mut self.entries[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.entries.iter_mut()
    }
}
