//! The domain in JSON: the examples of the crate's page, and both ways back for every kind of event.

use assize_domain::{Domain, DomainRegistry, EntityId, Notation, NotationError, Verdict};
use assize_inventory::{
    INVENTORY, InventoryDomain, InventoryEvent, ItemState, Line, Malformed, NO_CEILING, Reason,
    ReservationState, Settlement, VERSION, item_id, reservation_id,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::properties::{Ask, ask_of};

const PAGE: &str = include_str!("../../README.md");

fn notation() -> &'static dyn Notation {
    InventoryDomain.notation().expect("the inventory has one")
}

/// The lines of an example of the page.
fn lines(language: &str, name: &str) -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once(&format!("```{language} {name}\n")).expect("an example of this name");
    let (block, _) = rest.split_once("\n```").expect("its end");
    block.lines().collect()
}

/// An example and its bytes, line by line.
fn examples(name: &str) -> Vec<(Value, Vec<u8>)> {
    let json = lines("json", name).into_iter().map(|line| serde_json::from_str(line).expect("JSON"));
    let bytes = lines("hex", name).into_iter().map(|line| {
        let digits: Vec<u8> = line.bytes().filter(|byte| *byte != b' ').collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two hex digits")).collect::<Vec<u8>>()
    });
    let (json, bytes): (Vec<_>, Vec<_>) = (json.collect(), bytes.collect());
    assert_eq!(json.len(), bytes.len(), "each of the {name} has its bytes");
    json.into_iter().zip(bytes).collect()
}

#[test]
fn the_page_shows_every_event_and_its_bytes() {
    let mut kinds = Vec::new();
    for (json, bytes) in examples("events") {
        let payload = notation().event_from_json(&json).unwrap();
        assert_eq!((payload.version, &payload.bytes), (VERSION, &bytes), "{json}");
        assert_eq!(notation().event_to_json(VERSION, &bytes), Some(json));
        kinds.push(bytes[0]);
    }
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8], "each kind has its example");
    let mut beyond = examples("events").pop().unwrap().1;
    beyond[0] = 9;
    assert_eq!(InventoryEvent::parse(&beyond), Err(Malformed::UnknownKind), "there is no ninth");
}

#[test]
fn the_page_shows_states_and_their_bytes() {
    let entities = [item_id(1, 1001), item_id(1, 1001), reservation_id(77)];
    for ((json, bytes), entity) in examples("states").into_iter().zip(entities) {
        assert_eq!(notation().state_to_json(entity, &bytes), Some(json));
        assert_eq!(notation().state_to_json(entity, &bytes[1..]), None);
    }
}

#[test]
fn the_page_shows_responses_and_their_bytes() {
    let events = examples("events");
    let responses = examples("responses");
    let item = notation().inspection(item_id(1, 1001)).unwrap();
    let refused = Verdict::Rejected(Reason::UnknownItem.number());
    for (at, (json, bytes)) in responses.iter().enumerate() {
        let (payload, verdict) = match at {
            8 | 9 => (&item.bytes, Verdict::Applied),
            10 => (&events[3].1, refused),
            _ => (&events[at].1, Verdict::Applied),
        };
        let event = Some((VERSION, payload.as_slice()));
        assert_eq!(notation().response_to_json(verdict, event, bytes).as_ref(), Some(json), "{at}");
        let alone = match json.get("state").or(json.get("line")) {
            Some(_) => json.clone(),
            None => json!({"quantities": quantities_in(json)}),
        };
        assert_eq!(notation().response_to_json(verdict, None, bytes), Some(alone), "{at}, without its event");
        assert_eq!(notation().response_to_json(refused, event, &[]), Some(Value::Null));
    }
    assert_eq!(responses.len(), 11);
    let alone = notation().response_to_json(Verdict::Applied, None, &responses[2].1);
    assert_eq!(alone, Some(json!({"quantities": [95, 25]})));
    assert!(PAGE.contains("`{\"quantities\": [95, 25]}`"));
}

/// The numbers in a response, in the order of its bytes: a source comes before its destination.
fn quantities_in(json: &Value) -> Vec<Value> {
    match json {
        Value::Object(members) => ["lines", "source", "destination", "quantity", "reserved"]
            .iter()
            .filter_map(|name| members.get(*name))
            .flat_map(quantities_in)
            .collect(),
        Value::Array(lines) => lines.iter().flat_map(quantities_in).collect(),
        number => vec![number.clone()],
    }
}

#[test]
fn a_response_that_is_not_this_events_is_not_shown_as_if_it_were() {
    let of = |verdict, event: usize, response: usize| {
        let (event, response) = (&examples("events")[event].1, &examples("responses")[response].1);
        notation().response_to_json(verdict, Some((VERSION, event)), response)
    };
    let refused = Verdict::Rejected(1);
    // An adjustment with two quantities or a state, a transfer with one, lines that are not as many, an inspection of a
    // reservation with an item's state or a quantity, a line of what has none.
    for (verdict, event, response) in [
        (Verdict::Applied, 0, 2),
        (Verdict::Applied, 0, 8),
        (Verdict::Applied, 2, 0),
        (Verdict::Applied, 3, 0),
        (Verdict::Applied, 7, 8),
        (Verdict::Applied, 7, 0),
        (refused, 0, 10),
        (refused, 3, 9),
    ] {
        assert_eq!(of(verdict, event, response), None, "{verdict:?} {event} {response}");
    }
    let transfer = &examples("events")[2].1;
    let response = &examples("responses")[2].1;
    for (version, payload) in [(VERSION + 1, &transfer[..]), (VERSION, &transfer[1..])] {
        assert_eq!(notation().response_to_json(Verdict::Applied, Some((version, payload)), response), None);
        assert_eq!(notation().event_to_json(version, payload), None);
    }
    assert_eq!(notation().response_to_json(Verdict::Applied, None, &[7; 9]), None);
}

#[test]
fn an_error_says_where_it_is_and_what_is_accepted() {
    let says = |json: Value, words: &str| {
        let error = notation().event_from_json(&json).unwrap_err().to_string();
        assert_eq!(error, words, "{json}");
    };
    let kinds = "adjust, set_limits, transfer, transfer_lines, reserve, confirm, release, inspect";
    says(json!({"adjuts": {}}), &format!("'adjuts' is not known here; accepted is one of {kinds}"));
    says(
        json!("adjust"),
        &format!("\"adjust\" is not an object with one member; accepted is one of {kinds}"),
    );
    says(
        json!({"adjust": {"itm": "item:1:1", "delta": 1, "reason": 0}}),
        "adjust: the member 'itm' is not known here; accepted are item, delta, reason",
    );
    says(
        json!({"adjust": {"item": "item:1:1", "delta": 1}}),
        "adjust: the member 'reason' is missing; there must be item, delta, reason",
    );
    let number = "; a large one is a text of decimal digits, or of 0x and hexadecimal ones";
    says(
        json!({"adjust": {"item": "item:1:1", "delta": 1, "reason": 65536}}),
        &format!("adjust.reason: 65536 is not a whole number from 0 to 65535{number}"),
    );
    says(
        json!({"transfer_lines": {"lines": [
            {"source": "item:1:1", "destination": "item:2:1", "quantity": 1},
            {"source": "item:1:1", "destination": "reservation:1", "quantity": 1},
        ]}}),
        "transfer_lines.lines[1].destination: reservation:1 is not an item; accepted is item:WAREHOUSE:SKU, such as \
         item:1:1001",
    );
    says(
        json!({"confirm": {"item": "item:1:1", "reservation": "item:1:2"}}),
        "confirm.reservation: item:1:2 is not a reservation; accepted is reservation:NUMBER, such as reservation:77",
    );
    says(
        json!({"transfer_lines": {"lines": []}}),
        "transfer_lines.lines: 0 lines; accepted is a list of 1 to 8 lines",
    );
    says(
        json!({"transfer_lines": {"lines": 5}}),
        "transfer_lines.lines: no list; accepted is a list of 1 to 8 lines",
    );
    says(json!({"inspect": {"entity": 5}}), "inspect.entity: 5 is not a text");
    says(
        json!({"set_limits": {"item": "item:1:1", "floor": null, "ceiling": null}}),
        &format!("set_limits.floor: null is not a whole number from 0 to {}{number}", u64::MAX),
    );
}

#[test]
fn a_text_that_names_no_entity_is_refused_and_any_id_has_one_text() {
    let error = |text: &str| notation().entity_from_text(text).unwrap_err().to_string();
    let forms =
        "accepted are item:WAREHOUSE:SKU, such as item:1:1001 and reservation:NUMBER, such as reservation:77";
    for text in ["", "item", "item:1", "item:1:2:3", "Item:1:2", "reservation", "reservation:1:2", "17"] {
        assert_eq!(error(text), format!("'{text}' names no entity of the inventory; {forms}"));
    }
    assert_eq!(error("item:9223372036854775808:1"), "warehouse: 9223372036854775808 is not below 2^63");
    assert!(error("item:1:18446744073709551616").starts_with("sku: "));
    assert!(error("item::1").starts_with("warehouse: ") && error("item:1: 2").starts_with("sku: "));
    let large = format!("reservation:{}", 1u128 << 127);
    assert_eq!(error(&large), format!("number: {} is not below 2^127", 1u128 << 127));
    let read = |text: &str| -> Result<EntityId, NotationError> { notation().entity_from_text(text) };
    assert_eq!(read("item:0x7:0x10"), Ok(item_id(7, 16)));
    for id in
        [item_id((1 << 63) - 1, u64::MAX), reservation_id((1 << 127) - 1), item_id(0, 0), reservation_id(0)]
    {
        assert_eq!(read(&notation().entity_to_text(id)), Ok(id));
    }
    assert_eq!(notation().entity_to_text(reservation_id(77)), "reservation:77");
}

#[test]
fn a_state_is_read_as_that_of_its_entity() {
    let item = ItemState { quantity: u64::MAX, reserved: 1 << 53, floor: 0, ceiling: NO_CEILING };
    let json = json!({
        "quantity": "18446744073709551615", "reserved": "9007199254740992", "floor": 0, "ceiling": null,
    });
    assert_eq!(notation().state_to_json(item_id(0, 0), &item.encode()), Some(json));
    for (settlement, status) in
        [(Settlement::Open, "open"), (Settlement::Confirmed, "confirmed"), (Settlement::Released, "released")]
    {
        let state = ReservationState { item: item_id(3, 4), quantity: 5, settlement }.encode();
        let json = json!({"item": "item:3:4", "quantity": 5, "status": status});
        assert_eq!(notation().state_to_json(reservation_id(9), &state), Some(json));
    }
}

#[test]
fn the_registry_leads_to_the_notation_by_name() {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).unwrap();
    let id = domains.named("inventory").unwrap();
    assert_eq!(id, INVENTORY);
    let inspection = domains.notation(id).unwrap().inspection(item_id(1, 2)).unwrap();
    assert_eq!(inspection.version, VERSION);
    let event = InventoryEvent::Inspect { entity: item_id(1, 2) };
    assert_eq!(InventoryEvent::parse(&inspection.bytes), Ok(event));
    assert_eq!(domains.reason(id, 1), Some(Reason::InsufficientStock.words()));
    assert_eq!(notation().inspected(&[0]), Some(None));
    let state = ItemState::EMPTY.encode();
    assert_eq!(notation().inspected(&[&[1][..], &state].concat()), Some(Some(&state[..])));
    assert_eq!(notation().inspected(&[0; 8]), None);
}

/// Any id of an item.
fn any_item() -> impl Strategy<Value = EntityId> {
    (0u64..1 << 63, any::<u64>()).prop_map(|(warehouse, sku)| item_id(warehouse, sku))
}

fn any_reservation() -> impl Strategy<Value = EntityId> {
    (0u128..1 << 127).prop_map(reservation_id)
}

/// Any number, half of them around what a double holds.
fn any_quantity() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), (1u64 << 53) - 3..(1 << 53) + 3, 0u64..5, (u64::MAX - 3)..=u64::MAX]
}

/// A number as a client may write it.
fn written(number: i128, how: u8) -> Value {
    let sign = if number < 0 { "-" } else { "" };
    match how % 4 {
        0 => json!(number.to_string()),
        1 => json!(format!("{sign}0x{:x}", number.unsigned_abs())),
        _ => serde_json::from_str(&number.to_string()).expect("a number"),
    }
}

/// The event in JSON, written apart from the domain; numbers as `how` says.
fn by_hand(event: &InventoryEvent<'_>, how: u8) -> Value {
    let name = |id: EntityId| match id.0 >> 127 {
        0 => format!("item:{}:{}", id.0 >> 64, id.0 as u64),
        _ => format!("reservation:{}", id.0 - (1 << 127)),
    };
    let line = |source, destination, quantity: u64| {
        let quantity = written(quantity.into(), how);
        json!({"source": name(source), "destination": name(destination), "quantity": quantity})
    };
    match *event {
        InventoryEvent::Adjust { item, delta, reason } => json!({"adjust": {
            "item": name(item), "delta": written(delta.into(), how), "reason": written(reason.into(), how),
        }}),
        InventoryEvent::SetLimits { item, floor, ceiling } => json!({"set_limits": {
            "item": name(item), "floor": written(floor.into(), how),
            "ceiling": if ceiling == u64::MAX && how < 128 { Value::Null } else { written(ceiling.into(), how) },
        }}),
        InventoryEvent::Transfer { source, destination, quantity } => {
            json!({"transfer": line(source, destination, quantity)})
        }
        InventoryEvent::TransferLines { lines } => {
            let lines = lines.iter().map(|one| line(one.source(), one.destination(), one.quantity()));
            json!({"transfer_lines": {"lines": lines.collect::<Vec<_>>()}})
        }
        InventoryEvent::Reserve { item, reservation, quantity } => json!({"reserve": {
            "item": name(item), "reservation": name(reservation), "quantity": written(quantity.into(), how),
        }}),
        InventoryEvent::Confirm { item, reservation } => {
            json!({"confirm": {"item": name(item), "reservation": name(reservation)}})
        }
        InventoryEvent::Release { item, reservation } => {
            json!({"release": {"item": name(item), "reservation": name(reservation)}})
        }
        InventoryEvent::Inspect { entity } => json!({"inspect": {"entity": name(entity)}}),
    }
}

fn any_ask() -> impl Strategy<Value = Ask> {
    ask_of(any_item().boxed(), any_reservation().boxed(), any_quantity().boxed(), any::<i64>().boxed())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn an_event_written_by_hand_is_read_and_every_event_is_written_and_read_back(ask in any_ask(), how: u8) {
        let event = ask.event();
        let mut payload = Vec::new();
        event.encode_payload(&mut payload);
        let read = notation().event_from_json(&by_hand(&event, how)).unwrap();
        prop_assert_eq!((read.version, &read.bytes), (VERSION, &payload), "{:?}", event);

        let json = notation().event_to_json(VERSION, &payload).unwrap();
        prop_assert_eq!(&notation().event_from_json(&json).unwrap().bytes, &payload, "{}", json);
        // Through text, as it travels; and by a program that keeps every number as a double.
        let text: Value = serde_json::from_str(&json.to_string()).unwrap();
        prop_assert_eq!(&text, &json);
        prop_assert_eq!(&through_doubles(&json), &json);
        let again = notation().event_to_json(VERSION, &notation().event_from_json(&json).unwrap().bytes);
        prop_assert_eq!(again, Some(json));
    }

    /// One member more, or one less, anywhere.
    #[test]
    fn a_member_that_is_not_expected_or_is_missing_is_an_error_that_names_it(ask in any_ask(), at: usize) {
        let json = by_hand(&ask.event(), 3);
        let objects = objects_in(&json).len();
        let mut more = json.clone();
        objects_in_mut(&mut more, at % objects).insert("surplus".to_owned(), Value::Null);
        let error = notation().event_from_json(&more).unwrap_err().to_string();
        prop_assert!(error.contains("'surplus'") || error.contains("with one member"), "{}", error);
        let mut less = json.clone();
        let members = objects_in_mut(&mut less, at % objects);
        let name = members.keys().nth(at / objects % members.len()).unwrap().clone();
        members.remove(&name);
        let error = notation().event_from_json(&less).unwrap_err().to_string();
        prop_assert!(error.contains(&format!("'{name}' is missing")) || error.contains("with one member"), "{}", error);
    }

    #[test]
    fn any_bytes_are_shown_or_nothing_is_and_none_panics(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        kind in 0u8..10,
        entity: u128,
        text in ".{0,40}",
    ) {
        let entity = EntityId(entity);
        let shown = notation().entity_to_text(entity);
        prop_assert_eq!(notation().entity_from_text(&shown), Ok(entity));
        let _ = notation().entity_from_text(&text);
        let _ = notation().event_from_json(&json!({"inspect": {"entity": text}}));
        if bytes.len() > 16 {
            bytes[0] = kind;
            bytes[1..8].fill(0);
        }
        let _ = notation().event_to_json(VERSION, &bytes);
        let _ = notation().state_to_json(entity, &bytes);
        for verdict in [Verdict::Applied, Verdict::Rejected(1)] {
            let _ = notation().response_to_json(verdict, None, &bytes);
            let _ = notation().response_to_json(verdict, Some((VERSION, &bytes)), &bytes);
        }
        let inspected = notation().inspected(&bytes);
        prop_assert!(inspected.flatten().is_none_or(|state| state.len() + 1 == bytes.len()));
    }
}

/// What is left of JSON in a program that keeps every number as a double.
fn through_doubles(json: &Value) -> Value {
    match json {
        Value::Number(number) => {
            let double = number.as_f64().expect("a number");
            json!(double as i64)
        }
        Value::Array(list) => list.iter().map(through_doubles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), through_doubles(member))).collect()
        }
        other => other.clone(),
    }
}

/// Every object, the outermost first.
fn objects_in(json: &Value) -> Vec<&Value> {
    let inner: Vec<&Value> = match json {
        Value::Object(members) => members.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    let itself = json.is_object().then_some(json);
    itself.into_iter().chain(inner.into_iter().flat_map(objects_in)).collect()
}

fn objects_in_mut(json: &mut Value, at: usize) -> &mut serde_json::Map<String, Value> {
    fn find<'a>(json: &'a mut Value, left: &mut usize) -> Option<&'a mut serde_json::Map<String, Value>> {
        if json.is_object() {
            if *left == 0 {
                return json.as_object_mut();
            }
            *left -= 1;
        }
        match json {
            Value::Object(members) => members.values_mut().find_map(|inner| find(inner, left)),
            Value::Array(list) => list.iter_mut().find_map(|inner| find(inner, left)),
            _ => None,
        }
    }
    let mut left = at;
    find(json, &mut left).expect("so many objects were counted")
}

#[test]
fn more_lines_than_an_event_has_are_refused_in_json() {
    let line = Line::new(item_id(1, 1), item_id(2, 1), 1);
    let json = by_hand(&InventoryEvent::TransferLines { lines: &[line; 9] }, 3);
    let error = notation().event_from_json(&json).unwrap_err().to_string();
    assert_eq!(error, "transfer_lines.lines: 9 lines; accepted is a list of 1 to 8 lines");
}
