//! How long events took from stage to stage of their way through the engine: counted in buckets of which eight make a
//! doubling, so that whatever is read from them is at most an eighth too high.
//!
//! Bucket 0 has what took a microsecond at most; the last one has also what took longer than its bound. The bounds of
//! doublings are a microsecond times a power of two, so coarser histograms are exact sums of these.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// What each histogram measures: reaching this from the one before; the last one is the whole way.
pub const STAGES: [&str; 6] =
    ["sealed", "durable", "chosen", "evaluated", "published", "accepted_to_published"];

/// Buckets of a histogram: from a microsecond to 67 seconds.
pub const BUCKETS: usize = 1 + STEPS * DOUBLINGS;

/// Buckets of one doubling.
const STEPS: usize = 8;
const DOUBLINGS: usize = 26;

/// The width of the narrowest ones.
const STEP_NS: u64 = 125;

/// The highest time in a bucket, in nanoseconds.
#[must_use]
pub const fn bucket_bound_ns(bucket: usize) -> u64 {
    match bucket.checked_sub(1) {
        None => STEP_NS * STEPS as u64,
        Some(above) => (STEP_NS * (STEPS + above % STEPS + 1) as u64) << (above / STEPS),
    }
}

/// Which bucket has this time.
const fn bucket_of(ns: u64) -> usize {
    let steps = ns.saturating_sub(1) / STEP_NS;
    if steps < STEPS as u64 {
        return 0;
    }
    let doubling = steps.ilog2() - STEPS.ilog2();
    let bucket = 1 + doubling as usize * STEPS + (steps >> doubling) as usize - STEPS;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// One stage of one core. Only that core writes.
#[derive(Debug)]
pub(crate) struct StageCells {
    buckets: [AtomicU64; BUCKETS],
    /// As the bits of a float: whole nanoseconds would overflow within days.
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for StageCells {
    fn default() -> StageCells {
        StageCells {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl StageCells {
    /// There is one writer, so nothing is lost between a load and its store.
    pub(crate) fn record(&self, ns: u64, events: u64) {
        let bucket = &self.buckets[bucket_of(ns)];
        bucket.store(bucket.load(Ordering::Relaxed) + events, Ordering::Relaxed);
        let sum = f64::from_bits(self.sum_ns.load(Ordering::Relaxed)) + ns as f64 * events as f64;
        self.sum_ns.store(sum.to_bits(), Ordering::Relaxed);
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.store(ns, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_to(&self, readings: &mut StageReadings) {
        for (sum, bucket) in readings.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        readings.sum_ns += f64::from_bits(self.sum_ns.load(Ordering::Relaxed));
        readings.max_ns = readings.max_ns.max(self.max_ns.load(Ordering::Relaxed));
    }
}

/// One stage, over all cores.
#[derive(Clone, Debug, PartialEq)]
pub struct StageReadings {
    /// Events by bucket: see [`bucket_bound_ns`].
    pub buckets: [u64; BUCKETS],
    /// The times of all events together, in nanoseconds.
    pub sum_ns: f64,
    /// The longest of them, in nanoseconds.
    pub max_ns: u64,
}

impl Default for StageReadings {
    fn default() -> StageReadings {
        StageReadings { buckets: [0; BUCKETS], sum_ns: 0.0, max_ns: 0 }
    }
}

impl StageReadings {
    /// Events that were counted.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The time that this share of events did not exceed: the bound of its bucket, so an eighth too high at most.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> u64 {
        let wanted = (self.events() as f64 * share).ceil().max(1.0);
        let mut events = 0;
        let reaches = |(_, of_bucket): &(usize, &u64)| {
            events += **of_bucket;
            events as f64 >= wanted
        };
        let found = self.buckets.iter().enumerate().find(reaches);
        match found {
            Some((bucket, _)) if bucket + 1 < BUCKETS => bucket_bound_ns(bucket).min(self.max_ns),
            // No event, or one above every bound.
            _ => self.max_ns,
        }
    }

    /// Buckets that have events, with their bounds in nanoseconds, ascending.
    pub fn occupied(&self) -> impl Iterator<Item = (u64, u64)> {
        let with_bounds = self.buckets.iter().enumerate();
        let occupied = with_bounds.filter(|(_, events)| **events > 0);
        occupied.map(|(bucket, events)| (bucket_bound_ns(bucket), *events))
    }

    /// The same events in the few buckets that are scraped: their bounds in nanoseconds, and those above.
    #[must_use]
    pub fn coarse(&self) -> ([(u64, u64); COARSE], u64) {
        let mut rest = &self.buckets[..];
        let coarse = array::from_fn(|at| {
            let last = (FIRST_COARSE + at) * STEPS;
            let (these, above) = rest.split_at(rest.len() - (BUCKETS - 1 - last));
            rest = above;
            (bucket_bound_ns(last), these.iter().sum())
        });
        (coarse, rest.iter().sum())
    }
}

/// Buckets that are scraped, beside the one for what is above: each doubles, from 8 microseconds to 4.2 seconds.
pub const COARSE: usize = 20;
const FIRST_COARSE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(times: &[(u64, u64)]) -> StageReadings {
        let (cells, mut readings) = (StageCells::default(), StageReadings::default());
        times.iter().for_each(|(ns, events)| cells.record(*ns, *events));
        cells.add_to(&mut readings);
        readings
    }

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_it_is_not_above() {
        for bucket in 0..BUCKETS - 1 {
            let bound = bucket_bound_ns(bucket);
            assert_eq!((bucket_of(bound), bucket_of(bound + 1)), (bucket, bucket + 1), "{bound} ns");
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS - 1));
        assert_eq!((bucket_bound_ns(0), bucket_bound_ns(BUCKETS - 1)), (1_000, 1_000 << DOUBLINGS));
    }

    #[test]
    fn what_is_read_is_at_most_an_eighth_too_high_and_never_too_low() {
        let mut ns = 1_000;
        while ns < bucket_bound_ns(BUCKETS - 1) {
            let bound = bucket_bound_ns(bucket_of(ns));
            assert!((ns..=ns + ns / 8).contains(&bound), "{ns} ns is read as {bound}");
            ns += ns / 61 + 1;
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let times: Vec<(u64, u64)> = (1..=1_000).map(|at| (at * 10_000, 1)).collect();
        let all = readings(&times);
        for (share, exact) in [(0.5, 5_000_000), (0.99, 9_900_000), (0.999, 9_990_000), (1.0, 10_000_000)] {
            let read = all.quantile_ns(share);
            assert!((exact..=exact + exact / 8).contains(&read), "{share}: {read} for {exact}");
        }
        assert_eq!((all.events(), all.max_ns, all.sum_ns), (1_000, 10_000_000, 5_005_000_000.0));
        let none = readings(&[]);
        assert_eq!((none.quantile_ns(0.5), none.events(), none.occupied().count()), (0, 0, 0));
        let beyond = readings(&[(500_000_000_000, 3)]);
        assert_eq!((beyond.quantile_ns(0.5), beyond.max_ns), (500_000_000_000, 500_000_000_000));
    }

    #[test]
    fn the_scraped_buckets_are_sums_of_the_fine_ones() {
        let all =
            readings(&[(1, 1), (8_000, 2), (8_001, 4), (16_000, 8), (4_194_304_000, 16), (u64::MAX, 32)]);
        let (coarse, above) = all.coarse();
        assert_eq!(coarse[0], (8_000, 3));
        assert_eq!(coarse[1], (16_000, 12));
        assert_eq!(coarse[COARSE - 1], (4_194_304_000, 16));
        assert_eq!(above, 32);
        assert!(coarse.iter().all(|(bound, _)| (0..BUCKETS).any(|at| bucket_bound_ns(at) == *bound)));
        let all: u64 = coarse.iter().map(|(_, events)| events).sum();
        assert_eq!(all + above, 63);
    }
}
