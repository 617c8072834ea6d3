//! Makes a data directory a replica's: its first superblock, with the agreed parameters.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use assize_device::{DataDirectory, DeviceOptions, DirectoryError};
use assize_node::agreed::Agreed;
use assize_wal::DeviceError;
use assize_wal::formatted::{Formatted, formatted};
use assize_wal::superblock::{Superblock, SuperblockStore};
use assize_wire::peer::{Generation, Generations};

use crate::config::{ConfigError, ConfigFile, Cpu, Entropy};

/// What a data directory is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewDisk {
    /// A replica that is new.
    First,
    /// A replica whose disk was lost: it has no vote until the others have told it enough (R3).
    Rejoins,
}

/// Why a data directory is not formatted. Nothing that was there before is changed.
#[derive(Debug)]
pub enum FormatError {
    /// The configuration is refused.
    Config(ConfigError),
    /// The configuration has addresses of so many replicas, and the cluster is to have another number.
    Replicas {
        /// In the configuration.
        addresses: usize,
        /// As it was asked for.
        replicas: u8,
    },
    /// The data directory cannot be used.
    Directory(DirectoryError),
    /// It holds a replica already.
    AlreadyFormatted(PathBuf),
    /// A single replica has nobody to tell it what it promised and accepted.
    NobodyToRejoin,
    /// A read or write failed.
    Device(DeviceError),
    /// The operating system refused something else.
    Io(&'static str, io::Error),
}

/// Writes the first superblock of the replica that `config` describes, on a host that has these CPUs. A format that was
/// cut off before its first copy was whole is started over; nothing else that is there is touched.
///
/// # Errors
/// [`FormatError`]
pub fn format(
    config: &ConfigFile,
    agreed: &Agreed,
    disk: NewDisk,
    cpus: &BTreeSet<Cpu>,
    device: &DeviceOptions,
) -> Result<(), FormatError> {
    let addresses = config.config.federation.replicas.len();
    // Of a replica that rejoins the number is the cluster's, unless nothing was said of it.
    let is_chosen = disk == NewDisk::First || agreed.replicas == 1;
    if is_chosen && matches!(addresses, 3 | 5) && addresses != usize::from(agreed.replicas) {
        return Err(FormatError::Replicas { addresses, replicas: agreed.replicas });
    }
    if disk == NewDisk::Rejoins && agreed.replicas == 1 {
        return Err(FormatError::NobodyToRejoin);
    }
    config.validate(cpus, Some(agreed))?;
    let replica = config.config.replica_id();
    let entropy = Entropy::draw()
        .map_err(|error| FormatError::Io("drawing a random key", io::Error::other(error.to_string())))?;
    let root = &config.config.data_directory;
    let mut directory = DataDirectory::open(root, true)?;
    directory.trace(device.tracer.clone());
    match formatted(&mut directory)? {
        Formatted::No | Formatted::Unfinished => {}
        Formatted::Yes(_) | Formatted::Corrupt(_) => return Err(FormatError::AlreadyFormatted(root.clone())),
    }
    let mut generations = Generations::default();
    generations.learn(replica, generation_now(disk)?);
    let first = Superblock {
        generations,
        rejoins: disk == NewDisk::Rejoins,
        parameters: agreed.encode(),
        ..Superblock::first(agreed.cluster, replica, entropy.record_key, config.config.log.segment_bytes)
    };
    SuperblockStore::format(first).drive(|copy, blocks| directory.write_superblock(copy, blocks))?;
    Ok(())
}

/// A disk is known by when it was formatted: so the one of two that is later tells what was lost with the other.
fn generation_now(disk: NewDisk) -> Result<Generation, FormatError> {
    let clock = |error| FormatError::Io("reading the wall clock", io::Error::other(error));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(clock)?;
    let now_ns = since.as_nanos() as u64;
    Ok(match disk {
        NewDisk::First => Generation::first(now_ns),
        NewDisk::Rejoins => Generation::rejoined(now_ns),
    })
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Config(error) => error.fmt(f),
            FormatError::Replicas { addresses, replicas } => write!(
                f,
                "[federation] replicas has {addresses} addresses, and --replicas is {replicas}: format with --replicas {addresses}, \
                 or correct the addresses"
            ),
            FormatError::Directory(error) => error.fmt(f),
            FormatError::AlreadyFormatted(path) => write!(
                f,
                "{} holds a replica already: its state would be lost. Choose another data_directory, or remove this \
                 one yourself if you are sure",
                path.display()
            ),
            FormatError::NobodyToRejoin => f.write_str(
                "the only replica of its cluster has nobody to tell it what it promised and accepted: restore a backup as a \
                 new cluster, or format without --rejoin",
            ),
            FormatError::Device(error) => error.fmt(f),
            FormatError::Io(doing, error) => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for FormatError {}

impl From<ConfigError> for FormatError {
    fn from(error: ConfigError) -> FormatError {
        FormatError::Config(error)
    }
}

impl From<DirectoryError> for FormatError {
    fn from(error: DirectoryError) -> FormatError {
        FormatError::Directory(error)
    }
}

impl From<DeviceError> for FormatError {
    fn from(error: DeviceError) -> FormatError {
        FormatError::Device(error)
    }
}
