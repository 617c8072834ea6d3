//! The data directory of a replica that runs, for whoever copies it: nothing in it is written, created or locked, and
//! what is read may be changed meanwhile. Files are recycled: what was listed may be gone when it is read.

use std::path::{Path, PathBuf};

use assize_wal::operation::DeviceError;
use assize_wal::{Block, SegmentId, SegmentReader};
use assize_wire::LogId;

use crate::directory::{logs_in, read_segment, read_superblock_copy, segments_in};

/// A data directory that somebody else may be writing to.
#[derive(Clone, Debug)]
pub struct RunningDirectory {
    root: PathBuf,
}

impl RunningDirectory {
    /// Of whatever is there.
    #[must_use]
    pub fn new(root: &Path) -> RunningDirectory {
        RunningDirectory { root: root.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl SegmentReader for RunningDirectory {
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

    /// Nothing is promised on the strength of what is read here.
    fn flush(&mut self, _: LogId) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        read_superblock_copy(&self.root, copy)
    }
}
