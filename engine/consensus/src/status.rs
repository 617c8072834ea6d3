//! What a Docket says of itself.

use assize_wire::{Ballot, ReplicaId};

use crate::docket::{Docket, Readiness, Role, State};
use crate::log::LogTip;
use crate::watermarks::Watermarks;

impl Docket {
    /// What this replica does at present.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.state {
            State::Following => Role::Follower,
            State::Canvassing { .. } | State::Preparing(_) => Role::Candidate,
            State::Leading(_) => Role::Leader,
        }
    }

    /// The ballot under which this replica leads, or [`Ballot::NONE`].
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        // While it leads, nothing higher was promised: it steps down before it promises.
        if matches!(self.state, State::Leading(_)) { self.promised } else { Ballot::NONE }
    }

    /// The ballot that it goes by.
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// Who leads, as far as it is heard.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaId> {
        self.leader
    }

    /// The replicas whose disks messages reach, ascending.
    pub fn connected(&self) -> impl Iterator<Item = ReplicaId> {
        self.connected.iter()
    }

    /// Where the log stands: on a leader the last slot it proposed.
    #[must_use]
    pub fn tip(&self) -> LogTip {
        if matches!(self.state, State::Leading(_)) { self.intake_tip() } else { self.chain.tip() }
    }

    /// How far this replica is.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        Watermarks {
            formed: self.tip().slot,
            accepted: self.accepted,
            chosen: self.chosen,
            published: self.published,
        }
    }

    /// Whether nothing is under way here: no offer waits, nothing is being written, everything chosen is published.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.is_outstanding()
    }

    /// Whether something is under way that ought to move (P9): an own offer, a record that is being written, a slot
    /// that is not chosen or not published.
    #[must_use]
    pub fn is_outstanding(&self) -> bool {
        !self.writing.is_empty()
            || !self.intake.is_empty()
            || !self.offers.is_empty()
            || self.chosen < self.written
            || self.published < self.chosen
    }

    /// Whether this replica has published what a leader that was elected or joined since the start knew chosen: only
    /// then its watermarks, and reads from it, mean anything (R2).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// Whether something that was accepted here once, or may have been, can still not be read: until it is repaired the
    /// promises of this replica do not count there, or only where all count (P5), and one more log that loses the same
    /// slots may stop the cluster.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damaged.is_empty() || !self.doubtful.is_empty()
    }
}
