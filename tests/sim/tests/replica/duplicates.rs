//! W2: a duplicate gets the first response, wherever that is when it is asked for.

use assize_wire::outcome::Status;

use assize_sim::bank::Op;
use assize_sim::frames::event;
use assize_sim::replica::Replica;
use assize_sim::shape::{EPOCH_NS, Shape, TTL_NS};
use assize_sim::world::World;

fn world() -> World {
    let mut world = World::serving(Shape::smallest(), 9);
    world.rude = false;
    world.connect(0);
    world
}

fn long(key: u128) -> Vec<u8> {
    event(key, EPOCH_NS + TTL_NS / 2, &Op::Deposit { account: 1, amount: 7, extra: 200 })
}

fn assert_duplicate(world: &World, duplicate: usize, first: usize) {
    let answer = |at: usize| &world.history.events[at].answers[0];
    let (duplicate, first) = (answer(duplicate), answer(first));
    assert_eq!((duplicate.status, duplicate.first_status), (Status::Duplicate, Status::Applied));
    assert_eq!(duplicate.response.len(), 208);
    assert_eq!((&duplicate.response, duplicate.position), (&first.response, first.position));
}

/// DuplicateLookedUp, DuplicateFilled: from the stripe itself.
#[test]
fn a_duplicate_in_the_same_stripe_gets_the_long_response() {
    let mut world = world();
    let places = world.submit(&[long(1), long(2), long(1), long(1)]);
    world.finish();
    assert_duplicate(&world, places[2], places[0]);
    assert_duplicate(&world, places[3], places[0]);
    assert_eq!(world.replicas[0].log_after_crash(0).len(), 1);
    world.check();
}

/// From a chunk that is not written yet, and again while that is being written.
#[test]
fn a_duplicate_gets_the_long_response_from_an_open_chunk() {
    let mut world = world();
    let first = world.submit(&[long(1)])[0];
    while world.unanswered() > 0 {
        world.step();
    }
    let duplicates: Vec<usize> = (0..5).map(|_| world.submit(&[long(1), long(1)])[1]).collect();
    world.finish();
    duplicates.iter().for_each(|duplicate| assert_duplicate(&world, *duplicate, first));
    world.check();
}

/// From the disk, before and after a start.
#[test]
fn a_duplicate_gets_the_long_response_from_disk() {
    let mut world = world();
    let first = world.submit(&[long(1)])[0];
    world.finish();
    // The chunk is old enough to be written, and flushed.
    world.replicas[0].pass(200_000_000);
    world.replicas[0].settle();
    let second = world.submit(&[long(1)])[0];
    world.finish();
    assert_duplicate(&world, second, first);
    world.crash();
    world.replicas[0].start().unwrap();
    assert!(world.replicas[0].seen.digests_compared > 0, "the stream holds the first outcome");
    world.replicas[0].run_until("it serves again", Replica::is_serving);
    world.replicas[0].settle();
    let third = world.submit(&[long(1)])[0];
    world.finish();
    assert_duplicate(&world, third, first);
    world.check();
}

/// The stream's record lies in the log of the core that owned the shard before.
#[test]
fn a_duplicate_gets_the_long_response_after_its_shard_moved_to_another_core() {
    let mut two = Shape::smallest();
    (two.cores, two.shards) = (2, 2);
    let mut world = World::serving(two, 9);
    world.rude = false;
    world.connect(0);
    let first = world.submit(&[long(1), long(2), long(3), long(4)]);
    world.finish();
    world.replicas[0].pass(200_000_000);
    world.replicas[0].settle();
    world.crash();
    world.replicas[0].shape.cores = 1;
    world.replicas[0].start().unwrap();
    world.replicas[0].run_until("it serves again", Replica::is_serving);
    world.replicas[0].settle();
    let again = world.submit(&[long(1), long(2), long(3), long(4)]);
    world.finish();
    again.iter().zip(&first).for_each(|(again, first)| assert_duplicate(&world, *again, *first));
    world.check();
}
