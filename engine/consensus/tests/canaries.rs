//! Every deliberate fault of the Docket is found out by clusters of them within some seeds.
//!
//! `RUSTFLAGS="--cfg canaries" cargo test -p assize-consensus --target-dir target/canaries --test canaries`
#![cfg(canaries)]

#[path = "cluster/disk.rs"]
mod disk;
#[path = "cluster/replica.rs"]
mod replica;
#[path = "cluster/rng.rs"]
mod rng;
#[path = "cluster/run.rs"]
mod run;
#[path = "cluster/truth.rs"]
#[expect(dead_code, reason = "what the other test uses of it")]
mod truth;
#[path = "cluster/world.rs"]
mod world;

use std::panic::catch_unwind;

use assize_wire::canary::{self, Canary};

/// The faults that this crate has.
const FAULTS: [Canary; 10] = [
    Canary::BallotAgain,
    Canary::PromiseUnwritten,
    Canary::AcceptUnwritten,
    Canary::AcceptAgainUnwritten,
    Canary::AcceptAbove,
    Canary::LowestBallot,
    Canary::DamageHidden,
    Canary::ChosenWithoutHash,
    Canary::VoteUncounted,
    Canary::VoteAfterEmptyDisk,
];

/// Seeds within which each is found.
const SEEDS: u64 = 1000;

// One test, as what is armed is armed for the whole process.
#[test]
fn every_fault_is_found_and_nothing_is_found_without_one() {
    std::panic::set_hook(Box::new(|_| {}));
    canary::arm(None);
    assert_eq!(found_by(100), None, "a seed fails with nothing armed");
    let mut missed = Vec::new();
    for fault in FAULTS {
        canary::arm(Some(fault));
        match found_by(SEEDS) {
            Some((seed, what)) => println!("{fault:?}: seed {seed}: {what}"),
            None => missed.push(fault),
        }
    }
    canary::arm(None);
    assert!(missed.is_empty(), "no seed found {missed:?}");
}

/// The first seed that fails, and how.
fn found_by(seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let panic = catch_unwind(|| run::run(seed)).err()?;
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Some((seed, text.unwrap_or_default().lines().next().unwrap_or_default().to_string()))
    })
}
