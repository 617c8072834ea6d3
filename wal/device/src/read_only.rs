//! A data directory for whoever only looks into it, or copies it: nothing in it is written, created or locked against
//! others who look.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assize_wal::operation::DeviceError;
use assize_wal::{Block, SegmentId, SegmentReader};
use assize_wire::LogId;

use crate::directory::{
    DirectoryError, device_error, logs_in, read_segment, read_superblock_copy, segment_path, segments_in,
};

/// A data directory that is read. Any thread may read from a clone.
///
/// Where the replica runs, what is read may be changed meanwhile, and files are recycled: what was listed may be gone
/// when it is read.
#[derive(Clone, Debug)]
pub struct ReadOnlyDirectory {
    root: PathBuf,
    /// Of a replica that does not run, until the last clone is dropped. Shared: a replica that starts meanwhile is told
    /// that the directory is in use.
    lock: Option<Arc<File>>,
}

impl ReadOnlyDirectory {
    /// Of a replica that does not run.
    ///
    /// # Errors
    /// [`DirectoryError`]: a replica runs on it, or it is not one.
    pub fn stopped(root: &Path) -> Result<ReadOnlyDirectory, DirectoryError> {
        let failed = |doing| move |error| DirectoryError::Io { doing, root: root.to_owned(), error };
        let lock = File::open(root.join("lock")).map_err(failed("opening the lock of"))?;
        match lock.try_lock_shared() {
            Ok(()) => Ok(ReadOnlyDirectory { root: root.to_owned(), lock: Some(Arc::new(lock)) }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { root: root.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("locking")(error)),
        }
    }

    /// Of a replica that may be running, or of whatever is laid out like one's.
    #[must_use]
    pub fn unlocked(root: &Path) -> ReadOnlyDirectory {
        ReadOnlyDirectory { root: root.to_owned(), lock: None }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl SegmentReader for ReadOnlyDirectory {
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
    /// that was killed are waited for. Of one that runs nobody waits for the end of its writes.
    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        if self.lock.is_none() {
            return Ok(());
        }
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
