//! The checkpoint that the superblock names, put together from the logs: every shard's head, entities and keys.
//!
//! Other parts lie in the logs, too: of a checkpoint that a crash cut short, or of one that has been replaced and
//! whose segments are not recycled yet. They count for nothing; only keys stand by themselves, whichever checkpoint
//! they were written for, and whichever incarnation wrote them: evaluating a chosen slot again gives the same keys.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wire::checkpoint::{PartHead, digest_of};
use assize_wire::{Incarnation, ShardId};

use super::report::Loss;
use super::scan::{LogScan, ScannedRecord};
use crate::header::{Entry, RecordLocation};
use crate::superblock::CheckpointRef;

/// A checkpoint whose records are all here.
#[derive(Clone, Debug)]
pub struct RecoveredCheckpoint {
    /// What the superblock says of it.
    pub at: CheckpointRef,
    /// One for each shard, ascending.
    pub parts: Vec<RecoveredPart>,
}

/// A shard's part of it.
#[derive(Clone, Debug)]
pub struct RecoveredPart {
    /// The head.
    pub head: PartHead,
    /// Where its entities lie.
    pub entities: Vec<RecordLocation>,
    /// Keys that cover `keys_from .. keys_next` of the head, in order. They may overlap, and reach beyond on both
    /// sides.
    pub keys: Vec<KeysRecord>,
}

/// A record of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysRecord {
    /// Whose.
    pub shard: ShardId,
    /// Number of the first key.
    pub first: u64,
    /// Number of the key after the last one.
    pub next: u64,
    /// Which start wrote it: what was written before a rebuild must not stand in for what came after it (R3).
    pub incarnation: Incarnation,
    /// Where it lies.
    pub location: RecordLocation,
}

/// Every record of keys in the logs.
pub(super) fn keys_records(scans: &[LogScan]) -> Vec<KeysRecord> {
    let records = scans.iter().flat_map(|scan| &scan.records);
    let keys = records.filter_map(|record| match record.header.entry {
        Entry::Keys { shard, first, next } => {
            let incarnation = record.header.incarnation;
            Some(KeysRecord { shard, first, next, incarnation, location: record.location })
        }
        _ => None,
    });
    keys.collect()
}

/// Looks the checkpoint's records up; what is missing joins `losses`.
pub(super) fn find(
    scans: &[LogScan],
    at: CheckpointRef,
    keys: &[KeysRecord],
    losses: &mut Vec<Loss>,
) -> Option<RecoveredCheckpoint> {
    let heads = heads_of(scans, at);
    let read: Vec<PartHead> = heads.values().map(|(head, _)| *head).collect();
    if digest_of(at.time, at.manifest, &read) != at.digest {
        let found = read.iter().map(|head| head.shard).collect();
        losses.push(Loss::CheckpointHeads { slot: at.slot, found });
        return None;
    }
    let known = losses.len();
    let mut parts = Vec::with_capacity(heads.len());
    for (head, record) in heads.into_values() {
        let entities = entities_of(scans, &head, record, losses);
        let keys = keys_of(keys, &head, losses);
        parts.push(RecoveredPart { head, entities, keys });
    }
    (losses.len() == known).then_some(RecoveredCheckpoint { at, parts })
}

/// The newest head of each shard: of the last incarnation that wrote one the last. An incarnation may write several
/// after one slot: its own, given up for a peer's whose records are cut otherwise, or a peer's that was taken up again.
fn heads_of(scans: &[LogScan], at: CheckpointRef) -> BTreeMap<ShardId, (PartHead, &ScannedRecord)> {
    let mut heads: BTreeMap<ShardId, (PartHead, &ScannedRecord)> = BTreeMap::new();
    for record in scans.iter().flat_map(|scan| &scan.records) {
        let Entry::Part { slot, shard, .. } = record.header.entry else { continue };
        let head = PartHead::parse(&record.payload);
        let head = head.ok().filter(|head| slot == at.slot && (head.slot, head.shard) == (slot, shard));
        let Some(head) = head else { continue };
        // A crash during a checkpoint leaves a part; the next incarnation, evaluating the log again, took it again.
        let newest = heads.get(&shard).map(|(_, found)| found.header.incarnation);
        if newest.is_none_or(|newest| newest <= record.header.incarnation) {
            heads.insert(shard, (head, record));
        }
    }
    heads
}

/// The records that the head was written for: of each number the last one that lies before it.
fn entities_of(
    scans: &[LogScan],
    head: &PartHead,
    named_at: &ScannedRecord,
    losses: &mut Vec<Loss>,
) -> Vec<RecordLocation> {
    let Entry::Part { slot, shard, records } = named_at.header.entry else {
        unreachable!("a head is of a part");
    };
    // All that one incarnation has of a shard is in one log.
    let is_of = |record: &&ScannedRecord| {
        record.header.incarnation == named_at.header.incarnation && record.location < named_at.location
    };
    let mut found: BTreeMap<u64, RecordLocation> = BTreeMap::new();
    for record in scans.iter().flat_map(|scan| &scan.records).filter(is_of) {
        if let Entry::Entities { slot: of, shard: by, number } = record.header.entry
            && (of, by) == (slot, shard)
        {
            found.insert(number, record.location);
        }
    }
    let missing = (0..records).find(|number| !found.contains_key(number));
    if let Some(number) = missing {
        losses.push(Loss::Entities { slot: head.slot, shard, number, named_at: named_at.location });
    }
    found.into_iter().filter(|(number, _)| *number < records).map(|(_, location)| location).collect()
}

/// The records that cover the live keys.
fn keys_of(keys: &[KeysRecord], head: &PartHead, losses: &mut Vec<Loss>) -> Vec<KeysRecord> {
    let (shard, slot) = (head.shard, head.slot);
    match cover_keys(keys, shard, head.keys_from, head.keys_next) {
        Ok(chosen) => chosen,
        Err(first) => {
            losses.push(Loss::Keys { slot, shard, first, next: head.keys_next });
            Vec::new()
        }
    }
}

/// The records that cover the keys `from .. next` of a shard, in order: the newest ones, and of those the longest.
///
/// # Errors
/// The number of the first key that is in none.
pub fn cover_keys(keys: &[KeysRecord], shard: ShardId, from: u64, next: u64) -> Result<Vec<KeysRecord>, u64> {
    let mut of_shard: Vec<&KeysRecord> = keys.iter().filter(|keys| keys.shard == shard).collect();
    of_shard.sort_by_key(|keys| keys.first);
    let (mut covered, mut chosen) = (from, Vec::new());
    // Those that begin at or below `covered`, and reach beyond it.
    let mut open: Vec<&KeysRecord> = Vec::new();
    let mut rest = of_shard.into_iter().peekable();
    while covered < next {
        while let Some(keys) = rest.next_if(|keys| keys.first <= covered) {
            open.push(keys);
        }
        open.retain(|keys| keys.next > covered);
        let best = open.iter().max_by_key(|keys| (keys.incarnation, keys.next)).ok_or(covered)?;
        covered = best.next;
        chosen.push(**best);
    }
    Ok(chosen)
}
