//! `assizectl restore`: a backup becomes a replica of another cluster.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assize_device::directory::BACKUP_FILE;
use assize_domain::DomainRegistry;
use assize_wire::{ClusterId, Hash, ReplicaId, Slot};
use serde_json::json;

use super::catalog::Catalog;
use super::founded::{self, Identity};
use super::progress::{Doing, Progress};
use super::{BackupError, Backups, Kept, private, remove_folder, sync_directory};
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
    let incomplete = Incomplete::begin(&command.data)?;
    let recovered = backup.recover()?;
    let mut states = backup.restore(&recovered, Arc::clone(&domains))?;
    let mut progress = Progress::default();
    founded::write(&backup, &recovered, &mut states, to, who, &incomplete.path, &mut |what, done, all| {
        progress.tell(printer, what, done, all)
    })?;
    let (slot, digest) = states.digest().unwrap_or_else(|| panic!("a replica without shards"));
    let differs = |expected: String, found: String| BackupError::Differs { slot: slot.0, expected, found };
    if slot.0 == kept.catalog.slot && digest.to_string() != kept.catalog.digest {
        return Err(differs(kept.catalog.digest, digest.to_string()).into());
    }
    // What counts is what a start finds.
    progress.tell(printer, Doing::ReadBack, 0, states.counts().0)?;
    let restored = Replica::open(&incomplete.path)?;
    let found = restored.restore(&restored.recover()?, domains)?.digest();
    if found != Some((slot, digest)) {
        let found = found.map_or_else(String::new, |(_, digest)| digest.to_string());
        return Err(differs(digest.to_string(), found).into());
    }
    drop(restored);
    incomplete.finish(&command.data)?;
    progress.end();
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
        false => {
            let backups = Backups::look(path)?;
            backups.warn();
            backups.kept
        }
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

/// The folder beside it that it is written in, which nobody else writes in. It is removed where nothing comes of it.
struct Incomplete {
    path: PathBuf,
    /// Held until it has its name.
    _lock: File,
    named: bool,
}

impl Incomplete {
    /// Makes it; what a try that was killed left there is removed.
    fn begin(data: &Path) -> Result<Incomplete, Ended> {
        let name = data.file_name();
        let mut name = name
            .ok_or_else(|| Ended::Usage(format!("{} is no directory's name", data.display())))?
            .to_owned();
        name.push(".incomplete");
        let path = data.with_file_name(name);
        let above = above(data);
        if !above.is_dir() {
            return Err(BackupError::NowhereToRestore(above.to_owned()).into());
        }
        let failed = |error| Ended::Io(format!("creating {}", path.display()), error);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.join(MARK).exists() => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => may_be_made(&path)?,
            made => made.map_err(failed)?,
        }
        let lock = private().truncate(false).open(path.join(MARK)).map_err(failed)?;
        let under_way = || Ended::from(BackupError::RestoreUnderWay(data.to_owned()));
        match lock.try_lock() {
            // Whoever held it until now has given the folder its name, or removed it.
            Ok(()) if !path.join(MARK).exists() => return Err(under_way()),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(under_way()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let incomplete = Incomplete { path, _lock: lock, named: false };
        may_be_made(data)?;
        incomplete.empty()?;
        Ok(incomplete)
    }

    fn empty(&self) -> Result<(), Ended> {
        let failed = |error| Ended::Io(format!("emptying {}", self.path.display()), error);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                remove_folder(&path)?;
            } else if path.file_name().is_some_and(|name| name != MARK) {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Gives it its name, once it is whole.
    fn finish(mut self, data: &Path) -> Result<(), Ended> {
        let name = || {
            fs::remove_file(self.path.join(MARK))?;
            if data.exists() {
                // It is empty.
                fs::remove_dir(data)?;
            }
            fs::rename(&self.path, data)
        };
        name().map_err(|error| Ended::Io(format!("naming {}", data.display()), error))?;
        self.named = true;
        sync_directory(data)?;
        sync_directory(above(data))
    }
}

impl Drop for Incomplete {
    fn drop(&mut self) {
        if !self.named {
            // The next restore removes what cannot be removed now.
            let _ = remove_folder(&self.path);
        }
    }
}

/// The folder that a directory has its name in.
fn above(data: &Path) -> &Path {
    data.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

    /// RestoreUnderWayRefused: two of them would remove each other's work.
    #[test]
    fn a_second_restore_into_the_same_directory_is_refused_and_touches_nothing() {
        let folder = tempfile::tempdir().expect("a directory");
        let data = folder.path().join("data");
        let first = Incomplete::begin(&data).expect("nobody else");
        fs::write(first.path.join("superblock.0"), [1]).expect("a file");
        let refused = Incomplete::begin(&data).err().expect("it is held").to_string();
        assert!(refused.contains("another restore is under way into"), "{refused}");
        assert!(first.path.join("superblock.0").exists(), "its work is gone");
        first.finish(&data).expect("a name");
        assert!(data.join("superblock.0").exists() && !data.join(MARK).exists());
        // One that was killed has left something, and nobody holds it.
        let other = folder.path().join("other");
        fs::create_dir(folder.path().join("other.incomplete")).expect("a folder");
        fs::write(folder.path().join("other.incomplete").join(MARK), []).expect("a file");
        fs::write(folder.path().join("other.incomplete/superblock.1"), [1]).expect("a file");
        let again = Incomplete::begin(&other).expect("nobody holds it");
        assert!(!again.path.join("superblock.1").exists());
        let path = again.path.clone();
        drop(again);
        assert!(!path.exists(), "nothing came of it, and it is there");
        // What is not a restore's is nobody's to remove, and no parents are made.
        fs::create_dir(folder.path().join("third.incomplete")).expect("a folder");
        fs::write(folder.path().join("third.incomplete/theirs"), []).expect("a file");
        let refused = Incomplete::begin(&folder.path().join("third")).err().expect("it is not empty");
        assert!(matches!(refused, Ended::Backup(BackupError::NotEmpty(_))), "{refused}");
        let refused = Incomplete::begin(&folder.path().join("no/where")).err().expect("no parent");
        assert!(matches!(refused, Ended::Backup(BackupError::NowhereToRestore(_))), "{refused}");
    }

    #[test]
    fn a_new_clusters_id_is_that_of_one_slot_of_one_cluster() {
        let id = new_cluster(7 << 64 | 9, ClusterId(1), Slot(900));
        assert_eq!(new_cluster(id.0, ClusterId(1), Slot(900)), id);
        assert_ne!(new_cluster(id.0, ClusterId(1), Slot(950)), id);
        assert_ne!(new_cluster(id.0, ClusterId(2), Slot(900)), id);
        assert_ne!(new_cluster(8 << 64, ClusterId(1), Slot(900)), id);
    }
}
