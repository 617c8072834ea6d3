//! Disks that forget, and disks that are full: of one replica of three.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use assize_inventory::item_id;

use super::namespaces::{SmallDisk, in_namespaces};
use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::damage::flip;
use crate::engine::DEADLINE;
use crate::load::{WAREHOUSE, adjust};
use crate::rng::Rng;

/// L5, P5: one bit of what one replica logged is another when it starts. It says so, fetches what it lost from the
/// others, and ends where they do.
#[test]
fn a_changed_byte_in_one_log_is_repaired_from_the_others() {
    let mut rng = Rng::announced("a changed byte");
    let events = events(40_000);
    let cluster = Cluster::for_events(events);
    let mut running = Running::start(&cluster);
    let items: Vec<u64> = (1_000_000..1_000_040).collect();
    let marked: Vec<_> = items.iter().map(|item| adjust(*item, 1)).collect();
    cluster.client().submit(&marked).expect("answers");
    let load = Steady::start(&cluster, events);
    for step in 1..=REPLICAS as u64 {
        load.wait_for(20, &mut rng);
        let replica = step as usize % REPLICAS;
        running.kill(replica);
        let item = items[rng.below(items.len() as u64) as usize];
        let (segment, at) = find(&cluster.sites[replica].data(), item_id(WAREHOUSE, item).0);
        flip(&segment, at);
        running.spawn(replica);
        running.wait_until_serving();
        let said = running.engine(replica).said();
        assert!(said.contains("damaged and repaired from peers"), "it noticed nothing:\n{said}");
    }
    let report = load.finish();
    check_all(running, &report);
}

/// Where the log has an event that names this item: outcomes have keys only.
fn find(data: &Path, item: u128) -> (PathBuf, usize) {
    let logs = fs::read_dir(data).expect("the data directory").map(|entry| entry.expect("an entry").path());
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    for segment in logs.filter(is_log).flat_map(|log| fs::read_dir(log).expect("a log")) {
        let path = segment.expect("an entry").path();
        let bytes = fs::read(&path).expect("a segment");
        if let Some(at) = bytes.windows(16).position(|window| window == item.to_le_bytes()) {
            return (path, at);
        }
    }
    panic!("no log in {} has the item {item:x}", data.display());
}

/// FullDiskHandsOver: the disk of one replica is full. It says so, nothing that was answered is lost, the others go on,
/// and when there is space again it is what it was.
fn survive_full_disk(test: &str, of_leader: bool) {
    in_namespaces(&format!("cluster::disks::{test}"), || {
        let mut rng = Rng::announced(test);
        let events = events(60_000);
        let mut disks = Vec::new();
        let cluster = Cluster::on_disks(events, |data| {
            disks.push(SmallDisk::mount(data, DISK_BYTES + events * DISK_BYTES_PER_EVENT));
        });
        let mut running = Running::start(&cluster);
        let load = Steady::start(&cluster, events);
        load.wait_for(10, &mut rng);
        let leader = cluster.leader();
        let replica = if of_leader { leader } else { (leader + 1) % REPLICAS };
        disks[replica].fill();
        running.engine(replica).wait_until_said("the disk has no space", 1);
        // More than what was prepared can take, so that the others must do without it.
        load.wait_for(100, &mut rng);
        let until = Instant::now() + DEADLINE;
        while of_leader && cluster.leader() == replica {
            assert!(Instant::now() < until, "it leads on with a full disk");
            load.wait_for(5, &mut rng);
        }
        disks[replica].relieve();
        if !running.engine(replica).is_running() {
            running.forget(replica);
            running.spawn(replica);
        }
        let report = load.finish();
        check_all(running, &report);
    });
}

#[test]
fn a_follower_whose_disk_is_full_does_not_stop_the_others() {
    survive_full_disk("a_follower_whose_disk_is_full_does_not_stop_the_others", false);
}

#[test]
fn a_leader_whose_disk_is_full_does_not_stop_the_others() {
    survive_full_disk("a_leader_whose_disk_is_full_does_not_stop_the_others", true);
}

/// Enough for the load while nothing fills it.
const DISK_BYTES: u64 = 256 << 20;
const DISK_BYTES_PER_EVENT: u64 = 8000;
