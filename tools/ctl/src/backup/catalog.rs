//! What is known of a backup without reading it: `backup.json` in its folder, written last.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use assize_device::directory::BACKUP_FILE;
use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::exit::Ended;

/// A backup's contents in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Catalog {
    /// Of this file's form.
    pub version: u32,
    /// The cluster that it is of, 32 hexadecimal digits.
    pub cluster: String,
    /// The replica whose files were copied.
    pub replica: u8,
    /// The cluster's size.
    pub replicas: u8,
    /// The lowest slot that it can be restored to: its checkpoint's, 0 if there is none.
    pub first_slot: u64,
    /// The highest one.
    pub slot: u64,
    /// Stream time of that slot.
    pub time_ns: u64,
    /// What all entities come to after that slot ([`assize_shards::StateDigest::of_all`]).
    pub digest: String,
    /// Entities that exist then.
    pub entities: u64,
    /// Keys that are live then.
    pub live_keys: u64,
    /// When it was taken, by the clock of whoever took it.
    pub taken_at_ns: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Of those, how many an earlier backup has as well, so that they take space once.
    pub shared_bytes: u64,
}

impl Catalog {
    /// The form that this program writes.
    pub(super) const VERSION: u32 = 1;

    pub(super) fn read(backup: &Path) -> Result<Catalog, Ended> {
        let path = backup.join(BACKUP_FILE);
        let bytes =
            fs::read(&path).map_err(|error| Ended::Io(format!("reading {}", path.display()), error))?;
        let catalog: Catalog = serde_json::from_slice(&bytes)
            .map_err(|error| BackupError::Catalog { path: path.clone(), reason: error.to_string() })?;
        if catalog.version != Catalog::VERSION {
            let reason = format!("it has form {}, this program reads {}", catalog.version, Catalog::VERSION);
            return Err(BackupError::Catalog { path, reason }.into());
        }
        Ok(catalog)
    }

    /// Writes it durably.
    pub(super) fn write(&self, backup: &Path) -> Result<(), Ended> {
        let path = backup.join(BACKUP_FILE);
        let text = serde_json::to_string_pretty(self).expect("a catalog is JSON") + "\n";
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| Ended::Io(format!("writing {}", path.display()), error))
    }
}
