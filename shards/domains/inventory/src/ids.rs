//! Ids of items and reservations. The highest bit tells them apart, so that an event can never treat the state of
//! one as that of the other.

use assize_domain::EntityId;

/// The item of `sku` in `warehouse`: bit 127 is 0, the warehouse in bits 64 to 126, the SKU below.
///
/// # Panics
/// When `warehouse` is 2^63 or more: cutting it would make two items one.
#[must_use]
pub const fn item_id(warehouse: u64, sku: u64) -> EntityId {
    assert!(warehouse < 1 << 63, "a warehouse number is below 2^63");
    EntityId((warehouse as u128) << 64 | sku as u128)
}

/// The reservation that its client numbers `number`: bit 127 is 1, the number below.
///
/// # Panics
/// When `number` is 2^127 or more.
#[must_use]
pub const fn reservation_id(number: u128) -> EntityId {
    assert!(number < RESERVATION_TAG, "a reservation's number is below 2^127");
    EntityId(RESERVATION_TAG | number)
}

/// Whether this is the id of an item, not of a reservation.
#[must_use]
pub const fn is_item(id: EntityId) -> bool {
    id.0 & RESERVATION_TAG == 0
}

const RESERVATION_TAG: u128 = 1 << 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_is_a_reservation() {
        assert!(is_item(item_id((1 << 63) - 1, u64::MAX)));
        assert!(!is_item(reservation_id(0)));
        assert_eq!(item_id(2, 3).0, 2 << 64 | 3);
    }

    #[test]
    #[should_panic(expected = "a warehouse number is below 2^63")]
    fn a_warehouse_that_would_set_the_tag_is_refused() {
        let _ = item_id(1 << 63, 0);
    }
}
