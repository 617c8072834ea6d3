//! Runs events through the domain as the engine does: entities from the bytes, states in, states out.

use std::collections::BTreeMap;

use assize_domain::{
    Cell, Domain, DomainId, Entities, EntityId, Event, InvalidEvent, Response, States, StreamTime, Verdict,
};
use assize_telemetry::{CommandState, SensorState, TELEMETRY, TelemetryDomain, TelemetryEvent, VERSION};
use assize_wire::EventKey;
use assize_wire::event::encode_event;

/// The entities that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    states: BTreeMap<EntityId, Vec<u8>>,
}

impl Books {
    /// Evaluates one event at this stream time; changes take effect only if it is applied.
    pub fn run(&mut self, now: u64, event: &TelemetryEvent<'_>) -> (Verdict, Vec<u8>) {
        self.run_payload(now, &encoded(event)).expect("an encoded event is whole")
    }

    /// As [`Books::run`], over any payload.
    pub fn run_payload(&mut self, now: u64, payload: &[u8]) -> Result<(Verdict, Vec<u8>), InvalidEvent> {
        let bytes = event_bytes(TELEMETRY, VERSION, payload);
        let (event, _) = Event::parse(&bytes).unwrap();
        let mut entities = Entities::new();
        TelemetryDomain.entities(&event, &mut entities)?;
        assert!(entities.is_valid(), "{:?}", entities.as_slice());
        let mut cells = vec![Cell::absent(); entities.as_slice().len()];
        for (cell, id) in cells.iter_mut().zip(entities.as_slice()) {
            cell.load(self.states.get(id).map(Vec::as_slice));
        }
        let mut response = Response::new();
        let mut states = States::new(&mut cells);
        let verdict = TelemetryDomain.evaluate(&event, StreamTime(now), &mut states, &mut response);
        for (cell, id) in cells.iter().zip(entities.as_slice()) {
            // What the engine stores, digests and counts is what a domain set, even if it set what was there.
            let may_change = verdict == Verdict::Applied && !payload.starts_with(&INSPECT.to_le_bytes());
            assert!(may_change || !cell.is_changed(), "an inspection or a rejected event touched {id}");
            if !cell.is_changed() {
                continue;
            }
            match cell.get() {
                Some(state) => self.states.insert(*id, state.to_vec()),
                None => self.states.remove(id),
            };
        }
        Ok((verdict, response.as_slice().to_vec()))
    }

    /// Sets an entity's state.
    pub fn put(&mut self, id: EntityId, state: &[u8]) {
        self.states.insert(id, state.to_vec());
    }

    /// A sensor, if it exists.
    pub fn sensor(&self, id: EntityId) -> Option<SensorState> {
        let state = self.states.get(&id)?;
        Some(SensorState::parse(state).expect("a sensor's invariants hold"))
    }

    /// A command, if it exists.
    pub fn command(&self, id: EntityId) -> Option<CommandState> {
        let state = self.states.get(&id)?;
        Some(CommandState::parse(state).expect("a command's invariants hold"))
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

/// The payload of an event.
pub fn encoded(event: &TelemetryEvent<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    payload
}

/// An event around a payload.
pub fn event_bytes(domain: DomainId, version: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(&mut bytes, EventKey(1), StreamTime(9), domain, version, payload).unwrap();
    bytes
}

/// How the payload of an inspection begins.
const INSPECT: u16 = 8;
