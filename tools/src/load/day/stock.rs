//! What becomes of an event, as the inventory itself decides it: the same domain that the engine runs, over states kept
//! here. And what becomes of a key, by the rules of the Warden.

use std::collections::HashMap;

use assize_domain::{Cell, Domain, Entities, EntityId, Event, Response, States, StreamTime, Verdict};
use assize_inventory::{INVENTORY, InventoryDomain, ItemState, VERSION};
use assize_wire::EventKey;
use assize_wire::event::encode_event;
use assize_wire::outcome::Status;
use xxhash_rust::xxh3::xxh3_64;

use super::super::replay::Expected;

/// Everything that is in stock and promised, and every key that was used.
#[derive(Default)]
pub(super) struct Stock {
    states: HashMap<EntityId, Vec<u8>>,
    /// Of each key the body that it was used for, by its hash.
    bodies: HashMap<EventKey, u64>,
}

impl Stock {
    /// Submits an event under a key, and says what becomes of it.
    pub(super) fn submit(&mut self, key: EventKey, payload: &[u8]) -> Expected {
        let mut bytes = Vec::new();
        encode_event(&mut bytes, key, StreamTime(0), INVENTORY, VERSION, payload).expect("it fits");
        let (event, _) = Event::parse(&bytes).expect("it was encoded here");
        let body = xxh3_64(event.body());
        let status = match self.bodies.get(&key) {
            Some(known) if *known == body => Status::Duplicate,
            Some(_) => Status::Conflict,
            None => {
                self.bodies.insert(key, body);
                return match self.evaluate(&event) {
                    Verdict::Applied => Expected { status: Status::Applied, reason: None },
                    Verdict::Rejected(reason) => Expected { status: Status::Rejected, reason: Some(reason) },
                };
            }
        };
        Expected { status, reason: None }
    }

    /// What of an item is neither sold nor promised; 0 if it does not exist.
    pub(super) fn available(&self, item: EntityId) -> u64 {
        let state = self.states.get(&item).and_then(|state| ItemState::parse(state));
        state.map_or(0, |item| item.available())
    }

    fn evaluate(&mut self, event: &Event<'_>) -> Verdict {
        let mut entities = Entities::new();
        InventoryDomain.entities(event, &mut entities).expect("it was encoded here");
        let mut cells: Vec<Cell> = entities
            .as_slice()
            .iter()
            .map(|entity| {
                let mut cell = Cell::absent();
                cell.load(self.states.get(entity).map(Vec::as_slice));
                cell
            })
            .collect();
        // Its verdicts depend on no time.
        let now = StreamTime(0);
        let verdict =
            InventoryDomain.evaluate(event, now, &mut States::new(&mut cells), &mut Response::new());
        if verdict == Verdict::Applied {
            for (entity, cell) in entities.as_slice().iter().zip(&cells).filter(|(_, cell)| cell.is_changed())
            {
                match cell.get() {
                    Some(state) => self.states.insert(*entity, state.to_vec()),
                    None => self.states.remove(entity),
                };
            }
        }
        verdict
    }
}
