//! What a `take` has made in the folder of backups before it was refused.

use std::fs;
use std::path::{Path, PathBuf};

use assize_wal::recovery::RecoveryError;

use super::{BackupError, INCOMPLETE, LOCK, remove_folder};
use crate::exit::Ended;

/// What was not there before it began.
pub(super) struct Made {
    root: PathBuf,
    incomplete: bool,
    /// Folders, the innermost first.
    folders: Vec<PathBuf>,
}

impl Made {
    /// To be asked before anything is made.
    pub(super) fn before(root: &Path) -> Made {
        let absent = root.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
        Made {
            root: root.to_owned(),
            incomplete: !root.join(INCOMPLETE).exists(),
            folders: absent.map(Path::to_owned).collect(),
        }
    }

    /// Removes it, and of what was there before nothing.
    pub(super) fn remove(&self) {
        // Why there is no backup is what counts; what cannot be removed is in nobody's way.
        if self.incomplete {
            let _ = remove_folder(&self.root.join(INCOMPLETE));
        }
        if !self.folders.is_empty() {
            let _ = fs::remove_file(self.root.join(LOCK));
        }
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Whether what was copied is of no use to the next one: there is nothing to be kept of this replica as it is.
pub(super) fn is_refused(error: &Ended) -> bool {
    matches!(
        error,
        Ended::Backup(
            BackupError::Quarantined(_)
                | BackupError::Rejoining
                | BackupError::Damaged { .. }
                | BackupError::Nothing
                | BackupError::NoSpace { copied_bytes: 0, .. }
        ) | Ended::Recovery(RecoveryError::Lost { .. } | RecoveryError::Rebuild { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_there_is_removed_and_what_was_there_stays() {
        let folder = tempfile::tempdir().expect("a directory");
        let make = |root: &Path| {
            fs::create_dir_all(root.join(INCOMPLETE).join("log-00000")).expect("folders");
            fs::write(root.join(LOCK), []).expect("a file");
        };
        let root = folder.path().join("of/stock");
        let made = Made::before(&root);
        make(&root);
        made.remove();
        assert!(!folder.path().join("of").exists() && folder.path().exists());

        fs::create_dir_all(&root).expect("a folder");
        let made = Made::before(&root);
        make(&root);
        made.remove();
        assert!(root.exists() && !root.join(INCOMPLETE).exists());

        make(&root);
        Made::before(&root).remove();
        assert!(root.join(INCOMPLETE).join("log-00000").exists(), "it was another one's");
    }

    #[test]
    fn what_the_next_one_goes_on_with_is_kept() {
        assert!(is_refused(&BackupError::Rejoining.into()) && is_refused(&BackupError::Nothing.into()));
        assert!(!is_refused(&BackupError::Interrupted.into()));
        assert!(!is_refused(&BackupError::NeverStill { attempts: 1 }.into()));
    }
}
