//! Draws the events of a batch: keys that one shard owns, what the workload asks, and resubmissions on purpose.

use assize_wire::event::{Event, encode_event};
use assize_wire::message::Answer;
use assize_wire::routing::Routing;
use assize_wire::{EventKey, StreamTime};

use super::batch::{Batch, First};
use super::plan::LoadPlan;
use super::rng::Rng;
use super::workload::{Drawer, Told};

/// One thread's source of events.
pub(super) struct Generator {
    rng: Rng,
    drawer: Drawer,
    /// What the answers say was done.
    told: Told,
    routing: Routing,
    /// Keys drawn for other shards, by owner, so that no draw is wasted.
    keys: Vec<Vec<u128>>,
    /// Answered events to resubmit, by shard.
    past: Vec<Past>,
    /// A draw of 32 bits below this is a resubmission.
    duplicate_below: u64,
    payload: Vec<u8>,
}

/// A ring of answered events and their first answers.
#[derive(Default)]
struct Past {
    events: Vec<(Vec<u8>, First)>,
    next: usize,
}

impl Generator {
    pub(super) fn new(plan: &LoadPlan, drawer: Drawer, told: Told, routing: Routing, seed: u64) -> Generator {
        let shards = usize::from(routing.shards);
        Generator {
            rng: Rng::new(seed),
            drawer,
            told,
            routing,
            keys: vec![Vec::new(); shards],
            past: (0..shards).map(|_| Past::default()).collect(),
            duplicate_below: (plan.duplicates / 100.0 * f64::from(u32::MAX)) as u64,
            payload: Vec::new(),
        }
    }

    /// Fills a cleared batch with `count` events whose keys its shard owns.
    pub(super) fn fill(&mut self, batch: &mut Batch, count: usize, now: StreamTime, deadline: StreamTime) {
        for _ in 0..count {
            if self.duplicate_below > 0
                && self.rng.next() & 0xffff_ffff < self.duplicate_below
                && self.push_duplicate(batch, now)
            {
                continue;
            }
            let key = self.draw_key(batch.shard);
            self.payload.clear();
            let (domain, version) = self.drawer.draw(&mut self.rng, batch, &mut self.payload);
            encode_event(batch.event_bytes(), key, deadline, domain, version, &self.payload)
                .expect("an event of a bundled domain fits");
            batch.close_event(None);
        }
    }

    /// Books what the log decided of an event that was no resubmission on purpose.
    pub(super) fn settle(&mut self, batch: &Batch, event: usize, answer: &Answer<'_>) {
        self.drawer.settle(batch, event, answer, &mut self.told);
    }

    /// What the answers say was done.
    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    /// Keeps some answered events, about as many as will be resubmitted.
    pub(super) fn handle_answered(&mut self, batch: &Batch, event: usize, first: First) {
        if self.duplicate_below == 0 {
            return;
        }
        let past = &mut self.past[usize::from(batch.shard)];
        let (full, keep) = (past.events.len() == PAST_EVENTS, self.duplicate_below * 2);
        if full && self.rng.next() & 0xffff_ffff >= keep {
            return;
        }
        if !full {
            past.events.push((batch.event(event).to_vec(), first));
            return;
        }
        let (bytes, kept) = &mut past.events[past.next];
        bytes.clear();
        bytes.extend_from_slice(batch.event(event));
        *kept = first;
        past.next = (past.next + 1) % PAST_EVENTS;
    }

    /// Adds a resubmission, if there is one whose deadline has not passed: after it the key may be forgotten, rightly.
    fn push_duplicate(&mut self, batch: &mut Batch, now: StreamTime) -> bool {
        let past = &self.past[usize::from(batch.shard)].events;
        if past.is_empty() {
            return false;
        }
        let (bytes, first) = &past[self.rng.below(past.len() as u64) as usize];
        let (event, _) = Event::parse(bytes).expect("it was encoded here");
        if event.deadline() <= now {
            return false;
        }
        batch.event_bytes().extend_from_slice(bytes);
        batch.close_event(Some(*first));
        true
    }

    fn draw_key(&mut self, shard: u16) -> EventKey {
        if let Some(key) = self.keys[usize::from(shard)].pop() {
            return EventKey(key);
        }
        loop {
            let key = self.rng.next_u128();
            let owner = self.routing.shard_of_key(EventKey(key)).0;
            if owner == shard {
                return EventKey(key);
            }
            let kept = &mut self.keys[usize::from(owner)];
            if kept.len() < KEYS_KEPT {
                kept.push(key);
            }
        }
    }
}

const PAST_EVENTS: usize = 1024;
const KEYS_KEPT: usize = 16 << 10;
