//! `assize-load` at a terminal: whoever has seen enough gets the report of what was measured until then.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::faces::ask_until;
use crate::site::{Settings, Site, assize_load, text};

#[test]
fn a_load_that_is_interrupted_closes_its_books_and_reports() {
    let site = Site::formatted(Settings::on_fixed_ports(vec![vec![0, 1]]));
    let engine = site.start();
    let mut load = assize_load();
    load.args([
        &site.address(),
        "--seconds",
        "3600",
        "--accounts",
        "100",
        "--connections",
        "8",
        "--json",
        "-",
    ]);
    load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let load = load.spawn().expect("running assize-load");
    // Well beyond what sets it up.
    ask_until(&engine, "/v1/status", |answer| {
        let shards = answer.json()["shards"].as_array().cloned().unwrap_or_default();
        shards.iter().filter_map(|shard| shard["events"].as_u64()).sum::<u64>() > 2_000
    });
    let interrupt = format!("kill -INT {}", load.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("running kill").success());
    let ended = load.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended));
    let report: Value = serde_json::from_slice(&ended.stdout).expect("a report");
    assert_eq!((&report["books"]["ok"], &report["failed_calls"]), (&Value::Bool(true), &Value::from(0)));
    assert!(report["events_answered"].as_u64().is_some_and(|events| events > 1_000), "{report}");
    engine.stop();
}
