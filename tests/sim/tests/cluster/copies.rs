//! Digests of slots published long ago: they come from the outcome streams of those who keep them (C4).

use assize_node::LogIds;
use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::disk::Down;
use assize_sim::seeds::each_seed;
use assize_sim::shape::Shape;
use assize_wire::CoreId;

/// LateCopyHandedBack, OldCopyTold: a replica starts from the beginning, and its peers have started since
/// from a checkpoint, so that their memory has none of the digests it needs.
#[test]
fn c4_who_starts_below_its_peers_checkpoint_is_told_what_was_published() {
    each_seed("c4_who_starts_below", 0..6, |seed| {
        let mut world =
            behind(seed, Shape { shards: 2, checkpoint_bytes: 400 << 10, ..Shape::smallest() }, 1);
        world.start(0);
        world.run(1000);
        world.finish();
        world.count();
        world.stop_all();
        let late = &world.cluster.replicas[0].seen;
        assert_eq!((late.from_checkpoint, late.checkpoints_needed, late.copies_gone), (0, 0, 0));
    });
}

/// OldCopyGone, GoneCopyAlarms: the same where the peers have given those outcomes up, which are older than the TTL. It
/// says so.
#[test]
fn c4_who_can_not_be_told_any_more_says_that_it_must_be_rebuilt() {
    each_seed("c4_who_can_not_be_told", 0..4, |seed| {
        let shape = Shape {
            shards: 2,
            checkpoint_bytes: 1 << 20,
            segment_bytes: 64 << 10,
            ttl_ns: 100_000_000,
            ..Shape::smallest()
        };
        let mut world = behind(seed, shape, 3);
        world.start(0);
        world.run_until("replica 0 says that it must be rebuilt", 200_000, |world| {
            world.cluster.replicas[0].seen.copies_gone > 0
        });
        world.run(1000);
        world.finish_without(Some(0));
    });
}

/// Replica 0 is down, with a log that begins at slot 1 and no checkpoint. The others took some, and have started from
/// the last.
fn behind(seed: u64, shape: Shape, checkpoints: u64) -> ClusterWorld {
    let mut options = ClusterOptions::calm(3, shape);
    options.step_ns_max = 200_000;
    options.mix.act_one_in = 8;
    let parts = LogIds::of(CoreId(0)).parts;
    options.disks[0].slow_log = Some(parts);
    let mut world = ClusterWorld::format(&options, seed);
    (0..3).for_each(|at| world.start(at));
    world.keep_down();
    world.cluster.replicas[0].disk.stuck_log = Some(parts);
    let taken = |world: &ClusterWorld, at: usize| world.cluster.replicas[at].seen.checkpoints >= checkpoints;
    while !(taken(&world, 1) && taken(&world, 2)) {
        world.run(1);
        assert!(world.cluster.steps < 400_000, "no checkpoint");
        assert!(world.cluster.replicas[0].seen.checkpoints == 0, "replica 0 is to be behind");
    }
    world.down(0, Down::Process);
    // What is under way comes to its end, and their logs fall idle: what a crash may leave is looked at elsewhere.
    world.finish_without(Some(0));
    (0..3000).for_each(|_| world.step());
    for at in 0..3 {
        // Another one would take more away than replica 0 has.
        world.cluster.replicas[at].shape.checkpoint_bytes = u64::MAX;
    }
    world.down(1, Down::Process);
    world.down(2, Down::Process);
    world.start(1);
    world.start(2);
    world.run(2000);
    world.finish_without(Some(0));
    assert!((1..3).all(|at| world.cluster.replicas[at].seen.from_checkpoint == 1));
    world
}
