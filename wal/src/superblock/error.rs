//! Why a superblock cannot be used, said so that an operator can act on it.

use core::fmt;

use super::VERSION;

/// Why a copy is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuperblockFault {
    /// It does not begin like one, or its counts are impossible.
    NotASuperblock,
    /// A format version that this program does not know.
    Version {
        /// The version found.
        found: u16,
    },
    /// The bytes do not match their checksum.
    Checksum {
        /// In the copy.
        stored: u32,
        /// Over its bytes.
        computed: u32,
    },
}

/// One copy in an error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyReport {
    /// Never written.
    Absent,
    /// Whole.
    Valid {
        /// Its sequence.
        sequence: u64,
    },
    /// Not whole.
    Faulty(SuperblockFault),
}

/// Why there is no superblock to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuperblockError {
    /// The directory was never formatted.
    NotFormatted,
    /// Both copies are damaged, or contradict each other.
    Corrupt {
        /// What was found.
        copies: [CopyReport; 2],
    },
}

impl fmt::Display for SuperblockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SuperblockFault::NotASuperblock => write!(f, "not a superblock"),
            SuperblockFault::Version { found } => {
                write!(f, "of format version {found}, this program knows {VERSION}")
            }
            SuperblockFault::Checksum { stored, computed } => {
                write!(f, "damaged: its checksum is {stored:08x}, its bytes give {computed:08x}")
            }
        }
    }
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyReport::Absent => write!(f, "absent"),
            CopyReport::Valid { sequence } => write!(f, "whole, number {sequence}"),
            CopyReport::Faulty(fault) => write!(f, "{fault}"),
        }
    }
}

impl fmt::Display for SuperblockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SuperblockError::NotFormatted => {
                write!(f, "the data directory holds no superblock: format it first, or name the right one")
            }
            SuperblockError::Corrupt { copies: [first, second] } => write!(
                f,
                "the superblock cannot be trusted (copy 0 is {first}; copy 1 is {second}): this replica's promises are \
                 unknown, so it must not start from this directory; restore it as a new cluster"
            ),
        }
    }
}

impl core::error::Error for SuperblockFault {}
impl core::error::Error for SuperblockError {}
