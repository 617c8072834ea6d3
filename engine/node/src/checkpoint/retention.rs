//! Which segments of a core's logs are still wanted, so that the others can be recycled when a checkpoint is active.
//!
//! | log | a segment is wanted while |
//! |---|---|
//! | stripes | it has a stripe or an accept of a slot above the checkpoint, or a stripe that no slot names yet (P8) |
//! | outcomes | it is read, or has outcomes of a slot above the checkpoint, or younger than the TTL there (W2) |
//! | keys | it has keys that are live at the checkpoint, of any shard whose keys were ever written there |
//! | parts | it has a record of the checkpoint |
//!
//! Logs are given up from their beginning only, so the first segment that is wanted keeps those above it.

use alloc::collections::BTreeMap;

use assize_wal::recovery::KeysRecord;
use assize_wal::{RecordLocation, SegmentId};
use assize_wire::canary::{self, Canary};
use assize_wire::{ShardId, Slot, StreamTime};

/// What lies in the segments of one core's logs.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    /// Of the log of stripes: the highest slot of which something lies in a segment.
    stripes: BTreeMap<SegmentId, Slot>,
    /// Of the outcome stream: the highest slot and stream time in a segment.
    outcomes: BTreeMap<SegmentId, (Slot, StreamTime)>,
    /// Of the log of keys: for each shard the number after its last key in a segment.
    keys: BTreeMap<(SegmentId, ShardId), u64>,
}

impl Retention {
    /// A stripe or the accept record of this slot lies there.
    pub(crate) fn note_slot(&mut self, segment: SegmentId, slot: Slot) {
        let highest = self.stripes.entry(segment).or_default();
        *highest = (*highest).max(slot);
    }

    /// Outcomes up to this slot lie there.
    pub(crate) fn note_outcomes(&mut self, segment: SegmentId, last: Slot, time: StreamTime) {
        let highest = self.outcomes.entry(segment).or_default();
        *highest = (highest.0.max(last), highest.1.max(time));
    }

    /// Keys lie there.
    pub(crate) fn note_keys(&mut self, keys: &KeysRecord) {
        let next = self.keys.entry((keys.location.segment, keys.shard)).or_default();
        *next = (*next).max(keys.next);
    }

    /// The first segment of the log of stripes that is wanted beside a checkpoint after `slot`; `unnamed` are stripes
    /// that no slot names.
    pub(crate) fn first_of_stripes(
        &self,
        slot: Slot,
        unnamed: impl Iterator<Item = RecordLocation>,
    ) -> Option<SegmentId> {
        let above = self.stripes.iter().filter(|(_, highest)| **highest > slot).map(|(segment, _)| *segment);
        let above = above.filter(|_| !canary::armed(Canary::StripesGivenUp));
        above.chain(unnamed.map(|location| location.segment)).min()
    }

    /// The first segment of the outcome stream that is wanted beside a checkpoint after `slot`, whose keys are all
    /// younger than `oldest`.
    pub(crate) fn first_of_outcomes(&self, slot: Slot, oldest: StreamTime) -> Option<SegmentId> {
        let wanted = self.outcomes.iter().filter(|(_, (last, time))| *last > slot || *time > oldest);
        let wanted = wanted.filter(|_| !canary::armed(Canary::OutcomesGivenUp));
        wanted.map(|(segment, _)| *segment).min()
    }

    /// The first segment of the log of keys that is wanted: `live` are, by shard, the numbers of the oldest live keys.
    pub(crate) fn first_of_keys(&self, live: &[(ShardId, u64)]) -> Option<SegmentId> {
        let wanted = |(_, shard): &(SegmentId, ShardId), next: u64| {
            let from = live.iter().find(|(of, _)| of == shard).map(|(_, from)| *from);
            from.is_none_or(|from| next > from)
        };
        let segments = self.keys.iter().filter(|(key, next)| wanted(key, **next));
        let mut segments = segments.filter(|_| !canary::armed(Canary::KeysGivenUp));
        segments.next().map(|((segment, _), _)| *segment)
    }

    /// Segments below these are given up.
    pub(crate) fn forget(&mut self, stripes: SegmentId, outcomes: SegmentId, keys: SegmentId) {
        self.stripes = self.stripes.split_off(&stripes);
        self.outcomes = self.outcomes.split_off(&outcomes);
        self.keys = self.keys.split_off(&(keys, ShardId(0)));
    }

    /// Everything that is noted, for a look at how much that is.
    #[cfg(test)]
    fn entries(&self) -> [usize; 3] {
        [self.stripes.len(), self.outcomes.len(), self.keys.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assize_wire::{Incarnation, LogId};

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    fn at(segment: u64) -> RecordLocation {
        RecordLocation { log: LogId(0), segment: SegmentId(segment), offset: 0, bytes: 4096 }
    }

    /// SegmentGivenUp.
    #[test]
    fn l6_p8_a_segment_is_wanted_while_something_above_the_checkpoint_or_unnamed_lies_there() {
        let mut retention = Retention::default();
        for (segment, slot) in [(3, 10), (3, 12), (4, 11), (5, 14)] {
            retention.note_slot(SegmentId(segment), Slot(slot));
        }
        let none = || core::iter::empty();
        assert_eq!(retention.first_of_stripes(Slot(9), none()), Some(SegmentId(3)));
        assert_eq!(
            retention.first_of_stripes(Slot(11), none()),
            Some(SegmentId(3)),
            "slot 12 lies before slot 11"
        );
        assert_eq!(retention.first_of_stripes(Slot(12), none()), Some(SegmentId(5)));
        assert_eq!(retention.first_of_stripes(Slot(12), [at(4)].into_iter()), Some(SegmentId(4)));
        assert_eq!(retention.first_of_stripes(Slot(14), none()), None);
        retention.forget(SegmentId(5), SegmentId(0), SegmentId(0));
        assert_eq!(retention.entries(), [1, 0, 0]);
    }

    #[test]
    fn w2_outcomes_are_wanted_for_a_ttl_and_for_as_long_as_the_log() {
        let mut retention = Retention::default();
        retention.note_outcomes(SegmentId(1), Slot(5), StreamTime(50));
        retention.note_outcomes(SegmentId(2), Slot(9), StreamTime(90));
        assert_eq!(retention.first_of_outcomes(Slot(9), StreamTime(49)), Some(SegmentId(1)));
        assert_eq!(retention.first_of_outcomes(Slot(9), StreamTime(50)), Some(SegmentId(2)));
        assert_eq!(
            retention.first_of_outcomes(Slot(4), StreamTime(90)),
            Some(SegmentId(1)),
            "the log has slot 5"
        );
        assert_eq!(retention.first_of_outcomes(Slot(9), StreamTime(90)), None);
    }

    #[test]
    fn w5_keys_are_wanted_while_one_of_them_is_live_in_any_shard() {
        let mut retention = Retention::default();
        for (segment, shard, next) in [(1, A, 10), (1, B, 4), (2, A, 20), (3, B, 9)] {
            let first = next - 1;
            let incarnation = Incarnation(1);
            retention.note_keys(&KeysRecord { shard, first, next, incarnation, location: at(segment) });
        }
        assert_eq!(retention.first_of_keys(&[(A, 10), (B, 3)]), Some(SegmentId(1)));
        assert_eq!(retention.first_of_keys(&[(A, 10), (B, 4)]), Some(SegmentId(2)));
        assert_eq!(retention.first_of_keys(&[(A, 20), (B, 4)]), Some(SegmentId(3)));
        assert_eq!(retention.first_of_keys(&[(A, 20)]), Some(SegmentId(1)), "of B nothing is known");
        assert_eq!(retention.first_of_keys(&[(A, 20), (B, 9)]), None);
    }
}
