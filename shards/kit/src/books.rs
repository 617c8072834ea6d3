//! The events one after the other, by plain calls of their domains: what every other way of running them must come to
//! (D1).

use std::collections::BTreeMap;

use assize_domain::{
    Cell, Domain, DomainId, DomainRegistry, ENGINE_REASONS, EngineReason, Entities, EntityId, Event,
    LogicVersion, LogicVersions, Response, States, StreamTime, Verdict,
};
use assize_wire::EventKey;
use assize_wire::event::encode_event;
use assize_wire::outcome::Status;

use crate::Draft;
use crate::drive::Guard;

/// The states of all entities, and the domains that change them: for tests of what a domain's rules are.
pub struct Books {
    domains: DomainRegistry,
    logic: LogicVersions,
    guard: Guard,
    states: BTreeMap<(DomainId, EntityId), Vec<u8>>,
    submitted: u64,
}

/// What an event came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it ended: applied, rejected, invalid or fault.
    pub status: Status,
    /// Why, where it was rejected or is invalid; else 0.
    pub reason: u16,
    /// What it returned.
    pub response: Vec<u8>,
    /// What it changed, in the order in which its domain named its entities.
    pub changes: Vec<Change>,
}

/// An entity that an event changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its domain.
    pub domain: DomainId,
    /// Its id.
    pub entity: EntityId,
    /// Its state after the event; nothing if it is absent then.
    pub state: Option<Vec<u8>>,
}

impl Books {
    /// Of no entity, with the newest version of each domain.
    #[must_use]
    pub fn new(domains: DomainRegistry) -> Books {
        let logic = domains.newest();
        let guard = Guard::default();
        Books { domains, logic, guard, states: BTreeMap::new(), submitted: 0 }
    }

    /// Evaluates an event at a stream time, under a key of its own, and keeps what it changes.
    ///
    /// # Panics
    /// When it is longer than an event may be.
    pub fn submit(&mut self, draft: &Draft, now: StreamTime) -> Ending {
        self.submitted += 1;
        let bytes = encoded(draft, EventKey(self.submitted.into()), StreamTime(u64::MAX));
        let asked = Asked { bytes: &bytes, logic: &self.logic, now };
        let evaluated = evaluate(&self.domains, &self.guard, asked, |name| self.states.get(name));
        self.keep(&evaluated.ending);
        evaluated.ending
    }

    /// The state of an entity, or nothing if it is absent.
    #[must_use]
    pub fn state(&self, domain: DomainId, entity: EntityId) -> Option<&[u8]> {
        self.states.get(&(domain, entity)).map(Vec::as_slice)
    }

    fn keep(&mut self, ending: &Ending) {
        keep(&mut self.states, ending);
    }
}

impl Ending {
    /// One that changed and returned nothing.
    pub(crate) fn unchanged(status: Status, reason: u16) -> Ending {
        Ending { status, reason, response: Vec::new(), changes: Vec::new() }
    }
}

/// Takes over what an event changed.
pub(crate) fn keep(states: &mut BTreeMap<(DomainId, EntityId), Vec<u8>>, ending: &Ending) {
    for Change { domain, entity, state } in &ending.changes {
        match state {
            Some(state) => states.insert((*domain, *entity), state.clone()),
            None => states.remove(&(*domain, *entity)),
        };
    }
}

/// The bytes of an event.
///
/// # Panics
/// When it is longer than an event may be.
pub(crate) fn encoded(draft: &Draft, key: EventKey, deadline: StreamTime) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoded = encode_event(&mut bytes, key, deadline, draft.domain, draft.version, &draft.payload);
    encoded.unwrap_or_else(|error| panic!("an event of domain {}: {error}", draft.domain));
    bytes
}

/// An event, and what its evaluation may see beside the states.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) logic: &'a LogicVersions,
    pub(crate) now: StreamTime,
}

/// What came of it, and what of it is not in the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evaluated {
    pub(crate) ending: Ending,
    /// What the domain named, where that is valid.
    pub(crate) entities: Vec<EntityId>,
    /// What was wrong, of a fault.
    pub(crate) fault: Option<String>,
}

/// Asks the domain for the event's entities and evaluates it, with the checks of the engine in the engine's order.
pub(crate) fn evaluate<'a>(
    domains: &DomainRegistry,
    guard: &Guard,
    asked: Asked<'_>,
    state: impl Fn(&(DomainId, EntityId)) -> Option<&'a Vec<u8>>,
) -> Evaluated {
    let (event, _) = Event::parse(asked.bytes).expect("an event that was encoded here");
    let invalid = |reason: u16| Evaluated {
        ending: Ending::unchanged(Status::Invalid, reason),
        entities: Vec::new(),
        fault: None,
    };
    let Some(domain) = in_force(domains, asked.logic, event.domain()).filter(|d| d.reads(event.version()))
    else {
        return invalid(EngineReason::UnknownDomain as u16);
    };
    let mut entities = Entities::new();
    match guard.call(|| domain.entities(&event, &mut entities)) {
        Ok(Ok(())) if entities.is_valid() => {}
        Ok(Ok(())) => return invalid(EngineReason::BadEntities as u16),
        Ok(Err(error)) => return invalid(error.reason),
        Err(said) => {
            return fault(Vec::new(), format!("asked for its entities, the domain panicked: {said}"));
        }
    }
    let ids = entities.as_slice().to_vec();
    let mut cells = vec![Cell::absent(); ids.len()];
    for (cell, id) in cells.iter_mut().zip(&ids) {
        cell.load(state(&(event.domain(), *id)).map(Vec::as_slice));
    }
    let mut response = Response::new();
    let called =
        guard.call(|| domain.evaluate(&event, asked.now, &mut States::new(&mut cells), &mut response));
    let (status, reason) = match called {
        Err(said) => return fault(ids, format!("the domain panicked: {said}")),
        Ok(Verdict::Applied) => (Status::Applied, 0),
        Ok(Verdict::Rejected(reason)) if reason > 0 && reason < ENGINE_REASONS => (Status::Rejected, reason),
        Ok(Verdict::Rejected(reason)) => {
            let why = format!("rejected for reason {reason}; a domain's are 1 to {}", ENGINE_REASONS - 1);
            return fault(ids, why);
        }
    };
    let mut changes = Vec::new();
    for (cell, id) in cells.iter().zip(&ids).filter(|_| status == Status::Applied) {
        if cell.is_changed() {
            let state = cell.get().map(<[u8]>::to_vec);
            changes.push(Change { domain: event.domain(), entity: *id, state });
        }
    }
    let longest = changes.iter().filter_map(|change| change.state.as_ref()).map(Vec::len).max();
    if let Some(bytes) = longest.filter(|bytes| *bytes > domain.state_bytes_max()) {
        let why = format!("a state of {bytes} bytes; the domain's are at most {}", domain.state_bytes_max());
        return fault(ids, why);
    }
    let ending = Ending { status, reason, response: response.as_slice().to_vec(), changes };
    Evaluated { ending, entities: ids, fault: None }
}

/// What evaluates a domain's events.
pub(crate) fn in_force<'a>(
    domains: &'a DomainRegistry,
    logic: &LogicVersions,
    domain: DomainId,
) -> Option<&'a dyn Domain> {
    domains.get(LogicVersion { domain, version: logic.get(domain)? })
}

fn fault(entities: Vec<EntityId>, why: String) -> Evaluated {
    Evaluated { ending: Ending::unchanged(Status::Fault, 0), entities, fault: Some(why) }
}
