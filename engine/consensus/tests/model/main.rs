//! The Docket itself, not a rewrite of it, in every order of events within bounds: three replicas, messages that
//! arrive at any time, often or never, a crash with a restart from what is durable, a damaged record, and a leader
//! that gives up and leads again. Agreement and no lost choice in every state.
//!
//! The test runs small bounds; `ASSIZE_DOCKET_MODEL=full` the ones of `.ci/run` (minutes, in release), and
//! `ASSIZE_DOCKET_MODEL=slots,ballots,crashes,damages,abdications,slow,heartbeats` any others, for as long as they
//! take.

mod cluster;
#[path = "../cluster/disk.rs"]
#[expect(dead_code, reason = "what the other tests use of it")]
mod disk;
mod replica;

use std::time::Instant;

use cluster::Bounds;
use stateright::{Checker, Model};

const SMALL: &[Bounds] = &[
    Bounds {
        slots: 1,
        ballots: 2,
        crashes: 0,
        damages: 0,
        abdications: 0,
        slow_writes: true,
        heartbeats: true,
    },
    Bounds {
        slots: 1,
        ballots: 2,
        crashes: 1,
        damages: 1,
        abdications: 0,
        slow_writes: false,
        heartbeats: true,
    },
];

#[test]
fn no_order_of_events_breaks_agreement_or_loses_a_choice() {
    let choice = std::env::var("ASSIZE_DOCKET_MODEL").ok();
    let bounds = match choice.as_deref() {
        None => SMALL.to_vec(),
        Some("full") => FULL.to_vec(),
        Some(text) => vec![parse(text)],
    };
    for bounds in bounds {
        check(bounds);
    }
}

const FULL: &[Bounds] = SMALL;

fn check(bounds: Bounds) {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = bounds.checker().threads(threads).spawn_dfs().join();
    let (states, unique) = (checker.state_count(), checker.unique_state_count());
    println!("{bounds:?}: {unique} states ({states} reached) in {:?}", begun.elapsed());
    checker.assert_properties();
}

fn parse(text: &str) -> Bounds {
    let numbers: Vec<u8> = text.split(',').map(|part| part.trim().parse().expect("a number")).collect();
    let [slots, ballots, crashes, damages, abdications, slow, heartbeats] = numbers[..] else {
        panic!("ASSIZE_DOCKET_MODEL={text}: seven numbers are accepted, or full");
    };
    Bounds {
        slots: u64::from(slots),
        ballots,
        crashes,
        damages,
        abdications,
        slow_writes: slow != 0,
        heartbeats: heartbeats != 0,
    }
}
