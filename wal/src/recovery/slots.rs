//! Puts the logs together: which slots are accepted, and whether everything that they name is here.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wire::{Ballot, Hash, Slot, StripeId};

use super::evidence::{Evidence, Newest};
use super::report::Loss;
use super::scan::LogScan;
use super::table::{AcceptFound, SlotDecision, SlotInput};
use crate::header::{Entry, Mark, RecordLocation};
use crate::superblock::Remembered;

/// An accepted slot.
#[derive(Clone, Debug)]
pub struct RecoveredSlot {
    /// The slot.
    pub slot: Slot,
    /// The ballot it was accepted under last.
    pub ballot: Ballot,
    /// The manifest's hash.
    pub manifest: Hash,
    /// The hash of the manifest below, which it names.
    pub previous: Hash,
    /// Whether it is known chosen with this manifest. Then the ballot says nothing: a higher one may be lost.
    pub chosen: bool,
    /// The accept's payload.
    pub payload: Box<[u8]>,
    /// Where the accept lies.
    pub location: RecordLocation,
    /// The stripes it names, and where they lie.
    pub stripes: Vec<(StripeId, RecordLocation)>,
}

/// A slot that was accepted here, or may have been, and cannot be vouched for (P5).
///
/// It counts again once an accept of it is in a log: of the chosen manifest, or under a live ballot. A damaged stripe
/// is enough if it is found, and everything below counts.
#[derive(Clone, Debug)]
pub struct DamagedSlot {
    /// The slot.
    pub slot: Slot,
    /// The hash of the manifest that was accepted last, where it is known for certain.
    pub hash: Option<Hash>,
    /// What is the matter.
    pub what: Damage,
    /// The newest whole accept, with those of its stripes that are here. With [`Damage::Accept`] it may not be the last
    /// one that was made: it is good for nothing but its bytes, should that manifest turn out to be chosen.
    pub found: Option<RecoveredSlot>,
}

/// What is the matter with a damaged slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The last accept that was made here is lost, or may be.
    Accept,
    /// The accept is whole, and these stripes that it names are lost.
    Stripes(Vec<StripeId>),
    /// It is whole, and a slot below it is not.
    Below,
}

pub(super) struct Walked {
    pub(super) accepted: Vec<RecoveredSlot>,
    /// Ascending, without a gap, from the slot above the last accepted one.
    pub(super) damaged: Vec<DamagedSlot>,
    pub(super) stripes: Vec<(StripeId, RecordLocation)>,
}

/// Walks the slots from `first_slot` to the last one that anything tells of.
pub(super) fn walk(
    scans: &[LogScan],
    first_slot: Slot,
    evidence: &Evidence<'_>,
    peers: bool,
    losses: &mut Vec<Loss>,
) -> Walked {
    let mut stripes: BTreeMap<StripeId, RecordLocation> = BTreeMap::new();
    for record in scans.iter().flat_map(|scan| &scan.records) {
        if let Entry::Stripe(id) = record.header.entry {
            stripes.insert(id, record.location);
        }
    }
    let (mut accepted, mut damaged) = (Vec::new(), Vec::new());
    let highest_held = evidence.highest_held();
    let mut slot = first_slot;
    while slot <= evidence.top {
        let newest = evidence.newest(slot);
        let found = newest.map(|newest| recovered(slot, newest, evidence, &stripes));
        let lacking: Vec<StripeId> = newest.map_or(Vec::new(), |newest| {
            newest.read.stripes.iter().filter(|id| !stripes.contains_key(id)).copied().collect()
        });
        let decision = SlotInput {
            peers,
            at_or_below_mark: evidence.is_marked(slot),
            below_accepted: slot < highest_held,
            accept: accept_found(scans, slot, evidence),
            stripes_whole: lacking.is_empty(),
        }
        .decide();
        let below_damage = |found: RecoveredSlot| DamagedSlot {
            slot,
            hash: Some(found.manifest),
            what: Damage::Below,
            found: Some(found),
        };
        match (decision, found) {
            (SlotDecision::Accepted, Some(found)) if damaged.is_empty() => accepted.push(found),
            (SlotDecision::Accepted, Some(found)) => damaged.push(below_damage(found)),
            (SlotDecision::LostStripe, Some(found)) => {
                let named_at = found.location;
                losses.extend(lacking.into_iter().map(|stripe| Loss::Stripe { slot, stripe, named_at }));
            }
            (SlotDecision::DamagedStripe, Some(found)) => {
                let hash = Some(found.manifest);
                damaged.push(DamagedSlot { slot, hash, what: Damage::Stripes(lacking), found: Some(found) });
            }
            (SlotDecision::LostAccept, _) => {
                let (mark, marked_by) = evidence.mark;
                losses.push(Loss::Accept { slot, mark, marked_by, highest_held });
            }
            (SlotDecision::DamagedAccept, found) => {
                let hash = evidence.named_from_above(slot);
                damaged.push(DamagedSlot { slot, hash, what: Damage::Accept, found });
            }
            // Nothing higher can be accepted either: it is above all marks and everything held, or voided with this
            // one.
            (SlotDecision::End | SlotDecision::TornTail, _) => break,
            (decision, None) => unreachable!("{decision:?} of a slot without an accept"),
        }
        slot = slot.next();
    }
    Walked { accepted, damaged, stripes: stripes.into_iter().collect() }
}

/// Of what is damaged only what certainly is stays so; where a crash explains as well what is missing, the slots are
/// doubtful, and what was there before it is accepted.
///
/// What was accepted without any damage stays, even if that was behind a torn gap: it is whole, and on the disk since
/// this start flushed it. Then what the certain view has above may not continue it, and is void (P4).
pub(super) fn set_apart_doubt(walked: &mut Walked, certain: Walked) -> Vec<DamagedSlot> {
    let is_in_doubt = |slot: &DamagedSlot| !certain.damaged.iter().any(|certain| certain.slot == slot.slot);
    if !walked.damaged.iter().any(is_in_doubt) && certain.accepted.len() <= walked.accepted.len() {
        return Vec::new();
    }
    let Some(first) = walked.damaged.first().map(|damaged| damaged.slot) else { return Vec::new() };
    let mut continues = true;
    for slot in certain.accepted.into_iter().filter(|slot| slot.slot >= first) {
        let below = walked.accepted.last();
        continues &= below.is_none_or(|below| slot.previous == below.manifest);
        if continues {
            walked.accepted.push(slot);
        }
    }
    let next = walked.accepted.last().map_or(first, |last| last.slot.next());
    let certain = certain.damaged.into_iter().filter(|damaged| continues && damaged.slot >= next);
    core::mem::replace(&mut walked.damaged, certain.collect())
}

/// What the superblock is to remember: the ballot that something says of each slot, down to what is known chosen.
pub(super) fn to_remember(walked: &Walked, evidence: &Evidence<'_>) -> Remembered {
    let damaged = walked.damaged.iter().map(|slot| slot.slot);
    let accepted = walked.accepted.iter().rev().take_while(|slot| !slot.chosen).map(|slot| slot.slot);
    let last = walked.accepted.last().map(|slot| slot.slot);
    let mut steps: Vec<Mark> = Vec::new();
    for slot in damaged.rev().chain(accepted).chain(last) {
        let ballot = evidence.least_ballot(slot);
        if steps.last().is_none_or(|above| ballot > above.ballot) {
            steps.push(Mark { ballot, slot });
        }
    }
    steps.reverse();
    Remembered::new(&steps)
}

fn accept_found(scans: &[LogScan], slot: Slot, evidence: &Evidence<'_>) -> AcceptFound {
    let is_of = |entry: Entry| matches!(entry, Entry::Accept { slot: of, .. } if of == slot);
    let mut beyond = scans.iter().flat_map(|scan| &scan.beyond);
    match evidence.newest(slot) {
        Some(_) if evidence.is_stale(slot) => AcceptFound::Stale,
        Some(_) if evidence.is_void(slot) => AcceptFound::Void,
        Some(_) => AcceptFound::Whole,
        None if beyond.any(|record| is_of(record.header.entry)) => AcceptFound::Beyond,
        None => AcceptFound::Missing,
    }
}

fn recovered(
    slot: Slot,
    newest: &Newest<'_>,
    evidence: &Evidence<'_>,
    stripes: &BTreeMap<StripeId, RecordLocation>,
) -> RecoveredSlot {
    let named = newest.read.stripes.iter();
    RecoveredSlot {
        slot,
        ballot: newest.ballot,
        manifest: newest.manifest,
        previous: newest.read.previous,
        chosen: evidence.is_chosen(slot) && !evidence.is_stale(slot),
        payload: newest.record.payload.clone(),
        location: newest.record.location,
        stripes: named.filter_map(|id| Some((*id, *stripes.get(id)?))).collect(),
    }
}
