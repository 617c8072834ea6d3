//! What a replay found, as a struct that serializes to the JSON object, and as text for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::super::report::{RunReport, print_run};
use super::schedule::Order;
use super::speed::Speed;
use super::tally::{ReasonCount, Unexpected};

/// The result of a replay. Serialized it is the one JSON object.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayReport {
    /// What any run finds.
    #[serde(flatten)]
    pub run: RunReport,
    /// The file, as it was given.
    pub file: String,
    /// Of its bytes, the beginning of their blake3: equal files are equal loads.
    pub file_hash: String,
    /// Its events.
    pub lines: u64,
    /// How fast it was replayed: a number of times, or `max`.
    pub speed: Speed,
    /// In which order its lines were sent.
    pub order: Order,
    /// Whether it was said that a run before had recorded its events.
    pub again: bool,
    /// How many events ended how.
    pub outcomes: BTreeMap<String, u64>,
    /// Of those that were rejected or invalid, how many for which reason.
    pub reasons: Vec<ReasonCount>,
    /// Lines that say what they expect.
    pub expected: u64,
    /// Those of them whose outcome is something else.
    pub unexpected: u64,
    /// The first ten of them in the file.
    pub first_unexpected: Vec<Unexpected>,
}

/// The report for people: what happened, a percentile table, outcomes and reasons, what was not as expected.
#[must_use]
pub fn print_replay(report: &ReplayReport) -> String {
    let mut out = String::new();
    print_run(&report.run, "Replay", &mut out);
    let mut lines = || -> std::fmt::Result {
        writeln!(out, "\nOutcomes of {} lines of {}\n", report.lines, report.file)?;
        for (outcome, count) in &report.outcomes {
            writeln!(out, "  {outcome:<22}{count:>18}")?;
            for reason in report.reasons.iter().filter(|reason| reason.outcome == *outcome) {
                let (number, words) = (reason.reason, reason.reason_text.unwrap_or("in no words"));
                writeln!(out, "    {:>16}  {} {number}: {words}", reason.count, reason.domain)?;
            }
        }
        match (report.expected, report.unexpected) {
            (0, _) => writeln!(out, "\nExpected: no line says what it expects"),
            (all, 0) => writeln!(out, "\nExpected: all {all} outcomes are what their lines expect"),
            (all, unexpected) => {
                writeln!(
                    out,
                    "\nExpected: {unexpected} of {all} outcomes are NOT what their lines expect\n"
                )?;
                for Unexpected { line, key, expected, found } in &report.first_unexpected {
                    let key = key.as_ref().map_or(String::new(), |key| format!(", key {key}"));
                    writeln!(out, "  line {line}{key}: expected {expected}, found {found}")?;
                }
                match unexpected - report.first_unexpected.len() as u64 {
                    0 => {}
                    more => writeln!(out, "  and {more} more")?,
                }
                // The likeliest cause by far, and nothing is wrong then.
                let are_repeated =
                    report.first_unexpected.iter().all(|one| one.found.starts_with("duplicate of "));
                match are_repeated {
                    true => writeln!(
                        out,
                        "\nWas the file replayed before? Then say --again, which expects duplicates."
                    ),
                    false => Ok(()),
                }
            }
        }
    };
    lines().expect("writing to a string cannot fail");
    out
}
