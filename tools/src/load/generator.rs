//! Draws the events of a batch: keys that one shard owns, items by rank, quantities, and resubmissions on purpose.

use assize_inventory::{INVENTORY, InventoryEvent, Line, VERSION, item_id};
use assize_wire::event::{Event, encode_event};
use assize_wire::routing::Routing;
use assize_wire::{EntityId, EventKey, StreamTime};

use super::batch::{Batch, First};
use super::plan::{LoadPlan, Mix};
use super::rng::Rng;
use super::zipf::Ranks;

/// One thread's source of events.
pub(super) struct Generator {
    rng: Rng,
    ranks: Ranks,
    mix: Mix,
    accounts: u32,
    warehouse: u64,
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
    pub(super) fn new(
        plan: &LoadPlan,
        ranks: Ranks,
        routing: Routing,
        warehouse: u64,
        seed: u64,
    ) -> Generator {
        let shards = usize::from(routing.shards);
        Generator {
            rng: Rng::new(seed),
            ranks,
            mix: plan.mix,
            accounts: plan.accounts as u32,
            warehouse,
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
            self.draw_event(batch);
            encode_event(batch.event_bytes(), key, deadline, INVENTORY, VERSION, &self.payload)
                .expect("an inventory event fits");
            batch.close_event(None);
        }
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

    fn draw_event(&mut self, batch: &mut Batch) {
        let mix = match self.mix {
            Mix::Mixed => match self.rng.below(10) {
                0..7 => Mix::Transfer,
                7..9 => Mix::Adjust,
                _ => Mix::Lines,
            },
            mix => mix,
        };
        match mix {
            Mix::Adjust => self.draw_adjust(batch),
            Mix::Lines => self.draw_lines(batch),
            Mix::Transfer | Mix::Mixed => self.draw_transfer(batch),
        }
    }

    fn draw_transfer(&mut self, batch: &mut Batch) {
        let (source, destination, quantity) = self.draw_move(batch);
        let event = InventoryEvent::Transfer { source, destination, quantity };
        event.encode_payload(&mut self.payload);
    }

    fn draw_adjust(&mut self, batch: &mut Batch) {
        let item = self.ranks.draw(self.rng.next());
        let quantity = 1 + self.rng.below(QUANTITY_MAX) as i32;
        let delta = if self.rng.next() >> 63 == 0 { quantity } else { -quantity };
        batch.push_delta(item, delta);
        let event = InventoryEvent::Adjust {
            item: item_id(self.warehouse, item.into()),
            delta: delta.into(),
            reason: 1,
        };
        event.encode_payload(&mut self.payload);
    }

    fn draw_lines(&mut self, batch: &mut Batch) {
        let count = 2 + self.rng.below(LINES_DRAWN_MAX - 1) as usize;
        let lines: [Line; LINES_DRAWN_MAX as usize] = std::array::from_fn(|at| {
            if at >= count {
                return Line::new(EntityId(0), EntityId(0), 0);
            }
            let (source, destination, quantity) = self.draw_move(batch);
            Line::new(source, destination, quantity)
        });
        let event = InventoryEvent::TransferLines { lines: &lines[..count] };
        event.encode_payload(&mut self.payload);
    }

    /// Two different items and a quantity, with the deltas that moving it makes.
    fn draw_move(&mut self, batch: &mut Batch) -> (EntityId, EntityId, u64) {
        let source = self.ranks.draw(self.rng.next());
        let mut destination = self.ranks.draw(self.rng.next());
        if destination == source {
            destination = (source + 1) % self.accounts;
        }
        let quantity = 1 + self.rng.below(QUANTITY_MAX);
        batch.push_delta(source, -(quantity as i32));
        batch.push_delta(destination, quantity as i32);
        let id = |item: u32| item_id(self.warehouse, item.into());
        (id(source), id(destination), quantity)
    }
}

const QUANTITY_MAX: u64 = 100;
const LINES_DRAWN_MAX: u64 = 4;
const PAST_EVENTS: usize = 1024;
const KEYS_KEPT: usize = 16 << 10;

const _: () = assert!(LINES_DRAWN_MAX as usize <= assize_inventory::LINES_MAX);
