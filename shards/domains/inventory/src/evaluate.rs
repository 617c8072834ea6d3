//! The domain: which entities an event touches, and what becomes of them.

use assize_domain::{
    Domain, DomainId, EVENT_ENTITIES_MAX, Entities, EntityId, Event, InvalidEvent, Notation, Response,
    States, StreamTime, Verdict,
};

use crate::event::{InventoryEvent, Line};
use crate::inspected;
use crate::item::{ITEM_STATE_BYTES, ItemState};
use crate::quantities::push;
use crate::reason::{Malformed, Reason};
use crate::reservation::{RESERVATION_STATE_BYTES, ReservationState, Settlement};

/// Stock items per warehouse, and reservations of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct InventoryDomain;

impl Domain for InventoryDomain {
    fn id(&self) -> DomainId {
        INVENTORY
    }

    fn name(&self) -> &'static str {
        "inventory"
    }

    fn version(&self) -> u16 {
        VERSION
    }

    fn state_bytes_max(&self) -> usize {
        ITEM_STATE_BYTES.max(RESERVATION_STATE_BYTES)
    }

    #[inline]
    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        read(event)?.entities(entities);
        Ok(())
    }

    #[inline]
    fn evaluate(
        &self,
        event: &Event<'_>,
        _now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        let event = read(event).expect("evaluated only after its entities were read from the same bytes");
        match apply(&event, states, response) {
            Ok(()) => Verdict::Applied,
            Err(reason) => Verdict::Rejected(reason.number()),
        }
    }

    fn reason(&self, reason: u16) -> Option<&'static str> {
        Reason::from_number(reason)
            .map(Reason::words)
            .or_else(|| Malformed::from_number(reason).map(Malformed::words))
    }

    fn notation(&self) -> Option<&dyn Notation> {
        Some(self)
    }
}

/// Either changes `states` and says what came of it, or changes nothing.
#[inline]
fn apply(event: &InventoryEvent<'_>, states: &mut States<'_>, response: &mut Response) -> Result<(), Reason> {
    match *event {
        InventoryEvent::Transfer { source, destination, quantity } => {
            transfer(source, destination, quantity, states, response)
        }
        InventoryEvent::TransferLines { lines } => transfer_lines(lines, states, response),
        InventoryEvent::Adjust { delta, .. } => adjust(delta, states, response),
        InventoryEvent::SetLimits { floor, ceiling, .. } => {
            let item = load(states, FIRST).ok_or(Reason::UnknownItem)?.limit(floor, ceiling)?;
            states.set(FIRST, &item.encode());
            push(response, item.quantity);
            Ok(())
        }
        InventoryEvent::Reserve { item, quantity, .. } => reserve(item, quantity, states, response),
        InventoryEvent::Confirm { item, .. } => settle(item, Settlement::Confirmed, states, response),
        InventoryEvent::Release { item, .. } => settle(item, Settlement::Released, states, response),
        InventoryEvent::Inspect { entity } => {
            // Nothing is set, so nothing is stored, digested as a change or counted, absent or not.
            inspected::push(response, entity, states.get(FIRST));
            Ok(())
        }
    }
}

#[inline]
fn transfer(
    source: EntityId,
    destination: EntityId,
    quantity: u64,
    states: &mut States<'_>,
    response: &mut Response,
) -> Result<(), Reason> {
    check_line(source, destination, quantity)?;
    let (source, destination) = move_stock(load(states, FIRST), load(states, SECOND), quantity)?;
    states.set(FIRST, &source.encode());
    states.set(SECOND, &destination.encode());
    push(response, source.quantity);
    push(response, destination.quantity);
    Ok(())
}

fn transfer_lines(lines: &[Line], states: &mut States<'_>, response: &mut Response) -> Result<(), Reason> {
    // The lines run on copies, so that a line that fails leaves nothing behind.
    let mut entities = Entities::new();
    InventoryEvent::TransferLines { lines }.entities(&mut entities);
    let ids = entities.as_slice();
    let mut items = [None; EVENT_ENTITIES_MAX];
    for (index, item) in items.iter_mut().enumerate().take(ids.len()) {
        *item = load(states, index);
    }
    let place = |id| {
        ids.iter().position(|known| *known == id).expect("every item of a line is among the event's entities")
    };
    for (number, line) in lines.iter().enumerate() {
        let (source, destination) = (place(line.source()), place(line.destination()));
        let moved = check_line(line.source(), line.destination(), line.quantity())
            .and_then(|()| move_stock(items[source], items[destination], line.quantity()));
        match moved {
            Ok((left, reached)) => {
                items[source] = Some(left);
                items[destination] = Some(reached);
                push(response, left.quantity);
                push(response, reached.quantity);
            }
            Err(reason) => {
                response.clear();
                push(response, number as u64);
                return Err(reason);
            }
        }
    }
    for (index, item) in items.iter().enumerate().take(ids.len()) {
        let item = item.expect("every line found its items");
        states.set(index, &item.encode());
    }
    Ok(())
}

fn adjust(delta: i64, states: &mut States<'_>, response: &mut Response) -> Result<(), Reason> {
    if delta == 0 {
        return Err(Reason::ZeroQuantity);
    }
    let known = load(states, FIRST);
    let item = if delta > 0 {
        known.unwrap_or(ItemState::EMPTY).put(delta.unsigned_abs())?
    } else {
        known.ok_or(Reason::UnknownItem)?.take(delta.unsigned_abs())?
    };
    states.set(FIRST, &item.encode());
    push(response, item.quantity);
    Ok(())
}

fn reserve(
    item: EntityId,
    quantity: u64,
    states: &mut States<'_>,
    response: &mut Response,
) -> Result<(), Reason> {
    if quantity == 0 {
        return Err(Reason::ZeroQuantity);
    }
    let stock = load(states, FIRST).ok_or(Reason::UnknownItem)?;
    if states.get(SECOND).is_some() {
        return Err(Reason::ReservationExists);
    }
    let stock = stock.reserve(quantity)?;
    let reservation = ReservationState { item, quantity, settlement: Settlement::Open };
    states.set(FIRST, &stock.encode());
    states.set(SECOND, &reservation.encode());
    push(response, stock.quantity);
    push(response, stock.reserved);
    Ok(())
}

fn settle(
    item: EntityId,
    settlement: Settlement,
    states: &mut States<'_>,
    response: &mut Response,
) -> Result<(), Reason> {
    let stock = load(states, FIRST).ok_or(Reason::UnknownItem)?;
    let bytes = states.get(SECOND).ok_or(Reason::UnknownReservation)?;
    let reservation = ReservationState::parse(bytes).expect("the state is a reservation's");
    if reservation.item != item {
        return Err(Reason::OtherItem);
    }
    if reservation.settlement != Settlement::Open {
        return Err(Reason::AlreadySettled);
    }
    let stock = match settlement {
        Settlement::Confirmed => stock.confirm(reservation.quantity),
        Settlement::Open | Settlement::Released => stock.release(reservation.quantity),
    };
    let reservation = ReservationState { settlement, ..reservation };
    states.set(FIRST, &stock.encode());
    states.set(SECOND, &reservation.encode());
    push(response, stock.quantity);
    push(response, stock.reserved);
    Ok(())
}

/// What is wrong with a transfer whatever the stock is.
#[inline]
fn check_line(source: EntityId, destination: EntityId, quantity: u64) -> Result<(), Reason> {
    if quantity == 0 {
        return Err(Reason::ZeroQuantity);
    }
    if source == destination {
        return Err(Reason::SameItem);
    }
    Ok(())
}

/// Source and destination after `quantity` moved between them: what leaves one reaches the other.
#[inline]
fn move_stock(
    source: Option<ItemState>,
    destination: Option<ItemState>,
    quantity: u64,
) -> Result<(ItemState, ItemState), Reason> {
    let (Some(source), Some(destination)) = (source, destination) else {
        return Err(Reason::UnknownItem);
    };
    Ok((source.take(quantity)?, destination.put(quantity)?))
}

#[inline]
fn load(states: &States<'_>, index: usize) -> Option<ItemState> {
    states
        .get(index)
        .map(|bytes| ItemState::parse(bytes).expect("the state is an item's, and its invariants hold"))
}

#[inline]
fn read<'a>(event: &Event<'a>) -> Result<InventoryEvent<'a>, Malformed> {
    if event.version() != VERSION {
        return Err(Malformed::UnknownVersion);
    }
    InventoryEvent::parse(event.payload())
}

/// The domain's number.
pub const INVENTORY: DomainId = DomainId(1);

/// The version of its logic and of its event layouts.
pub const VERSION: u16 = 1;

/// Where an event's first entity stands in its states, and its second.
const FIRST: usize = 0;
const SECOND: usize = 1;
