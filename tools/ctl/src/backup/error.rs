//! Why there is no backup, or nothing that came of one.

use std::fmt;
use std::path::{Path, PathBuf};

use assize_node::FoundingError;
use assize_wal::recovery::Loss;
use assize_wal::superblock::Quarantine;
use assize_wire::{ClusterId, Slot};

use crate::exit::Exit;

/// Why a backup cannot be taken or restored.
#[derive(Debug)]
pub enum BackupError {
    /// Somebody takes one into the same folder.
    InUse(PathBuf),
    /// Somebody restores to the same directory.
    RestoreUnderWay(PathBuf),
    /// A signal came.
    Interrupted,
    /// A replica's data directory, or a folder within one, is no place for backups.
    IsData(PathBuf),
    /// What is to be copied does not fit.
    NoSpace {
        /// The folder that it was to be copied to.
        incomplete: PathBuf,
        /// What of it was copied so far, or is shared.
        copied_bytes: u64,
        /// How much more there would have to be.
        missing_bytes: u64,
    },
    /// The folder has backups of another cluster.
    OtherCluster {
        /// The folder.
        folder: PathBuf,
        /// Whose they are.
        found: String,
        /// Whose this one would be.
        wanted: ClusterId,
    },
    /// What the replica has is not to be relied upon.
    Quarantined(Quarantine),
    /// The replica's disk is new, and it has not been told yet what it lacks.
    Rejoining,
    /// The files were never of one moment: checkpoints follow each other faster than they are copied.
    NeverStill {
        /// How often it was tried.
        attempts: u32,
    },
    /// Slots that the replica knows to be chosen are damaged in its directory.
    Damaged {
        /// The directory.
        data: PathBuf,
        /// The first of them.
        first: Slot,
        /// The last one that it knows of.
        last: Slot,
    },
    /// The backup itself has lost something.
    Decayed {
        /// Where it is.
        backup: PathBuf,
        /// What is gone.
        losses: Vec<Loss>,
    },
    /// Nothing was published yet.
    Nothing,
    /// No backup lies there.
    None(PathBuf),
    /// Its description cannot be read.
    Catalog {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No backup reaches the slot that was asked for.
    NoneHasSlot {
        /// The slot.
        asked: u64,
        /// The slots of each that is there.
        kept: Vec<(u64, u64)>,
    },
    /// Something lies where a replica is to be restored to.
    NotEmpty(PathBuf),
    /// The directory in which a replica is to be restored is not there.
    NowhereToRestore(PathBuf),
    /// The cluster has no such replica.
    NoSuchReplica {
        /// The number that was given.
        asked: u8,
        /// How many there are.
        replicas: u8,
    },
    /// The cluster that is to be founded is the one that the backup is of.
    SameCluster(ClusterId),
    /// The cluster that a replica is to join was restored to another slot.
    OtherSlot {
        /// Its id.
        given: ClusterId,
        /// The slot that this one would be restored to.
        slot: Slot,
    },
    /// What was restored or copied is not what it was to be.
    Differs {
        /// At which slot.
        slot: u64,
        /// What its entities were to come to.
        expected: String,
        /// What they come to.
        found: String,
    },
    /// It cannot be written.
    Founding(FoundingError),
}

impl BackupError {
    /// The process's exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            BackupError::InUse(_)
            | BackupError::RestoreUnderWay(_)
            | BackupError::Interrupted
            | BackupError::NoSpace { .. }
            | BackupError::NeverStill { .. }
            | BackupError::Founding(_) => Exit::Internal,
            BackupError::OtherCluster { .. }
            | BackupError::NoneHasSlot { .. }
            | BackupError::NotEmpty(_)
            | BackupError::NowhereToRestore(_)
            | BackupError::IsData(_)
            | BackupError::NoSuchReplica { .. }
            | BackupError::SameCluster(_)
            | BackupError::OtherSlot { .. } => Exit::Usage,
            BackupError::Nothing => Exit::No,
            BackupError::Quarantined(_)
            | BackupError::Rejoining
            | BackupError::Damaged { .. }
            | BackupError::Decayed { .. }
            | BackupError::None(_)
            | BackupError::Catalog { .. }
            | BackupError::Differs { .. } => Exit::DataDirectory,
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::InUse(folder) => {
                write!(f, "another backup is being taken into {}: wait until it is over", folder.display())
            }
            BackupError::RestoreUnderWay(data) => {
                write!(f, "another restore is under way into {}: wait until it is over", data.display())
            }
            BackupError::Interrupted => f.write_str("interrupted"),
            BackupError::IsData(folder) => write!(
                f,
                "{} is a replica's data directory or a backup: name a folder outside of it, for backups alone",
                folder.display()
            ),
            BackupError::NoSpace { incomplete, copied_bytes, missing_bytes } => {
                no_space(f, incomplete, *copied_bytes, *missing_bytes)
            }
            BackupError::OtherCluster { folder, found, wanted } => write!(
                f,
                "{} has backups of cluster {found}, and this replica is of cluster {wanted}: give it a folder of its own",
                folder.display()
            ),
            BackupError::Quarantined(quarantine) => write!(
                f,
                "the replica is quarantined ({quarantine}), and what it has is not to be relied upon: take the backup of \
                 another one"
            ),
            BackupError::Rejoining => f.write_str(
                "the replica rejoins after its disk was lost, and has not been told yet what it lacks: take the backup of \
                 another one",
            ),
            BackupError::NeverStill { attempts } => write!(
                f,
                "checkpoints followed each other faster than they were copied, {attempts} times: copy to a faster disk, \
                 when there is less load, or have checkpoints taken less often ([checkpoint] bytes)"
            ),
            BackupError::Damaged { data, first, last } => write!(
                f,
                "{} is damaged from slot {first} on, and slots through {last} were chosen: a backup of it would lack \
                 them. Have the replica run until it has repaired them from its peers, or take the backup of another one",
                data.display()
            ),
            BackupError::Decayed { backup, losses } => {
                write!(
                    f,
                    "the backup {} is damaged, and nothing repairs one: use another, and check the disk (dmesg, SMART) that \
                     this one lies on",
                    backup.display()
                )?;
                losses.iter().try_for_each(|loss| write!(f, "\n  {loss}"))
            }
            BackupError::Nothing => f.write_str("nothing was published yet, so there is nothing to be kept"),
            BackupError::None(folder) => write!(f, "{} has no backup", folder.display()),
            BackupError::Catalog { path, reason } => {
                write!(f, "{} does not describe a backup: {reason}", path.display())
            }
            BackupError::NoneHasSlot { asked, kept } => {
                write!(f, "no backup reaches slot {asked}; there are")?;
                kept.iter().try_for_each(|(first, last)| write!(f, " {} to {last},", first.max(&1)))?;
                f.write_str(" ends included")
            }
            BackupError::NotEmpty(path) => write!(
                f,
                "{} is not empty, and nothing is ever restored over something: name a directory that is not there yet",
                path.display()
            ),
            BackupError::NowhereToRestore(above) => write!(
                f,
                "there is no directory {}, and none is made that was perhaps misspelled: make it, or name another",
                above.display()
            ),
            BackupError::NoSuchReplica { asked, replicas } => {
                write!(f, "there is no replica {asked} of {replicas}: accepted are 0 to {}", replicas - 1)
            }
            BackupError::SameCluster(cluster) => write!(
                f,
                "{cluster} is the cluster that the backup is of: what is restored has forgotten its promises and must be \
                 another one. Leave --cluster away, or give the id that the first replica got when it was restored"
            ),
            BackupError::OtherSlot { given, slot } => write!(
                f,
                "cluster {given} was not restored to slot {slot} of this cluster: its replicas must all begin at the same one. \
                 Give --cluster and --to as restoring the first replica printed them"
            ),
            BackupError::Differs { slot, expected, found } => write!(
                f,
                "after slot {slot} the entities come to {found}, and were to come to {expected}: nothing of it can be \
                 relied upon. Test this machine's memory and disk, and use another backup"
            ),
            BackupError::Founding(error) => error.fmt(f),
        }
    }
}

/// What was copied is gone on with; nothing is not.
fn no_space(f: &mut fmt::Formatter<'_>, into: &Path, copied_bytes: u64, missing_bytes: u64) -> fmt::Result {
    let (into, missing_mib) = (into.display(), missing_bytes.div_ceil(1 << 20).max(1));
    match copied_bytes {
        0 => write!(f, "there is no space for it, and nothing was copied to {into}")?,
        _ => write!(f, "there is no space for all of it: what was copied stays in {into}")?,
    }
    write!(f, "; free {missing_mib} MiB and run it again")
}

impl std::error::Error for BackupError {}
