//! `assizectl backup list`.

use serde_json::{Value, json};

use super::catalog::Catalog;
use super::progress::mib;
use super::segment::bytes_below;
use super::{BackupError, Backups, Kept, Unusable};
use crate::cli;
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};

/// Tells what backups there are: also what is not one yet, and what is not one any more. With such a one it ends with
/// [`Exit::DataDirectory`], after all that it knows.
pub(crate) fn list(command: &cli::BackupList, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let backups = Backups::look(&command.backups)?;
    let incomplete = incomplete(&backups);
    if backups.kept.is_empty() && backups.unusable.is_empty() && incomplete.is_none() {
        return Err(BackupError::None(command.backups.clone()).into());
    }
    let kept = backups.kept.iter().map(|kept| json!({"path": kept.path, "contents": kept.catalog}));
    let unusable = backups.unusable.iter();
    let unusable = unusable.map(|Unusable { path, why }| json!({"path": path, "unusable": why.to_string()}));
    let value: Vec<Value> =
        kept.chain(unusable).chain(incomplete.as_ref().map(|(value, _)| value.clone())).collect();
    printer.answer(&value, || text(&backups, incomplete.map(|(_, text)| text)))?;
    Ok(if backups.unusable.is_empty() { Exit::Success } else { Exit::DataDirectory })
}

fn text(backups: &Backups, incomplete: Option<String>) -> String {
    let head = [
        "backup",
        "taken",
        "from slot",
        "to slot",
        "replica",
        "entities",
        "live keys",
        "size",
        "of it shared",
    ];
    let mut table = Table::new(&head);
    for kept in &backups.kept {
        let Catalog { first_slot, slot, replica, entities, live_keys, bytes, shared_bytes, .. } =
            &kept.catalog;
        let name = kept.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let first = first_slot.max(&1);
        let numbers = [first, slot, &u64::from(*replica), entities, live_keys].map(ToString::to_string);
        let sizes = [mib(*bytes), mib(*shared_bytes)];
        table.row([name, kept.catalog.taken_at()].into_iter().chain(numbers).chain(sizes).collect());
    }
    let mut lines = Vec::new();
    if let Some(Kept { catalog, .. }) = backups.kept.first() {
        lines.extend([format!("cluster {}", catalog.cluster), table.text()]);
    }
    let unusable = backups.unusable.iter();
    lines.extend(unusable.map(|Unusable { path, why }| format!("NOT USABLE: {}: {why}", path.display())));
    lines.extend(incomplete);
    lines.join("\n")
}

/// One that is not whole: for programs and for people.
fn incomplete(backups: &Backups) -> Option<(Value, String)> {
    let path = backups.incomplete();
    if !path.exists() {
        return None;
    }
    let (bytes, is_held) = (bytes_below(&path), backups.is_held());
    let what = if is_held { "it is being taken now" } else { "the next take goes on with it" };
    let text = format!("incomplete: {} copied; {what}", mib(bytes));
    Some((json!({"path": path, "incomplete": {"bytes": bytes, "being_taken": is_held}}), text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::INCOMPLETE;
    use super::*;

    fn listed(folder: &Path, json: bool) -> (Result<Exit, Ended>, String) {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, json);
        let ended = list(&cli::BackupList { backups: folder.to_owned() }, &mut printer);
        printer.finish().expect("it is written");
        drop(printer);
        (ended, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn one_that_is_not_whole_is_listed_though_there_is_no_other() {
        let folder = tempfile::tempdir().expect("a directory");
        let (none, said) = listed(folder.path(), false);
        assert!(matches!(none, Err(Ended::Backup(BackupError::None(_)))) && said.is_empty(), "{said}");

        fs::create_dir(folder.path().join(INCOMPLETE)).expect("a folder");
        fs::write(folder.path().join(INCOMPLETE).join("segment"), vec![7; 1 << 20]).expect("a file");
        let (ended, said) = listed(folder.path(), false);
        assert_eq!(ended.expect("a list"), Exit::Success);
        assert!(said.ends_with("copied; the next take goes on with it\n"), "{said}");
        let (ended, said) = listed(folder.path(), true);
        assert_eq!(ended.expect("a list"), Exit::Success);
        let told: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(told[0]["incomplete"]["being_taken"], false, "{said}");
        assert_eq!(told.as_array().map(Vec::len), Some(1), "{said}");
    }
}
