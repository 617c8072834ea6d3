//! The state of a stock item, and everything that may be done to it.
//!
//! Invariants, held by every state that [`ItemState::parse`] accepts and every operation returns:
//! 1. `reserved <= quantity`: stock never goes negative, and what is reserved is there.
//! 2. `floor <= quantity - reserved`: what is free to take never falls below the floor.
//! 3. `quantity <= ceiling`.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::reason::Reason;

/// A stock item in a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemState {
    /// What is there, reserved stock included.
    pub quantity: u64,
    /// What of it is reserved, `<= quantity`.
    pub reserved: u64,
    /// What must stay available, `<= quantity - reserved`. 0 is none.
    pub floor: u64,
    /// The most there may be, `>= quantity`. [`NO_CEILING`] is none.
    pub ceiling: u64,
}

impl ItemState {
    /// An item as its first upward adjustment finds it: empty, without limits.
    pub const EMPTY: ItemState = ItemState { quantity: 0, reserved: 0, floor: 0, ceiling: NO_CEILING };

    /// Reads an item's state as a read of the entity returns it. Nothing if the bytes are not one.
    #[inline]
    #[must_use]
    pub fn parse(state: &[u8]) -> Option<ItemState> {
        let bytes = ItemBytes::ref_from_bytes(state).ok()?;
        let item = ItemState {
            quantity: bytes.quantity.get(),
            reserved: bytes.reserved.get(),
            floor: bytes.floor.get(),
            ceiling: bytes.ceiling.get(),
        };
        item.holds().then_some(item)
    }

    /// The state's bytes.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> [u8; ITEM_STATE_BYTES] {
        assert!(self.holds(), "an item's invariants are broken: {self:?}");
        zerocopy::transmute!(ItemBytes {
            quantity: U64::new(self.quantity),
            reserved: U64::new(self.reserved),
            floor: U64::new(self.floor),
            ceiling: U64::new(self.ceiling),
        })
    }

    /// What may be taken or reserved, down to the floor.
    #[inline]
    #[must_use]
    pub fn available(&self) -> u64 {
        self.quantity - self.reserved
    }

    /// After `quantity` left it. Reserved stock is not touched.
    ///
    /// # Errors
    /// [`Reason::InsufficientStock`], [`Reason::BelowFloor`]
    #[inline]
    pub fn take(self, quantity: u64) -> Result<ItemState, Reason> {
        self.check_free(quantity)?;
        Ok(ItemState { quantity: self.quantity - quantity, ..self })
    }

    /// After `quantity` came.
    ///
    /// # Errors
    /// [`Reason::Overflow`], [`Reason::AboveCeiling`]
    #[inline]
    pub fn put(self, quantity: u64) -> Result<ItemState, Reason> {
        let sum = self.quantity.checked_add(quantity).ok_or(Reason::Overflow)?;
        if sum > self.ceiling {
            return Err(Reason::AboveCeiling);
        }
        Ok(ItemState { quantity: sum, ..self })
    }

    /// After `quantity` of what is available became reserved.
    ///
    /// # Errors
    /// [`Reason::InsufficientStock`], [`Reason::BelowFloor`]
    pub fn reserve(self, quantity: u64) -> Result<ItemState, Reason> {
        self.check_free(quantity)?;
        Ok(ItemState { reserved: self.reserved + quantity, ..self })
    }

    /// After `quantity` of what is reserved left it. The floor cannot stand in the way: reserving kept it already.
    #[must_use]
    pub fn confirm(self, quantity: u64) -> ItemState {
        ItemState { quantity: self.quantity - quantity, ..self.release(quantity) }
    }

    /// After `quantity` of what is reserved became available again.
    #[must_use]
    pub fn release(self, quantity: u64) -> ItemState {
        assert!(quantity <= self.reserved, "settling {quantity} of {} reserved", self.reserved);
        ItemState { reserved: self.reserved - quantity, ..self }
    }

    /// Under new limits.
    ///
    /// # Errors
    /// [`Reason::FloorAboveCeiling`]; [`Reason::BelowFloor`] or [`Reason::AboveCeiling`] when the stock that is
    /// there would break them.
    pub fn limit(self, floor: u64, ceiling: u64) -> Result<ItemState, Reason> {
        if floor > ceiling {
            return Err(Reason::FloorAboveCeiling);
        }
        if self.available() < floor {
            return Err(Reason::BelowFloor);
        }
        if self.quantity > ceiling {
            return Err(Reason::AboveCeiling);
        }
        Ok(ItemState { floor, ceiling, ..self })
    }

    #[inline]
    fn check_free(&self, quantity: u64) -> Result<(), Reason> {
        let left = self.available().checked_sub(quantity).ok_or(Reason::InsufficientStock)?;
        if left < self.floor {
            return Err(Reason::BelowFloor);
        }
        Ok(())
    }

    /// The invariants at the head of this file.
    #[inline]
    fn holds(&self) -> bool {
        self.reserved <= self.quantity && self.floor <= self.available() && self.quantity <= self.ceiling
    }
}

/// The layout of a state. Offsets: quantity 0, reserved 8, floor 16, ceiling 24.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ItemBytes {
    quantity: U64,
    reserved: U64,
    floor: U64,
    ceiling: U64,
}

/// A ceiling that nothing reaches.
pub const NO_CEILING: u64 = u64::MAX;

/// Bytes of an item's state.
pub const ITEM_STATE_BYTES: usize = size_of::<ItemBytes>();

const _: () = assert!(ITEM_STATE_BYTES == 32);

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: ItemState = ItemState { quantity: 10, reserved: 4, floor: 2, ceiling: 12 };

    #[test]
    fn a_state_reads_back_and_a_broken_one_is_refused() {
        assert_eq!(ItemState::parse(&ITEM.encode()), Some(ITEM));
        assert_eq!(ItemState::parse(&ITEM.encode()[..31]), None);
        for (at, value) in [(0, 3), (8, 11), (16, 7), (24, 9)] {
            let mut bytes = ITEM.encode();
            bytes[at] = value;
            assert_eq!(ItemState::parse(&bytes), None, "offset {at}");
        }
    }

    #[test]
    fn what_is_reserved_and_the_floor_cannot_be_taken() {
        assert_eq!(ITEM.take(4).unwrap().quantity, 6);
        assert_eq!(ITEM.take(5), Err(Reason::BelowFloor));
        assert_eq!(ITEM.take(7), Err(Reason::InsufficientStock));
        assert_eq!(ITEM.reserve(4).unwrap().available(), 2);
        assert_eq!(ITEM.confirm(4).available(), ITEM.available());
    }
}
