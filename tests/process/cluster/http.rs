//! Three replicas by HTTP: any of them takes events and reads for whoever leads, and sees the others.

use assize_inventory::INVENTORY;
use serde_json::Value;

use super::replicas::{Cluster, REPLICAS, Running};
use crate::faces::{adjust_body, ask, ask_until, post};
use crate::load::item_of;

/// W1: a follower sends an event on under its key, with its deadline, and whoever gets it again answers as the first
/// time.
#[test]
fn whoever_is_asked_sends_an_event_to_the_leader() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    let leader = cluster.leader();
    for replica in 0..REPLICAS {
        let engine = running.engine(replica);
        let (key, body) = (format!("order {replica}"), adjust_body(1, 5));
        let first = post(engine, Some(&key), &body);
        assert_eq!(first.status, 200, "replica {replica}: {}", first.body);
        assert_eq!(first.json()["status"], "applied", "{}", first.body);
    }
    let again = post(running.engine(leader), Some("order 0"), &adjust_body(1, 5)).json();
    assert_eq!((again["duplicate"].as_bool(), again["status"].as_str()), (Some(true), Some("applied")));
    // Another one leads: what a follower has under way finds it.
    running.kill(leader);
    let follower = (leader + 1) % REPLICAS;
    let after = post(running.engine(follower), Some("order 3"), &adjust_body(1, 5));
    assert_eq!(after.status, 200, "{}", after.body);
    running.spawn(leader);
    running.wait_until_serving();
    let path = format!("/v1/entities/{}/{:032x}", INVENTORY.0, item_of(1).0);
    for replica in 0..REPLICAS {
        let read = ask(running.engine(replica), "GET", &path);
        assert_eq!(read.status, 200, "{}", read.body);
        assert_eq!(quantity(&read.json()), 20, "replica {replica}: {}", read.body);
        // C8: a local read is of a slot that was published there; it comes to what was answered in the end.
        let local = format!("{path}?consistency=local");
        let (slot, decided) = (after.json()["slot"].as_u64(), |read: &Value| quantity(read) == 20);
        let read =
            ask_until(running.engine(replica), &local, |read| read.status == 200 && decided(&read.json()));
        assert!(read.json()["slot"].as_u64() >= slot, "replica {replica}: {}", read.body);
    }
    running.settle();
}

fn quantity(read: &Value) -> u64 {
    read["state"]["quantity"].as_u64().expect("an item")
}

#[test]
fn each_replica_sees_the_others_and_that_one_is_gone() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    let reached = |seen: &Value, replica: usize| seen["replicas"][replica]["reached"] == true;
    for replica in 0..REPLICAS {
        let seen = ask_until(running.engine(replica), "/v1/cluster", |answer| {
            (0..REPLICAS).all(|other| reached(&answer.json(), other))
        });
        let seen = seen.json();
        assert_eq!(seen["seen_by"], replica);
        for other in 0..REPLICAS {
            assert_eq!(seen["replicas"][other]["status"]["replica"], other, "{seen}");
            assert_eq!(seen["replicas"][other]["http"], running.engine(other).http(), "{seen}");
        }
    }
    running.kill(1);
    let seen = ask_until(running.engine(0), "/v1/cluster", |answer| !reached(&answer.json(), 1)).json();
    assert!(reached(&seen, 0) && reached(&seen, 2) && seen["replicas"][1]["problem"].is_string(), "{seen}");
    // What it said last is still there, and how old that is.
    assert!(
        seen["replicas"][1]["status"]["replica"] == 1 && seen["replicas"][1]["age_ms"].is_u64(),
        "{seen}"
    );
    running.spawn(1);
    running.wait_until_serving();
    ask_until(running.engine(0), "/v1/cluster", |answer| reached(&answer.json(), 1));
    running.settle();
}
