//! Recycled segments, and the checkpoint that a start puts together. Names in comments are those of `ledger.allium`.

mod common;

use assize_wal::limits::RECORD_HEADER_BYTES;
use assize_wal::memory::MemoryDevice;
use assize_wal::recovery::{Loss, Peers, Recovered, RecoveryError, recover};
use assize_wal::superblock::{CheckpointRef, Quarantine};
use assize_wal::{
    BLOCK_BYTES, BlockBuffer, Device, Entry, FlushPolicy, Log, LogConfig, LogIdentity, LogStart, Mark,
    Operation, RecordHeader, RecordLocation, SegmentId, Superblock,
};
use assize_wire::checkpoint::{PartHead, SumDigest, digest_of};
use assize_wire::{
    Ballot, ClusterId, Hash, Incarnation, LogId, LogicVersions, ReplicaId, ShardId, Slot, StreamTime,
};
use common::{RECORD_KEY, SEGMENT_BYTES};

const PARTS: LogId = LogId(0);
const KEYS: LogId = LogId(1);
const SLOT: Slot = Slot(9);

/// A device with a log of parts and one of keys, each of which writes what it is given.
struct Logs {
    device: MemoryDevice,
    logs: [Log; 2],
    superblock: Superblock,
}

impl Logs {
    fn new() -> Logs {
        let open = |log| {
            let config =
                LogConfig { flush: FlushPolicy::EachGroup, reserve_bytes: 0, ..LogConfig::default() };
            Log::new(common::identity(log), config, LogStart::fresh(Incarnation(1)))
        };
        let superblock = Superblock {
            sequence: 1,
            incarnation: Incarnation(1),
            ..Superblock::first(ClusterId(42), ReplicaId(0), RECORD_KEY, SEGMENT_BYTES)
        };
        Logs { device: MemoryDevice::new(1), logs: [PARTS, KEYS].map(open), superblock }
    }

    fn write(&mut self, entry: Entry, payload: &[u8]) -> RecordLocation {
        let at = usize::from(matches!(entry, Entry::Keys { .. }));
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(payload);
        self.logs[at].append(entry, buffer).unwrap();
        loop {
            while let Some(operation) = self.logs[at].poll_operation() {
                self.device.submit(operation);
            }
            if let Some(durable) = self.logs[at].poll_durable() {
                return durable.location;
            }
            self.complete();
        }
    }

    fn complete(&mut self) {
        while let Some(completion) = self.device.poll() {
            let of = self.logs.iter_mut().find(|log| log.identity().log == completion.id.log);
            of.unwrap().handle_completion(completion).unwrap();
        }
    }

    /// One shard's part, and the keys that it needs in several records.
    fn part(&mut self, shard: u16, incarnation: u64) -> (PartHead, Vec<RecordLocation>) {
        let head = PartHead {
            slot: SLOT,
            shard: ShardId(shard),
            rooms: 0xff,
            entities: 3,
            keys_from: 5,
            keys_next: 20,
            entities_digest: SumDigest::EMPTY,
            keys_digested_from: 0,
            keys_digest: Hash::ZERO,
            logic: LogicVersions::NONE,
        };
        let shard = head.shard;
        let mut locations = Vec::new();
        for (first, next) in [(0, 8), (8, 15), (15, 22)] {
            locations.push(self.write(Entry::Keys { shard, first, next }, &[incarnation as u8; 100]));
        }
        for number in 0..2 {
            locations.push(self.write(Entry::Entities { slot: SLOT, shard, number }, &[7; 5000]));
        }
        locations.push(self.write(Entry::Part { slot: SLOT, shard, records: 2 }, &head.encode()));
        (head, locations)
    }

    fn name(&mut self, heads: &[PartHead]) {
        self.superblock.checkpoint = Some(CheckpointRef {
            slot: SLOT,
            time: StreamTime(3),
            ballot: Ballot::new(2, ReplicaId(0)),
            manifest: Hash([4; 32]),
            digest: digest_of(StreamTime(3), Hash([4; 32]), heads),
        });
    }

    fn recover(&mut self) -> Result<Recovered, RecoveryError> {
        self.recover_among(Peers::None)
    }

    fn recover_among(&mut self, peers: Peers) -> Result<Recovered, RecoveryError> {
        // What was under way ends, one way or the other, before anything is read.
        self.complete();
        recover(&mut self.device, &self.superblock, &mut |_| None, peers)
    }

    /// Goes on from what was recovered.
    fn start(&mut self, recovered: &Recovered) {
        self.superblock.incarnation = recovered.incarnation;
        self.superblock.cuts = recovered.cuts(&[PARTS, KEYS]);
        self.logs = [PARTS, KEYS].map(|log| {
            let config = LogConfig { reserve_bytes: 0, ..LogConfig::default() };
            Log::new(common::identity(log), config, recovered.start(log))
        });
    }
}

/// CheckpointLossNamed: with all of its records a checkpoint is found; without any one of them the start is refused,
/// and says what is missing.
#[test]
fn l6_what_is_missing_of_a_checkpoint_is_named() {
    let mut logs = Logs::new();
    let (first, of_first) = logs.part(0, 1);
    let (second, of_second) = logs.part(1, 1);
    // Something follows in both logs, so that no record is at their end.
    logs.write(Entry::Idle, &[]);
    logs.write(Entry::Keys { shard: ShardId(3), first: 0, next: 1 }, &[0; 56]);
    logs.name(&[first, second]);
    let found = logs.recover().unwrap();
    let checkpoint = found.checkpoint.unwrap();
    assert_eq!(checkpoint.parts.iter().map(|part| part.head).collect::<Vec<_>>(), [first, second]);
    assert!(checkpoint.parts.iter().all(|part| part.entities.len() == 2 && part.keys.len() == 3));
    assert_eq!((found.mark.slot, found.accepted_through, found.chosen), (SLOT, SLOT, SLOT));

    for (shard, locations) in [(0, of_first), (1, of_second)] {
        for (at, location) in locations.into_iter().enumerate() {
            let flip = |logs: &mut Logs| {
                logs.device.flip_bit(location.log, location.segment, location.offset + 200, 3);
            };
            flip(&mut logs);
            let Err(RecoveryError::Lost { losses }) = logs.recover() else {
                panic!("record {at} of shard {shard} is damaged and nobody says so");
            };
            let named = losses.iter().any(|loss| match *loss {
                Loss::Keys { slot, shard: of, .. } => at < 3 && (slot, of.0) == (SLOT, shard),
                Loss::Entities { slot, shard: of, number, .. } => {
                    (slot, of.0) == (SLOT, shard) && number <= at as u64 - 3
                }
                Loss::CheckpointHeads { slot, .. } => slot == SLOT,
                _ => false,
            });
            assert!(named, "record {at} of shard {shard}: {losses:?}");
            flip(&mut logs);
        }
    }
    assert!(logs.recover().is_ok());
}

/// A crash leaves a part; the next start evaluates the log again and takes it again. The newer one counts, whole; keys
/// of either count.
#[test]
fn l6_the_part_of_the_last_incarnation_counts() {
    let mut logs = Logs::new();
    let (_, old) = logs.part(0, 1);
    let recovered = logs.recover().unwrap();
    logs.start(&recovered);
    let (head, new) = logs.part(0, 2);
    logs.name(&[head]);
    let checkpoint = logs.recover().unwrap().checkpoint.unwrap();
    assert_eq!(checkpoint.parts[0].entities, new[3..5]);
    assert!(!checkpoint.parts[0].entities.contains(&old[3]));
    assert_eq!(checkpoint.parts[0].keys.len(), 3);
}

/// CheckpointLossNamed: the own part of a slot was whole when a peer's was taken over instead, whose records are cut
/// otherwise; and a third was begun and cut off. What the second head was written for counts.
#[test]
fn l6_of_several_parts_of_one_incarnation_the_last_whole_one_counts() {
    let mut logs = Logs::new();
    let shard = ShardId(0);
    logs.write(Entry::Entities { slot: SLOT, shard, number: 0 }, &[1; 5000]);
    let (own, _) = logs.part(0, 1);
    logs.name(&[own]);
    let (peers, locations) = logs.part(0, 1);
    logs.write(Entry::Entities { slot: SLOT, shard, number: 0 }, &[2; 5000]);
    logs.name(&[peers]);
    let checkpoint = logs.recover().unwrap().checkpoint.expect("it is whole");
    assert_eq!(checkpoint.parts[0].entities, locations[3..5]);
}

/// RebuildAsked, RebuildBeginsAnew: a gap in a log that peers do not repair refuses the start, until the replica is to
/// be rebuilt. Then the log goes on in a segment of its own, so that the start after the rebuild finds nothing missing;
/// nor does one while it is under way.
#[test]
fn r3_a_rebuild_leaves_torn_logs_behind() {
    let peers = Peers::Some { repairable: |_| false };
    let mut logs = Logs::new();
    let (_, lost) = logs.part(0, 1);
    let (_, kept) = logs.part(0, 1);
    for location in [lost[1], lost[3]] {
        logs.device.flip_bit(location.log, location.segment, location.offset + 200, 3);
    }
    let refused = logs.recover_among(peers);
    assert!(matches!(refused, Err(RecoveryError::Rebuild { .. })), "{refused:?}");

    logs.superblock.quarantine = Some(Quarantine::REBUILD);
    for incarnation in 2..4 {
        let recovered = logs.recover_among(peers).unwrap();
        logs.start(&recovered);
        for log in &recovered.logs {
            let used =
                kept.iter().filter(|location| location.log == log.log).map(|location| location.segment);
            assert!(used.max() < Some(log.first_segment) && !log.free.is_empty(), "{log:?}");
        }
        // Each is cut off before it is whole.
        let keys = Entry::Keys { shard: ShardId(0), first: 0, next: 8 };
        logs.write(keys, &[incarnation; 100]);
        logs.write(Entry::Entities { slot: SLOT, shard: ShardId(0), number: 0 }, &[incarnation; 5000]);
    }
    let recovered = logs.recover_among(peers).unwrap();
    logs.start(&recovered);
    let (head, new) = logs.part(0, 4);
    logs.name(&[head]);
    logs.superblock.quarantine = None;
    let recovered = logs.recover_among(peers).unwrap();
    let part = &recovered.checkpoint.as_ref().unwrap().parts[0];
    assert_eq!((&part.entities[..], part.keys.len()), (&new[3..5], 3));
    assert!(recovered.keys.iter().all(|keys| new.contains(&keys.location)), "{:?}", recovered.keys);
}

/// SegmentReleased, SegmentRecycled, KeptSegmentsRead: what is given up becomes the next segment; a start reads from
/// the first one that is kept, and misses nothing that it should know of.
#[test]
fn l2_l5_a_log_begins_where_the_superblock_says() {
    let mut logs = Logs::new();
    let entry = |number| Entry::Entities { slot: SLOT, shard: ShardId(0), number };
    let mut last = logs.write(entry(0), &[1; 9000]);
    for number in 1..20 {
        last = logs.write(entry(number), &[1; 9000]);
    }
    assert!(last.segment > SegmentId(1));
    let log = &mut logs.logs[0];
    let cut = log.cut(last.segment);
    logs.superblock.cuts = vec![cut];
    log.release(&cut);
    log.check_invariants();
    let recovered = logs.recover().unwrap();
    let start = recovered.start(PARTS);
    assert_eq!((start.first_segment, start.free.first()), (last.segment, Some(&SegmentId(0))));
    assert!(start.previous.contains(&(cut.first_segment, cut.first_previous)));

    // The next segment that is prepared is one that was given up.
    let mut recycled = None;
    for number in 20..40 {
        let log = &mut logs.logs[0];
        let mut buffer = BlockBuffer::for_record(9000);
        buffer.extend_from_slice(&[2; 9000]);
        log.append(entry(number), buffer).unwrap();
        while let Some(operation) = log.poll_operation() {
            if let Operation::PrepareSegment { segment, recycled: Some(old), .. } = operation {
                recycled.get_or_insert((old, segment));
            }
            logs.device.submit(operation);
        }
        while let Some(completion) = logs.device.poll() {
            log.handle_completion(completion).unwrap();
        }
    }
    let (old, new) = recycled.expect("a segment was recycled");
    assert!(old == SegmentId(0) && new > last.segment, "{old} becomes {new}");
    assert!(logs.recover().is_ok());

    // The first record must follow the one that the cut names; without the kept segment the start is refused.
    logs.superblock.cuts[0].first_previous ^= 1;
    assert!(matches!(logs.recover(), Err(RecoveryError::Lost { .. })));
    logs.superblock.cuts[0].first_previous ^= 1;
    logs.device.flip_bit(PARTS, last.segment, 300, 0);
    assert!(matches!(logs.recover(), Err(RecoveryError::Lost { .. })));
}

/// EveryByteChecked: what a client had stored holds, byte for byte, records as they would stand in later segments, one
/// for each that the segment it lies in may become. Their author knew the cluster, the replica and the log, which
/// clients are told or can guess, but not the record key: so the log just ends before them. With the key they are
/// records, and a start is refused for want of what they say was durable.
#[test]
fn l3_bytes_that_a_client_stored_are_never_a_record() {
    for (record_key, refused) in [(RECORD_KEY + 1, false), (RECORD_KEY, true)] {
        let mut logs = Logs::new();
        let forger = LogIdentity { record_key, ..common::identity(PARTS) };
        let mut payload = vec![0; BLOCK_BYTES - RECORD_HEADER_BYTES];
        for becomes in 1..10 {
            payload.extend_from_slice(&forged(
                &forger,
                forger.start_of(SegmentId(becomes)) + payload_end(&payload),
            ));
        }
        let entry = |number| Entry::Entities { slot: SLOT, shard: ShardId(0), number };
        logs.write(entry(0), &payload);
        let mut number = 1;
        let mut last = logs.write(entry(number), &[1; 9000]);
        while last.segment < SegmentId(1) {
            number += 1;
            last = logs.write(entry(number), &[1; 9000]);
        }
        let cut = logs.logs[0].cut(last.segment);
        logs.superblock.cuts = vec![cut];
        logs.logs[0].release(&cut);
        let mut recoveries = 0..10 * SEGMENT_BYTES / BLOCK_BYTES as u64;
        let any_refused = recoveries.any(|_| {
            number += 1;
            logs.write(entry(number), &[1; 100]);
            logs.recover().is_err()
        });
        assert_eq!(any_refused, refused, "sealed with key {record_key}");
    }
}

/// Where in its segment the block after this payload lies, if its record is the segment's first.
fn payload_end(payload: &[u8]) -> u64 {
    (RECORD_HEADER_BYTES + payload.len()) as u64
}

/// A whole record that says its log was durable up to it.
fn forged(forger: &LogIdentity, offset: u64) -> Vec<u8> {
    let mut buffer = BlockBuffer::for_record(0);
    let header = RecordHeader {
        entry: Entry::Idle,
        copy: 0,
        checksum: 0,
        previous: 0,
        offset,
        segment: forger.segment_of(offset),
        incarnation: Incarnation(1),
        payload_bytes: 0,
        mark: Mark { ballot: Ballot::NONE, slot: Slot::ZERO },
        group_blocks: 1,
        durable_through: offset,
    };
    header.seal(forger, &mut buffer);
    buffer.as_blocks_bytes().to_vec()
}
