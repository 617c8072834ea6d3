//! How a command ended: errors in words, and the exit codes. Those that `assize` has mean the same here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assize_device::DirectoryError;
use assize_node::agreed::AgreedError;
use assize_node::boot::ReadError;
use assize_node::retrace::RetraceError;
use assize_setup::config::ConfigError;
use assize_setup::{AgreedFileError, FormatError};
use assize_wal::operation::DeviceError;
use assize_wal::recovery::RecoveryError;
use assize_wal::superblock::SuperblockError;
use assize_wire::Slot;
use serde_json::{Value, json};

use crate::backup::BackupError;

/// Why the process ended. The number is the exit code and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and what was asked is so.
    Success = 0,
    /// Something failed that has no code of its own; the message says what.
    Internal = 1,
    /// The command line is wrong, or a file that it names, or what was given to be submitted.
    Usage = 2,
    /// The data directory is refused: not formatted, formatted already, in use, or corrupted.
    DataDirectory = 4,
    /// No replica answered, or none that could, or not all of whom it depends on.
    Unanswered = 10,
    /// The answer is no: an event was rejected, an entity is absent, a replica is not ready, leadership stays where it
    /// is, a replica is not gone, a log is damaged.
    No = 11,
}

impl Exit {
    /// All of them, ascending.
    pub const ALL: [Exit; 6] =
        [Exit::Success, Exit::Internal, Exit::Usage, Exit::DataDirectory, Exit::Unanswered, Exit::No];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The codes as `assizectl --help` lists them.
pub const TABLE: &str = "\
Exit codes:
   0  done, and what was asked is so
   1  something else failed; the message says what
   2  command line, a file it names, or what was given to be submitted is wrong; the message says what is accepted
   4  data directory refused: not formatted, formatted already, in use, or corrupted
  10  no replica answered, or none that could, or not all that it depends on; the message says what each said
  11  the answer is no: an event rejected, an entity absent, a replica not ready or not gone, leadership kept, a log damaged";

/// Why a command has no answer.
#[derive(Debug)]
pub enum Ended {
    /// The command line cannot be: the words say what is accepted.
    Usage(String),
    /// What each of the replicas that were asked said.
    Unanswered(Vec<(String, String)>),
    /// A replica answered with a problem: its title and detail.
    Problem {
        /// The HTTP status.
        status: u16,
        /// In words.
        text: String,
        /// The problem document, with all its members; `null` if it is one of this tool.
        document: Value,
    },
    /// Of several, some were done before it ended.
    Partly {
        /// Which ones, in words.
        done: String,
        /// Why no more were.
        why: Box<Ended>,
    },
    /// The answer is no, in these words.
    No(String),
    /// The directory cannot be used.
    Directory(DirectoryError),
    /// There is nothing of that name.
    NotThere(PathBuf),
    /// It is a file.
    NoDirectory(PathBuf),
    /// It holds no replica, or half of one.
    NotFormatted(PathBuf),
    /// Its superblock cannot be used.
    Superblock(PathBuf, SuperblockError),
    /// Its agreed parameters cannot.
    Agreed(AgreedError),
    /// Its logs cannot.
    Recovery(RecoveryError),
    /// Its slots cannot be evaluated again.
    Retrace(RetraceError),
    /// A slot is asked for that is not there.
    SlotNotKept {
        /// Which one.
        asked: Slot,
        /// The checkpoint's: the first that is there.
        first: Slot,
        /// The last that is known to be chosen.
        last: Slot,
    },
    /// A record that was whole cannot be read any more.
    Unreadable(String),
    /// No backup, or nothing that came of one.
    Backup(BackupError),
    /// A replica's configuration is refused.
    Config(ConfigError),
    /// A file does not say what a cluster agreed on.
    AgreedFile(PathBuf, AgreedFileError),
    /// A data directory cannot be formatted.
    Format(FormatError),
    /// A file cannot be read or written.
    Io(String, io::Error),
    /// What was written to is closed.
    NobodyReads,
}

impl Ended {
    /// For programs: what people read, the exit code, and what a replica said with all its members.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = json!({"error": self.to_string(), "exit_code": self.exit() as u8});
        let why = if let Ended::Partly { why, .. } = self { why } else { self };
        match why {
            Ended::Problem { document: problem, .. } if problem.is_object() => {
                document["problem"] = problem.clone();
            }
            Ended::Unanswered(said) => {
                let each = said.iter().map(|(address, why)| json!({"http": address, "problem": why}));
                document["asked"] = each.collect();
            }
            _ => {}
        }
        document
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Ended::Partly { why, .. } => why.exit(),
            Ended::Usage(_)
            | Ended::SlotNotKept { .. }
            | Ended::Config(_)
            | Ended::AgreedFile(..)
            | Ended::Format(FormatError::Config(_) | FormatError::NobodyToRejoin) => Exit::Usage,
            Ended::Unanswered(_) => Exit::Unanswered,
            Ended::Problem { status: 400..=403 | 405..=407 | 411..=499, .. } => Exit::Usage,
            Ended::No(_) | Ended::Problem { status: 404 | 410, .. } => Exit::No,
            Ended::Problem { .. } => Exit::Unanswered,
            Ended::Directory(_)
            | Ended::NotThere(_)
            | Ended::NoDirectory(_)
            | Ended::NotFormatted(_)
            | Ended::Superblock(..)
            | Ended::Agreed(_)
            | Ended::Unreadable(_)
            | Ended::Recovery(_)
            | Ended::Format(FormatError::Directory(_) | FormatError::AlreadyFormatted(_)) => {
                Exit::DataDirectory
            }
            Ended::Backup(error) => error.exit(),
            Ended::Retrace(RetraceError::Read(_) | RetraceError::Contradicted { .. }) => Exit::DataDirectory,
            Ended::Retrace(_) | Ended::Format(_) | Ended::Io(..) | Ended::NobodyReads => Exit::Internal,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Usage(text) | Ended::No(text) => f.write_str(text),
            Ended::Unanswered(said) => {
                f.write_str("no replica answers; give where one is asked by HTTP with --http HOST:PORT")?;
                said.iter().try_for_each(|(address, why)| write!(f, "\n  {address}: {why}"))
            }
            Ended::Problem { text, .. } => f.write_str(text),
            Ended::Partly { done, why } => write!(f, "{why}\n{done}"),
            Ended::Directory(DirectoryError::InUse { root }) => write!(
                f,
                "a replica runs on {}: stop it first, or ask it by HTTP; what runs changes while it is read",
                root.display()
            ),
            Ended::Directory(DirectoryError::Io { root, error, .. })
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                not_a_replica(f, root)
            }
            Ended::Directory(error) => error.fmt(f),
            Ended::NotThere(root) => {
                write!(
                    f,
                    "{} is not there: name the data directory of a replica, or a backup",
                    root.display()
                )
            }
            Ended::NoDirectory(path) => write!(
                f,
                "{} is a file: name the directory that a replica's data lies in, or a backup",
                path.display()
            ),
            Ended::NotFormatted(root) => not_a_replica(f, root),
            Ended::Superblock(root, error) => write!(f, "{}: {error}", root.display()),
            Ended::Agreed(error) => write!(f, "the superblock's agreed parameters: {error}"),
            Ended::Recovery(error) => error.fmt(f),
            Ended::Retrace(error) => error.fmt(f),
            Ended::SlotNotKept { asked, first, last } => {
                write!(f, "slot {asked} is not there: accepted are {first}, the checkpoint's, to {last}")
            }
            Ended::Unreadable(why) => {
                write!(f, "what was whole is not any more: {why}. Check the disk (dmesg, SMART)")
            }
            Ended::Backup(error) => error.fmt(f),
            Ended::Config(error) => error.fmt(f),
            Ended::AgreedFile(path, error) => write!(f, "{}: {error}", path.display()),
            Ended::Format(error) => error.fmt(f),
            Ended::Io(what, error) => write!(f, "{what}: {error}"),
            Ended::NobodyReads => f.write_str("nobody reads what is written"),
        }
    }
}

/// Whatever it is that shows it.
fn not_a_replica(f: &mut fmt::Formatter<'_>, root: &Path) -> fmt::Result {
    write!(
        f,
        "{} is not a replica's data directory: `assize format` was never run to its end there",
        root.display()
    )
}

impl std::error::Error for Ended {}

impl From<BackupError> for Ended {
    fn from(error: BackupError) -> Ended {
        Ended::Backup(error)
    }
}

impl From<DirectoryError> for Ended {
    fn from(error: DirectoryError) -> Ended {
        Ended::Directory(error)
    }
}

impl From<FormatError> for Ended {
    fn from(error: FormatError) -> Ended {
        Ended::Format(error)
    }
}

impl From<AgreedError> for Ended {
    fn from(error: AgreedError) -> Ended {
        Ended::Agreed(error)
    }
}

impl From<RecoveryError> for Ended {
    fn from(error: RecoveryError) -> Ended {
        Ended::Recovery(error)
    }
}

impl From<DeviceError> for Ended {
    fn from(error: DeviceError) -> Ended {
        Ended::Recovery(RecoveryError::Device(error))
    }
}

impl From<RetraceError> for Ended {
    fn from(error: RetraceError) -> Ended {
        Ended::Retrace(error)
    }
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Ended {
        Ended::Retrace(RetraceError::Read(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_of_an_error_what_people_are() {
        let said = vec![("a:1".to_owned(), "no connection".to_owned())];
        let document = Ended::Unanswered(said).document();
        assert!(document["error"].as_str().is_some_and(|text| text.contains("a:1: no connection")));
        assert_eq!((&document["exit_code"], &document["asked"][0]["http"]), (&json!(10), &json!("a:1")));
        let problem = json!({"status": 404, "title": "No such entity", "slot": 7});
        let text = "No such entity".to_owned();
        let why = Ended::Problem { status: 404, text, document: problem.clone() };
        let partly = Ended::Partly { done: "one was".to_owned(), why: Box::new(why) };
        let expected = json!({"error": "No such entity\none was", "exit_code": 11, "problem": problem});
        assert_eq!(partly.document(), expected);
    }

    #[test]
    fn the_table_lists_every_code_once_and_in_order() {
        let listed: Vec<u8> =
            TABLE.lines().skip(1).filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect();
        assert_eq!(listed, Exit::ALL.map(|exit| exit as u8));
    }
}
