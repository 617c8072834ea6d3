//! A replica whose disk is gone: neither a start nor a format brings it back by itself, and `format --rejoin` does.

use std::fs;

use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::rng::Rng;
use crate::site::text;

/// OldDiskRefused, VoteRegained (R3): the data directory of one is deleted under load. A start refuses; a disk that was
/// formatted as if it were the first is refused by the others, who say what to do; one that was formatted to rejoin
/// gets its vote back. Then another one dies, so that nothing goes on without it.
#[test]
fn a_replica_that_lost_its_disk_comes_back_by_an_explicit_command_only() {
    let mut rng = Rng::announced("a lost disk");
    let events = events(40_000);
    let cluster = Cluster::for_events(events);
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    load.wait_for(10, &mut rng);
    let lost = rng.below(REPLICAS as u64) as usize;
    let (other, third) = ((lost + 1) % REPLICAS, (lost + 2) % REPLICAS);
    let site = &cluster.sites[lost];
    let lose_disk = || fs::remove_dir_all(site.data()).expect("the data directory");
    running.kill(lost);
    lose_disk();

    let output = site.run("serve", &[]);
    let said = text(&output);
    assert!(!output.status.success() && said.contains("assize format --config"), "{said}");

    cluster.format(lost, &[]);
    running.spawn(lost);
    for replica in [lost, other, third] {
        running.engine(replica).wait_until_said("knows another disk of replica", 1);
        running.engine(replica).wait_until_said("`assize format --rejoin`", 1);
    }
    running.kill(lost);
    lose_disk();

    let output = site.run("format", &["--rejoin", "--replicas", "3", "--cluster", "c1"]);
    let said = text(&output);
    assert!(output.status.code() == Some(2) && said.contains("--routing-seed is missing"), "{said}");
    cluster.format(lost, &["--rejoin"]);
    running.spawn(lost);
    running.engine(lost).wait_until_said("rejoins with an empty disk and has no vote", 1);
    running.engine(lost).wait_until_said("has its vote again", 1);
    load.wait_for(10, &mut rng);

    running.kill(other);
    load.wait_for(20, &mut rng);
    running.spawn(other);
    running.wait_until_serving();
    // What it is stands on its disk.
    running.kill(lost);
    running.spawn(lost);
    running.engine(lost).wait_until_serving();
    let said = running.engine(lost).said();
    assert!(!said.contains("has no vote"), "it rejoins again:\n{said}");
    let report = load.finish();
    check_all(running, &report);
}
