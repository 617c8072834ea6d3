//! The inventory's parser on any bytes: it returns, and an event it accepts has that one encoding.

use assize_domain::{Domain, Entities};
use assize_inventory::{
    Inspected, InventoryDomain, InventoryEvent, ItemState, Quantities, ReservationState, VERSION,
};

/// A payload, and the same bytes as states and as a response.
pub fn inventory(data: &[u8]) {
    if let Ok(event) = InventoryEvent::parse(data) {
        let mut again = Vec::new();
        event.encode_payload(&mut again);
        assert_eq!(again, data);
        let mut entities = Entities::new();
        event.entities(&mut entities);
        assert!(entities.is_valid());
        let notation = InventoryDomain.notation().expect("it has one");
        let json = notation.event_to_json(VERSION, data).expect("an event");
        assert_eq!(notation.event_from_json(&json).expect("as it was written").bytes, data);
    }
    if let Some(item) = ItemState::parse(data) {
        assert_eq!(item.encode(), data);
        assert!(item.available() <= item.quantity);
    }
    if let Some(reservation) = ReservationState::parse(data) {
        assert_eq!(reservation.encode(), data);
    }
    if let Some(quantities) = Quantities::parse(data) {
        assert_eq!(quantities.iter().len(), data.len() / 8);
    }
    if let Some(inspected) = Inspected::parse(data) {
        assert_eq!(inspected.state().map_or(0, <[u8]>::len) + 1, data.len());
        assert!(Quantities::parse(data).is_none());
    }
}
