//! What the inventory should do, written for clearness: wide signed numbers, one map, a copy to fall back on.

use std::collections::BTreeMap;

use assize_domain::EntityId;
use assize_inventory::{InventoryEvent, Reason, Settlement};

use crate::books::Books;

/// A stock item as plain numbers.
#[derive(Clone, Debug)]
struct Stock {
    on_hand: i128,
    promised: i128,
    least: i128,
    most: i128,
}

#[derive(Clone, Debug, PartialEq)]
enum Promise {
    Held { item: EntityId, quantity: i128 },
    Over { item: EntityId },
}

/// Every item and every reservation.
#[derive(Clone, Debug, Default)]
pub struct Model {
    stock: BTreeMap<EntityId, Stock>,
    promises: BTreeMap<EntityId, Promise>,
}

/// Why the model refused, and for a transfer of lines at which.
#[derive(Debug)]
pub struct Refusal {
    pub reason: Reason,
    pub line: Option<u64>,
}

impl Model {
    /// Runs one event: the quantities it returns, or why it is refused and leaves everything as it was.
    pub fn run(&mut self, event: &InventoryEvent<'_>) -> Result<Vec<u64>, Refusal> {
        let kept = self.clone();
        let result = self.step(event);
        if result.is_err() {
            *self = kept;
        }
        result
    }

    /// Whether there is such an item or reservation.
    pub fn exists(&self, id: EntityId) -> bool {
        self.stock.contains_key(&id) || self.promises.contains_key(&id)
    }

    /// Every unit there is.
    pub fn total(&self) -> i128 {
        self.stock.values().map(|stock| stock.on_hand).sum()
    }

    /// The domain's states say what the model says.
    pub fn check(&self, books: &Books) {
        assert_eq!(books.len(), self.stock.len() + self.promises.len());
        for (id, stock) in &self.stock {
            let item = books.item(*id).expect("an item of the model");
            assert_eq!(i128::from(item.quantity), stock.on_hand);
            assert_eq!(i128::from(item.reserved), stock.promised);
            assert_eq!(i128::from(item.floor), stock.least);
            assert_eq!(i128::from(item.ceiling), stock.most);
            let held: i128 = self.promises.values().map(|promise| promise.held_of(*id)).sum();
            assert_eq!(stock.promised, held, "what is reserved is what open reservations hold");
        }
        for (id, promise) in &self.promises {
            let reservation = books.reservation(*id).expect("a reservation of the model");
            let open = matches!(promise, Promise::Held { .. });
            assert_eq!(open, reservation.settlement == Settlement::Open);
        }
    }

    fn step(&mut self, event: &InventoryEvent<'_>) -> Result<Vec<u64>, Refusal> {
        let plain = |reason| Refusal { reason, line: None };
        match *event {
            InventoryEvent::Adjust { item, delta, .. } => self.adjust(item, delta.into()).map_err(plain),
            InventoryEvent::SetLimits { item, floor, ceiling } => {
                self.limit(item, floor.into(), ceiling.into()).map_err(plain)
            }
            InventoryEvent::Transfer { source, destination, quantity } => {
                self.transfer(source, destination, quantity.into()).map_err(plain)
            }
            InventoryEvent::TransferLines { lines } => {
                let mut quantities = Vec::new();
                for (number, line) in lines.iter().enumerate() {
                    let moved = self.transfer(line.source(), line.destination(), line.quantity().into());
                    quantities.extend(moved.map_err(|reason| Refusal { reason, line: Some(number as u64) })?);
                }
                Ok(quantities)
            }
            InventoryEvent::Reserve { item, reservation, quantity } => {
                self.reserve(item, reservation, quantity.into()).map_err(plain)
            }
            InventoryEvent::Confirm { item, reservation } => {
                self.settle(item, reservation, true).map_err(plain)
            }
            InventoryEvent::Release { item, reservation } => {
                self.settle(item, reservation, false).map_err(plain)
            }
            InventoryEvent::Inspect { .. } => panic!("an inspection returns no quantities"),
        }
    }

    fn adjust(&mut self, item: EntityId, delta: i128) -> Result<Vec<u64>, Reason> {
        if delta == 0 {
            return Err(Reason::ZeroQuantity);
        }
        if delta < 0 {
            return Ok(vec![self.remove(item, -delta)?]);
        }
        self.stock.entry(item).or_insert(Stock { on_hand: 0, promised: 0, least: 0, most: u64::MAX.into() });
        Ok(vec![self.add(item, delta)?])
    }

    fn limit(&mut self, item: EntityId, least: i128, most: i128) -> Result<Vec<u64>, Reason> {
        let stock = self.stock.get_mut(&item).ok_or(Reason::UnknownItem)?;
        if least > most {
            return Err(Reason::FloorAboveCeiling);
        }
        if stock.on_hand - stock.promised < least {
            return Err(Reason::BelowFloor);
        }
        if stock.on_hand > most {
            return Err(Reason::AboveCeiling);
        }
        (stock.least, stock.most) = (least, most);
        Ok(vec![stock.on_hand as u64])
    }

    fn transfer(
        &mut self,
        source: EntityId,
        destination: EntityId,
        quantity: i128,
    ) -> Result<Vec<u64>, Reason> {
        if quantity == 0 {
            return Err(Reason::ZeroQuantity);
        }
        if source == destination {
            return Err(Reason::SameItem);
        }
        if !self.stock.contains_key(&destination) {
            return Err(Reason::UnknownItem);
        }
        Ok(vec![self.remove(source, quantity)?, self.add(destination, quantity)?])
    }

    fn reserve(&mut self, item: EntityId, reservation: EntityId, quantity: i128) -> Result<Vec<u64>, Reason> {
        if quantity == 0 {
            return Err(Reason::ZeroQuantity);
        }
        let stock = self.stock.get_mut(&item).ok_or(Reason::UnknownItem)?;
        if self.promises.contains_key(&reservation) {
            return Err(Reason::ReservationExists);
        }
        stock.may_spare(quantity)?;
        stock.promised += quantity;
        let quantities = stock.quantities();
        self.promises.insert(reservation, Promise::Held { item, quantity });
        Ok(quantities)
    }

    fn settle(&mut self, item: EntityId, reservation: EntityId, taken: bool) -> Result<Vec<u64>, Reason> {
        let stock = self.stock.get_mut(&item).ok_or(Reason::UnknownItem)?;
        let promise = self.promises.get_mut(&reservation).ok_or(Reason::UnknownReservation)?;
        match *promise {
            Promise::Held { item: of, .. } | Promise::Over { item: of } if of != item => {
                Err(Reason::OtherItem)
            }
            Promise::Over { .. } => Err(Reason::AlreadySettled),
            Promise::Held { quantity, .. } => {
                stock.promised -= quantity;
                stock.on_hand -= if taken { quantity } else { 0 };
                *promise = Promise::Over { item };
                Ok(stock.quantities())
            }
        }
    }

    fn remove(&mut self, item: EntityId, quantity: i128) -> Result<u64, Reason> {
        let stock = self.stock.get_mut(&item).ok_or(Reason::UnknownItem)?;
        stock.may_spare(quantity)?;
        stock.on_hand -= quantity;
        Ok(stock.on_hand as u64)
    }

    fn add(&mut self, item: EntityId, quantity: i128) -> Result<u64, Reason> {
        let stock = self.stock.get_mut(&item).ok_or(Reason::UnknownItem)?;
        stock.on_hand += quantity;
        if stock.on_hand > u64::MAX.into() {
            return Err(Reason::Overflow);
        }
        if stock.on_hand > stock.most {
            return Err(Reason::AboveCeiling);
        }
        Ok(stock.on_hand as u64)
    }
}

impl Stock {
    fn may_spare(&self, quantity: i128) -> Result<(), Reason> {
        let left = self.on_hand - self.promised - quantity;
        if left < 0 {
            return Err(Reason::InsufficientStock);
        }
        if left < self.least {
            return Err(Reason::BelowFloor);
        }
        Ok(())
    }

    fn quantities(&self) -> Vec<u64> {
        vec![self.on_hand as u64, self.promised as u64]
    }
}

impl Promise {
    fn held_of(&self, id: EntityId) -> i128 {
        match self {
            Promise::Held { item, quantity } if *item == id => *quantity,
            _ => 0,
        }
    }
}
