//! What a run of the simulator does, by name. Everything in it follows from its seed.

use assize_wal::memory::Random;

use crate::options::{Faults, Options};
use crate::world::World;

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Everything at once, as the swarm's options have it.
    Swarm,
    /// The swarm without faults.
    Load,
    /// The swarm with a replica that goes down all the time.
    Crash,
    /// The swarm, and a stop in good order in the middle.
    Stop,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 4] = [Scenario::Swarm, Scenario::Load, Scenario::Crash, Scenario::Stop];

    /// As it is named on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Swarm => "swarm",
            Scenario::Load => "load",
            Scenario::Crash => "crash",
            Scenario::Stop => "stop",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Scenario> {
        Scenario::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// What a seed draws for it.
    #[must_use]
    pub fn options(self, seed: u64) -> Options {
        let mut random = Random(seed ^ 0x0b71_0250);
        let mut options = Options::draw(&mut random);
        match self {
            Scenario::Swarm => {}
            Scenario::Load | Scenario::Stop => options.faults = Faults::NONE,
            Scenario::Crash => options.faults = Faults::crashes(&mut random),
        }
        options
    }

    /// Runs it: `steps` under load, then nothing goes wrong any more, everything ends, and the books are counted.
    ///
    /// # Panics
    /// In the name of a checker, or of the engine's own assertion, when something is broken.
    #[must_use]
    pub fn run(self, options: &Options, seed: u64, steps: u64) -> World {
        let mut world = World::started(options, seed);
        let halfway = steps / 2;
        while world.replicas[0].steps() < steps {
            world.act_and_step();
            let down_one_in = options.faults.down_one_in;
            if world.replicas[0].failed || (down_one_in > 0 && world.random.below(down_one_in) == 0) {
                world.bounce();
            }
            if self == Scenario::Stop && world.replicas[0].steps() >= halfway && world.downs == 0 {
                stop(&mut world);
            }
        }
        world.calm();
        world.finish();
        world.count();
        world.check();
        world
    }
}

/// Stops in good order: everything that the cores took in is answered. Then it starts again.
fn stop(world: &mut World) {
    world.replicas[0].stop();
    world.run_until("it halts", |world| world.replicas[0].is_halted());
    world.replicas[0].finish_disk();
    let unanswered = world.replicas[0].unanswered_at_halt();
    assert!(unanswered == 0, "[liveness] {unanswered} events were taken and not answered at a stop");
    world.crash();
    world.start();
}
