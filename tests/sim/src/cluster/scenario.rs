//! A run of a cluster: under load and faults, then nothing goes wrong any more, everything ends, and the books are
//! counted.

use assize_wal::memory::Random;

use super::faults::FaultHabits;
use super::options::ClusterOptions;
use super::runner::Kind;
use super::world::ClusterWorld;
use crate::options::Faults;

/// What a seed draws.
#[must_use]
pub fn options(seed: u64, kind: Kind) -> ClusterOptions {
    let mut random = Random(seed ^ 0xc1b5_7e20);
    let mut options = ClusterOptions::draw(&mut random);
    match kind {
        Kind::Swarm => {}
        Kind::Load => (options.faults, options.of_replica) = (FaultHabits::NONE, Faults::NONE),
        Kind::Checkpoints => options = options.with_checkpoints(&mut random),
        Kind::Wrong => options = options.with_a_wrong_replica(&mut random),
        Kind::Spoiled => options = options.with_checkpoints(&mut random).with_a_spoiler(&mut random),
        Kind::Rejoin => options = options.with_lost_disks(&mut random),
        Kind::RejoinCheckpoints => {
            options = options.with_checkpoints(&mut random).with_lost_disks(&mut random)
        }
    }
    // Drawn apart, so that what a seed drew before stays what it was.
    let mut apart = Random(seed ^ 0x105f_d15c);
    let everything = matches!(kind, Kind::Swarm | Kind::Checkpoints);
    if everything && options.faults.down_one_in > 0 && apart.below(4) == 0 {
        options = options.with_lost_disks(&mut apart);
    }
    let mut apart = Random(seed ^ 0xf011_d15c);
    let full = everything || kind == Kind::Spoiled;
    if full && options.faults.down_one_in > 0 && apart.below(4) == 0 {
        options.faults.full_disk_one_in = [300, 1000, 3000][apart.below(3) as usize];
    }
    // The number is one with which the seeds that failed before anybody handed over draw none.
    let mut apart = Random(seed ^ 0x4a4d_00d5);
    if options.replicas > 1 && apart.below(2) == 0 {
        options.faults.hand_over_one_in = [150, 500, 2000][apart.below(3) as usize];
    }
    options
}

/// Runs it.
///
/// # Panics
/// In the name of a checker, or of the engine's own assertion, when something is broken.
#[must_use]
pub fn run(options: &ClusterOptions, seed: u64, steps: u64) -> ClusterWorld {
    let mut world = ClusterWorld::format(options, seed);
    while world.cluster.steps < steps {
        world.act_and_step();
    }
    world.calm();
    world.finish();
    world.count();
    world.stop_all();
    world
}
