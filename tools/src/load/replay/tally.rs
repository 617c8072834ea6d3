//! What became of the lines: counts by outcome and by reason, and what is not what its line expects.

use std::collections::BTreeMap;

use assize_domain::DomainRegistry;
use assize_wire::DomainId;
use assize_wire::outcome::Status;
use serde::Serialize;

use super::expected::Found;
use super::line::Line;

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    by_status: BTreeMap<Status, u64>,
    /// Of events that were rejected or invalid.
    by_reason: BTreeMap<(Status, DomainId, u16), u64>,
    /// Lines that say what they expect.
    expected: u64,
    unexpected: u64,
    /// By line, the first of the file.
    first_unexpected: BTreeMap<u64, Unexpected>,
}

/// An outcome that is not what its line expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unexpected {
    /// The line in the file.
    pub line: u64,
    /// Its key, if the file has one for it.
    pub key: Option<String>,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// How many events ended so for this reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// How they ended: `rejected` or `invalid`.
    pub outcome: String,
    /// The domain's name.
    pub domain: String,
    /// The reason's number.
    pub reason: u16,
    /// The same in words, if the domain has some.
    pub reason_text: Option<&'static str>,
    /// How many.
    pub count: u64,
}

impl Tally {
    /// Counts what became of a line. `again`: an earlier run has recorded it.
    pub(super) fn count(&mut self, line: &Line, found: Found, again: bool) {
        *self.by_status.entry(found.status).or_default() += 1;
        if matches!(found.status, Status::Rejected | Status::Invalid) {
            *self.by_reason.entry((found.status, line.domain, found.reason)).or_default() += 1;
        }
        let Some(expected) = line.expected else { return };
        self.expected += 1;
        if expected.is_met(&found, again) {
            return;
        }
        self.unexpected += 1;
        let is_told = self.first_unexpected.len() < UNEXPECTED_TOLD
            || self.first_unexpected.last_key_value().is_some_and(|(last, _)| line.number < *last);
        if !is_told {
            return;
        }
        let before = if again && expected.status.is_recorded() { "duplicate of " } else { "" };
        let told = Unexpected {
            line: line.number,
            key: line.key_text.clone(),
            expected: format!("{before}{expected}"),
            found: found.to_string(),
        };
        self.first_unexpected.insert(line.number, told);
        if self.first_unexpected.len() > UNEXPECTED_TOLD {
            self.first_unexpected.pop_last();
        }
    }

    /// How many ended how.
    pub(super) fn outcomes(&self) -> BTreeMap<String, u64> {
        self.by_status.iter().map(|(status, count)| (status.to_string(), *count)).collect()
    }

    pub(super) fn reasons(&self, domains: &DomainRegistry) -> Vec<ReasonCount> {
        let count = |((status, domain, reason), count): (&(Status, DomainId, u16), &u64)| ReasonCount {
            outcome: status.to_string(),
            domain: domains
                .newest_of(*domain)
                .map_or_else(|| domain.to_string(), |known| known.name().to_owned()),
            reason: *reason,
            reason_text: domains.reason(*domain, *reason),
            count: *count,
        };
        self.by_reason.iter().map(count).collect()
    }

    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    pub(super) fn unexpected(&self) -> u64 {
        self.unexpected
    }

    /// The first of them, by line.
    pub(super) fn first_unexpected(&self) -> Vec<Unexpected> {
        self.first_unexpected.values().cloned().collect()
    }
}

/// More than these would hide the first ones, and mostly have the same cause.
const UNEXPECTED_TOLD: usize = 10;
