//! Findings from facts: what is wrong, and the exact command that mends it. Pure.

mod disk;

use super::REQUIRED_OPCODES;
use super::facts::HostFacts;
use crate::config::{Config, Cpu, show_bytes};
use serde::Serialize;

/// The oldest kernel whose io_uring the runtime can use.
const KERNEL_MIN: (u32, u32) = (5, 8);
/// The kernel from which ring memory no longer counts as locked and polling is reliable.
const KERNEL_GOOD: (u32, u32) = (5, 15);
/// Locked memory that each pinned thread asks for at start.
const MEMLOCK_MIN_BYTES: u64 = 512 << 10;
/// Locked memory with which no thread falls back to unregistered buffers.
const MEMLOCK_GOOD_BYTES: u64 = 64 << 20;
/// Files that a replica opens beside its connections: logs, rings, the superblock.
pub const FILES_OWN: u64 = 256;
/// Bytes of one remembered key (the Warden's budget).
const WARDEN_ENTRY_BYTES: u64 = 64;

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// A replica serves, but slower or with a weaker promise.
    Warning,
    /// A replica cannot serve.
    Fatal,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is to be taken.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is wrong with it; empty if nothing.
    pub wrong: String,
    /// The command or step that mends it; empty if nothing is wrong.
    pub mend: String,
}

/// What the replica to be run asks of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Pinned threads, the control thread included if it is one of its own.
    pub threads: u64,
    /// The CPUs they are pinned to; empty if they are not.
    pub pinned: Vec<Cpu>,
    /// Client connections.
    pub connections: u64,
    /// Disk space without which it cannot start.
    pub disk_bytes_min: u64,
    /// Disk space that its logs may grow to.
    pub disk_bytes_max: u64,
}

impl Needs {
    /// What this configuration asks for.
    #[must_use]
    pub fn of(config: &Config) -> Needs {
        let cores = &config.cores;
        let logs = cores.assignments.len() as u64;
        let own_control = u64::from(cores.control_core().is_none());
        let mut pinned: Vec<Cpu> = cores.assignments.iter().map(|assignment| assignment.cpu).collect();
        if own_control == 1 {
            pinned.push(cores.control);
        }
        if !cores.pin {
            pinned.clear();
        }
        let prepared = config.log.segment_bytes.saturating_mul(u64::from(config.log.segments_ahead) + 1);
        Needs {
            threads: logs + own_control,
            pinned,
            connections: logs * u64::from(config.limits.connections_max),
            disk_bytes_min: prepared.saturating_mul(logs),
            disk_bytes_max: config.log.bytes_max.saturating_mul(logs),
        }
    }
}

/// Every finding, in the order of the report.
#[must_use]
pub fn judge(facts: &HostFacts, needs: &Needs) -> Vec<Finding> {
    vec![
        kernel(facts),
        io_uring(facts),
        memlock(facts, needs),
        open_files(facts, needs),
        cpus(facts, needs),
        quota(facts, needs),
        siblings(facts, needs),
        nodes(facts, needs),
        clock(facts),
        memory(facts),
        huge_pages(facts),
        disk::filesystem(&facts.disk),
        disk::direct(&facts.disk),
        disk::write_cache(&facts.disk),
        disk::flush(&facts.disk),
        disk::space(&facts.disk, needs),
    ]
}

/// The findings that keep a replica from serving: what `serve` checks itself before it starts.
#[must_use]
pub fn fatal_findings(facts: &HostFacts, needs: &Needs) -> Vec<Finding> {
    judge(facts, needs).into_iter().filter(|finding| finding.verdict == Verdict::Fatal).collect()
}

fn good(check: &'static str, found: impl Into<String>) -> Finding {
    let (wrong, mend) = (String::new(), String::new());
    Finding { check, verdict: Verdict::Good, found: found.into(), wrong, mend }
}

impl Finding {
    fn warn(self, wrong: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Warning, wrong: wrong.into(), mend: mend.into(), ..self }
    }

    fn fatal(self, wrong: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fatal, wrong: wrong.into(), mend: mend.into(), ..self }
    }
}

fn kernel(facts: &HostFacts) -> Finding {
    const MEND: &str = "boot a kernel of 5.15 or later (Ubuntu: sudo apt-get install linux-generic; Debian: linux-image-amd64)";
    let finding = good("kernel", &facts.kernel);
    match version(&facts.kernel) {
        Some(version) if version < KERNEL_MIN => finding.fatal("5.8 or later is needed for io_uring", MEND),
        Some(version) if version < KERNEL_GOOD => {
            finding.warn("io_uring is younger than its usual bugs", MEND)
        }
        Some(_) => finding,
        None => finding.warn("the version does not read as one", "uname -r"),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn io_uring(facts: &HostFacts) -> Finding {
    let ring = &facts.io_uring;
    if let Some(error) = &ring.error {
        let finding = good("io_uring", format!("no ring: {error}"));
        return match ring.disabled {
            Some(level @ 1..) => finding.fatal(
                format!("kernel.io_uring_disabled = {level} forbids it to this user"),
                "sudo sysctl -w kernel.io_uring_disabled=0",
            ),
            _ if error.contains("memory") => {
                finding.fatal("the limit of locked memory is used up", "raise it: see memlock below")
            }
            _ => finding.fatal(
                "the kernel has no io_uring, or a sandbox forbids it",
                "in a container: docker run --security-opt seccomp=unconfined ...",
            ),
        };
    }
    if !ring.missing.is_empty() {
        return good("io_uring", format!("without {}", ring.missing.join(", ")))
            .fatal("this kernel lacks operations that the engine submits", "boot a kernel of 5.15 or later");
    }
    let found = format!("works, with all {} operations", REQUIRED_OPCODES.len());
    match ring.disabled {
        Some(level @ 1..) => good("io_uring", found).warn(
            format!("kernel.io_uring_disabled = {level}: it works for this user only by privilege"),
            "sudo sysctl -w kernel.io_uring_disabled=0",
        ),
        _ => good("io_uring", found),
    }
}

fn memlock(facts: &HostFacts, needs: &Needs) -> Finding {
    const MEND: &str = "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity; docker: --ulimit memlock=-1; \
        login: \"* - memlock unlimited\" in /etc/security/limits.conf)";
    let finding = good("memlock", facts.memlock.soft.map_or("unlimited".to_owned(), show_bytes));
    let least = MEMLOCK_MIN_BYTES * needs.threads.max(1);
    if !facts.memlock.allows(least) {
        let wrong = format!("{} threads lock {} at start", needs.threads, show_bytes(least));
        finding.fatal(wrong, MEND)
    } else if !facts.memlock.allows(MEMLOCK_GOOD_BYTES) {
        finding.warn("too little to register I/O buffers with the kernel; they are mapped at every use", MEND)
    } else {
        finding
    }
}

fn open_files(facts: &HostFacts, needs: &Needs) -> Finding {
    let finding = good("open files", facts.open_files.soft.map_or("unlimited".to_owned(), |n| n.to_string()));
    let wanted = needs.connections + FILES_OWN;
    let mend = format!("ulimit -n {wanted} (systemd: LimitNOFILE={wanted})");
    if !facts.open_files.allows(FILES_OWN) {
        finding.fatal(format!("a replica opens {FILES_OWN} before its first client"), mend)
    } else if !facts.open_files.allows(wanted) {
        finding.warn(format!("{} connections are allowed; they need as many", needs.connections), mend)
    } else {
        finding
    }
}

fn cpus(facts: &HostFacts, needs: &Needs) -> Finding {
    let cpus = &facts.cpus;
    let (allowed, online) = (cpus.allowed.len(), cpus.online.len());
    let finding = good("cpus", format!("{allowed} of {online} online may be used"));
    let absent: Vec<String> =
        needs.pinned.iter().filter(|cpu| !cpus.allowed.contains(cpu)).map(ToString::to_string).collect();
    if !absent.is_empty() {
        let wrong = format!("[cores] pins to CPU {}, which is not among them", absent.join(", "));
        finding.fatal(wrong, "use the [cores] section suggested below")
    } else if allowed == 1 {
        finding.warn("clients compete with the engine for the only CPU", "use a machine with more CPUs")
    } else {
        finding
    }
}

fn quota(facts: &HostFacts, needs: &Needs) -> Finding {
    let Some(quota) = facts.cpus.cgroup_cpus else {
        return good("cpu quota", "none");
    };
    let finding = good("cpu quota", format!("{quota:.2} CPUs"));
    if quota < needs.threads as f64 {
        let wrong =
            format!("{} threads are stopped for the rest of each period once it is used", needs.threads);
        finding.warn(wrong, "remove the control group's limit (docker: --cpuset-cpus instead of --cpus)")
    } else {
        finding
    }
}

fn siblings(facts: &HostFacts, needs: &Needs) -> Finding {
    let groups = &facts.cpus.siblings;
    let shared = groups.iter().filter(|group| group.len() > 1).count();
    let finding = match shared {
        0 => good("smt", "one CPU for each physical core"),
        _ => good("smt", format!("{} physical cores, {shared} with several CPUs", groups.len())),
    };
    let crowded =
        groups.iter().find(|group| needs.pinned.iter().filter(|cpu| group.contains(cpu)).count() > 1);
    match crowded {
        Some(group) => {
            let cpus: Vec<String> = group.iter().map(ToString::to_string).collect();
            let wrong = format!("[cores] pins two threads to one physical core (CPUs {})", cpus.join(", "));
            finding.warn(wrong, "use the [cores] section suggested below")
        }
        None => finding,
    }
}

fn nodes(facts: &HostFacts, needs: &Needs) -> Finding {
    let nodes = &facts.cpus.nodes;
    let finding = good("numa", format!("{} node{}", nodes.len(), if nodes.len() == 1 { "" } else { "s" }));
    let used = nodes.iter().filter(|node| needs.pinned.iter().any(|cpu| node.contains(cpu))).count();
    if used > 1 {
        let wrong =
            format!("[cores] spreads over {used} nodes: shards talk over the slower link between them");
        finding.warn(wrong, "use the [cores] section suggested below")
    } else {
        finding
    }
}

fn clock(facts: &HostFacts) -> Finding {
    let finding = good("clock source", &facts.clock_source);
    match facts.clock_source.as_str() {
        "" => good("clock source", "not known"),
        "hpet" | "acpi_pm" | "jiffies" | "pit" => finding.warn(
            "each look at the clock is a slow device access",
            "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
        _ => finding,
    }
}

fn memory(facts: &HostFacts) -> Finding {
    let day_of_1000 = 86_400 * 1000 * WARDEN_ENTRY_BYTES;
    let found = format!(
        "{} available; a remembered key takes {WARDEN_ENTRY_BYTES} B: 1000 new events/s for 24h are {}",
        show_bytes(facts.memory_available_bytes),
        show_bytes(day_of_1000)
    );
    good("memory", found)
}

fn huge_pages(facts: &HostFacts) -> Finding {
    match facts.huge_pages.as_str() {
        "always" => good("huge pages", "always").warn(
            "the kernel may stop a thread to merge its pages",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        "never" => good("huge pages", "never").warn(
            "a table of millions of keys is read through pages of 4 KiB, which takes a third of the rate",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        "" => good("huge pages", "not known"),
        other => good("huge pages", other),
    }
}

#[cfg(test)]
mod tests;
