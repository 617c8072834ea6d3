//! The Ledger: the log's byte format, group commit, the durable prefix, recovery, the superblock and the device
//! interface with a memory device that has faults.
//!
//! It never opens a file, reads a clock, starts a thread, reorders records or decides what is chosen. Effects are
//! returned as [`Operation`]s, and what became of them comes back as [`Completion`]s.
//!
//! | module | is |
//! |---|---|
//! | [`block`] | 4096-aligned buffers that are filled, written and read in place; their pool |
//! | [`header`] | the 128 bytes before every record, and the checks a record must pass |
//! | [`operation`] | what a device is asked, what it answers, the device and reader interfaces |
//! | [`log`] | group commit: records in, operations out, durable records out in append order |
//! | [`recovery`] | scan of every log, the decision tables, what a start resumes from |
//! | [`superblock`] | its bytes, its two-copy table and its update |
//! | [`mod@formatted`] | whether a device holds a replica |
//! | [`follow`] | a log read while somebody else writes it |
//! | [`outcome_index`] | where the published outcomes of (shard, slot) lie (L9) |
//! | [`memory`] | the device in memory, with faults |
//! | [`conformance`] | the one suite that every device must pass |
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod block;
pub mod conformance;
pub mod follow;
pub mod formatted;
pub mod header;
pub mod limits;
pub mod log;
pub mod memory;
pub mod operation;
pub mod outcome_index;
pub mod recovery;
pub mod superblock;

pub use block::{Block, BlockBuffer, BufferPool};
pub use header::{Entry, LogIdentity, Mark, RecordHeader, RecordKind, RecordLocation};
pub use limits::BLOCK_BYTES;
pub use log::{
    Durable, FlushPolicy, Log, LogConfig, LogCounters, LogEnd, LogFailure, LogFull, LogSpace, LogStart,
    ReadFault, ReadRecord, RecordSequence,
};
pub use operation::{
    Completion, Device, DeviceError, Done, Operation, OperationId, SegmentId, SegmentReader,
};
pub use outcome_index::{OutcomeChunk, OutcomeIndex};
pub use recovery::{Recovered, RecoveryError, recover};
pub use superblock::{LogCut, Quarantine, QuarantineKind, Superblock, SuperblockStore};
