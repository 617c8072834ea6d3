//! Events, entities and endings in the words of their domains, as far as these have some.

use std::fmt::Write;

use assize_domain::{DomainId, DomainRegistry, EntityId, Verdict};
use assize_wire::outcome::Status;

use crate::drive::quietly;
use crate::sequence::Entry;
use crate::{Change, Draft, Ending};

/// Tells of what there is in a registry.
pub(crate) struct Teller<'a> {
    pub(crate) domains: &'a DomainRegistry,
}

impl Teller<'_> {
    /// An event, with everything that its evaluation is given.
    pub(crate) fn entry(&self, entry: &Entry) -> String {
        let Entry { draft, key, time, .. } = entry;
        format!("  event    {}\n  key      {key}, at stream time {time}", self.draft(draft))
    }

    fn draft(&self, draft: &Draft) -> String {
        let Draft { domain, version, payload } = draft;
        let json = self
            .domains
            .notation(*domain)
            .and_then(|notation| quietly(|| notation.event_to_json(*version, payload)).ok().flatten());
        let domain = self.name(*domain);
        match json {
            Some(json) => format!("of {domain}: {json}"),
            None => format!("of {domain}, version {version}: {}", hex(payload)),
        }
    }

    fn name(&self, domain: DomainId) -> String {
        let newest = self.domains.newest_of(domain);
        newest.map_or_else(|| format!("domain {domain}"), |newest| newest.name().to_owned())
    }

    /// An entity.
    pub(crate) fn entity(&self, domain: DomainId, entity: EntityId) -> String {
        let notation = self.domains.notation(domain);
        let text = notation.and_then(|notation| quietly(|| notation.entity_to_text(entity)).ok());
        text.unwrap_or_else(|| entity.to_string())
    }

    /// What an event came to, on one line.
    pub(crate) fn ending(&self, draft: &Draft, ending: &Ending) -> String {
        let Ending { status, reason, response, changes } = ending;
        let mut text = status.to_string();
        let words = self.domains.reason(draft.domain, *reason);
        if let Some(words) = words.filter(|_| *reason > 0) {
            let _ = write!(text, " ({reason}: {words})");
        } else if *reason > 0 {
            let _ = write!(text, " ({reason})");
        }
        if !response.is_empty() {
            let _ = write!(text, ", returns {}", self.response(draft, *status, response));
        }
        for Change { domain, entity, state } in changes {
            let _ = write!(
                text,
                ", {} = {}",
                self.entity(*domain, *entity),
                self.state(*domain, *entity, state.as_deref())
            );
        }
        text
    }

    fn response(&self, draft: &Draft, status: Status, response: &[u8]) -> String {
        let verdict = if status == Status::Rejected { Verdict::Rejected(1) } else { Verdict::Applied };
        let json = self.domains.notation(draft.domain).and_then(|notation| {
            let event = Some((draft.version, &draft.payload[..]));
            quietly(|| notation.response_to_json(verdict, event, response)).ok().flatten()
        });
        json.map_or_else(|| hex(response), |json| format!("{json}, {}", hex(response)))
    }

    /// A state.
    pub(crate) fn state(&self, domain: DomainId, entity: EntityId, state: Option<&[u8]>) -> String {
        let Some(state) = state else { return "absent".to_owned() };
        let notation = self.domains.notation(domain);
        let json = notation.and_then(|n| quietly(|| n.state_to_json(entity, state)).ok().flatten());
        json.map_or_else(|| hex(state), |json| format!("{json}, {}", hex(state)))
    }

    /// What is different in two endings of one event, if an entity's state is it.
    pub(crate) fn difference(&self, draft: &Draft, expected: &Ending, found: &Ending) -> String {
        let mut text =
            format!("  once     {}\n  again    {}", self.ending(draft, expected), self.ending(draft, found));
        let longest = expected.changes.len().max(found.changes.len());
        let differ = (0..longest).find(|at| expected.changes.get(*at) != found.changes.get(*at));
        if let Some(at) = differ {
            let change = expected.changes.get(at).or(found.changes.get(at));
            let change = change.expect("one of them has so many");
            let _ = write!(text, "\n  differs  {}", self.entity(change.domain, change.entity));
        }
        text
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}
