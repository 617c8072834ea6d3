//! The data directory of a replica that does not run, for whoever looks into it: nothing in it is written, created or
//! locked against others who look.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assize_wal::operation::DeviceError;
use assize_wal::{Block, SegmentId, SegmentReader};
use assize_wire::LogId;

use crate::directory::{
    DirectoryError, device_error, logs_in, read_segment, read_superblock_copy, segment_path, segments_in,
};

/// A data directory that nobody writes to until the last clone is dropped. Any thread may read from it.
#[derive(Clone, Debug)]
pub struct StoppedDirectory {
    root: PathBuf,
    /// Shared: a replica that starts meanwhile is told that the directory is in use.
    _lock: Arc<File>,
}

impl StoppedDirectory {
    /// Opens it.
    ///
    /// # Errors
    /// [`DirectoryError`]: a replica runs on it, or it is not one.
    pub fn open(root: &Path) -> Result<StoppedDirectory, DirectoryError> {
        let failed = |doing| move |error| DirectoryError::Io { doing, root: root.to_owned(), error };
        let lock = File::open(root.join("lock")).map_err(failed("opening the lock of"))?;
        match lock.try_lock_shared() {
            Ok(()) => Ok(StoppedDirectory { root: root.to_owned(), _lock: Arc::new(lock) }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { root: root.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("locking")(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl SegmentReader for StoppedDirectory {
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
        read_segment(&self.root, log, segment, offset, into)
    }

    /// Nothing is promised on the strength of what is read, so nothing is flushed: only the last writes of a process
    /// that was killed are waited for.
    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        for (segment, _) in self.segments(log)? {
            let path = segment_path(&self.root, log, segment);
            let settled = File::open(&path).and_then(|file| file.lock());
            settled.map_err(|error| device_error(&error, "waiting for the last writes to", &path))?;
        }
        Ok(())
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        read_superblock_copy(&self.root, copy)
    }
}

/// Both copies of the superblock of a directory, whether or not a replica runs on it: what `format` fixed stands in
/// each of them for ever. Of one that runs a copy may just be being written, and the two may be further apart than the
/// disk ever had them: whoever finds none to use reads them again.
///
/// # Errors
/// A copy is there and cannot be read.
pub fn read_superblocks(root: &Path) -> Result<[Option<Vec<Block>>; 2], DeviceError> {
    Ok([read_superblock_copy(root, 0)?, read_superblock_copy(root, 1)?])
}
