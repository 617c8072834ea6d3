//! Where the published outcomes of (shard, slot) lie, so that a subscriber can resume from any retained position (L9).

use alloc::collections::BTreeMap;

use assize_wire::{LogId, ShardId, Slot, StreamTime};

use crate::header::{Entry, RecordLocation};
use crate::operation::SegmentId;

/// A sparse index: one entry per outcomes record, rebuilt by the scan at start.
#[derive(Clone, Debug, Default)]
pub struct OutcomeIndex {
    /// By shard and first slot. A later record for the same slots (after a restart published them again) takes the
    /// earlier one's place; none lies within another one.
    chunks: BTreeMap<(ShardId, Slot), Chunk>,
}

impl OutcomeIndex {
    /// Takes in a record's entry; only outcomes count.
    pub fn insert(&mut self, entry: &Entry, location: RecordLocation) {
        if let Entry::Outcomes { shard, first, last, time } = *entry {
            assert!(first <= last, "an outcomes record for slots {first} to {last}");
            // What was taken over from a peer is cut elsewhere. Nothing that covers more may hide behind what covers
            // less.
            let below = self.chunks.range((shard, Slot::ZERO)..=(shard, first)).next_back();
            if below.is_some_and(|(_, chunk)| chunk.last > last) {
                return;
            }
            let covered =
                |(_, begin): &(ShardId, Slot), chunk: &mut Chunk| *begin > first && chunk.last <= last;
            let range = (shard, first)..=(shard, last);
            let covered: alloc::vec::Vec<_> = self.chunks.extract_if(range, covered).collect();
            drop(covered);
            self.chunks.insert((shard, first), Chunk { last, time, location });
        }
    }

    /// The record that holds a shard's outcomes of a slot.
    #[must_use]
    pub fn locate(&self, shard: ShardId, slot: Slot) -> Option<RecordLocation> {
        let (_, chunk) = self.chunks.range((shard, Slot::ZERO)..=(shard, slot)).next_back()?;
        (slot <= chunk.last).then_some(chunk.location)
    }

    /// The first record of a shard that ends at or after a slot, with the slots it holds: where a subscriber resumes.
    #[must_use]
    pub fn resume(&self, shard: ShardId, slot: Slot) -> Option<(Slot, Slot, RecordLocation)> {
        let below = self.chunks.range((shard, Slot::ZERO)..=(shard, slot)).next_back();
        let below = below.filter(|(_, chunk)| slot <= chunk.last);
        let found = below.or_else(|| self.chunks.range((shard, slot)..=(shard, Slot(u64::MAX))).next());
        found.map(|((_, first), chunk)| (*first, chunk.last, chunk.location))
    }

    /// Forgets the records of a log that lie below a segment: they were given up.
    pub fn forget(&mut self, log: LogId, below: SegmentId) {
        self.chunks.retain(|_, chunk| chunk.location.log != log || chunk.location.segment >= below);
    }

    /// Forgets the records that end below a slot.
    pub fn forget_before(&mut self, slot: Slot) {
        self.chunks.retain(|_, chunk| chunk.last >= slot);
    }

    /// Forgets the records of logs other than this one that end at or below a slot and are no younger than a time:
    /// whoever owns their log is about to give them up.
    pub fn forget_elsewhere(&mut self, log: LogId, slot: Slot, oldest: StreamTime) {
        let kept = |chunk: &Chunk| chunk.location.log == log || chunk.last > slot || chunk.time > oldest;
        self.chunks.retain(|_, chunk| kept(chunk));
    }

    /// Every record, by shard and slot.
    pub fn iter(&self) -> impl Iterator<Item = OutcomeChunk> {
        let chunks = self.chunks.iter();
        chunks.map(|((shard, first), chunk)| OutcomeChunk {
            shard: *shard,
            first: *first,
            last: chunk.last,
            time: chunk.time,
            location: chunk.location,
        })
    }

    /// The last slot of a shard that has outcomes here.
    #[must_use]
    pub fn last(&self, shard: ShardId) -> Option<Slot> {
        let mut chunks = self.chunks.range((shard, Slot::ZERO)..=(shard, Slot(u64::MAX)));
        chunks.next_back().map(|(_, chunk)| chunk.last)
    }
}

/// A record of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeChunk {
    /// Whose.
    pub shard: ShardId,
    /// The first slot in it.
    pub first: Slot,
    /// The last slot in it.
    pub last: Slot,
    /// Stream time of that slot.
    pub time: StreamTime,
    /// Where it lies.
    pub location: RecordLocation,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    last: Slot,
    time: StreamTime,
    location: RecordLocation,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W2: after a checkpoint was taken over its outcomes lie beside one's own, cut into other chunks.
    #[test]
    fn w2_chunks_that_overlap_hide_nothing() {
        let at = |offset| RecordLocation { log: LogId(9), segment: SegmentId(0), offset, bytes: 4096 };
        let chunks = [(1, 4), (5, 20), (8, 12), (3, 7), (15, 30)];
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 1, 4, 0, 3]] {
            let mut index = OutcomeIndex::default();
            for at_index in order {
                let (first, last) = chunks[at_index];
                let (first, last) = (Slot(first), Slot(last));
                let entry = Entry::Outcomes { shard: ShardId(0), first, last, time: StreamTime(last.0) };
                index.insert(&entry, at(at_index as u64 * 4096));
            }
            for slot in 1..=30 {
                let found = index.locate(ShardId(0), Slot(slot)).expect("it is in one of them");
                let (first, last) = chunks[(found.offset / 4096) as usize];
                assert!((first..=last).contains(&slot), "{slot} is said to be in {first} to {last}");
            }
            assert_eq!(index.locate(ShardId(0), Slot(31)), None);
        }
    }

    /// SubscriberResumes.
    #[test]
    fn l9_a_subscriber_resumes_from_any_retained_position() {
        let at = |offset| RecordLocation { log: LogId(9), segment: SegmentId(0), offset, bytes: 4096 };
        let mut index = OutcomeIndex::default();
        let chunk = |shard, first, last| Entry::Outcomes {
            shard: ShardId(shard),
            first: Slot(first),
            last: Slot(last),
            time: StreamTime(last),
        };
        index.insert(&chunk(0, 1, 10), at(0));
        index.insert(&chunk(1, 1, 3), at(4096));
        index.insert(&chunk(0, 12, 20), at(8192));
        index.insert(&Entry::Idle, at(12288));
        assert_eq!(index.locate(ShardId(0), Slot(10)), Some(at(0)));
        assert_eq!(index.locate(ShardId(0), Slot(11)), None);
        assert_eq!(index.locate(ShardId(0), Slot(12)), Some(at(8192)));
        assert_eq!(index.locate(ShardId(1), Slot(4)), None);
        assert_eq!(index.resume(ShardId(0), Slot(11)), Some((Slot(12), Slot(20), at(8192))));
        assert_eq!(index.resume(ShardId(0), Slot(5)), Some((Slot(1), Slot(10), at(0))));
        assert_eq!(index.resume(ShardId(1), Slot(4)), None);
        assert_eq!(index.last(ShardId(0)), Some(Slot(20)));
    }

    /// SegmentGivenUp.
    #[test]
    fn w2_what_another_log_gives_up_is_forgotten() {
        let mut index = OutcomeIndex::default();
        for (log, first, last, time) in [(9, 1, 10, 100), (9, 11, 20, 200), (13, 21, 30, 90), (9, 31, 40, 80)]
        {
            let location = RecordLocation { log: LogId(log), segment: SegmentId(0), offset: 0, bytes: 4096 };
            let (first, last, time) = (Slot(first), Slot(last), StreamTime(time));
            index.insert(&Entry::Outcomes { shard: ShardId(0), first, last, time }, location);
        }
        index.forget_elsewhere(LogId(13), Slot(30), StreamTime(100));
        let kept = [1, 11, 21, 31].map(|slot| index.locate(ShardId(0), Slot(slot)).is_some());
        assert_eq!(kept, [false, true, true, true], "old; young; its own; above the slot");
    }
}
