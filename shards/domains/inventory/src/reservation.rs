//! The state of a reservation: stock of one item that is promised until it is settled.
//!
//! A settled reservation stays, so that a second settlement is told apart from an unknown one.

use assize_domain::EntityId;
use zerocopy::little_endian::{U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// How a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Settlement {
    /// Its stock is held.
    Open = 1,
    /// Its stock left the item.
    Confirmed = 2,
    /// Its stock is available again.
    Released = 3,
}

/// A reservation of one item's stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationState {
    /// The item.
    pub item: EntityId,
    /// How much of it, above 0.
    pub quantity: u64,
    /// How it stands.
    pub settlement: Settlement,
}

impl ReservationState {
    /// Reads a reservation's state as a read of the entity returns it. Nothing if the bytes are not one.
    #[must_use]
    pub fn parse(state: &[u8]) -> Option<ReservationState> {
        let bytes = ReservationBytes::ref_from_bytes(state).ok()?;
        let settlement = match bytes.settlement {
            1 => Settlement::Open,
            2 => Settlement::Confirmed,
            3 => Settlement::Released,
            _ => return None,
        };
        (bytes.reserved == [0; 7]).then_some(ReservationState {
            item: EntityId(bytes.item.get()),
            quantity: bytes.quantity.get(),
            settlement,
        })
    }

    /// The state's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RESERVATION_STATE_BYTES] {
        zerocopy::transmute!(ReservationBytes {
            item: U128::new(self.item.0),
            quantity: U64::new(self.quantity),
            settlement: self.settlement as u8,
            reserved: [0; 7],
        })
    }
}

/// The layout of a state. Offsets: item 0, quantity 16, settlement 24, zeros 25.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ReservationBytes {
    item: U128,
    quantity: U64,
    settlement: u8,
    reserved: [u8; 7],
}

/// Bytes of a reservation's state.
pub const RESERVATION_STATE_BYTES: usize = size_of::<ReservationBytes>();

const _: () = assert!(RESERVATION_STATE_BYTES == 32);
