//! What a device is asked and what it answers, and the two interfaces that a device offers: [`Device`] while running,
//! [`SegmentReader`] at boot.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::LogId;

use crate::block::{Block, BlockBuffer};
use crate::header::RecordLocation;

/// A segment's number in its log. Numbers ascend and are never used twice: recycled space gets a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The one after it.
    #[must_use]
    pub fn next(self) -> SegmentId {
        SegmentId(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Names an operation from its submission to its completion. Unique among all logs of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId {
    /// Who asked: a log, or [`OperationId::SUPERBLOCK`].
    pub log: LogId,
    /// Counted by who asked.
    pub number: u64,
}

impl OperationId {
    /// The log id that stands for the superblock in an operation's name. No log has it.
    pub const SUPERBLOCK: LogId = LogId(u16::MAX);
}

/// An effect that a device is to carry out.
#[must_use = "a lost operation is a write that never happens"]
#[derive(Clone, Debug)]
pub enum Operation {
    /// One group commit: one vectored write and, if `flush`, a flush submitted after the write has completed.
    /// The operation completes when all of it has.
    Write {
        /// Its name.
        id: OperationId,
        /// The segment.
        segment: SegmentId,
        /// Bytes from the segment's start; a multiple of the block size.
        offset: u64,
        /// Whole blocks each, written one after the other.
        buffers: Vec<Arc<BlockBuffer>>,
        /// Whether the write is to be durable on completion.
        flush: bool,
    },
    /// Makes every completed write of the segment durable.
    Flush {
        /// Its name.
        id: OperationId,
        /// The segment.
        segment: SegmentId,
    },
    /// Allocates the segment, writes zeros over all of it and makes it durable, its name included (L2); or gives the
    /// file of a segment that is no longer wanted its name. What is left in there names its old place, so it is no
    /// record here. A segment that is listed afterwards is whole: preparing is atomic.
    PrepareSegment {
        /// Its name.
        id: OperationId,
        /// The segment.
        segment: SegmentId,
        /// Its size.
        bytes: u64,
        /// The segment of the same log whose file it becomes.
        recycled: Option<SegmentId>,
        /// Its log has nothing prepared to go on with. Otherwise what is appended meanwhile comes first.
        urgent: bool,
    },
    /// Reads a record's blocks. Completes with [`Done::Read`].
    Read {
        /// Its name.
        id: OperationId,
        /// What to read.
        location: RecordLocation,
    },
    /// Writes one copy of the superblock and flushes it.
    WriteSuperblock {
        /// Its name; its log is [`OperationId::SUPERBLOCK`].
        id: OperationId,
        /// 0 or 1.
        copy: u8,
        /// The copy's bytes.
        blocks: Arc<Vec<Block>>,
    },
}

impl Operation {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> OperationId {
        match self {
            Operation::Write { id, .. }
            | Operation::Flush { id, .. }
            | Operation::PrepareSegment { id, .. }
            | Operation::Read { id, .. }
            | Operation::WriteSuperblock { id, .. } => *id,
        }
    }
}

/// What became of an operation.
#[must_use = "a lost completion is a write that nobody knows to be durable"]
#[derive(Debug)]
pub struct Completion {
    /// Which one.
    pub id: OperationId,
    /// How it ended.
    pub result: Result<Done, DeviceError>,
}

/// What a completed operation brings.
#[derive(Debug)]
pub enum Done {
    /// A write (and its flush), a flush or a preparation is complete.
    Complete,
    /// The blocks that were read.
    Read(Vec<Block>),
}

/// Why a device could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The filesystem or the quota is full.
    NoSpace {
        /// The file or segment.
        place: String,
    },
    /// An I/O error.
    Io {
        /// The operating system's number, 0 where there is none.
        code: i32,
        /// What was being done to what.
        place: String,
    },
    /// Fewer bytes than asked for.
    Short {
        /// Bytes asked.
        asked: u64,
        /// Bytes done.
        done: u64,
        /// What was being done to what.
        place: String,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::NoSpace { place } => {
                write!(f, "no space left for {place}: free space on this filesystem, then start again")
            }
            DeviceError::Io { code: PERMISSION | ACCESS, place } => {
                write!(f, "permission denied while {place}: run it as the replica's user, who owns the files")
            }
            DeviceError::Io { code: NO_ENTRY, place } => {
                write!(f, "there is no such file or directory while {place}: it was removed, or never there")
            }
            DeviceError::Io { code, place } => {
                write!(
                    f,
                    "I/O error {code} while {place}: check the disk (dmesg, SMART) before starting again"
                )
            }
            DeviceError::Short { asked, done, place } => {
                write!(f, "only {done} of {asked} bytes while {place}: check the file's size and the disk")
            }
        }
    }
}

impl core::error::Error for DeviceError {}

// What Linux says where no disk is at fault: EPERM, ENOENT, EACCES.
const PERMISSION: i32 = 1;
const NO_ENTRY: i32 = 2;
const ACCESS: i32 = 13;

/// A device while running. Operations are started in the order submitted, may complete in any order, and each
/// completes exactly once. Only flushes order writes.
pub trait Device {
    /// Starts an operation. Never blocks.
    fn submit(&mut self, operation: Operation);

    /// The next completion, if there is one. Never blocks.
    fn poll(&mut self) -> Option<Completion>;

    /// Returns when `poll` may give something, or at once if nothing is under way.
    fn wait(&mut self);
}

/// Reads at boot, one after the other.
pub trait SegmentReader {
    /// Every log that has a place on the device, ascending.
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError>;

    /// The whole segments of a log, ascending, each with its size.
    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError>;

    /// Fills `into` from a block-aligned offset of a segment.
    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError>;

    /// Makes everything that can be read of a log durable (L5: recovery flushes before it reports).
    fn flush(&mut self, log: LogId) -> Result<(), DeviceError>;

    /// One copy of the superblock, `None` if it was never written. What is read is durable: a process that was killed
    /// may have written it and not flushed it.
    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError>;
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_is_no_fault_of_the_disk_is_not_blamed_on_it() {
        let said = |code| DeviceError::Io { code, place: "reading superblock.0".to_string() }.to_string();
        for code in [PERMISSION, ACCESS] {
            assert!(
                said(code).starts_with("permission denied while reading superblock.0: run it as"),
                "{code}"
            );
        }
        assert!(said(NO_ENTRY).starts_with("there is no such file"));
        assert!(said(5).contains("I/O error 5 while reading superblock.0: check the disk"));
    }
}
