//! Why a replica does not start: what happened, where, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use assize_device::DirectoryError;
use assize_setup::FormatError;
use assize_wal::DeviceError;
use assize_wal::recovery::RecoveryError;
use assize_wal::superblock::SuperblockError;

use crate::config::{AgreedError, ConfigError};
use crate::exit::Exit;

/// Why a replica cannot be formatted or started.
#[derive(Debug)]
pub enum BootError {
    /// The configuration is refused.
    Config(ConfigError),
    /// The agreed parameters are refused.
    Agreed(AgreedError),
    /// The host cannot serve; the text is the doctor's.
    Host(String),
    /// The data directory cannot be used.
    Directory(DirectoryError),
    /// It cannot be formatted.
    Format(FormatError),
    /// A format of it was cut off before anything could be served from it.
    FormatUnfinished(PathBuf),
    /// A single replica has nobody to be rebuilt from.
    NobodyToRebuildFrom(PathBuf),
    /// An option is missing that says which cluster is rejoined.
    RejoinWithout(&'static str),
    /// Its superblock cannot be used.
    Superblock(PathBuf, SuperblockError),
    /// The cluster is at domains, or at versions of their logic, that this program does not have; or has fewer domains.
    Domains {
        /// What evaluates from the checkpoint on.
        needed: String,
        /// What this program has.
        registered: String,
    },
    /// What was acknowledged cannot be read back (L5).
    Recovery(RecoveryError),
    /// A read or write failed.
    Device(DeviceError),
    /// An address cannot be listened on.
    Listen {
        /// Which one, as the configuration names it.
        key: &'static str,
        /// The address.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// The operating system refused something else.
    Io(&'static str, io::Error),
}

impl BootError {
    /// The process's exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            BootError::Config(_)
            | BootError::Agreed(_)
            | BootError::Listen { .. }
            | BootError::Format(
                FormatError::Config(_) | FormatError::Replicas { .. } | FormatError::NobodyToRejoin,
            )
            | BootError::RejoinWithout(_) => Exit::Usage,
            BootError::Host(_) | BootError::Io(..) | BootError::Format(FormatError::Io(..)) => Exit::Host,
            BootError::Directory(_)
            | BootError::Format(FormatError::Directory(_) | FormatError::AlreadyFormatted(_))
            | BootError::FormatUnfinished(_)
            | BootError::NobodyToRebuildFrom(_)
            | BootError::Superblock(..)
            | BootError::Domains { .. }
            | BootError::Recovery(_) => Exit::DataDirectory,
            BootError::Device(_) | BootError::Format(FormatError::Device(_)) => Exit::Device,
        }
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::Config(error) => error.fmt(f),
            BootError::Agreed(error) => error.fmt(f),
            BootError::Host(findings) => {
                write!(f, "this host cannot serve:\n{findings}run `assize doctor` for the whole picture")
            }
            BootError::Directory(DirectoryError::Io { root, error, .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                write!(
                    f,
                    "{} is not there: `assize format --config FILE` makes it a replica's data directory",
                    root.display()
                )
            }
            BootError::Directory(error) => error.fmt(f),
            BootError::Format(error) => error.fmt(f),
            BootError::FormatUnfinished(path) => write!(
                f,
                "{} is not formatted: an `assize format` was cut off there, and nothing was ever served from it. Run \
                 `assize format --config FILE` again",
                path.display()
            ),
            BootError::NobodyToRebuildFrom(path) => write!(
                f,
                "{} holds the only replica of its cluster: nobody has another state to rebuild it from. Restore a backup",
                path.display()
            ),
            BootError::RejoinWithout(option) => write!(
                f,
                "{option} is missing: a replica rejoins the cluster that its lost disk belonged to, so give --cluster, \
                 --routing-seed, --body-seed and all other options as they were given to the other replicas"
            ),
            BootError::Superblock(path, error) => write!(f, "{}: {error}", path.display()),
            BootError::Domains { needed, registered } => write!(
                f,
                "the data directory needs {needed}, this program has {registered}: start a program with these domains, \
                 these versions among them"
            ),
            BootError::Recovery(error) => error.fmt(f),
            BootError::Device(error) => error.fmt(f),
            BootError::Listen { key, address, error } => {
                write!(f, "cannot listen on {address}: {error}; choose another {key}, or end what uses it")
            }
            BootError::Io(doing, error) => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for BootError {}

impl From<DeviceError> for BootError {
    fn from(error: DeviceError) -> BootError {
        BootError::Device(error)
    }
}

impl From<ConfigError> for BootError {
    fn from(error: ConfigError) -> BootError {
        BootError::Config(error)
    }
}

impl From<DirectoryError> for BootError {
    fn from(error: DirectoryError) -> BootError {
        BootError::Directory(error)
    }
}

impl From<FormatError> for BootError {
    fn from(error: FormatError) -> BootError {
        BootError::Format(error)
    }
}
