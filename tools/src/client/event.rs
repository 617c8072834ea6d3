//! What goes into a client and what comes out: events, answers, completions.

use std::fmt;

use assize_wire::message::Answer;
use assize_wire::outcome::Status;
use assize_wire::{DomainId, EventKey, Position, Slot, StreamTime};

/// An event to be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The idempotency key; drawn at random if not given. Give it to make the submission repeatable by another process.
    pub key: Option<EventKey>,
    /// Until when, in stream time, it may be evaluated; set from the client's options if not given. One that
    /// resubmits a key after a restart gives the first deadline again, or the event may be evaluated twice (W1).
    pub deadline: Option<StreamTime>,
    /// The domain that evaluates it.
    pub domain: DomainId,
    /// The version of the domain's event layout.
    pub version: u16,
    /// The domain's own bytes.
    pub payload: Vec<u8>,
}

impl NewEvent {
    /// With a random key and the default deadline.
    #[must_use]
    pub fn new(domain: DomainId, version: u16, payload: Vec<u8>) -> NewEvent {
        NewEvent { key: None, deadline: None, domain, version, payload }
    }

    /// Under this key.
    #[must_use]
    pub fn with_key(mut self, key: EventKey) -> NewEvent {
        self.key = Some(key);
        self
    }

    /// Until this deadline.
    #[must_use]
    pub fn with_deadline(mut self, deadline: StreamTime) -> NewEvent {
        self.deadline = Some(deadline);
        self
    }
}

/// How the log decided an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerOwned {
    /// How it ended; never `busy` or `not leader`, after which a client tries again.
    pub status: Status,
    /// For a duplicate how the first submission ended; else equal to `status`.
    pub first_status: Status,
    /// The reason for a rejection or for `invalid`; else 0.
    pub reason: u16,
    /// Where the log has it; for a duplicate where it has the first submission.
    pub position: Position,
    /// What the domain returned; for a duplicate what it returned to the first.
    pub response: Vec<u8>,
}

impl AnswerOwned {
    /// Whether the event took effect, now or at its first submission.
    #[must_use]
    pub fn took_effect(&self) -> bool {
        self.first_status == Status::Applied
    }

    pub(crate) fn from_wire(answer: &Answer<'_>) -> AnswerOwned {
        AnswerOwned {
            status: answer.status,
            first_status: answer.first_status,
            reason: answer.reason,
            position: answer.position,
            response: answer.response.to_vec(),
        }
    }
}

/// What was read of an entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityRead {
    /// A published slot at which it holds.
    pub slot: Slot,
    /// Its state; none if it is absent.
    pub state: Option<Vec<u8>>,
}

/// Names one enqueued event within a client. Counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The log decided it.
    Answered(AnswerOwned),
    /// Its deadline passed without an answer: it may or may not have taken effect, and will not from now on (W4).
    Unknown,
}

/// One event that is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The event's ticket.
    pub ticket: Ticket,
    /// Its key.
    pub key: EventKey,
    /// Its deadline, to be given again by one that resubmits the key.
    pub deadline: StreamTime,
    /// What became of it.
    pub outcome: Outcome,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
