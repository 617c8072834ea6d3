//! What a client has not finished: events and reads, with their deadlines and retry times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use assize_wire::message::EntityRef;
use assize_wire::{EventKey, ShardId, StreamTime};

use super::clock::Tick;
use super::event::EntityRead;

/// One event without an answer. Its bytes never change: a retry is the same key with the same bytes.
#[derive(Debug)]
pub(super) struct PendingEvent {
    pub key: EventKey,
    pub deadline: StreamTime,
    pub shard: ShardId,
    pub bytes: Vec<u8>,
    /// How often it was told to come back; sets the wait.
    pub attempts: u32,
}

/// One read without all of its states.
#[derive(Debug)]
pub(super) struct PendingRead {
    pub entities: Vec<EntityRef>,
    pub states: Vec<EntityRead>,
    pub seen: Vec<bool>,
    pub missing: usize,
    pub attempts: u32,
}

impl PendingRead {
    pub(super) fn new(entities: Vec<EntityRef>) -> PendingRead {
        let count = entities.len();
        PendingRead {
            entities,
            states: vec![EntityRead::default(); count],
            seen: vec![false; count],
            missing: count,
            attempts: 0,
        }
    }

    /// Forgets partial states: they may hold at another slot than those of the next attempt.
    pub(super) fn restart(&mut self) {
        self.seen.fill(false);
        self.missing = self.entities.len();
    }
}

/// Something to be sent: an event or a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Event(u64),
    Read(u64),
}

/// Events by ticket, reads by number. An id in a queue or a heap whose entry here is gone is skipped.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub events: HashMap<u64, PendingEvent>,
    pub reads: HashMap<u64, PendingRead>,
    deadlines: BinaryHeap<Reverse<(StreamTime, u64)>>,
    retries: BinaryHeap<Reverse<(Tick, Job)>>,
}

impl Pending {
    pub(super) fn insert_event(&mut self, ticket: u64, event: PendingEvent) {
        self.deadlines.push(Reverse((event.deadline, ticket)));
        self.events.insert(ticket, event);
    }

    /// Forgets an event; the caller learned its fate or gave it up.
    pub(super) fn remove_event(&mut self, ticket: u64) -> Option<PendingEvent> {
        let removed = self.events.remove(&ticket);
        // Answered events leave their deadlines behind; clear them before they outnumber the living.
        if self.deadlines.len() > 2 * self.events.len() + 1024 {
            let events = &self.events;
            self.deadlines.retain(|Reverse((_, ticket))| events.contains_key(ticket));
        }
        removed
    }

    /// A job was told to come back: after `hint`, or later if it was told so before.
    pub(super) fn retry_later(&mut self, job: Job, now: Tick, hint: Duration, min: Duration, max: Duration) {
        let attempts = match job {
            Job::Event(ticket) => self.events.get_mut(&ticket).map(|event| &mut event.attempts),
            Job::Read(read) => self.reads.get_mut(&read).map(|read| &mut read.attempts),
        };
        let Some(attempts) = attempts else { return };
        let backoff = min.saturating_mul(1 << (*attempts).min(16)).min(max);
        *attempts += 1;
        self.retries.push(Reverse((now.after(hint.max(backoff)), job)));
    }

    /// The next job whose wait is over.
    pub(super) fn pop_retry(&mut self, now: Tick) -> Option<Job> {
        let Reverse((at, job)) = *self.retries.peek()?;
        (at <= now).then(|| {
            self.retries.pop();
            job
        })
    }

    /// The next event whose deadline is not above `time`.
    pub(super) fn pop_expired(&mut self, time: StreamTime) -> Option<(u64, PendingEvent)> {
        while let Some(Reverse((deadline, ticket))) = self.deadlines.peek().copied() {
            if deadline > time {
                return None;
            }
            self.deadlines.pop();
            if let Some(event) = self.events.remove(&ticket) {
                return Some((ticket, event));
            }
        }
        None
    }

    /// When the next wait is over, and the next deadline.
    pub(super) fn next(&self) -> (Tick, Option<StreamTime>) {
        let retry = self.retries.peek().map_or(Tick::NEVER, |Reverse((at, _))| *at);
        (retry, self.deadlines.peek().map(|Reverse((deadline, _))| *deadline))
    }
}
