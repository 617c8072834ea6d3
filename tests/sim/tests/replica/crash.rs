//! The power fails at any step, in replay too. What was answered is in the log that is left, and nothing is there
//! twice.

use assize_wal::memory::Random;

use assize_sim::disk::Honesty;
use assize_sim::replica::{Replica, Seen};
use assize_sim::seeds::{all_seeds, caught, each_seed, silently};
use assize_sim::shape::Shape;
use assize_sim::world::World;

/// Some load, a crash, a start that may be cut short by another one; again; then everything gets its end.
fn crash_and_go_on(seed: u64, honesty: Honesty) -> World {
    let mut random = Random(seed ^ 0xc4a5);
    let shape = Shape { honesty, ..Shape::random(&mut random) };
    let mut world = World::serving(shape, seed);
    for _ in 0..1 + random.below(3) {
        world.run(50 + random.below(500));
        world.crash();
        world.check();
        world.replicas[0].start().unwrap();
        while random.below(3) == 0 {
            (0..random.below(60)).for_each(|_| world.step());
            world.crash();
            world.replicas[0].start().unwrap();
        }
        world.replicas[0].run_until("it serves again", Replica::is_serving);
    }
    world.run(random.below(200));
    world.finish();
    world.check();
    world
}

/// W1, W2, L3, L7, C4, D1: nothing answered is lost and nothing doubled; a key that is submitted again gets the first
/// answer byte for byte; what is replayed has the digests that were published.
///
/// ReplayedInOrder, ReplayedDigestCompared, LeadAfterReplay, LeadingAdmits, NothingAnsweredIsLost,
/// LostWithTheirConnection.
#[test]
fn nothing_answered_is_lost_or_doubled_by_crashes() {
    let mut seen = Seen::default();
    each_seed("nothing_answered_is_lost", 0..150, |seed| {
        let world = crash_and_go_on(seed, Honesty::Honest);
        seen.replayed += world.replicas[0].seen.replayed;
        seen.digests_compared += world.replicas[0].seen.digests_compared;
        seen.superblocks_halved += world.replicas[0].seen.superblocks_halved;
    });
    if all_seeds() {
        assert!(seen.replayed > 1000 && seen.digests_compared > 100, "{seen:?}");
        assert!(seen.superblocks_halved > 5, "{seen:?}");
    }
}

/// The canaries (L3): a device that lies about flushes, and a core that takes a write for durable before it is, are
/// found out by the same checks that pass above.
#[test]
fn a_lie_about_durability_is_found_out() {
    if !all_seeds() {
        return;
    }
    for honesty in [Honesty::NeverFlushes, Honesty::CompletesAtOnce] {
        let seeds = 0..20;
        let caught = seeds.clone().filter(|seed| silently(|| crash_and_go_on(*seed, honesty)).is_none());
        let caught = caught.count();
        assert!(caught >= 10, "{honesty:?} passes in {} of {seeds:?}", seeds.clone().count() - caught);
    }
}

/// C4: a digest of the outcome stream that is not what the replay computes is reported, and nothing is published.
#[test]
fn a_replay_that_contradicts_a_stored_digest_is_reported() {
    let mut world = World::serving(Shape::smallest(), 3);
    world.run(400);
    world.finish();
    world.replicas[0].pass(1_000_000_000);
    world.replicas[0].settle();
    world.crash();
    world.replicas[0].falsify_digests = true;
    world.replicas[0].start().unwrap();
    let served = silently(|| world.replicas[0].run_until("it serves", Replica::is_serving));
    assert!(served.is_none() && !world.replicas[0].is_serving());
    assert!(world.replicas[0].seen.diverged > 0);
}

/// X3, X4: whoever waits for a message that is lost waits for ever; that is found out by the budgets of steps, if
/// nothing finds it out before.
#[test]
fn a_lost_message_is_found_out() {
    let mut by_budget = 0;
    for seed in 0..20 {
        let shape = Shape { cores: 3, shards: 6, ..Shape::random(&mut Random(seed)) };
        let lost = caught(|| {
            let mut world = World::serving(shape, seed);
            world.replicas[0].lose_one_in = 100;
            world.run(2000);
            world.finish();
        });
        let said = lost.expect_err("messages were lost");
        by_budget += u64::from(said.contains("[liveness]"));
    }
    assert!(by_budget >= 5, "only {by_budget} of 20 runs came to a standstill");
}
