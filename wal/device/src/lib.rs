//! The log device on real disks: O_DIRECT files, io_uring while running, plain blocking reads at boot.
//!
//! It never decides what is written, in which order, or whether it is durable enough: that is `assize-wal`.
//!
//! | module | is |
//! |---|---|
//! | [`directory`] | the data directory: names, lock, blocking reads and superblock writes for boot |
//! | [`read_only`] | the same for whoever only looks into it, or copies it |
//! | [`direct`] | operations as io_uring entries for a ring that somebody else owns |
//! | [`ring`] | the same with a ring of its own |
//! | [`preparer`] | the thread that preallocates and pre-writes segments |
//! | [`trace`] | what happened to the files, for tests that cut the power |
//!
//! ```text
//! DIR/lock                              held while a process uses the directory
//! DIR/superblock.0  DIR/superblock.1    the two copies (L7)
//! DIR/log-00003/segment-0000000000000007
//! DIR/log-00003/preparing               a segment that is not whole yet; overwritten
//! DIR/pinned/log-00003/…                segments that a backup keeps while it is taken
//! ```
#![warn(missing_docs)]

pub mod direct;
pub mod directory;
pub mod preparer;
pub mod read_only;
pub mod ring;
pub mod trace;

pub use direct::{DirectDevice, DurabilityMode};
pub use directory::{DataDirectory, DirectoryError, Place};
pub use preparer::{Preparer, Wake};
pub use read_only::{ReadOnlyDirectory, read_superblocks};
pub use ring::RingDevice;
pub use trace::{DeviceOptions, DiskEvent, Tracer};
