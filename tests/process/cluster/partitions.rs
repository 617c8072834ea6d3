//! Cables that are pulled: each replica is a machine of its own, as far as its network goes. Packets vanish, and nobody
//! is told that a connection is dead.

use super::namespaces::{Switch, in_namespaces};
use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::rng::Rng;

fn survive(test: &str, fault: impl FnOnce(&Switch, &mut Running<'_>, &Steady, &mut Rng)) {
    in_namespaces(&format!("cluster::partitions::{test}"), || {
        let mut rng = Rng::announced(test);
        let events = events(40_000);
        let mut cluster = Cluster::for_events(events);
        let switch = Switch::of(&mut cluster);
        let mut running = Running::start(&cluster);
        let load = Steady::start(&cluster, events);
        fault(&switch, &mut running, &load, &mut rng);
        let report = load.finish();
        check_all(running, &report);
    });
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_comes_back() {
    survive("a_leader_that_is_cut_off_is_replaced_and_comes_back", |switch, running, load, rng| {
        for _ in 0..2 {
            load.wait_for(25, rng);
            let leader = running.cluster.leader();
            switch.unplug(leader);
            load.wait_for(15, rng);
            assert_ne!(running.cluster.leader(), leader, "it leads, and is cut off");
            switch.plug(leader);
        }
    });
}

#[test]
fn a_follower_that_is_cut_off_is_not_missed_and_comes_back() {
    survive("a_follower_that_is_cut_off_is_not_missed_and_comes_back", |switch, running, load, rng| {
        load.wait_for(20, rng);
        let follower = (running.cluster.leader() + 1) % REPLICAS;
        switch.unplug(follower);
        load.wait_for(40, rng);
        switch.plug(follower);
    });
}

#[test]
fn nothing_moves_while_nobody_reaches_anybody_and_all_goes_on_afterwards() {
    survive(
        "nothing_moves_while_nobody_reaches_anybody_and_all_goes_on_afterwards",
        |switch, _, load, rng| {
            for _ in 0..3 {
                load.wait_for(20, rng);
                (0..REPLICAS).for_each(|replica| switch.unplug(replica));
                load.wait_a_moment(rng);
                (0..REPLICAS).for_each(|replica| switch.plug(replica));
            }
        },
    );
}
