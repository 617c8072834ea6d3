//! A run of a cluster: under load and faults, then nothing goes wrong any more, everything ends, and the books are counted.

use assize_wal::memory::Random;

use super::faults::FaultHabits;
use super::options::ClusterOptions;
use super::world::ClusterWorld;
use crate::options::Faults;

/// What a seed draws.
#[must_use]
pub fn options(seed: u64, faults: bool) -> ClusterOptions {
    let mut options = ClusterOptions::draw(&mut Random(seed ^ 0xc1b5_7e20));
    if !faults {
        (options.faults, options.of_replica) = (FaultHabits::NONE, Faults::NONE);
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
