//! What the runs came to, so that a test can ask whether they meant something.

use std::collections::BTreeMap;
use std::fmt;

use assize_domain::DomainId;
use assize_wire::outcome::Status;

/// What all seeds came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many events there were, each counted once.
    pub events: u64,
    /// How they ended: by domain, status and reason.
    pub endings: BTreeMap<(DomainId, Status, u16), u64>,
    /// How often a replica's shards ran a seed's events.
    pub runs: u64,
    /// How many of these began from a checkpoint.
    pub restarts: u64,
    /// How many states went from one shard to another.
    pub borrowed: u64,
}

impl Report {
    /// How many events were applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.of(Status::Applied)
    }

    /// How many were faults.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.of(Status::Fault)
    }

    /// How many events of a domain were rejected for this reason.
    #[must_use]
    pub fn rejected(&self, domain: DomainId, reason: u16) -> u64 {
        self.endings.get(&(domain, Status::Rejected, reason)).copied().unwrap_or(0)
    }

    fn of(&self, status: Status) -> u64 {
        self.endings.iter().filter(|((_, found, _), _)| *found == status).map(|(_, count)| count).sum()
    }

    pub(crate) fn add(&mut self, other: &Report) {
        self.events += other.events;
        self.runs += other.runs;
        self.restarts += other.restarts;
        self.borrowed += other.borrowed;
        for (ending, count) in &other.endings {
            *self.endings.entry(*ending).or_default() += count;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { events, runs, restarts, borrowed, .. } = self;
        writeln!(
            f,
            "{events} events in {runs} runs, {restarts} of them from a checkpoint; {borrowed} states borrowed"
        )?;
        for ((domain, status, reason), count) in &self.endings {
            let reason = if *reason == 0 { String::new() } else { format!(" {reason}") };
            writeln!(f, "  domain {domain}: {count} {status}{reason}")?;
        }
        Ok(())
    }
}
