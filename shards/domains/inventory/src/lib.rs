//! A bundled domain: stock items per warehouse, moved, reserved and settled without ever going negative.
//!
//! It keeps no state, reads no clock and allocates nothing while it evaluates. The byte layouts are in the crate's
//! `README.md`; the rules, in words, in `inventory.allium`.
//!
//! | module | is |
//! |---|---|
//! | [`ids`] | ids of items and reservations, which cannot collide |
//! | [`event`] | what a client asks: [`InventoryEvent`], encoded and parsed |
//! | [`item`] | the state of a stock item, and what may be done to it |
//! | [`reservation`] | the state of a reservation |
//! | [`quantities`] | what an answer returns |
//! | [`inspected`] | what an inspection returns: a state, or that there is none |
//! | [`reason`] | why an event is rejected or malformed |
//! | `notation` | events, states and answers in JSON |
//! | [`evaluate`] | the domain itself |
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod evaluate;
pub mod event;
pub mod ids;
pub mod inspected;
pub mod item;
mod notation;
pub mod quantities;
pub mod reason;
pub mod reservation;

pub use evaluate::{INVENTORY, InventoryDomain, VERSION};
pub use event::{InventoryEvent, LINES_MAX, Line};
pub use ids::{item_id, reservation_id};
pub use inspected::Inspected;
pub use item::{ItemState, NO_CEILING};
pub use quantities::{Quantities, rejected_line};
pub use reason::{Malformed, Reason};
pub use reservation::{ReservationState, Settlement};
