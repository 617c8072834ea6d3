//! An operator has leadership moved, under load: from one replica to the next, and away from one that is to be worked
//! on. No call fails, and nothing is lost or doubled.

use std::time::Instant;

use serde_json::{Value, json};

use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::ctl::{ctl, ctl_document};
use crate::engine::DEADLINE;
use crate::faces::{ask_until, ask_with};
use crate::rng::Rng;
use crate::site::{assizectl, text};

/// HandOverTaken, SuccessorTold, SuccessorHeard, TransferDone, FollowerPassedOver (P11, P12).
#[test]
fn leadership_moves_to_the_replica_that_is_named_and_back() {
    let mut rng = Rng::announced("moved leadership");
    // It may have to be built, which is not to be waited for under load.
    drop(assizectl());
    let events = events(60_000);
    let cluster = Cluster::for_events(events);
    let mut running = Running::start(&cluster);
    let http: Vec<String> = (0..REPLICAS).map(|replica| running.engine(replica).http()).collect();
    let all = http.join(",");
    let load = Steady::start(&cluster, events);
    let first = cluster.leader();
    // Around the ring twice, and each time the one that is asked is another one, which knows who leads.
    for step in 1..=2 * REPLICAS {
        load.wait_for(5, &mut rng);
        let (to, asked) = ((first + step) % REPLICAS, (first + 2 * step) % REPLICAS);
        move_to(Some(to), &http[asked]);
        ask_until(running.engine(to), "/v1/status", |status| status.json()["leads"] == true);
        assert_eq!(cluster.leader(), to);
    }
    // Once more is no error, and without a name it is somebody else.
    let to = first.to_string();
    let again = ctl_document(&["transfer-leadership", "--to", &to, "--http", &all], 0);
    assert_eq!((&again["led_before"], &again["leader"]), (&json!(first), &json!(first)));
    let moved = move_to(None, &all);
    assert_ne!(moved["leader"], moved["led_before"]);
    let report = load.finish();
    assert!(report.run.leader_changes as usize >= 2 * REPLICAS, "{} changes", report.run.leader_changes);
    check_all(running, &report);
}

/// HandOverRefused, TransferRefused, NobodyFoundLeading: whoever cannot take over is refused with the reason, and
/// leadership stays where it is.
#[test]
fn leadership_that_cannot_be_moved_stays_and_the_operator_hears_why() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    let http: Vec<String> = (0..REPLICAS).map(|replica| running.engine(replica).http()).collect();
    let leader = cluster.leader();
    let [next, third] = [1, 2].map(|step| (leader + step) % REPLICAS);
    let refused = |to: &str, at: &str, code, words: &str| {
        let said = ctl(&["transfer-leadership", "--to", to, "--http", at], code).stderr;
        let said = String::from_utf8(said).expect("text");
        assert!(said.contains(words), "{said}");
    };
    refused("7", &http[leader], 2, "No such replica: there is no replica 7");
    refused("300", &http[leader], 2, "invalid value '300'");

    // As it is by HTTP: a follower says who leads, and what is no JSON is not looked at.
    let json_head = "content-type: application/json\r\n";
    let answer = ask_with(running.engine(next), "POST", "/v1/leadership", json_head, "{}");
    let problem = answer.json();
    assert_eq!(
        (answer.status, &problem["title"], &problem["leader"]),
        (409, &json!("Not leading"), &json!(leader))
    );
    let own = json!({"to": leader}).to_string();
    let answer = ask_with(running.engine(leader), "POST", "/v1/leadership", json_head, &own);
    assert_eq!((answer.status, &answer.json()["title"]), (409, &json!("Leads already")));
    for (head, body, status) in [(json_head, "[1]", 400), (json_head, "{\"whom\":1}", 400), ("", "{}", 415)] {
        let answer = ask_with(running.engine(leader), "POST", "/v1/leadership", head, body);
        assert_eq!(answer.status, status, "{}", answer.body);
    }

    running.kill(next);
    running.engine(leader).wait_until_said("the connection to a replica is lost", 1);
    let (to, other) = (next.to_string(), third.to_string());
    refused(&to, &http[leader], 11, "Not connected");
    refused(&to, &http[next], 10, "no replica answers");
    // There is nobody left to lead.
    running.kill(leader);
    refused(&other, &http[third], 11, "Not leading");
    running.spawn_all();
    running.wait_until_serving();
    running.settle();
}

/// Again and again: on a busy machine a successor may lag when it is asked.
fn move_to(to: Option<usize>, at: &str) -> Value {
    let until = Instant::now() + DEADLINE;
    let to = to.map(|to| to.to_string());
    loop {
        let mut command = assizectl();
        command.args(["transfer-leadership", "--json", "--http", at]);
        command.args(to.iter().flat_map(|to| ["--to", to]));
        let output = command.output().expect("running assizectl");
        match output.status.code() {
            Some(0) => return serde_json::from_slice(&output.stdout).expect("a document"),
            Some(11) => assert!(Instant::now() < until, "leadership does not move: {}", text(&output)),
            code => panic!("{code:?}: {}", text(&output)),
        }
    }
}
