//! It brings a replica back whose disk was lost: formats an empty one, says what happens next, and tells how far it is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{ctl, ctl_document};
use crate::cluster::{Cluster, Running};
use crate::faces::{ask_until, post};
use crate::site::assizectl;

/// RejoinFormatted, RejoinRefused, ReplicaBack (R3): one of three loses its disk. It is not formatted anew while it
/// runs, nor with what another cluster agreed on; then it is, comes back, and is needed by the others.
#[test]
fn r3_a_replica_whose_disk_was_lost_comes_back_by_one_command() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    let lost = (cluster.leader() + 1) % 3;
    let [other, third] = [(lost + 1) % 3, (lost + 2) % 3];
    let adjust = |delta: i64| json!({"domain": "inventory", "event": {"adjust": {"item": "item:1:7", "delta": delta, "reason": 0}}});
    assert_eq!(post(running.engine(other), Some("first"), &adjust(100)).status, 200);

    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("agreed.json");
    let agreed = ctl(&["agreed", "--json", "--data", path(&cluster.sites[other].data())], 0).stdout;
    fs::write(&file, &agreed).expect("the file");
    let (site, config) = (&cluster.sites[lost], cluster.sites[lost].config());
    let http = [other, third].map(|replica| running.engine(replica).http()).join(",");
    let by_file = ["rejoin", "--config", path(&config), "--agreed", path(&file), "--http", &http];

    // It runs: those who are connected to it say so, and it does itself.
    for at in [http.clone(), running.engine(lost).http()] {
        refused(&["rejoin", "--config", path(&config), "--agreed", path(&file), "--http", &at], 11, "runs");
    }
    running.kill(lost);
    fs::remove_dir_all(site.data()).expect("the data directory");
    for replica in [other, third] {
        ask_until(running.engine(replica), "/v1/status", |status| {
            status.json()["connected"].as_array().is_some_and(|all| !all.contains(&json!(lost)))
        });
    }
    // What cannot be right is refused, and leaves nothing there.
    refused(&["rejoin", "--config", path(&config)], 2, "--from <DIR>|--agreed <FILE>");
    refused(&["rejoin", "--config", path(&config), "--agreed", path(&config)], 2, "assizectl agreed --json");
    refused(&["rejoin", "--config", path(&file), "--agreed", path(&file)], 2, "agreed.json");
    let changed = changed(&agreed, folder.path());
    refused(
        &["rejoin", "--config", path(&config), "--agreed", path(&changed)],
        2,
        "it was changed since it was written",
    );
    let elsewhere = path(folder.path());
    refused(
        &["rejoin", "--config", path(&config), "--from", elsewhere],
        4,
        "is not a replica's data directory",
    );
    refused(
        &["rejoin", "--config", path(&config), "--agreed", path(&file), "--http", "127.0.0.1:1"],
        10,
        "no replica answers",
    );
    assert!(!site.data().exists(), "something was formatted");

    // Formatted, started, watched until it is back.
    let mut watching = assizectl()
        .args(by_file)
        .args(["--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("assizectl");
    let mut told = BufReader::new(watching.stdout.take().expect("its output")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&told.next().expect("a line").expect("text")).expect("JSON") };
    let formatted = next();
    assert_eq!(
        (&formatted["replica"], &formatted["others_needed"]),
        (&json!(lost), &json!(2)),
        "{formatted}"
    );
    refused(&by_file, 4, "holds a replica already");
    running.spawn(lost);
    let mut stages = vec![next()];
    while stages.last().is_some_and(|told| told["stage"] != "back") {
        stages.push(next());
    }
    assert_eq!(watching.wait().expect("its end").code(), Some(0), "{stages:?}");
    assert!(stages.iter().all(|told| told["replica"] == lost), "{stages:?}");

    // Without it nothing would be chosen any more.
    running.kill(third);
    assert_eq!(post(running.engine(lost), Some("second"), &adjust(5)).status, 200);
    let again = post(running.engine(lost), Some("first"), &adjust(100)).json();
    assert_eq!((&again["duplicate"], &again["status"]), (&json!(true), &json!("applied")));
    running.spawn(third);
    running.wait_until_serving();
    running.settle();
}

/// RejoinFormatted: from the directory of another replica, which runs; nobody is asked.
#[test]
fn what_was_agreed_may_be_read_where_another_replica_runs() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    running.kill(2);
    let site = &cluster.sites[2];
    fs::remove_dir_all(site.data()).expect("the data directory");
    let (config, from) = (site.config(), cluster.sites[0].data());
    let told = ctl(&["rejoin", "--config", path(&config), "--from", path(&from)], 0);
    let said = String::from_utf8(told.stdout).expect("text");
    assert!(said.contains("is formatted to rejoin") && said.contains("assize serve --config"), "{said}");
    let agreed = |site: usize| ctl_document(&["agreed", "--data", path(&cluster.sites[site].data())], 0);
    assert_eq!(agreed(2), agreed(0));
    running.spawn(2);
    running.engine(2).wait_until_said("has its vote again", 1);
    running.wait_until_serving();
    running.settle();
}

/// The file, with another number of keys.
fn changed(agreed: &[u8], folder: &Path) -> PathBuf {
    let mut changed: Value = serde_json::from_slice(agreed).expect("JSON");
    changed["warden_capacity"] = json!(99);
    let file = folder.join("changed.json");
    fs::write(&file, changed.to_string()).expect("the file");
    file
}

fn refused(arguments: &[&str], code: i32, words: &str) {
    let said = String::from_utf8(ctl(arguments, code).stderr).expect("text");
    assert!(said.contains(words), "{arguments:?}: {said}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in letters")
}
