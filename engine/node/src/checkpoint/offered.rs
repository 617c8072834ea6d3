//! The active checkpoint as it is given to a peer whose log does not reach to where this replica's begins: record by
//! record, each when it is asked for, so that nobody waits for it and nothing piles up.
//!
//! What is being sent is kept, if a newer checkpoint becomes active meanwhile, until the peer has all of it or asks for
//! nothing more for a while: else a transfer that takes longer than the time between two checkpoints would never end.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wal::recovery::{KeysRecord, RecoveredCheckpoint, cover_keys};
use assize_wal::{
    BlockBuffer, Log, OperationId, OutcomeChunk, OutcomeIndex, ReadFault, ReadRecord, RecordLocation,
    SegmentId,
};
use assize_wire::checkpoint::PartHead;
use assize_wire::peer::PartItem;
use assize_wire::{LogId, ReplicaId, ShardId, Slot, StreamTime};

use crate::limits::SENDING_IDLE_NS;

/// What a core has of the active checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Offered {
    slot: Slot,
    time: StreamTime,
    parts: Vec<OfferedPart>,
}

/// A shard's part of it.
#[derive(Clone, Debug)]
pub(super) struct OfferedPart {
    pub(super) head: PartHead,
    /// In order.
    pub(super) entities: Vec<RecordLocation>,
    /// Keys that cover those of the head.
    pub(super) keys: Vec<KeysRecord>,
    /// Outcomes of its slots, those that a duplicate may ask for among them (W2). The index of the outcome stream is no
    /// place to look for them later:
    ///
    /// 1. Core 1 owns the shard today, and the outcomes of slot 45 lie in the log of core 0, which owned it before the
    ///    last start. The checkpoint after slot 45 is active.
    /// 2. The one after slot 60 is taken. Core 1 forgets where the outcomes of slot 45 lie, since core 0 gives them up
    ///    once that one is active, and knows of nobody who reads there.
    /// 3. It does not become active: too few replicas are there. A peer asks for the one after slot 45.
    ///
    /// A segment that is gone all the same when a peer asks for what lies there is told as gone.
    pub(super) outcomes: Vec<OutcomeChunk>,
}

/// What a core sends to peers.
#[derive(Debug, Default)]
pub(super) struct Sending {
    to: Vec<SendingTo>,
    /// Records that are being read for a peer.
    reading: BTreeMap<OperationId, Asked>,
    ready: Vec<(Asked, PartItem, Option<BlockBuffer>)>,
}

/// A part that is being sent to a peer.
#[derive(Debug)]
struct SendingTo {
    peer: ReplicaId,
    shard: ShardId,
    slot: Slot,
    items: Vec<(PartItem, Source)>,
    /// When it was last asked for.
    asked_at: u64,
}

#[derive(Clone, Debug)]
enum Source {
    Log(RecordLocation),
    Head(PartHead),
}

/// A record that a peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) peer: ReplicaId,
    pub(super) shard: ShardId,
    pub(super) slot: Slot,
    pub(super) index: u64,
}

impl Offered {
    /// What a start found.
    pub(super) fn recovered(
        found: Option<&RecoveredCheckpoint>,
        owned: &[ShardId],
        outcomes: &OutcomeIndex,
    ) -> Offered {
        let Some(found) = found else { return Offered::default() };
        let parts = found.parts.iter().filter(|part| owned.contains(&part.head.shard));
        let parts = parts.map(|part| OfferedPart {
            head: part.head,
            entities: part.entities.clone(),
            keys: part.keys.clone(),
            outcomes: outcomes_through(outcomes, part.head.shard, found.at.slot),
        });
        Offered { slot: found.at.slot, time: found.at.time, parts: parts.collect() }
    }

    /// One that has become active.
    pub(super) fn new(slot: Slot, time: StreamTime, parts: Vec<OfferedPart>) -> Offered {
        Offered { slot, time, parts }
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Finds for each part the records that cover its keys, in order. They may overlap, and reach beyond.
    pub(super) fn cover_keys(&mut self, known: &[KeysRecord]) {
        for part in &mut self.parts {
            let head = &part.head;
            match cover_keys(known, head.shard, head.keys_from, head.keys_next) {
                Ok(keys) => part.keys = keys,
                Err(number) => {
                    panic!(
                        "key {number} of shard {} is in no record, and the checkpoint is active",
                        head.shard
                    )
                }
            }
        }
    }

    /// The records of a shard's part in the order in which they are sent, and first the outcomes that a duplicate may
    /// ask for (W2): those younger than the TTL.
    fn items(&self, shard: ShardId, ttl_ns: u64) -> Option<Vec<(PartItem, Source)>> {
        let part = self.parts.iter().find(|part| part.head.shard == shard)?;
        let oldest = StreamTime(self.time.0.saturating_sub(ttl_ns));
        let young = part.outcomes.iter().filter(|chunk| chunk.time > oldest);
        let young = young.map(|chunk| {
            let (first, last, time) = (chunk.first, chunk.last, chunk.time);
            (PartItem::Outcomes { first, last, time }, Source::Log(chunk.location))
        });
        let keys = part
            .keys
            .iter()
            .map(|keys| (PartItem::Keys { first: keys.first, next: keys.next }, Source::Log(keys.location)));
        let entities = part.entities.iter().zip(0..);
        let entities =
            entities.map(|(location, number)| (PartItem::Entities { number }, Source::Log(*location)));
        let records = part.entities.len() as u64;
        let head = (PartItem::Head { records }, Source::Head(part.head));
        Some(young.chain(keys).chain(entities).chain([head]).collect())
    }
}

/// A shard's outcomes through a slot, as far as they are durable and kept.
pub(super) fn outcomes_through(outcomes: &OutcomeIndex, shard: ShardId, slot: Slot) -> Vec<OutcomeChunk> {
    outcomes.iter().filter(|chunk| chunk.shard == shard && chunk.first <= slot).collect()
}

impl Sending {
    /// A peer asks for a record. It is read through `log`, wherever it lies.
    pub(super) fn handle_wanted(
        &mut self,
        asked: Asked,
        offered: &Offered,
        ttl_ns: u64,
        log: &mut Log,
        now: u64,
    ) {
        let Asked { peer, shard, slot, index } = asked;
        let known = |to: &SendingTo| (to.peer, to.shard, to.slot) == (peer, shard, slot);
        if !self.to.iter().any(known)
            && offered.slot == slot
            && let Some(items) = offered.items(shard, ttl_ns)
        {
            self.to.retain(|to| (to.peer, to.shard) != (peer, shard));
            self.to.push(SendingTo { peer, shard, slot, items, asked_at: now });
        }
        let to = self.to.iter_mut().find(|to| known(to));
        let item = to.and_then(|to| {
            to.asked_at = now;
            usize::try_from(index).ok().and_then(|at| to.items.get(at)).cloned()
        });
        match item {
            None => self.ready.push((asked, PartItem::Gone, None)),
            Some((item, Source::Head(head))) => {
                let mut buffer = BlockBuffer::for_record(0);
                buffer.extend_from_slice(&head.encode());
                self.ready.push((asked, item, Some(buffer)));
            }
            // The peer asks again for what does not come soon; it is read once.
            Some(_) if self.reading.values().any(|reading| *reading == asked) => {}
            Some((_, Source::Log(location))) => {
                self.reading.insert(log.read(location), asked);
            }
        }
    }

    /// Takes in a record that was read, if it is for a peer.
    pub(super) fn handle_read(&mut self, id: OperationId, read: &Result<ReadRecord, ReadFault>) -> bool {
        let Some(asked) = self.reading.remove(&id) else { return false };
        let Asked { peer, shard, slot, index } = asked;
        let to = self.to.iter().find(|to| (to.peer, to.shard, to.slot) == (peer, shard, slot));
        let item = to.and_then(|to| to.items.get(index as usize));
        // Its segment may have been given up, where it is another core's that does not know who reads there.
        match (read, item) {
            (Ok(record), Some((item, _))) => self.ready.push((asked, *item, Some(record.buffer.clone()))),
            _ => self.ready.push((asked, PartItem::Gone, None)),
        }
        true
    }

    /// The next record for a peer; none if it is not here any more.
    pub(super) fn poll_ready(&mut self) -> Option<(Asked, PartItem, Option<BlockBuffer>)> {
        self.ready.pop()
    }

    /// The first segment of a log that somebody is being sent from.
    pub(super) fn first_of(&self, log: LogId) -> Option<SegmentId> {
        let sources = self.to.iter().flat_map(|to| &to.items);
        let locations = sources.filter_map(|(_, source)| match source {
            Source::Log(location) if location.log == log => Some(location.segment),
            _ => None,
        });
        locations.min()
    }

    /// Whoever asks for nothing more has all of it, or is gone.
    pub(super) fn handle_time(&mut self, now: u64) {
        self.to.retain(|to| now < to.asked_at + SENDING_IDLE_NS);
    }
}

#[cfg(test)]
mod tests {
    use assize_wal::{LogConfig, LogIdentity, LogStart};
    use assize_wire::Hash;
    use assize_wire::checkpoint::SumDigest;
    use assize_wire::{ClusterId, Incarnation, LogicVersions};

    use super::*;

    const SHARD: ShardId = ShardId(0);
    const PARTS: LogId = LogId(2);

    fn at(segment: u64) -> RecordLocation {
        RecordLocation { log: PARTS, segment: SegmentId(segment), offset: 0, bytes: 4096 }
    }

    fn offered(slot: u64, segment: u64) -> Offered {
        let head = PartHead {
            slot: Slot(slot),
            shard: SHARD,
            rooms: 0,
            entities: 1,
            keys_from: 2,
            keys_next: 9,
            keys_digested_from: 2,
            entities_digest: SumDigest::EMPTY,
            keys_digest: Hash::ZERO,
            logic: LogicVersions::NONE,
        };
        let part =
            OfferedPart { head, entities: Vec::from([at(segment)]), keys: Vec::new(), outcomes: Vec::new() };
        Offered::new(Slot(slot), StreamTime(5), Vec::from([part]))
    }

    fn log() -> Log {
        let identity = LogIdentity {
            cluster: ClusterId(1),
            record_key: 0,
            replica: ReplicaId(0),
            log: PARTS,
            segment_bytes: assize_wal::limits::SEGMENT_BYTES_MIN,
        };
        Log::new(identity, LogConfig::default(), LogStart::fresh(Incarnation(1)))
    }

    /// PartOffered: the outcomes of the active checkpoint are found while it is active, though the next one is taken
    /// and the outcome stream has forgotten those that lie in another core's log.
    #[test]
    fn w2_what_is_offered_keeps_its_outcomes_while_the_next_checkpoint_is_taken() {
        const ELSEWHERE: LogId = LogId(1);
        let mut outcomes = OutcomeIndex::default();
        let location = RecordLocation { log: ELSEWHERE, ..at(3) };
        let chunk = |first, last, time| {
            let (first, last, time) = (Slot(first), Slot(last), StreamTime(time));
            assize_wal::Entry::Outcomes { shard: SHARD, first, last, time }
        };
        outcomes.insert(&chunk(1, 2, 100), location);
        outcomes.insert(&chunk(3, 5, 200), location);
        outcomes.insert(&chunk(6, 7, 300), location);
        let mut offered = offered(4, 3);
        offered.time = StreamTime(200);
        offered.parts[0].outcomes = outcomes_through(&outcomes, SHARD, Slot(4));
        // Slot 7's is taken; it is not active.
        outcomes.forget_elsewhere(PARTS, Slot(7), StreamTime(250));
        assert!(outcomes.locate(SHARD, Slot(4)).is_none());
        let (mut log, mut sending) = (log(), Sending::default());
        let asked = Asked { peer: ReplicaId(1), shard: SHARD, slot: Slot(4), index: 0 };
        sending.handle_wanted(asked, &offered, 100, &mut log, 10);
        let items: Vec<_> = sending.to[0].items.iter().map(|(item, _)| *item).collect();
        let young = PartItem::Outcomes { first: Slot(3), last: Slot(5), time: StreamTime(200) };
        assert_eq!(items, [young, PartItem::Entities { number: 0 }, PartItem::Head { records: 1 }]);
        assert_eq!(sending.first_of(ELSEWHERE), Some(SegmentId(3)));
    }

    /// SentPartLetGo: what is being sent stays until nobody asks for it any more, whatever became active meanwhile.
    #[test]
    fn l6_what_is_sent_is_kept_while_it_is_asked_for() {
        let (mut log, mut sending) = (log(), Sending::default());
        let asked = |slot, index| Asked { peer: ReplicaId(1), shard: SHARD, slot: Slot(slot), index };
        sending.handle_wanted(asked(4, 0), &offered(4, 3), 100, &mut log, 10);
        assert_eq!(sending.first_of(PARTS), Some(SegmentId(3)));
        assert!(sending.poll_ready().is_none(), "it is read first");
        // Slot 8's is active now.
        sending.handle_wanted(asked(4, 1), &offered(8, 5), 100, &mut log, 20);
        let (_, item, buffer) = sending.poll_ready().expect("the head needs no reading");
        assert_eq!((item, buffer.is_some()), (PartItem::Head { records: 1 }, true));
        sending.handle_time(19 + SENDING_IDLE_NS);
        assert_eq!(sending.first_of(PARTS), Some(SegmentId(3)));
        sending.handle_time(20 + SENDING_IDLE_NS);
        assert_eq!(sending.first_of(PARTS), None);
        sending.handle_wanted(asked(4, 1), &offered(8, 5), 100, &mut log, 30 + SENDING_IDLE_NS);
        assert_eq!(sending.poll_ready().map(|(_, item, _)| item), Some(PartItem::Gone));
    }

    #[test]
    fn w5_the_keys_of_a_part_are_covered_by_as_few_records_as_there_are() {
        let incarnation = Incarnation(1);
        let keys = |first, next| KeysRecord { shard: SHARD, first, next, incarnation, location: at(first) };
        let mut offered = offered(4, 3);
        offered.cover_keys(&[keys(0, 3), keys(3, 5), keys(0, 4), keys(3, 7), keys(7, 9), keys(9, 12)]);
        let covered: Vec<_> = offered.parts[0].keys.iter().map(|keys| (keys.first, keys.next)).collect();
        assert_eq!(covered, [(0, 4), (3, 7), (7, 9)]);
    }
}
