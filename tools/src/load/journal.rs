//! The journal of a run, and its check: after a crash every answered event must be there once, with the same answer.

use assize_wire::event::Event;
use assize_wire::outcome::Status;

use super::error::LoadError;
use crate::client::{AnswerOwned, Client, NewEvent};

/// An event as it was submitted, and the first answer seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The event's bytes: key, deadline, payload.
    pub event: Vec<u8>,
    /// The first answer that reached us; a duplicate's is the one of the submission that was cut off.
    pub answer: AnswerOwned,
}

/// What resubmitting a journal showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalCheck {
    /// Events resubmitted.
    pub checked: usize,
    /// Those whose answer was not a duplicate with the first answer.
    pub mismatches: Vec<JournalMismatch>,
}

/// An event that was answered differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalMismatch {
    /// The event and its first answer.
    pub entry: JournalEntry,
    /// The answer to its resubmission.
    pub again: AnswerOwned,
}

/// Resubmits every recorded event under its key and deadline and compares the duplicate's answer with the first: same
/// status, reason, position and response, byte for byte. Within the TTL only; after it a key is forgotten, rightly.
///
/// # Errors
/// [`LoadError::Client`] when a call fails.
pub fn verify_journal(client: &mut Client, journal: &[JournalEntry]) -> Result<JournalCheck, LoadError> {
    let mut check = JournalCheck::default();
    let recorded: Vec<&JournalEntry> =
        journal.iter().filter(|entry| entry.answer.first_status.is_recorded()).collect();
    for chunk in recorded.chunks(CHUNK_EVENTS) {
        let events: Vec<NewEvent> = chunk.iter().map(|entry| entry.resubmission()).collect();
        let answers = client
            .submit(&events)
            .map_err(|source| LoadError::Client { doing: "resubmitting the journal", source })?;
        check.checked += chunk.len();
        for (entry, again) in chunk.iter().zip(answers) {
            let first = &entry.answer;
            let same = again.status == Status::Duplicate
                && again.first_status == first.first_status
                && again.reason == first.reason
                && again.position == first.position
                && again.response == first.response;
            if !same {
                let entry = (*entry).clone();
                check.mismatches.push(JournalMismatch { entry, again });
            }
        }
    }
    Ok(check)
}

impl JournalEntry {
    /// The event again: same key, same deadline, same bytes.
    ///
    /// # Panics
    /// When `event` is not an event; a journal holds only what was sent.
    #[must_use]
    pub fn resubmission(&self) -> NewEvent {
        let (event, _) = Event::parse(&self.event).expect("a journal holds events that were sent");
        NewEvent::new(event.domain(), event.version(), event.payload().to_vec())
            .with_key(event.key())
            .with_deadline(event.deadline())
    }
}

const CHUNK_EVENTS: usize = 8190;
