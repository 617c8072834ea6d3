//! What the records say of each slot: its newest whole accept, under which ballot it must have been accepted at least,
//! and whether it is known chosen.
//!
//! A whole accept is not always the one that counts. With peers the newest one may be damaged, and an older one of the
//! same slot be whole:
//! 1. X is accepted at slot 8 under ballot 1, then Y under ballot 2. Y is chosen, this replica being one of the
//!    majority.
//! 2. The record of Y is damaged. A start finds X, whole.
//! 3. It promises a third leader and says X. The leader hears of Y from nobody else that it asked, and proposes X.
//!
//! So X counts only if nothing says that something newer was accepted. What may say so:
//! * a mark of ballot 2 at or above slot 8, or an accept above it under ballot 2: a slot is accepted under a ballot
//!   only if the one below it was accepted under that ballot, or known chosen (P4);
//! * the manifest of slot 9, newer than X, which does not chain to X;
//! * what an earlier start found lost, which the superblock remembers.
//!
//! A slot that is known chosen needs no ballot: the manifest of a chosen slot stands where the chain leads down from an
//! accept whose writer knew the slot chosen (P7).
//!
//! Marks of slots that were voided since stay in the log. They ask for no more than the voided accepts have:
//! 1. X is accepted at slots 7 to 9 under ballot 1, then Y at slot 7 under ballot 2, which voids X at 8 and 9.
//! 2. Marks say (ballot 1, slot 9) and (ballot 2, slot 7). X at slot 8 has the ballot that the first one asks for, and
//!    does not chain to Y, which is newer: slot 8 is empty, and nothing of it is lost.
//!
//! A repair is under a ballot not below anything that was promised, so it has whatever ballot is asked for, and damage
//! that stays in the log is found again by each start and means nothing any more.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::{Ballot, Hash, Incarnation, Slot};

use super::gap::Made;
use super::scan::{LogScan, ScannedRecord};
use super::{AcceptRead, RecoveryError, View};
use crate::header::{Entry, Mark, RecordLocation};
use crate::superblock::Superblock;

/// The newest whole accept of a slot.
#[derive(Debug)]
pub(super) struct Newest<'a> {
    pub(super) record: &'a ScannedRecord,
    pub(super) ballot: Ballot,
    pub(super) manifest: Hash,
    pub(super) read: AcceptRead,
    /// Incarnation and offset: all accepts of one incarnation are in one log, so this is the order of writing.
    ///
    /// Their ballots are not in that order:
    /// 1. Slots 5 to 9 are accepted under ballot 2. The accept of slot 7 is damaged.
    /// 2. The next start says so. The leader of ballot 2 still leads and says that slot 7 is chosen; it is fetched and
    ///    recorded under ballot 2, behind the record of slot 9.
    written: (Incarnation, u64),
}

/// Everything that the logs, the superblock and the checkpoint say of slots.
pub(super) struct Evidence<'a> {
    newest: BTreeMap<Slot, Newest<'a>>,
    /// At some slots the highest ballot that something at or above it was accepted under.
    accepted_under: BTreeMap<Slot, Ballot>,
    /// For each slot with an accept when it, or what stands upon it, was written last.
    endorsed: BTreeMap<Slot, (Incarnation, u64)>,
    /// Slots with an accept that are known chosen with the manifest that the accept has.
    chosen: BTreeSet<Slot>,
    /// The slot below the first one, and the hash of its manifest.
    base: (Slot, Hash),
    /// The highest slot of any mark.
    marked_through: Slot,
    /// The highest mark, and the record that carries it.
    pub(super) mark: (Mark, Option<RecordLocation>),
    /// Not below any ballot promised or accepted.
    pub(super) ballot_max: Ballot,
    /// The highest slot that anything tells of.
    pub(super) top: Slot,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(
        scans: &'a [LogScan],
        superblock: &Superblock,
        parse: &mut dyn FnMut(&[u8]) -> Option<AcceptRead>,
        view: &'a View,
    ) -> Result<Evidence<'a>, RecoveryError> {
        let at = superblock.checkpoint;
        let mut evidence = Evidence {
            newest: BTreeMap::new(),
            accepted_under: BTreeMap::new(),
            endorsed: BTreeMap::new(),
            chosen: BTreeSet::new(),
            base: at.map_or((Slot::ZERO, Hash::ZERO), |at| (at.slot, at.manifest)),
            marked_through: Slot::ZERO,
            mark: (Mark::default(), None),
            ballot_max: superblock.promised,
            top: Slot::ZERO,
        };
        for record in scans.iter().flat_map(|scan| scan.records.iter().chain(&scan.beyond)) {
            evidence.take_mark(record.header.mark, Some(record.location));
        }
        superblock.certain.iter().for_each(|mark| evidence.take_mark(mark, None));
        if *view == View::Everything {
            superblock.accepted.iter().for_each(|mark| evidence.take_mark(mark, None));
        }
        let marks = evidence.accepted_under.clone();
        for scan in scans {
            let dropped = scan.dropped(view);
            for (at, record) in scan.records.iter().enumerate() {
                if !dropped.contains(at, record) || is_vouched(record, view, &marks) {
                    evidence.take_accept(record, parse)?;
                }
            }
        }
        evidence.top = evidence.accepted_under.keys().next_back().copied().unwrap_or_default();
        for record in scans.iter().flat_map(|scan| &scan.beyond) {
            // What counts for nothing in a single replica still uses up its ballot (P1), and its slot.
            if let Entry::Accept { slot, ballot, .. } = record.header.entry {
                evidence.ballot_max = evidence.ballot_max.max(ballot);
                evidence.top = evidence.top.max(slot);
            }
        }
        evidence.suspect_hidden(scans);
        evidence.raise_ballots();
        evidence.follow_chain();
        if let View::Certain { chosen, .. } = view {
            // A fact, wherever the record stands that says so.
            let same =
                |(slot, hash): &&(Slot, Hash)| evidence.newest(*slot).is_some_and(|n| n.manifest == *hash);
            let known: Vec<Slot> = chosen.iter().filter(same).map(|(slot, _)| *slot).collect();
            evidence.chosen.extend(known);
        }
        Ok(evidence)
    }

    /// The newest whole accept of a slot.
    pub(super) fn newest(&self, slot: Slot) -> Option<&Newest<'a>> {
        self.newest.get(&slot)
    }

    /// The highest slot with a whole accept.
    pub(super) fn highest_held(&self) -> Slot {
        self.newest.keys().next_back().copied().unwrap_or_default()
    }

    /// Whether something that is no accept says that this slot was accepted, or one above it.
    pub(super) fn is_marked(&self, slot: Slot) -> bool {
        slot <= self.marked_through
    }

    /// A newest accept under a lower ballot is not the last one that was accepted at this slot.
    pub(super) fn least_ballot(&self, slot: Slot) -> Ballot {
        self.accepted_under.range(slot..).next().map_or(Ballot::NONE, |(_, ballot)| *ballot)
    }

    /// Whether a slot is known chosen, with the manifest that its newest accept has.
    pub(super) fn is_chosen(&self, slot: Slot) -> bool {
        self.chosen.contains(&slot)
    }

    /// The slots known chosen, with the manifests.
    pub(super) fn all_chosen(&self) -> impl Iterator<Item = (Slot, Hash)> {
        self.chosen.iter().filter_map(|slot| Some((*slot, self.newest(*slot)?.manifest)))
    }

    /// Whether something says that the newest whole accept of a slot is not the last one that was made.
    pub(super) fn is_stale(&self, slot: Slot) -> bool {
        let Some(newest) = self.newest(slot) else { return false };
        let outranked = !self.is_chosen(slot) && newest.ballot < self.least_ballot(slot);
        let above = slot.next();
        let contradicted = self.newest(above).is_some_and(|upon| upon.read.previous != newest.manifest)
            && self.endorsed.get(&above).is_some_and(|endorsed| *endorsed > newest.written);
        outranked || contradicted
    }

    /// Whether the slot below has a newer accept, of another manifest than this slot's chains to (P4).
    pub(super) fn is_void(&self, slot: Slot) -> bool {
        let Some(newest) = self.newest(slot) else { return false };
        let below = Slot(slot.0 - 1);
        if below == self.base.0 {
            return newest.read.previous != self.base.1;
        }
        self.newest(below).is_some_and(|below| {
            newest.read.previous != below.manifest
                && self.endorsed.get(&slot).is_some_and(|endorsed| below.written > *endorsed)
        })
    }

    /// The hash of the manifest that was accepted last at a slot, if the manifest above names it for certain (P5).
    pub(super) fn named_from_above(&self, slot: Slot) -> Option<Hash> {
        let above = slot.next();
        let upon = self.newest(above).filter(|_| !self.is_stale(above))?;
        let certain = self.is_chosen(above) || upon.ballot >= self.least_ballot(slot);
        certain.then_some(upon.read.previous)
    }

    fn take_mark(&mut self, mark: Mark, location: Option<RecordLocation>) {
        if mark > self.mark.0 {
            self.mark = (mark, location);
        }
        self.marked_through = self.marked_through.max(mark.slot);
        let ballot = if canary::armed(Canary::MarkWithoutBallot) { Ballot::NONE } else { mark.ballot };
        self.note_accepted(mark.slot, ballot);
    }

    fn take_accept(
        &mut self,
        record: &'a ScannedRecord,
        parse: &mut dyn FnMut(&[u8]) -> Option<AcceptRead>,
    ) -> Result<(), RecoveryError> {
        let Entry::Accept { slot, ballot, manifest } = record.header.entry else { return Ok(()) };
        self.note_accepted(slot, ballot);
        let written = (record.header.incarnation, record.header.offset);
        if slot <= self.base.0 || self.newest(slot).is_some_and(|newest| newest.written > written) {
            return Ok(());
        }
        let read = parse(&record.payload).ok_or(RecoveryError::Accept { location: record.location })?;
        self.newest.insert(slot, Newest { record, ballot, manifest, read, written });
        Ok(())
    }

    fn note_accepted(&mut self, slot: Slot, ballot: Ballot) {
        self.ballot_max = self.ballot_max.max(ballot);
        let at = self.accepted_under.entry(slot).or_default();
        *at = (*at).max(ballot);
    }

    /// Adds what gaps may hide, as marks. Above what is known, or was known when the gap was closed.
    fn suspect_hidden(&mut self, scans: &[LogScan]) {
        let mut suspected = Vec::new();
        for scan in scans {
            for hidden in scan.hidden() {
                let all = scans.iter().flat_map(|scan| &scan.records);
                // Not above what the superblock remembers: that has what was hidden at the last start, too.
                let (known, ballot) = match hidden.made {
                    Made::Whenever => (highest_slot(all), self.ballot_max),
                    Made::Before(header) => {
                        let earlier =
                            |record: &&ScannedRecord| record.header.incarnation < header.incarnation;
                        let before = scan.records[..hidden.records_before].iter();
                        (highest_slot(before.chain(all.filter(earlier))), header.mark.ballot)
                    }
                };
                let last = Slot(known.max(self.base.0).0 + hidden.accepts);
                suspected.push(Mark { ballot, slot: last });
            }
        }
        suspected.into_iter().for_each(|mark| self.take_mark(mark, None));
    }

    /// From the top down, so that each slot has the highest ballot of any at or above it.
    fn raise_ballots(&mut self) {
        let mut highest = Ballot::NONE;
        for ballot in self.accepted_under.values_mut().rev() {
            highest = highest.max(*ballot);
            *ballot = highest;
        }
        self.top = self.top.max(self.marked_through);
    }

    /// From the top down along the chain: what was known chosen, and what was written upon what.
    fn follow_chain(&mut self) {
        let mut above: Option<(Slot, Hash)> = None;
        let (mut known, mut endorsed) = (Slot::ZERO, (Incarnation(0), 0));
        for (slot, newest) in self.newest.iter().rev() {
            if above != Some((slot.next(), newest.manifest)) {
                (known, endorsed) = (Slot::ZERO, (Incarnation(0), 0));
            }
            known = known.max(newest.read.chosen);
            endorsed = endorsed.max(newest.written);
            self.endorsed.insert(*slot, endorsed);
            if *slot <= known {
                self.chosen.insert(*slot);
            }
            above = Some((*slot, newest.read.previous));
        }
    }
}

/// Whether an accept behind a torn gap counts all the same. An earlier start vouched for it, and said so by its marks:
/// it was whole, and so was everything below it, perhaps by a later record. To have accepted more than was answered is
/// no harm.
fn is_vouched(record: &ScannedRecord, view: &View, marks: &BTreeMap<Slot, Ballot>) -> bool {
    let Entry::Accept { slot, ballot, .. } = record.header.entry else { return false };
    let View::Certain { vouched, .. } = view else { return true };
    vouched.contains(&record.location) || marks.range(slot..).any(|(_, marked)| *marked == ballot)
}

/// The highest slot that records name, by their marks or as accepts.
fn highest_slot<'a>(records: impl Iterator<Item = &'a ScannedRecord>) -> Slot {
    let named = |record: &ScannedRecord| match record.header.entry {
        Entry::Accept { slot, .. } => slot.max(record.header.mark.slot),
        _ => record.header.mark.slot,
    };
    records.map(named).max().unwrap_or_default()
}
