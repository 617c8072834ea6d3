//! `assizectl history`: every event since the checkpoint that changed an entity, with its state before and after.

use std::sync::Arc;

use assize_domain::{DomainId, DomainRegistry, EntityId};
use assize_shards::{Piece, Published};
use assize_wire::stripe::Stripe;
use serde_json::{Value, json};

use super::replay::or_absent;
use super::{Lacking, Replica, ended, entity};
use crate::cli::HistoryCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// Evaluates the slots again and tells of those events.
pub(crate) fn history(
    command: &HistoryCommand,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let (domain, id) = entity::parse(&command.entity, &domains)?;
    let replica = Replica::open(&command.at.data)?;
    let recovered = replica.recover()?;
    let mut states = replica.restore(&recovered, Arc::clone(&domains))?;
    let (from, state) = (states.slot(), states.state(&replica.agreed, domain, id));
    let mut known = entity::state(domain, id, state.as_deref(), &domains);
    let name = entity::name(domain, id, &domains);
    let begin = json!({"entity": name, "slot": from.0, "state": known});
    printer.answer(&begin, || format!("{name}, after slot {from}: {}", or_absent(&known)))?;
    let mut changed = false;
    let told = |stripe: &Stripe<'_>, published: &Published| {
        for change in changes(stripe, published, domain, id, &domains) {
            changed = true;
            let Change { index, key, event, after } = change;
            let position = format!("{}.{}.{index}", published.slot, published.shard);
            let before = std::mem::replace(&mut known, after);
            let value = json!({
                "position": position, "time_ns": published.time.0, "key": key, "event": event, "before": before,
                "after": known,
            });
            printer.answer(&value, || {
                format!(
                    "{position}  {key}  {event}\n  before  {}\n  after   {}",
                    or_absent(&before),
                    or_absent(&known)
                )
            })?;
        }
        Ok(())
    };
    replica.retrace(&recovered, &mut states, command.to, told)?;
    // Programs see it by what does not follow the first document.
    if !changed && from < states.slot() && !printer.is_json() {
        printer.answer(&(), || {
            format!("no event changed it from slot {} through {}", from.next(), states.slot())
        })?;
    }
    ended(&replica, Lacking::of(&recovered, &replica.agreed), command.to)
}

/// An event that changed the entity.
struct Change {
    index: usize,
    key: String,
    event: Value,
    after: Value,
}

fn changes(
    stripe: &Stripe<'_>,
    published: &Published,
    domain: DomainId,
    id: EntityId,
    domains: &DomainRegistry,
) -> Vec<Change> {
    let pieces = published.evaluated.pieces().zip(stripe.events()).enumerate();
    let changed = pieces.filter_map(|(index, (piece, event))| {
        // What is no event is invalid and changed nothing.
        let event = event.ok()?;
        let (piece, _) =
            Piece::parse(piece).unwrap_or_else(|error| panic!("a piece that was just made: {error:?}"));
        let (_, _, state) =
            piece.changes.iter().rev().find(|(of, entity, _)| (*of, *entity) == (domain, id))?;
        Some(Change {
            index,
            key: piece.outcome.key.to_string(),
            event: entity::event(&event, domains),
            after: entity::state(domain, id, *state, domains),
        })
    });
    changed.collect()
}
