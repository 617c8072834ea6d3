//! The percentile distribution as HdrHistogram's own tools write it (`.hgrm`), in microseconds.

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// Writes `latency_ns` in the layout of `AbstractHistogram.outputPercentileDistribution`, five ticks per half
/// distance, values in microseconds.
///
/// # Errors
/// What `out` says.
pub fn write_hgrm(latency_ns: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    for step in latency_ns.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        let value = step.value_iterated_to() as f64 / NS_PER_US;
        let percentile = step.quantile_iterated_to();
        // The iteration ends with one step at exactly 1, whose inverse distance has no number.
        if percentile < 1.0 {
            let inverse = 1.0 / (1.0 - percentile);
            let count = latency_ns.count_between(0, step.value_iterated_to());
            writeln!(out, "{value:>12.3} {percentile:>2.12} {count:>10} {inverse:>14.2}")?;
        } else {
            let count = latency_ns.len();
            writeln!(out, "{value:>12.3} {percentile:>2.12} {count:>10}")?;
        }
    }
    let us = |value: f64| value / NS_PER_US;
    let (mean, deviation) = (us(latency_ns.mean()), us(latency_ns.stdev()));
    writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
    let (max, total) = (us(latency_ns.max() as f64), latency_ns.len());
    writeln!(out, "#[Max     = {max:>12.3}, Total count    = {total:>12}]")?;
    let (buckets, sub_buckets) = (latency_ns.buckets(), 1u32 << SUB_BUCKET_BITS);
    writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]")
}

const NS_PER_US: f64 = 1000.0;
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Three significant digits take 2,048 sub-buckets.
const SUB_BUCKET_BITS: u32 = 11;

#[cfg(test)]
mod tests {
    use super::super::stats::new_histogram;
    use super::*;

    #[test]
    fn a_written_distribution_reads_back() {
        let mut histogram = new_histogram();
        (1..=100_000u64).for_each(|n| histogram.record(n * 1000).unwrap());
        let mut out = Vec::new();
        write_hgrm(&histogram, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2]));
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((median[0] - 50_000.0).abs() < 100.0, "{median:?}");
        assert!((median[3] - 2.0).abs() < 1e-9);
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 100_000.0));
        assert!(text.contains("#[Max     ="));
    }

    #[test]
    fn an_empty_distribution_can_be_written() {
        let mut out = Vec::new();
        write_hgrm(&new_histogram(), &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("Total count    =            0"));
    }
}
