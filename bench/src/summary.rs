//! Numbers out of samples. On a shared machine only ratios within one round mean something: neighbours disturb both
//! sides of a round alike, and the median over rounds drops those that were disturbed one-sidedly.

/// The value below which `quantile` of the samples lie. They are sorted in place.
///
/// # Panics
/// Without samples.
pub fn quantile(samples: &mut [f64], quantile: f64) -> f64 {
    assert!(!samples.is_empty(), "no sample to take a quantile of");
    samples.sort_unstable_by(f64::total_cmp);
    let at = ((samples.len() - 1) as f64 * quantile).round() as usize;
    samples[at]
}

/// The median of some samples.
///
/// # Panics
/// Without samples.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    quantile(&mut samples.to_vec(), 0.5)
}

/// The median over rounds of `samples` divided by `base` of the same round.
///
/// # Panics
/// Without samples.
#[must_use]
pub fn median_ratio(samples: &[f64], base: &[f64]) -> f64 {
    let ratios: Vec<f64> = samples.iter().zip(base).map(|(sample, base)| sample / base).collect();
    median(&ratios)
}
