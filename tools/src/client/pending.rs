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
    /// Until when an answer is waited for: its deadline, or later if that had passed when it was taken in.
    pub give_up_at: StreamTime,
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
    give_ups: BinaryHeap<Reverse<(StreamTime, u64)>>,
    retries: BinaryHeap<Reverse<(Tick, Job)>>,
}

impl Pending {
    pub(super) fn insert_event(&mut self, ticket: u64, event: PendingEvent) {
        self.give_ups.push(Reverse((event.give_up_at, ticket)));
        self.events.insert(ticket, event);
    }

    /// Forgets an event; the caller learned its fate or gave it up.
    pub(super) fn remove_event(&mut self, ticket: u64) -> Option<PendingEvent> {
        let removed = self.events.remove(&ticket);
        // Answered events leave their entries behind; clear them before they outnumber the living.
        if self.give_ups.len() > 2 * self.events.len() + 1024 {
            let events = &self.events;
            self.give_ups.retain(|Reverse((_, ticket))| events.contains_key(ticket));
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

    /// The next event that is not waited for beyond `time`.
    pub(super) fn pop_given_up(&mut self, time: StreamTime) -> Option<(u64, PendingEvent)> {
        while let Some(Reverse((give_up_at, ticket))) = self.give_ups.peek().copied() {
            if give_up_at > time {
                return None;
            }
            self.give_ups.pop();
            if let Some(event) = self.events.remove(&ticket) {
                return Some((ticket, event));
            }
        }
        None
    }

    /// When the next wait is over, and when the next event is given up.
    pub(super) fn next(&self) -> (Tick, Option<StreamTime>) {
        let retry = self.retries.peek().map_or(Tick::NEVER, |Reverse((at, _))| *at);
        (retry, self.give_ups.peek().map(|Reverse((give_up_at, _))| *give_up_at))
    }
}
