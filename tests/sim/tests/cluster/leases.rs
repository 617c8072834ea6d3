//! Leases (P11): who holds one answers reads by itself, and only then.

use assize_node::LeaseUse;
use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::seeds::each_seed;
use assize_sim::shape::Shape;

/// ReadByLease: with nobody to ask a leader answers reads while its lease lasts. LeaseOver: no longer.
#[test]
fn p11_a_leader_answers_by_its_lease_while_that_lasts() {
    each_seed("p11_a_leader_answers_by_its_lease", 0..8, |seed| {
        let mut world = idle(seed, true);
        let leader = world.cluster.leader().unwrap();
        let ends = world.cluster.now_ns + lease_ns(&world);
        world.cut_off_and_read(leader);
        let before = world.history().reads;
        run_until(&mut world, ends);
        let by_lease = world.history().reads;
        assert!(by_lease > before + 5, "{} reads by the lease", by_lease - before);
        // Its clock may be slow, and what was told is on its way.
        run_until(&mut world, ends + 2_000_000);
        let told = world.history().reads;
        run_until(&mut world, 2 * ends);
        assert_eq!(world.history().reads, told, "its lease is over, and nobody confirms that it leads");
    });
}

/// ReadByMajority: with leases off each read asks a majority.
#[test]
fn p11_with_leases_off_nothing_is_answered_without_a_majority() {
    each_seed("p11_with_leases_off", 0..4, |seed| {
        let mut world = idle(seed, false);
        let leader = world.cluster.leader().unwrap();
        let before = world.history().reads;
        world.count();
        assert!(world.history().reads > before, "a majority is there");
        let ends = world.cluster.now_ns + lease_ns(&world);
        world.cut_off_and_read(leader);
        world.run(100);
        let told = world.history().reads;
        run_until(&mut world, ends);
        assert_eq!(world.history().reads, told, "nobody confirms that it leads");
    });
}

/// LeaseReleased, HandedOver, ReadSentAway: who hands over gives up its lease, so that the next leader waits for
/// nothing.
#[test]
fn p11_a_handover_waits_for_no_lease() {
    each_seed("p11_a_handover", 0..8, |seed| {
        let mut world = idle(seed, true);
        let leader = world.cluster.leader().unwrap();
        let ends = world.cluster.now_ns + lease_ns(&world);
        world.cluster.replicas[leader].stop();
        // Its process ends, and its connections with it, only when what it said last has arrived.
        while world.cluster.leader().is_none_or(|next| next == leader) {
            world.cluster.step();
            assert!(world.cluster.now_ns < ends, "nobody else leads before the lease would have ended");
        }
    });
}

fn lease_ns(world: &ClusterWorld) -> u64 {
    world.cluster.replicas[0].shape.election.lease_ns()
}

fn run_until(world: &mut ClusterWorld, ns: u64) {
    while world.cluster.now_ns < ns {
        world.run(1);
    }
}

/// Three replicas that have answered everything.
fn idle(seed: u64, reads: bool) -> ClusterWorld {
    let leases = LeaseUse { reads, clock_rate_error_ppm: 200 };
    let shape = Shape { shards: 2, leases, ..Shape::smallest() };
    let mut world = ClusterWorld::format(&ClusterOptions::calm(3, shape), seed);
    (0..3).for_each(|at| world.start(at));
    world.keep_down();
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    world.run(500);
    world.finish();
    world
}
