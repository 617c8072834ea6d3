//! How far it is.

use std::fmt;
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
pub(super) struct Progress {
    told: Option<(Doing, Instant)>,
    /// Where people look, if it is a terminal.
    out: Box<dyn Write>,
    is_terminal: bool,
    on_line: bool,
    said: Option<&'static str>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new(Box::new(io::stderr()), io::stderr().is_terminal())
    }
}

impl Progress {
    fn new(out: Box<dyn Write>, is_terminal: bool) -> Progress {
        Progress { told: None, out, is_terminal, on_line: false, said: None }
    }

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
        } else if self.is_terminal && self.is_due(what) {
            let (words, done, all) = (what.words(), what.many(done), what.many(all));
            self.rewrite(format_args!("{words} {done} of {all}"));
        }
        Ok(())
    }

    /// What is being done, where nobody counts anything of it: for people on a terminal.
    pub(super) fn show(&mut self, printer: &Printer<'_>, words: &str) {
        if !printer.is_json() && self.is_terminal {
            self.told = None;
            self.rewrite(format_args!("{words}"));
        }
    }

    /// What is to be known whoever looks, on a line that stays; the same words again are no news.
    pub(super) fn say_once(&mut self, words: &'static str) {
        if self.said.replace(words) != Some(words) {
            self.end();
            let _ = writeln!(self.out, "assizectl: {words}");
        }
    }

    pub(super) fn end(&mut self) {
        if self.on_line {
            let _ = write!(self.out, "\r\x1b[K");
            self.on_line = false;
        }
    }

    fn rewrite(&mut self, words: fmt::Arguments<'_>) {
        // Nobody needs to see it.
        let _ = write!(self.out, "\r\x1b[K{words}").and_then(|()| self.out.flush());
        self.on_line = true;
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// What is written to it can be read while it lives.
    struct Pieces(Sender<Vec<u8>>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Whoever has seen enough does not listen any more.
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What people read on standard error of a copy that had to begin again twice.
    fn seen(is_terminal: bool, json: bool) -> String {
        let (sender, pieces) = channel();
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, json);
        let mut progress = Progress::new(Box::new(Pieces(sender)), is_terminal);
        progress.show(&printer, "reading the logs");
        progress.tell(&mut printer, Doing::Copied, 1 << 20, 2 << 20).expect("it is told");
        progress.say_once("again");
        progress.say_once("again");
        progress.show(&printer, "reading the copy");
        drop(progress);
        String::from_utf8(pieces.iter().flatten().collect()).expect("text")
    }

    #[test]
    fn a_line_is_rewritten_on_a_terminal_and_what_counts_is_said_once_to_all() {
        let new = "\r\x1b[K";
        let line = format!("{new}reading the logs{new}copied 1.0 MiB of 2.0 MiB{new}");
        assert_eq!(seen(true, false), format!("{line}assizectl: again\n{new}reading the copy{new}"));
        for (is_terminal, json) in [(false, false), (true, true), (false, true)] {
            assert_eq!(seen(is_terminal, json), "assizectl: again\n", "{is_terminal} {json}");
        }
    }
}
