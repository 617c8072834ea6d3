//! `assize rebuild`: what was evaluated here is replaced by a checkpoint of the others (R3). It only says so in the
//! superblock; the next start does it, and everything that was promised and accepted stays where it is.

use assize_device::DataDirectory;
use assize_wal::Quarantine;
use assize_wal::formatted::{Formatted, formatted};
use assize_wal::superblock::{SuperblockError, SuperblockStore};

use super::BootError;
use crate::config::{Agreed, ConfigFile};

/// Marks the data directory. Returns why the replica was quarantined, if it was.
///
/// # Errors
/// [`BootError`]: nothing was changed.
pub fn rebuild(file: &ConfigFile) -> Result<Option<Quarantine>, BootError> {
    let root = &file.config.data_directory;
    let mut directory = DataDirectory::open(root, false)?;
    let refuse = |error| BootError::Superblock(root.clone(), error);
    let found = match formatted(&mut directory)? {
        Formatted::Yes(found) => *found,
        Formatted::No => return Err(refuse(SuperblockError::NotFormatted)),
        Formatted::Unfinished => return Err(BootError::FormatUnfinished(root.clone())),
        Formatted::Corrupt(error) => return Err(refuse(error)),
    };
    let agreed = Agreed::decode(&found.superblock.parameters).map_err(BootError::Agreed)?;
    if agreed.replicas == 1 {
        return Err(BootError::NobodyToRebuildFrom(root.clone()));
    }
    // Marked before, it was quarantined for nothing else.
    let reason = found.superblock.quarantine.filter(|quarantine| !quarantine.is_rebuild());
    let mut store = SuperblockStore::new(found);
    store.handle_update(|superblock| superblock.quarantine = Some(Quarantine::REBUILD));
    store.drive(|copy, blocks| directory.write_superblock(copy, blocks))?;
    Ok(reason)
}
