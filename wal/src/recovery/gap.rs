//! Where whole records are missing from a log whose replica has peers, and which accepts may have been there.
//!
//! What a gap hides of stripes is named by the accepts of their slots. What it hides of accepts, nearly always, by
//! marks:
//! 1. An accept is durable, and its log knows: from now on each of its records carries a mark that covers the accept,
//!    and says that the log is durable through it.
//! 2. Blocks of the accept are damaged.
//! 3. A start finds the gap, and behind it a record that says so. Its mark covers whatever the gap hides.
//!
//! That does not hold where the ballot changed in the gap, for a mark moves down to a lower slot under a higher ballot:
//! 1. Slot 19 is accepted under ballot 2, then slot 1 again under ballot 3, as its leader walks upward.
//! 2. Both are damaged. The next record says (ballot 3, slot 1), and nothing of slot 19.
//!
//! Ballots only rise, so hidden accepts of lower ballots than that mark's are of ballots that the records before the
//! gap leave open; and each is of a slot next to those known by then, at most as many as fit, two blocks each.
//!
//! What lies below the cut the last start has seen, and remembers ([`crate::superblock::Remembered`]).
//!
//! Where no record behind it says that the log was durable through it, the gap is *open*:
//! * nothing proves that it was ever durable: a torn tail, in which nothing was acknowledged;
//! * a block of it cannot be read: a power cut does not do that, so what was acknowledged last may lie there, and there
//!   may have been as many accepts as fit above everything that is known.
//!
//! A gap may be *torn* although whole records are behind it: a power cut keeps what it likes of several writes under
//! way. Nothing behind it was acknowledged then. Or the flush did complete, no record was formed since, and the gap
//! decayed. No start can tell the one from the other, so both views are reported (`slots.rs`).

use alloc::vec::Vec;
use core::fmt;

use assize_wire::{Ballot, Incarnation};

use super::View;
use super::scan::{LogScan, ScannedRecord};
use crate::header::{Entry, LogIdentity, RecordFault, RecordHeader, RecordLocation};
use crate::limits::BLOCK_BYTES;

/// A part of a log without a whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Logical offset of its first byte, where the record before it ends.
    pub start: u64,
    /// Logical offset of the next whole record, or of where the log goes on.
    pub end: u64,
    /// What stands at its beginning.
    pub fault: RecordFault,
    /// Logical offset behind the last block in it that cannot be read.
    pub unreadable_end: Option<u64>,
    /// Whole records before it, in its log.
    pub(super) records_before: usize,
}

/// A gap of which log, for a report.
pub struct GapIn<'a>(pub &'a Gap, pub LogIdentity);

/// Accepts that a gap may hide without a trace.
pub(super) struct Hidden {
    /// At most so many.
    pub(super) accepts: u64,
    /// When they were made, as far as that is known.
    pub(super) made: Made,
    /// Whole records before the gap.
    pub(super) records_before: usize,
}

/// Records behind torn gaps: from which one on, of which incarnation.
pub(super) struct Dropped(Vec<(usize, Incarnation)>);

impl Dropped {
    /// Whether the record at an index of its log is one of them.
    pub(super) fn contains(&self, at: usize, record: &ScannedRecord) -> bool {
        self.0.iter().any(|(first, writer)| *first <= at && record.header.incarnation == *writer)
    }
}

/// When accepts were made that a gap may hide.
#[derive(Clone, Copy)]
pub(super) enum Made {
    /// Before the record that closes the gap, under ballots below its mark's.
    Before(RecordHeader),
    /// Whenever.
    Whenever,
}

impl LogScan {
    /// What its gaps may hide.
    pub(super) fn hidden(&self) -> Vec<Hidden> {
        let mut fit = 0;
        let mut found = Vec::new();
        // What the last start found, in whatever is gone since, is in the superblock.
        let is_new = |gap: &&Gap| self.cut.is_none_or(|cut| gap.end > cut.offset);
        for gap in self.gaps.iter().filter(is_new).filter(|gap| !self.is_torn(gap)) {
            let records_before = gap.records_before;
            let mut behind = self.behind(gap).map(|record| record.header);
            match behind.find(|header| header.durable_through >= gap.end) {
                Some(header) => {
                    fit += accepts_in(gap.start, gap.end);
                    if self.ballot_before(gap) < header.mark.ballot {
                        found.push(Hidden { accepts: fit, made: Made::Before(header), records_before });
                    }
                }
                None => {
                    if gap.unreadable_end.is_none_or(|end| end <= gap.start) {
                        continue;
                    }
                    // Of all of it: when a later start finds it closed it must not suspect more than this one.
                    fit += accepts_in(gap.start, gap.end);
                    found.push(Hidden { accepts: fit, made: Made::Whenever, records_before });
                }
            }
        }
        found
    }

    /// The records that do not count in a view: in the one that is certain those behind a torn gap, of its writer.
    pub(super) fn dropped(&self, view: &View) -> Dropped {
        let torn = self.gaps.iter().filter(|gap| *view != View::Everything && self.is_torn(gap));
        let first = torn.map(|gap| (gap.records_before, self.records[gap.records_before].header.incarnation));
        Dropped(first.collect())
    }

    /// Whether a crash may have left a gap: whoever wrote what is behind it never says that the log was durable beyond
    /// its beginning, and all of it can be read.
    pub(super) fn is_torn(&self, gap: &Gap) -> bool {
        let Some(next) = self.behind(gap).next() else { return false };
        let writer = next.header.incarnation;
        let mut of_writer = self.behind(gap).take_while(|record| record.header.incarnation == writer);
        // Each of its records says at least that everything was durable which its start had found. So a gap that hides
        // something older, or begins where an older incarnation ended, is not torn.
        let flushed = of_writer.any(|record| record.header.durable_through > gap.start);
        !flushed && gap.unreadable_end.is_none()
    }

    /// The highest ballot that was accepted under before a gap, as far as this log tells.
    fn ballot_before(&self, gap: &Gap) -> Ballot {
        let headers = self.records[..gap.records_before].iter().map(|record| &record.header);
        let accepted = |header: &RecordHeader| match header.entry {
            Entry::Accept { ballot, .. } => ballot.max(header.mark.ballot),
            _ => header.mark.ballot,
        };
        headers.map(accepted).max().unwrap_or(Ballot::NONE)
    }
}

/// How many accepts fit; at least one, for one of two copies may be damaged in another way.
fn accepts_in(start: u64, end: u64) -> u64 {
    ((end - start) / ACCEPT_BYTES_MIN).max(1)
}

impl fmt::Display for GapIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GapIn(gap, identity) = self;
        let RecordLocation { log, segment, offset, .. } = identity.location(gap.start, 0);
        let bytes = gap.end - gap.start;
        write!(
            f,
            "{bytes} bytes of log {log} are damaged, from segment {segment}, offset {offset}: {}",
            gap.fault
        )
    }
}

/// Whether nothing was written where this was found.
pub(super) fn unwritten(fault: &RecordFault) -> bool {
    match fault {
        RecordFault::Blank | RecordFault::NoSegment => true,
        // What the segment held before it was recycled.
        RecordFault::Misplaced { found, expected } => found < expected,
        _ => false,
    }
}

/// Both copies of an accept.
const ACCEPT_BYTES_MIN: u64 = 2 * BLOCK_BYTES as u64;
