//! The client protocol's page shows a transfer of this domain: what it shows is one, and its answer.

use assize_domain::EngineReason;
use assize_inventory::{INVENTORY, InventoryEvent, Quantities, VERSION, item_id};
use assize_wire::event::Event;
use assize_wire::frame::{Frame, Parsed};
use assize_wire::message::{Answers, Submit};

const PAGE: &str = include_str!("../../../../../engine/wire/README.md");

#[test]
fn the_page_submits_a_transfer() {
    let bytes = example("submit");
    let Ok(Parsed::Whole { frame, .. }) = Frame::parse(&bytes) else { panic!("not a frame") };
    let (event, _) = Event::parse(Submit::parse(frame.payload).unwrap().events).unwrap();
    assert_eq!((event.domain(), event.version()), (INVENTORY, VERSION));
    let transfer =
        InventoryEvent::Transfer { source: item_id(1, 1001), destination: item_id(2, 1001), quantity: 5 };
    assert_eq!(InventoryEvent::parse(event.payload()), Ok(transfer));
}

#[test]
fn the_page_is_answered_with_two_quantities() {
    let bytes = example("answers");
    let Ok(Parsed::Whole { frame, .. }) = Frame::parse(&bytes) else { panic!("not a frame") };
    let answer = Answers::parse(frame.payload).unwrap().next().unwrap().unwrap();
    let quantities: Vec<_> = Quantities::parse(answer.response).unwrap().iter().collect();
    assert_eq!(quantities, [95, 25]);
}

#[test]
fn the_page_has_the_engines_reasons() {
    for &reason in EngineReason::ALL {
        let status = if reason == EngineReason::NoRoom { "rejected" } else { "invalid" };
        let row = format!("| {} | {status} | {reason} |", reason as u16);
        assert!(PAGE.contains(&row), "the page should have {row}");
    }
}

fn example(name: &str) -> Vec<u8> {
    let (_, rest) = PAGE.split_once(&format!("```hex {name}\n")).expect("an example of this name");
    let (block, _) = rest.split_once("```").expect("its end");
    let bytes = block.lines().flat_map(|line| line.split('|').next().unwrap_or_default().split_whitespace());
    bytes.map(|pair| u8::from_str_radix(pair, 16).expect("two hex digits")).collect()
}
