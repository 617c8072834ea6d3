//! The domain in JSON: its events, states and answers. Examples of each are in the crate's `README.md`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use assize_domain::notation::{
    Members, number_from_json, number_from_text, number_to_json, only_member, text_from_json,
};
use assize_domain::{EntityId, Notation, NotationError, Payload, Verdict};
use serde_json::{Value, json};

use crate::evaluate::{InventoryDomain, VERSION};
use crate::event::{InventoryEvent, LINES_MAX, Line};
use crate::ids::{is_item, item_id, reservation_id};
use crate::inspected::Inspected;
use crate::item::{ItemState, NO_CEILING};
use crate::quantities::{Quantities, rejected_line};
use crate::reservation::{ReservationState, Settlement};

impl Notation for InventoryDomain {
    fn event_from_json(&self, json: &Value) -> Result<Payload, NotationError> {
        let (kind, members) = only_member(json, &KINDS)?;
        let mut bytes = Vec::new();
        read_event(kind, members, &mut bytes).map_err(|error| error.within(kind))?;
        Ok(Payload { version: VERSION, bytes })
    }

    fn event_to_json(&self, version: u16, payload: &[u8]) -> Option<Value> {
        Some(match read(version, payload)? {
            InventoryEvent::Adjust { item, delta, reason } => {
                json!({"adjust": {"item": name(item), "delta": number_to_json(delta), "reason": reason}})
            }
            InventoryEvent::SetLimits { item, floor, ceiling } => {
                let (floor, ceiling) = (number_to_json(floor), ceiling_to_json(ceiling));
                json!({"set_limits": {"item": name(item), "floor": floor, "ceiling": ceiling}})
            }
            InventoryEvent::Transfer { source, destination, quantity } => {
                json!({"transfer": transfer_to_json(source, destination, quantity)})
            }
            InventoryEvent::TransferLines { lines } => {
                let line = |line: &Line| transfer_to_json(line.source(), line.destination(), line.quantity());
                json!({"transfer_lines": {"lines": lines.iter().map(line).collect::<Vec<_>>()}})
            }
            InventoryEvent::Reserve { item, reservation, quantity } => json!({"reserve": {
                "item": name(item),
                "reservation": name(reservation),
                "quantity": number_to_json(quantity),
            }}),
            InventoryEvent::Confirm { item, reservation } => {
                json!({"confirm": {"item": name(item), "reservation": name(reservation)}})
            }
            InventoryEvent::Release { item, reservation } => {
                json!({"release": {"item": name(item), "reservation": name(reservation)}})
            }
            InventoryEvent::Inspect { entity } => json!({"inspect": {"entity": name(entity)}}),
        })
    }

    fn entity_from_text(&self, text: &str) -> Result<EntityId, NotationError> {
        let parts: Vec<_> = text.split(':').collect();
        match parts[..] {
            ["item", warehouse, sku] => {
                let warehouse: u64 =
                    number_from_text(warehouse).map_err(|error| error.within("warehouse"))?;
                let sku = number_from_text(sku).map_err(|error| error.within("sku"))?;
                if warehouse >= 1 << 63 {
                    return Err(
                        NotationError::new(format!("{warehouse} is not below 2^63")).within("warehouse")
                    );
                }
                Ok(item_id(warehouse, sku))
            }
            ["reservation", number] => {
                let number: u128 = number_from_text(number).map_err(|error| error.within("number"))?;
                if number >= 1 << 127 {
                    return Err(NotationError::new(format!("{number} is not below 2^127")).within("number"));
                }
                Ok(reservation_id(number))
            }
            _ => {
                let shown: String = text.chars().take(NAME_CHARACTERS_MAX).collect();
                Err(NotationError::new(format!(
                    "'{shown}' names no entity of the inventory; accepted are {ITEM_FORM} and {RESERVATION_FORM}"
                )))
            }
        }
    }

    fn entity_to_text(&self, entity: EntityId) -> String {
        name(entity)
    }

    fn state_to_json(&self, entity: EntityId, state: &[u8]) -> Option<Value> {
        if is_item(entity) { item_to_json(state) } else { reservation_to_json(state) }
    }

    fn response_to_json(
        &self,
        verdict: Verdict,
        event: Option<(u16, &[u8])>,
        response: &[u8],
    ) -> Option<Value> {
        if response.is_empty() {
            return Some(Value::Null);
        }
        let event = match event {
            Some((version, payload)) => Some(read(version, payload)?),
            None => None,
        };
        if let Verdict::Rejected(_) = verdict {
            let may_say_a_line = matches!(event, None | Some(InventoryEvent::TransferLines { .. }));
            let line = rejected_line(response).filter(|_| may_say_a_line)?;
            return Some(json!({"line": number_to_json(line)}));
        }
        if let Some(inspected) = Inspected::parse(response) {
            return inspected_to_json(event, inspected);
        }
        let quantities: Vec<Value> = Quantities::parse(response)?.iter().map(number_to_json).collect();
        match event {
            Some(event) => quantities_to_json(&event, &quantities),
            None => Some(json!({"quantities": quantities})),
        }
    }

    fn inspection(&self, entity: EntityId) -> Option<Payload> {
        let mut bytes = Vec::new();
        InventoryEvent::Inspect { entity }.encode_payload(&mut bytes);
        Some(Payload { version: VERSION, bytes })
    }

    fn inspected<'a>(&self, response: &'a [u8]) -> Option<Option<&'a [u8]>> {
        Inspected::parse(response).map(|inspected| inspected.state())
    }
}

/// Appends the event of this kind.
fn read_event(kind: &str, json: &Value, out: &mut Vec<u8>) -> Result<(), NotationError> {
    let event = match kind {
        "adjust" => {
            let members = Members::of(json, &["item", "delta", "reason"])?;
            InventoryEvent::Adjust {
                item: members.read("item", item)?,
                delta: members.number("delta")?,
                reason: members.number("reason")?,
            }
        }
        "set_limits" => {
            let members = Members::of(json, &["item", "floor", "ceiling"])?;
            InventoryEvent::SetLimits {
                item: members.read("item", item)?,
                floor: members.number("floor")?,
                ceiling: members.read("ceiling", ceiling)?,
            }
        }
        "transfer" => {
            let line = line(json)?;
            let (source, destination, quantity) = (line.source(), line.destination(), line.quantity());
            InventoryEvent::Transfer { source, destination, quantity }
        }
        "transfer_lines" => {
            let lines = Members::of(json, &["lines"])?.read("lines", lines)?;
            InventoryEvent::TransferLines { lines: &lines }.encode_payload(out);
            return Ok(());
        }
        "reserve" => {
            let members = Members::of(json, &["item", "reservation", "quantity"])?;
            InventoryEvent::Reserve {
                item: members.read("item", item)?,
                reservation: members.read("reservation", reservation)?,
                quantity: members.number("quantity")?,
            }
        }
        "confirm" | "release" => {
            let members = Members::of(json, &["item", "reservation"])?;
            let (item, reservation) =
                (members.read("item", item)?, members.read("reservation", reservation)?);
            match kind {
                "confirm" => InventoryEvent::Confirm { item, reservation },
                _ => InventoryEvent::Release { item, reservation },
            }
        }
        "inspect" => {
            InventoryEvent::Inspect { entity: Members::of(json, &["entity"])?.read("entity", entity)? }
        }
        other => panic!("'{other}' is among the kinds that are accepted, and nothing reads it"),
    };
    event.encode_payload(out);
    Ok(())
}

fn lines(json: &Value) -> Result<Vec<Line>, NotationError> {
    let found = json.as_array().map_or(0, Vec::len);
    let Some(lines) = json.as_array().filter(|_| (1..=LINES_MAX).contains(&found)) else {
        let found = if json.is_array() { format!("{found} lines") } else { "no list".into() };
        return Err(NotationError::new(format!("{found}; accepted is a list of 1 to {LINES_MAX} lines")));
    };
    let lines = lines.iter().enumerate();
    lines.map(|(at, json)| line(json).map_err(|error| error.within_element(at))).collect()
}

fn line(json: &Value) -> Result<Line, NotationError> {
    let members = Members::of(json, &["source", "destination", "quantity"])?;
    let source = members.read("source", item)?;
    let destination = members.read("destination", item)?;
    Ok(Line::new(source, destination, members.number("quantity")?))
}

fn entity(json: &Value) -> Result<EntityId, NotationError> {
    InventoryDomain.entity_from_text(text_from_json(json)?)
}

fn item(json: &Value) -> Result<EntityId, NotationError> {
    let id = entity(json)?;
    if is_item(id) {
        return Ok(id);
    }
    Err(NotationError::new(format!("{} is not an item; accepted is {ITEM_FORM}", name(id))))
}

fn reservation(json: &Value) -> Result<EntityId, NotationError> {
    let id = entity(json)?;
    if !is_item(id) {
        return Ok(id);
    }
    Err(NotationError::new(format!("{} is not a reservation; accepted is {RESERVATION_FORM}", name(id))))
}

fn ceiling(json: &Value) -> Result<u64, NotationError> {
    if json.is_null() { Ok(NO_CEILING) } else { number_from_json(json) }
}

fn read(version: u16, payload: &[u8]) -> Option<InventoryEvent<'_>> {
    (version == VERSION).then(|| InventoryEvent::parse(payload).ok()).flatten()
}

fn name(entity: EntityId) -> String {
    let (high, low) = ((entity.0 >> 64) as u64, entity.0 as u64);
    if is_item(entity) {
        return format!("item:{high}:{low}");
    }
    format!("reservation:{}", entity.0 & !(1 << 127))
}

fn transfer_to_json(source: EntityId, destination: EntityId, quantity: u64) -> Value {
    json!({"source": name(source), "destination": name(destination), "quantity": number_to_json(quantity)})
}

fn ceiling_to_json(ceiling: u64) -> Value {
    if ceiling == NO_CEILING { Value::Null } else { number_to_json(ceiling) }
}

fn item_to_json(state: &[u8]) -> Option<Value> {
    let ItemState { quantity, reserved, floor, ceiling } = ItemState::parse(state)?;
    Some(json!({
        "quantity": number_to_json(quantity),
        "reserved": number_to_json(reserved),
        "floor": number_to_json(floor),
        "ceiling": ceiling_to_json(ceiling),
    }))
}

fn reservation_to_json(state: &[u8]) -> Option<Value> {
    let ReservationState { item, quantity, settlement } = ReservationState::parse(state)?;
    let status = match settlement {
        Settlement::Open => "open",
        Settlement::Confirmed => "confirmed",
        Settlement::Released => "released",
    };
    Some(json!({"item": name(item), "quantity": number_to_json(quantity), "status": status}))
}

/// What an inspection found. Nothing if this event returns no such thing.
fn inspected_to_json(event: Option<InventoryEvent<'_>>, inspected: Inspected<'_>) -> Option<Value> {
    let of_an_item = match event {
        Some(InventoryEvent::Inspect { entity }) => Some(is_item(entity)),
        Some(_) => return None,
        None => None,
    };
    let (state, fits) = match inspected {
        Inspected::Absent => (Value::Null, true),
        Inspected::Item(state) => (item_to_json(state)?, of_an_item != Some(false)),
        Inspected::Reservation(state) => (reservation_to_json(state)?, of_an_item != Some(true)),
    };
    fits.then(|| json!({"state": state}))
}

/// What the quantities are that this event returned. Nothing if they are not as many as it returns.
fn quantities_to_json(event: &InventoryEvent<'_>, quantities: &[Value]) -> Option<Value> {
    match (event, quantities) {
        (InventoryEvent::Adjust { .. } | InventoryEvent::SetLimits { .. }, [quantity]) => {
            Some(json!({"quantity": quantity}))
        }
        (InventoryEvent::Transfer { .. }, [source, destination]) => {
            Some(json!({"source": source, "destination": destination}))
        }
        (InventoryEvent::TransferLines { lines }, quantities) if quantities.len() == lines.len() * 2 => {
            let line = |line: &[Value]| json!({"source": line[0], "destination": line[1]});
            Some(json!({"lines": quantities.chunks_exact(2).map(line).collect::<Vec<_>>()}))
        }
        (
            InventoryEvent::Reserve { .. } | InventoryEvent::Confirm { .. } | InventoryEvent::Release { .. },
            [quantity, reserved],
        ) => Some(json!({"quantity": quantity, "reserved": reserved})),
        _ => None,
    }
}

/// What an event is called, in the order of the numbers of their kinds.
const KINDS: [&str; 8] =
    ["adjust", "set_limits", "transfer", "transfer_lines", "reserve", "confirm", "release", "inspect"];

const ITEM_FORM: &str = "item:WAREHOUSE:SKU, such as item:1:1001";
const RESERVATION_FORM: &str = "reservation:NUMBER, such as reservation:77";

/// Characters of a foreign name in a message.
const NAME_CHARACTERS_MAX: usize = 60;
