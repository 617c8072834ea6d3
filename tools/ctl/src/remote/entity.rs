//! `assizectl get`: an entity's state, and at which slot it holds.

use serde_json::Value;

use super::{Cluster, in_path, shown};
use crate::cli::{Consistency, GetCommand};
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// An entity that is absent ends it with [`Exit::No`].
pub(crate) fn get(command: &GetCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let cluster = Cluster::at(&command.at)?;
    let consistency = match command.consistency {
        Consistency::Linearizable => "linearizable",
        Consistency::Local => "local",
        Consistency::Verified => "verified",
    };
    let (domain, entity) = (in_path(&command.domain), in_path(&command.entity));
    let path = format!("/v1/entities/{domain}/{entity}?consistency={consistency}");
    let state = match command.consistency {
        Consistency::Local => cluster.document(&path)?,
        // Somebody may have to be elected first.
        Consistency::Linearizable | Consistency::Verified => cluster.document_in_time(&path)?,
    };
    printer.answer(&state, || text(&state))?;
    Ok(Exit::Success)
}

fn text(state: &Value) -> String {
    let head = format!(
        "{} {}, after slot {}",
        shown(&state["domain"]),
        shown(&state["entity"]),
        shown(&state["slot"])
    );
    match state["state"].as_object() {
        Some(members) => {
            let widest = members.keys().map(String::len).max().unwrap_or_default();
            let member = |(name, value): (&String, &Value)| format!("\n  {name:<widest$}  {}", shown(value));
            head + &members.iter().map(member).collect::<String>()
        }
        None => format!("{head}\n  {}", shown(&state["state_bytes"])),
    }
}
