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

/// `ASSIZE_SEEDS=0..2000` with `--ignored`: as many as wished; says of each that fails how to see it again.
#[test]
#[ignore = "as many seeds as wished"]
fn as_many_as_wished() {
    let seeds = std::env::var("ASSIZE_SEEDS").unwrap_or_else(|_| "0..100".to_owned());
    let (from, to) = seeds.split_once("..").expect("A..B");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    let kind = if std::env::var("ASSIZE_CALM").is_ok() { Kind::Load } else { Kind::Swarm };
    let steps = std::env::var("ASSIZE_STEPS").ok().map_or(STEPS, |steps| steps.parse().unwrap());
    let mut failed = 0;
    for seed in from..to {
        let began = std::time::Instant::now();
        match (Run { kind, seed, steps }.run()) {
            Err(failure) => {
                failed += 1;
                println!("{failure}\n");
            }
            Ok(summary) => println!("seed {seed}: {:.1} s {summary:?}", began.elapsed().as_secs_f64()),
        }
    }
    println!("{failed} of {} failed", to - from);
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
