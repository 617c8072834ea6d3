//! Whom it asks of a running cluster: whoever hangs or is no replica is passed over. And what it says when nobody
//! answers as was hoped.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::{ctl, ctl_document, ctl_json};
use crate::faces::{ask_until, post};
use crate::site::{Settings, Site, text};

/// SilentPassedOver: also by what waits for an answer of others, or gives something away.
#[test]
fn whoever_hangs_is_passed_over_whatever_is_asked() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    ask_until(&engine, "/readyz", |answer| answer.status == 200);
    // The system takes connections for it, as for a process that was stopped.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hangs = silent.local_addr().expect("its address").to_string();
    let http = format!("{hangs},{}", engine.http());
    let asked = |arguments: &[&str]| {
        let arguments = [arguments, &["--timeout", "2", "--http", &http]].concat();
        ctl_document(&arguments, 0)
    };
    let event =
        json!({"domain": "inventory", "event": {"adjust": {"item": "item:1:7", "delta": 5, "reason": 0}}});
    assert_eq!(asked(&["submit", &event.to_string(), "--key", "k"])["status"], "applied");
    for consistency in ["linearizable", "local", "verified"] {
        let read = asked(&["get", "inventory", "item:1:7", "--consistency", consistency]);
        assert_eq!(read["state"]["quantity"], 5, "{consistency}");
    }
    assert_eq!(asked(&["status"])["replicas"][0]["reached"], true);
    assert_eq!(asked(&["divergence", "show"])[0]["divergences"], 0);
    assert_eq!(asked(&["latency"])["replica"], 0);
    assert_eq!(asked(&["tail", "--from", "oldest", "--limit", "1"])["status"], "applied");
    // Nobody answers: what each said is told to people and to programs.
    let failed = ctl(&["status", "--json", "--timeout", "0.1", "--http", &hangs], 10);
    let document: Value = serde_json::from_slice(&failed.stdout).expect("a document");
    assert_eq!(document["exit_code"], 10);
    assert_eq!(document["asked"][0]["problem"], "connected, and no answer within 0.1 s");
    assert!(text(&failed).contains(&format!("{hangs}: connected, and no answer within 0.1 s")));
    engine.stop();
}

/// FullTableTold: nothing else shows that a cluster takes no new events.
#[test]
fn a_shard_that_takes_no_new_keys_is_told_of() {
    let site = Site::new(Settings::small());
    site.format(&["--warden-capacity", "1", "--entity-capacity", "64"]);
    let mut engine = site.start();
    ask_until(&engine, "/readyz", |answer| answer.status == 200);
    let http = engine.http();
    assert_eq!(ctl_document(&["status", "--http", &http], 0)["replicas"][0]["reached"], true);
    let event =
        json!({"domain": "inventory", "event": {"adjust": {"item": "item:1:7", "delta": 5, "reason": 0}}});
    // Every shard takes one.
    let refused = (0..99).find_map(|key| {
        let key = format!("k{key}");
        let answer = post(&engine, Some(&key), &event);
        (answer.status == 503).then_some(answer)
    });
    assert!(refused.expect("one shard is full").body.contains("No room for keys"));
    engine.wait_until_said("refuses events with new keys as `full`: 1 keys are live", 1);
    let told = text(&ctl(&["status", "--http", &http], 11));
    assert!(told.contains(" is FULL: 1 keys are live") && told.contains("replica 0 told: "), "{told}");
    engine.stop();
}

/// StrangerPassedOver: here the port where clients connect.
#[test]
fn a_port_that_speaks_no_http_is_named_and_what_is_absent_is_a_problem_with_its_members() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    ask_until(&engine, "/readyz", |answer| answer.status == 200);
    let client = engine.address().to_owned();
    let failed = text(&ctl(&["status", "--timeout", "2", "--http", &client], 10));
    assert!(failed.contains(&format!("{client}: ")) && failed.contains("[listen] http"), "{failed}");
    let both = format!("{client},{}", engine.http());
    assert_eq!(ctl_document(&["status", "--timeout", "2", "--http", &both], 0)["seen_by"], 0);

    let absent = ctl_document(&["get", "inventory", "item:1:8", "--http", &engine.http()], 11);
    let problem = &absent["problem"];
    assert_eq!((&absent["exit_code"], &problem["status"]), (&json!(11), &json!(404)), "{absent}");
    assert!(problem["slot"].is_u64(), "{absent}");
    // A command line that cannot be read asked for documents, too.
    let unread = ctl_document(&["transfer-leadership", "--to", "x"], 2);
    assert!(unread["error"].as_str().is_some_and(|error| error.contains("a replica's number")), "{unread}");
    engine.stop();
}

/// PieceAnswered, SubmissionDone, PieceRefused: nothing is sent behind a piece that is refused.
#[test]
fn a_long_file_goes_in_pieces_and_ends_where_one_is_refused() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    ask_until(&engine, "/readyz", |answer| answer.status == 200);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let path_text = path.to_str().expect("a path in letters");
    let event = |number: usize, domain: &str| {
        let adjust = json!({"adjust": {"item": format!("item:1:{}", number % 50), "delta": 1, "reason": 0}});
        json!({"domain": domain, "event": adjust, "key": format!("key {number}")}).to_string()
    };
    let mut lines: Vec<String> = (1..=2200).map(|number| event(number, "inventory")).collect();
    std::fs::write(&path, lines.join("\n")).expect("writing events");
    let answers = ctl_json(&["submit", path_text, "--http", &engine.http()], 0);
    assert_eq!(answers.len(), 2200);
    let of_first_item = answers.iter().step_by(50).map(|answer| answer["response"]["quantity"].clone());
    let expected: Vec<Value> = (1..=44).map(Value::from).collect();
    assert_eq!(of_first_item.collect::<Vec<_>>(), expected, "in their order");
    // The same again has the same outcomes, as far as it goes.
    lines[1205] = event(1206, "stocks");
    std::fs::write(&path, lines.join("\n")).expect("writing events");
    let mut again = ctl_json(&["submit", path_text, "--http", &engine.http()], 2);
    let refused = again.pop().expect("an error");
    assert!(again.len() == 1000 && again.iter().all(|answer| answer["duplicate"] == true));
    let error = refused["error"].as_str().expect("words");
    for words in ["event 1206 (line 1206)", "events 1 to 1000 (lines 1 to 1000) were answered"] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(refused["problem"]["title"], "Malformed request");
    engine.stop();
}
