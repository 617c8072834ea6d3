//! What is known of a backup without reading it: `backup.json` in its folder, written last.

use std::fs;
use std::io::Write;
use std::path::Path;

use assize_device::directory::BACKUP_FILE;
use serde::{Deserialize, Serialize};

use super::{BackupError, private};
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

    /// When it was taken, by the clock of whoever took it: UTC, to the second.
    pub(super) fn taken_at(&self) -> String {
        let seconds = self.taken_at_ns / 1_000_000_000;
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (mut year, mut day) = (1970, days);
        let length = |year: u64| if is_leap(year) { 366 } else { 365 };
        while day >= length(year) {
            day -= length(year);
            year += 1;
        }
        let february = if is_leap(year) { 29 } else { 28 };
        let mut month = 1;
        for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if day < days {
                break;
            }
            day -= days;
            month += 1;
        }
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02}Z", day + 1)
    }

    /// Writes it durably.
    pub(super) fn write(&self, backup: &Path) -> Result<(), Ended> {
        let path = backup.join(BACKUP_FILE);
        let text = serde_json::to_string_pretty(self).expect("a catalog is JSON") + "\n";
        let write = || {
            let mut file = private().open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| Ended::Io(format!("writing {}", path.display()), error))
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_was_taken_is_told_in_utc() {
        let taken_at = |seconds: u64| {
            let catalog = Catalog {
                version: Catalog::VERSION,
                cluster: String::new(),
                replica: 0,
                replicas: 1,
                first_slot: 0,
                slot: 1,
                time_ns: 0,
                digest: String::new(),
                entities: 0,
                live_keys: 0,
                taken_at_ns: seconds * 1_000_000_000,
                bytes: 0,
                shared_bytes: 0,
            };
            catalog.taken_at()
        };
        assert_eq!(taken_at(0), "1970-01-01 00:00:00Z");
        assert_eq!(taken_at(951_782_399), "2000-02-28 23:59:59Z");
        assert_eq!(taken_at(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(taken_at(1_767_225_599), "2025-12-31 23:59:59Z");
        assert_eq!(taken_at(4_107_542_400), "2100-03-01 00:00:00Z");
    }
}
