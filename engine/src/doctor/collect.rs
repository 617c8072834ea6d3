//! Collection about the host: /proc, /sys and a trial ring.

use super::facts::{CpuFacts, HostFacts, IoUringFacts, Limit, bracketed, cpu_max, field, limit, quota_of};
use super::{REQUIRED_OPCODES, disk};
use crate::config::Cpu;
use assize_setup::{allowed_cpus, cpu_list};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Collects everything about this host and `directory`. With `measure`, times flushes for up to a few seconds.
#[must_use]
pub fn collect(directory: &Path, measure: bool) -> HostFacts {
    let limits = read("/proc/self/limits");
    let unlimited = Limit { soft: None, hard: None };
    HostFacts {
        kernel: read("/proc/sys/kernel/osrelease"),
        io_uring: io_uring(),
        memlock: limit(&limits, "Max locked memory").unwrap_or(unlimited),
        open_files: limit(&limits, "Max open files").unwrap_or(unlimited),
        cpus: cpus(),
        memory_available_bytes: memory_available(&read("/proc/meminfo")),
        clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        huge_pages: bracketed(&read("/sys/kernel/mm/transparent_hugepage/enabled"))
            .unwrap_or_default()
            .to_owned(),
        disk: disk::collect(directory, measure),
    }
}

fn io_uring() -> IoUringFacts {
    let disabled = read("/proc/sys/kernel/io_uring_disabled").parse().ok();
    let mut probe = io_uring::Probe::new();
    let probed = io_uring::IoUring::new(8).and_then(|ring| ring.submitter().register_probe(&mut probe));
    if let Err(error) = probed {
        return IoUringFacts { disabled, error: Some(error.to_string()), missing: Vec::new() };
    }
    let lacks = |code: u8| !probe.is_supported(code);
    let missing = REQUIRED_OPCODES.iter().filter(|(_, code)| lacks(*code));
    IoUringFacts { disabled, error: None, missing: missing.map(|(name, _)| (*name).to_owned()).collect() }
}

fn cpus() -> CpuFacts {
    let online = cpu_list(&read("/sys/devices/system/cpu/online"));
    let mut siblings: Vec<BTreeSet<Cpu>> = Vec::new();
    for cpu in &online {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let mut group = cpu_list(&read(&path));
        group.insert(*cpu);
        if !siblings.contains(&group) {
            siblings.push(group);
        }
    }
    let mut nodes = Vec::new();
    for node in cpu_list(&read("/sys/devices/system/node/online")) {
        let group = cpu_list(&read(&format!("/sys/devices/system/node/node{node}/cpulist")));
        // A node of memory alone has no CPUs.
        if !group.is_empty() {
            nodes.push(group);
        }
    }
    CpuFacts { allowed: allowed_cpus(), online, siblings, nodes, cgroup_cpus: cgroup_cpus() }
}

/// The tightest CPU quota of this process's control group and those above it.
fn cgroup_cpus() -> Option<f64> {
    let mut least: Option<f64> = None;
    for line in read("/proc/self/cgroup").lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        if !controllers.is_empty() && !controllers.split(',').any(|name| name == "cpu") {
            continue;
        }
        for above in Path::new(group.trim_start_matches('/')).ancestors() {
            let quota = if controllers.is_empty() {
                cpu_max(&read(&format!("/sys/fs/cgroup/{}/cpu.max", above.display())))
            } else {
                let directory = format!("/sys/fs/cgroup/{controllers}/{}", above.display());
                let file = |name: &str| read(&format!("{directory}/cpu.cfs_{name}_us"));
                quota_of(&file("quota"), &file("period"))
            };
            least = match (least, quota) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    least
}

fn memory_available(meminfo: &str) -> u64 {
    let kib = field(meminfo, "MemAvailable").and_then(|value| value.split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// A file of /proc or /sys; what a kernel does not have reads as empty.
fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim_end().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_cpus_that_are_online() {
        let facts = cpus();
        assert!(!facts.allowed.is_empty());
        assert!(facts.allowed.is_subset(&facts.online), "{facts:?}");
        assert!(facts.online.iter().all(|cpu| facts.siblings.iter().any(|group| group.contains(cpu))));
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(memory_available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), 2 << 20);
        assert_eq!(memory_available(""), 0);
    }
}
