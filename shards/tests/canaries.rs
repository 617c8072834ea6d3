//! Every deliberate fault of the deterministic core is found out by the checks of D1 and X within some seeds.
//!
//! `RUSTFLAGS="--cfg canaries" cargo test -p assize-shards --target-dir target/canaries --test canaries`
#![cfg(canaries)]
#![expect(dead_code, reason = "what the other tests use of these modules")]

#[path = "shard/bank.rs"]
mod bank;
#[path = "shard/checkpoint.rs"]
mod checkpoint;
#[path = "shard/log.rs"]
mod log;
#[path = "shard/model.rs"]
mod model;
#[path = "shard/replica.rs"]
mod replica;
#[path = "shard/schedule.rs"]
mod schedule;
#[path = "shard/seeds.rs"]
mod seeds;

use std::panic::catch_unwind;

use assize_wire::canary::{self, Canary};

use schedule::Seen;

/// The faults that this crate has.
const FAULTS: [Canary; 11] = [
    Canary::GrantOutOfOrder,
    Canary::LendTwice,
    Canary::SkipUseOrder,
    Canary::ReturnTooEarly,
    Canary::LoseChange,
    Canary::PanicKeepsChanges,
    Canary::RoomFromNow,
    Canary::MaskIgnored,
    Canary::NoPreImage,
    Canary::RoomNotRestored,
    Canary::LogicNotRestored,
];

/// Seeds within which each is found.
const SEEDS: u64 = 100;

// One test, as what is armed is armed for the whole process. A standstill counts: the schedule ends in a panic, too.
#[test]
fn every_fault_is_found_and_nothing_is_found_without_one() {
    std::panic::set_hook(Box::new(|_| {}));
    canary::arm(None);
    assert_eq!(found_by(), None, "a seed fails with nothing armed");
    let mut missed = Vec::new();
    for fault in FAULTS {
        canary::arm(Some(fault));
        match found_by() {
            Some((seed, what)) => println!("{fault:?}: seed {seed}: {what}"),
            None => missed.push(fault),
        }
    }
    canary::arm(None);
    assert!(missed.is_empty(), "no seed found {missed:?}");
}

/// The first seed that fails, and how.
fn found_by() -> Option<(u64, String)> {
    (1..=SEEDS).find_map(|seed| {
        let ran = catch_unwind(|| {
            schedule::run(3, seed, &mut Seen::default());
            checkpoint::run(3, seed, &mut checkpoint::Seen::default());
        });
        let panic = ran.err()?;
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Some((seed, text.unwrap_or_default().lines().next().unwrap_or_default().to_string()))
    })
}
