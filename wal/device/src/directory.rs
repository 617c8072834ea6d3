//! The data directory: names of files, the lock that keeps a second process out, and the blocking reads and writes of
//! boot.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assize_wal::operation::DeviceError;
use assize_wal::{Block, OperationId, SegmentId, SegmentReader};
use assize_wire::LogId;
use core::fmt;
use zerocopy::IntoBytes;

use crate::trace::{DiskEvent, Tracer, tell};

/// A data directory that this process holds, until the last clone is dropped. Any thread may read from it.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    root: PathBuf,
    /// Held as long as this lives; the kernel lets go of it when the process dies.
    _lock: Arc<File>,
    tracer: Option<Arc<dyn Tracer>>,
    /// Names for a tracer what is done here.
    operations: Arc<AtomicU64>,
}

impl DataDirectory {
    /// Takes a directory, creating it if `create`. Another process that holds it is an error, and so is a backup.
    pub fn open(root: &Path, create: bool) -> Result<DataDirectory, DirectoryError> {
        let failed = |doing| move |error| DirectoryError::Io { doing, root: root.to_owned(), error };
        if root.join(BACKUP_FILE).exists() {
            return Err(DirectoryError::Backup { root: root.to_owned() });
        }
        if create {
            let absent: Vec<&Path> = root.ancestors().skip(1).take_while(|above| !above.exists()).collect();
            create_folder(root).map_err(failed("creating"))?;
            // Each folder that was made has its name in the one above it.
            for named in std::iter::once(root).chain(absent) {
                let above = named.parent().filter(|above| !above.as_os_str().is_empty());
                sync_directory(above.unwrap_or(Path::new(".")))
                    .map_err(failed("making durable the name of"))?;
            }
        }
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(OWNER).open(root.join("lock"));
        let lock = lock.map_err(failed("opening the lock of"))?;
        match lock.try_lock() {
            Ok(()) => {
                let operations = Arc::new(AtomicU64::new(BLOCKING_OPERATIONS));
                Ok(DataDirectory { root: root.to_owned(), _lock: Arc::new(lock), tracer: None, operations })
            }
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { root: root.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("locking")(error)),
        }
    }

    /// Gives up what a backup keeps here by names of its own (SegmentPinned): one that is being taken begins again with
    /// what is there then. Whether there was anything.
    ///
    /// # Errors
    /// Something of it cannot be removed.
    pub fn remove_pins(&self) -> io::Result<bool> {
        match std::fs::remove_dir_all(self.root.join(PINNED_FOLDER)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Tells `tracer` from here on what is written and flushed by this one and by what is cloned from it.
    pub fn trace(&mut self, tracer: Option<Arc<dyn Tracer>>) {
        self.tracer = tracer;
    }

    /// Writes one copy of the superblock and flushes it, name included. For boot: it blocks.
    pub fn write_superblock(&self, copy: u8, blocks: &[Block]) -> Result<(), DeviceError> {
        let (place, id) = (Place::Superblock(copy), self.operation());
        let path = place.path(&self.root);
        let write = || {
            if !path.exists() {
                self.tell(|| DiskEvent::Named { place, bytes: 0 });
            }
            let file = direct_options().create(true).truncate(false).open(&path)?;
            let bytes = blocks.as_bytes();
            self.tell(|| DiskEvent::WriteSubmitted { id, place, offset: 0, bytes: bytes.to_vec() });
            file.write_all_at(bytes, 0)?;
            self.tell(|| DiskEvent::WriteCompleted { id, durable: false });
            self.tell(|| DiskEvent::FlushSubmitted { id, place });
            file.sync_all()?;
            self.tell(|| DiskEvent::FlushCompleted { id });
            sync_directory(&self.root)?;
            self.tell(|| DiskEvent::NameDurable { place });
            Ok(())
        };
        write().map_err(|error| device_error(&error, "writing", &path))
    }

    fn operation(&self) -> OperationId {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        OperationId { log: OperationId::SUPERBLOCK, number }
    }

    fn tell(&self, event: impl FnOnce() -> DiskEvent) {
        tell(self.tracer.as_ref(), event);
    }
}

impl SegmentReader for DataDirectory {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        logs_in(&self.root)
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        segments_in(&self.root, log)
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        let path = segment_path(&self.root, log, segment);
        let mut read = || direct_options().open(&path)?.read_exact_at(into.as_mut_bytes(), offset);
        read().map_err(|error| device_error(&error, "reading", &path))
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        for (segment, _) in self.segments(log)? {
            let (place, id) = (Place::Segment(log, segment), self.operation());
            let path = place.path(&self.root);
            let flush = || {
                let file = direct_options().open(&path)?;
                // A killed process lets go of the directory's lock before the disk is done with its last writes. Those
                // hold their segment's lock (`hold`): what is read and written from here on must not be overtaken.
                file.lock()?;
                self.tell(|| DiskEvent::FlushSubmitted { id, place });
                file.sync_all()?;
                self.tell(|| DiskEvent::FlushCompleted { id });
                Ok(())
            };
            flush().map_err(|error| device_error(&error, "flushing", &path))?;
        }
        let folder = log_path(&self.root, log);
        let names = || sync_directory(&folder).and_then(|()| sync_directory(&self.root));
        names().map_err(|error| device_error(&error, "flushing", &folder))?;
        for (segment, _) in self.segments(log)? {
            self.tell(|| DiskEvent::NameDurable { place: Place::Segment(log, segment) });
        }
        Ok(())
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        let (place, id) = (Place::Superblock(copy), self.operation());
        let path = place.path(&self.root);
        let read = || {
            let file = direct_options().open(&path)?;
            // A process that was killed may have written it and not flushed it. The other copy is overwritten on the
            // strength of this one: if the power failed then, neither would be whole.
            self.tell(|| DiskEvent::FlushSubmitted { id, place });
            file.sync_all()?;
            self.tell(|| DiskEvent::FlushCompleted { id });
            sync_directory(&self.root)?;
            self.tell(|| DiskEvent::NameDurable { place });
            superblock_in(&file)
        };
        unless_absent(read()).map_err(|error| device_error(&error, "reading", &path))
    }
}

/// A file of a data directory that bytes are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A segment of a log.
    Segment(LogId, SegmentId),
    /// A copy of the superblock.
    Superblock(u8),
}

impl Place {
    /// Where it is below the data directory `root`.
    #[must_use]
    pub fn path(self, root: &Path) -> PathBuf {
        match self {
            Place::Segment(log, segment) => segment_path(root, log, segment),
            Place::Superblock(copy) => superblock_path(root, copy),
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// Another process holds it.
    InUse {
        /// The directory.
        root: PathBuf,
    },
    /// It is a backup, which has forgotten what its replica promised after it.
    Backup {
        /// The directory.
        root: PathBuf,
    },
    /// The operating system refused.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The directory.
        root: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryError::InUse { root } => write!(
                f,
                "{} is in use by another process: stop it, or give this replica a directory of its own",
                root.display()
            ),
            DirectoryError::Backup { root } => write!(
                f,
                "{} is a backup, and no replica is started on one: it has forgotten what was promised after it was taken. \
                 Restore it to an empty directory with `assizectl restore`",
                root.display()
            ),
            DirectoryError::Io { doing, root, error } => write!(f, "{doing} {}: {error}", root.display()),
        }
    }
}

impl std::error::Error for DirectoryError {}

/// A directory with a file of this name is a backup of a replica: it tells what of.
pub const BACKUP_FILE: &str = "backup.json";

/// Where a backup that is being taken has names of its own for segments.
pub const PINNED_FOLDER: &str = "pinned";

/// Numbers from here on name for a tracer what boot does; devices and the superblock count from 1.
const BLOCKING_OPERATIONS: u64 = 1 << 63;

pub(crate) fn log_path(root: &Path, log: LogId) -> PathBuf {
    root.join(format!("log-{:05}", log.0))
}

pub(crate) fn segment_path(root: &Path, log: LogId, segment: SegmentId) -> PathBuf {
    log_path(root, log).join(format!("segment-{:016x}", segment.0))
}

pub(crate) fn superblock_path(root: &Path, copy: u8) -> PathBuf {
    root.join(format!("superblock.{copy}"))
}

pub(crate) fn direct_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(OWNER).custom_flags(libc::O_DIRECT);
    options
}

/// A folder, and those above it: for its owner alone, as what is in it.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What others could read is what clients sent, and the seeds that keep them from choosing where it goes.
const OWNER: u32 = 0o600;

/// For whoever never writes. Past the page cache, as recovery reads: what counts is what the disk has.
pub(crate) fn read_only(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)
}

/// Blocks of a segment, by whoever never writes.
pub(crate) fn read_segment(
    root: &Path,
    log: LogId,
    segment: SegmentId,
    offset: u64,
    into: &mut [Block],
) -> Result<(), DeviceError> {
    let path = segment_path(root, log, segment);
    let mut read = || read_only(&path)?.read_exact_at(into.as_mut_bytes(), offset);
    read().map_err(|error| device_error(&error, "reading", &path))
}

/// A copy of the superblock, by whoever never writes.
pub(crate) fn read_superblock_copy(root: &Path, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
    let path = superblock_path(root, copy);
    let read = read_only(&path).and_then(|file| superblock_in(&file));
    unless_absent(read).map_err(|error| device_error(&error, "reading", &path))
}

/// Marks a segment as one that is written to, until the file and every operation on it in the kernel are done with.
pub(crate) fn hold(file: &File) -> io::Result<()> {
    file.lock_shared()
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn device_error(error: &io::Error, doing: &str, path: &Path) -> DeviceError {
    let place = format!("{doing} {}", path.display());
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => DeviceError::NoSpace { place: path.display().to_string() },
        // An end of file where bytes were expected comes without a number.
        code => DeviceError::Io { code: code.unwrap_or(0), place },
    }
}

/// The logs that have a folder, ascending.
pub(crate) fn logs_in(root: &Path) -> Result<Vec<LogId>, DeviceError> {
    let names = names_in(root).map_err(|error| device_error(&error, "listing", root))?;
    let mut logs: Vec<LogId> =
        names.iter().filter_map(|name| name.strip_prefix("log-")?.parse().ok()).map(LogId).collect();
    logs.sort_unstable();
    Ok(logs)
}

/// A log's segments with their bytes, ascending; none if it has no folder.
pub(crate) fn segments_in(root: &Path, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
    let folder = log_path(root, log);
    let list = || {
        let mut segments = Vec::new();
        for name in names_in(&folder)? {
            if let Some(number) =
                name.strip_prefix("segment-").and_then(|hex| u64::from_str_radix(hex, 16).ok())
            {
                segments.push((SegmentId(number), std::fs::metadata(folder.join(&name))?.len()));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    };
    let listed = unless_absent(list()).map_err(|error| device_error(&error, "listing", &folder))?;
    Ok(listed.unwrap_or_default())
}

/// A copy of the superblock. One cut short by a crash at its creation reads as what is there, then zeros: not valid,
/// not an error.
pub(crate) fn superblock_in(file: &File) -> io::Result<Vec<Block>> {
    let mut blocks = vec![Block::ZERO; assize_wal::limits::SUPERBLOCK_COPY_BYTES / assize_wal::BLOCK_BYTES];
    let bytes = blocks.as_mut_slice().as_mut_bytes();
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64)? {
            count if count % assize_wal::BLOCK_BYTES != 0 || count == 0 => break,
            count => done += count,
        }
    }
    Ok(blocks)
}

/// Nothing of what is not there.
pub(crate) fn unless_absent<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
