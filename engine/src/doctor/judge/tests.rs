//! A good host and its spoilt copies: each defect gives exactly one finding, with a command that mends it.

use super::*;
use crate::doctor::facts::{CpuFacts, DirectIo, DiskFacts, Filesystem, IoUringFacts, Latency, Limit};
use std::collections::BTreeSet;
use std::path::PathBuf;

fn set(cpus: std::ops::Range<u32>) -> BTreeSet<Cpu> {
    cpus.map(Cpu).collect()
}

fn good_host() -> HostFacts {
    let unlimited = Limit { soft: None, hard: None };
    HostFacts {
        kernel: "6.8.0-45-generic".to_owned(),
        io_uring: IoUringFacts { disabled: Some(0), error: None, missing: Vec::new() },
        memlock: unlimited,
        open_files: Limit { soft: Some(1 << 20), hard: Some(1 << 20) },
        cpus: CpuFacts {
            online: set(0..8),
            allowed: set(0..8),
            siblings: (0..8).map(|cpu| set(cpu..cpu + 1)).collect(),
            nodes: vec![set(0..8)],
            cgroup_cpus: None,
        },
        memory_available_bytes: 16 << 30,
        clock_source: "tsc".to_owned(),
        huge_pages: "madvise".to_owned(),
        disk: DiskFacts {
            wanted: PathBuf::from("/srv/assize"),
            directory: PathBuf::from("/srv/assize"),
            filesystem: Filesystem::named("ext4"),
            mount_options: "rw,noatime".to_owned(),
            device: Some("nvme0n1p2".to_owned()),
            write_cache: Some("write back".to_owned()),
            free_bytes: 1 << 40,
            direct: DirectIo::Works { alignment_bytes: Some(512) },
            flush: Some(Latency { p50_us: 100, p99_us: 400, samples: 400 }),
        },
    }
}

fn needs() -> Needs {
    Needs::of(&Config::default())
}

/// The findings that are not good, of a host spoilt by `spoil`.
fn bad(spoil: impl FnOnce(&mut HostFacts)) -> Vec<Finding> {
    let mut facts = good_host();
    spoil(&mut facts);
    judge(&facts, &needs()).into_iter().filter(|finding| finding.verdict != Verdict::Good).collect()
}

/// The single finding of a spoilt host.
fn only(spoil: impl FnOnce(&mut HostFacts)) -> (&'static str, Verdict, String) {
    let findings = bad(spoil);
    let [finding] = &findings[..] else { panic!("expected one finding: {findings:#?}") };
    assert!(!finding.wrong.is_empty() && !finding.mend.is_empty(), "{finding:?}");
    (finding.check, finding.verdict, finding.mend.clone())
}

#[test]
fn a_good_host_has_nothing_to_mend() {
    assert_eq!(bad(|_| ()), []);
}

#[test]
fn an_old_kernel_is_fatal_and_a_middling_one_a_warning() {
    assert_eq!(only(|host| host.kernel = "5.4.0-1".to_owned()).1, Verdict::Fatal);
    assert_eq!(only(|host| host.kernel = "5.10.0".to_owned()).1, Verdict::Warning);
    assert_eq!(only(|host| host.kernel = String::new()).1, Verdict::Warning);
}

#[test]
fn io_uring_that_does_not_work_is_fatal_with_the_reason_it_does_not() {
    let disabled = only(|host| {
        host.io_uring.disabled = Some(2);
        host.io_uring.error = Some("Operation not permitted".to_owned());
    });
    assert_eq!(
        disabled,
        ("io_uring", Verdict::Fatal, "sudo sysctl -w kernel.io_uring_disabled=0".to_owned())
    );
    let sandboxed = only(|host| host.io_uring.error = Some("Operation not permitted".to_owned()));
    assert!(sandboxed.1 == Verdict::Fatal && sandboxed.2.contains("seccomp"));
    let locked = only(|host| host.io_uring.error = Some("Cannot allocate memory (os error 12)".to_owned()));
    assert!(locked.1 == Verdict::Fatal && locked.2.contains("memlock"));
    let lacking = only(|host| host.io_uring.missing = vec!["SEND".to_owned()]);
    assert_eq!(lacking.1, Verdict::Fatal);
    assert_eq!(only(|host| host.io_uring.disabled = Some(1)).1, Verdict::Warning);
}

#[test]
fn limits_too_low_name_the_command_that_raises_them() {
    let memlock = only(|host| host.memlock.soft = Some(64 << 10));
    assert!(memlock.1 == Verdict::Fatal && memlock.2.starts_with("ulimit -l unlimited"));
    assert_eq!(only(|host| host.memlock.soft = Some(8 << 20)).1, Verdict::Warning);
    let files = only(|host| host.open_files.soft = Some(1024));
    assert!(files.1 == Verdict::Warning && files.2.starts_with("ulimit -n 4352"), "{files:?}");
    assert_eq!(only(|host| host.open_files.soft = Some(64)).1, Verdict::Fatal);
}

#[test]
fn cpus_that_are_not_there_or_are_shared_are_found() {
    assert_eq!(
        only(|host| host.cpus.allowed = set(1..8)),
        ("cpus", Verdict::Fatal, "use the [cores] section suggested below".to_owned())
    );
    assert_eq!(only(|host| host.cpus.allowed = set(0..1)).1, Verdict::Warning);
    assert_eq!(only(|host| host.cpus.cgroup_cpus = Some(0.5)).0, "cpu quota");
    let mut config = Config::default();
    config.cores.control = Cpu(4);
    let mut facts = good_host();
    facts.cpus.siblings = (0..4).map(|cpu| [Cpu(cpu), Cpu(cpu + 4)].into_iter().collect()).collect();
    facts.cpus.nodes = vec![set(0..4), set(4..8)];
    let warned: Vec<&str> = judge(&facts, &Needs::of(&config))
        .iter()
        .filter(|finding| finding.verdict == Verdict::Warning)
        .map(|finding| finding.check)
        .collect();
    assert_eq!(warned, ["smt", "numa"]);
}

#[test]
fn slow_clocks_and_merged_pages_are_warnings() {
    assert_eq!(only(|host| host.clock_source = "hpet".to_owned()).0, "clock source");
    for setting in ["always", "never"] {
        assert_eq!(only(|host| host.huge_pages = setting.to_owned()).0, "huge pages");
    }
}

#[test]
fn a_memory_filesystem_is_named_as_such() {
    let findings = bad(|host| {
        host.disk.filesystem = Filesystem::named("tmpfs");
        host.disk.flush = Some(Latency { p50_us: 1, p99_us: 2, samples: 400 });
    });
    assert_eq!(findings.len(), 1);
    assert!(findings[0].verdict == Verdict::Warning && findings[0].wrong.contains("durable: false"));
}

#[test]
fn filesystems_that_lose_or_move_data_are_warnings() {
    for name in ["overlay", "btrfs", "nfs4", "unknown"] {
        assert_eq!(only(|host| host.disk.filesystem = Filesystem::named(name)).0, "filesystem");
    }
    let unflushed = only(|host| host.disk.mount_options = "rw,nobarrier".to_owned());
    assert!(unflushed.2.contains("remount"), "{unflushed:?}");
}

#[test]
fn a_directory_that_direct_writes_cannot_reach_is_fatal() {
    let fails = |error: &str| {
        let direct = DirectIo::Fails { error: error.to_owned() };
        only(|host| host.disk.direct = direct)
    };
    assert_eq!(fails("open with O_DIRECT: Invalid argument").1, Verdict::Fatal);
    assert!(
        !fails("open: Permission denied").2.contains("sudo"),
        "a directory that is there keeps its owner"
    );
    let absent = only(|host| {
        host.disk.direct = DirectIo::Fails { error: "open: Permission denied".to_owned() };
        host.disk.wanted = PathBuf::from("/srv/assize/it's new");
    });
    assert_eq!(absent.2, "sudo install -d -o \"$(id -un)\" '/srv/assize/it'\\''s new'");
    let coarse = DirectIo::Works { alignment_bytes: Some(65_536) };
    assert_eq!(only(|host| host.disk.direct = coarse).1, Verdict::Fatal);
}

#[test]
fn implausible_and_slow_flushes_are_warnings() {
    let flush =
        |p50_us, p99_us| only(move |host| host.disk.flush = Some(Latency { p50_us, p99_us, samples: 9 }));
    assert!(flush(2, 9).2.contains("cache mode"));
    assert!(flush(9_000, 12_000).2.contains("NVMe"));
    assert!(flush(100, 30_000).2.contains("NVMe"));
}

#[test]
fn too_little_space_is_fatal_for_the_first_segments_only() {
    assert_eq!(only(|host| host.disk.free_bytes = 1 << 20).1, Verdict::Fatal);
    assert_eq!(only(|host| host.disk.free_bytes = 1 << 30).1, Verdict::Warning);
}

#[test]
fn the_fatal_findings_are_the_subset_that_serve_runs() {
    let mut facts = good_host();
    facts.huge_pages = "always".to_owned();
    assert_eq!(fatal_findings(&facts, &needs()), []);
    facts.disk.free_bytes = 0;
    let fatal = fatal_findings(&facts, &needs());
    assert_eq!(fatal.iter().map(|finding| finding.check).collect::<Vec<_>>(), ["disk space"]);
}
