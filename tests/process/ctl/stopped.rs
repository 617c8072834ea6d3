//! What it tells of a stopped replica: what its digests, its outcomes and its clients say as well. It writes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ctl, ctl_document, ctl_json};
use crate::cluster::{Cluster, Running};
use crate::engine::Engine;
use crate::faces::{ask_until, post};
use crate::load::adjust;
use crate::rng::Rng;
use crate::site::{Settings, Site};

/// D1, TracingBegins, SlotTraced, TracingTold, NothingWritten: whoever evaluates a replica's slots again comes to the
/// digest that it told when it stopped, whatever its cores were; and all replicas tell the same.
#[test]
fn d1_slots_evaluated_again_come_to_what_each_replica_told() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    for replica in 0..3 {
        ask_until(running.engine(replica), "/readyz", |answer| answer.status == 200);
    }
    let mut client = cluster.client();
    let mut rng = Rng::announced("assizectl");
    for _ in 0..40 {
        let events: Vec<_> = (0..20).map(|_| adjust(1 + rng.below(9), 1 + rng.below(5) as i64)).collect();
        client.submit(&events).expect("answers");
    }
    drop(client);
    let (slot, digest) = running.settle();
    for replica in 0..3 {
        let data = cluster.sites[replica].data();
        let before = bytes_below(&data);
        let found = ctl_document(&["digest", "--data", path(&data)], 0);
        assert_eq!((found["slot"].as_u64(), found["digest"].as_str()), (Some(slot), Some(digest.as_str())));
        assert_eq!(ctl_document(&["wal", "verify", "--data", path(&data)], 0)["whole"], true);
        assert!(bytes_below(&data) == before, "replica {replica}: something was written to its directory");
    }
}

/// Each change of an item, its state before and after; and the state at any slot between them.
#[test]
fn the_history_of_an_entity_is_what_its_clients_were_answered() {
    let site = Site::formatted(Settings::with_checkpoints(vec![vec![0], vec![1]]));
    let engine = site.start();
    let mut quantities = Vec::new();
    for (order, delta) in [100, -30, -100, 5].into_iter().enumerate() {
        let answer = change(&engine, order, delta);
        if answer["status"] == "applied" {
            quantities
                .push((answer["slot"].as_u64().expect("a slot"), answer["response"]["quantity"].clone()));
        }
    }
    engine.stop();
    let data = site.data();
    let told = ctl_json(&["history", "--data", path(&data), "inventory/item:1:7"], 0);
    assert!(told[0]["state"].is_null() && told.len() == 4, "{told:?}");
    let mut before = Value::Null;
    for (change, (slot, quantity)) in told[1..].iter().zip(&quantities) {
        assert!(
            change["position"].as_str().is_some_and(|at| at.starts_with(&format!("{slot}."))),
            "{change}"
        );
        assert_eq!((&change["before"], &change["after"]["quantity"]), (&before, quantity), "{change}");
        assert!(change["event"]["adjust"]["delta"].is_i64(), "{change}");
        before = change["after"].clone();
        let at =
            ["replay", "--data", path(&data), "--to", &slot.to_string(), "--entity", "inventory/item:1:7"];
        let state = &ctl_document(&at, 0)["states"]["inventory/item:1:7"];
        assert_eq!(&state["quantity"], quantity, "after slot {slot}");
    }
}

#[test]
fn a_history_without_a_change_says_so() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    change(&engine, 0, 10);
    engine.stop();
    let data = site.data();
    let history = ["history", "--data", path(&data), "inventory/item:1:8"];
    let told = String::from_utf8(ctl(&history, 0).stdout).expect("text");
    assert!(told.contains("no event changed it from slot 1 through"), "{told}");
    assert_eq!(ctl_json(&history, 0).len(), 1);
}

/// NothingWritten: what is wrong in a log is told, and what is told is not mended.
#[test]
fn a_byte_that_changed_is_found_and_left_as_it_is() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    (0..20).for_each(|order| drop(change(&engine, order, 10)));
    engine.stop();
    let data = site.data();
    assert_eq!(
        ctl_document(&["wal", "verify", "--data", path(&data)], 0)["losses"].as_array().map(Vec::len),
        Some(0)
    );
    let records = ctl_json(&["wal", "dump", "--data", path(&data)], 0);
    let stripe = records.iter().find(|record| record["kind"] == "stripe").expect("a stripe");
    let number = |name: &str| stripe[name].as_u64().expect("a number");
    let segment = data.join(format!("log-{:05}/segment-{:016x}", number("log"), number("segment")));
    flip(&segment, number("offset") + 100);
    let before = bytes_below(&data);
    let verdict = ctl_document(&["wal", "verify", "--data", path(&data)], 11);
    assert!(
        verdict["whole"] == false && verdict["losses"].as_array().is_some_and(|all| !all.is_empty()),
        "{verdict}"
    );
    let said = String::from_utf8(ctl(&["digest", "--data", path(&data)], 4).stderr).expect("text");
    assert!(said.contains("acknowledged data is lost"), "{said}");
    assert!(bytes_below(&data) == before, "something was written to the directory");
}

#[test]
fn a_checkpoint_is_listed_and_read_back() {
    let site = Site::formatted(Settings::with_checkpoints(vec![vec![0, 1]]));
    let engine = site.start();
    let path_of = site.data();
    let mut client = engine.client();
    let events: Vec<_> = (0..500).map(|item| adjust(1 + item, 1)).collect();
    while !engine.said().contains("a checkpoint is active") {
        client.submit(&events).expect("answers");
    }
    drop(client);
    engine.stop();
    // What a recycled segment held before follows the end of a log, and is no damage.
    let told = String::from_utf8(ctl(&["wal", "verify", "--data", path(&path_of)], 0).stdout).expect("text");
    assert!(told.ends_with("every log is whole\n") && !told.contains("CutTornTail"), "{told}");
    let listed = ctl_document(&["checkpoint", "list", "--data", path(&path_of)], 0);
    let entities: u64 =
        listed["parts"].as_array().expect("parts").iter().filter_map(|p| p["entities"].as_u64()).sum();
    assert_eq!(entities, 500, "{listed}");
    let verified = ctl_document(&["checkpoint", "verify", "--data", path(&path_of)], 0);
    assert_eq!(verified["verified"]["entities"], 500, "{verified}");
    // SlotNotKeptRefused: those below it are not there any more.
    let slot = listed["slot"].as_u64().expect("a slot");
    let below = (slot - 1).to_string();
    ctl(&["replay", "--data", path(&path_of), "--to", &below], 2);
    assert_eq!(
        ctl_document(&["digest", "--data", path(&path_of), "--to", &slot.to_string()], 0)["slot"],
        slot
    );
}

fn change(engine: &Engine, order: usize, delta: i64) -> Value {
    let adjust = serde_json::json!({"adjust": {"item": "item:1:7", "delta": delta, "reason": 0}});
    let body = serde_json::json!({"domain": "inventory", "event": adjust});
    let answer = post(engine, Some(&format!("order {order}")), &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn path(data: &Path) -> &str {
    data.to_str().expect("a path in letters")
}

/// Changes a bit.
pub fn flip(file: &Path, at: u64) {
    let mut file = fs::File::options().read(true).write(true).open(file).expect("a segment");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut byte)).expect("a byte");
    file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&[byte[0] ^ 1])).expect("another one");
    file.sync_all().expect("on the disk");
}

/// Every file below a folder, with what is in it.
fn bytes_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(bytes_below(&path));
        } else {
            let bytes = fs::read(&path).expect("a file");
            files.insert(path, bytes);
        }
    }
    files
}
