//! `assizectl checkpoint`: what a start would begin from.

use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_wal::recovery::RecoveredCheckpoint;
use serde_json::{Value, json};

use super::Replica;
use crate::cli::{Checkpoint, CheckpointCommand};
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};

/// Carries it out.
pub(crate) fn checkpoint(
    command: &CheckpointCommand,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let (data, verify) = match &command.what {
        Checkpoint::List(data) => (data, false),
        Checkpoint::Verify(data) => (data, true),
    };
    let replica = Replica::open(&data.data)?;
    // A part that lacks a record, or heads that do not add up, are found here.
    let recovered = replica.recover()?;
    let Some(checkpoint) = &recovered.checkpoint else {
        printer.answer(&Value::Null, || {
            "there is no checkpoint yet: a start evaluates the log from slot 1".to_owned()
        })?;
        return Ok(if verify { Exit::Success } else { Exit::No });
    };
    let mut value = described(checkpoint);
    if verify {
        // Every record is read; what a part's head says of entities and keys is compared with what they come to.
        let states = replica.restore(&recovered, domains)?;
        let (entities, keys) = states.counts();
        value["verified"] = json!({"entities": entities, "live_keys": keys});
    }
    printer.answer(&value, || text(checkpoint, &value))?;
    Ok(Exit::Success)
}

fn described(checkpoint: &RecoveredCheckpoint) -> Value {
    let parts = checkpoint.parts.iter().map(|part| {
        json!({
            "shard": part.head.shard.0, "entities": part.head.entities, "records": part.entities.len(),
            "keys": part.head.keys_next - part.head.keys_from, "keys_records": part.keys.len(),
        })
    });
    json!({
        "slot": checkpoint.at.slot.0, "time_ns": checkpoint.at.time.0, "manifest": checkpoint.at.manifest.to_string(),
        "digest": checkpoint.at.digest.to_string(), "parts": parts.collect::<Vec<_>>(),
    })
}

fn text(checkpoint: &RecoveredCheckpoint, value: &Value) -> String {
    let mut table = Table::new(&["shard", "entities", "records", "keys", "records of keys"]);
    for part in value["parts"].as_array().into_iter().flatten() {
        let columns = ["shard", "entities", "records", "keys", "keys_records"];
        table.row(columns.iter().map(|column| part[*column].to_string()).collect());
    }
    let at = &checkpoint.at;
    let verified = match value.get("verified") {
        Some(found) => format!(
            "\nverified: {} entities and {} live keys are what their digests say",
            found["entities"], found["live_keys"]
        ),
        None => String::new(),
    };
    format!("after slot {}, digest {}\n{}{verified}", at.slot, at.digest, table.text())
}
