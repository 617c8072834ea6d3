//! What must hold at every step, one file for each property. Each says its name first when it finds something broken,
//! so that a failure, and a canary, tells who caught it.

mod agreement;
mod ballots;
mod books;
mod checkpoint;
mod clock;
mod compared;
mod copies;
mod durability;
mod exactly_once;
mod linearizable;
mod liveness;
mod outputs;
pub(crate) mod owed;
mod reads;
mod watermarks;

use std::sync::Arc;

use assize_consensus::Watermarks;
use assize_wire::event::Event;
use assize_wire::{Ballot, Hash, Slot};

pub use liveness::Budget;
pub use reads::Asked;

use crate::left::{LeftCheckpoint, LoggedSlot};
use crate::model::{Ended, Model};
use crate::recorder::Recorder;
use crate::shape::Agreed;
use agreement::Agreement;
use ballots::Ballots;
use clock::Clock;
use compared::Compared;
use copies::Copies;
use exactly_once::ExactlyOnce;
use linearizable::Linearizable;
use outputs::Outputs;
use reads::Told;

/// Panics in the name of a checker when the condition does not hold.
macro_rules! hold {
    ($checker:literal, $condition:expr, $($said:tt)+) => {
        assert!($condition, concat!("[", $checker, "] {}"), format_args!($($said)+))
    };
}
pub(crate) use hold;

/// All checkers of a cluster, and the model that runs along with its log. Replicas are named by their index.
pub struct Checkers {
    /// What the log means.
    pub model: Model,
    agreement: Agreement,
    exactly_once: ExactlyOnce,
    linearizable: Linearizable,
    outputs: Outputs,
    ballots: Ballots,
    told: Told,
    clock: Clock,
    copies: Copies,
    compared: Compared,
    /// By replica.
    marks: Vec<Watermarks>,
    /// By replica: what it computes is made wrong on purpose, so only what leaves the cluster may not be.
    wrong: Vec<bool>,
    ttl_ns: u64,
}

impl Checkers {
    /// For a log that begins at slot 1, of a cluster of this many replicas.
    #[must_use]
    pub fn new(agreed: Agreed, replicas: u8) -> Checkers {
        Checkers {
            ttl_ns: agreed.ttl_ns,
            model: Model::new(agreed),
            agreement: Agreement::new(replicas),
            exactly_once: ExactlyOnce::default(),
            linearizable: Linearizable::default(),
            outputs: Outputs::default(),
            ballots: Ballots::default(),
            told: Told::default(),
            clock: Clock::default(),
            copies: Copies::new(replicas),
            compared: Compared::new(),
            marks: vec![Watermarks::default(); replicas.into()],
            wrong: vec![false; replicas.into()],
        }
    }

    /// What publishing needs, and how far clocks may be apart.
    #[must_use]
    pub fn with(mut self, copies: u8, clock_skew_ns: u64) -> Checkers {
        self.copies.needed = usize::from(copies);
        self.compared.needed = usize::from(copies);
        self.clock.skew_ns = Some(clock_skew_ns);
        self
    }

    /// What a replica computes is made wrong on purpose.
    pub fn expect_wrong(&mut self, replica: usize) {
        self.wrong[replica] = true;
    }

    /// What time it is, whatever clocks show.
    pub fn time(&mut self, now_ns: u64) {
        self.clock.now_ns = now_ns;
    }

    /// After a step of a replica: what became durable, what was stored, how far the replica says that it is.
    pub fn step(&mut self, replica: usize, recorder: &mut Recorder, marks: Watermarks) {
        while let Some(accept) = recorder.poll_accept() {
            self.ballots.accept(&accept);
        }
        while let Some(durable) = recorder.poll_durable() {
            self.agreement.durable(replica, durable);
        }
        self.agreement.claim_through(marks, recorder.slots());
        self.copies.step(replica, marks.chosen);
        while let Some(slot) = self.agreement.poll_chosen() {
            self.clock.chosen(&slot);
            self.model.push(&slot);
            self.exactly_once.slot(&slot, &self.model);
            books::slot(&self.model);
        }
        while let Some(stored) = recorder.poll_stored() {
            durability::published(stored.slot, &self.model);
            self.copies.published(stored.slot);
            if !self.wrong[replica] {
                self.outputs.stored(&stored, &self.model);
            }
            self.exactly_once.stored(&stored);
        }
        let alone = self.marks.len() == 1;
        watermarks::step(self.marks[replica], marks, recorder.accepted(), alone);
        self.agreement.step(replica, marks, recorder.slots());
        self.marks[replica] = marks;
    }

    /// A core of a replica was told that a slot is chosen.
    pub fn told_chosen(&mut self, replica: usize, slot: Slot, hash: Hash) {
        self.agreement.told(replica, slot, hash);
    }

    /// What a replica says of a checkpoint: it is whole and has this digest, or it is relied upon from now on.
    pub fn checkpoint(&mut self, replica: usize, slot: Slot, digest: Option<Hash>) {
        match digest {
            Some(digest) => self.compared.reported(replica, slot, digest, self.wrong[replica]),
            None => self.compared.active(replica, slot),
        }
    }

    /// What is chosen, from slot 1.
    #[must_use]
    pub fn log(&self) -> &[Arc<LoggedSlot>] {
        self.agreement.log()
    }

    /// How many ballots anything was accepted under.
    #[must_use]
    pub fn ballots(&self) -> u64 {
        self.ballots.count()
    }

    /// A replica went down: its marks begin again (R2).
    pub fn down(&mut self, replica: usize) {
        self.marks[replica] = Watermarks::default();
    }

    /// The disk of a replica that is down is lost.
    pub fn lost_disk(&mut self, replica: usize) {
        self.agreement.lost(replica);
    }

    /// Whether a replica has no vote since its disk was lost (R3), as far as [`Checkers::vote_regained`] told.
    #[must_use]
    pub fn is_voteless(&self, replica: usize) -> bool {
        self.agreement.is_voteless(replica)
    }

    /// It has its vote again, and has promised this ballot.
    pub fn vote_regained(&mut self, replica: usize, promised: Ballot) {
        self.agreement.vote_regained(replica, promised);
    }

    /// What a start found, or would find.
    pub fn left(&self, left: &LeftCheckpoint, recorder: &Recorder) {
        checkpoint::left(left, recorder, &self.model, self.ttl_ns);
    }

    /// A client submits an event.
    pub fn submitted(&mut self, event: &[u8]) {
        self.exactly_once.submitted(event);
        self.linearizable.submitted(event);
    }

    /// A client was told how its event ended.
    pub fn answered(&mut self, event: &Event<'_>, found: &Ended) {
        if !found.status.is_final() || found.position.slot == Slot::ZERO {
            // Turned away at the edge: the log knows nothing of it.
            return;
        }
        durability::published(found.position.slot, &self.model);
        self.copies.published(found.position.slot);
        self.outputs.answered(event.key().0, found, &self.model);
        self.exactly_once.answered(found);
        self.linearizable.answered(event, found);
        self.told.answered(event, found);
    }

    /// A client is about to read these accounts.
    #[must_use]
    pub fn asked(&self, accounts: &[u128]) -> Asked {
        self.told.asked(accounts)
    }

    /// A client was told by a replica states of accounts as of a slot.
    pub fn read(&mut self, replica: usize, asked: &Asked, slot: Slot, states: &[(u128, Option<u64>)]) {
        durability::published(slot, &self.model);
        self.told.read(asked, slot, states, self.marks[replica].published, &self.model);
        self.linearizable.read(slot);
    }

    /// A client has read every account while nothing was under way.
    pub fn counted(&self, balances: impl Iterator<Item = u64>) {
        books::counted(balances, &self.model);
    }
}
