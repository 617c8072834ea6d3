//! What an [`InventoryEvent::Inspect`](crate::InventoryEvent::Inspect) returns: what the entity is, then its state.

use assize_domain::{EntityId, RESPONSE_BYTES_MAX, Response};

use crate::ids::is_item;
use crate::item::{ITEM_STATE_BYTES, ItemState};
use crate::reservation::{RESERVATION_STATE_BYTES, ReservationState};

/// The response of an applied inspection. No other response is as long, so that it is told apart without its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspected<'a> {
    /// It does not exist.
    Absent,
    /// The bytes of an item's state, as a read of the entity returns them: [`ItemState::parse`].
    Item(&'a [u8]),
    /// The bytes of a reservation's state: [`ReservationState::parse`].
    Reservation(&'a [u8]),
}

impl<'a> Inspected<'a> {
    /// Reads a response. Nothing if it is not an inspection's.
    #[must_use]
    pub fn parse(response: &'a [u8]) -> Option<Inspected<'a>> {
        match response.split_first()? {
            (&ABSENT, []) => Some(Inspected::Absent),
            (&ITEM, state) => ItemState::parse(state).map(|_| Inspected::Item(state)),
            (&RESERVATION, state) => ReservationState::parse(state).map(|_| Inspected::Reservation(state)),
            _ => None,
        }
    }

    /// The state's bytes, or nothing if the entity is absent.
    #[must_use]
    pub fn state(&self) -> Option<&'a [u8]> {
        match *self {
            Inspected::Absent => None,
            Inspected::Item(state) | Inspected::Reservation(state) => Some(state),
        }
    }
}

/// Appends what an inspection returns to a response.
pub(crate) fn push(response: &mut Response, entity: EntityId, state: Option<&[u8]>) {
    let Some(state) = state else {
        response.extend_from_slice(&[ABSENT]);
        return;
    };
    response.extend_from_slice(&[if is_item(entity) { ITEM } else { RESERVATION }]);
    response.extend_from_slice(state);
}

const ABSENT: u8 = 0;
const ITEM: u8 = 1;
const RESERVATION: u8 = 2;

/// The longest of them.
const BYTES_MAX: usize = TAG_BYTES
    + if ITEM_STATE_BYTES > RESERVATION_STATE_BYTES { ITEM_STATE_BYTES } else { RESERVATION_STATE_BYTES };

const TAG_BYTES: usize = 1;

const _: () = assert!(BYTES_MAX <= RESPONSE_BYTES_MAX, "every state fits a response");
const _: () = assert!(
    !(TAG_BYTES + ITEM_STATE_BYTES).is_multiple_of(8)
        && !(TAG_BYTES + RESERVATION_STATE_BYTES).is_multiple_of(8),
    "an inspection's response has no length that quantities have"
);
