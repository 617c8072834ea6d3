//! Random histories against a model written apart from the domain: same verdicts, same answers, same stock.

use crate::books::Books;
use crate::fuzzed;
use crate::model::{Model, Refusal};
use assize_domain::{EntityId, Verdict};
use assize_inventory::{Inspected, InventoryEvent, Line, Quantities, item_id, rejected_line, reservation_id};
use proptest::prelude::*;

/// An event that owns its lines.
#[derive(Clone, Debug)]
pub enum Ask {
    Lines(Vec<Line>),
    Other(InventoryEvent<'static>),
}

impl Ask {
    /// The event.
    pub fn event(&self) -> InventoryEvent<'_> {
        match self {
            Ask::Lines(lines) => InventoryEvent::TransferLines { lines },
            Ask::Other(event) => *event,
        }
    }
}

/// Few items, so that histories meet; one of them is seldom created.
fn item() -> impl Strategy<Value = EntityId> {
    (0u64..2, 0u64..3).prop_map(|(warehouse, sku)| item_id(warehouse, sku))
}

fn reservation() -> impl Strategy<Value = EntityId> {
    (0u128..4).prop_map(reservation_id)
}

/// Mostly small, sometimes at the edge of 64 bits.
fn quantity() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..20, 1 => (u64::MAX - 3)..=u64::MAX, 1 => any::<u64>()]
}

fn delta() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -10i64..40, 1 => (i64::MAX - 3)..=i64::MAX, 1 => i64::MIN..(i64::MIN + 3)]
}

/// An event of any kind, of these.
pub fn ask_of(
    item: BoxedStrategy<EntityId>,
    reservation: BoxedStrategy<EntityId>,
    quantity: BoxedStrategy<u64>,
    delta: BoxedStrategy<i64>,
) -> impl Strategy<Value = Ask> {
    let (item, reservation, quantity) = (|| item.clone(), || reservation.clone(), || quantity.clone());
    let other = prop_oneof![
        4 => (item(), delta, any::<u16>())
            .prop_map(|(item, delta, reason)| InventoryEvent::Adjust { item, delta, reason }),
        1 => (item(), 0u64..6, quantity())
            .prop_map(|(item, floor, ceiling)| InventoryEvent::SetLimits { item, floor, ceiling }),
        4 => (item(), item(), quantity())
            .prop_map(|(source, destination, quantity)| InventoryEvent::Transfer { source, destination, quantity }),
        2 => (item(), reservation(), quantity())
            .prop_map(|(item, reservation, quantity)| InventoryEvent::Reserve { item, reservation, quantity }),
        2 => (item(), reservation()).prop_map(|(item, reservation)| InventoryEvent::Confirm { item, reservation }),
        2 => (item(), reservation()).prop_map(|(item, reservation)| InventoryEvent::Release { item, reservation }),
        2 => prop_oneof![item(), reservation()].prop_map(|entity| InventoryEvent::Inspect { entity }),
    ];
    let line = (item(), item(), quantity())
        .prop_map(|(source, destination, quantity)| Line::new(source, destination, quantity));
    prop_oneof![
        4 => other.prop_map(Ask::Other),
        1 => prop::collection::vec(line, 1..=8).prop_map(Ask::Lines),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    ask_of(item().boxed(), reservation().boxed(), quantity().boxed(), delta().boxed())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Invariants: StockNeverNegative, FloorAndCeilingHold, ReservedIsBacked. Guarantees: TransfersConserveStock,
    /// InspectionsChangeNothing.
    #[test]
    fn stock_never_negative_and_transfers_conserve_stock(history in prop::collection::vec(ask(), 1..60)) {
        let (mut books, mut model) = (Books::default(), Model::default());
        for ask in &history {
            let (event, before, books_before) = (ask.event(), model.total(), books.clone());
            let (verdict, response) = books.run(&event);
            if let InventoryEvent::Inspect { entity } = event {
                prop_assert_eq!(verdict, Verdict::Applied);
                let inspected = Inspected::parse(&response).expect("an inspection's response");
                prop_assert_eq!(inspected.state().is_some(), model.exists(entity));
                prop_assert_eq!(inspected.state(), books_before.state(entity));
                prop_assert_eq!(&books, &books_before, "an inspection changes nothing");
                continue;
            }
            match model.run(&event) {
                Ok(expected) => {
                    prop_assert_eq!(verdict, Verdict::Applied, "{:?}", event);
                    let quantities: Vec<_> = Quantities::parse(&response).unwrap().iter().collect();
                    prop_assert_eq!(quantities, expected);
                }
                Err(Refusal { reason, line }) => {
                    prop_assert_eq!(verdict, Verdict::Rejected(reason.number()), "{:?}", event);
                    prop_assert_eq!(rejected_line(&response), line);
                    prop_assert_eq!(&books, &books_before, "a rejected event changes nothing");
                }
            }
            if !matches!(event, InventoryEvent::Adjust { .. } | InventoryEvent::Confirm { .. }) {
                prop_assert_eq!(model.total(), before, "{:?}", event);
            }
            model.check(&books);
        }
    }

    #[test]
    fn any_payload_is_an_event_or_is_refused(
        mut payload in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0u8..10,
    ) {
        fuzzed::inventory(&payload);
        // Now with a beginning that reaches further into the parser.
        if payload.len() > 8 {
            payload[0] = kind;
            payload[1..8].fill(0);
        }
        fuzzed::inventory(&payload);
        let _ = Books::default().run_payload(&payload);
    }
}
