//! A stop: nothing more is admitted, what was admitted is answered and durable, and every core halts.

use assize_wal::memory::Random;

use assize_sim::replica::Replica;
use assize_sim::seeds::each_seed;
use assize_sim::shape::Shape;
use assize_sim::world::World;

/// CoreStops, StopAdmitsNothing, CoreDrained, ReplicaHalted: on every seed, with events forwarded between cores
/// when it comes.
#[test]
fn a_stop_drains_and_halts() {
    each_seed("a_stop_drains", 0..200, |seed| {
        let mut random = Random(seed);
        let mut world = World::serving(Shape::random(&mut random), seed);
        world.rude = random.below(2) == 0;
        world.run(random.below(500));
        world.replicas[0].stop();
        for round in 0.. {
            assert!(round < 100_000, "it does not halt: {:?}", world.replicas[0].halted);
            if world.replicas[0].is_halted() {
                break;
            }
            world.step();
        }
        // Nobody is left without an answer whose request the cores took in.
        world.replicas[0].finish_disk();
        assert_eq!(world.replicas[0].unanswered_at_halt(), 0, "events were taken and not answered");
        world.check();
        world.crash();
        world.check();
        world.replicas[0].start().unwrap();
        world.replicas[0].run_until("it serves again", Replica::is_serving);
        world.finish();
        world.check();
    });
}

/// A stop while slots are replayed ends it, and the next start serves.
#[test]
fn a_stop_during_replay_halts() {
    each_seed("a_stop_during_replay", 0..60, |seed| {
        let mut random = Random(seed);
        let mut world = World::serving(Shape::random(&mut random), seed);
        world.run(300);
        world.crash();
        world.replicas[0].start().unwrap();
        (0..random.below(40)).for_each(|_| world.step());
        world.replicas[0].stop();
        world.replicas[0].run_until("it halts", Replica::is_halted);
        world.crash();
        world.replicas[0].start().unwrap();
        world.replicas[0].run_until("it serves again", Replica::is_serving);
        world.finish();
        world.check();
    });
}
