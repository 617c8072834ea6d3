//! The power fails at any step, in replay too. What was answered is in the log that is left, and nothing is there
//! twice.

use assize_wal::memory::Random;

use super::client::World;
use super::disk::Honesty;
use super::load::check;
use super::replica::{Replica, Seen};
use super::seeds::{all_seeds, each_seed, silently};
use super::shape::Shape;

/// Some load, a crash, a start that may be cut short by another one; again; then everything gets its end.
fn crash_and_go_on(seed: u64, honesty: Honesty) -> World {
    let mut random = Random(seed ^ 0xc4a5);
    let shape = Shape { honesty, ..Shape::random(&mut random) };
    let mut world = World::new(Replica::serving(shape, seed), seed);
    for _ in 0..1 + random.below(3) {
        world.run(50 + random.below(500));
        world.crash();
        check(&world);
        world.replica.start().unwrap();
        while random.below(3) == 0 {
            (0..random.below(60)).for_each(|_| world.step());
            world.crash();
            world.replica.start().unwrap();
        }
        world.replica.run_until("it serves again", Replica::is_serving);
    }
    world.run(random.below(200));
    world.finish();
    check(&world);
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
        seen.replayed += world.replica.seen.replayed;
        seen.digests_compared += world.replica.seen.digests_compared;
        seen.superblocks_halved += world.replica.seen.superblocks_halved;
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
    let mut world = World::new(Replica::serving(Shape::smallest(), 3), 3);
    world.run(400);
    world.finish();
    world.replica.pass(1_000_000_000);
    world.replica.settle();
    world.crash();
    world.replica.falsify_digests = true;
    world.replica.start().unwrap();
    let served = silently(|| world.replica.run_until("it serves", Replica::is_serving));
    assert!(served.is_none() && !world.replica.is_serving());
    assert!(world.replica.seen.diverged > 0);
}
