//! Builds that are broken on purpose, and who finds out: a test that cannot fail shows nothing.
//!
//! `RUSTFLAGS="--cfg canaries" cargo test -p assize-sim --target-dir target/canaries --test canaries`
#![cfg(canaries)]

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use assize_sim::cluster::options::ClusterOptions;
use assize_sim::cluster::runner as cluster;
use assize_sim::options::Options;
use assize_sim::runner::Run;
use assize_sim::scenario::Scenario;
use assize_wire::canary::{Canary, arm};

/// A fault, the runs that find it out, and the checkers that may: which does in the first seed caught is chance.
/// `assertion` is one of the engine's own, which stops a replica before anything wrong is told.
type Row = (Canary, Scenario, &'static [&'static str]);

const CAUGHT: &[Row] = &[
    (Canary::AnswerBeforeFlush, Scenario::Load, &["watermarks"]),
    (Canary::IgnoreCut, Scenario::Crash, &["durability"]),
    (Canary::SkipRecoveryFlush, Scenario::Crash, &["durability"]),
    (Canary::MarkTooHigh, Scenario::Crash, &["durability"]),
    (Canary::TailRewritten, Scenario::Crash, &["durability"]),
    (Canary::OlderSuperblock, Scenario::Crash, &["ballots"]),
    (Canary::BallotAgain, Scenario::Crash, &["ballots"]),
    (Canary::TtlOffByOne, Scenario::Load, &["outputs"]),
    (Canary::RenewOnDuplicate, Scenario::Load, &["outputs"]),
    (Canary::DeadlineIgnored, Scenario::Load, &["outputs"]),
    (Canary::ConflictAsDuplicate, Scenario::Load, &["outputs"]),
    (Canary::WrongFirstResponse, Scenario::Load, &["outputs"]),
    (Canary::EvictLive, Scenario::Load, &["outputs"]),
    (Canary::GrantOutOfOrder, Scenario::Load, &["outputs"]),
    (Canary::RoomFromNow, Scenario::Load, &["outputs"]),
    (Canary::PublishOutOfOrder, Scenario::Load, &["assertion"]),
    (Canary::ReadBeforePublished, Scenario::Load, &["reads"]),
    (Canary::NoPreImage, Scenario::Crash, &["assertion"]),
    (Canary::RoomNotRestored, Scenario::Crash, &["assertion", "outputs"]),
    (Canary::PartGarbled, Scenario::Load, &["assertion"]),
    (Canary::ActivateUnflushed, Scenario::Crash, &["assertion"]),
    (Canary::OutcomesNotAwaited, Scenario::Crash, &["checkpoint"]),
    (Canary::StripesGivenUp, Scenario::Crash, &["durability"]),
    (Canary::OutcomesGivenUp, Scenario::Crash, &["checkpoint"]),
    (Canary::KeysGivenUp, Scenario::Crash, &["durability"]),
];

/// The same in a cluster.
const CAUGHT_IN_A_CLUSTER: &[(Canary, &[&str])] = &[
    (Canary::LogicNotRestored, &["outputs", "copies", "assertion"]),
    (Canary::ActivateUncompared, &["compared"]),
    (Canary::CopyTooFew, &["copies"]),
    (Canary::ServeUnready, &["reads", "linearizable", "assertion"]),
    (Canary::StripeByPosition, &["outputs", "assertion"]),
    (Canary::StripesDroppedEarly, &["assertion", "liveness"]),
    (Canary::OwnClock, &["clock"]),
    (Canary::ReadUnconfirmed, &["reads"]),
    (Canary::LeaseFromArrival, &["reads"]),
    (Canary::LeadsAfterHandover, &["reads"]),
    (Canary::BallotAgain, &["ballots", "assertion"]),
    (Canary::AcceptUnwritten, &["watermarks", "agreement"]),
    (Canary::AcceptAgainUnwritten, &["agreement"]),
    (Canary::AcceptAbove, &["agreement", "watermarks", "assertion"]),
    (Canary::RoomToldOnce, &["assertion"]),
    (Canary::DamageHidden, &["agreement", "assertion", "reads"]),
    (Canary::ChosenWithoutHash, &["agreement", "assertion"]),
    (Canary::VoteUncounted, &["agreement", "assertion"]),
    (Canary::ChainIgnored, &["agreement", "assertion"]),
    (Canary::RepairedByAccept, &["agreement", "assertion"]),
    (Canary::VoteAfterEmptyDisk, &["agreement", "assertion", "durability", "reads"]),
    (Canary::KeysByWallClock, &["copies", "outputs", "assertion", "liveness"]),
];

/// Seeds in which each must be found out.
const SEEDS: u64 = 400;

/// The same of a cluster, where some faults need more to go wrong at once.
const CLUSTER_SEEDS: u64 = 1500;

/// One test for all: a fault is armed for the whole process.
#[test]
fn each_canary_is_found_out_by_its_checker() {
    let sound = (0..20).filter_map(|seed| run(Scenario::Crash, seed).err()).count();
    assert_eq!(sound, 0, "nothing is armed, and a run fails");
    let mut wrong = Vec::new();
    println!("{:<24}{:<10}{:<8}caught by", "canary", "scenario", "seed");
    for (canary, scenario, checkers) in CAUGHT.iter().filter(|(canary, ..)| is_wanted(*canary)) {
        arm(Some(*canary));
        let caught = first_caught(SEEDS, |seed| run(*scenario, seed).err());
        arm(None);
        let (seed, by) = caught.map_or((SEEDS, "nobody".to_owned()), |(seed, by)| (seed, by));
        println!("{:<24}{:<10}{seed:<8}{by}", format!("{canary:?}"), scenario.name());
        if !checkers.iter().any(|checker| by.starts_with(checker)) {
            wrong.push(format!("{canary:?}: caught by {by}, not by one of {checkers:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    each_canary_of_clusters_is_found_out();
}

/// Of the same test: a fault is armed for the whole process.
fn each_canary_of_clusters_is_found_out() {
    let swarm = cluster::Kind::Swarm;
    let damaged = |seed| provoke(Canary::DamageHidden, swarm.options(seed));
    let sound = (0..20).filter_map(|seed| run_cluster_with(swarm, seed, swarm.options(seed)).err());
    let sound_damaged = (0..60).filter_map(|seed| run_cluster_with(swarm, seed, damaged(seed)).err());
    let sound = sound.chain(sound_damaged).collect::<Vec<_>>();
    assert!(sound.is_empty(), "nothing is armed, and a run fails: {sound:?}");
    let mut wrong = Vec::new();
    for (canary, checkers) in CAUGHT_IN_A_CLUSTER.iter().filter(|(canary, _)| is_wanted(*canary)) {
        let kind = match canary {
            Canary::ActivateUncompared | Canary::LogicNotRestored => cluster::Kind::Checkpoints,
            Canary::VoteAfterEmptyDisk => cluster::Kind::Rejoin,
            _ => cluster::Kind::Swarm,
        };
        arm(Some(*canary));
        let provoked = |seed| provoke(*canary, kind.options(seed));
        let run = |seed| run_cluster_with(kind, seed, provoked(seed)).err();
        let caught = first_caught(CLUSTER_SEEDS, run);
        arm(None);
        let (seed, by) = caught.map_or((CLUSTER_SEEDS, "nobody".to_owned()), |(seed, by)| (seed, by));
        println!("{:<24}{:<10}{seed:<8}{by}", format!("{canary:?}"), "cluster");
        if !checkers.iter().any(|checker| by.starts_with(checker)) {
            wrong.push(format!("{canary:?}: caught by {by}, not by one of {checkers:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The first seed below `seeds` that is caught, and by whom; several are run side by side.
fn first_caught(seeds: u64, run: impl Fn(u64) -> Option<String> + Sync) -> Option<(u64, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, caught) = (AtomicU64::new(0), Mutex::new(None::<(u64, String)>));
    let is_first =
        |seed: u64, caught: &Option<(u64, String)>| caught.as_ref().is_none_or(|(first, _)| seed < *first);
    let search = || loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= seeds || !is_first(seed, &caught.lock().expect("nobody panicked")) {
            return;
        }
        let Some(by) = run(seed) else { continue };
        let mut caught = caught.lock().expect("nobody panicked");
        if is_first(seed, &caught) {
            *caught = Some((seed, by));
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(search))));
    caught.into_inner().expect("nobody panicked")
}

/// `ASSIZE_CANARY=name,name` runs these alone.
fn is_wanted(canary: Canary) -> bool {
    let Ok(names) = std::env::var("ASSIZE_CANARY") else { return true };
    names.split(',').any(|name| name == format!("{canary:?}"))
}

/// What a fault needs to show is made likely.
fn provoke(canary: Canary, mut options: ClusterOptions) -> ClusterOptions {
    if canary == Canary::DamageHidden {
        options.faults.damage_percent = 100;
        options.faults.down_one_in = 500;
    }
    if canary == Canary::LeadsAfterHandover {
        options.faults.hand_over_one_in = 150;
        options.shapes.iter_mut().for_each(|shape| shape.leases.reads = true);
    }
    options
}

fn run_cluster_with(kind: cluster::Kind, seed: u64, options: ClusterOptions) -> Result<(), String> {
    let run = cluster::Run { kind, seed, steps: cluster::STEPS };
    let options = ClusterOptions { invariants_every_steps: 0, ..options };
    run.run_with(options).map(|_| ()).map_err(|failure| said(failure.caught_by(), &failure.said))
}

/// `Err` says who caught it.
fn run(scenario: Scenario, seed: u64) -> Result<(), String> {
    let run = Run { scenario, seed, steps: 2000 };
    // The engine's own invariants are another net: what is shown here is that the one around it holds, too.
    let options = Options { invariants_every_steps: 0, ..scenario.options(seed) };
    run.run_with(options).map(|_| ()).map_err(|failure| said(failure.caught_by(), &failure.said))
}

fn said(by: &str, said: &str) -> String {
    let said = said.replace('\n', " ");
    format!("{by:<12} {}", said.chars().take(160).collect::<String>())
}
