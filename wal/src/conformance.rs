//! The one suite that every device must pass, from a fresh, empty device on.
//!
//! A test gives a [`Harness`] and calls [`run`]; the memory device and the O_DIRECT device run the same body.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use assize_wire::{Ballot, ClusterId, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot, StripeId};
use zerocopy::IntoBytes;

use crate::block::{Block, BlockBuffer};
use crate::header::{Entry, LogIdentity, Mark, RecordLocation};
use crate::limits::{BLOCK_BYTES, SUPERBLOCK_COPY_BYTES};
use crate::log::{FlushPolicy, Log, LogConfig, LogStart};
use crate::operation::{
    Completion, Device, DeviceError, Done, Operation, OperationId, SegmentId, SegmentReader,
};
use crate::recovery::{AcceptRead, Peers, recover};
use crate::superblock::{Superblock, SuperblockStore, find};

/// A device under test.
pub trait Harness {
    /// The running device.
    fn device(&mut self) -> &mut dyn Device;

    /// Boot's view of the same storage.
    fn reader(&mut self) -> &mut dyn SegmentReader;

    /// Boot's way to write a copy of the superblock.
    fn write_superblock(&mut self, copy: u8, blocks: &[Block]) -> Result<(), DeviceError>;

    /// A clean restart: the device is let go of and opened again.
    fn reopen(&mut self);
}

/// Runs every check, each on a fresh, empty device.
pub fn run<H: Harness>(mut fresh: impl FnMut() -> H) {
    fresh_device_is_empty(&mut fresh());
    prepared_segment_is_whole_and_zero(&mut fresh());
    first_read_of_a_fresh_device_works(&mut fresh());
    writes_are_read_back_in_place(&mut fresh());
    every_operation_completes_once(&mut fresh());
    unprepared_segment_is_an_error(&mut fresh());
    superblock_copies_are_separate(&mut fresh());
    log_survives_a_clean_restart(&mut fresh(), FlushPolicy::EachGroup);
    log_survives_a_clean_restart(&mut fresh(), FlushPolicy::OnRequest);
    a_recycled_segment_has_one_name(&mut fresh());
    recycled_log_survives_restarts(&mut fresh());
}

fn fresh_device_is_empty(harness: &mut dyn Harness) {
    assert_eq!(harness.reader().logs(), Ok(vec![]));
    assert_eq!(harness.reader().segments(LOG), Ok(vec![]));
    assert!(harness.reader().read_superblock(0).is_ok_and(|copy| copy.is_none()));
    assert!(harness.device().poll().is_none());
    harness.device().wait();
}

fn prepared_segment_is_whole_and_zero(harness: &mut dyn Harness) {
    prepare(harness, 3);
    assert_eq!(harness.reader().logs(), Ok(vec![LOG]));
    assert_eq!(harness.reader().segments(LOG), Ok(vec![(SegmentId(3), SEGMENT_BYTES)]));
    let mut blocks = vec![Block([1; BLOCK_BYTES]); SEGMENT_BYTES as usize / BLOCK_BYTES];
    harness.reader().read(LOG, SegmentId(3), 0, &mut blocks).expect("a prepared segment can be read");
    assert!(blocks.as_slice().as_bytes().iter().all(|byte| *byte == 0));
    let past = harness.reader().read(LOG, SegmentId(3), SEGMENT_BYTES, &mut blocks[..1]);
    assert!(past.is_err(), "a read past the end is an error, not zeros");
}

/// A shell that probed polled I/O with a read which an empty file passes failed at every later read.
fn first_read_of_a_fresh_device_works(harness: &mut dyn Harness) {
    prepare(harness, 0);
    let location = RecordLocation { log: LOG, segment: SegmentId(0), offset: 0, bytes: BLOCK_BYTES as u32 };
    for number in 100..103 {
        let completion = perform(harness, Operation::Read { id: id(number), location });
        assert!(matches!(completion.result, Ok(Done::Read(blocks)) if blocks.len() == 1));
    }
}

fn writes_are_read_back_in_place(harness: &mut dyn Harness) {
    prepare(harness, 0);
    let buffers: Vec<Arc<BlockBuffer>> =
        [10, 5000, 4096].iter().map(|bytes| Arc::new(filled(*bytes, *bytes as u8))).collect();
    let expected: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.as_blocks_bytes().to_vec()).collect();
    let offset = 2 * BLOCK_BYTES as u64;
    for (number, flush) in [(10, false), (11, true)] {
        let write = Operation::Write {
            id: id(number),
            segment: SegmentId(0),
            offset,
            buffers: buffers.clone(),
            flush,
        };
        assert!(perform(harness, write).result.is_ok());
    }
    assert!(perform(harness, Operation::Flush { id: id(12), segment: SegmentId(0) }).result.is_ok());
    let location = RecordLocation { log: LOG, segment: SegmentId(0), offset, bytes: expected.len() as u32 };
    let Ok(Done::Read(blocks)) = perform(harness, Operation::Read { id: id(13), location }).result else {
        panic!("the read failed");
    };
    assert_eq!(blocks.as_slice().as_bytes(), expected);
    harness.reopen();
    let mut blocks = vec![Block::ZERO; expected.len() / BLOCK_BYTES + 1];
    harness.reader().flush(LOG).expect("a flush at boot");
    harness.reader().read(LOG, SegmentId(0), offset, &mut blocks).expect("what was written can be read");
    assert_eq!(&blocks.as_slice().as_bytes()[..expected.len()], expected);
    assert!(
        blocks.as_slice().as_bytes()[expected.len()..].iter().all(|byte| *byte == 0),
        "nothing more was written"
    );
}

/// What was written stays in the file, under its new name only.
fn a_recycled_segment_has_one_name(harness: &mut dyn Harness) {
    prepare(harness, 0);
    prepare(harness, 1);
    let buffers = vec![Arc::new(filled(100, 7))];
    let write = Operation::Write { id: id(1), segment: SegmentId(0), offset: 0, buffers, flush: true };
    assert!(perform(harness, write).result.is_ok());
    let recycle = |number, segment, recycled| Operation::PrepareSegment {
        id: id(number),
        segment: SegmentId(segment),
        bytes: SEGMENT_BYTES,
        recycled: Some(SegmentId(recycled)),
        urgent: true,
    };
    assert!(matches!(perform(harness, recycle(2, 2, 0)).result, Ok(Done::Complete)));
    assert!(perform(harness, recycle(3, 3, 0)).result.is_err(), "segment 0 is there twice");
    let buffers = vec![Arc::new(filled(100, 8))];
    let stale = Operation::Write { id: id(4), segment: SegmentId(0), offset: 0, buffers, flush: true };
    assert!(perform(harness, stale).result.is_err(), "segment 0 is not there any more");
    harness.reopen();
    let names = [SegmentId(1), SegmentId(2)].map(|segment| (segment, SEGMENT_BYTES));
    assert_eq!(harness.reader().segments(LOG), Ok(names.to_vec()));
    let mut block = [Block::ZERO];
    harness.reader().read(LOG, SegmentId(2), 0, &mut block).expect("what was written can be read");
    assert_eq!(block[0].0, filled(100, 7).as_blocks_bytes()[..]);
}

/// L2, L5: a log that gives up its old segments again and again goes on in them, and every start reads what is kept.
/// SegmentReleased, SegmentRecycled, KeptSegmentsRead.
fn recycled_log_survives_restarts(harness: &mut dyn Harness) {
    let mut superblock = first_superblock();
    let mut expected: Vec<(StripeId, SegmentId)> = Vec::new();
    for round in 0..6u8 {
        let recovered = recover(harness.reader(), &superblock, &mut |_| None, Peers::None);
        let recovered = recovered.expect("nothing is lost");
        let unnamed: BTreeSet<StripeId> = recovered.stripes.iter().map(|(stripe, _)| *stripe).collect();
        let kept = expected.iter().map(|(stripe, _)| *stripe).collect();
        assert_eq!(unnamed, kept, "round {round}");
        superblock.incarnation = recovered.incarnation;
        superblock.cuts = recovered.cuts(&[LOG]);
        let mut log = Log::new(identity(), config(FlushPolicy::EachGroup), recovered.start(LOG));
        drive(harness, &mut log, true);
        for number in 0..40u8 {
            let bytes = 1000 + usize::from(number) * 400;
            let buffer = filled(bytes, round * 40 + number);
            let stripe = StripeId { shard: ShardId(0), hash: Hash::of(buffer.payload()) };
            log.append(Entry::Stripe(stripe), buffer).expect("the log has room");
            let durable = drive(harness, &mut log, true);
            let (_, location) = durable.last().expect("the record is durable");
            expected.push((stripe, location.segment));
            if number == 20 {
                let cut = log.cut(location.segment);
                superblock.cuts = vec![cut];
                log.release(&cut);
                expected.retain(|(_, segment)| *segment >= cut.first_segment);
                assert!(expected.len() < 21, "round {round}: nothing was given up");
            }
            log.check_invariants();
        }
        drive(harness, &mut log, true);
        harness.reopen();
        let segments = harness.reader().segments(LOG).expect("segments are listed").len();
        assert!(segments <= 16, "round {round}: {segments} segments");
    }
}

fn every_operation_completes_once(harness: &mut dyn Harness) {
    prepare(harness, 0);
    let mut waiting = BTreeSet::new();
    for number in 0..8 {
        let write = Operation::Write {
            id: id(number),
            segment: SegmentId(0),
            offset: number * BLOCK_BYTES as u64,
            buffers: vec![Arc::new(filled(100, number as u8))],
            flush: number % 2 == 0,
        };
        waiting.insert(write.id());
        harness.device().submit(write);
    }
    while !waiting.is_empty() {
        harness.device().wait();
        while let Some(completion) = harness.device().poll() {
            assert!(completion.result.is_ok(), "{completion:?}");
            assert!(waiting.remove(&completion.id), "{completion:?} completed twice");
        }
    }
    harness.device().wait();
    assert!(harness.device().poll().is_none());
}

fn unprepared_segment_is_an_error(harness: &mut dyn Harness) {
    let buffers = vec![Arc::new(filled(1, 1))];
    let write = Operation::Write { id: id(1), segment: SegmentId(9), offset: 0, buffers, flush: true };
    assert!(perform(harness, write).result.is_err());
}

fn superblock_copies_are_separate(harness: &mut dyn Harness) {
    let copies: Vec<Vec<Block>> =
        (1..=3).map(|byte| vec![Block([byte; BLOCK_BYTES]); SUPERBLOCK_COPY_BYTES / BLOCK_BYTES]).collect();
    for copy in [0, 1] {
        harness.write_superblock(copy, &copies[usize::from(copy)]).expect("boot writes the superblock");
    }
    let id = OperationId { log: OperationId::SUPERBLOCK, number: 1 };
    let blocks = Arc::new(copies[2].clone());
    assert!(perform(harness, Operation::WriteSuperblock { id, copy: 1, blocks }).result.is_ok());
    harness.reopen();
    for (copy, expected) in [(0, 0), (1, 2)] {
        let found = harness.reader().read_superblock(copy).expect("it can be read").expect("it was written");
        assert_eq!(found.as_slice().as_bytes(), copies[expected].as_slice().as_bytes());
    }
}

/// A log is filled across segments, recovered, continued under the next incarnation and recovered again.
fn log_survives_a_clean_restart(harness: &mut dyn Harness, flush: FlushPolicy) {
    let first = first_superblock();
    let mut store = SuperblockStore::format(first);
    store.drive(|copy, blocks| harness.write_superblock(copy, blocks)).expect("formatting");
    let mut expected: Vec<(StripeId, Vec<u8>)> = Vec::new();
    for round in 1..=3_u8 {
        let copies = [0, 1].map(|copy| harness.reader().read_superblock(copy).expect("it can be read"));
        let mut store = SuperblockStore::new(find(copies).expect("it was formatted"));
        let found = recover(harness.reader(), store.current(), &mut read_accept, Peers::None);
        let found = found.expect("nothing was lost");
        assert_eq!(found.incarnation, Incarnation(u64::from(round)));
        assert_eq!(found.accepted.len(), usize::from(round) - 1);
        assert_eq!(found.stripes.len(), expected.len());
        let cuts = found.cuts(&[LOG]);
        store.handle_update(|superblock| {
            superblock.incarnation = found.incarnation;
            superblock.cuts = cuts;
        });
        store.drive(|copy, blocks| harness.write_superblock(copy, blocks)).expect("beginning an incarnation");
        let start = found.start(LOG);
        let locations = fill(harness, &mut expected, round, start, flush);
        read_back(harness, &expected, &locations, found.start(LOG), flush);
        harness.reopen();
    }
}

fn fill(
    harness: &mut dyn Harness,
    expected: &mut Vec<(StripeId, Vec<u8>)>,
    round: u8,
    start: LogStart,
    flush: FlushPolicy,
) -> Vec<(StripeId, RecordLocation)> {
    let mut log = Log::new(identity(), config(flush), start);
    for index in 0..30_usize {
        let buffer = filled(index * 397, round ^ index as u8);
        let stripe = StripeId { shard: ShardId(u16::from(round)), hash: Hash::of(buffer.payload()) };
        expected.push((stripe, buffer.payload().to_vec()));
        log.append(Entry::Stripe(stripe), buffer).expect("the log has room");
        drive(harness, &mut log, index % 3 == 0);
    }
    let slot = Slot(u64::from(round));
    let (ballot, manifest) = (Ballot::new(u64::from(round), ReplicaId(0)), Hash::of(&[round]));
    log.append(Entry::Accept { slot, ballot, manifest }, filled(64, round)).expect("the log has room");
    drive(harness, &mut log, false);
    log.handle_mark(Mark { ballot, slot });
    log.handle_idle();
    let mut durable = drive(harness, &mut log, true);
    assert!(log.is_idle(), "{log:?}");
    durable.retain(|(entry, _)| matches!(entry, Entry::Stripe(_)));
    let stripe = |(entry, location)| match entry {
        Entry::Stripe(stripe) => (stripe, location),
        entry => unreachable!("{entry:?} was filtered out"),
    };
    durable.into_iter().map(stripe).collect()
}

/// Drives a log until the device has nothing more to say; with `flush`, until everything is durable.
fn drive(harness: &mut dyn Harness, log: &mut Log, flush: bool) -> Vec<(Entry, RecordLocation)> {
    let mut durable = Vec::new();
    if flush {
        log.request_flush();
    }
    loop {
        let mut asked = false;
        while let Some(operation) = log.poll_operation() {
            harness.device().submit(operation);
            asked = true;
        }
        harness.device().wait();
        let mut told = false;
        while let Some(completion) = harness.device().poll() {
            log.handle_completion(completion).expect("the device is sound");
            told = true;
        }
        while let Some(record) = log.poll_durable() {
            durable.push((record.entry, record.location));
        }
        log.check_invariants();
        if !asked && !told {
            return durable;
        }
    }
}

fn first_superblock() -> Superblock {
    Superblock {
        parameters: vec![1, 2, 3],
        ..Superblock::first(ClusterId(1), ReplicaId(0), RECORD_KEY, SEGMENT_BYTES)
    }
}

fn read_back(
    harness: &mut dyn Harness,
    expected: &[(StripeId, Vec<u8>)],
    locations: &[(StripeId, RecordLocation)],
    start: LogStart,
    flush: FlushPolicy,
) {
    let mut log = Log::new(identity(), config(flush), LogStart { prepared_end: SegmentId(64), ..start });
    for (stripe, location) in locations {
        let id = log.read(*location);
        drive(harness, &mut log, false);
        let (answered, record) = log.poll_read().expect("a read is answered");
        assert_eq!(answered, id);
        let record = record.expect("the record is whole");
        let bytes = expected.iter().find(|(id, _)| id == stripe).map(|(_, bytes)| bytes.as_slice());
        assert_eq!(Some(record.buffer.payload()), bytes);
    }
}

fn prepare(harness: &mut dyn Harness, segment: u64) {
    let operation = Operation::PrepareSegment {
        id: id(1000),
        segment: SegmentId(segment),
        bytes: SEGMENT_BYTES,
        recycled: None,
        urgent: segment.is_multiple_of(2),
    };
    let completion = perform(harness, operation);
    assert!(matches!(completion.result, Ok(Done::Complete)), "{completion:?}");
}

fn perform(harness: &mut dyn Harness, operation: Operation) -> Completion {
    let id = operation.id();
    harness.device().submit(operation);
    loop {
        harness.device().wait();
        if let Some(completion) = harness.device().poll() {
            assert_eq!(completion.id, id);
            return completion;
        }
    }
}

/// Each round accepts one slot, whose manifest is hashed from the round's number, and so is the payload.
fn read_accept(payload: &[u8]) -> Option<AcceptRead> {
    let below = payload.first()? - 1;
    let previous = if below == 0 { Hash::ZERO } else { Hash::of(&[below]) };
    Some(AcceptRead { chosen: Slot(u64::from(below)), previous, stripes: Vec::new() })
}

fn filled(bytes: usize, value: u8) -> BlockBuffer {
    let mut buffer = BlockBuffer::for_record(bytes);
    buffer.extend_from_slice(&vec![value; bytes]);
    buffer
}

fn id(number: u64) -> OperationId {
    OperationId { log: LOG, number }
}

fn identity() -> LogIdentity {
    LogIdentity {
        cluster: ClusterId(1),
        record_key: RECORD_KEY,
        replica: ReplicaId(0),
        log: LOG,
        segment_bytes: SEGMENT_BYTES,
    }
}

fn config(flush: FlushPolicy) -> LogConfig {
    LogConfig { segments_max: 64, reserve_bytes: 0, flush, ..LogConfig::default() }
}

const LOG: LogId = LogId(5);
const RECORD_KEY: u128 = 99;
const SEGMENT_BYTES: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryDevice;

    struct Memory(MemoryDevice);

    impl Harness for Memory {
        fn device(&mut self) -> &mut dyn Device {
            &mut self.0
        }

        fn reader(&mut self) -> &mut dyn SegmentReader {
            &mut self.0
        }

        fn write_superblock(&mut self, copy: u8, blocks: &[Block]) -> Result<(), DeviceError> {
            self.0.write_superblock(copy, blocks)
        }

        fn reopen(&mut self) {}
    }

    #[test]
    fn memory_device_conforms() {
        for seed in 0..4 {
            run(|| Memory(MemoryDevice::new(seed)));
        }
    }
}
