//! A file of events, read whole before anything is sent: a bad line is found out while nothing has happened yet.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use assize_domain::DomainRegistry;
use assize_wire::{EventKey, Hash};

use super::line::Line;

/// The events of a file, in its order.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file, as it was given.
    pub file: String,
    /// Of its bytes: two replays of equal files are of the same events.
    pub hash: Hash,
    lines: Vec<Line>,
    /// By line: which of the keys it has, if other lines have it, too.
    shared_keys: Vec<Option<u32>>,
    keys_shared: u32,
}

impl Script {
    /// Reads a file; `-` is the standard input.
    ///
    /// # Errors
    /// [`ScriptError`] says which line is not one, why, and what is accepted.
    pub fn read(path: &Path, domains: &DomainRegistry) -> Result<Script, ScriptError> {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        let read = match file.as_str() {
            "-" => io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
            _ => fs::read(path),
        };
        match read {
            Ok(bytes) => Script::parse(file, &bytes, domains),
            Err(error) => Err(ScriptError { file, line: 0, what: BadScript::Unreadable(error) }),
        }
    }

    /// The events of these bytes, which are this file's. Lines that are blank say nothing.
    ///
    /// # Errors
    /// [`ScriptError`] as for [`Script::read`].
    pub fn parse(file: String, bytes: &[u8], domains: &DomainRegistry) -> Result<Script, ScriptError> {
        let fail = |line, what| ScriptError { file: file.clone(), line, what };
        let mut lines: Vec<Line> = Vec::new();
        for (number, bytes) in (1u64..).zip(bytes.split(|byte| *byte == b'\n')) {
            let text = std::str::from_utf8(bytes).map_err(|_| fail(number, BadScript::NotText))?;
            if text.trim().is_empty() {
                continue;
            }
            let drawn = drawn_key().map_err(|error| fail(number, BadScript::Random(error)))?;
            let line = Line::parse(text, number, drawn, domains);
            let line = line.map_err(|why| fail(number, BadScript::NotALine(why)))?;
            if let Some(before) = lines.last().filter(|before| before.at_ns > line.at_ns) {
                let (before, at_ms) = (before.number, line.at_ns as f64 / 1e6);
                return Err(fail(number, BadScript::Earlier { before, at_ms }));
            }
            lines.push(line);
        }
        match lines.len() {
            0 => Err(fail(0, BadScript::Empty)),
            count if count > LINES_MAX => Err(fail(0, BadScript::TooMany { count })),
            _ => Ok(Script::new(file, Hash::of(bytes), lines)),
        }
    }

    fn new(file: String, hash: Hash, lines: Vec<Line>) -> Script {
        let mut counts: HashMap<EventKey, u32> = HashMap::new();
        lines.iter().for_each(|line| *counts.entry(line.key).or_default() += 1);
        let (mut numbers, mut shared_keys) = (HashMap::new(), Vec::with_capacity(lines.len()));
        for line in &lines {
            let next = numbers.len() as u32;
            let is_shared = counts[&line.key] > 1;
            shared_keys.push(is_shared.then(|| *numbers.entry(line.key).or_insert(next)));
        }
        Script { file, hash, lines, shared_keys, keys_shared: numbers.len() as u32 }
    }

    /// Its events.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Which of the keys that several lines have a line has: lines with the same key are one event and its retries.
    pub(super) fn shared_key(&self, line: u32) -> Option<usize> {
        self.shared_keys[line as usize].map(|number| number as usize)
    }

    /// How many keys several lines have.
    pub(super) fn keys_shared(&self) -> usize {
        self.keys_shared as usize
    }

    /// When its last event is sent, in nanoseconds since it begins.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.at_ns)
    }
}

/// For a line without a key: one that nobody else has.
fn drawn_key() -> Result<EventKey, getrandom::Error> {
    Ok(EventKey(u128::from(getrandom::u64()?) << 64 | u128::from(getrandom::u64()?)))
}

/// Why a file cannot be replayed. Nothing was sent.
#[derive(Debug)]
pub struct ScriptError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 if it is about all of them.
    pub line: u64,
    /// What is wrong with it.
    pub what: BadScript,
}

/// What is wrong with a file of events.
#[derive(Debug)]
pub enum BadScript {
    /// It cannot be read.
    Unreadable(io::Error),
    /// There is no event in it.
    Empty,
    /// There are more than can be counted here.
    TooMany {
        /// How many.
        count: usize,
    },
    /// A line's bytes are not UTF-8.
    NotText,
    /// A line is not an event: the words say why, and what is accepted.
    NotALine(String),
    /// A line is earlier than the one before it.
    Earlier {
        /// The line before.
        before: u64,
        /// Its time.
        at_ms: f64,
    },
    /// The system's random numbers are not to be had.
    Random(getrandom::Error),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        f.write_str(": ")?;
        match &self.what {
            BadScript::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            BadScript::Empty => f.write_str("there is no event in it; accepted is one JSON object a line"),
            BadScript::TooMany { count } => {
                write!(f, "{count} events; accepted are {LINES_MAX}: split the file")
            }
            BadScript::NotText => f.write_str("it is not UTF-8; accepted is one JSON object a line"),
            BadScript::NotALine(why) => f.write_str(why),
            BadScript::Earlier { before, at_ms } => write!(
                f,
                "\"at_ms\" is {at_ms}, which is before that of line {before}: sort the lines by their time"
            ),
            BadScript::Random(error) => write!(f, "no random key: {error}"),
        }?;
        f.write_str(". Nothing was sent")
    }
}

impl std::error::Error for ScriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            BadScript::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

/// Lines are numbered in 32 bits.
const LINES_MAX: usize = u32::MAX as usize;
