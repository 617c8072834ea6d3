//! `assizectl restore`: a backup becomes a replica of another cluster.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assize_device::directory::BACKUP_FILE;
use assize_domain::DomainRegistry;
use assize_wire::{ClusterId, Hash, ReplicaId, Slot};
use serde_json::json;

use super::catalog::Catalog;
use super::founded::{self, Identity};
use super::take::Progress;
use super::{BackupError, Backups, Kept, remove_folder, sync_directory};
use crate::cli::RestoreCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;
use crate::stopped::Replica;

/// Writes a data directory that a replica of a new cluster starts from, and reads it back.
pub(crate) fn restore(
    command: &RestoreCommand,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let kept = choose(&command.backup, command.to)?;
    may_be_made(&command.data)?;
    let backup = Replica::open(&kept.path)?;
    let (replicas, old) = (backup.agreed.replicas, backup.superblock.cluster);
    if command.replica >= replicas {
        return Err(BackupError::NoSuchReplica { asked: command.replica, replicas }.into());
    }
    let to = Slot(command.to.unwrap_or(kept.catalog.slot));
    let cluster = match command.cluster.map(ClusterId) {
        None => new_cluster(drawn()?, old, to),
        Some(same) if same == old => return Err(BackupError::SameCluster(old).into()),
        Some(given) if new_cluster(given.0, old, to) != given => {
            return Err(BackupError::OtherSlot { given, slot: to }.into());
        }
        Some(given) => given,
    };
    let who = Identity { cluster, replica: ReplicaId(command.replica), record_key: drawn()? };
    let recovered = backup.recover()?;
    let mut states = backup.restore(&recovered, Arc::clone(&domains))?;
    let incomplete = incomplete(&command.data)?;
    let (mut progress, first) = (Progress::default(), states.slot());
    let all = to.0 - first.0;
    founded::write(&backup, &recovered, &mut states, to, who, &incomplete, &mut |slot| {
        progress.tell(printer, "evaluated", slot.0 - first.0, all)
    })?;
    progress.end();
    let (slot, digest) = states.digest().unwrap_or_else(|| panic!("a replica without shards"));
    let differs = |expected: String, found: String| BackupError::Differs { slot: slot.0, expected, found };
    if slot.0 == kept.catalog.slot && digest.to_string() != kept.catalog.digest {
        return Err(differs(kept.catalog.digest, digest.to_string()).into());
    }
    // What counts is what a start finds.
    let restored = Replica::open(&incomplete)?;
    let found = restored.restore(&restored.recover()?, domains)?.digest();
    if found != Some((slot, digest)) {
        let found = found.map_or_else(String::new, |(_, digest)| digest.to_string());
        return Err(differs(digest.to_string(), found).into());
    }
    drop(restored);
    finish(&incomplete, &command.data)?;
    let (entities, live_keys) = states.counts();
    let value = json!({
        "data": command.data, "cluster": who.cluster.to_string(), "replica": command.replica, "replicas": replicas,
        "slot": slot.0, "digest": digest.to_string(), "entities": entities, "live_keys": live_keys,
    });
    printer.answer(&value, || {
        let mut text = format!(
            "{}: replica {} of {replicas} of the new cluster {}, after slot {slot} of cluster {old}\n{entities} entities, \
             {live_keys} live keys, digest {digest}",
            command.data.display(),
            command.replica,
            who.cluster,
        );
        if replicas > 1 {
            text.push_str(&format!(
                "\nrestore each other replica from a backup of the same slot with --replica N --cluster {} --to {slot}",
                who.cluster
            ));
        }
        text
    })?;
    Ok(Exit::Success)
}

/// The id of the cluster that begins from `old` after a slot; of 64 bits by chance.
///
/// 1. Replica 0 is restored to slot 900, replicas 1 and 2 by mistake to slot 950, under one id.
/// 2. Replica 0 leads, with replica 1 away. Replica 2 is at slot 950 and has nothing of what they choose as slot 901.
///
/// So the id says of what and to which slot, and whoever is to join it is restored to that slot or not at all.
fn new_cluster(chance: u128, old: ClusterId, slot: Slot) -> ClusterId {
    let chance = (chance >> 64) as u64;
    let of = [&chance.to_le_bytes()[..], &old.0.to_le_bytes(), &slot.0.to_le_bytes()].concat();
    let [a, b, c, d, e, f, g, h, ..] = Hash::of(&of).0;
    ClusterId(u128::from(chance) << 64 | u128::from(u64::from_le_bytes([a, b, c, d, e, f, g, h])))
}

/// The backup itself, or of a folder of them the last one that reaches the slot.
fn choose(path: &Path, to: Option<u64>) -> Result<Kept, Ended> {
    let kept = match path.join(BACKUP_FILE).exists() {
        true => vec![Kept { path: path.to_owned(), catalog: Catalog::read(path)? }],
        false => Backups::look(path)?.kept,
    };
    let slots = kept.iter().map(|kept| (kept.catalog.first_slot, kept.catalog.slot)).collect();
    if kept.is_empty() {
        return Err(BackupError::None(path.to_owned()).into());
    }
    let reaches = |kept: &Kept| {
        let Catalog { first_slot, slot, .. } = kept.catalog;
        to.is_none_or(|to| to > 0 && (first_slot..=slot).contains(&to))
    };
    let chosen = kept.into_iter().rev().find(reaches);
    chosen.ok_or_else(|| BackupError::NoneHasSlot { asked: to.unwrap_or_default(), kept: slots }.into())
}

/// Nothing lies where the replica is to be.
fn may_be_made(data: &Path) -> Result<(), Ended> {
    match fs::read_dir(data) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty(data.to_owned()).into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Ended::Io(format!("looking into {}", data.display()), error)),
    }
}

/// The folder beside it that it is written in: what an earlier try left there is removed.
fn incomplete(data: &Path) -> Result<PathBuf, Ended> {
    let name =
        data.file_name().ok_or_else(|| Ended::Usage(format!("{} is no directory's name", data.display())))?;
    let mut name = name.to_owned();
    name.push(".incomplete");
    let path = data.with_file_name(name);
    if path.join(MARK).exists() {
        remove_folder(&path)?;
    } else {
        may_be_made(&path)?;
    }
    fs::create_dir_all(&path)
        .and_then(|()| File::create(path.join(MARK)))
        .map_err(|error| Ended::Io(format!("creating {}", path.display()), error))?;
    Ok(path)
}

/// Gives it its name, once it is whole.
fn finish(incomplete: &Path, data: &Path) -> Result<(), Ended> {
    let name = || {
        fs::remove_file(incomplete.join(MARK))?;
        if data.exists() {
            // It is empty.
            fs::remove_dir(data)?;
        }
        fs::rename(incomplete, data)
    };
    name().map_err(|error| Ended::Io(format!("naming {}", data.display()), error))?;
    sync_directory(data)?;
    let above = data.parent().filter(|above| !above.as_os_str().is_empty());
    sync_directory(above.unwrap_or(Path::new(".")))
}

fn drawn() -> Result<u128, Ended> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Ended::Io("drawing random bytes".to_owned(), io::Error::other(error.to_string())))?;
    Ok(u128::from_le_bytes(bytes))
}

/// In the folder while it is being written.
const MARK: &str = "restoring";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_clusters_id_is_that_of_one_slot_of_one_cluster() {
        let id = new_cluster(7 << 64 | 9, ClusterId(1), Slot(900));
        assert_eq!(new_cluster(id.0, ClusterId(1), Slot(900)), id);
        assert_ne!(new_cluster(id.0, ClusterId(1), Slot(950)), id);
        assert_ne!(new_cluster(id.0, ClusterId(2), Slot(900)), id);
        assert_ne!(new_cluster(8 << 64, ClusterId(1), Slot(900)), id);
    }
}
