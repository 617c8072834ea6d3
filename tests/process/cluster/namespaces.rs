//! Networks and file systems that a test may break: in namespaces of its own, which end with its process.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::replicas::{Cluster, REPLICAS};
use crate::site::text;

/// Runs a test again, by its full name, in a process with a network and mounts of its own; in that process `body`.
/// Only root may: others are told so.
pub fn in_namespaces(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        sh("ip link set lo up");
        return body();
    }
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--"]).args(arguments).env(INSIDE, "1");
        command.output().expect("running unshare, of the package util-linux")
    };
    let allowed = unshare(&["true"]);
    if !allowed.status.success() {
        println!(
            "NOT RUN: {test} wants a network and mounts of its own, which are root's: {}",
            text(&allowed)
        );
        return;
    }
    let own = std::env::current_exe().expect("this program");
    let output = unshare(&[&own.display().to_string(), test, "--exact", "--nocapture"]);
    let said = text(&output);
    println!("{said}");
    assert!(output.status.success(), "{test} fails in namespaces of its own: see above");
    assert!(said.contains("1 passed"), "there is no test {test}");
}

/// Each replica in a network namespace of its own, on a cable to a switch at which the clients are, too. Within
/// [`in_namespaces`] only.
pub struct Switch;

impl Switch {
    /// Plugs the replicas in, before they are started.
    pub fn of(cluster: &mut Cluster) -> Switch {
        // Names of namespaces are files: these are seen by this process alone.
        sh("mount -t tmpfs none /run");
        sh(&format!(
            "ip link add name hub type bridge && ip addr add {NETWORK}.1/24 dev hub && ip link set hub up"
        ));
        let addresses: Vec<String> = (0..REPLICAS)
            .map(|replica| {
                let host = format!("{NETWORK}.{}", replica + 2);
                sh(&format!(
                    "ip netns add r{replica} && ip link add name v{replica} type veth peer name port netns r{replica} \
                     && ip link set v{replica} master hub && ip link set v{replica} up \
                     && ip -n r{replica} addr add {host}/24 dev port && ip -n r{replica} link set port up \
                     && ip -n r{replica} link set lo up"
                ));
                let settings = &mut cluster.sites[replica].settings;
                settings.network = Some(format!("r{replica}"));
                settings.host.clone_from(&host);
                format!("{host}:{PEER_PORT}")
            })
            .collect();
        for (site, address) in cluster.sites.iter_mut().zip(&addresses) {
            let peers = site.settings.peers.as_mut().expect("it has peers");
            peers.listen.clone_from(address);
            peers.addresses.clone_from(&addresses);
        }
        Switch
    }

    /// Pulls a replica's cable.
    pub fn unplug(&self, replica: usize) {
        sh(&format!("ip link set v{replica} down"));
    }

    /// Puts it back.
    pub fn plug(&self, replica: usize) {
        sh(&format!("ip link set v{replica} up"));
    }
}

/// A small disk at a data directory. Within [`in_namespaces`] only.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Before the directory is formatted.
    pub fn mount(at: &Path, bytes: u64) -> SmallDisk {
        std::fs::create_dir_all(at).expect("a directory");
        sh(&format!("mount -t tmpfs -o size={bytes} none {}", at.display()));
        SmallDisk { at: at.to_owned() }
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        // It ends when the disk is full, and says so.
        sh(&format!("! dd if=/dev/zero of={} bs=64k 2>&1", self.filler()));
    }

    /// Gives back what filled it.
    pub fn relieve(&self) {
        sh(&format!("rm {}", self.filler()));
    }

    fn filler(&self) -> String {
        self.at.join("filler").display().to_string()
    }
}

fn sh(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().expect("running sh");
    assert!(output.status.success(), "{line}: {}", text(&output));
}

/// Set for the process that has namespaces of its own.
const INSIDE: &str = "ASSIZE_PROCESS_NAMESPACES";
const NETWORK: &str = "10.93.0";
const PEER_PORT: u16 = 7500;
