//! The same events come to the same through any shards, in any order of their messages, and after any start (D1).

use assize_domain::{DomainRegistry, StreamTime};
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, Line, Reason, item_id, reservation_id};
use assize_kit::{Dice, Draft, Kit};

fn domains() -> DomainRegistry {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).unwrap();
    domains
}

/// An event over few items and reservations, so that events meet.
fn draw(dice: &mut Dice, _now: StreamTime) -> Draft {
    let number = dice.below(30);
    // Mostly the item that the reservation is of.
    let of = if dice.once_in(6) { dice.below(6) } else { number % 6 };
    let [item, other] = [of, dice.below(6)].map(|of| item_id(of / 3, of % 3));
    let reservation = reservation_id(number.into());
    let quantity = dice.below(20);
    let delta = *dice.one_of(&[i64::MAX, -7, 3, 20, 30]);
    let lines: Vec<Line> = (0..1 + dice.below(8))
        .map(|_| Line::new(item_id(0, dice.below(3)), item_id(1, dice.below(3)), dice.below(6)))
        .collect();
    let event = match dice.below(18) {
        0..6 => InventoryEvent::Adjust { item, delta, reason: 7 },
        6 => InventoryEvent::SetLimits { item, floor: dice.below(6), ceiling: quantity },
        7..10 => InventoryEvent::Transfer { source: item, destination: other, quantity },
        10 => InventoryEvent::TransferLines { lines: &lines },
        11..14 => InventoryEvent::Reserve { item, reservation, quantity },
        14 => InventoryEvent::Confirm { item, reservation },
        15 => InventoryEvent::Release { item, reservation },
        16 => InventoryEvent::Inspect { entity: item },
        _ => InventoryEvent::Inspect { entity: reservation },
    };
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    Draft::new(&InventoryDomain, payload)
}

#[test]
fn d1_the_same_events_come_to_the_same_everywhere() {
    let report = Kit::new(domains).check(draw).unwrap();
    for reason in Reason::ALL {
        assert!(
            report.rejected(INVENTORY, reason.number()) > 0,
            "nothing was rejected because {reason}: {report}"
        );
    }
}
