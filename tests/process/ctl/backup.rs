//! Backups, taken while everything runs, and the clusters that they become.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::stopped::flip;
use super::{ctl, ctl_document, ctl_json};
use crate::cluster::{Cluster, Running, Steady, check_all, events};
use crate::load::{Load, adjust, check_journal};
use crate::rng::Rng;
use crate::site::{Settings, Site, assizectl, text};

/// MarkRemembered, BackupOfOneMoment, BackupBeginsWithWhatIsThere, TakerInterrupted, RestoredElsewhere: under full
/// load, with a kill -9 and an interruption of the one that takes it, a backup comes to what the cluster had at its
/// slot; and restored, it is a cluster that has forgotten nothing that was answered through that slot.
#[test]
fn a_backup_taken_under_load_is_restored_to_what_the_cluster_had() {
    let mut rng = Rng::announced("backup");
    let events = events(5_000);
    let cluster = Cluster::for_events(events);
    let running = Running::start(&cluster);
    let load = Steady::one_by_one(&cluster, events);
    let (folder, data) = (folder(), cluster.sites[1].data());
    let take = ["backup", "take", path(folder.path()), "--data", path(&data)];
    load.wait_for(20, &mut rng);
    kill_in_the_middle(&take);
    interrupt_in_the_middle(&take);
    assert!(!data.join("pinned").exists(), "segments stay pinned");
    let first = last(ctl_json(&take, 0));
    let report = load.finish();
    let (slot, digest) = running.settle();
    let to = number(&first, "slot").to_string();
    for site in &cluster.sites {
        let found = ctl_document(&["digest", "--data", path(&site.data()), "--to", &to], 0);
        assert_eq!(found["digest"], first["digest"], "of the cluster at slot {to}");
    }
    // Of a replica that stands still as well, and of what has come since alone; and once more there is nothing to be
    // kept.
    let whole = last(ctl_json(&take, 0));
    assert_eq!((whole["slot"].as_u64(), whole["digest"].as_str()), (Some(slot), Some(digest.as_str())));
    assert!(Some(slot) > first["slot"].as_u64(), "{first} {whole}");
    assert!(whole["shared_bytes"].as_u64() > Some(0), "{whole}");
    assert_eq!(last(ctl_json(&take, 0))["new"], false);
    assert_eq!(ctl_document(&["backup", "list", path(folder.path())], 0).as_array().map(Vec::len), Some(2));

    let mut id = None;
    for (replica, site) in cluster.sites.iter().enumerate() {
        fs::remove_dir_all(site.data()).expect("removing what was backed up");
        let (replica, data) = (replica.to_string(), site.data());
        let restore = ["restore", path(folder.path()), "--data", path(&data), "--replica", &replica];
        let same = id.as_ref().map(|id: &String| ["--cluster", id]);
        let restored =
            last(ctl_json(&[&restore[..], same.as_ref().map_or(&[], |same| &same[..])].concat(), 0));
        assert_eq!(restored["digest"], digest.as_str());
        id = restored["cluster"].as_str().map(str::to_owned);
    }
    check_all(Running::start(&cluster), &report);
    let earlier = folder.path().join("earlier");
    let of_slot = ["restore", path(folder.path()), "--data", path(&earlier), "--replica", "0", "--to", &to];
    assert_eq!(last(ctl_json(&of_slot, 0))["digest"], first["digest"]);
    assert_eq!(ctl_document(&["digest", "--data", path(&earlier)], 0)["digest"], first["digest"]);
}

/// BackupStartedOver, SegmentPinned: a checkpoint that is replaced while it is copied. Each backup is whole, however
/// many were, and its answers are those that were given (W2).
#[test]
fn backups_are_whole_while_checkpoints_follow_each_other() {
    let mut rng = Rng::announced("backups and checkpoints");
    let site = Site::formatted(Settings::with_checkpoints(vec![vec![0], vec![1]]));
    let mut engine = site.start();
    let load = Load::one_by_one(engine.address(), 2, &mut rng);
    let (folder, data) = (folder(), site.data());
    let take = ["backup", "take", path(folder.path()), "--data", path(&data)];
    engine.wait_until_said("a checkpoint is active", 2);
    for order in 0..3 {
        load.wait_for_answers(500);
        let taken = last(ctl_json(&take, 0));
        assert!(taken["first_slot"].as_u64() > Some(0), "{taken}");
        let restored = folder.path().join(format!("restored-{order}"));
        let restore = ["restore", path(folder.path()), "--data", path(&restored), "--replica", "0"];
        assert_eq!(last(ctl_json(&restore, 0))["digest"], taken["digest"]);
        let verified = ctl_document(&["checkpoint", "verify", "--data", path(&restored)], 0);
        assert_eq!(verified["slot"], taken["slot"], "{verified}");
    }
    let ledger = load.finish();
    let digest = {
        engine.terminate();
        engine.wait_for_digest()
    };
    let taken = last(ctl_json(&take, 0));
    assert_eq!((number(&taken, "slot"), taken["digest"].as_str()), (digest.0, Some(digest.1.as_str())));

    fs::rename(&data, folder.path().join("lost")).expect("moving it away");
    let restore = ["restore", path(folder.path()), "--data", path(&data), "--replica", "0"];
    assert_eq!(last(ctl_json(&restore, 0))["digest"], digest.1.as_str());
    let engine = site.start();
    check_journal(&mut engine.client(), &ledger.journal);
    engine.stop();
    check_refusals(&site, folder.path(), &taken);
}

/// RestoredElsewhere, SameClusterRefused: nothing is restored over something, and nobody starts on a backup.
fn check_refusals(site: &Site, backups: &Path, taken: &Value) {
    let refused = |arguments: &[&str], code, words: &str| {
        let said = String::from_utf8(ctl(arguments, code).stderr).expect("text");
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    let (data, backups) = (site.data(), path(backups));
    refused(&["restore", backups, "--data", path(&data), "--replica", "0"], 2, "is not empty");
    let elsewhere = site.data().with_file_name("elsewhere");
    let elsewhere = path(&elsewhere);
    refused(&["restore", backups, "--data", elsewhere, "--replica", "1"], 2, "no replica 1 of 1");
    let to = ["restore", backups, "--data", elsewhere, "--replica", "0", "--to", "1"];
    refused(&to, 2, "no backup reaches slot 1");
    let cluster = taken["cluster"].as_str().expect("an id");
    let same = ["restore", backups, "--data", elsewhere, "--replica", "0", "--cluster", cluster];
    refused(&same, 2, "is the cluster that the backup is of");
    let another = ["restore", backups, "--data", elsewhere, "--replica", "0", "--cluster", &"c2".repeat(16)];
    refused(&another, 2, "must all begin at the same");
    // The restored cluster is another one.
    refused(&["backup", "take", backups, "--data", path(&data)], 2, "has backups of cluster");
    assert!(!Path::new(elsewhere).exists(), "something was made all the same");

    let lost = site.data().with_file_name("kept");
    fs::rename(&data, &lost).expect("moving it away");
    copy_tree(Path::new(taken["path"].as_str().expect("a path")), &data);
    let output = site.run("serve", &[]);
    let said = text(&output);
    assert!(output.status.code() == Some(4) && said.contains("is a backup"), "{said}");
}

/// EmptyRefused, BackupKept, KeptWereEvaluated, UnequalRefused, NothingRestoredUnequal: of nothing there is no backup,
/// one of what a disk has changed is not kept, and what is not what it was is not restored.
#[test]
fn what_is_not_to_be_relied_upon_is_neither_kept_nor_restored() {
    let refused = |arguments: &[&str], code, words: &str| {
        let said = String::from_utf8(ctl(arguments, code).stderr).expect("text");
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    let site = Site::formatted(Settings::small());
    let (folder, data) = (folder(), site.data());
    let backups = path(folder.path());
    let take = ["backup", "take", backups, "--data", path(&data)];
    refused(&take, 11, "nothing was published yet");
    refused(&["backup", "list", backups], 4, "has no backup");
    let engine = site.start();
    let events: Vec<_> = (0..50).map(|item| adjust(item, 3)).collect();
    engine.client().submit(&events).expect("answers");
    engine.stop();
    refused(&["backup", "take", path(&data), "--data", path(&data)], 2, "is a replica's data directory");
    let inside = data.join("backups");
    refused(&["backup", "take", path(&inside), "--data", path(&data)], 2, "is a replica's data directory");
    assert!(!inside.exists(), "it was made all the same");
    let taken = last(ctl_json(&take, 0));
    check_modes(folder.path());
    check_unusable(folder.path(), &take);

    let catalog = Path::new(taken["path"].as_str().expect("a path")).join("backup.json");
    let text = fs::read_to_string(&catalog).expect("its description");
    let digest = taken["digest"].as_str().expect("a digest");
    fs::write(&catalog, text.replace(digest, "0123456789abcdef")).expect("writing");
    let elsewhere = folder.path().join("elsewhere");
    let restore = ["restore", backups, "--data", path(&elsewhere), "--replica", "0"];
    refused(&restore, 4, "were to come to 0123456789abcdef");
    assert!(!elsewhere.exists(), "it has its name all the same");
    fs::write(&catalog, text).expect("writing");
    assert_eq!(last(ctl_json(&restore, 0))["digest"], digest, "what was left is in the way");

    let records = ctl_json(&["wal", "dump", "--data", path(&data)], 0);
    let stripe = records.iter().find(|record| record["kind"] == "stripe").expect("a stripe");
    let segment = format!("log-{:05}/segment-{:016x}", number(stripe, "log"), number(stripe, "segment"));
    flip(&data.join(&segment), number(stripe, "offset") + 200);
    refused(&take, 4, "acknowledged data is lost");
    let listed = ctl_document(&["backup", "list", backups], 0);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "what was refused was left behind: {listed}");
    fs::create_dir(folder.path().join("incomplete")).expect("a folder");
    let listed = ctl_document(&["backup", "list", backups], 0);
    let [kept, incomplete] = listed.as_array().expect("a list").as_slice() else { panic!("{listed}") };
    assert_eq!((&kept["path"], &incomplete["incomplete"]["being_taken"]), (&taken["path"], &false.into()));
    // Of a backup nothing is repaired.
    let backup = taken["path"].as_str().expect("a path");
    flip(&Path::new(backup).join(&segment), number(stripe, "offset") + 200);
    refused(&["digest", "--data", backup], 4, "is damaged, and nothing repairs one: use another");
    let elsewhere = folder.path().join("elsewhere-again");
    let restore = ["restore", backups, "--data", path(&elsewhere), "--replica", "0"];
    refused(&restore, 4, "is damaged, and nothing repairs one: use another");
    assert!(
        !folder.path().join("elsewhere-again.incomplete").exists(),
        "nothing came of it, and it is there"
    );
}

/// One backup that cannot be described is named, and the others are listed and restored as before.
fn check_unusable(backups: &Path, take: &[&str]) {
    let unusable = backups.join("slot-999999999999");
    fs::create_dir(&unusable).and_then(|()| fs::write(unusable.join("backup.json"), "{")).expect("a file");
    let listed = ctl_document(&["backup", "list", path(backups)], 4);
    let [kept, other] = listed.as_array().expect("a list").as_slice() else { panic!("{listed}") };
    assert!(kept["contents"]["slot"].as_u64() > Some(0) && other["unusable"].is_string(), "{listed}");
    let text = String::from_utf8(ctl(&["backup", "list", path(backups)], 4).stdout).expect("text");
    assert!(text.contains("NOT USABLE: ") && text.contains("Z  "), "{text}");
    let taken = ctl(take, 0);
    assert!(String::from_utf8_lossy(&taken.stderr).contains("is not usable and passed over"), "{taken:?}");
    let restored = backups.join("restored");
    ctl(&["restore", path(backups), "--data", path(&restored), "--replica", "0"], 0);
    check_modes(&restored);
    fs::remove_dir_all(&restored).and_then(|()| fs::remove_dir_all(&unusable)).expect("removing them");
}

/// A backup has every event, and the key of the replica's records: nobody but its owner reads it.
fn check_modes(folder: &Path) {
    for entry in fs::read_dir(folder).expect("listing") {
        let path = entry.expect("an entry").path();
        let mode = fs::metadata(&path).expect("its mode").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}: {mode:o}", path.display());
        if path.is_dir() {
            check_modes(&path);
        }
    }
}

/// SIGINT to the one that takes a backup, once it has copied something: it says what becomes of that, and dies of it.
fn interrupt_in_the_middle(take: &[&str]) {
    let (mut child, _) = taking(take);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("a signal");
    let mut said = String::new();
    child.stderr.take().expect("its messages").read_to_string(&mut said).expect("text");
    let ended = child.wait().expect("its end");
    assert_eq!(ended.signal(), Some(2), "{ended}: {said}");
    assert!(said.contains("interrupted; ") && said.contains("is gone on with by the next take"), "{said}");
}

/// One that takes a backup and has copied something, and what it said of that.
fn taking(take: &[&str]) -> (Child, String) {
    let mut command = assizectl();
    command.args(take).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("running assizectl");
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line of it");
    (child, line)
}

/// kill -9 of the one that takes a backup, once it has copied something.
fn kill_in_the_middle(take: &[&str]) {
    let (mut child, line) = taking(take);
    child.kill().expect("killing it");
    child.wait().expect("its end");
    let progress: Value = serde_json::from_str(&line).expect("progress");
    assert_eq!(progress["progress"], "copied", "{line}");
    assert!(progress["done"].as_u64() < progress["of"].as_u64(), "it was at its end: {line}");
    assert!(Path::new(take[2]).join("incomplete").exists(), "there is nothing to begin with");
}

pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("backups-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    folder.expect("a folder for backups")
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("listing") {
        let path = entry.expect("an entry").path();
        let copy = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_tree(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("copying");
        }
    }
}

/// What it comes to, after its progress.
fn last(mut documents: Vec<Value>) -> Value {
    documents.pop().expect("a document")
}

fn number(document: &Value, name: &str) -> u64 {
    document[name].as_u64().unwrap_or_else(|| panic!("no {name} in {document}"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in letters")
}
