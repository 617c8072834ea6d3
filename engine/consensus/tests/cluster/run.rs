//! One run: a cluster, faults drawn from its seed, and then the time to recover.

use crate::rng::Rng;
use crate::truth::Events;
use crate::world::{Faults, World};

const STEPS: usize = 4000;
const ROUNDS: u64 = 400;

pub fn run(seed: u64) -> Events {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let replicas = rng.pick(&[1, 3, 3, 3, 5]);
    let window = rng.pick(&[1, 2, 8]);
    let faults = Faults::draw(&mut rng);
    let mut world = World::new(seed, replicas, window);
    world.connect_all();
    let steps = STEPS / 2 + rng.below(STEPS);
    for _ in 0..steps {
        world.step(&faults);
    }
    world.must_recover(ROUNDS);
    world.truth.events
}
