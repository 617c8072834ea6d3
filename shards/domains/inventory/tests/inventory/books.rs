//! A replica's states in a map, and the domain run over them exactly as the engine runs it.

use std::collections::HashMap;

use assize_domain::{
    Cell, Domain, DomainId, Entities, EntityId, Event, InvalidEvent, Response, States, StreamTime, Verdict,
};
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, ItemState, ReservationState, VERSION};
use assize_wire::EventKey;
use assize_wire::event::encode_event;

/// The entities that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    states: HashMap<EntityId, Vec<u8>>,
}

impl Books {
    /// Evaluates one event; changes take effect only if it is applied.
    pub fn run(&mut self, event: &InventoryEvent<'_>) -> (Verdict, Vec<u8>) {
        let mut payload = Vec::new();
        event.encode_payload(&mut payload);
        self.run_payload(&payload).expect("an encoded event is whole")
    }

    /// As [`Books::run`], over any payload.
    pub fn run_payload(&mut self, payload: &[u8]) -> Result<(Verdict, Vec<u8>), InvalidEvent> {
        let bytes = event_bytes(INVENTORY, VERSION, payload);
        let (event, _) = Event::parse(&bytes).unwrap();
        let mut entities = Entities::new();
        InventoryDomain.entities(&event, &mut entities)?;
        assert!(entities.is_valid(), "{:?}", entities.as_slice());
        let mut cells = vec![Cell::absent(); entities.as_slice().len()];
        for (cell, id) in cells.iter_mut().zip(entities.as_slice()) {
            cell.load(self.states.get(id).map(Vec::as_slice));
        }
        let mut response = Response::new();
        let verdict =
            InventoryDomain.evaluate(&event, StreamTime(1), &mut States::new(&mut cells), &mut response);
        for (cell, id) in cells.iter().zip(entities.as_slice()) {
            // What the engine stores, digests and counts is what a domain set, even if it set what was there.
            let may_change = !payload.starts_with(&INSPECT.to_le_bytes());
            assert!(may_change || !cell.is_changed(), "an inspection touched {id}");
            if verdict == Verdict::Applied {
                if let Some(state) = cell.get() {
                    self.states.insert(*id, state.to_vec());
                }
            } else {
                assert!(!cell.is_changed(), "a rejected event touched {id}");
            }
        }
        Ok((verdict, response.as_slice().to_vec()))
    }

    /// An item, if it exists.
    pub fn item(&self, id: EntityId) -> Option<ItemState> {
        let state = self.states.get(&id)?;
        Some(ItemState::parse(state).expect("an item's invariants hold"))
    }

    /// A reservation, if it exists.
    pub fn reservation(&self, id: EntityId) -> Option<ReservationState> {
        let state = self.states.get(&id)?;
        Some(ReservationState::parse(state).expect("a reservation"))
    }

    /// The bytes of an entity's state, if it exists.
    pub fn state(&self, id: EntityId) -> Option<&[u8]> {
        self.states.get(&id).map(Vec::as_slice)
    }

    /// How many entities exist.
    pub fn len(&self) -> usize {
        self.states.len()
    }
}

/// An event around a payload.
pub fn event_bytes(domain: DomainId, version: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(&mut bytes, EventKey(1), StreamTime(9), domain, version, payload).unwrap();
    bytes
}

/// How the payload of an inspection begins.
const INSPECT: u16 = 8;
