//! The data directory, read by several threads of a start.

use std::sync::{Arc, Mutex, PoisonError};

use assize_device::DataDirectory;
use assize_wal::operation::DeviceError;
use assize_wal::{Block, SegmentId, SegmentReader};
use assize_wire::LogId;

/// A data directory behind a lock that is held for one read at a time.
#[derive(Clone, Debug)]
pub(super) struct SharedDirectory(Arc<Mutex<DataDirectory>>);

impl SharedDirectory {
    pub(super) fn new(directory: DataDirectory) -> SharedDirectory {
        SharedDirectory(Arc::new(Mutex::new(directory)))
    }

    fn with<T>(&self, body: impl FnOnce(&mut DataDirectory) -> T) -> T {
        // Nothing that holds the lock leaves the directory half changed.
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SegmentReader for SharedDirectory {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        self.with(DataDirectory::logs)
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        self.with(|directory| directory.segments(log))
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        self.with(|directory| directory.read(log, segment, offset, into))
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        self.with(|directory| directory.flush(log))
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        self.with(|directory| directory.read_superblock(copy))
    }
}
