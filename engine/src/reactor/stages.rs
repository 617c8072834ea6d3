//! Latency inside the engine: one HDR histogram a stage, each event counted once.

use assize_node::StripeStages;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::numbers::times;

/// One histogram for each stage: how long events took from the stage before.
#[derive(Debug)]
pub struct StageHistograms {
    stages: [Histogram<u64>; STAGES.len()],
}

impl StageHistograms {
    /// Counts a stripe's events.
    pub fn record(&mut self, stripe: &StripeStages) {
        for (histogram, ns) in self.stages.iter_mut().zip(times(stripe)) {
            if let Err(error) = histogram.record_n(ns, u64::from(stripe.events)) {
                panic!("a histogram that grows by itself does not take {ns} ns: {error:?}");
            }
        }
    }

    /// Adds another core's.
    pub fn add(&mut self, other: &StageHistograms) {
        for (mine, theirs) in self.stages.iter_mut().zip(&other.stages) {
            if let Err(error) = mine.add(theirs) {
                panic!("histograms of one shape do not add: {error:?}");
            }
        }
    }

    /// A line for each stage, in order; the last is the whole way.
    #[must_use]
    pub fn lines(&self) -> Vec<StageLine> {
        let us = |ns: u64| ns as f64 / 1000.0;
        STAGES
            .iter()
            .zip(&self.stages)
            .map(|(stage, histogram)| StageLine {
                stage: (*stage).to_owned(),
                events: histogram.len(),
                p50_us: us(histogram.value_at_quantile(0.5)),
                p99_us: us(histogram.value_at_quantile(0.99)),
                p99_9_us: us(histogram.value_at_quantile(0.999)),
                max_us: us(histogram.max()),
            })
            .collect()
    }
}

impl Default for StageHistograms {
    fn default() -> StageHistograms {
        let empty = || match Histogram::new(3) {
            Ok(histogram) => histogram,
            Err(error) => panic!("three significant digits are accepted: {error:?}"),
        };
        StageHistograms { stages: std::array::from_fn(|_| empty()) }
    }
}

/// One stage's latencies, in microseconds since the stage before.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct StageLine {
    /// The stage reached.
    pub stage: String,
    /// Events counted.
    pub events: u64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p99_9_us: f64,
    /// Largest.
    pub max_us: f64,
}

/// What each histogram measures: reaching this from the one before.
const STAGES: [&str; 6] = ["sealed", "durable", "chosen", "evaluated", "published", "accepted to published"];
