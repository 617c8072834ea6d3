//! What a log gives back: durable records, records that were read, and what it could not do.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::block::{Block, BlockBuffer};
use crate::header::{Entry, LogIdentity, RecordFault, RecordHeader, RecordLocation};
use crate::operation::{DeviceError, OperationId};

/// A record's number in its log since the start, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordSequence(pub u64);

/// A record that is durable. Only a [`super::Log`] makes one, from the completion of its write: a message that promises
/// durability can be built from nothing else.
#[must_use = "somebody waits for this record"]
#[derive(Debug)]
#[non_exhaustive]
pub struct Durable {
    /// As [`super::Log::append`] returned it.
    pub sequence: RecordSequence,
    /// What it is about.
    pub entry: Entry,
    /// The record, shared with whoever still reads it.
    pub buffer: Arc<BlockBuffer>,
    /// Where it lies.
    pub location: RecordLocation,
}

/// A record that was read back and checked.
#[derive(Debug)]
pub struct ReadRecord {
    /// Its header.
    pub header: RecordHeader,
    /// Its payload.
    pub buffer: BlockBuffer,
}

/// No segment can take the record. Nothing changed; the record is handed back.
#[derive(Debug)]
pub struct LogFull {
    /// As it was given.
    pub entry: Entry,
    /// As it was given.
    pub buffer: BlockBuffer,
}

impl fmt::Display for LogFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the log has no room for a {} of {} bytes: the replica is busy until space is freed",
            self.entry.kind(),
            self.buffer.payload_len()
        )
    }
}

impl core::error::Error for LogFull {}

/// A write, flush or preparation failed. It is never retried: whether it is on the disk is unknown, and a second
/// flush may report success for pages that the first one lost. The replica must stop and recover (L3).
#[must_use = "the replica must stop"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFailure {
    /// The operation.
    pub id: OperationId,
    /// What the device said.
    pub error: DeviceError,
}

impl fmt::Display for LogFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id.log {
            OperationId::SUPERBLOCK => {
                write!(f, "the superblock failed and the replica stops: {}", self.error)
            }
            log => write!(f, "log {log} failed and the replica stops: {}", self.error),
        }
    }
}

impl core::error::Error for LogFailure {}

/// Why a record could not be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The device could not read.
    Device {
        /// What was to be read.
        location: RecordLocation,
        /// What the device said.
        error: DeviceError,
    },
    /// What it read is not the record.
    Record {
        /// What was to be read.
        location: RecordLocation,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadFault::Device { location, error } => write!(f, "reading {location}: {error}"),
            ReadFault::Record { location, fault } => write!(f, "at {location}: {fault}"),
        }
    }
}

impl core::error::Error for ReadFault {}

/// Decodes and checks a whole record that lies at a logical offset.
pub fn check_record(
    identity: &LogIdentity,
    offset: u64,
    blocks: Vec<Block>,
) -> Result<ReadRecord, RecordFault> {
    use zerocopy::IntoBytes;
    let bytes = blocks.as_slice().as_bytes();
    let header = RecordHeader::decode(identity, offset, bytes)?;
    let record =
        bytes.get(..header.record_bytes()).ok_or(RecordFault::Length { found: header.payload_bytes })?;
    header.check(identity, record)?;
    let buffer = BlockBuffer::from_blocks(blocks, header.payload_bytes as usize);
    Ok(ReadRecord { header, buffer })
}
