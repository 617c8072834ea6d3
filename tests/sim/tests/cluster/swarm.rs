//! The cluster swarm on some seeds.

use assize_sim::cluster::runner::{Run, STEPS};

fn run(faults: bool, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Err(failure) = (Run { faults, seed, steps: STEPS }.run()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn without_faults_nothing_is_found_broken() {
    run(false, 0..40);
}

#[test]
fn the_swarm_finds_nothing_broken() {
    run(true, 0..200);
}

/// `ASSIZE_SEEDS=0..2000` with `--ignored`: as many as wished; says of each that fails how to see it again.
#[test]
#[ignore = "as many seeds as wished"]
fn as_many_as_wished() {
    let seeds = std::env::var("ASSIZE_SEEDS").unwrap_or_else(|_| "0..100".to_owned());
    let (from, to) = seeds.split_once("..").expect("A..B");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    let calm = std::env::var("ASSIZE_CALM").is_ok();
    let steps = std::env::var("ASSIZE_STEPS").ok().map_or(STEPS, |steps| steps.parse().unwrap());
    let mut failed = 0;
    for seed in from..to {
        let began = std::time::Instant::now();
        match (Run { faults: !calm, seed, steps }.run()) {
            Err(failure) => {
                failed += 1;
                println!("{failure}\n");
            }
            Ok(summary) => println!("seed {seed}: {:.1} s {summary:?}", began.elapsed().as_secs_f64()),
        }
    }
    println!("{failed} of {} failed", to - from);
}
