//! What the system says of this process, for `/metrics`. Read when it is asked for, on the thread that serves.

use std::fs;
use std::time::SystemTime;

use assize_metrics::ProcessNumbers;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What it says now, of a program that began at `began`.
pub(crate) fn numbers(began: SystemTime) -> ProcessNumbers {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    // The one with which the folder is read is among them.
    let open_fds = fs::read_dir("/proc/self/fd").map(|fds| fds.count().saturating_sub(1));
    ProcessNumbers {
        start_seconds: began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        cpu_seconds: Some(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
        resident_bytes: kib_of(&status, "VmRSS:").map(|kib| kib * 1024.0),
        virtual_bytes: kib_of(&status, "VmSize:").map(|kib| kib * 1024.0),
        open_fds: open_fds.ok().map(|fds| fds as f64),
        max_fds: getrlimit(Resource::Nofile).current.map(|fds| fds as f64),
    }
}

/// A line of `/proc/self/status`, such as `VmRSS:     1234 kB`.
fn kib_of(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_all_of_it() {
        let began = SystemTime::now();
        let numbers = numbers(began);
        let ProcessNumbers { cpu_seconds, resident_bytes, virtual_bytes, open_fds, max_fds, start_seconds } =
            numbers;
        assert!(start_seconds > 1e9 && cpu_seconds > Some(0.0), "{numbers:?}");
        assert!(resident_bytes > Some(0.0) && virtual_bytes >= resident_bytes, "{numbers:?}");
        assert!(open_fds >= Some(3.0) && max_fds >= open_fds, "{numbers:?}");
    }

    #[test]
    fn a_line_that_is_not_there_says_nothing() {
        assert_eq!(kib_of("VmSize:\t  2048 kB\nVmRSS:\t 512 kB\n", "VmRSS:"), Some(512.0));
        assert_eq!(kib_of("VmSize:\t  2048 kB\n", "VmRSS:"), None);
    }
}
