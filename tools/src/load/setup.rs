//! Before the load: the items are there, with stock to move.

use assize_inventory::{INVENTORY, InventoryEvent, VERSION, item_id};
use assize_wire::outcome::Status;

use super::books::read_quantities;
use super::error::LoadError;
use super::plan::LoadPlan;
use crate::client::{Client, NewEvent, Outcome};

/// Creates the items that do not exist yet and returns what every item holds, as the engine's answers have it.
pub(super) fn create_items(
    client: &mut Client,
    plan: &LoadPlan,
    warehouse: u64,
) -> Result<Vec<i64>, LoadError> {
    let mut held = read_quantities(client, plan, warehouse)?;
    let absent: Vec<usize> = (0..held.len()).filter(|item| held[*item].is_none()).collect();
    for chunk in absent.chunks(CHUNK_EVENTS) {
        let events: Vec<NewEvent> = chunk.iter().map(|item| creation(plan, warehouse, *item)).collect();
        let answers = client
            .submit(&events)
            .map_err(|source| LoadError::Client { doing: "creating the items", source })?;
        for (item, answer) in chunk.iter().zip(answers) {
            if answer.first_status != Status::Applied {
                return Err(LoadError::SetUp { outcome: Outcome::Answered(answer) });
            }
            held[*item] = Some(plan.stock.cast_signed());
        }
    }
    Ok(held.into_iter().map(Option::unwrap_or_default).collect())
}

fn creation(plan: &LoadPlan, warehouse: u64, item: usize) -> NewEvent {
    let event = InventoryEvent::Adjust {
        item: item_id(warehouse, item as u64),
        delta: plan.stock.cast_signed(),
        reason: 0,
    };
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    NewEvent::new(INVENTORY, VERSION, payload)
}

const CHUNK_EVENTS: usize = 8190;
