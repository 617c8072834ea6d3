//! Random choices that a printed seed repeats.

/// SplitMix64.
pub struct Rng(u64);

impl Rng {
    /// From the environment variable `ASSIZE_PROCESS_SEED`, or drawn and printed: a failed test shows it.
    pub fn announced(what: &str) -> Rng {
        let seed = match std::env::var(SEED) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED} is {text:?}; accepted is a number")),
            Err(_) => getrandom::u64().expect("the system's random numbers"),
        };
        println!("{what}: {SEED}={seed} makes the same choices again");
        Rng(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A generator of its own for someone else.
    pub fn fork(&mut self) -> Rng {
        Rng(self.next())
    }
}

const SEED: &str = "ASSIZE_PROCESS_SEED";
