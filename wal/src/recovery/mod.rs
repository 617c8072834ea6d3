//! What a start may rely on: every log read to its end, judged by tables, never silently truncated (L5).
//!
//! Order of a start, after which a replica is a voter (R1):
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
//!
//! With peers a loss in a log of stripes and accepts does not refuse the start. The replica starts *damaged*: it says
//! for which slots it cannot vouch (P5), and repairs them by appending. What a start owes the next one:
//! * The log goes on behind everything that was ever there, so a damaged block is never written again, and what may
//!   still be read there later changes nothing.
//! * A gap stays in the log until its segment is recycled, and each start judges it anew from what the records say.
//!   What was repaired has a newer record, under a ballot that no mark outranks (`evidence.rs`).
//! * What cannot be judged anew is in the superblock ([`Recovered::to_remember`]).
//!
//! Whoever uses this keeps two promises of its own, without which a lost accept could be a lost promise:
//! * a ballot is durable in the superblock before anything is accepted under it (P1);
//! * a slot is recorded as fetched under a ballot not below any that was promised, and, if it voids what was accepted
//!   before, above the ballots of that.

mod checkpoint;
mod evidence;
mod gap;
mod report;
mod scan;
mod slots;
mod table;
mod window;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use assize_wire::accept::Accept;
use assize_wire::canary::{self, Canary};
use assize_wire::{Ballot, Hash, Incarnation, LogId, Slot, StripeId};

pub use checkpoint::{KeysRecord, RecoveredCheckpoint, RecoveredPart, cover_keys};
pub use gap::{Gap, GapIn};
pub use report::{Loss, RecoveryError};
pub use scan::{LogScan, ScannedRecord};
pub use slots::{Damage, DamagedSlot, RecoveredSlot};
pub use table::{LogDecision, SlotDecision};

use crate::header::{LogIdentity, Mark, RecordLocation};
use crate::log::{LogEnd, LogStart};
use crate::operation::{SegmentId, SegmentReader};
use crate::outcome_index::OutcomeIndex;
use crate::superblock::{LogCut, Remembered, Superblock};
use evidence::Evidence;
use slots::Walked;

/// Whether what is lost can be repaired.
#[derive(Clone, Copy, Debug)]
pub enum Peers {
    /// A single replica: it refuses to start.
    None,
    /// It starts damaged, as far as logs of stripes and accepts go; of others it refuses, and is to be rebuilt.
    Some {
        /// Whether a log is one of stripes and accepts.
        repairable: fn(LogId) -> bool,
    },
}

impl Peers {
    fn are_some(self) -> bool {
        matches!(self, Peers::Some { .. })
    }

    /// R3: nothing that was evaluated here is relied upon any more, so nothing of it can be lost. Its logs begin anew,
    /// lest what is damaged in them be found by the start after this one. Their marks still tell what was accepted.
    fn rebuild(self, superblock: &Superblock) -> bool {
        self.are_some() && superblock.quarantine.is_some_and(|quarantine| quarantine.is_rebuild())
    }

    fn repair(self, log: LogId) -> bool {
        matches!(self, Peers::Some { repairable } if repairable(log))
    }
}

/// What a start may take for having happened, where a crash and a decayed block look the same (`gap.rs`).
///
/// 1. Slots 15 and 16 are accepted again under ballot 3, by two writes under way at once. Then the power is cut.
/// 2. The accept of slot 15 is missing, that of slot 16 whole. Either the write of the first was torn and nothing of
///    ballot 3 was ever answered; or both were flushed and answered, and the first decayed since.
/// 3. Taken for decay by two of three replicas, no majority of promises counts at slot 15, and no leader is ever
///    elected.
///    Taken for torn, what a majority accepted under ballot 3 may be lost.
///
/// So the replica says that from slot 15 up it is in doubt, and what it has there if the gap was torn. Where *all*
/// replicas have promised that much counts: of a choice at least one of them has the accept, or more logs than a
/// minority are damaged (P5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Whatever may have been accepted.
    Everything,
    /// What was accepted, whether a gap that a crash explains was torn or not.
    Certain {
        /// Accepts that count in both, wherever they stand: nothing that may have been accepted casts doubt on them.
        vouched: Vec<RecordLocation>,
        /// What is known chosen.
        chosen: Vec<(Slot, Hash)>,
    },
}

/// What recovery must know of an accept's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptRead {
    /// The highest slot that its writer knew chosen (P7).
    pub chosen: Slot,
    /// The hash of the manifest at the slot below.
    pub previous: Hash,
    /// The stripes that it names.
    pub stripes: Vec<StripeId>,
}

impl AcceptRead {
    /// Reads the payload of an accept as the engine writes it.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<AcceptRead> {
        let accept = Accept::parse(payload).ok()?;
        let stripes = accept.manifest.stripes.iter().map(|stripe| stripe.id).collect();
        Some(AcceptRead { chosen: accept.chosen, previous: accept.manifest.previous, stripes })
    }
}

/// What a replica resumes from.
#[derive(Debug)]
pub struct Recovered {
    /// The incarnation that begins.
    pub incarnation: Incarnation,
    /// Every log found or known, ascending.
    pub logs: Vec<RecoveredLog>,
    /// The active checkpoint, if there is one. Without parts where what was evaluated is to be rebuilt: then it says
    /// only where the log begins.
    pub checkpoint: Option<RecoveredCheckpoint>,
    /// Every record of a Warden's keys, of whichever checkpoint.
    pub keys: Vec<KeysRecord>,
    /// The accepted slots above the checkpoint, without a gap.
    pub accepted: Vec<RecoveredSlot>,
    /// The slot through which all are known chosen: not above the accepted ones, nor below the checkpoint. A single
    /// replica is its own majority, so there it is the last accepted one.
    pub chosen: Slot,
    /// Slots above the accepted ones that were accepted, ascending and without a gap. Only with peers.
    pub damaged: Vec<DamagedSlot>,
    /// Slots, ascending and without a gap, at which an accept may be lost that a crash may just as well have torn: for
    /// those [`Recovered::accepted`] has what was there before. Only with peers.
    pub doubtful: Vec<DamagedSlot>,
    /// What [`Superblock::accepted`] is to say, with the new incarnation.
    pub to_remember: Remembered,
    /// What [`Superblock::certain`] is to say.
    pub to_remember_certain: Remembered,
    /// Every whole stripe, named or not.
    pub stripes: Vec<(StripeId, RecordLocation)>,
    /// The last accepted slot, or the checkpoint's.
    pub accepted_through: Slot,
    /// What records of this incarnation begin to say: the highest (ballot, slot) of an accepted slot. With peers its
    /// slot may be below the last one: a leader that walks upward has some accepted again under its own, higher ballot.
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
    /// Where it goes on, and the checksum of its last whole record.
    pub end: LogEnd,
    /// What is missing of it. Only with peers.
    pub gaps: Vec<Gap>,
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

/// Recovers a replica. `parse` reads an accept's payload; `None` if it cannot be read.
///
/// It is [`flush_logs`], [`scan_log`] of each, in any order or by threads of their own, and [`judge`].
///
/// # Errors
/// [`RecoveryError`]: nothing was changed.
pub fn recover(
    reader: &mut dyn SegmentReader,
    superblock: &Superblock,
    parse: &mut dyn FnMut(&[u8]) -> Option<AcceptRead>,
    peers: Peers,
) -> Result<Recovered, RecoveryError> {
    let logs = flush_logs(reader, superblock)?;
    let scans = logs.into_iter().map(|log| scan_log(reader, superblock, log, peers));
    judge(scans.collect::<Result<_, _>>()?, superblock, parse, peers)
}

/// What the tables make of the scans of all logs, ascending by log.
///
/// # Errors
/// [`RecoveryError`]: what is lost.
pub fn judge(
    scans: Vec<LogScan>,
    superblock: &Superblock,
    parse: &mut dyn FnMut(&[u8]) -> Option<AcceptRead>,
    peers: Peers,
) -> Result<Recovered, RecoveryError> {
    let has_peers = peers.are_some();
    let rebuilds = peers.rebuild(superblock);
    let begins_anew = |scan: &LogScan| rebuilds && !peers.repair(scan.identity.log);
    let mut losses = Vec::new();
    losses.extend(scans.iter().filter(|scan| !begins_anew(scan)).filter_map(report::log_loss));
    let keys = if rebuilds { Vec::new() } else { checkpoint::keys_records(&scans) };
    let at = superblock.checkpoint;
    let checkpoint = at.and_then(|at| match rebuilds {
        true => Some(RecoveredCheckpoint { at, parts: Vec::new() }),
        false => checkpoint::find(&scans, at, &keys, &mut losses),
    });
    let first_slot = at.map_or(Slot::ZERO, |at| at.slot).next();
    let evidence = Evidence::gather(&scans, superblock, parse, &View::Everything)?;
    let mut walked = slots::walk(&scans, first_slot, &evidence, has_peers, &mut losses);
    let remember = |walked: &Walked, evidence: &Evidence<'_>| match has_peers {
        true => slots::to_remember(walked, evidence),
        false => Remembered::default(),
    };
    let to_remember = remember(&walked, &evidence);
    let (mut to_remember_certain, mut doubtful) = (to_remember, Vec::new());
    if has_peers && !walked.damaged.is_empty() {
        let vouched = walked.accepted.iter().map(|slot| slot.location).collect();
        let view = View::Certain { vouched, chosen: evidence.all_chosen().collect() };
        let evidence = Evidence::gather(&scans, superblock, parse, &view)?;
        let mut certain = slots::walk(&scans, first_slot, &evidence, has_peers, &mut losses);
        // Where the other view ends for good, by what is void there, this one must not suspect anything more. In doubt
        // it is from further below on.
        let last = walked.damaged.last().map(|damaged| damaged.slot);
        certain.damaged.retain(|damaged| Some(damaged.slot) <= last);
        to_remember_certain = remember(&certain, &evidence);
        doubtful = slots::set_apart_doubt(&mut walked, certain);
    }
    if !losses.is_empty() {
        return Err(if has_peers {
            RecoveryError::Rebuild { losses }
        } else {
            RecoveryError::Lost { losses }
        });
    }
    let mut outcomes = OutcomeIndex::default();
    for record in scans.iter().filter(|scan| !begins_anew(scan)).flat_map(|scan| &scan.records) {
        outcomes.insert(&record.header.entry, record.location);
    }
    let below = at.map_or(Slot::ZERO, |at| at.slot);
    let of_checkpoint = at.map_or(Mark::default(), |at| Mark { ballot: at.ballot, slot: at.slot });
    let marks = walked.accepted.iter().map(|slot| Mark { ballot: slot.ballot, slot: slot.slot });
    let mark = marks.fold(of_checkpoint, Mark::max);
    let through = walked.accepted.last().map_or(below, |slot| slot.slot);
    let known = walked.accepted.iter().rev().find(|slot| slot.chosen).map_or(below, |slot| slot.slot);
    Ok(Recovered {
        incarnation: Incarnation(superblock.incarnation.0 + 1),
        logs: scans
            .iter()
            .map(|scan| if begins_anew(scan) { scan.summary_anew() } else { scan.summary() })
            .collect(),
        checkpoint,
        keys,
        mark,
        chosen: if has_peers { known } else { through },
        accepted_through: through,
        to_remember,
        to_remember_certain,
        doubtful,
        accepted: walked.accepted,
        damaged: walked.damaged,
        stripes: walked.stripes,
        ballot_max: evidence.ballot_max,
        outcomes,
    })
}

/// Every log that is there or known, ascending. What is there is flushed before anything is read (L5).
///
/// # Errors
/// The device failed.
pub fn flush_logs(
    reader: &mut dyn SegmentReader,
    superblock: &Superblock,
) -> Result<BTreeSet<LogId>, RecoveryError> {
    let mut logs: BTreeSet<LogId> = reader.logs()?.into_iter().collect();
    for log in logs.iter().filter(|_| !canary::armed(Canary::SkipRecoveryFlush)) {
        reader.flush(*log)?;
    }
    logs.extend(superblock.cuts.iter().map(|cut| cut.log));
    Ok(logs)
}

/// Reads one log to its end, after [`flush_logs`].
///
/// # Errors
/// The device failed.
pub fn scan_log(
    reader: &mut dyn SegmentReader,
    superblock: &Superblock,
    log: LogId,
    peers: Peers,
) -> Result<LogScan, RecoveryError> {
    let identity = LogIdentity {
        cluster: superblock.cluster,
        record_key: superblock.record_key,
        replica: superblock.replica,
        log,
        segment_bytes: superblock.segment_bytes,
    };
    let goes_on_behind_gaps = peers.rebuild(superblock) || peers.repair(log);
    Ok(scan::scan(reader, identity, superblock.cut(log), goes_on_behind_gaps)?)
}
