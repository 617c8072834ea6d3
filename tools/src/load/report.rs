//! What a run found, as a struct that serializes to the JSON object, and as text for people.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::books::Books;
use super::encoded::histogram_in_base64;
use super::journal::JournalEntry;
use super::plan::Mix;
use super::stats::Measured;
use super::workload::Workload;

/// The result of a load. Serialized it is the one JSON object; the journal stays out of it.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// What any run finds.
    #[serde(flatten)]
    pub run: RunReport,
    /// Whether every unit is where the answers say.
    pub books: Books,
    /// Whose events were sent: `inventory`, `telemetry` or `both`.
    pub workload: Workload,
    /// What the inventory's events were.
    pub mix: Mix,
    /// How long was to be measured, in seconds.
    pub duration_s: f64,
    /// How long was loaded before, in seconds.
    pub warmup_s: f64,
    /// The rate asked for; nothing in closed loop.
    pub rate_target_per_s: Option<f64>,
    /// Percentage of events that were resubmitted on purpose.
    pub duplicates_percent: f64,
    /// Theta of the Zipf distribution; 0 is uniform.
    pub skew: f64,
    /// Stock items.
    pub accounts: usize,
    /// What each item that did not exist was given.
    pub stock: u64,
    /// The warehouse that the items are in.
    pub warehouse: u64,
    /// Every event with its first answer, if the plan asked for it.
    #[serde(skip)]
    pub journal: Vec<JournalEntry>,
}

/// What any run finds, whatever its events are.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// [`SCHEMA`], so that a report is known to be one.
    pub schema: &'static str,
    /// [`SCHEMA_VERSION`]. It grows when a member's meaning changes, and not when there are more members.
    pub schema_version: u64,
    /// What was run.
    pub kind: RunKind,
    /// The version of the program that ran it.
    pub program_version: &'static str,
    /// When it began, in seconds since the Unix epoch by this machine's clock.
    pub unix_time: u64,
    /// What became of the events.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long was measured.
    pub seconds: f64,
    /// Events answered a second while measuring.
    pub rate_per_s: f64,
    /// Percentiles over the measured requests.
    pub latency_us: LatencyUs,
    /// Voting replicas.
    pub replicas: u8,
    /// Equal digests that publishing needs.
    pub copies: u8,
    /// Shards.
    pub shards: u16,
    /// Whether answers survive a power cut.
    pub durable: bool,
    /// Events in one request.
    pub batch: usize,
    /// Connections.
    pub connections: usize,
    /// Requests that may have been under way on one connection.
    pub depth: usize,
    /// Threads that drove the connections.
    pub client_cores: usize,
    /// Requests that were due when the load ended and had not been sent: the engine did not keep up.
    pub requests_unsent: u64,
    /// The times without any answer of 100 ms and more while load was on, in their order, at most the first thousand.
    pub gaps: Vec<Gap>,
    /// The longest time without any answer while load was on.
    pub longest_gap_ms: f64,
    /// When that began, in seconds since the load began.
    pub longest_gap_at_s: f64,
    /// Requests that ended with an answer that nobody wants. One that was retried until it was answered has not failed.
    pub failed_calls: u64,
    /// Requests that were sent more than once, after `busy`, at another leader or on another connection, and answered.
    pub retried_calls: u64,
    /// Times that a replica named another one as the leader.
    pub redirects: u64,
    /// Times that another replica was found to lead than before.
    pub leader_changes: u64,
    /// Who led at the end.
    pub leader: Option<u8>,
    /// Connections made anew.
    pub reconnects: u64,
    /// Events sent again under their keys after `busy`, a lost connection or a change of leader.
    pub resubmitted: u64,
    /// Histograms. In JSON the whole run's, in nanoseconds: HdrHistogram's V2 form, deflated, in base64, which its
    /// libraries in other languages read.
    #[serde(rename = "latency_histogram", serialize_with = "histogram_in_base64")]
    pub measured: Measured,
}

/// What kind of run a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Events that were drawn at random.
    Load,
    /// Events of a file.
    Replay,
}

/// What every report calls itself.
pub const SCHEMA: &str = "assize-load-report";

/// The version of the members that are written here.
pub const SCHEMA_VERSION: u64 = 1;

/// A time without any answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// When it began, in seconds since the load began.
    pub began_s: f64,
    /// How long it was, in milliseconds.
    pub length_ms: f64,
}

/// What became of the events, warm-up and end included.
/// `events_answered = applied + rejected + duplicates + conflicts + errors` while nothing is unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events submitted, each counted once however often it was sent, resubmissions on purpose included.
    pub events_sent: u64,
    /// Events that the log decided.
    pub events_answered: u64,
    /// Events that took effect.
    pub applied: u64,
    /// Events that the domain refused.
    pub rejected: u64,
    /// Resubmissions on purpose that were answered with the first answer.
    pub duplicates: u64,
    /// Keys answered as reused with another body.
    pub conflicts: u64,
    /// Times that an event was told to come back later.
    pub busy: u64,
    /// Answers that nobody wants: full, expired, invalid, fault, and duplicates that differ from their first answer.
    pub errors: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.events_sent += other.events_sent;
        self.events_answered += other.events_answered;
        self.applied += other.applied;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.conflicts += other.conflicts;
        self.busy += other.busy;
        self.errors += other.errors;
    }
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencyUs {
    /// The median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// 99.99 %.
    pub p99_99: f64,
    /// The slowest.
    pub max: f64,
}

impl LatencyUs {
    /// Of a histogram in nanoseconds; all 0 if it is empty.
    #[must_use]
    pub fn of(latency_ns: &Histogram<u64>) -> LatencyUs {
        let at = |quantile| match latency_ns.is_empty() {
            true => 0.0,
            false => (latency_ns.value_at_quantile(quantile) / 100) as f64 / 10.0,
        };
        LatencyUs {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: at(1.0),
        }
    }
}

/// The report for people: what happened, a percentile table, the books.
#[must_use]
pub fn print_report(report: &LoadReport) -> String {
    let mut out = String::new();
    print_run(&report.run, "Load", &mut out);
    writeln!(out, "\nBooks: {}", report.books).expect("writing to a string cannot fail");
    out
}

/// What any report begins with.
pub(super) fn print_run(run: &RunReport, heading: &str, out: &mut String) {
    let counts = &run.counts;
    let line = |out: &mut String, name: &str, value: String| writeln!(out, "  {name:<22}{value:>18}");
    let mut lines = || -> std::fmt::Result {
        writeln!(out, "{heading}")?;
        line(out, "events answered", counts.events_answered.to_string())?;
        line(out, "rate", format!("{:.0}/s", run.rate_per_s))?;
        line(out, "measured", format!("{:.1} s", run.seconds))?;
        for (name, value) in [
            ("applied", counts.applied),
            ("rejected", counts.rejected),
            ("duplicates", counts.duplicates),
            ("conflicts", counts.conflicts),
            ("told to come back", counts.busy),
            ("errors", counts.errors),
            ("failed calls", run.failed_calls),
            ("retried calls", run.retried_calls),
            ("reconnects", run.reconnects),
            ("redirects", run.redirects),
            ("changes of leader", run.leader_changes),
            ("requests unsent", run.requests_unsent),
        ] {
            line(out, name, value.to_string())?;
        }
        line(out, "longest gap", format!("{:.1} ms", run.longest_gap_ms))?;
        line(out, "  which began after", format!("{:.1} s", run.longest_gap_at_s))?;
        let events = if run.batch == 1 { "event" } else { "events" };
        writeln!(out, "\nLatency of a request of {} {events}\n", run.batch)?;
        writeln!(out, "  {:>10}  {:>14}  {:>14}", "percentile", "latency", "requests above")?;
        let histogram = &run.measured.latency_ns;
        for percentile in PERCENTILES {
            let value = histogram.value_at_percentile(percentile);
            let above = match histogram.is_empty() {
                true => 0,
                false => histogram.len() - histogram.count_between(0, value),
            };
            let latency = human_ns(value);
            writeln!(out, "  {:>9}%  {latency:>14}  {above:>14}", percentile)?;
        }
        Ok(())
    };
    lines().expect("writing to a string cannot fail");
}

/// Those that are printed.
pub(super) const PERCENTILES: [f64; 10] = [0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 100.0];

/// Nanoseconds with a unit that suits them.
pub(super) fn human_ns(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", nanos as f64 / 1e6),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}
