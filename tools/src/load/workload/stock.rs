//! The inventory's part of the load: transfers and adjustments of items by rank, and what an applied one does to them.

use assize_inventory::{InventoryEvent, Line, item_id};
use assize_wire::EntityId;

use super::super::batch::Batch;
use super::super::plan::{LoadPlan, Mix};
use super::super::rng::Rng;
use super::super::zipf::Ranks;

/// One thread's source of inventory events.
pub(super) struct Stock {
    ranks: Ranks,
    mix: Mix,
    accounts: u32,
    warehouse: u64,
}

impl Stock {
    pub(super) fn new(plan: &LoadPlan, ranks: Ranks, warehouse: u64) -> Stock {
        Stock { ranks, mix: plan.mix, accounts: plan.accounts as u32, warehouse }
    }

    /// Appends an event's payload, and to the batch what it does to items once it is applied.
    pub(super) fn draw(&self, rng: &mut Rng, batch: &mut Batch, payload: &mut Vec<u8>) {
        let mix = match self.mix {
            Mix::Mixed => match rng.below(10) {
                0..7 => Mix::Transfer,
                7..9 => Mix::Adjust,
                _ => Mix::Lines,
            },
            mix => mix,
        };
        match mix {
            Mix::Adjust => self.draw_adjust(rng, batch, payload),
            Mix::Lines => self.draw_lines(rng, batch, payload),
            Mix::Transfer | Mix::Mixed => self.draw_transfer(rng, batch, payload),
        }
    }

    fn draw_transfer(&self, rng: &mut Rng, batch: &mut Batch, payload: &mut Vec<u8>) {
        let (source, destination, quantity) = self.draw_move(rng, batch);
        let event = InventoryEvent::Transfer { source, destination, quantity };
        event.encode_payload(payload);
    }

    fn draw_adjust(&self, rng: &mut Rng, batch: &mut Batch, payload: &mut Vec<u8>) {
        let item = self.ranks.draw(rng.next());
        let quantity = 1 + rng.below(QUANTITY_MAX) as i32;
        let delta = if rng.next() >> 63 == 0 { quantity } else { -quantity };
        batch.push_delta(item, delta);
        let event = InventoryEvent::Adjust {
            item: item_id(self.warehouse, item.into()),
            delta: delta.into(),
            reason: 1,
        };
        event.encode_payload(payload);
    }

    fn draw_lines(&self, rng: &mut Rng, batch: &mut Batch, payload: &mut Vec<u8>) {
        let count = 2 + rng.below(LINES_DRAWN_MAX - 1) as usize;
        let lines: [Line; LINES_DRAWN_MAX as usize] = std::array::from_fn(|at| {
            if at >= count {
                return Line::new(EntityId(0), EntityId(0), 0);
            }
            let (source, destination, quantity) = self.draw_move(rng, batch);
            Line::new(source, destination, quantity)
        });
        let event = InventoryEvent::TransferLines { lines: &lines[..count] };
        event.encode_payload(payload);
    }

    /// Two different items and a quantity, with the deltas that moving it makes.
    fn draw_move(&self, rng: &mut Rng, batch: &mut Batch) -> (EntityId, EntityId, u64) {
        let source = self.ranks.draw(rng.next());
        let mut destination = self.ranks.draw(rng.next());
        if destination == source {
            destination = (source + 1) % self.accounts;
        }
        let quantity = 1 + rng.below(QUANTITY_MAX);
        batch.push_delta(source, -(quantity as i32));
        batch.push_delta(destination, quantity as i32);
        let id = |item: u32| item_id(self.warehouse, item.into());
        (id(source), id(destination), quantity)
    }
}

const QUANTITY_MAX: u64 = 100;
const LINES_DRAWN_MAX: u64 = 4;

const _: () = assert!(LINES_DRAWN_MAX as usize <= assize_inventory::LINES_MAX);
