//! What must not bring a cluster to a stand: it goes on while one replica is out, and with all of them afterwards
//! (P9, P13).

use assize_node::LogIds;
use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::disk::Down;
use assize_sim::seeds::each_seed;
use assize_sim::shape::Shape;
use assize_wal::SegmentReader;
use assize_wire::CoreId;

/// P9: a leader whose disk hangs gives up, and another leads.
#[test]
fn p9_a_hung_disk_of_the_leader_stops_nobody_else() {
    each_seed("p9_a_hung_disk", 0..8, |seed| {
        let mut world = serving(seed);
        let leader = world.cluster.leader().unwrap();
        world.cluster.replicas[leader].disk.hung = true;
        world.run(2000);
        world.finish_without(Some(leader));
        assert_ne!(world.cluster.leader(), Some(leader), "it leads, and its disk hangs");
        // Who operates it replaces the disk's controller, and starts it again.
        world.down(leader, Down::Process);
        world.cluster.replicas[leader].disk.hung = false;
        world.start(leader);
        world.finish();
    });
}

/// P9: a leader that is stopped for much longer than its lease, and then goes on.
#[test]
fn p9_a_leader_that_stands_still_is_replaced_and_comes_back() {
    each_seed("p9_a_leader_that_stands_still", 0..8, |seed| {
        let mut world = serving(seed);
        let leader = world.cluster.leader().unwrap();
        world.cluster.freeze(leader, u64::MAX);
        world.run(3000);
        world.finish_without(Some(leader));
        assert_ne!(world.cluster.leader(), None, "nobody leads");
        world.cluster.freeze(leader, 0);
        world.run(500);
        world.finish();
        world.stop_all();
    });
}

/// One replica is gone for ever: the other two go on.
#[test]
fn a_dead_replica_is_not_missed() {
    each_seed("a_dead_replica", 0..6, |seed| {
        let mut world = serving(seed);
        let dead = (seed % 3) as usize;
        world.down(dead, Down::Power);
        let before = world.checkers.log().len();
        world.run(4000);
        world.finish_without(Some(dead));
        world.count();
        assert!(
            world.checkers.log().len() > before + 5,
            "{} slots after {before}",
            world.checkers.log().len()
        );
    });
}

/// L5, P5: all lose power at once, and one log decays while they are out: they find each other, and a leader.
#[test]
fn l5_all_start_again_with_one_damaged_log() {
    each_seed("l5_all_start_again", 0..12, |seed| {
        let mut world = serving(seed);
        (0..3).for_each(|at| world.down(at, Down::Power));
        let damaged = (seed % 3) as usize;
        let mut random = assize_wal::memory::Random(seed);
        world.cluster.replicas[damaged].disk.damage_any(&mut random);
        (0..3).for_each(|at| world.start(at));
        world.finish();
        world.stop_all();
    });
}

/// DecayedFetchedAgain (L5, P8): records of stripes that decay while their replica runs are found when a peer wants
/// them, or when they are to be run; another peer has them, and they are written again.
#[test]
fn l5_what_decays_while_running_is_repaired_from_peers() {
    let mut decayed = 0;
    each_seed("l5_what_decays_while_running", 0..12, |seed| {
        let mut world = serving(seed);
        let (late, rotten) = ((seed % 3) as usize, ((seed + 1) % 3) as usize);
        world.down(late, Down::Power);
        world.run(3000);
        let mut random = assize_wal::memory::Random(seed);
        (0..20).for_each(|_| world.cluster.replicas[rotten].disk.damage_any(&mut random));
        world.start(late);
        world.finish();
        decayed += world.cluster.replicas[rotten].seen.decayed;
    });
    assert!(decayed > 0 || !assize_sim::seeds::all_seeds(), "nothing that decayed was ever read");
}

/// L6: a follower whose logs are small has no room, and only the leader can have a checkpoint taken: it is told.
#[test]
fn l6_a_follower_without_room_has_the_leader_take_checkpoints() {
    each_seed("l6_a_follower_without_room", 0..4, |seed| {
        let mut options = ClusterOptions::calm(3, Shape { shards: 2, ..Shape::smallest() });
        // Nobody takes a checkpoint for the sake of its own logs.
        let small = (seed % 3) as usize;
        options.shapes[small].segments_max = 16;
        let mut world = ClusterWorld::format(&options, seed);
        (0..3).for_each(|at| world.start(at));
        world.run(60_000);
        world.finish();
        let replica = &world.cluster.replicas[small];
        assert!(replica.seen.checkpoints > 0, "replica {small} had room for all of it");
    });
}

/// P13: a clock that is far off, either way, keeps its replica from leading and nobody from going on.
#[test]
fn p13_a_wrong_clock_of_the_leader_makes_another_lead() {
    each_seed("p13_a_wrong_clock", 0..8, |seed| {
        let mut world = serving(seed);
        let leader = world.cluster.leader().unwrap();
        let off = 20 * world.cluster.replicas[leader].shape.clock_skew_ns as i64;
        world.cluster.replicas[leader].wall_offset_ns = if seed % 2 == 0 { off } else { -off };
        world.run(3000);
        world.finish();
        assert_ne!(world.cluster.leader(), Some(leader), "it leads with a clock that a majority contradicts");
        assert!(world.cluster.replicas[leader].seen.contradicted > 0, "nobody was told of the clock");
    });
}

/// C7, L6: two of three report the same, so the log is recycled while the third is gone for ever.
#[test]
fn c7_the_log_stays_bounded_while_a_replica_is_dead_for_ever() {
    each_seed("c7_the_log_stays_bounded", 0..3, |seed| {
        let mut world = serving_with_checkpoints(seed);
        let dead = (seed % 3) as usize;
        world.down(dead, Down::Power);
        let living = (0..3).filter(|at| *at != dead);
        let mut most = 0;
        while living.clone().any(|at| world.cluster.replicas[at].seen.checkpoints < 20) {
            world.run(500);
            let bytes = living.clone().map(|at| log_bytes(&world, at)).max();
            most = most.max(bytes.unwrap_or_default());
            assert!(world.cluster.steps < 500_000, "{most} bytes of log, no checkpoint");
        }
        // Twenty times the bytes of a checkpoint went through the logs.
        let bound = 10 * world.cluster.replicas[0].shape.checkpoint_bytes;
        assert!(most <= bound, "{most} bytes of log, of {bound}");
        world.finish_without(Some(dead));
        world.count();
    });
}

/// L6, P7: whoever comes back when its peers' logs begin above what it has takes a checkpoint of theirs over. One of
/// them may go down in the middle of that. TakenOver, StartedAgain.
#[test]
fn l6_a_replica_that_was_away_for_long_takes_a_checkpoint_over() {
    each_seed("l6_a_replica_that_was_away", 0..6, |seed| {
        let (mut world, away) = away_for_long(seed);
        let others: Vec<usize> = (0..3).filter(|at| *at != away).collect();
        world.start(away);
        if seed % 2 == 1 {
            let began = |world: &ClusterWorld| world.cluster.replicas[away].seen.taking_over > 0;
            while !began(&world) {
                world.run(20);
                assert!(world.cluster.steps < 600_000, "it takes nothing over");
            }
            world.down(others[0], Down::Process);
            world.run(200);
            world.start(others[0]);
        }
        world.restart_again();
        world.run(2000);
        world.finish();
        let seen = world.cluster.replicas[away].seen;
        assert!(seen.taken_over > 0, "{seen:?}");
        world.count();
        world.stop_all();
    });
}

/// A replica is down, and what it lacks is gone from the logs of the others.
fn away_for_long(seed: u64) -> (ClusterWorld, usize) {
    let mut world = serving_with_checkpoints(seed);
    let away = (seed % 3) as usize;
    world.down(away, Down::Power);
    let others: Vec<usize> = (0..3).filter(|at| *at != away).collect();
    let recycled =
        |world: &ClusterWorld| others.iter().all(|at| world.cluster.replicas[*at].seen.checkpoints >= 2);
    while !recycled(&world) {
        world.run(500);
        assert!(world.cluster.steps < 300_000, "no checkpoint");
    }
    for at in &others {
        // A restart forgets what is in memory only: manifests below the checkpoint.
        world.down(*at, Down::Process);
        world.start(*at);
    }
    (world, away)
}

/// What a replica's logs of stripes hold.
fn log_bytes(world: &ClusterWorld, at: usize) -> u64 {
    let replica = &world.cluster.replicas[at];
    let mut device = replica.disk.device.clone();
    let logs = (0..replica.shape.cores() as u16).map(|core| LogIds::of(CoreId(core)).stripes);
    let segments = logs.flat_map(|log| device.segments(log).unwrap_or_default());
    segments.map(|(_, bytes)| bytes).sum()
}

/// The same as [`serving`], with checkpoints.
fn serving_with_checkpoints(seed: u64) -> ClusterWorld {
    let (checkpoint_bytes, segment_bytes) = (200 << 10, 64 << 10);
    let shape = Shape { shards: 2, checkpoint_bytes, segment_bytes, ..Shape::smallest() };
    serving_of(shape, seed)
}

/// Three replicas that answer. Who goes down stays down.
fn serving(seed: u64) -> ClusterWorld {
    serving_of(Shape { shards: 2, ..Shape::smallest() }, seed)
}

fn serving_of(shape: Shape, seed: u64) -> ClusterWorld {
    let options = ClusterOptions::calm(3, shape);
    let mut world = ClusterWorld::format(&options, seed);
    (0..3).for_each(|at| world.start(at));
    world.keep_down();
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    world.run(500);
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    world
}
