//! How the process ended, for whoever started it: the exit codes of `assize`.

use std::process::ExitCode;

/// Why the process ended. The number is the exit code and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; `serve`: stopped by SIGTERM or SIGINT with everything under way finished.
    Success = 0,
    /// Something failed that has no code of its own; the message says what.
    Internal = 1,
    /// The command line or the configuration is wrong; the message names the place and what is accepted.
    Usage = 2,
    /// This host cannot serve; `assize doctor` says what is missing and the command that mends it.
    Host = 3,
    /// The data directory is refused: not formatted, formatted already, in use, or corrupted.
    DataDirectory = 4,
    /// The books of a run are not balanced: an answered event is missing or counted twice.
    Books = 5,
    /// A write or flush failed, which stops a replica: it is never retried (rule L3).
    Device = 6,
    /// An assertion of the engine failed; the message names it. Please report it.
    Assertion = 7,
}

impl Exit {
    /// All of them, ascending.
    pub const ALL: [Exit; 8] = [
        Exit::Success,
        Exit::Internal,
        Exit::Usage,
        Exit::Host,
        Exit::DataDirectory,
        Exit::Books,
        Exit::Device,
        Exit::Assertion,
    ];

    /// The exit code.
    #[must_use]
    pub fn code(self) -> i32 {
        i32::from(self as u8)
    }

    /// Ends the process at once.
    pub fn now(self) -> ! {
        std::process::exit(self.code())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The codes as `assize --help` lists them.
pub const TABLE: &str = "\
Exit codes:
  0  done; serve: stopped by a signal with everything under way finished
  1  something else failed; the message says what
  2  command line or configuration wrong; the message says where and what is accepted
  3  this host cannot serve; `assize doctor` says what is missing and how to mend it
  4  data directory refused: not formatted, formatted already, in use, or corrupted
  5  books not balanced, or replicas of a demo that hold different states at one slot
  6  a write or flush failed; the replica stopped rather than retry
  7  an assertion of the engine failed; the message names it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_code_once_and_in_order() {
        let listed: Vec<i32> =
            TABLE.lines().filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect();
        assert_eq!(listed, Exit::ALL.map(Exit::code));
    }
}
