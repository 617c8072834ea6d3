//! `assizectl replay` and `assizectl digest`: what the states are after a slot.

use std::sync::Arc;

use assize_domain::DomainRegistry;
use serde_json::{Map, Value, json};

use super::{Lacking, Replica, ended, entity, known_chosen};
use crate::cli::{DigestCommand, ReplayCommand};
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// Evaluates the slots again, compares them with what was published, and tells states.
pub(crate) fn replay(
    command: &ReplayCommand,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let entities = command.entity.iter().map(|text| entity::parse(text, &domains));
    let entities = entities.collect::<Result<Vec<_>, _>>()?;
    let replica = Replica::open(&command.at.data)?;
    let recovered = replica.recover()?;
    let (mut stripes, mut events) = (0_u64, 0_u64);
    let mut states = replica.restore(&recovered, Arc::clone(&domains))?;
    replica.retrace(&recovered, &mut states, command.to, |_, published| {
        stripes += 1;
        events += u64::from(published.outcomes.count());
        Ok(())
    })?;
    let (slot, digest) = states.digest().unwrap_or_else(|| panic!("a replica without shards"));
    let (present, keys) = states.counts();
    let mut found = Map::new();
    for (domain, id) in entities {
        let state = states.state(&replica.agreed, domain, id);
        let state = entity::state(domain, id, state.as_deref(), &domains);
        found.insert(entity::name(domain, id, &domains), state);
    }
    let from = recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.at.slot.0);
    let lacking = Lacking::of(&recovered, &replica.agreed);
    let unsure = recovered.accepted_through.0 - known_chosen(&recovered, &replica.agreed).0;
    let value = json!({
        "from": from, "slot": slot.0, "stripes": stripes, "events": events, "entities": present, "live_keys": keys,
        "digest": digest.to_string(), "states": found, "accepted_not_known_chosen": unsure,
        "damaged_from": damaged_from(lacking),
    });
    printer.answer(&value, || {
        let mut text = format!(
            "after slot {slot}: {present} entities, {keys} live keys, digest {digest}\n{events} events in {stripes} stripes \
             evaluated again from slot {from} on, as they were published"
        );
        if unsure > 0 {
            text.push_str(&format!("\n{unsure} more slots are accepted here and not known to be chosen"));
        }
        found.iter().for_each(|(name, state)| text.push_str(&format!("\n{name}  {}", or_absent(state))));
        text
    })?;
    ended(&replica, lacking, command.to)
}

/// The digest alone, as a replica tells it when it stops.
pub(crate) fn digest(
    command: &DigestCommand,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let replica = Replica::open(&command.at.data)?;
    let recovered = replica.recover()?;
    let mut states = replica.restore(&recovered, domains)?;
    replica.retrace(&recovered, &mut states, command.to, |_, _| Ok(()))?;
    let (slot, digest) = states.digest().unwrap_or_else(|| panic!("a replica without shards"));
    let lacking = Lacking::of(&recovered, &replica.agreed);
    let value = json!({"slot": slot.0, "digest": digest.to_string(), "damaged_from": damaged_from(lacking)});
    printer.answer(&value, || format!("digest {slot} {digest}"))?;
    ended(&replica, lacking, command.to)
}

/// The first slot that is known to be chosen and cannot be evaluated, for programs.
pub(super) fn damaged_from(lacking: Option<Lacking>) -> Value {
    json!(lacking.map(|lacking| lacking.first.0))
}

/// A state, or that there is none.
pub(super) fn or_absent(state: &Value) -> String {
    if state.is_null() { "absent".to_owned() } else { state.to_string() }
}
