//! What happens in a day, and what follows from it.

use std::collections::{BTreeMap, HashSet, VecDeque};

use assize_domain::{EntityId, Notation};
use assize_inventory::{InventoryDomain, InventoryEvent, Line, Reason, VERSION, item_id, reservation_id};
use assize_wire::EventKey;
use assize_wire::outcome::Status;
use serde::Serialize;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::super::replay::Expected;
use super::super::rng::Rng;
use super::hours::is_sale;
use super::stock::Stock;

/// A line as the file has it, its members in the order in which people read them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WrittenLine {
    at_ms: u64,
    key: String,
    domain: &'static str,
    event: Value,
    expect: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u16>,
}

/// The retailer: what it has, whom it owes, and what is about to happen.
pub(super) struct Shop {
    pub(super) rng: Rng,
    /// How the day's keys begin.
    day: String,
    events: u64,
    /// The first of its three places: the warehouse that serves the web, then two stores.
    place: u64,
    /// Of each of the goods, its share of what is asked for and those of all before it.
    shares: Vec<u64>,
    stock: Stock,
    /// Before the doors open.
    opening: VecDeque<Vec<u8>>,
    /// By time, and by a number of their own: what happens next by itself.
    later: BTreeMap<(u64, u64), Step>,
    /// Orders that were paid or given up, the last few.
    pub(super) settled: VecDeque<(EntityId, EntityId)>,
    /// Goods that a supplier is bringing.
    ordered: HashSet<EntityId>,
    drawn: u64,
    last_ms: u64,
    last_slot_ms: u64,
}

/// Something that is about to be submitted: under a key that was used before, or a new one.
struct Step {
    key: Option<String>,
    payload: Vec<u8>,
}

impl Shop {
    pub(super) fn new(events: u32, seed: u64) -> Shop {
        let goods = (u64::from(events) / 40).clamp(3, 2000);
        let mut through = 0;
        let shares = (1..=goods).map(|rank| {
            // As Zipf found of words: the second half as often as the first.
            through += SHARES / rank;
            through
        });
        let id = xxh3_64(format!("{events} events of seed {seed}").as_bytes());
        let mut shop = Shop {
            rng: Rng::new(seed),
            day: format!("day-{seed}-{events}"),
            events: events.into(),
            place: (100_000 + id % 900_000) * 10,
            shares: shares.collect(),
            stock: Stock::default(),
            opening: VecDeque::new(),
            later: BTreeMap::new(),
            settled: VecDeque::new(),
            ordered: HashSet::new(),
            drawn: 0,
            last_ms: 0,
            last_slot_ms: 0,
        };
        shop.fill_the_shelves();
        shop
    }

    /// How many lines there are before the doors open.
    pub(super) fn opening_lines(&self) -> u32 {
        self.opening.len() as u32
    }

    /// What happens next, at this time or, where something followed by itself before it, then.
    pub(super) fn next_line(&mut self, slot_ms: u64) -> WrittenLine {
        let before = std::mem::replace(&mut self.last_slot_ms, slot_ms);
        let (at_ms, Step { key, payload }) = match self.opening.pop_front() {
            Some(payload) => (self.last_ms + OPENING_MS, Step { key: None, payload }),
            None => match self.later.first_entry().filter(|first| first.key().0 <= slot_ms) {
                Some(first) => {
                    let ((due_ms, _), step) = first.remove_entry();
                    (if due_ms > before { due_ms } else { slot_ms }, step)
                }
                None => (slot_ms, Step { key: None, payload: self.arrive(slot_ms) }),
            },
        };
        let at_ms = at_ms.max(self.last_ms).min(DAY_MS - 1);
        self.last_ms = at_ms;
        let is_new = key.is_none();
        let number = self.number();
        let key = key.unwrap_or_else(|| format!("{}-{number}", self.day));
        let expected = self.stock.submit(EventKey::of_text(&key), &payload);
        self.follow(at_ms, is_new, &key, &payload, expected);
        WrittenLine {
            at_ms,
            key,
            domain: "inventory",
            event: InventoryDomain.event_to_json(VERSION, &payload).expect("it is one of the inventory's"),
            expect: expected.status.to_string(),
            reason: expected.reason,
        }
    }

    /// What was delivered in the night: everything to the warehouse, what sells best to the stores, too.
    fn fill_the_shelves(&mut self) {
        for rank in 0..self.shares.len() as u64 {
            let item = self.item(WAREHOUSE, rank);
            let quantity = self.usual_quantity(rank);
            self.opening.push_back(adjust(item, quantity.cast_signed(), DELIVERY));
            if rank % 5 == 2 {
                let (floor, ceiling) = (2, quantity * 4);
                self.opening.push_back(payload(&InventoryEvent::SetLimits { item, floor, ceiling }));
            }
            if rank * 3 < self.shares.len() as u64 {
                for store in STORES {
                    let item = self.item(store, rank);
                    self.opening.push_back(adjust(item, quantity.div_ceil(4).cast_signed(), DELIVERY));
                }
            }
        }
    }

    /// Somebody comes, and wants something.
    fn arrive(&mut self, at_ms: u64) -> Vec<u8> {
        let draw = self.rng.below(1000);
        if is_sale(at_ms) {
            return match draw {
                0..900 => self.order(true),
                900..950 => self.sell_at_a_till(),
                _ => self.make_a_mistake(),
            };
        }
        match draw {
            0..560 => self.order(false),
            560..790 => self.sell_at_a_till(),
            790..840 => self.restock_a_store(),
            840..865 => self.restock_several(),
            865..890 => payload(&InventoryEvent::Inspect { entity: self.any_item() }),
            890..920 => adjust(self.any_item(), -1, DAMAGED),
            _ => self.make_a_mistake(),
        }
    }

    /// An order from the web: goods are promised to it until it is paid.
    fn order(&mut self, in_the_sale: bool) -> Vec<u8> {
        let rank = match in_the_sale && self.rng.below(100) < 85 {
            true => self.rng.below(ON_SALE),
            false => self.rank(),
        };
        let quantity = match self.rng.below(10) {
            0..7 => 1,
            7..9 => 2,
            _ => 3 + self.rng.below(3),
        };
        let (item, reservation) = (self.item(WAREHOUSE, rank), self.new_reservation());
        payload(&InventoryEvent::Reserve { item, reservation, quantity })
    }

    fn sell_at_a_till(&mut self) -> Vec<u8> {
        let item = self.item_in_a_store();
        adjust(item, -1 - self.rng.below(3).cast_signed(), SOLD)
    }

    fn restock_a_store(&mut self) -> Vec<u8> {
        let (rank, store) = (self.rank_in_stores(), self.store());
        let quantity = 2 + self.rng.below(8);
        let (source, destination) = (self.item(WAREHOUSE, rank), self.item(store, rank));
        payload(&InventoryEvent::Transfer { source, destination, quantity })
    }

    /// A van that brings several goods, all or none.
    fn restock_several(&mut self) -> Vec<u8> {
        let (first, store) = (self.rank_in_stores(), self.store());
        let count = (2 + self.rng.below(2)).min(self.ranks_in_stores());
        let lines: Vec<Line> = (0..count)
            .map(|step| {
                let rank = (first + step) % self.ranks_in_stores();
                Line::new(self.item(WAREHOUSE, rank), self.item(store, rank), 1 + self.rng.below(4))
            })
            .collect();
        payload(&InventoryEvent::TransferLines { lines: &lines })
    }

    /// What comes of it that this was submitted.
    fn follow(&mut self, at_ms: u64, is_new: bool, key: &str, submitted: &[u8], expected: Expected) {
        let event = InventoryEvent::parse(submitted).expect("it was encoded here");
        if is_new {
            self.perhaps_repeat(at_ms, key, submitted, &event);
        }
        let is_applied = expected.status == Status::Applied;
        match event {
            InventoryEvent::Reserve { item, reservation, .. } if is_applied => {
                let hurry = if is_sale(at_ms) { 4 } else { 1 };
                match self.rng.below(100) {
                    0..80 => {
                        let due_ms = at_ms + (15_000 + self.rng.below(240_000)) / hurry;
                        self.later(due_ms, None, payload(&InventoryEvent::Confirm { item, reservation }));
                    }
                    80..93 => {
                        let due_ms = at_ms + 300_000 + self.rng.below(1_200_000);
                        self.later(due_ms, None, payload(&InventoryEvent::Release { item, reservation }));
                    }
                    // Nobody ever hears of it again.
                    _ => {}
                }
            }
            InventoryEvent::Reserve { item, .. }
                if expected.reason == Some(Reason::InsufficientStock.number())
                    && self.stock.available(item) == 0
                    && self.ordered.insert(item) =>
            {
                let due_ms = at_ms + 3_600_000 + self.rng.below(3_600_000);
                self.later(due_ms, None, adjust(item, (self.events / 20 + 5).cast_signed(), DELIVERY));
            }
            InventoryEvent::Adjust { item, reason: DELIVERY, .. } => {
                self.ordered.remove(&item);
            }
            InventoryEvent::Confirm { item, reservation } if is_applied => {
                self.settle(item, reservation);
                if self.rng.below(100) < 8 {
                    let due_ms = at_ms + 1_800_000 + self.rng.below(10_800_000);
                    self.later(due_ms, None, adjust(item, 1, RETURNED));
                }
            }
            InventoryEvent::Release { item, reservation } if is_applied => self.settle(item, reservation),
            _ => {}
        }
    }

    /// Some hear nothing and ask again, impatient ones twice; a few ask for something else under the same key.
    fn perhaps_repeat(&mut self, at_ms: u64, key: &str, submitted: &[u8], event: &InventoryEvent<'_>) {
        let (again, twice) = if is_sale(at_ms) { (100, 30) } else { (40, 5) };
        let draw = self.rng.below(1000);
        if draw < again {
            let due_ms = at_ms + 1_000 + self.rng.below(2_000);
            self.later(due_ms, Some(key.to_owned()), submitted.to_vec());
            if draw < twice {
                let due_ms = due_ms + 1_000 + self.rng.below(4_000);
                self.later(due_ms, Some(key.to_owned()), submitted.to_vec());
            }
        } else if draw < again + 8 {
            let other = match *event {
                InventoryEvent::Reserve { item, reservation, quantity } => {
                    payload(&InventoryEvent::Reserve { item, reservation, quantity: quantity + 1 })
                }
                InventoryEvent::Adjust { item, delta, reason } => {
                    adjust(item, delta.saturating_sub(1), reason)
                }
                _ => return,
            };
            let due_ms = at_ms + 2_000 + self.rng.below(20_000);
            self.later(due_ms, Some(key.to_owned()), other);
        }
    }

    fn later(&mut self, due_ms: u64, key: Option<String>, payload: Vec<u8>) {
        let number = self.number();
        self.later.insert((due_ms, number), Step { key, payload });
    }

    fn settle(&mut self, item: EntityId, reservation: EntityId) {
        self.settled.push_back((item, reservation));
        if self.settled.len() > SETTLED_KEPT {
            self.settled.pop_front();
        }
    }

    /// Goods, those that are asked for often more often.
    fn rank(&mut self) -> u64 {
        let drawn = self.rng.below(self.shares[self.shares.len() - 1]);
        self.shares.partition_point(|through| *through <= drawn) as u64
    }

    /// What the stores have.
    pub(super) fn ranks_in_stores(&self) -> u64 {
        (self.shares.len() as u64).div_ceil(3)
    }

    fn rank_in_stores(&mut self) -> u64 {
        self.rank() % self.ranks_in_stores()
    }

    fn store(&mut self) -> u64 {
        STORES[self.rng.below(STORES.len() as u64) as usize]
    }

    pub(super) fn item_in_a_store(&mut self) -> EntityId {
        let (rank, store) = (self.rank_in_stores(), self.store());
        self.item(store, rank)
    }

    /// Something of the warehouse's.
    pub(super) fn any_item(&mut self) -> EntityId {
        let rank = self.rank();
        self.item(WAREHOUSE, rank)
    }

    /// Goods in a place.
    pub(super) fn item(&self, place: u64, rank: u64) -> EntityId {
        item_id(self.place + place, FIRST_SKU + rank)
    }

    /// What of an item is neither sold nor promised.
    pub(super) fn available(&self, item: EntityId) -> u64 {
        self.stock.available(item)
    }

    pub(super) fn new_reservation(&mut self) -> EntityId {
        reservation_id(u128::from(self.place) * 100_000_000 + u128::from(self.number()))
    }

    /// What the warehouse has of goods in the morning: of those on sale too little, of others enough for the day.
    fn usual_quantity(&self, rank: u64) -> u64 {
        match rank < ON_SALE {
            true => self.events / 20 + 5,
            false => self.events * (SHARES / (rank + 1)) / self.shares[self.shares.len() - 1] + 8,
        }
    }

    /// Counts up.
    fn number(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}

pub(super) fn payload(event: &InventoryEvent<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    payload
}

pub(super) fn adjust(item: EntityId, delta: i64, reason: u16) -> Vec<u8> {
    payload(&InventoryEvent::Adjust { item, delta, reason })
}

/// Places, counted from the first.
pub(super) const WAREHOUSE: u64 = 0;
const STORES: [u64; 2] = [1, 2];

pub(super) const FIRST_SKU: u64 = 1001;

/// Goods that the sale is about, which are those that are asked for most anyway.
const ON_SALE: u64 = 2;

/// Divided by a rank, what its goods weigh.
const SHARES: u64 = 1_000_000;

/// Reasons of adjustments: the client's own numbers.
pub(super) const DELIVERY: u16 = 1;
const SOLD: u16 = 2;
const RETURNED: u16 = 3;
const DAMAGED: u16 = 4;

/// How fast the night's delivery is taken in.
const OPENING_MS: u64 = 20;

/// Sixteen hours.
const DAY_MS: u64 = 16 * 3_600_000;

/// Orders that people come back to by mistake.
const SETTLED_KEPT: usize = 32;
