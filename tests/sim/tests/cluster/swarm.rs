//! The cluster swarm on some seeds.

use assize_sim::cluster::runner::{Kind, Run, STEPS, Summary};

#[test]
fn without_faults_nothing_is_found_broken() {
    run(Kind::Load, 0..40);
}

/// LeadershipEnds, UnnamedSentAway, CopiesAsked, HeldAtMostOnce.
#[test]
fn the_swarm_finds_nothing_broken() {
    run(Kind::Swarm, 0..200);
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
