//! `assizectl divergence show`, of a stopped replica: whether it is quarantined, which outlives its process (C5).

use std::path::Path;

use serde_json::json;

use super::Replica;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// One that is quarantined ends it with [`Exit::No`].
pub(crate) fn divergence(data: &Path, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let replica = Replica::open(data)?;
    let quarantine = replica.superblock.quarantine.map(|quarantine| quarantine.to_string());
    let value = json!({"replica": replica.superblock.replica.0, "quarantine": quarantine});
    printer.answer(&value, || match &quarantine {
        Some(reason) => format!("replica {} is QUARANTINED: {reason}", replica.superblock.replica),
        None => format!("replica {} is not quarantined", replica.superblock.replica),
    })?;
    Ok(if quarantine.is_some() { Exit::No } else { Exit::Success })
}
