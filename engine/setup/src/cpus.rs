//! Which CPUs there are for a process.

use std::collections::BTreeSet;
use std::fs;

use crate::config::Cpu;

/// The CPUs that this process may use: its affinity mask, which already leaves out what is offline or withheld by
/// the control group. Asked of the process, not of the calling thread, which may be pinned.
#[must_use]
pub fn allowed_cpus() -> BTreeSet<Cpu> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(cpu_list).unwrap_or_default()
}

/// CPUs from a kernel list such as `0-3,8`. What does not read is left out.
#[must_use]
pub fn cpu_list(text: &str) -> BTreeSet<Cpu> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().map(Cpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_read_as_the_kernel_writes_them() {
        let cpus = |list: &[u32]| list.iter().copied().map(Cpu).collect::<BTreeSet<_>>();
        assert_eq!(cpu_list("0-3,8\n"), cpus(&[0, 1, 2, 3, 8]));
        assert_eq!(cpu_list(""), cpus(&[]));
        assert_eq!(cpu_list("x,2"), cpus(&[2]));
    }

    #[test]
    fn there_is_a_cpu_for_this_process() {
        assert!(!allowed_cpus().is_empty());
    }
}
