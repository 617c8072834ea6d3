//! Whether a device holds a replica: what `format` and a start ask before anything else (L7).
//!
//! `format` writes copy 0, flushes it, name included, then copy 1, and is acknowledged after both. Wherever it is cut
//! off it leaves one of these, and no log, for logs are made by a start:
//!
//! | copy 0 | copy 1 | logs | is |
//! |---|---|---|---|
//! | absent | absent | none | not formatted |
//! | not whole | absent | none | an unfinished format: `format` starts over, nothing can have been promised |
//! | whole | absent or not whole | any | formatted: a start uses copy 0 and writes copy 1 again |
//! | whole | whole | any | formatted, as [`find`] says |
//!
//! Everything else was not left by a format. In particular copy 1 is made only when copy 0 is durable, so two copies of
//! which none is whole were a replica once; and so was what has a log. Neither is ever formatted over.

use alloc::boxed::Box;

use crate::operation::{DeviceError, SegmentReader};
use crate::superblock::{CopyReport, FoundSuperblock, SuperblockError, SuperblockFault, find};

/// What a device holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formatted {
    /// Nothing was ever written.
    No,
    /// A format was cut off before its first copy was whole.
    Unfinished,
    /// A replica, with the superblock to start from.
    Yes(Box<FoundSuperblock>),
    /// A replica that cannot be started from its superblock.
    Corrupt(SuperblockError),
}

/// Reads both copies of the superblock and looks for logs.
///
/// # Errors
/// The device failed.
pub fn formatted(reader: &mut dyn SegmentReader) -> Result<Formatted, DeviceError> {
    let copies = [reader.read_superblock(0)?, reader.read_superblock(1)?];
    let error = match find(copies) {
        Ok(found) => return Ok(Formatted::Yes(Box::new(found))),
        Err(error) => error,
    };
    let no_log = reader.logs()?.is_empty();
    Ok(match error {
        SuperblockError::NotFormatted if no_log => Formatted::No,
        SuperblockError::NotFormatted => {
            Formatted::Corrupt(SuperblockError::Corrupt { copies: [CopyReport::Absent, CopyReport::Absent] })
        }
        SuperblockError::Corrupt { copies: [CopyReport::Faulty(fault), CopyReport::Absent] }
            if no_log && is_torn(fault) =>
        {
            Formatted::Unfinished
        }
        SuperblockError::Corrupt { .. } => Formatted::Corrupt(error),
    })
}

/// Whether a cut may leave it of a write. A superblock of another version is whole.
fn is_torn(fault: SuperblockFault) -> bool {
    match fault {
        SuperblockFault::NotASuperblock | SuperblockFault::Checksum { .. } => true,
        SuperblockFault::Version { .. } => false,
    }
}
