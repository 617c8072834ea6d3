//! What is counted and measured: per thread and second, merged into the run's.

use std::collections::BTreeMap;
use std::time::Duration;

use assize_wire::outcome::Status;
use hdrhistogram::Histogram;

use super::report::Counts;

/// One thread's second.
#[derive(Clone, Debug)]
pub struct Interval {
    /// When it began, since the load began.
    pub start: Duration,
    /// How long it was.
    pub length: Duration,
    /// Events answered in it.
    pub answered: u64,
    /// Events that went wrong in it.
    pub errors: u64,
    /// Those by how they ended.
    pub errors_by: BTreeMap<Status, u64>,
    /// Latencies of the requests that ended in it, in nanoseconds.
    pub latency_ns: Histogram<u64>,
}

/// Everything measured in a run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Latencies of the measured requests, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    /// The seconds in order, all threads merged.
    pub intervals: Vec<Interval>,
    /// When the load began, by the machine's clock.
    pub began: std::time::SystemTime,
}

/// A thread's running numbers.
pub(super) struct Stats {
    pub counts: Counts,
    /// Events answered between the end of the warm-up and the end of the load.
    pub answered_measured: u64,
    /// Answers that contradict an earlier one.
    pub contradictions: u64,
    pub reconnects: u64,
    pub resubmitted: u64,
    /// Requests with an answer that nobody wants.
    pub calls_failed: u64,
    /// Requests that were sent more than once, and then answered as they should be.
    pub calls_retried: u64,
    pub latency_ns: Histogram<u64>,
    interval: Histogram<u64>,
    interval_start: u64,
    answered_before: u64,
    errors_before: u64,
    errors_by: BTreeMap<Status, u64>,
    index: u64,
}

impl Stats {
    /// Intervals count from `begin`.
    pub(super) fn new(begin: u64) -> Stats {
        Stats {
            counts: Counts::default(),
            answered_measured: 0,
            contradictions: 0,
            reconnects: 0,
            resubmitted: 0,
            calls_failed: 0,
            calls_retried: 0,
            latency_ns: new_histogram(),
            interval: new_histogram(),
            interval_start: begin,
            answered_before: 0,
            errors_before: 0,
            errors_by: BTreeMap::new(),
            index: 0,
        }
    }

    /// A request took `nanos`, times `count` requests.
    pub(super) fn record(&mut self, nanos: u64, count: u64) {
        self.interval.saturating_record_n(nanos.max(1), count);
    }

    /// An answer that counts as an error ended like this. A duplicate of an event on which the domain failed is told as
    /// that: a resubmission has no other answer.
    pub(super) fn note_error(&mut self, status: Status, first: Status) {
        let status = if (status, first) == (Status::Duplicate, Status::Fault) { first } else { status };
        *self.errors_by.entry(status).or_default() += 1;
    }

    /// When the interval under way ends.
    pub(super) fn interval_end(&self) -> u64 {
        self.interval_start + INTERVAL_NS
    }

    /// Ends the interval and returns it. Its times are those of the grid, so that the threads' intervals match.
    pub(super) fn end_interval(&mut self, now: u64) -> (u64, Interval) {
        let latency_ns = std::mem::replace(&mut self.interval, new_histogram());
        self.latency_ns.add(&latency_ns).expect("equal bounds");
        let interval = Interval {
            start: Duration::from_nanos(self.index * INTERVAL_NS),
            length: Duration::from_nanos(now.saturating_sub(self.interval_start).clamp(1, INTERVAL_NS)),
            answered: self.counts.events_answered - self.answered_before,
            errors: self.counts.errors - self.errors_before,
            errors_by: std::mem::take(&mut self.errors_by),
            latency_ns,
        };
        self.answered_before = self.counts.events_answered;
        self.errors_before = self.counts.errors;
        self.interval_start += INTERVAL_NS;
        self.index += 1;
        (self.index - 1, interval)
    }
}

impl Interval {
    /// The status that most of its errors have, and how many.
    pub(super) fn most_errors(&self) -> Option<(Status, u64)> {
        self.errors_by.iter().max_by_key(|(_, count)| **count).map(|(status, count)| (*status, *count))
    }

    pub(super) fn merge(&mut self, other: &Interval) {
        self.answered += other.answered;
        self.errors += other.errors;
        other
            .errors_by
            .iter()
            .for_each(|(status, count)| *self.errors_by.entry(*status).or_default() += count);
        self.latency_ns.add(&other.latency_ns).expect("equal bounds");
    }
}

pub(super) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("constant bounds are valid")
}

/// How long an interval is.
const INTERVAL_NS: u64 = 1_000_000_000;

/// An hour; what takes longer is recorded as that.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_knows_what_most_of_its_errors_are() {
        let mut stats = Stats::new(0);
        let noted = |stats: &mut Stats, errors: &[(Status, Status)]| {
            errors.iter().for_each(|(status, first)| stats.note_error(*status, *first));
            stats.end_interval(INTERVAL_NS).1
        };
        let (full, fault) = ((Status::Full, Status::Full), (Status::Duplicate, Status::Fault));
        let mut first = noted(&mut stats, &[full, fault, full]);
        assert_eq!(first.most_errors(), Some((Status::Full, 2)));
        let second = noted(&mut stats, &[fault, fault]);
        assert_eq!(second.most_errors(), Some((Status::Fault, 2)));
        first.merge(&second);
        assert_eq!(first.most_errors(), Some((Status::Fault, 3)));
        assert_eq!(noted(&mut stats, &[]).most_errors(), None);
    }
}
