//! What a refused configuration tells the operator: where, the line, what was found, what is accepted.

use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration that cannot be used. Its [`Display`](fmt::Display) is the message to print, over several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named to us.
    pub file: Box<str>,
    /// The line, from 1. `None` if the file as a whole is meant (it cannot be read).
    pub line: Option<u32>,
    /// The text of that line; empty without a line.
    pub text: Box<str>,
    /// The key, such as `cores.assignments[1].cpu`; empty where the text is not TOML or the key is the mistake.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What would have been accepted.
    pub accepted: String,
}

impl ConfigError {
    /// An error about the file itself, not a place in it.
    pub(super) fn of_file(file: &str, found: String, accepted: &str) -> ConfigError {
        ConfigError {
            file: file.into(),
            line: None,
            text: Box::default(),
            key: String::new(),
            found,
            accepted: accepted.to_owned(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if let Some(line) = self.line {
            write!(f, "\n  {line:>4} | {}", self.text)?;
        }
        write!(f, "\n  found:    {}\n  accepted: {}", self.found, self.accepted)
    }
}

impl std::error::Error for ConfigError {}

/// The text of a configuration and its name, kept so that a later finding can point at its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name, for messages.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// An error at `key`, which reads like `cores.assignments[1].cpu`. If the file does not hold the key, the
    /// line is that of its innermost table that is there, and the message says that a default is meant.
    #[must_use]
    pub fn refuse(&self, key: &str, found: String, accepted: String) -> ConfigError {
        let (span, exact) = self.locate(key);
        let found = if exact { found } else { format!("{found} (not in the file: the default)") };
        let (line, text) = self.line_at(span.map_or(0, |span| span.start));
        ConfigError {
            file: self.file.as_str().into(),
            line: Some(line),
            text,
            key: key.to_owned(),
            found,
            accepted,
        }
    }

    /// Turns a syntax or type error of the TOML reader into ours.
    pub(super) fn refuse_toml(&self, error: &toml::de::Error) -> ConfigError {
        let (line, text) = self.line_at(error.span().map_or(0, |span| span.start));
        let message = error.message().trim();
        let (found, accepted) = match message.split_once(", expected ") {
            Some((found, accepted)) => (found.to_owned(), plain_type(accepted)),
            None => (
                message.replace('\n', ", "),
                "a key = value line as `assize config --example` prints it".to_owned(),
            ),
        };
        ConfigError {
            file: self.file.as_str().into(),
            line: Some(line),
            text,
            key: String::new(),
            found,
            accepted,
        }
    }

    /// Where `key`, or as much of it as the file holds, stands; and whether all of it was there.
    fn locate(&self, key: &str) -> (Option<Range<usize>>, bool) {
        let Ok(root) = DeTable::parse(&self.text) else {
            return (None, false);
        };
        let mut steps = key.split(['.', '[']).map(|step| step.trim_end_matches(']'));
        let Some(first) = steps.next() else {
            return (None, false);
        };
        let Some((name, mut value)) = entry(root.get_ref(), first) else {
            return (None, false);
        };
        let mut span = name;
        for step in steps {
            let next: Option<(Range<usize>, &Spanned<DeValue<'_>>)> = match value.get_ref() {
                DeValue::Table(table) => entry(table, step),
                DeValue::Array(array) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| array.get(index))
                    .map(|item| (item.span(), item)),
                _ => None,
            };
            let Some((at, inner)) = next else {
                return (Some(span), false);
            };
            span = at;
            value = inner;
        }
        (Some(span), true)
    }

    /// The line, from 1, that holds byte `at`, and its text.
    fn line_at(&self, at: usize) -> (u32, Box<str>) {
        let at = at.min(self.text.len());
        let before = &self.text.as_bytes()[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let text = self.text.lines().nth(line).unwrap_or_default();
        (u32::try_from(line + 1).unwrap_or(u32::MAX), text.into())
    }
}

/// The entry of a table under a name: where its name stands, and its value.
fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, value)| (key.span(), value))
}

/// Names what serde calls by a Rust type.
fn plain_type(expected: &str) -> String {
    match expected.trim() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "a boolean" => "true or false",
        "a string" => "text in double quotes",
        "a sequence" => "a list in brackets, such as [0, 1]",
        other => return other.replace('\n', ", "),
    }
    .to_owned()
}
