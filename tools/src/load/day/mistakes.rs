//! What people do wrong: each kind is refused for a reason of its own.

use assize_inventory::{InventoryEvent, reservation_id};

use super::shop::{DELIVERY, FIRST_SKU, Shop, WAREHOUSE, adjust, payload};

impl Shop {
    /// One of all kinds. Some need an order that is settled, and until there is one it is a mistyped number.
    pub(super) fn make_a_mistake(&mut self) -> Vec<u8> {
        let item = self.any_item();
        let kind = self.rng.below(13);
        let settled = match self.settled.len() as u64 {
            0 => None,
            count => self.settled.get(self.rng.below(count) as usize).copied(),
        };
        let reservation = self.new_reservation();
        match (kind, settled) {
            // More than there is: a finger that stayed on a key.
            (0 | 1, _) => {
                let quantity = self.available(item) * 10 + 111;
                payload(&InventoryEvent::Reserve { item, reservation, quantity })
            }
            // A form that nothing was filled into.
            (2, _) => payload(&InventoryEvent::Reserve { item, reservation, quantity: 0 }),
            (3, _) => adjust(self.item_in_a_store(), 0, DELIVERY),
            // A box that is counted into the place that it stands in.
            (4, _) => payload(&InventoryEvent::Transfer { source: item, destination: item, quantity: 1 }),
            // A delivery that has the wrong decimal place.
            (5, _) => {
                let item = self.item(WAREHOUSE, LIMITED_RANK);
                adjust(item, i64::MAX, DELIVERY)
            }
            // The last ones, which are on show.
            (6, _) => {
                let item = self.item(WAREHOUSE, LIMITED_RANK);
                adjust(item, -(self.available(item).max(1).cast_signed()), DELIVERY)
            }
            (7, _) => payload(&InventoryEvent::SetLimits { item, floor: 50, ceiling: 5 }),
            // An order that nobody placed.
            (8, _) => {
                let reservation = reservation_id(u128::from(self.rng.next()) << 32 | 7);
                payload(&InventoryEvent::Confirm { item, reservation })
            }
            // Paid a second time; of other goods; and its number given to somebody else.
            (9, Some((item, reservation))) => payload(&InventoryEvent::Confirm { item, reservation }),
            (10, Some((item, reservation))) => {
                let other = match self.item(WAREHOUSE, 0) {
                    first if first == item => self.item(WAREHOUSE, 1),
                    first => first,
                };
                payload(&InventoryEvent::Release { item: other, reservation })
            }
            (11, Some((item, reservation))) => {
                payload(&InventoryEvent::Reserve { item, reservation, quantity: 1 })
            }
            // A number that is not in the catalogue.
            _ => {
                let unlisted = 9_000_000 - FIRST_SKU + self.rng.below(1000);
                let item = self.item(WAREHOUSE, unlisted);
                payload(&InventoryEvent::Reserve { item, reservation, quantity: 1 })
            }
        }
    }
}

/// Goods that have a floor and a ceiling.
const LIMITED_RANK: u64 = 2;
