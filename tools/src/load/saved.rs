//! A report that was written before, read back. Whatever it lacks is said with the file's name: nothing is guessed.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Map, Value};

use super::encoded::histogram_from_base64;
use super::report::{SCHEMA, SCHEMA_VERSION};

/// A report of this program, of this version of its members.
#[derive(Clone, Debug)]
pub struct SavedReport {
    /// Where it was read, as it was given.
    pub file: String,
    /// Latencies of the measured requests, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    members: Map<String, Value>,
}

impl SavedReport {
    /// Reads a file that `--json` wrote.
    ///
    /// # Errors
    /// [`SavedReportError`] when it is not one.
    pub fn read(path: &Path) -> Result<SavedReport, SavedReportError> {
        let file = path.display().to_string();
        match fs::read(path) {
            Ok(bytes) => SavedReport::parse(file, &bytes),
            Err(error) => Err(SavedReportError { file, what: NoReport::Unreadable(error) }),
        }
    }

    /// The report of these bytes, which are this file's.
    ///
    /// # Errors
    /// [`SavedReportError`] when they are not one.
    pub fn parse(file: String, bytes: &[u8]) -> Result<SavedReport, SavedReportError> {
        match parse(bytes) {
            Ok((members, latency_ns)) => Ok(SavedReport { file, latency_ns, members }),
            Err(what) => Err(SavedReportError { file, what }),
        }
    }

    /// A member, if this report has it: a load and a replay have not all in common.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }
}

fn parse(bytes: &[u8]) -> Result<(Map<String, Value>, Histogram<u64>), NoReport> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| match error.is_eof() {
        true => NoReport::Truncated { bytes: bytes.len() },
        false => NoReport::NotJson(error),
    })?;
    let Value::Object(members) = document else {
        return Err(NoReport::NotOne);
    };
    if members.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
        return Err(NoReport::NotOne);
    }
    match members.get("schema_version").and_then(Value::as_u64) {
        Some(SCHEMA_VERSION) => {}
        Some(found) => return Err(NoReport::OtherVersion { found }),
        None => return Err(NoReport::Member { member: "schema_version", why: "it is no number".into() }),
    }
    if let Some(member) = NUMBERS.iter().find(|member| !members.get(**member).is_some_and(Value::is_number)) {
        return Err(NoReport::Member { member, why: "it is missing, or no number".into() });
    }
    let member = "latency_histogram";
    let text = members.get(member).and_then(Value::as_str);
    let text = text.ok_or_else(|| NoReport::Member { member, why: "it is missing, or no text".into() })?;
    let latency_ns = histogram_from_base64(text).map_err(|why| NoReport::Member { member, why })?;
    Ok((members, latency_ns))
}

/// Members that every report of this version has, whatever was run.
const NUMBERS: [&str; 14] = [
    "events_answered",
    "rate_per_s",
    "seconds",
    "applied",
    "rejected",
    "duplicates",
    "conflicts",
    "busy",
    "errors",
    "failed_calls",
    "retried_calls",
    "reconnects",
    "requests_unsent",
    "longest_gap_ms",
];

/// Why a file is not a report that can be used.
#[derive(Debug)]
pub struct SavedReportError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub what: NoReport,
}

/// What is wrong with it.
#[derive(Debug)]
pub enum NoReport {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It ends before its JSON does.
    Truncated {
        /// Bytes that are there.
        bytes: usize,
    },
    /// It is not one JSON document.
    NotJson(serde_json::Error),
    /// It is JSON, but not a report.
    NotOne,
    /// It is of another version.
    OtherVersion {
        /// Which one.
        found: u64,
    },
    /// A member is not what it must be.
    Member {
        /// Which one.
        member: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for SavedReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match &self.what {
            NoReport::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            NoReport::Truncated { bytes } => write!(
                f,
                "the report ends in the middle, after {bytes} bytes: it was cut off, or is still being written; \
                 wait for the run's end, or run it again"
            ),
            NoReport::NotJson(error) => {
                write!(f, "it is not one JSON document: {error}; accepted is what --json writes")
            }
            NoReport::NotOne => write!(
                f,
                "it is no report, since it has no \"schema\": \"{SCHEMA}\"; accepted is what --json writes"
            ),
            NoReport::OtherVersion { found } => write!(
                f,
                "it is a report of version {found}, and this program knows version {SCHEMA_VERSION}: compare it with \
                 the program that wrote it, or run it again"
            ),
            NoReport::Member { member, why } => {
                write!(f, "the report's \"{member}\" cannot be used: {why}; was it edited? Run it again")
            }
        }
    }
}

impl std::error::Error for SavedReportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            NoReport::Unreadable(error) => Some(error),
            NoReport::NotJson(error) => Some(error),
            _ => None,
        }
    }
}
