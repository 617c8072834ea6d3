//! Draws of item ranks in constant time: uniform, or Zipf by Vose's alias method (M. D. Vose, "A linear algorithm for
//! generating random numbers with a given distribution", 1991), so that no power is computed while load runs.

use super::plan::Skew;

/// A distribution over `0 .. items`.
#[derive(Clone, Debug)]
pub struct Ranks {
    items: u32,
    /// For each rank: below this share of a draw's low half it is itself, else its alias. Empty if uniform.
    table: Vec<(u32, u32)>,
}

impl Ranks {
    /// Prepares draws.
    ///
    /// # Panics
    /// When there are no items.
    #[must_use]
    pub fn new(skew: Skew, items: u32) -> Ranks {
        assert!(items > 0, "a distribution over nothing");
        let table = match skew {
            Skew::Uniform => Vec::new(),
            Skew::Zipf(theta) => alias_table(theta, items),
        };
        Ranks { items, table }
    }

    /// The rank for 64 random bits.
    #[must_use]
    pub fn draw(&self, bits: u64) -> u32 {
        let wide = u128::from(bits) * u128::from(self.items);
        let rank = (wide >> 64) as u32;
        match self.table.get(rank as usize) {
            // The low bits of the product are as good as fresh ones: `items` takes at most 32 of the 64.
            Some((keep, alias)) if ((wide as u64) >> 32) as u32 > *keep => *alias,
            _ => rank,
        }
    }
}

fn alias_table(theta: f64, items: u32) -> Vec<(u32, u32)> {
    let count = items as usize;
    let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-theta)).collect();
    let scale = count as f64 / weights.iter().sum::<f64>();
    let mut shares: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..count).partition(|rank| shares[*rank] < 1.0);
    let mut table = vec![(u32::MAX, 0); count];
    while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
        table[low] = ((shares[low] * f64::from(u32::MAX)) as u32, high as u32);
        shares[high] -= 1.0 - shares[low];
        if shares[high] < 1.0 {
            large.pop();
            small.push(high);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;

    fn counts(skew: Skew, items: u32, draws: u32) -> Vec<u32> {
        let (ranks, mut rng) = (Ranks::new(skew, items), Rng::new(7));
        let mut counts = vec![0; items as usize];
        for _ in 0..draws {
            counts[ranks.draw(rng.next()) as usize] += 1;
        }
        counts
    }

    #[test]
    fn zipf_draws_follow_the_law() {
        let (theta, items, draws) = (0.99, 1000u32, 1_000_000u32);
        let counts = counts(Skew::Zipf(theta), items, draws);
        let sum: f64 = (1..=items).map(|rank| f64::from(rank).powf(-theta)).sum();
        for rank in [1u32, 2, 3, 10, 50, 100, 500, 1000] {
            let expected = f64::from(draws) * f64::from(rank).powf(-theta) / sum;
            let found = f64::from(counts[rank as usize - 1]);
            // Five standard deviations of a binomial count.
            assert!(
                (found - expected).abs() < 5.0 * expected.sqrt(),
                "rank {rank}: {found} found, {expected} expected"
            );
        }
    }

    #[test]
    fn uniform_draws_are_even() {
        let counts = counts(Skew::Uniform, 100, 1_000_000);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)));
    }
}
