//! Deliberate faults of recovery that only histories with damage in the right place tell.
//!
//! `RUSTFLAGS="--cfg canaries" cargo test -p assize-wal --target-dir target/canaries --test canaries`
#![cfg(canaries)]

#[path = "common/acceptor.rs"]
mod acceptor;
mod common;

use std::panic::catch_unwind;

use acceptor::Acceptor;
use assize_wal::memory::Random;
use assize_wire::canary::{self, Canary};
use common::{LOGS, SEGMENT_BYTES};

/// The faults, each of which some history finds out.
const FAULTS: [Canary; 1] = [Canary::MarkWithoutBallot];

const SEEDS: u64 = 3000;

// One test, as what is armed is armed for the whole process.
#[test]
fn every_fault_is_found_and_nothing_is_found_without_one() {
    std::panic::set_hook(Box::new(|_| {}));
    canary::arm(None);
    assert_eq!((0..300).find(|seed| history(*seed).is_err()), None, "a seed fails with nothing armed");
    let mut missed = Vec::new();
    for fault in FAULTS {
        canary::arm(Some(fault));
        match (0..SEEDS).find(|seed| history(*seed).is_err()) {
            Some(seed) => println!("{fault:?}: seed {seed}"),
            None => missed.push(fault),
        }
    }
    canary::arm(None);
    assert!(missed.is_empty(), "no seed found {missed:?}");
}

/// Accepts under several ballots, then damage to what was accepted last somewhere, and a start, which the model judges.
fn history(seed: u64) -> std::thread::Result<()> {
    catch_unwind(|| {
        let mut random = Random(seed);
        let mut acceptor = Acceptor::format(seed);
        acceptor.stripe_bytes_max = 500;
        acceptor.faults = true;
        for _ in 0..2 + random.below(4) {
            (0..1 + random.below(5)).for_each(|_| acceptor.accept());
            acceptor.pump(random.below(30) as usize);
            if random.below(2) == 0 {
                acceptor.quiesce();
            }
            acceptor.new_leader();
        }
        (0..1 + random.below(4)).for_each(|_| acceptor.accept());
        acceptor.quiesce();
        let recovered = acceptor.recover();
        let accepts: Vec<_> = recovered.accepted.iter().map(|slot| slot.location).collect();
        if !accepts.is_empty() {
            let accept = accepts[random.below(accepts.len() as u64) as usize];
            for copy in [0, 1] {
                let at = accept.offset + copy * u64::from(accept.bytes);
                if at < SEGMENT_BYTES {
                    acceptor.device.flip_bit(LOGS[0], accept.segment, at + 99, 1);
                }
            }
        }
        acceptor.start();
    })
}
