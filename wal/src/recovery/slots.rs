//! Puts the logs together: which slots are accepted, and whether everything that they name is here.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use assize_wire::{Ballot, Hash, Slot, StripeId};

use super::report::{Loss, RecoveryError};
use super::scan::{LogScan, ScannedRecord};
use super::table::{AcceptFound, SlotDecision, SlotInput};
use crate::header::{Entry, Mark, RecordLocation};

/// An accepted slot.
#[derive(Clone, Debug)]
pub struct RecoveredSlot {
    /// The slot.
    pub slot: Slot,
    /// The ballot it was accepted under last.
    pub ballot: Ballot,
    /// The manifest's hash.
    pub manifest: Hash,
    /// The accept's payload.
    pub payload: Box<[u8]>,
    /// Where the accept lies.
    pub location: RecordLocation,
    /// The stripes it names, and where they lie.
    pub stripes: Vec<(StripeId, RecordLocation)>,
}

pub(super) struct Walked {
    pub(super) accepted: Vec<RecoveredSlot>,
    pub(super) unnamed: Vec<(StripeId, RecordLocation)>,
}

/// Walks the slots from `first_slot` to the last one that anything tells of.
pub(super) fn walk(
    scans: &[LogScan],
    first_slot: Slot,
    stripes_of: &mut dyn FnMut(&[u8]) -> Option<Vec<StripeId>>,
    losses: &mut Vec<Loss>,
) -> Result<Walked, RecoveryError> {
    let mut stripes: BTreeMap<StripeId, RecordLocation> = BTreeMap::new();
    for record in scans.iter().flat_map(|scan| &scan.records) {
        if let Entry::Stripe(id) = record.header.entry {
            stripes.insert(id, record.location);
        }
    }
    let (mark, marked_by) = highest_mark(scans);
    let held = accepts_held(scans);
    let beyond: BTreeSet<Slot> =
        scans.iter().flat_map(|scan| &scan.beyond).filter_map(accepted_slot).collect();
    let highest_held = held.keys().next_back().copied().unwrap_or(Slot::ZERO);
    let highest = mark.slot.max(highest_held).max(beyond.last().copied().unwrap_or(Slot::ZERO));
    let mut accepted = Vec::new();
    let mut slot = first_slot;
    while slot <= highest {
        let record = held.get(&slot);
        let named = record.map(|record| named_by(record, stripes_of)).transpose()?.unwrap_or_default();
        let found: Vec<(StripeId, Option<RecordLocation>)> =
            named.into_iter().map(|id| (id, stripes.get(&id).copied())).collect();
        let decision = SlotInput {
            at_or_below_mark: slot <= mark.slot,
            below_accepted: slot < highest_held,
            accept: match record {
                Some(_) => AcceptFound::Whole,
                None if beyond.contains(&slot) => AcceptFound::Beyond,
                None => AcceptFound::Missing,
            },
            stripes_whole: found.iter().all(|(_, location)| location.is_some()),
        }
        .decide();
        match (decision, record) {
            (SlotDecision::Accepted, Some(record)) => accepted.push(recovered(slot, record, &found)),
            (SlotDecision::LostStripe, Some(record)) => {
                let missing = found.iter().filter(|(_, location)| location.is_none());
                losses.extend(missing.map(|(stripe, _)| Loss::Stripe {
                    slot,
                    stripe: *stripe,
                    named_at: record.location,
                }));
            }
            (SlotDecision::LostAccept, _) => {
                losses.push(Loss::Accept { slot, mark, marked_by, highest_held })
            }
            // Above all marks and everything held: nothing higher can be accepted either.
            (SlotDecision::End | SlotDecision::TornTail, _) => break,
            (decision, _) => unreachable!("{decision:?} of a slot without an accept"),
        }
        slot = slot.next();
    }
    let named: BTreeSet<StripeId> =
        accepted.iter().flat_map(|slot| &slot.stripes).map(|(id, _)| *id).collect();
    let unnamed = stripes.into_iter().filter(|(id, _)| !named.contains(id)).collect();
    Ok(Walked { accepted, unnamed })
}

/// The accept that counts for each slot. Taken in the order in which they were written: another manifest at a slot
/// voids everything held above it (P4).
///
/// Not in the order of their ballots, in which a slot that was repaired would come too early:
/// 1. Slots 5 to 9 are accepted under ballot 2. The accept of slot 7 is damaged at rest.
/// 2. The next start says so. The leader of ballot 2 still leads and says that slot 7 is chosen; it is fetched and
///    recorded under ballot 2, behind the record of slot 9.
/// 3. A slot that another leader chose voids those above it, under whatever ballot it is recorded: X is accepted at slot
///    8 under ballot 2, then Y is fetched at slot 7, and X does not follow from Y. Had Y come first, X would have been
///    accepted upon it, and is held.
///
/// All accepts of one incarnation are in one log, so (incarnation, offset) is that order.
fn accepts_held(scans: &[LogScan]) -> BTreeMap<Slot, &ScannedRecord> {
    let mut records: Vec<(Slot, Hash, &ScannedRecord)> = Vec::new();
    for record in scans.iter().flat_map(|scan| &scan.records) {
        if let Entry::Accept { slot, manifest, .. } = record.header.entry {
            records.push((slot, manifest, record));
        }
    }
    records.sort_by_key(|(.., record)| (record.header.incarnation, record.header.offset));
    let mut held: BTreeMap<Slot, (Hash, &ScannedRecord)> = BTreeMap::new();
    for (slot, manifest, record) in records {
        if held.insert(slot, (manifest, record)).is_some_and(|(before, _)| before != manifest) {
            let _void = held.split_off(&slot.next());
        }
    }
    held.into_iter().map(|(slot, (_, record))| (slot, record)).collect()
}

fn highest_mark(scans: &[LogScan]) -> (Mark, Option<RecordLocation>) {
    let records = scans.iter().flat_map(|scan| scan.records.iter().chain(&scan.beyond));
    let highest = records.max_by_key(|record| record.header.mark);
    highest.map_or((Mark::default(), None), |record| (record.header.mark, Some(record.location)))
}

fn accepted_slot(record: &ScannedRecord) -> Option<Slot> {
    match record.header.entry {
        Entry::Accept { slot, .. } => Some(slot),
        _ => None,
    }
}

fn named_by(
    record: &ScannedRecord,
    stripes_of: &mut dyn FnMut(&[u8]) -> Option<Vec<StripeId>>,
) -> Result<Vec<StripeId>, RecoveryError> {
    stripes_of(&record.payload).ok_or(RecoveryError::Accept { location: record.location })
}

fn recovered(
    slot: Slot,
    record: &ScannedRecord,
    found: &[(StripeId, Option<RecordLocation>)],
) -> RecoveredSlot {
    let Entry::Accept { ballot, manifest, .. } = record.header.entry else {
        unreachable!("only accepts are held");
    };
    RecoveredSlot {
        slot,
        ballot,
        manifest,
        payload: record.payload.clone(),
        location: record.location,
        stripes: found.iter().filter_map(|(id, location)| Some((*id, (*location)?))).collect(),
    }
}
