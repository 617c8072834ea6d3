//! Dockets against each other, each with a disk, over connections that lose, delay, double and disorder: agreement, no
//! lost choice, one chain and watermark order at every step (`truth.rs`), and progress once faults stop.
//!
//! `ASSIZE_DOCKET_SEEDS=n` runs n seeds instead of a few hundred, `ASSIZE_DOCKET_SEED=s` only one. For many seeds:
//! `ASSIZE_DOCKET_SEEDS=100000 cargo test --release -p assize-consensus --test cluster`.

mod disk;
mod replica;
mod rng;
mod run;
mod truth;
mod world;

use std::panic::{catch_unwind, resume_unwind};

use run::run;
use truth::Events;

const SEEDS: u64 = 300;

/// OneChain, ChosenOnce, ChoicesLast, LedOnce, WatermarksOrdered, StripesDurableFirst (P1 to P8, R4): whatever is lost,
/// late, doubled or damaged, and whoever stops. Progress once faults stop (P9).
#[test]
fn clusters_agree_and_go_on() {
    if let Some(seed) = number("ASSIZE_DOCKET_SEED") {
        eprintln!("{:?}", run(seed));
        return;
    }
    let seeds = number("ASSIZE_DOCKET_SEEDS").unwrap_or(SEEDS);
    let mut total = Events::default();
    for seed in 0..seeds {
        match catch_unwind(|| run(seed)) {
            Ok(events) => total += events,
            Err(panic) => {
                eprintln!("ASSIZE_DOCKET_SEED={seed} cargo test -p assize-consensus --test cluster");
                resume_unwind(panic);
            }
        }
    }
    println!("{seeds} seeds: {total:?}");
    assert!(total.all_happened(), "something that must be met never happened: {total:?}");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
