//! The bytes of every event: pinned, refused where they are not an event, and equal to the rkyv archive of a plain
//! struct.

use crate::books::event_bytes;
use assize_domain::{Domain, DomainId, Entities, Event, InvalidEvent};
use assize_inventory::{
    INVENTORY, InventoryDomain, InventoryEvent, Line, Malformed, Reason, VERSION, item_id, reservation_id,
};

#[derive(rkyv::Archive, rkyv::Serialize)]
struct TransferMirror {
    kind: u16,
    detail: u16,
    reserved: [u8; 4],
    quantity: u64,
    source: u128,
    destination: u128,
}

fn encoded(event: &InventoryEvent<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    payload
}

fn every_kind(lines: &[Line]) -> [InventoryEvent<'_>; 8] {
    let (item, other, reservation) = (item_id(1, 2), item_id(3, 4), reservation_id(5));
    [
        InventoryEvent::Adjust { item, delta: -6, reason: 7 },
        InventoryEvent::SetLimits { item, floor: 8, ceiling: 9 },
        InventoryEvent::Transfer { source: item, destination: other, quantity: 10 },
        InventoryEvent::TransferLines { lines },
        InventoryEvent::Reserve { item, reservation, quantity: 11 },
        InventoryEvent::Confirm { item, reservation },
        InventoryEvent::Release { item, reservation },
        InventoryEvent::Inspect { entity: reservation },
    ]
}

#[test]
fn the_archive_of_a_transfer_is_exactly_its_payload() {
    let (source, destination) = (item_id(1 << 62, 2), item_id(3, u64::MAX));
    let mirror = TransferMirror {
        kind: 3,
        detail: 0,
        reserved: [0; 4],
        quantity: 1 << 60 | 5,
        source: source.0,
        destination: destination.0,
    };
    let archive = rkyv::to_bytes::<rkyv::rancor::Panic>(&mirror).unwrap();
    let payload = encoded(&InventoryEvent::Transfer { source, destination, quantity: 1 << 60 | 5 });
    assert_eq!(archive.as_slice(), payload);
    assert_eq!(event_bytes(INVENTORY, VERSION, &payload).len(), 80);
}

#[test]
fn every_kind_reads_back_and_has_its_length() {
    let lines = [Line::new(item_id(1, 2), item_id(3, 4), 5); 2];
    let lengths = every_kind(&lines).map(|event| {
        let payload = encoded(&event);
        assert_eq!(InventoryEvent::parse(&payload), Ok(event));
        payload.len()
    });
    assert_eq!(lengths, [32, 48, 48, 16 + 2 * 48, 48, 48, 48, 32]);
}

#[test]
fn another_length_or_a_flipped_bit_is_refused_or_another_event() {
    let lines = [Line::new(item_id(1, 2), item_id(3, 4), 5); 2];
    for event in every_kind(&lines) {
        let payload = encoded(&event);
        for length in 0..payload.len() {
            assert!(InventoryEvent::parse(&payload[..length]).is_err(), "{event:?} {length}");
        }
        for at in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = InventoryEvent::parse(&flipped) {
                assert_ne!(read, event, "bit {at}");
                assert_eq!(encoded(&read), flipped, "an event has one encoding");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_the_bytes_has_a_number() {
    let transfer = encoded(&every_kind(&[Line::new(item_id(1, 2), item_id(3, 4), 5)])[2]);
    let lines = encoded(&every_kind(&[Line::new(item_id(1, 2), item_id(3, 4), 5)])[3]);
    let release = encoded(&every_kind(&[Line::new(item_id(1, 2), item_id(3, 4), 5)])[6]);
    let inspect = encoded(&every_kind(&[Line::new(item_id(1, 2), item_id(3, 4), 5)])[7]);
    let with = |payload: &[u8], at: usize, value: u8| {
        let mut bytes = payload.to_vec();
        bytes[at] = value;
        InventoryEvent::parse(&bytes).unwrap_err()
    };
    assert_eq!(with(&transfer, 0, 9), Malformed::UnknownKind);
    assert_eq!(with(&transfer, 0, 0), Malformed::UnknownKind);
    assert_eq!(with(&transfer, 2, 1), Malformed::ReservedNotZero);
    assert_eq!(with(&transfer, 7, 1), Malformed::ReservedNotZero);
    assert_eq!(with(&transfer, 31, 0x80), Malformed::NotAnItem);
    assert_eq!(with(&release, 47, 0), Malformed::NotAReservation);
    assert_eq!(with(&lines, 2, 0), Malformed::BadLineCount);
    assert_eq!(with(&lines, 2, 9), Malformed::BadLineCount);
    assert_eq!(with(&lines, 2, 2), Malformed::WrongLength);
    assert_eq!(with(&inspect, 2, 1), Malformed::ReservedNotZero);
    assert_eq!(with(&inspect, 8, 1), Malformed::ReservedNotZero);
    assert_eq!(with(&transfer, 0, 8), Malformed::WrongLength);
    assert_eq!(InventoryEvent::parse(&[]), Err(Malformed::WrongLength));
}

#[test]
fn another_version_of_the_layout_is_invalid() {
    let bytes = event_bytes(INVENTORY, VERSION + 1, &[]);
    let (event, _) = Event::parse(&bytes).unwrap();
    let invalid = InventoryDomain.entities(&event, &mut Entities::new());
    assert_eq!(invalid, Err(InvalidEvent { reason: 256 }));
    assert_eq!(InventoryDomain.reason(256), Some(Malformed::UnknownVersion.words()));
    assert_eq!(InventoryDomain.reason(1), Some(Reason::InsufficientStock.words()));
    assert_eq!(InventoryDomain.id(), DomainId(1));
}

#[test]
fn a_transfer_to_itself_has_one_entity_and_is_whole() {
    let payload =
        encoded(&InventoryEvent::Transfer { source: item_id(1, 2), destination: item_id(1, 2), quantity: 1 });
    let bytes = event_bytes(INVENTORY, VERSION, &payload);
    let (event, _) = Event::parse(&bytes).unwrap();
    let mut entities = Entities::new();
    InventoryDomain.entities(&event, &mut entities).unwrap();
    assert_eq!(entities.as_slice(), [item_id(1, 2)]);
}

#[test]
#[should_panic(expected = "accepted are 1 to 8")]
fn more_lines_than_fit_are_not_encoded() {
    encoded(&InventoryEvent::TransferLines { lines: &[Line::new(item_id(1, 2), item_id(3, 4), 5); 9] });
}

#[test]
fn the_readme_names_every_reason_by_its_number() {
    let readme = include_str!("../../README.md");
    for (number, words) in Reason::ALL.iter().map(|reason| (reason.number(), reason.words())) {
        assert!(readme.contains(&format!("| {number} | {words} |")), "{number} {words}");
    }
    for (number, words) in Malformed::ALL.iter().map(|malformed| (malformed.number(), malformed.words())) {
        assert!(readme.contains(&format!("| {number} | {words} |")), "{number} {words}");
    }
}
