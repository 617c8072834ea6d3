//! Why an event is rejected, and why bytes are not an event. The numbers are part of the protocol and never change.

use assize_domain::{InvalidEvent, reasons};

reasons! {
    /// Why an event was rejected. Nothing changed.
    Reason {
        /// Less is available than the event takes.
        InsufficientStock = 1, "less stock is available than the event takes";
        /// An item that does not exist, and that this event does not create.
        UnknownItem = 2, "no such item";
        /// A quantity would not fit 64 bits.
        Overflow = 3, "the quantity would not fit 64 bits";
        /// Source and destination are one item.
        SameItem = 4, "source and destination are the same item";
        /// A quantity of zero.
        ZeroQuantity = 5, "the quantity is zero";
        /// The available stock would fall below the item's floor.
        BelowFloor = 6, "the available stock would fall below the item's floor";
        /// The quantity would rise above the item's ceiling.
        AboveCeiling = 7, "the quantity would rise above the item's ceiling";
        /// No such reservation.
        UnknownReservation = 8, "no such reservation";
        /// The reservation's id is taken.
        ReservationExists = 9, "the reservation exists already";
        /// The reservation was confirmed or released before.
        AlreadySettled = 10, "the reservation was confirmed or released before";
        /// The reservation holds stock of another item.
        OtherItem = 11, "the reservation is of another item";
        /// A floor above the ceiling.
        FloorAboveCeiling = 12, "the floor is above the ceiling";
    }
}

reasons! {
    /// Why bytes are not an event of this domain. Apart from [`Reason`]'s numbers, so that one number names one thing.
    Malformed {
        /// The event names a version of the layout that is not spoken here.
        UnknownVersion = 256, "the version of the event's layout is not 1";
        /// No such kind of event.
        UnknownKind = 257, "no such kind of event";
        /// The payload is not as long as its kind demands.
        WrongLength = 258, "the payload's length is not that of its kind";
        /// A reserved byte is set.
        ReservedNotZero = 259, "a reserved byte is not zero";
        /// No lines, or more than eight.
        BadLineCount = 260, "a transfer of lines has 1 to 8 of them";
        /// A reservation's id where an item's must be.
        NotAnItem = 261, "the id in an item's place is not an item's";
        /// An item's id where a reservation's must be.
        NotAReservation = 262, "the id in a reservation's place is not a reservation's";
    }
}

impl From<Malformed> for InvalidEvent {
    fn from(malformed: Malformed) -> InvalidEvent {
        InvalidEvent { reason: malformed.number() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_reasons() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert_eq!(Malformed::from_number(reason.number()), None);
        }
        for malformed in Malformed::ALL {
            assert_eq!(Malformed::from_number(malformed.number()), Some(*malformed));
        }
        assert_eq!((Reason::from_number(0), Reason::from_number(13)), (None, None));
    }
}
