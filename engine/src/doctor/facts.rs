//! What is known about a host, and the pure readers of the texts it comes from.

use crate::config::Cpu;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Everything the judgement sees. Collected by [`super::collect()`], or made up by a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostFacts {
    /// The kernel's release, such as `6.8.0-45-generic`.
    pub kernel: String,
    /// Whether io_uring works.
    pub io_uring: IoUringFacts,
    /// Locked memory, in bytes.
    pub memlock: Limit,
    /// Open files.
    pub open_files: Limit,
    /// CPUs.
    pub cpus: CpuFacts,
    /// Memory that is available, in bytes; 0 if unknown.
    pub memory_available_bytes: u64,
    /// The clock that the kernel reads, such as `tsc`; empty if unknown.
    pub clock_source: String,
    /// Transparent huge pages: `always`, `madvise` or `never`; empty if unknown.
    pub huge_pages: String,
    /// The data directory and what is under it.
    pub disk: DiskFacts,
}

/// Whether io_uring works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IoUringFacts {
    /// `kernel.io_uring_disabled`: 0 for anyone, 1 for a group, 2 for nobody. `None` before Linux 6.6.
    pub disabled: Option<u32>,
    /// Why a ring could not be made, if so.
    pub error: Option<String>,
    /// Operations of [`super::REQUIRED_OPCODES`] that this kernel lacks.
    pub missing: Vec<String>,
}

/// A resource limit; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// What holds now.
    pub soft: Option<u64>,
    /// Up to which a process may raise it itself.
    pub hard: Option<u64>,
}

impl Limit {
    /// Whether `needed` fits what holds now.
    #[must_use]
    pub fn allows(self, needed: u64) -> bool {
        self.soft.is_none_or(|soft| soft >= needed)
    }
}

/// CPUs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CpuFacts {
    /// Running.
    pub online: BTreeSet<Cpu>,
    /// That this process may use.
    pub allowed: BTreeSet<Cpu>,
    /// CPUs that share a physical core, each group once. A group of one has no sibling.
    pub siblings: Vec<BTreeSet<Cpu>>,
    /// CPUs of each NUMA node.
    pub nodes: Vec<BTreeSet<Cpu>>,
    /// CPU time that the control group grants, in CPUs; `None` is unlimited.
    pub cgroup_cpus: Option<f64>,
}

/// The data directory and what is under it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiskFacts {
    /// The data directory asked for, which need not exist yet.
    pub wanted: PathBuf,
    /// The directory that was looked at: the one wanted, or what exists of its path.
    pub directory: PathBuf,
    /// Its filesystem.
    pub filesystem: Filesystem,
    /// Options that it is mounted with.
    pub mount_options: String,
    /// The block device, such as `nvme0n1p2`, if it is on one.
    pub device: Option<String>,
    /// `write back` (a volatile cache, flushed by fdatasync) or `write through`.
    pub write_cache: Option<String>,
    /// Free bytes for this user.
    pub free_bytes: u64,
    /// Whether O_DIRECT works.
    pub direct: DirectIo,
    /// 4 KiB O_DIRECT write and fdatasync into written blocks, if it was measured.
    pub flush: Option<Latency>,
}

/// A filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// Its type, as the kernel names it: `ext4`, `xfs`, `tmpfs`.
    pub name: String,
    /// It lives in memory, so that nothing on it is durable.
    pub is_memory: bool,
}

impl Filesystem {
    /// The filesystem type `name`.
    #[must_use]
    pub fn named(name: &str) -> Filesystem {
        let is_memory = matches!(name, "tmpfs" | "ramfs" | "devtmpfs" | "hugetlbfs");
        Filesystem { name: name.to_owned(), is_memory }
    }
}

/// Whether O_DIRECT works in the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectIo {
    /// A 4 KiB write succeeded.
    Works {
        /// Alignment in the file, in bytes; `None` if the kernel does not tell (before Linux 6.1).
        alignment_bytes: Option<u32>,
    },
    /// It did not.
    Fails {
        /// At which step, and why.
        error: String,
    },
}

/// Measured latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Median, in microseconds.
    pub p50_us: u64,
    /// 99th percentile, in microseconds.
    pub p99_us: u64,
    /// How often it was measured.
    pub samples: u32,
}

impl Latency {
    /// Percentiles of samples in nanoseconds; `None` without any.
    #[must_use]
    pub fn of(mut samples_ns: Vec<u64>) -> Option<Latency> {
        samples_ns.sort_unstable();
        let at =
            |percent: usize| samples_ns.get((samples_ns.len() * percent / 100).min(samples_ns.len() - 1));
        if samples_ns.is_empty() {
            return None;
        }
        let samples = u32::try_from(samples_ns.len()).unwrap_or(u32::MAX);
        Some(Latency { p50_us: at(50)? / 1000, p99_us: at(99)? / 1000, samples })
    }
}

/// Where a path is mounted, from /proc/self/mountinfo: filesystem type and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Filesystem type.
    pub kind: String,
    /// Options of the mount and of the filesystem.
    pub options: String,
}

/// The mount that holds `path` (absolute, without links): the longest mount point above it; of equal ones the last,
/// which covers those before.
pub(super) fn mount_of(mountinfo: &str, path: &str) -> Option<Mount> {
    let mut best: Option<(usize, Mount)> = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let left: Vec<&str> = left.split(' ').collect();
        let mut right = right.split(' ');
        let (Some(point), Some(options), Some(kind)) = (left.get(4), left.get(5), right.next()) else {
            continue;
        };
        let point = unescape(point);
        let inside = point == "/"
            || path.strip_prefix(&point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if inside && best.as_ref().is_none_or(|(length, _)| point.len() >= *length) {
            let options = format!("{options},{}", right.nth(1).unwrap_or_default());
            best = Some((point.len(), Mount { kind: kind.to_owned(), options }));
        }
    }
    best.map(|(_, mount)| mount)
}

/// Undoes the octal escapes of mountinfo (`\040` is a space).
fn unescape(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The value of `name` in a text of `name: value` lines, such as /proc/self/status.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A limit from /proc/self/limits, whose lines read `Max open files   1024   4096   files`.
pub(super) fn limit(text: &str, name: &str) -> Option<Limit> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut values = line.split_whitespace();
    let mut next = || match values.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Limit { soft: next()?, hard: next()? })
}

/// CPUs that a cgroup-2 `cpu.max` grants: `max 100000` is unlimited, `150000 100000` is 1.5.
pub(super) fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_of(quota, period)
}

/// CPUs of a quota and a period in microseconds; a quota that is no number, or negative, is unlimited.
pub(super) fn quota_of(quota: &str, period: &str) -> Option<f64> {
    let quota: f64 = quota.trim().parse().ok()?;
    let period: f64 = period.trim().parse().ok()?;
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// The choice in brackets: `always [madvise] never`.
pub(super) fn bracketed(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_wins() {
        let table = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
                     30 27 0:27 / /data rw - tmpfs tmpfs rw\n\
                     31 27 8:1 / /data rw,noatime - xfs /dev/sda1 rw,nobarrier\n\
                     32 27 0:28 / /with\\040space rw - btrfs /dev/sdb rw\n";
        let kind = |path: &str| mount_of(table, path).unwrap().kind;
        assert_eq!(kind("/data/a"), "xfs");
        assert_eq!(kind("/data2"), "ext4");
        assert_eq!(kind("/with space/x"), "btrfs");
        assert_eq!(mount_of(table, "/data").unwrap().options, "rw,noatime,rw,nobarrier");
        assert_eq!(mount_of("nonsense", "/"), None);
    }

    #[test]
    fn limits_and_fields_are_found() {
        let limits = "Limit   Soft Limit   Hard Limit  Units\nMax open files            1024        4096  files\n\
                      Max locked memory         unlimited   unlimited   bytes\n";
        assert_eq!(limit(limits, "Max open files"), Some(Limit { soft: Some(1024), hard: Some(4096) }));
        assert_eq!(limit(limits, "Max locked memory"), Some(Limit { soft: None, hard: None }));
        assert_eq!(limit(limits, "Max nonsense"), None);
        assert_eq!(field("A:\t1\nCpus_allowed_list:\t0-1\n", "Cpus_allowed_list"), Some("0-1"));
        assert_eq!(bracketed("always [madvise] never\n"), Some("madvise"));
    }

    #[test]
    fn quotas_are_in_cpus() {
        assert_eq!(cpu_max("150000 100000\n"), Some(1.5));
        assert_eq!(cpu_max("max 100000\n"), None);
        assert_eq!(quota_of("-1", "100000"), None);
    }

    #[test]
    fn percentiles_of_samples() {
        let latency = Latency::of((1..=100).rev().map(|us| us * 1000).collect()).unwrap();
        assert_eq!(latency, Latency { p50_us: 51, p99_us: 100, samples: 100 });
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn memory_filesystems_are_named_as_such() {
        assert!(Filesystem::named("tmpfs").is_memory);
        assert!(!Filesystem::named("ext4").is_memory);
    }
}
