//! Collection about the data directory: its filesystem, device, O_DIRECT, and how long a flush takes.

use super::facts::{DirectIo, DiskFacts, Filesystem, Latency, Mount, mount_of};
use super::syscalls;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 4096;
/// Blocks that are written before the measurement, so that it never allocates (rule L2).
const BLOCKS: u64 = 64;
const SAMPLES: u64 = 400;
/// A slow disk gets fewer samples rather than a long wait.
const MEASURE_MAX: Duration = Duration::from_secs(3);

/// One aligned block: O_DIRECT takes no other memory.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// The filesystem that holds `path`, or would: the path need not exist yet.
#[must_use]
pub fn filesystem(path: &Path) -> Filesystem {
    let kind = mount(&existing(path)).map_or_else(|| "unknown".to_owned(), |mount| mount.kind);
    Filesystem::named(&kind)
}

/// Looks at the directory, or what exists of its path. With `measure`, times flushes for up to a few seconds.
pub(super) fn collect(wanted: &Path, measure: bool) -> DiskFacts {
    let directory = existing(wanted);
    let mount = mount(&directory);
    let (device, write_cache) = block_device(&directory);
    let (direct, flush) = try_direct(&directory, measure);
    DiskFacts {
        filesystem: Filesystem::named(mount.as_ref().map_or("unknown", |mount| &mount.kind)),
        mount_options: mount.map(|mount| mount.options).unwrap_or_default(),
        device,
        write_cache,
        free_bytes: syscalls::free_bytes(&directory).unwrap_or(0),
        direct,
        flush,
        wanted: fs::canonicalize(wanted).or_else(|_| std::path::absolute(wanted)).unwrap_or_default(),
        directory,
    }
}

/// The deepest directory of `path` that exists, without links.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found =
        absolute.ancestors().find_map(|path| fs::canonicalize(path).ok().filter(|path| path.is_dir()));
    found.unwrap_or_else(|| PathBuf::from("/"))
}

fn mount(directory: &Path) -> Option<Mount> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mount_of(&table, directory.to_str()?)
}

/// The block device under a directory and its write cache; a partition's is its disk's.
fn block_device(directory: &Path) -> (Option<String>, Option<String>) {
    let Ok(metadata) = fs::metadata(directory) else {
        return (None, None);
    };
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    let Ok(device) = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")) else {
        return (None, None);
    };
    let cache = [Some(device.as_path()), device.parent()]
        .into_iter()
        .flatten()
        .find_map(|path| fs::read_to_string(path.join("queue/write_cache")).ok());
    let name = device.file_name().map(|name| name.to_string_lossy().into_owned());
    (name, cache.map(|cache| cache.trim().to_owned()))
}

/// Writes with O_DIRECT into a file of its own and removes it.
fn try_direct(directory: &Path, measure: bool) -> (DirectIo, Option<Latency>) {
    let path = directory.join(format!(".assize-doctor-{}", std::process::id()));
    let result = write_direct(&path, measure);
    // What could not be created need not be removed; what was is ours alone.
    let created = !matches!(&result, Err((step, _)) if *step == "open");
    if created && let Err(error) = fs::remove_file(&path) {
        tracing::warn!(path = %path.display(), %error, "the host check could not remove its file");
    }
    match result {
        Ok((alignment_bytes, flush)) => (DirectIo::Works { alignment_bytes }, flush),
        Err((step, error)) => (DirectIo::Fails { error: format!("{step}: {error}") }, None),
    }
}

type Step<T> = Result<T, (&'static str, io::Error)>;

fn write_direct(path: &Path, measure: bool) -> Step<(Option<u32>, Option<Latency>)> {
    // Created without O_DIRECT first: some filesystems refuse the flag only after making the file.
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    drop(created.map_err(|error| ("open", error))?);
    let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path);
    let file = file.map_err(|error| ("open with O_DIRECT", error))?;
    let block = Block([0x5a; BLOCK_BYTES]);
    let blocks = if measure { BLOCKS } else { 1 };
    for index in 0..blocks {
        write_block(&file, &block, index).map_err(|error| ("write of 4 KiB with O_DIRECT", error))?;
    }
    file.sync_all().map_err(|error| ("fsync", error))?;
    let alignment = syscalls::direct_alignment(path);
    if !measure {
        return Ok((alignment, None));
    }
    let started = Instant::now();
    let mut samples_ns = Vec::with_capacity(SAMPLES as usize);
    for index in 0..SAMPLES {
        let before = Instant::now();
        write_block(&file, &block, index % BLOCKS).map_err(|error| ("write", error))?;
        file.sync_data().map_err(|error| ("fdatasync", error))?;
        samples_ns.push(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if started.elapsed() > MEASURE_MAX {
            break;
        }
    }
    Ok((alignment, Latency::of(samples_ns)))
}

fn write_block(file: &File, block: &Block, index: u64) -> io::Result<()> {
    file.write_all_at(&block.0, index * BLOCK_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_does_not_exist_yet_is_judged_by_its_parent_and_left_clean() {
        let directory = tempfile::tempdir().unwrap();
        let facts = collect(&directory.path().join("not/there/yet"), false);
        assert_eq!(facts.directory, fs::canonicalize(directory.path()).unwrap());
        assert_eq!(facts.flush, None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_ne!(facts.filesystem.name, "unknown");
    }

    #[test]
    fn proc_is_not_a_place_for_data() {
        let facts = collect(Path::new("/proc/self"), true);
        assert_eq!(facts.filesystem.name, "proc");
        assert!(matches!(facts.direct, DirectIo::Fails { .. }), "{facts:?}");
    }
}
