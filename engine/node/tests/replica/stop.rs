//! A stop: nothing more is admitted, what was admitted is answered and durable, and every core halts.

use assize_wal::memory::Random;

use super::client::World;
use super::load::check;
use super::replica::Replica;
use super::seeds::each_seed;
use super::shape::Shape;

/// CoreStops, StopAdmitsNothing, CoreDrained, ReplicaHalted: on every seed, with events forwarded between cores
/// when it comes.
#[test]
fn a_stop_drains_and_halts() {
    each_seed("a_stop_drains", 0..200, |seed| {
        let mut random = Random(seed);
        let mut world = World::new(Replica::serving(Shape::random(&mut random), seed), seed);
        world.rude = random.below(2) == 0;
        world.run(random.below(500));
        world.replica.stop();
        for round in 0.. {
            assert!(round < 100_000, "it does not halt: {:?}", world.replica.halted);
            if world.replica.is_halted() {
                break;
            }
            world.step();
        }
        // Nobody is left without an answer whose request the cores took in.
        world.replica.finish_disk();
        assert_eq!(world.replica.unanswered_at_halt(), 0, "events were taken and not answered");
        check(&world);
        world.crash();
        check(&world);
        world.replica.start().unwrap();
        world.replica.run_until("it serves again", Replica::is_serving);
        world.finish();
        check(&world);
    });
}

/// A stop while slots are replayed ends it, and the next start serves.
#[test]
fn a_stop_during_replay_halts() {
    each_seed("a_stop_during_replay", 0..60, |seed| {
        let mut random = Random(seed);
        let mut world = World::new(Replica::serving(Shape::random(&mut random), seed), seed);
        world.run(300);
        world.crash();
        world.replica.start().unwrap();
        (0..random.below(40)).for_each(|_| world.step());
        world.replica.stop();
        world.replica.run_until("it halts", Replica::is_halted);
        world.crash();
        world.replica.start().unwrap();
        world.replica.run_until("it serves again", Replica::is_serving);
        world.finish();
        check(&world);
    });
}
