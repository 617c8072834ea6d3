//! Domains, entities, events and states as JSON names them. A domain without a notation of its own is spoken to in its
//! bytes, in base64, and its entities by their ids.
//!
//! While a cluster moves from one version of a domain's logic to the next, a program has both. Events are then written
//! in the form that the older one reads: the newer one reads it, too, and it does not matter which is in force. What
//! is shown is read by whichever of them can, the newest first.

use assize_domain::notation::DomainName;
use assize_domain::{Domain, DomainRegistry, Notation, Payload, Verdict};
use assize_wire::outcome::Status;
use assize_wire::{DomainId, EntityId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Problem;

/// Which domain of the program is meant.
pub(crate) fn domain_of(domains: &DomainRegistry, name: &DomainName) -> Result<DomainId, Problem> {
    name.find(domains).map_err(|error| Problem::malformed(error.to_string()))
}

/// Its name and its number.
fn domain_shown(domains: &DomainRegistry, domain: DomainId) -> String {
    let name = domains.newest_of(domain).map_or("?", Domain::name);
    format!("{name} ({})", domain.0)
}

/// What to call it.
pub(crate) fn domain_name(domains: &DomainRegistry, domain: DomainId) -> String {
    domains.newest_of(domain).map_or_else(|| domain.0.to_string(), |known| known.name().to_owned())
}

/// An event's bytes.
pub(crate) fn event_of(
    domains: &DomainRegistry,
    domain: DomainId,
    event: &Value,
) -> Result<Payload, Problem> {
    let Some(notation) = oldest(domains, domain) else {
        let shown = domain_shown(domains, domain);
        let detail =
            format!("events of {shown} have no form in JSON: give `version` and `payload`, in base64");
        return Err(Problem::malformed(detail));
    };
    notation.event_from_json(event).map_err(|error| Problem::malformed(format!("event: {error}")))
}

/// An entity: by the name that its domain gives it, or by its id, 1 to 32 hexadecimal digits.
pub(crate) fn entity_of(domains: &DomainRegistry, domain: DomainId, text: &str) -> Result<EntityId, Problem> {
    let digits = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|_| digits).map(EntityId);
    match (id, domains.notation(domain)) {
        (Some(id), _) => Ok(id),
        (None, None) => {
            Err(Problem::malformed(format!("{text} is not an entity's id: 1 to 32 hexadecimal digits")))
        }
        (None, Some(notation)) => notation.entity_from_text(text).map_err(|error| {
            Problem::malformed(format!("{error}; accepted as well is an id of 1 to 32 hexadecimal digits"))
        }),
    }
}

/// What to call an entity.
pub(crate) fn entity_name(domains: &DomainRegistry, domain: DomainId, entity: EntityId) -> String {
    let named = domains.notation(domain).map(|notation| notation.entity_to_text(entity));
    named.unwrap_or_else(|| format!("{:032x}", entity.0))
}

/// A state, if its domain can say it.
pub(crate) fn state_shown(
    domains: &DomainRegistry,
    domain: DomainId,
    entity: EntityId,
    state: &[u8],
) -> Option<Value> {
    newest_first(domains, domain).find_map(|notation| notation.state_to_json(entity, state))
}

/// What an event returned, if its domain can say it. The event helps, where it is at hand.
pub(crate) fn response_shown(
    domains: &DomainRegistry,
    domain: DomainId,
    (status, reason): (Status, u16),
    event: Option<(u16, &[u8])>,
    response: &[u8],
) -> Option<Value> {
    let verdict = match status {
        Status::Applied => Verdict::Applied,
        Status::Rejected => Verdict::Rejected(reason),
        _ => return None,
    };
    newest_first(domains, domain).find_map(|notation| notation.response_to_json(verdict, event, response))
}

/// An event that reads an entity and changes nothing, if its domain has one (C8).
pub(crate) fn inspection_of(domains: &DomainRegistry, domain: DomainId, entity: EntityId) -> Option<Payload> {
    oldest(domains, domain).and_then(|notation| notation.inspection(entity))
}

/// What that event returned.
pub(crate) fn inspected(
    domains: &DomainRegistry,
    domain: DomainId,
    response: &[u8],
) -> Option<Option<Vec<u8>>> {
    let inspected =
        |notation: &dyn Notation| notation.inspected(response).map(|state| state.map(<[u8]>::to_vec));
    newest_first(domains, domain).find_map(inspected)
}

/// Bytes as they stand in JSON.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn oldest(domains: &DomainRegistry, domain: DomainId) -> Option<&dyn Notation> {
    of(domains, domain).next()
}

fn newest_first(domains: &DomainRegistry, domain: DomainId) -> impl Iterator<Item = &dyn Notation> {
    let all: Vec<&dyn Notation> = of(domains, domain).collect();
    all.into_iter().rev()
}

/// By version.
fn of(domains: &DomainRegistry, domain: DomainId) -> impl Iterator<Item = &dyn Notation> {
    domains.iter().filter(move |known| known.id() == domain).filter_map(Domain::notation)
}
