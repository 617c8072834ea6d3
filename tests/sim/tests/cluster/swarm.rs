//! The cluster swarm on some seeds, and on those that found something once.

use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::runner::{Kind, Run, STEPS, Summary};
use assize_sim::cluster::scenario;

/// P1 to P9, P12, P13, C1 to C4, C8, R1, R2, R4, R5, L3 to L5, W1, D1: whatever the swarm draws, no checker finds
/// anything.
/// C7. CheckpointsCompared, CheckpointGivesWay, LeadershipEnds, UnnamedSentAway, CopiesAsked, HeldAtMostOnce.
#[test]
fn the_swarm_finds_nothing_broken() {
    let summary = run(Kind::Swarm, 0..110);
    assert!(summary.downs > 100 && summary.ballots > 200 && summary.partitions > 50, "{summary:?}");
    assert!(summary.switched > 20 && summary.logic_missing > 0, "{summary:?}");
    assert!(summary.disks_full > 10, "{summary:?}");
}

#[test]
fn without_faults_nothing_is_found_broken() {
    let summary = run(Kind::Load, 2000..2040);
    assert!(summary.events > 5_000 && summary.downs == 0, "{summary:?}");
}

/// C1, C4, C5, OwnCopyOutside: one replica computes a wrong outcome, whatever else goes wrong. Nobody is told it, and
/// the others go on.
#[test]
fn a_wrong_replica_is_kept_out_whatever_else_goes_wrong() {
    let summary = run(Kind::Wrong, 3000..3040);
    assert!(summary.quarantines > 20 && summary.downs > 20, "{summary:?}");
}

/// C7, L6, P7, P8: checkpoints are compared, logs are recycled, and whoever lacks what was recycled takes a checkpoint
/// over. CheckpointsCompared, CheckpointGivesWay, CheckpointGivenUp, TakenOver, TakeOverTriedAgain, StartedAgain.
#[test]
fn with_checkpoints_nothing_is_found_broken() {
    let summary = run(Kind::Checkpoints, 0..60);
    assert!(summary.checkpoints > 100 && summary.taken_over > 5, "{summary:?}");
}

/// C7, R3, NotTakenOver, RebuildBeginsAnew: what one replica sends of its checkpoints is wrong, whatever else goes
/// wrong. Nobody relies on it, and whoever has it in its logs gets the right one in the end.
#[test]
fn what_comes_of_a_checkpoint_with_wrong_bits_is_never_relied_upon() {
    let summary = run(Kind::Spoiled, 0..60);
    assert!(summary.sent_wrong > 5 && summary.taken_over > 5, "{summary:?}");
}

/// R3: disks of a minority are lost, and their replicas rejoin with empty ones, whatever else goes wrong: in the end
/// all have their votes again. RejoinBegun, RejoinTold, LostDiskForgotten, VoteRegained.
#[test]
fn with_lost_disks_nothing_is_found_broken() {
    let summary = run(Kind::Rejoin, 0..60).and(run(Kind::RejoinCheckpoints, 0..30));
    assert!(summary.lost_disks > 50 && summary.rejoined > 30, "{summary:?}");
}

/// A seed is the whole story: whatever happened happens again, to the last byte.
#[test]
fn a_seed_does_the_same_again() {
    for seed in 0..6 {
        let options = Kind::Swarm.options(seed);
        let [first, second] = [(); 2].map(|()| scenario::run(&options, seed, 2000));
        let told = |world: &ClusterWorld| {
            let events = world.history().events.iter();
            events.map(|event| (event.bytes.clone(), event.answers.clone())).collect::<Vec<_>>()
        };
        assert_eq!(told(&first), told(&second), "seed {seed}");
        let [first, second] = [first, second].map(|world| {
            let last = world.checkers.log().last().map(|slot| slot.ordered.hash);
            (last, world.cluster.now_ns, world.cluster.steps)
        });
        assert_eq!(first, second, "seed {seed}");
    }
}

/// What failed once never fails again.
#[test]
fn seeds_that_failed_once_pass() {
    let lines = include_str!("../../seeds.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#') && line.contains(" cluster")) {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| panic!("seed scenario steps reason: '{line}'"));
        let (seed, name, steps) = (word(), word(), word());
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.unwrap_or_else(|| panic!("no scenario: '{line}'"));
        assert!(words.count() >= 3, "say what it found: '{line}'");
        let (seed, steps) = (seed.parse().expect("a seed"), steps.parse().expect("steps"));
        if let Err(failure) = (Run { kind, seed, steps }.run()) {
            panic!("{failure}");
        }
    }
}

fn run(kind: Kind, seeds: std::ops::Range<u64>) -> Summary {
    let mut summary = Summary::default();
    for seed in seeds {
        match (Run { kind, seed, steps: STEPS }.run()) {
            Ok(found) => summary = summary.and(found),
            Err(failure) => panic!("{failure}"),
        }
    }
    summary
}
