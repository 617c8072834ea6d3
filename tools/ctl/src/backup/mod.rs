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
//! | `pins.rs` | what keeps files from being recycled meanwhile |
//! | `segment.rs` | one file of them |
//! | `take.rs` | `backup take`, `backup list` |
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
mod pins;
mod restore;
mod segment;
mod take;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use assize_device::directory::BACKUP_FILE;

use catalog::Catalog;
pub use error::BackupError;
pub(crate) use restore::restore;
pub(crate) use take::{list, take};

use crate::exit::Ended;

/// A folder of backups.
struct Backups {
    root: PathBuf,
    /// Ascending by slot.
    kept: Vec<Kept>,
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
        let mut kept = Vec::new();
        for entry in fs::read_dir(root).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.file_name().is_some_and(|name| name != INCOMPLETE) && path.join(BACKUP_FILE).exists() {
                let catalog = Catalog::read(&path)?;
                kept.push(Kept { path, catalog });
            }
        }
        kept.sort_by_key(|kept| kept.catalog.slot);
        Ok(Backups { root: root.to_owned(), kept })
    }

    /// Keeps others from taking one at the same time, for as long as what is returned lives.
    fn hold(root: &Path) -> Result<File, Ended> {
        let failed = |error| Ended::Io(format!("opening {}", root.display()), error);
        fs::create_dir_all(root).map_err(failed)?;
        let path = root.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(BackupError::InUse(root.to_owned()).into()),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn incomplete(&self) -> PathBuf {
        self.root.join(INCOMPLETE)
    }
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
