//! What is lost, said so that an operator can act on it.

use alloc::vec::Vec;
use core::fmt;

use assize_wire::{ShardId, Slot, StripeId};

use super::scan::LogScan;
use super::table::LogDecision;
use crate::header::{Mark, RecordFault, RecordLocation};
use crate::operation::DeviceError;

/// Something that was durable and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A log ends too early.
    Log {
        /// Where it ends; `bytes` is 0.
        at: RecordLocation,
        /// What stands there.
        fault: RecordFault,
        /// Logical offset of the end.
        end: u64,
        /// Logical offset through which it was durable.
        durable_through: u64,
    },
    /// What stands at the end of a log cannot be read: what was acknowledged last may lie there.
    Unreadable {
        /// Where the log ends; `bytes` is 0.
        at: RecordLocation,
        /// The block.
        fault: RecordFault,
    },
    /// A segment of a log is not there.
    Segment {
        /// Its beginning; `bytes` is 0.
        at: RecordLocation,
    },
    /// An accepted slot has no accept record.
    Accept {
        /// The slot.
        slot: Slot,
        /// The highest mark.
        mark: Mark,
        /// The record that carries it.
        marked_by: Option<RecordLocation>,
        /// The highest slot whose accept is here.
        highest_held: Slot,
    },
    /// An accepted slot names a stripe that is not here.
    Stripe {
        /// The slot.
        slot: Slot,
        /// The stripe.
        stripe: StripeId,
        /// The accept that names it.
        named_at: RecordLocation,
    },
    /// The heads of the active checkpoint do not add up to its digest.
    CheckpointHeads {
        /// The checkpoint's slot.
        slot: Slot,
        /// The shards of which a head is here.
        found: Vec<ShardId>,
    },
    /// A record of entities of the active checkpoint is missing.
    Entities {
        /// The checkpoint's slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// The record's number.
        number: u64,
        /// The head that counts it.
        named_at: RecordLocation,
    },
    /// Keys of the active checkpoint are missing.
    Keys {
        /// The checkpoint's slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// The first key that is missing.
        first: u64,
        /// The key after the last one that the checkpoint has.
        next: u64,
    },
}

/// Why a replica must not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// The device failed.
    Device(DeviceError),
    /// An accept record is whole and its payload is not an accept: another version wrote it.
    Accept {
        /// Where it lies.
        location: RecordLocation,
    },
    /// What was durable is gone. A single replica has nobody to repair it from.
    Lost {
        /// All of it.
        losses: Vec<Loss>,
    },
    /// What was durable is gone, and it is of a kind that peers do not repair piece by piece.
    Rebuild {
        /// All of it.
        losses: Vec<Loss>,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Log { at, fault, end, durable_through } => write!(
                f,
                "log {} was durable through byte {durable_through} and can be read to byte {end} only: in segment {} at \
                 offset {}, {fault}",
                at.log, at.segment, at.offset
            ),
            Loss::Unreadable { at, fault } => write!(
                f,
                "log {} can be read to segment {}, offset {} only: {fault}. What was acknowledged last may lie there",
                at.log, at.segment, at.offset
            ),
            Loss::Segment { at } => write!(f, "segment {} of log {} is not there", at.segment, at.log),
            Loss::Accept { slot, mark, marked_by: Some(at), .. } if *slot <= mark.slot => {
                write!(f, "the accept of slot {slot} is missing; the record at {at} says {mark} was accepted")
            }
            Loss::Accept { slot, highest_held, .. } => {
                write!(
                    f,
                    "the accept of slot {slot} is missing; the accept of slot {highest_held} above it is there"
                )
            }
            Loss::Stripe { slot, stripe, named_at } => write!(
                f,
                "stripe {} of shard {} is missing; the accept of slot {slot} at {named_at} names it",
                stripe.hash, stripe.shard
            ),
            Loss::CheckpointHeads { slot, found } => {
                write!(
                    f,
                    "the heads of the checkpoint after slot {slot} that are here, of shards {found:?}, do not add up \
                     to its digest"
                )
            }
            Loss::Entities { slot, shard, number, named_at } => write!(
                f,
                "record {number} of shard {shard}'s entities in the checkpoint after slot {slot} is missing; its head \
                 at {named_at} counts it"
            ),
            Loss::Keys { slot, shard, first, next } => write!(
                f,
                "keys of shard {shard} in the checkpoint after slot {slot} are missing, from number {first}; it has \
                 those below {next}"
            ),
        }
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoveryError::Device(error) => error.fmt(f),
            RecoveryError::Accept { location } => write!(
                f,
                "the accept at {location} is whole but cannot be read: start the version that wrote it"
            ),
            RecoveryError::Lost { losses } => {
                write!(f, "acknowledged data is lost, so this replica does not start and changes nothing. ")?;
                write!(f, "Copy the data directory away, check the disk, then restore a backup.")?;
                losses.iter().try_for_each(|loss| write!(f, "\n  {loss}"))
            }
            RecoveryError::Rebuild { losses } => {
                write!(
                    f,
                    "this replica lost what its peers cannot repair in place, so it does not start and changes "
                )?;
                write!(
                    f,
                    "nothing. Copy the data directory away, check the disk, then `assize rebuild --config FILE` and start it."
                )?;
                losses.iter().try_for_each(|loss| write!(f, "\n  {loss}"))
            }
        }
    }
}

impl core::error::Error for RecoveryError {}

impl From<DeviceError> for RecoveryError {
    fn from(error: DeviceError) -> RecoveryError {
        RecoveryError::Device(error)
    }
}

/// What is lost of one log as such, whatever its slots say.
pub(super) fn log_loss(scan: &LogScan) -> Option<Loss> {
    let at = scan.identity.location(scan.end.offset, 0);
    if scan.peers {
        let missing = scan.missing_segment().map(|segment| scan.identity.start_of(segment));
        return missing.map(|offset| Loss::Segment { at: scan.identity.location(offset, 0) });
    }
    let durable_through = match scan.decision() {
        LogDecision::LostBelowCut => scan.cut.map(|cut| cut.offset),
        LogDecision::LostFlushed => scan.beyond.iter().map(|record| record.header.durable_through).max(),
        LogDecision::LostUnreadable => return Some(Loss::Unreadable { at, fault: scan.fault }),
        LogDecision::Whole | LogDecision::IgnoreVoid | LogDecision::CutTornTail | LogDecision::GoOnBehind => {
            None
        }
    }?;
    Some(Loss::Log { at, fault: scan.fault, end: scan.end.offset, durable_through })
}
