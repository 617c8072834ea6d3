//! How long events took from stage to stage of their way through the engine, counted in buckets that double.

use std::sync::atomic::{AtomicU64, Ordering};

/// What each histogram measures: reaching this from the one before; the last one is the whole way.
pub const STAGES: [&str; 6] =
    ["sealed", "durable", "chosen", "evaluated", "published", "accepted_to_published"];

/// Upper bounds of the buckets, in nanoseconds; one more has whatever is above.
pub const BUCKET_BOUNDS_NS: [u64; 20] = bounds();

const FIRST_BOUND_NS: u64 = 10_000;

const fn bounds() -> [u64; 20] {
    let mut bounds = [FIRST_BOUND_NS; 20];
    let mut at = 1;
    while at < bounds.len() {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
}

/// One stage of one core. Only that core writes.
#[derive(Debug, Default)]
pub(crate) struct StageCells {
    buckets: [AtomicU64; BUCKET_BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl StageCells {
    pub(crate) fn record(&self, ns: u64, events: u64) {
        let at = ((ns.saturating_sub(1) / FIRST_BOUND_NS) as u128)
            .checked_ilog2()
            .map_or(0, |log| log as usize + 1);
        add(&self.buckets[at.min(BUCKET_BOUNDS_NS.len())], events);
        add(&self.sum_ns, ns.saturating_mul(events));
    }

    pub(crate) fn add_to(&self, readings: &mut StageReadings) {
        for (sum, bucket) in readings.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        readings.sum_ns = readings.sum_ns.saturating_add(self.sum_ns.load(Ordering::Relaxed));
    }
}

/// There is one writer, so nothing is lost between the two.
fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// One stage, over all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageReadings {
    /// Events by bucket: as [`BUCKET_BOUNDS_NS`], and those above.
    pub buckets: [u64; BUCKET_BOUNDS_NS.len() + 1],
    /// The times of all events together, in nanoseconds.
    pub sum_ns: u64,
}

impl StageReadings {
    /// Events that were counted.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_it_is_not_above() {
        let bucket_of = |ns: u64| {
            let (cells, mut readings) = (StageCells::default(), StageReadings::default());
            cells.record(ns, 3);
            cells.add_to(&mut readings);
            assert_eq!((readings.events(), readings.sum_ns), (3, ns.saturating_mul(3)));
            readings.buckets.iter().position(|events| *events == 3).unwrap()
        };
        for (at, bound) in BUCKET_BOUNDS_NS.into_iter().enumerate() {
            assert_eq!((bucket_of(bound), bucket_of(bound + 1)), (at, at + 1), "{bound} ns");
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKET_BOUNDS_NS.len()));
    }
}
