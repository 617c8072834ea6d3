//! What it tells of a running cluster: the same as a replica's HTTP interface.

use serde_json::json;

use super::{ctl, ctl_document, ctl_json};
use crate::cluster::{Cluster, Running};
use crate::faces::ask_until;

/// AnswerTaken, UnreachedPassedOver.
#[test]
fn a_cluster_is_asked_at_any_replica_and_one_that_is_gone_is_passed_over() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    for replica in 0..3 {
        ask_until(running.engine(replica), "/readyz", |answer| answer.status == 200);
    }
    let all: Vec<String> = (0..3).map(|replica| running.engine(replica).http()).collect();
    let http = all.join(",");

    let adjust = |delta: i64| json!({"adjust": {"item": "item:1:7", "delta": delta, "reason": 0}});
    let event = |delta: i64| json!({"domain": "inventory", "event": adjust(delta)});
    let first = ctl_document(&["submit", &event(100).to_string(), "--key", "order 1", "--http", &http], 0);
    assert_eq!((first["status"].as_str(), first["duplicate"].as_bool()), (Some("applied"), Some(false)));
    let again = ctl_document(&["submit", &event(100).to_string(), "--key", "order 1", "--http", &http], 0);
    assert_eq!((again["slot"].as_u64(), again["duplicate"].as_bool()), (first["slot"].as_u64(), Some(true)));
    // Of two shards, so either may be evaluated first: only one can ever be applied.
    let several = json!([event(-30), event(-1000)]).to_string();
    let answers = ctl_json(&["submit", &several, "--http", &http], 11);
    assert_eq!(
        (answers[0]["status"].as_str(), answers[1]["status"].as_str()),
        (Some("applied"), Some("rejected"))
    );

    for consistency in ["linearizable", "verified"] {
        let read = ["get", "inventory", "item:1:7", "--http", &http, "--consistency", consistency];
        assert_eq!(ctl_document(&read, 0)["state"]["quantity"], 70, "{consistency}");
    }
    ctl(&["get", "inventory", "item:1:8", "--http", &http], 11);
    let leader = ctl_document(&["latency", "--http", &http], 0);
    assert_eq!(leader["replica"], cluster.leader());
    assert_eq!(leader["stages"].as_array().map(Vec::len), Some(6), "{leader}");

    // One is gone: the others are asked, and the answer to whether all is well is no.
    assert_eq!(ctl_document(&["status", "--http", &http], 0)["replicas"].as_array().map(Vec::len), Some(3));
    running.kill(0);
    ask_until(running.engine(1), "/v1/cluster", |seen| seen.json()["replicas"][0]["reached"] == false);
    let status = ctl(&["status", "--http", &http], 11);
    let said = String::from_utf8(status.stdout).expect("text");
    assert!(said.contains("not reached") && said.contains("replica 0 is not reached: "), "{said}");
    running.spawn(0);
    running.wait_until_serving();

    // Every outcome once, and from a place on those behind it.
    ask_until(running.engine(1), "/v1/outcomes?from=oldest&follow=false", |told| {
        told.body.lines().count() >= 6
    });
    let outcomes = ctl_json(&["tail", "--from", "oldest", "--no-follow", "--http", &all[1]], 0);
    let status = |at: usize| outcomes[at]["status"].as_str();
    assert_eq!((status(0), status(1)), (Some("applied"), Some("duplicate")), "{outcomes:?}");
    let from = outcomes[1]["position"].as_str().expect("a position");
    let behind = ctl_json(&["tail", "--from", from, "--limit", "2", "--http", &all[1]], 0);
    assert_eq!(behind[..], outcomes[2..4]);
    running.settle();
}
