//! `assizectl backup take`.

use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use assize_device::ReadOnlyDirectory;
use assize_domain::DomainRegistry;
use assize_tools::aside;
use assize_wal::Superblock;
use serde_json::json;

use super::catalog::Catalog;
use super::copying::{Step, copy};
use super::made::{Made, is_refused};
use super::progress::{Doing, Progress, mib};
use super::signals::Signals;
use super::{BackupError, Backups, INCOMPLETE, make_folder, remove_folder, sync_directory};
use crate::cli;
use crate::exit::{Ended, Exit};
use crate::print::Printer;
use crate::stopped::known_chosen;
use crate::superblock::superblock_in;

/// Copies a running replica's directory, evaluates the copy and keeps it.
pub(crate) fn take(
    command: &cli::BackupTake,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let signals = Signals::watch()?;
    match take_unless(&signals, command, domains, printer) {
        Err(Ended::Backup(BackupError::Interrupted)) => {
            let incomplete = command.backups.join(INCOMPLETE);
            aside::say(format_args!(
                "assizectl: interrupted; {} is gone on with by the next take",
                incomplete.display()
            ));
            Ok(signals.end())
        }
        ended => ended,
    }
}

fn take_unless(
    signals: &Signals,
    command: &cli::BackupTake,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let source = superblock_in(&command.data)?;
    let made = Made::before(&command.backups);
    let _held = Backups::hold(&command.backups)?;
    let taken = take_held(signals, command, &source, domains, printer);
    if taken.as_ref().is_err_and(is_refused) {
        made.remove();
    }
    taken
}

fn take_held(
    signals: &Signals,
    command: &cli::BackupTake,
    source: &Superblock,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let from = ReadOnlyDirectory::unlocked(&command.data);
    let backups = Backups::look(&command.backups)?;
    backups.warn();
    let of = |kept: &super::Kept| kept.catalog.cluster == source.cluster.to_string();
    if let Some(other) = backups.kept.iter().find(|kept| !of(kept)) {
        let (folder, found) = (command.backups.clone(), other.catalog.cluster.clone());
        return Err(BackupError::OtherCluster { folder, found, wanted: source.cluster }.into());
    }
    let replica = source.replica.0;
    let earlier = backups.kept.iter().rev().filter(|kept| kept.catalog.replica == replica);
    let earlier: Vec<_> = earlier.map(|kept| kept.path.clone()).collect();
    let incomplete = backups.incomplete();
    make_folder(&incomplete)?;
    let mut progress = Progress::default();
    let mut on_step = |step| tell_step(&mut progress, printer, step);
    let (copied, backup, recovered) = copy(&from, &incomplete, &earlier, signals, &mut on_step)?;
    let mut states = backup.restore(&recovered, domains)?;
    let first_slot = states.slot().0;
    let last = known_chosen(&recovered, &backup.agreed).0;
    backup.retrace(&recovered, &mut states, None, |_, published| {
        let done = published.slot.0 - first_slot;
        signals.check()?;
        progress.tell(printer, Doing::Evaluated, done, last - first_slot)
    })?;
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

fn tell_step(progress: &mut Progress, printer: &mut Printer<'_>, step: Step) -> Result<(), Ended> {
    match step {
        Step::Reading => progress.show(printer, "reading the logs"),
        Step::Copied { done, all } => return progress.tell(printer, Doing::Copied, done, all),
        Step::Recovering => progress.show(printer, "reading the copy"),
        Step::Again => progress.say_once(
            "another checkpoint became active meanwhile, so copying begins again; what is there already is kept",
        ),
    }
    Ok(())
}
