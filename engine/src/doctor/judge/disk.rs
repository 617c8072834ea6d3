//! Findings about the data directory and the disk under it. Pure.

use super::{Finding, Needs, good};
use crate::config::show_bytes;
use crate::doctor::facts::{DirectIo, DiskFacts};
use std::path::Path;

/// The log's block; an alignment above it cannot be met.
const BLOCK_BYTES: u32 = 4096;
/// No device makes 4 KiB durable faster than this; one that claims to acknowledges what it has not kept.
const FLUSH_PLAUSIBLE_US: u64 = 8;
const FLUSH_SLOW_P50_US: u64 = 2_000;
const FLUSH_SLOW_P99_US: u64 = 20_000;

pub(super) fn filesystem(disk: &DiskFacts) -> Finding {
    let name = disk.filesystem.name.as_str();
    let finding = good("filesystem", format!("{name} at {}", disk.directory.display()));
    if disk.filesystem.is_memory {
        return finding.warn(
            "it lives in memory (durable: false): everything is lost with the machine",
            "set data_directory to a directory on a disk (findmnt -t ext4,xfs)",
        );
    }
    let unflushed = ["nobarrier", "barrier=0"];
    if let Some(option) = disk.mount_options.split(',').find(|option| unflushed.contains(option)) {
        let mend = format!(
            "sudo mount -o remount,barrier=1 \"$(findmnt -nT {} -o TARGET)\"",
            quoted(&disk.directory)
        );
        return finding.warn(format!("mounted with {option}: a power failure loses flushed data"), mend);
    }
    match name {
        "ext4" | "xfs" => finding,
        "btrfs" | "zfs" | "bcachefs" => finding.warn(
            "it copies on write: written blocks are allocated anew at every write",
            "set data_directory to a directory on ext4 or xfs",
        ),
        "overlay" | "aufs" => finding.warn(
            "a container's own layer, gone with the container",
            "mount a volume of the host (docker: -v /srv/assize:/data)",
        ),
        _ => finding
            .warn("the engine is tested on ext4 and xfs", "set data_directory to a directory on ext4 or xfs"),
    }
}

/// A path as one word of a shell command.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

pub(super) fn direct(disk: &DiskFacts) -> Finding {
    match &disk.direct {
        DirectIo::Fails { error } if error.starts_with("open:") => {
            // Never a command that changes the owner of a directory that is there: it may be anyone's.
            let mend = if disk.wanted == disk.directory {
                "set data_directory to a directory that this user can write to".to_owned()
            } else {
                format!("sudo install -d -o \"$(id -un)\" {}", quoted(&disk.wanted))
            };
            good("O_DIRECT", format!("not tried: {error}"))
                .fatal("this user cannot write to the data directory", mend)
        }
        DirectIo::Fails { error } => good("O_DIRECT", format!("fails: {error}")).fatal(
            "the logs are written past the page cache, in blocks of 4 KiB",
            "set data_directory to a directory on ext4 or xfs, with disk blocks of at most 4 KiB",
        ),
        DirectIo::Works { alignment_bytes: None } => good("O_DIRECT", "works in blocks of 4096 bytes"),
        DirectIo::Works { alignment_bytes: Some(bytes) } => {
            let finding = good("O_DIRECT", format!("works, aligned to {bytes} bytes"));
            if *bytes > BLOCK_BYTES {
                finding.fatal("the log's blocks are 4096 bytes", "use a disk with blocks of at most 4 KiB")
            } else {
                finding
            }
        }
    }
}

pub(super) fn write_cache(disk: &DiskFacts) -> Finding {
    let device = disk.device.as_deref().unwrap_or("no block device of its own");
    match disk.write_cache.as_deref() {
        Some("write back") => good("write cache", format!("{device}: volatile, emptied by each flush")),
        Some(other) => good("write cache", format!("{device}: {other}")),
        None => good("write cache", format!("{device}: not known")),
    }
}

pub(super) fn flush(disk: &DiskFacts) -> Finding {
    let Some(latency) = disk.flush else {
        return good("fdatasync", "not measured");
    };
    let found = format!(
        "4 KiB write and flush: median {} us, 99% within {} us ({} times)",
        latency.p50_us, latency.p99_us, latency.samples
    );
    let finding = good("fdatasync", found);
    if disk.filesystem.is_memory {
        finding
    } else if latency.p50_us < FLUSH_PLAUSIBLE_US {
        finding.warn(
            "faster than any disk: something below acknowledges flushes without keeping them",
            "check the virtual disk's cache mode (qemu: cache=none, not unsafe)",
        )
    } else if latency.p50_us > FLUSH_SLOW_P50_US || latency.p99_us > FLUSH_SLOW_P99_US {
        finding.warn(
            "every answer waits for at least one flush",
            "use a local NVMe disk, with power-loss protection if there is a choice",
        )
    } else {
        finding
    }
}

pub(super) fn space(disk: &DiskFacts, needs: &Needs) -> Finding {
    // Outcomes and the checkpoints' keys are kept for one TTL.
    let a_day = DAY_SECONDS * EXAMPLE_RATE * KEPT_BYTES_PER_EVENT;
    let finding = good(
        "disk space",
        format!(
            "{} free; for one TTL an event leaves about {KEPT_BYTES_PER_EVENT} B: {EXAMPLE_RATE} new events/s for 24h are {}",
            show_bytes(disk.free_bytes),
            show_bytes(a_day)
        ),
    );
    let mend = "free some, or lower log.bytes_max or log.segment_bytes in the configuration";
    if disk.free_bytes < needs.disk_bytes_min {
        finding.fatal(format!("the first log segments take {}", show_bytes(needs.disk_bytes_min)), mend)
    } else if disk.free_bytes < needs.disk_bytes_max {
        finding.warn(format!("the logs may grow to {}", show_bytes(needs.disk_bytes_max)), mend)
    } else {
        finding
    }
}

/// What an event leaves for a TTL: its outcome with a short response, and 56 bytes in a checkpoint's keys.
const KEPT_BYTES_PER_EVENT: u64 = 160;

/// The rate by which a need is made plain, in events a second.
const EXAMPLE_RATE: u64 = 1000;

const DAY_SECONDS: u64 = 24 * 3600;
