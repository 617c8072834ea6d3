//! `assize demo`: three fresh processes become a cluster by themselves, and lose their leader under load.

use crate::cluster::one_cluster_at_a_time;
use crate::site::{assize, text};

#[test]
fn a_demo_of_three_replicas_survives_the_death_of_its_leader() {
    let _alone = one_cluster_at_a_time();
    let folder = tempfile::Builder::new().prefix("demo-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.expect("a directory for test data");
    let json = folder.path().join("report.json");
    let output = assize()
        .args(["demo", "--kill", "leader", "--seconds", "5", "--rate", "400", "--batch", "1"])
        .args(["--connections", "4", "--duplicates", "5", "--dir"])
        .arg(folder.path())
        .arg("--json")
        .arg(&json)
        .output()
        .expect("running assize");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let json = std::fs::read(&json).expect("the report");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("one JSON object");
    assert_eq!(
        (&json["books"]["ok"], &json["replicas"], &json["copies"]),
        (&true.into(), &3.into(), &2.into())
    );
    assert_eq!((&json["failed_calls"], &json["errors"]), (&0.into(), &0.into()), "{said}");
    assert_eq!(json["events_sent"], json["events_answered"], "{said}");
    assert!(
        json["leader_changes"].as_u64() >= Some(1) && json["retried_calls"].as_u64() >= Some(1),
        "{said}"
    );
    for words in [", which led, after", "not independent", "State digest"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the directory").collect();
    assert_eq!(left.len(), 1, "only the report is left: {left:?}");
}

/// A fault on purpose is found out, and those who are right balance the books.
#[test]
fn a_demo_with_a_wrong_replica_shows_its_quarantine() {
    let _alone = one_cluster_at_a_time();
    let folder = tempfile::Builder::new().prefix("demo-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.expect("a directory for test data");
    let output = assize()
        .args([
            "demo",
            "--fault",
            "wrong-outcome@50",
            "--seconds",
            "2",
            "--rate",
            "400",
            "--batch",
            "1",
            "--dir",
        ])
        .arg(folder.path())
        .output()
        .expect("running assize");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in [
        "replica 2 has computed",
        "Books: balanced",
        "Fault: wrong-outcome@50 at replica 2: found out, and quarantined: ",
        "2 of 3 replicas, equal, the others told none",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_a_demo_cannot_do_is_a_usage_error() {
    for options in [
        &["--replicas", "2"][..],
        &["--replicas", "1", "--kill", "leader"],
        &["--kill", "any"],
        &["--workload", "none", "--rate", "5"],
    ] {
        let output = assize().arg("demo").args(options).output().expect("running assize");
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", text(&output));
    }
}
