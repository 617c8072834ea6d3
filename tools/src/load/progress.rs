//! What is told while a run is under way.

use std::io::Write;

use assize_wire::outcome::Status;

use super::report::human_ns;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Creating the items.
    SetUp,
    /// Loading, not yet measuring.
    WarmUp,
    /// Loading and measuring.
    Measure,
    /// Resubmitting what is unanswered.
    Drain,
    /// Reading every item back.
    Books,
}

/// The last second.
#[derive(Clone, Copy, Debug)]
pub struct ProgressLine {
    /// Where the run is.
    pub phase: Phase,
    /// Seconds since the load began.
    pub elapsed_s: f64,
    /// Seconds that the load lasts, warm-up included, if that is known.
    pub total_s: Option<f64>,
    /// Events answered a second.
    pub rate_per_s: f64,
    /// Median of the second, in nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile of the second, in nanoseconds.
    pub p99_ns: u64,
    /// Errors of the second.
    pub errors: u64,
    /// The status that most of them have, and how many.
    pub most_errors: Option<(Status, u64)>,
    /// The longest time without any answer so far, one under way included.
    pub longest_gap_ms: f64,
    /// When that began, in seconds since the load began.
    pub longest_gap_at_s: f64,
}

/// Someone who wants to know. Called on the thread that called [`super::run`].
pub trait Progress {
    /// A phase begins.
    fn phase(&mut self, phase: Phase);

    /// A second passed.
    fn line(&mut self, line: &ProgressLine);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn phase(&mut self, _phase: Phase) {}

    fn line(&mut self, _line: &ProgressLine) {}
}

/// Writes one line that renews itself on a terminal, or one line a second into anything else.
#[derive(Debug)]
pub struct LiveLine<W> {
    out: W,
    terminal: bool,
}

impl<W: Write> LiveLine<W> {
    /// Writes to `out`, which is a terminal or not.
    pub fn new(out: W, terminal: bool) -> LiveLine<W> {
        LiveLine { out, terminal }
    }

    fn show(&mut self, text: &str, stays: bool) {
        // Progress that cannot be shown is no reason to stop a measurement.
        let _ = match (self.terminal, stays) {
            (true, false) => write!(self.out, "\r\x1b[K{text}"),
            (true, true) => writeln!(self.out, "\r\x1b[K{text}"),
            (false, _) => writeln!(self.out, "{text}"),
        };
        let _ = self.out.flush();
    }
}

impl<W: Write> Progress for LiveLine<W> {
    fn phase(&mut self, phase: Phase) {
        let text = match phase {
            Phase::SetUp => "creating the items",
            Phase::WarmUp => "warming up",
            Phase::Measure => "measuring",
            Phase::Drain => "waiting for the last answers",
            Phase::Books => "reading every item back",
        };
        self.show(text, true);
    }

    fn line(&mut self, line: &ProgressLine) {
        let total = line.total_s.map_or(String::new(), |total_s| format!("/{total_s:.0}"));
        let text = format!(
            "{:>5.0}{total} s  {:>10.0} events/s  p50 {:>10}  p99 {:>10}  gap {:>7.1} ms  errors {}",
            line.elapsed_s,
            line.rate_per_s,
            human_ns(line.p50_ns),
            human_ns(line.p99_ns),
            line.longest_gap_ms,
            errors(line)
        );
        self.show(&text, false);
    }
}

/// How many, and which: those that most of them are.
fn errors(line: &ProgressLine) -> String {
    match line.most_errors {
        None => line.errors.to_string(),
        Some((status, count)) if count == line.errors => format!("{count} ({status})"),
        Some((status, count)) => format!("{} ({status} {count})", line.errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_with_what_most_of_them_are() {
        let told = |count, most_errors| {
            let mut out = Vec::new();
            LiveLine::new(&mut out, false).line(&ProgressLine {
                phase: Phase::Measure,
                elapsed_s: 1.0,
                total_s: None,
                rate_per_s: 1.0,
                p50_ns: 1,
                p99_ns: 1,
                errors: count,
                most_errors,
                longest_gap_ms: 0.0,
                longest_gap_at_s: 0.0,
            });
            String::from_utf8(out).unwrap()
        };
        assert!(told(0, None).ends_with("  errors 0\n"));
        assert!(told(4000, Some((Status::Full, 4000))).ends_with("  errors 4000 (full)\n"));
        assert!(told(4000, Some((Status::Full, 3990))).ends_with("  errors 4000 (full 3990)\n"));
    }
}
