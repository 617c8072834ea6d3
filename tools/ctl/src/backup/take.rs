//! `assizectl backup take` and `backup list`.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use assize_device::ReadOnlyDirectory;
use assize_domain::DomainRegistry;
use serde_json::json;

use super::catalog::Catalog;
use super::copying::copy;
use super::{BackupError, Backups, remove_folder, sync_directory};
use crate::cli;
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};
use crate::stopped::known_chosen;
use crate::superblock::superblock_in;

/// Copies a running replica's directory, evaluates the copy and keeps it.
pub(crate) fn take(
    command: &cli::BackupTake,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let from = ReadOnlyDirectory::unlocked(&command.data);
    let source = superblock_in(&command.data)?;
    let _held = Backups::hold(&command.backups)?;
    let backups = Backups::look(&command.backups)?;
    let of = |kept: &super::Kept| kept.catalog.cluster == source.cluster.to_string();
    if let Some(other) = backups.kept.iter().find(|kept| !of(kept)) {
        let (folder, found) = (command.backups.clone(), other.catalog.cluster.clone());
        return Err(BackupError::OtherCluster { folder, found, wanted: source.cluster }.into());
    }
    let replica = source.replica.0;
    let earlier = backups.kept.iter().rev().filter(|kept| kept.catalog.replica == replica);
    let earlier: Vec<_> = earlier.map(|kept| kept.path.clone()).collect();
    let incomplete = backups.incomplete();
    fs::create_dir_all(&incomplete)
        .map_err(|error| Ended::Io(format!("creating {}", incomplete.display()), error))?;
    let mut progress = Progress::default();
    let mut on_copied = |done, all| progress.tell(printer, "copied", done, all);
    let (copied, backup, recovered) = copy(&from, &incomplete, &earlier, &mut on_copied)?;
    let mut states = backup.restore(&recovered, domains)?;
    let first_slot = states.slot().0;
    let last = known_chosen(&recovered, &backup.agreed).0;
    let mut told = Ok(());
    backup.retrace(&recovered, &mut states, None, |_, published| {
        let done = published.slot.0 - first_slot;
        std::mem::replace(&mut told, progress.tell(printer, "evaluated", done, last - first_slot))
    })?;
    told?;
    progress.end();
    let (slot, digest) = states.digest().unwrap_or_else(|| panic!("a replica without shards"));
    if slot.0 == 0 {
        return Err(BackupError::Nothing.into());
    }
    let (entities, live_keys) = states.counts();
    let catalog = Catalog {
        version: Catalog::VERSION,
        cluster: source.cluster.to_string(),
        replica,
        replicas: backup.agreed.replicas,
        first_slot,
        slot: slot.0,
        time_ns: states.tip().time.0,
        digest: digest.to_string(),
        entities,
        live_keys,
        taken_at_ns: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
        bytes: copied.bytes,
        shared_bytes: copied.shared_bytes,
    };
    drop(backup);
    if let Some(same) = backups.kept.iter().find(|kept| kept.catalog.slot == slot.0) {
        // Its files are those of the same slots; what differs is how much is written ahead.
        if same.catalog.digest != catalog.digest {
            let (expected, found) = (same.catalog.digest.clone(), catalog.digest);
            return Err(BackupError::Differs { slot: slot.0, expected, found }.into());
        }
        remove_folder(&incomplete)?;
        let value = json!({"slot": slot.0, "digest": catalog.digest, "path": same.path, "new": false});
        printer.answer(&value, || {
            format!("nothing was published since slot {slot}, which {} has", same.path.display())
        })?;
        return Ok(Exit::Success);
    }
    catalog.write(&incomplete)?;
    sync_directory(&incomplete)?;
    let path = command.backups.join(format!("slot-{:012}", slot.0));
    fs::rename(&incomplete, &path).map_err(|error| Ended::Io(format!("naming {}", path.display()), error))?;
    sync_directory(&command.backups)?;
    let mut value = json!({"path": path, "new": true, "copied_bytes": copied.copied_bytes});
    let members = serde_json::to_value(&catalog).expect("a catalog is JSON");
    value.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    printer.answer(&value, || {
        format!(
            "{}: slots {} to {slot} of replica {replica}, {entities} entities, {live_keys} live keys\ndigest {digest}\n{} \
             copied, {} shared with earlier backups",
            path.display(),
            first_slot.max(1),
            mib(copied.copied_bytes),
            mib(copied.shared_bytes),
        )
    })?;
    Ok(Exit::Success)
}

/// Tells what backups there are.
pub(crate) fn list(command: &cli::BackupList, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let backups = Backups::look(&command.backups)?;
    if backups.kept.is_empty() {
        return Err(BackupError::None(command.backups.clone()).into());
    }
    let value: Vec<_> =
        backups.kept.iter().map(|kept| json!({"path": kept.path, "contents": kept.catalog})).collect();
    printer.answer(&value, || {
        let mut table =
            Table::new(&["backup", "from slot", "to slot", "replica", "entities", "live keys", "size"]);
        for kept in &backups.kept {
            let Catalog { first_slot, slot, replica, entities, live_keys, bytes, .. } = &kept.catalog;
            let name = kept.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let first = first_slot.max(&1);
            let numbers = [first, slot, &u64::from(*replica), entities, live_keys].map(ToString::to_string);
            table.row([name].into_iter().chain(numbers).chain([mib(*bytes)]).collect());
        }
        format!("cluster {}\n{}", backups.kept[0].catalog.cluster, table.text())
    })?;
    Ok(Exit::Success)
}

/// Says how far it is: to people on standard error, to programs a document a piece.
#[derive(Default)]
pub(super) struct Progress {
    told_at: Option<Instant>,
    on_line: bool,
}

impl Progress {
    pub(super) fn tell(
        &mut self,
        printer: &mut Printer<'_>,
        what: &str,
        done: u64,
        all: u64,
    ) -> Result<(), Ended> {
        if printer.is_json() {
            if self.is_due() {
                printer.answer(&json!({"progress": what, "done": done, "of": all}), String::new)?;
                printer.finish()?;
            }
        } else if io::stderr().is_terminal() && self.is_due() {
            let in_words = |number| if what == "copied" { mib(number) } else { format!("{number} slots") };
            // Nobody needs to see it.
            let _ = write!(io::stderr(), "\r\x1b[K{what} {} of {}", in_words(done), in_words(all));
            self.on_line = true;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) {
        if self.on_line {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.told_at.is_none_or(|told| now - told >= EVERY);
        if due {
            self.told_at = Some(now);
        }
        due
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// How often progress is told.
const EVERY: Duration = Duration::from_millis(200);
