//! What a start may rely on: every log read to its end, judged by tables, never silently truncated (L5).
//!
//! Order of a start:
//! 1. [`crate::superblock::find`] the superblock.
//! 2. [`recover`]: every log is flushed, then scanned; the tables decide; a loss refuses the start.
//! 3. The new incarnation and [`Recovered::cuts`] go into the superblock by one update. Only then
//! 4. logs are opened with their [`Recovered::start`] and may append.
//!
//! A second crash, which the cuts are for:
//! 1. Incarnation 1 has groups A and B in flight and crashes. A is missing, B is whole on the disk.
//! 2. Incarnation 2 cuts before A, appends C where A was to be, and crashes. C ends where B begins.
//! 3. Incarnation 3 reads C and finds B, whole, right behind it. B was never acknowledged and its slot may be C's.
//!    The cut of incarnation 2 says that from A's place on nothing of incarnation 1 counts: B is void.

mod checkpoint;
mod report;
mod scan;
mod slots;
mod table;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::{Ballot, Incarnation, LogId, ReplicaId, Slot, StripeId};

pub use checkpoint::{KeysRecord, RecoveredCheckpoint, RecoveredPart};
pub use report::{Loss, RecoveryError};
pub use scan::{LogScan, ScannedRecord};
pub use slots::RecoveredSlot;
pub use table::{LogDecision, SlotDecision};

use crate::header::{Entry, LogIdentity, Mark, RecordLocation};
use crate::log::{LogEnd, LogStart};
use crate::operation::{SegmentId, SegmentReader};
use crate::outcome_index::OutcomeIndex;
use crate::superblock::{LogCut, Superblock};

/// What a single replica resumes from.
#[derive(Debug)]
pub struct Recovered {
    /// The incarnation that begins.
    pub incarnation: Incarnation,
    /// Every log found or known, ascending.
    pub logs: Vec<RecoveredLog>,
    /// The active checkpoint, if there is one.
    pub checkpoint: Option<RecoveredCheckpoint>,
    /// Every record of a Warden's keys, of whichever checkpoint.
    pub keys: Vec<KeysRecord>,
    /// The accepted slots above the checkpoint, without a gap.
    pub accepted: Vec<RecoveredSlot>,
    /// Stripes that no accepted slot names.
    pub unnamed: Vec<(StripeId, RecordLocation)>,
    /// Accepted-through.
    pub mark: Mark,
    /// The highest ballot seen anywhere, the promise in the superblock included (P3).
    pub ballot_max: Ballot,
    /// Where published outcomes lie (L9).
    pub outcomes: OutcomeIndex,
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredLog {
    /// Its id.
    pub log: LogId,
    /// What the table said of its end.
    pub decision: LogDecision,
    /// Where it ends.
    pub end: LogEnd,
    /// The first segment that is kept.
    pub first_segment: SegmentId,
    /// The checksum of the record before the first one of that segment.
    pub first_previous: u32,
    /// The first segment that is not prepared.
    pub prepared_end: SegmentId,
    /// Segments that were given up.
    pub free: Vec<SegmentId>,
    /// For each kept segment with records the checksum of the record before its first one.
    pub previous: Vec<(SegmentId, u32)>,
    /// Whole records read.
    pub records: u64,
    /// Accepts of which one copy is damaged, read from the other.
    pub twins_damaged: u64,
}

impl Recovered {
    /// What the superblock must hold, with the new incarnation, before any log appends: one cut for every log read,
    /// and one for each of `opened` that is new.
    #[must_use]
    pub fn cuts(&self, opened: &[LogId]) -> Vec<LogCut> {
        let logs: BTreeSet<LogId> =
            self.logs.iter().map(|log| log.log).chain(opened.iter().copied()).collect();
        let cut = |log| {
            let found = self.logs.iter().find(|found| found.log == log);
            LogCut {
                log,
                incarnation: self.incarnation,
                offset: found.map_or(0, |found| found.end.offset),
                first_segment: found.map_or(SegmentId(0), |found| found.first_segment),
                first_previous: found.map_or(0, |found| found.first_previous),
            }
        };
        logs.into_iter().map(cut).collect()
    }

    /// The ballot that `replica` leads under from now on: above every one that was ever used or promised (P1). It goes
    /// into the superblock with the cuts.
    #[must_use]
    pub fn next_ballot(&self, replica: ReplicaId) -> Ballot {
        let round = self.ballot_max.round();
        let reused = canary::armed(Canary::ReuseBallot) && round > 0;
        Ballot::new(if reused { round } else { round + 1 }, replica)
    }

    /// From where a log resumes; a log that is new resumes at its beginning.
    #[must_use]
    pub fn start(&self, log: LogId) -> LogStart {
        let found = self.logs.iter().find(|found| found.log == log);
        let fresh = LogStart { mark: self.mark, ..LogStart::fresh(self.incarnation) };
        found.map_or(fresh, |found| LogStart {
            incarnation: self.incarnation,
            end: found.end,
            first_segment: found.first_segment,
            prepared_end: found.prepared_end,
            free: found.free.clone(),
            previous: found.previous.clone(),
            mark: self.mark,
        })
    }
}

/// Recovers a single replica. `stripes_of` says which stripes an accept's payload names, or `None` if it cannot be
/// read.
pub fn recover(
    reader: &mut dyn SegmentReader,
    superblock: &Superblock,
    stripes_of: &mut dyn FnMut(&[u8]) -> Option<Vec<StripeId>>,
) -> Result<Recovered, RecoveryError> {
    let mut logs: BTreeSet<LogId> = reader.logs()?.into_iter().collect();
    for log in logs.iter().filter(|_| !canary::armed(Canary::SkipRecoveryFlush)) {
        reader.flush(*log)?;
    }
    logs.extend(superblock.cuts.iter().map(|cut| cut.log));
    let mut scans = Vec::new();
    let mut losses = Vec::new();
    for log in logs {
        let identity = LogIdentity {
            cluster: superblock.cluster,
            record_key: superblock.record_key,
            replica: superblock.replica,
            log,
            segment_bytes: superblock.segment_bytes,
        };
        let scan = scan::scan(reader, identity, superblock.cut(log))?;
        losses.extend(report::log_loss(&scan));
        scans.push(scan);
    }
    let keys = checkpoint::keys_records(&scans);
    let at = superblock.checkpoint;
    let checkpoint = at.and_then(|at| checkpoint::find(&scans, at, &keys, &mut losses));
    let first_slot = at.map_or(Slot::ZERO, |at| at.slot).next();
    let walked = slots::walk(&scans, first_slot, stripes_of, &mut losses)?;
    if !losses.is_empty() {
        return Err(RecoveryError::Lost { losses });
    }
    let mut outcomes = OutcomeIndex::default();
    let mut ballot_max = superblock.promised;
    for record in scans.iter().flat_map(|scan| &scan.records) {
        outcomes.insert(&record.header.entry, record.location);
    }
    for record in scans.iter().flat_map(|scan| scan.records.iter().chain(&scan.beyond)) {
        ballot_max = ballot_max.max(record.header.mark.ballot);
        if let Entry::Accept { ballot, .. } = record.header.entry {
            ballot_max = ballot_max.max(ballot);
        }
    }
    let through = match (walked.accepted.last(), at) {
        (Some(slot), _) => Mark { ballot: slot.ballot, slot: slot.slot },
        (None, Some(at)) => Mark { ballot: at.ballot, slot: at.slot },
        (None, None) => Mark::default(),
    };
    Ok(Recovered {
        incarnation: Incarnation(superblock.incarnation.0 + 1),
        logs: scans.iter().map(LogScan::summary).collect(),
        checkpoint,
        keys,
        mark: through,
        accepted: walked.accepted,
        unnamed: walked.unnamed,
        ballot_max,
        outcomes,
    })
}
