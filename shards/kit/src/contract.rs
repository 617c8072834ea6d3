//! What a domain promises beside coming to the same everywhere: words for its reasons, and a notation that leads back.

use assize_domain::notation::ExactJson;
use assize_domain::{Domain, DomainRegistry, ENGINE_REASONS, EntityId, Notation, StreamTime, Verdict};
use assize_wire::EventKey;
use assize_wire::outcome::Status;

use crate::Draft;
use crate::again::States;
use crate::books::{Asked, Evaluated, encoded, evaluate, in_force};
use crate::failure::{Failure, Kind};
use crate::kit::Run;
use crate::teller::{Teller, hex};

/// Checks what is promised of an event, which was evaluated on these states.
pub(crate) fn check(
    run: &Run,
    at: usize,
    domains: &DomainRegistry,
    states: &States,
    evaluated: &Evaluated,
) -> Result<(), Failure> {
    let entry = &run.sequence.entries[at];
    let Some(domain) = in_force(domains, &entry.logic, entry.draft.domain) else { return Ok(()) };
    let event = Checked { run, at, domains, domain, states, evaluated };
    if let Some(why) = evaluated.fault.as_ref().filter(|_| !run.kit.faults_expected) {
        return Err(event.failure(Kind::Fault, why));
    }
    event.words()?;
    let Some(notation) = domain.notation() else { return Ok(()) };
    // Whatever is wrong with an event, its notation says so or nothing, and goes on.
    event.call(|| drop(notation.event_to_json(entry.draft.version, &entry.draft.payload)))?;
    if matches!(evaluated.ending.status, Status::Applied | Status::Rejected) {
        event.leads_back(notation)?;
        event.answers(notation)?;
        event.inspects(notation)?;
    }
    Ok(())
}

/// An event that was evaluated.
struct Checked<'a> {
    run: &'a Run,
    at: usize,
    domains: &'a DomainRegistry,
    domain: &'a dyn Domain,
    states: &'a States,
    evaluated: &'a Evaluated,
}

impl Checked<'_> {
    fn draft(&self) -> &Draft {
        &self.run.sequence.entries[self.at].draft
    }

    fn failure(&self, kind: Kind, what: &str) -> Failure {
        self.run.failure(kind, self.at, self.domains, &format!("  found    {what}"))
    }

    fn notation(&self, what: &str) -> Failure {
        self.failure(Kind::Notation, what)
    }

    /// Calls a notation.
    fn call<T>(&self, body: impl FnOnce() -> T) -> Result<T, Failure> {
        self.run.guard.call(body).map_err(|said| self.notation(&format!("it panicked: {said}")))
    }

    /// Every reason has words.
    fn words(&self) -> Result<(), Failure> {
        let ending = &self.evaluated.ending;
        let own = match ending.status {
            Status::Rejected => true,
            Status::Invalid => ending.reason < ENGINE_REASONS,
            _ => false,
        };
        if own && self.domain.reason(ending.reason).is_none() {
            return Err(self.failure(Kind::NoWords, &format!("{}, reason {}", ending.status, ending.reason)));
        }
        Ok(())
    }

    /// An event, and the names of its entities, are read as what was written.
    fn leads_back(&self, notation: &dyn Notation) -> Result<(), Failure> {
        let Draft { version, payload, .. } = self.draft();
        // What is read is of the notation's own version.
        if *version == self.domain.version() {
            let json = self.call(|| notation.event_to_json(*version, payload))?;
            let json = json.ok_or_else(|| self.notation("an event that is evaluated has no JSON"))?;
            let text = json.to_string();
            let ExactJson(read) = serde_json::from_str(&text)
                .map_err(|error| self.notation(&format!("{text} is not read: {error}")))?;
            let back = self.call(|| notation.event_from_json(&read))?;
            let back = back.map_err(|error| self.notation(&format!("{text} is not read: {error}")))?;
            if (back.version, &back.bytes) != (*version, payload) {
                return Err(self.notation(&format!(
                    "written as {text} and read as version {}, {}; it was version {version}, {}",
                    back.version,
                    hex(&back.bytes),
                    hex(payload)
                )));
            }
        }
        for entity in &self.evaluated.entities {
            let text = self.call(|| notation.entity_to_text(*entity))?;
            if text.is_empty() || !text.bytes().all(stands_in_a_path) {
                return Err(self
                    .notation(&format!("entity {entity} is named '{text}', which cannot stand in a path")));
            }
            let back = self.call(|| notation.entity_from_text(&text))?;
            if back.as_ref() != Ok(entity) {
                let back = back.map_or_else(|error| error.to_string(), |back| format!("entity {back}"));
                return Err(
                    self.notation(&format!("entity {entity} is named '{text}', which is read as: {back}"))
                );
            }
        }
        Ok(())
    }

    /// What the event returned and changed has JSON, also for whoever does not have the event.
    fn answers(&self, notation: &dyn Notation) -> Result<(), Failure> {
        let (Draft { version, payload, .. }, ending) = (self.draft(), &self.evaluated.ending);
        let verdict = match ending.status {
            Status::Rejected => Verdict::Rejected(ending.reason),
            _ => Verdict::Applied,
        };
        for event in [Some((*version, &payload[..])), None] {
            if self.call(|| notation.response_to_json(verdict, event, &ending.response))?.is_none() {
                let with = if event.is_some() { "with its event" } else { "without its event" };
                let response = hex(&ending.response);
                return Err(
                    self.notation(&format!("the response {response} of {verdict:?} has no JSON {with}"))
                );
            }
        }
        for change in &ending.changes {
            let Some(state) = &change.state else { continue };
            if self.call(|| notation.state_to_json(change.entity, state))?.is_none() {
                let name = Teller { domains: self.domains }.entity(change.domain, change.entity);
                return Err(self.notation(&format!("the state {} of {name} has no JSON", hex(state))));
            }
        }
        Ok(())
    }

    /// An inspection is applied, changes nothing and returns the state.
    fn inspects(&self, notation: &dyn Notation) -> Result<(), Failure> {
        let entry = &self.run.sequence.entries[self.at];
        for entity in &self.evaluated.entities {
            let Some(payload) = self.call(|| notation.inspection(*entity))? else { continue };
            let draft =
                Draft { domain: entry.draft.domain, version: payload.version, payload: payload.bytes };
            // Under a key of its own: nothing may depend on it.
            let bytes = encoded(&draft, EventKey(!entry.key.0), StreamTime(u64::MAX));
            let asked = Asked { bytes: &bytes, logic: &entry.logic, now: entry.time };
            let found = evaluate(self.domains, &self.run.guard, asked, |name| self.states.get(name));
            self.is_inspection(notation, *entity, &found)?;
        }
        Ok(())
    }

    fn is_inspection(
        &self,
        notation: &dyn Notation,
        entity: EntityId,
        found: &Evaluated,
    ) -> Result<(), Failure> {
        let domain = self.draft().domain;
        let state = self.states.get(&(domain, entity)).map(Vec::as_slice);
        let told = self.call(|| notation.inspected(&found.ending.response))?;
        let whole = found.ending.status == Status::Applied && found.ending.changes.is_empty();
        if whole && told == Some(state) && found.entities == [entity] {
            return Ok(());
        }
        let teller = Teller { domains: self.domains };
        let what = format!(
            "the inspection of {}, which is {}, came to: {}",
            teller.entity(domain, entity),
            teller.state(domain, entity, state),
            teller.ending(self.draft(), &found.ending)
        );
        Err(self.failure(Kind::Inspection, &what))
    }
}

/// Whether a byte means itself in a path (RFC 3986, `pchar` without escapes).
fn stands_in_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}
