//! An entity as the command line names it, and its state in words.

use assize_domain::{DomainId, DomainRegistry, EntityId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::exit::Ended;

/// `DOMAIN/ENTITY`: the domain's name or number, and the entity's name or its id in hexadecimal.
pub(super) fn parse(text: &str, domains: &DomainRegistry) -> Result<(DomainId, EntityId), Ended> {
    let refuse = |why: String| Ended::Usage(format!("{text}: {why}"));
    let (domain, entity) = text
        .split_once('/')
        .ok_or_else(|| refuse("accepted is DOMAIN/ENTITY, such as inventory/item:1:1001".to_owned()))?;
    let id = domains.named(domain).or_else(|| domain.parse().ok().map(DomainId));
    let id = id.filter(|id| domains.newest_of(*id).is_some()).ok_or_else(|| {
        let known: Vec<&str> = domains.iter().map(assize_domain::Domain::name).collect();
        refuse(format!("no domain {domain}: accepted are {}", known.join(", ")))
    })?;
    let named = domains.notation(id).map(|notation| notation.entity_from_text(entity));
    let hexadecimal = || u128::from_str_radix(entity, 16).map(EntityId);
    match named {
        Some(Ok(entity)) => Ok((id, entity)),
        Some(Err(error)) => hexadecimal().map(|entity| (id, entity)).map_err(|_| refuse(error.to_string())),
        None => hexadecimal()
            .map(|entity| (id, entity))
            .map_err(|_| refuse("accepted is an id in hexadecimal".to_owned())),
    }
}

/// A name for people and programs: `DOMAIN/ENTITY`.
pub(super) fn name(domain: DomainId, entity: EntityId, domains: &DomainRegistry) -> String {
    let of = domains.newest_of(domain).map_or_else(|| domain.0.to_string(), |known| known.name().to_owned());
    match domains.notation(domain) {
        Some(notation) => format!("{of}/{}", notation.entity_to_text(entity)),
        None => format!("{of}/{entity}"),
    }
}

/// A state in its domain's words, or in base64 where it has none; `null` for an entity that is absent.
pub(super) fn state(
    domain: DomainId,
    entity: EntityId,
    state: Option<&[u8]>,
    domains: &DomainRegistry,
) -> Value {
    let Some(bytes) = state else { return Value::Null };
    let words = domains.notation(domain).and_then(|notation| notation.state_to_json(entity, bytes));
    words.unwrap_or_else(|| json!(STANDARD.encode(bytes)))
}

/// An event in its domain's words, or its version and payload where it has none.
pub(super) fn event(event: &assize_domain::Event<'_>, domains: &DomainRegistry) -> Value {
    let words = domains
        .notation(event.domain())
        .and_then(|notation| notation.event_to_json(event.version(), event.payload()));
    words.unwrap_or_else(|| json!({"version": event.version(), "payload": STANDARD.encode(event.payload())}))
}
