//! kill -9 of any of three replicas, and of all of them, while they are under load and while they recover.

use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::rng::Rng;

/// A scenario: what is done to the replicas while the load runs.
fn survive(what: &str, fault: impl FnOnce(&mut Running<'_>, &Steady, &mut Rng)) {
    let mut rng = Rng::announced(what);
    let events = events(100_000);
    let cluster = Cluster::for_events(events);
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    fault(&mut running, &load, &mut rng);
    let report = load.finish();
    running.wait_until_serving();
    check_all(running, &report);
}

/// Of the replicas that do not lead, one by chance.
fn follower(cluster: &Cluster, rng: &mut Rng) -> usize {
    (cluster.leader() + 1 + rng.below(REPLICAS as u64 - 1) as usize) % REPLICAS
}

#[test]
fn the_leader_dies_and_comes_back() {
    survive("kill the leader", |running, load, rng| {
        load.wait_for(20, rng);
        let leader = running.cluster.leader();
        running.kill(leader);
        load.wait_for(30, rng);
        running.spawn(leader);
    });
}

#[test]
fn a_follower_dies_and_comes_back() {
    survive("kill a follower", |running, load, rng| {
        load.wait_for(20, rng);
        let follower = follower(running.cluster, rng);
        running.kill(follower);
        load.wait_for(30, rng);
        running.spawn(follower);
    });
}

#[test]
fn two_die_then_all_at_once() {
    survive("kill two, then all", |running, load, rng| {
        load.wait_for(20, rng);
        let first = rng.below(REPLICAS as u64) as usize;
        running.kill(first);
        running.kill((first + 1) % REPLICAS);
        running.spawn_all();
        running.wait_until_serving();
        load.wait_for(30, rng);
        (0..REPLICAS).for_each(|replica| running.kill(replica));
        running.spawn_all();
    });
}

#[test]
fn some_die_again_while_they_recover() {
    survive("kill in recovery", |running, load, rng| {
        load.wait_for(20, rng);
        let leader = running.cluster.leader();
        running.kill(leader);
        for _ in 0..4 {
            running.spawn(leader);
            running.kill_in_recovery(leader, rng);
        }
        running.spawn(leader);
        load.wait_for(30, rng);
        (0..REPLICAS).for_each(|replica| running.kill(replica));
        for _ in 0..4 {
            running.spawn_all();
            (0..REPLICAS).for_each(|replica| running.kill_in_recovery(replica, rng));
        }
        running.spawn_all();
    });
}
