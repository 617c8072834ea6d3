//! Backups of a running replica, and the cluster that one of them becomes.
//!
//! A **backup** is the data directory of a replica as a crash could have left it: every offline command reads one as it
//! reads a stopped replica's directory. It is taken from the files, by a process of its own; no core of the replica is
//! asked anything. What did not change since the one before is shared with it by hard links.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | the folder that backups of a cluster lie in |
//! | `catalog.rs` | what is known of a backup: `backup.json` |
//! | `copying.rs` | a running replica's files, copied until they are of one moment |
//! | `made.rs` | what a `take` that is refused has made, and removes |
//! | `pins.rs` | what keeps files from being recycled meanwhile |
//! | `segment.rs` | one file of them |
//! | `signals.rs` | what interrupts it |
//! | `take.rs`, `list.rs` | `backup take`, `backup list` |
//! | `progress.rs` | how far it is |
//! | `restore.rs` | `restore` |
//! | `founded.rs` | the directory that a restored replica starts from |
//! | `error.rs` | why there is none |
//!
//! ```text
//! BACKUPS/lock                          held while one is taken
//! BACKUPS/incomplete/                   one that is not whole: the next one begins with what is there
//! BACKUPS/slot-000000012345/            a replica's data directory, and
//! BACKUPS/slot-000000012345/backup.json
//! ```

mod catalog;
mod copying;
mod error;
mod founded;
mod list;
mod made;
mod pins;
mod progress;
mod restore;
mod segment;
mod signals;
mod take;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use assize_device::Place;
use assize_device::directory::BACKUP_FILE;
use assize_tools::aside;

use catalog::Catalog;
pub use error::BackupError;
pub(crate) use list::list;
pub(crate) use restore::restore;
use segment::private;
pub(crate) use take::take;

use crate::exit::Ended;

/// A folder of backups.
struct Backups {
    root: PathBuf,
    /// Ascending by slot.
    kept: Vec<Kept>,
    /// Backups that nobody can say what of.
    unusable: Vec<Unusable>,
}

/// A backup whose description cannot be read. The others are as good as they were.
struct Unusable {
    path: PathBuf,
    why: Ended,
}

/// A backup that is whole.
#[derive(Clone, Debug)]
struct Kept {
    path: PathBuf,
    catalog: Catalog,
}

impl Backups {
    /// What is there.
    fn look(root: &Path) -> Result<Backups, Ended> {
        let failed = |error| Ended::Io(format!("listing {}", root.display()), error);
        let (mut kept, mut unusable) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(root).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.file_name().is_some_and(|name| name != INCOMPLETE) && path.join(BACKUP_FILE).exists() {
                match Catalog::read(&path) {
                    Ok(catalog) => kept.push(Kept { path, catalog }),
                    Err(why) => unusable.push(Unusable { path, why }),
                }
            }
        }
        kept.sort_by_key(|kept| kept.catalog.slot);
        unusable.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Backups { root: root.to_owned(), kept, unusable })
    }

    /// Says to people what is not gone by.
    fn warn(&self) {
        for Unusable { path, why } in &self.unusable {
            aside::say(format_args!("assizectl: {} is not usable and passed over: {why}", path.display()));
        }
    }

    /// Keeps others from taking one at the same time, for as long as what is returned lives.
    fn hold(root: &Path) -> Result<File, Ended> {
        let failed = |error| Ended::Io(format!("opening {}", root.display()), error);
        refuse_data(root)?;
        make_folder(root)?;
        let lock = private().truncate(false).open(root.join(LOCK)).map_err(failed)?;
        // Whoever is refused removes the folder that it made, and the lock in it: one that is gone holds nobody off.
        let is_there = |lock: &File| {
            let (held, there) = (lock.metadata(), fs::metadata(root.join(LOCK)));
            held.is_ok_and(|held| {
                there.is_ok_and(|there| (held.dev(), held.ino()) == (there.dev(), there.ino()))
            })
        };
        match lock.try_lock() {
            Ok(()) if is_there(&lock) => Ok(lock),
            Ok(()) | Err(TryLockError::WouldBlock) => Err(BackupError::InUse(root.to_owned()).into()),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn incomplete(&self) -> PathBuf {
        self.root.join(INCOMPLETE)
    }

    /// Whether one is being taken now.
    fn is_held(&self) -> bool {
        let lock = File::open(self.root.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// Backups in a replica's directory would go with its disk, and a start would take their folder for a replica's.
fn refuse_data(root: &Path) -> Result<(), Ended> {
    let failed = |error| Ended::Io(format!("opening {}", root.display()), error);
    let named = std::path::absolute(root).map_err(failed)?;
    let Some(there) = named.ancestors().find(|above| above.exists()) else { return Ok(()) };
    let there = there.canonicalize().map_err(failed)?;
    let is_data = |above: &&Path| (0..2).any(|copy| Place::Superblock(copy).path(above).exists());
    match there.ancestors().find(is_data) {
        Some(data) => Err(BackupError::IsData(data.to_owned()).into()),
        None => Ok(()),
    }
}

/// Makes a folder for its owner alone, and those above it; one that is there stays as it is.
fn make_folder(path: &Path) -> Result<(), Ended> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Ended::Io(format!("creating {}", path.display()), error))
}

/// Makes the names of a folder durable.
fn sync_directory(path: &Path) -> Result<(), Ended> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Ended::Io(format!("making {} durable", path.display()), error))
}

/// Removes a folder that may not be there.
fn remove_folder(path: &Path) -> Result<(), Ended> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Ended::Io(format!("removing {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// The folder of one that is not whole.
const INCOMPLETE: &str = "incomplete";

/// Held while one is taken.
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicas_directory_and_what_lies_in_it_is_no_place_for_backups() {
        let folder = tempfile::tempdir().expect("a directory");
        let data = folder.path().join("replica");
        fs::create_dir_all(data.join("log-00000")).expect("a directory");
        assert!(refuse_data(&data).is_ok(), "nothing was formatted there");
        fs::write(Place::Superblock(1).path(&data), []).expect("a file");
        for inside in
            [data.clone(), data.join("log-00000"), data.join("not/there"), data.join("log-00000/../x")]
        {
            let refused = refuse_data(&inside).expect_err("it is inside");
            assert!(
                matches!(refused, Ended::Backup(BackupError::IsData(_))),
                "{}: {refused}",
                inside.display()
            );
        }
        assert!(refuse_data(folder.path()).is_ok(), "backups above it are not in it");
    }
}
