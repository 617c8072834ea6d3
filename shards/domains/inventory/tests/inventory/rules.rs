//! One test for each rule of `inventory.allium`, with the cases that a rule names.

use crate::books::Books;
use assize_domain::{EntityId, Verdict};
use assize_inventory::{
    Inspected, InventoryEvent, ItemState, Line, NO_CEILING, Quantities, Reason, ReservationState, Settlement,
    item_id, rejected_line, reservation_id,
};

const A: EntityId = item_id(1, 10);
const B: EntityId = item_id(2, 10);
const C: EntityId = item_id(3, 10);
const R: EntityId = reservation_id(7);

fn applied(quantities: &[u64]) -> (Verdict, Vec<u64>) {
    (Verdict::Applied, quantities.to_vec())
}

fn rejected(reason: Reason) -> (Verdict, Vec<u64>) {
    (Verdict::Rejected(reason.number()), vec![])
}

fn run(books: &mut Books, event: &InventoryEvent<'_>) -> (Verdict, Vec<u64>) {
    let (verdict, response) = books.run(event);
    let quantities = Quantities::parse(&response).unwrap();
    (verdict, quantities.iter().collect())
}

fn adjust(item: EntityId, delta: i64) -> InventoryEvent<'static> {
    InventoryEvent::Adjust { item, delta, reason: 3 }
}

fn transfer(source: EntityId, destination: EntityId, quantity: u64) -> InventoryEvent<'static> {
    InventoryEvent::Transfer { source, destination, quantity }
}

fn limits(item: EntityId, floor: u64, ceiling: u64) -> InventoryEvent<'static> {
    InventoryEvent::SetLimits { item, floor, ceiling }
}

fn reserve(item: EntityId, quantity: u64) -> InventoryEvent<'static> {
    InventoryEvent::Reserve { item, reservation: R, quantity }
}

fn stocked(items: &[(EntityId, i64)]) -> Books {
    let mut books = Books::default();
    for (item, quantity) in items {
        assert_eq!(books.run(&adjust(*item, *quantity)).0, Verdict::Applied);
    }
    books
}

/// Rules: IncreaseStock, CreateItem.
#[test]
fn increase_stock_and_create_item() {
    let mut books = Books::default();
    assert_eq!(run(&mut books, &adjust(A, 5)), applied(&[5]));
    assert_eq!(run(&mut books, &adjust(A, 2)), applied(&[7]));
    assert_eq!(run(&mut books, &adjust(A, 0)), rejected(Reason::ZeroQuantity));
    run(&mut books, &adjust(A, i64::MAX));
    assert_eq!(run(&mut books, &adjust(A, i64::MAX)), rejected(Reason::Overflow));
    assert_eq!(books.item(A).unwrap().quantity, 7 + (1 << 63) - 1);
}

/// Rule: DecreaseStock.
#[test]
fn decrease_stock() {
    let mut books = stocked(&[(A, 5)]);
    assert_eq!(run(&mut books, &adjust(A, -2)), applied(&[3]));
    assert_eq!(run(&mut books, &adjust(A, -4)), rejected(Reason::InsufficientStock));
    assert_eq!(run(&mut books, &adjust(A, i64::MIN)), rejected(Reason::InsufficientStock));
    assert_eq!(run(&mut books, &adjust(B, -1)), rejected(Reason::UnknownItem));
    assert_eq!(books.len(), 1, "a rejected decrease creates nothing");
}

/// Rule: SetLimits.
#[test]
fn set_limits() {
    let mut books = stocked(&[(A, 5)]);
    assert_eq!(run(&mut books, &limits(A, 2, 8)), applied(&[5]));
    assert_eq!(run(&mut books, &adjust(A, -4)), rejected(Reason::BelowFloor));
    assert_eq!(run(&mut books, &reserve(A, 4)), rejected(Reason::BelowFloor));
    assert_eq!(run(&mut books, &adjust(A, 4)), rejected(Reason::AboveCeiling));
    assert_eq!(run(&mut books, &limits(A, 6, 8)), rejected(Reason::BelowFloor));
    assert_eq!(run(&mut books, &limits(A, 0, 4)), rejected(Reason::AboveCeiling));
    assert_eq!(run(&mut books, &limits(A, 5, 4)), rejected(Reason::FloorAboveCeiling));
    assert_eq!(run(&mut books, &limits(B, 0, 4)), rejected(Reason::UnknownItem));
    assert_eq!(run(&mut books, &limits(A, 0, NO_CEILING)), applied(&[5]));
    assert_eq!(run(&mut books, &adjust(A, 4)), applied(&[9]));
}

/// Rule: TransferStock.
#[test]
fn transfer_stock() {
    let mut books = stocked(&[(A, 5), (B, 1)]);
    assert_eq!(run(&mut books, &transfer(A, B, 3)), applied(&[2, 4]));
    assert_eq!(run(&mut books, &transfer(A, B, 3)), rejected(Reason::InsufficientStock));
    assert_eq!(run(&mut books, &transfer(A, B, 0)), rejected(Reason::ZeroQuantity));
    assert_eq!(run(&mut books, &transfer(A, A, 1)), rejected(Reason::SameItem));
    assert_eq!(run(&mut books, &transfer(A, C, 1)), rejected(Reason::UnknownItem));
    assert_eq!(run(&mut books, &transfer(C, A, 1)), rejected(Reason::UnknownItem));
    run(&mut books, &limits(B, 0, 4));
    assert_eq!(run(&mut books, &transfer(A, B, 1)), rejected(Reason::AboveCeiling));
    run(&mut books, &limits(A, 2, NO_CEILING));
    assert_eq!(run(&mut books, &transfer(A, B, 1)), rejected(Reason::BelowFloor));
}

/// Rule: TransferAllLines.
#[test]
fn transfer_all_lines_or_none() {
    let mut books = stocked(&[(A, 5), (B, 1), (C, 1)]);
    let chain = [Line::new(A, B, 5), Line::new(B, C, 6), Line::new(C, A, 7)];
    let event = InventoryEvent::TransferLines { lines: &chain };
    assert_eq!(run(&mut books, &event), applied(&[0, 6, 0, 7, 0, 7]));

    let before = books.clone();
    let broken = [Line::new(A, B, 7), Line::new(B, C, 8)];
    let (verdict, response) = books.run(&InventoryEvent::TransferLines { lines: &broken });
    assert_eq!(verdict, Verdict::Rejected(Reason::InsufficientStock.number()));
    assert_eq!(rejected_line(&response), Some(1));
    assert_eq!(books, before);
    let same = [Line::new(A, B, 7), Line::new(B, B, 1)];
    let (verdict, _) = books.run(&InventoryEvent::TransferLines { lines: &same });
    assert_eq!(verdict, Verdict::Rejected(Reason::SameItem.number()));
}

/// Rules: ReserveStock, ConfirmReservation.
#[test]
fn reserve_stock_then_confirm_reservation() {
    let mut books = stocked(&[(A, 5), (B, 5)]);
    assert_eq!(run(&mut books, &reserve(A, 0)), rejected(Reason::ZeroQuantity));
    assert_eq!(run(&mut books, &reserve(C, 1)), rejected(Reason::UnknownItem));
    assert_eq!(run(&mut books, &reserve(A, 6)), rejected(Reason::InsufficientStock));
    assert_eq!(run(&mut books, &reserve(A, 3)), applied(&[5, 3]));
    assert_eq!(run(&mut books, &reserve(A, 1)), rejected(Reason::ReservationExists));
    assert_eq!(run(&mut books, &adjust(A, -3)), rejected(Reason::InsufficientStock));
    assert_eq!(run(&mut books, &transfer(A, B, 3)), rejected(Reason::InsufficientStock));

    let confirm = |item, reservation| InventoryEvent::Confirm { item, reservation };
    assert_eq!(run(&mut books, &confirm(B, R)), rejected(Reason::OtherItem));
    assert_eq!(run(&mut books, &confirm(C, R)), rejected(Reason::UnknownItem));
    let other = reservation_id(8);
    assert_eq!(run(&mut books, &confirm(A, other)), rejected(Reason::UnknownReservation));
    assert_eq!(run(&mut books, &confirm(A, R)), applied(&[2, 0]));
    assert_eq!(run(&mut books, &confirm(A, R)), rejected(Reason::AlreadySettled));
    assert_eq!(books.reservation(R).unwrap().settlement, Settlement::Confirmed);
}

/// Rule: ReleaseReservation.
#[test]
fn release_reservation() {
    let mut books = stocked(&[(A, 5)]);
    run(&mut books, &reserve(A, 3));
    let release = InventoryEvent::Release { item: A, reservation: R };
    assert_eq!(run(&mut books, &release), applied(&[5, 0]));
    assert_eq!(run(&mut books, &release), rejected(Reason::AlreadySettled));
    assert_eq!(run(&mut books, &reserve(A, 1)), rejected(Reason::ReservationExists));
    let plain = ItemState { quantity: 5, ..ItemState::EMPTY };
    assert_eq!(books.item(A), Some(plain));
}

/// Rules: InspectItem, InspectReservation, InspectAbsent.
#[test]
fn inspect_item_and_reservation_and_what_is_absent() {
    let mut books = stocked(&[(A, 5)]);
    run(&mut books, &reserve(A, 3));
    let before = books.clone();
    let mut inspect = |entity| books.run(&InventoryEvent::Inspect { entity });

    let (verdict, response) = inspect(A);
    let Some(Inspected::Item(state)) = Inspected::parse(&response) else { panic!("{response:?}") };
    let item = ItemState { quantity: 5, reserved: 3, ..ItemState::EMPTY };
    assert_eq!((verdict, ItemState::parse(state)), (Verdict::Applied, Some(item)));

    let (verdict, response) = inspect(R);
    let Some(Inspected::Reservation(state)) = Inspected::parse(&response) else { panic!("{response:?}") };
    let reservation = ReservationState { item: A, quantity: 3, settlement: Settlement::Open };
    assert_eq!((verdict, ReservationState::parse(state)), (Verdict::Applied, Some(reservation)));

    for absent in [B, reservation_id(8)] {
        let (verdict, response) = inspect(absent);
        assert_eq!((verdict, Inspected::parse(&response)), (Verdict::Applied, Some(Inspected::Absent)));
    }
    assert_eq!(books, before, "nothing changed, and what was absent stays absent");
}

#[test]
fn what_is_no_inspections_response_is_not_read_as_one() {
    let item = ItemState::EMPTY.encode();
    let tagged = |tag: u8, state: &[u8]| [&[tag], state].concat();
    for response in [
        vec![],
        vec![1],
        vec![3],
        tagged(0, &item),
        tagged(3, &item),
        tagged(1, &item[1..]),
        // An item's state is not a reservation's: nothing says how it stands.
        tagged(2, &item[..24]),
        7u64.to_le_bytes().to_vec(),
    ] {
        assert_eq!(Inspected::parse(&response), None, "{response:?}");
    }
}
