//! How far it is.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::exit::Ended;
use crate::print::Printer;

/// What is being done, and so of what it says how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Bytes of a replica's files.
    Copied,
    /// Slots.
    Evaluated,
    /// Records of outcomes.
    OutcomesWritten,
    /// Entities, into a checkpoint.
    StatesWritten,
    /// Entities, of what was restored.
    ReadBack,
}

impl Doing {
    fn words(self) -> &'static str {
        match self {
            Doing::Copied => "copied",
            Doing::Evaluated => "evaluated",
            Doing::OutcomesWritten => "outcomes written",
            Doing::StatesWritten => "states written",
            Doing::ReadBack => "read back",
        }
    }

    fn many(self, number: u64) -> String {
        match self {
            Doing::Copied => mib(number),
            Doing::Evaluated => format!("{number} slots"),
            Doing::OutcomesWritten => format!("{number} records"),
            Doing::StatesWritten | Doing::ReadBack => format!("{number} entities"),
        }
    }
}

/// Says how far it is: to people on standard error, to programs a document a piece.
#[derive(Default)]
pub(super) struct Progress {
    told: Option<(Doing, Instant)>,
    on_line: bool,
}

impl Progress {
    pub(super) fn tell(
        &mut self,
        printer: &mut Printer<'_>,
        what: Doing,
        done: u64,
        all: u64,
    ) -> Result<(), Ended> {
        if printer.is_json() {
            if self.is_due(what) {
                printer.answer(&json!({"progress": what.words(), "done": done, "of": all}), String::new)?;
                printer.finish()?;
            }
        } else if io::stderr().is_terminal() && self.is_due(what) {
            // Nobody needs to see it.
            let (words, done, all) = (what.words(), what.many(done), what.many(all));
            let _ = write!(io::stderr(), "\r\x1b[K{words} {done} of {all}");
            self.on_line = true;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) {
        if self.on_line {
            let _ = write!(io::stderr(), "\r\x1b[K");
            self.on_line = false;
        }
    }

    /// Whenever something else is being done, and from time to time.
    fn is_due(&mut self, what: Doing) -> bool {
        let now = Instant::now();
        let due = self.told.is_none_or(|(told, at)| told != what || now - at >= EVERY);
        if due {
            self.told = Some((what, now));
        }
        due
    }
}

impl Drop for Progress {
    /// What comes next, an error too, begins a line.
    fn drop(&mut self) {
        self.end();
    }
}

/// Bytes, for people.
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// How often it is told.
const EVERY: Duration = Duration::from_millis(200);
