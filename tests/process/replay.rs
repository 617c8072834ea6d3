//! `assize-load replay` of the sample that is shipped: what its lines expect the first time, and duplicates from then
//! on, through kills and for whoever asks by HTTP.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::cluster::{Cluster, Running};
use crate::engine::Engine;
use crate::faces::{ask_until, post};
use crate::site::{Settings, Site, assize_load, text};

#[test]
fn the_sample_is_as_expected_once_and_duplicates_from_then_on() {
    let site = Site::formatted(Settings::on_fixed_ports(vec![vec![0, 1], vec![2]]));
    let mut engine = site.start();
    let first = ended(replay(&site.address(), &["--speed", "max"]), 0);
    assert_eq!(first["outcomes"], expected_by_outcome(), "{first}");
    assert_eq!((first["shards"].as_u64(), first["failed_calls"].as_u64()), (Some(3), Some(0)));

    // Whatever the engine keeps of it outlives a kill.
    engine.kill();
    engine = site.start();
    let again = ended(replay(&site.address(), &["--speed", "max", "--again", "--batch", "20"]), 0);
    let conflicts = first["outcomes"]["conflict"].as_u64().expect("a count");
    assert_eq!(again["outcomes"]["conflict"], conflicts);
    assert_eq!(again["outcomes"]["duplicate"], first["lines"].as_u64().expect("a count") - conflicts);
    assert_eq!(again["outcomes"].as_object().map(serde_json::Map::len), Some(2), "{again}");

    // Who expects it for the first time is told that it is not.
    let surprised = ended(replay(&site.address(), &["--speed", "max"]), 11);
    assert_eq!(surprised["unexpected"], count(&first, "applied") + count(&first, "rejected"), "{surprised}");

    // A key is the same text by HTTP.
    let line = &lines()[0];
    let event = serde_json::json!({"domain": line["domain"], "event": line["event"]});
    let answer = post(&engine, line["key"].as_str(), &event).json();
    assert_eq!((&answer["status"], &answer["duplicate"]), (&line["expect"], &Value::Bool(true)), "{answer}");
    engine.stop();
}

/// OwnSubmissionRecognised: what was under way when the leader died is sent again, and is no duplicate.
#[test]
fn the_death_of_a_leader_changes_no_outcome_of_a_replay() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    let addresses = cluster.addresses().join(",");
    // Sixteen hours in about eight seconds.
    let replaying = replay(&addresses, &["--speed", "7200"]).spawn().expect("running assize-load");
    let leader = cluster.leader();
    wait_until_replayed(running.engine(leader), 150);
    running.kill(leader);
    wait_until_replayed(running.engine((leader + 1) % 3), 500);
    running.spawn(leader);
    let report = reported(&replaying.wait_with_output().expect("its end"), 0);
    assert_eq!(report["outcomes"], expected_by_outcome(), "{report}");
    assert!(count_of(&report["leader_changes"]) >= 1 && report["failed_calls"] == 0, "{report}");
    running.wait_until_serving();
    ended(replay(&addresses, &["--speed", "max", "--again"]), 0);
    running.settle();
}

/// Waits until this replica has published what a line around this one did.
fn wait_until_replayed(engine: &Engine, line: usize) {
    let is_reserved = |line: &&Value| line["expect"] == "applied" && line["event"]["reserve"].is_object();
    let lines = lines();
    let reserved = lines[line..].iter().find(is_reserved).expect("an order");
    let reservation = reserved["event"]["reserve"]["reservation"].as_str().expect("a name");
    let path = format!("/v1/entities/inventory/{reservation}?consistency=local");
    ask_until(engine, &path, |answer| answer.status == 200);
}

/// A replay of the sample.
fn replay(addresses: &str, options: &[&str]) -> Command {
    let mut command = assize_load();
    command
        .arg("replay")
        .arg(sample())
        .arg(addresses)
        .args(["--json", "-", "--connections", "8"])
        .args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
fn ended(mut command: Command, code: i32) -> Value {
    reported(&command.output().expect("running assize-load"), code)
}

/// Its report; it must have ended with this exit code.
fn reported(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn count(report: &Value, outcome: &str) -> u64 {
    count_of(&report["outcomes"][outcome])
}

fn count_of(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// How many lines of the sample expect what.
fn expected_by_outcome() -> Value {
    let mut counts = serde_json::Map::new();
    for line in lines() {
        let outcome = line["expect"].as_str().expect("every line says it");
        let count = counts.get(outcome).map_or(0, count_of) + 1;
        counts.insert(outcome.to_owned(), count.into());
    }
    counts.into()
}

fn lines() -> Vec<Value> {
    let sample = std::fs::read(sample()).expect("the sample");
    let lines = serde_json::Deserializer::from_slice(&sample).into_iter();
    lines.map(|line| line.expect("a JSON object a line")).collect()
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/samples/retail-day.ndjson")
}
