//! What it tells of what a cluster agreed on: enough to format a replica whose disk was lost.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{ctl, ctl_document};
use crate::cluster::{Cluster, Running};
use crate::site::{Settings, Site};

/// AgreedTold: the same of every replica, while they run and stopped, and its options are those of `format`.
#[test]
fn what_was_agreed_is_told_of_any_replica_as_options_of_format() {
    let cluster = Cluster::formatted();
    let running = Running::start(&cluster);
    let agreed = |data: &Path| ctl_document(&["agreed", "--data", path(data)], 0);
    let told: Vec<Value> = cluster.sites.iter().map(|site| agreed(&site.data())).collect();
    assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
    assert_eq!(
        (&told[0]["routing_seed"], &told[0]["body_seed"]),
        (&"0000000000000005".into(), &"0000000000000006".into())
    );
    running.settle();
    assert_eq!(agreed(&cluster.sites[1].data()), told[0], "of one that is stopped");

    let line = String::from_utf8(ctl(&["agreed", "--data", path(&cluster.sites[2].data())], 0).stdout)
        .expect("text");
    let another = Site::new(Settings { cores: vec![vec![0, 1, 2, 3]], ..Settings::small() });
    // A cluster of three is formatted, though this configuration knows no others.
    let options: Vec<&str> = line.split_whitespace().collect();
    let at = options.iter().position(|option| *option == "--replicas").expect("all options");
    let alone = [&options[..at], &["--replicas", "1", "--copies", "1"], &options[at + 4..]].concat();
    another.format(&alone);
    let mut again = agreed(&another.data());
    for (member, of_three) in [("replicas", 3), ("copies", 2)] {
        assert_eq!(again[member], 1);
        again[member] = of_three.into();
    }
    again["hash"] = told[0]["hash"].clone();
    assert_eq!(again, told[0], "{line}");

    let nothing = tempfile::tempdir().expect("a directory");
    let said =
        |data: &Path| String::from_utf8(ctl(&["agreed", "--data", path(data)], 4).stderr).expect("text");
    assert!(said(&nothing.path().join("nowhere")).contains("is not there"));
    assert!(said(nothing.path()).contains("is not a replica's data directory"));
    fs::write(nothing.path().join("superblock.0"), vec![7; 16384]).expect("a file");
    fs::write(nothing.path().join("superblock.1"), vec![7; 16384]).expect("a file");
    assert!(said(nothing.path()).contains("the superblock cannot be trusted"));
}

fn path(data: &Path) -> &str {
    data.to_str().expect("a path in letters")
}
