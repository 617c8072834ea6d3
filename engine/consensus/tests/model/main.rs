//! The Docket itself, not a rewrite of it, in every order of events within bounds: three replicas, messages that
//! arrive at any time, often or never, a crash with a restart from what is durable, a damaged record, and a leader
//! that gives up and leads again. Agreement and no lost choice in every state.
//!
//! The test runs small bounds; `ASSIZE_DOCKET_MODEL=full` the ones of `.ci/run` (minutes: 116 million states with two
//! slots, three ballots, a crash, a damaged record and an abdication at once), and
//! `ASSIZE_DOCKET_MODEL=slots,ballots,crashes,damages,abdications,slow,heartbeats,leases` any others, for as long as
//! they take.

mod cluster;
#[path = "../cluster/disk.rs"]
#[expect(dead_code, reason = "what the other tests use of it")]
mod disk;
mod replica;
mod steps;

use std::time::Instant;

use cluster::{Bounds, Cluster};
use stateright::{Checker, Model};

/// Slots, ballots, crashes, damaged records, abdications; whether writes take time; whether there are heartbeats, and
/// leases.
const SMALL: [&str; 5] =
    ["2,2,1,1,1,0,0,0", "1,2,0,0,1,0,1,0", "2,3,0,0,0,0,0,0", "1,2,0,0,0,1,0,0", "1,2,0,0,0,0,1,1"];
const FULL: [&str; 4] = ["2,3,1,1,1,0,0,0", "1,2,0,0,1,0,1,0", "1,2,0,0,0,1,0,0", "1,2,1,0,0,0,1,1"];

#[test]
fn no_order_of_events_breaks_agreement_or_loses_a_choice() {
    let choice = std::env::var("ASSIZE_DOCKET_MODEL").ok();
    let bounds = match choice.as_deref() {
        None => SMALL.to_vec(),
        Some("full") => FULL.to_vec(),
        Some(text) => vec![text],
    };
    for bounds in bounds {
        check(parse(bounds));
    }
}

fn check(bounds: Bounds) {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Cluster::new(bounds).checker().threads(threads).spawn_dfs().join();
    let (states, unique) = (checker.state_count(), checker.unique_state_count());
    println!("{bounds:?}: {unique} states ({states} reached) in {:?}", begun.elapsed());
    checker.assert_properties();
}

fn parse(text: &str) -> Bounds {
    let numbers: Vec<u8> = text.split(',').map(|part| part.trim().parse().expect("a number")).collect();
    let [slots, ballots, crashes, damages, abdications, slow, heartbeats, leases] = numbers[..] else {
        panic!("ASSIZE_DOCKET_MODEL={text}: eight numbers are accepted, or full");
    };
    Bounds {
        slots: u64::from(slots),
        ballots,
        crashes,
        damages,
        abdications,
        slow_writes: slow != 0,
        heartbeats: heartbeats != 0,
        leases: leases != 0,
    }
}
