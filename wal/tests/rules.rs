//! Single stories about the log that random work would rarely tell. Names in comments are those of `ledger.allium`.

mod common;

use assize_wal::memory::MemoryDevice;
use assize_wal::operation::{Completion, Done};
use assize_wal::recovery::{LogDecision, Loss};
use assize_wal::superblock::find;
use assize_wal::{
    BlockBuffer, Entry, FlushPolicy, Log, LogConfig, LogStart, Mark, Operation, RecordHeader, RecoveryError,
    SegmentId, SegmentReader,
};
use assize_wire::{Ballot, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot, StripeId};
use common::{LOGS, Replica, SEGMENT_BYTES, recover_from};

fn stripe(byte: u8) -> (Entry, BlockBuffer) {
    let mut buffer = BlockBuffer::for_record(8);
    buffer.extend_from_slice(&[byte; 8]);
    (Entry::Stripe(StripeId { shard: ShardId(0), hash: Hash::of(buffer.payload()) }), buffer)
}

fn done(operation: &Operation) -> Completion {
    Completion { id: operation.id(), result: Ok(Done::Complete) }
}

/// DurableInOrder, WriteCompleted, FlushCompleted: group 2 completes before group 1 and is not reported before it (L3).
#[test]
fn l3_a_later_group_waits_for_an_earlier_one() {
    let start = LogStart { prepared_end: SegmentId(8), ..LogStart::fresh(Incarnation(1)) };
    let mut log = Log::new(common::identity(LogId(0)), LogConfig::default(), start);
    let mut operations = vec![];
    for byte in 0..6 {
        let (entry, buffer) = stripe(byte);
        log.append(entry, buffer).unwrap();
        operations.extend(log.poll_operation());
    }
    assert_eq!((operations.len(), log.writes_in_flight()), (4, 4), "no more than four writes in flight");
    log.handle_completion(done(&operations[1])).unwrap();
    assert!(log.poll_durable().is_none());
    // GroupFormed: what queued meanwhile goes into one write as soon as a place is free.
    let Some(Operation::Write { buffers, .. }) = log.poll_operation() else { panic!("a place is free") };
    assert_eq!(buffers.len(), 2);
    log.handle_completion(done(&operations[0])).unwrap();
    assert_eq!(log.poll_durable().map(|record| record.sequence.0), Some(1));
    assert_eq!(log.poll_durable().map(|record| record.sequence.0), Some(2));
    assert!(log.poll_durable().is_none());
}

/// SegmentPrepared: nothing is written before its segment is prepared (L2), and no group leaves its segment.
#[test]
fn l2_a_group_waits_for_its_segment() {
    let mut log = Log::new(common::identity(LogId(0)), LogConfig::default(), LogStart::fresh(Incarnation(1)));
    let (entry, buffer) = stripe(1);
    log.append(entry, buffer).unwrap();
    let preparation = log.poll_operation().unwrap();
    assert!(matches!(
        preparation,
        Operation::PrepareSegment { segment: SegmentId(0), bytes: SEGMENT_BYTES, .. }
    ));
    assert!(log.poll_operation().is_none() && log.room_bytes(4096) == 0);
    log.handle_completion(done(&preparation)).unwrap();
    assert!(matches!(log.poll_operation(), Some(Operation::Write { offset: 0, flush: true, .. })));
}

/// AcceptReadFromTwin: each copy of an accept alone is enough, at any of its bytes (P2).
#[test]
fn p2_one_bad_block_never_makes_an_accepted_slot_look_absent() {
    let (replica, superblock) = one_accepted_slot();
    for copy_block in [1, 2] {
        let mut device: MemoryDevice = replica.device.clone();
        device.flip_bit(LOGS[0], SegmentId(0), copy_block * 4096 + 77, 3);
        let recovered = recover_from(&mut device, &superblock).unwrap();
        assert_eq!(recovered.accepted.len(), 1);
        assert_eq!(recovered.logs[0].twins_damaged, 1);
        assert_eq!(recovered.logs[0].decision, LogDecision::Whole);
    }
}

/// AcceptReadFromTwin, where the accept was the first to go to another segment: its place does not follow from the end
/// of the record before it.
#[test]
fn p2_a_bad_block_at_a_segments_start_does_not_hide_an_accept_either() {
    let mut replica = Replica::format(9);
    // 60 of 64 KiB: an accept's two copies go to the next segment.
    replica.stripe(0, 58 << 10);
    replica.accept();
    replica.quiesce().unwrap();
    let superblock = superblock_of(&mut replica);
    for copy_block in [0, 1] {
        let mut device: MemoryDevice = replica.device.clone();
        device.flip_bit(LOGS[0], SegmentId(1), copy_block * 4096 + 77, 3);
        let recovered = recover_from(&mut device, &superblock).unwrap();
        assert_eq!(recovered.accepted.len(), 1);
        assert_eq!(recovered.logs[0].twins_damaged, 1);
        assert_eq!(recovered.logs[0].decision, LogDecision::Whole);
    }
}

/// IdleLeavesMark, LossRefused: the idle record's mark proves that the lost slot was accepted; the report names it.
#[test]
fn l5_what_is_missing_below_a_mark_is_refused_and_named() {
    let (replica, superblock) = one_accepted_slot();
    let mut device = replica.device.clone();
    device.flip_bit(LOGS[0], SegmentId(0), 4096, 0);
    device.make_unreadable(LOGS[0], SegmentId(0), 2 * 4096);
    let Err(error @ RecoveryError::Lost { .. }) = recover_from(&mut device, &superblock) else {
        panic!("an accepted slot is gone");
    };
    let report = error.to_string();
    assert!(report.contains("the accept of slot 1 is missing") && report.contains("log 0"), "{report}");
    assert!(report.contains("segment 0 at offset 4096"), "{report}");
}

/// UnreadableRefused: a block at the end of a log that cannot be read is refused and named, whether the last group or
/// nothing was written there, and also where the log would go on in its next segment (L5).
#[test]
fn l5_an_unreadable_block_at_the_end_of_a_log_is_refused_and_named() {
    let (replica, superblock) = one_accepted_slot();
    let end = replica.logs[&LOGS[0]].durable_through();
    let last_stripe_only = {
        let mut replica = Replica::format(1);
        replica.pump(60).unwrap();
        replica.stripe(0, 5000);
        replica.pump(60).unwrap();
        replica
    };
    for (what, device, segment, offset) in [
        ("the last group", &last_stripe_only.device, 0, 4096),
        ("behind the last record", &replica.device, 0, end),
        ("the next segment", &replica.device, 1, 0),
    ] {
        let mut device = device.clone();
        assert!(recover_from(&mut device, &superblock).is_ok(), "{what}");
        device.make_unreadable(LOGS[0], SegmentId(segment), offset);
        let Err(error @ RecoveryError::Lost { .. }) = recover_from(&mut device, &superblock) else {
            panic!("{what} cannot be read and nobody says so");
        };
        let report = error.to_string();
        let named = format!("the block at log 0, segment {segment}, offset {offset}");
        assert!(report.contains(&named), "{what}: {report}");
    }
}

/// P2: a whole accept whose stripe is missing in another log is corruption.
#[test]
fn p2_a_stripe_missing_in_another_log_is_refused() {
    let mut replica = Replica::format(9);
    replica.stripe(1, 100);
    while replica.logs[&LOGS[1]].has_unwritten() {
        replica.pump(1).unwrap();
    }
    replica.accept();
    replica.quiesce().unwrap();
    let superblock = superblock_of(&mut replica);
    let mut device = replica.device.clone();
    device.flip_bit(LOGS[1], SegmentId(0), 200, 0);
    let Err(RecoveryError::Lost { losses }) = recover_from(&mut device, &superblock) else {
        panic!("a stripe is gone");
    };
    assert!(losses.iter().any(|loss| matches!(loss, Loss::Stripe { slot: Slot(1), .. })), "{losses:?}");
}

/// OldRecordsVoid: whole, chained records of an earlier incarnation beyond a cut do not count (L5).
#[test]
fn l5_records_beyond_a_cut_are_void() {
    let (mut replica, mut superblock) = one_accepted_slot();
    superblock.incarnation = Incarnation(2);
    for cut in &mut superblock.cuts {
        (cut.incarnation, cut.offset) = (Incarnation(2), 0);
    }
    let recovered = recover_from(&mut replica.device, &superblock).unwrap();
    assert_eq!((recovered.accepted.len(), recovered.stripes.len(), recovered.logs[0].records), (0, 0, 0));
    assert_eq!(recovered.logs[0].decision, LogDecision::IgnoreVoid);
}

/// LossRefused: the very last record is proven by nothing but the cut of the next incarnation (L5).
#[test]
fn l5_what_is_missing_below_a_cut_is_refused() {
    let (mut replica, _) = one_accepted_slot();
    let idle_at = replica.logs[&LOGS[0]].durable_through() - 4096;
    replica.start().unwrap();
    let superblock = superblock_of(&mut replica);
    replica.device.flip_bit(LOGS[0], SegmentId(0), idle_at + 100, 1);
    let Err(RecoveryError::Lost { losses }) = recover_from(&mut replica.device, &superblock) else {
        panic!("a record below the cut is gone");
    };
    assert!(matches!(losses[..], [Loss::Log { end, .. }] if end == idle_at), "{losses:?}");
}

/// DurableAcceptMarks: what a record calls durable is in its mark, whether anybody has told the log or not (L5).
#[test]
fn l5_a_record_that_calls_an_accept_durable_has_it_in_its_mark() {
    let start = LogStart { prepared_end: SegmentId(8), ..LogStart::fresh(Incarnation(1)) };
    let mut log = Log::new(common::identity(LogId(0)), LogConfig::default(), start);
    let mut header_of = |entry: Entry| {
        log.append(entry, BlockBuffer::for_record(0)).unwrap();
        let operation = log.poll_operation().unwrap();
        log.handle_completion(done(&operation)).unwrap();
        let Operation::Write { buffers, offset, .. } = operation else { panic!("a write") };
        let identity = common::identity(LogId(0));
        RecordHeader::decode(&identity, offset, buffers[0].as_blocks_bytes()).unwrap()
    };
    let ballot = Ballot::new(2, ReplicaId(1));
    let accept = header_of(Entry::Accept { slot: Slot(7), ballot, manifest: Hash::ZERO });
    let idle = header_of(Entry::Idle);
    assert_eq!((accept.mark, accept.durable_through), (Mark::default(), 0));
    assert_eq!((idle.mark, idle.durable_through), (Mark { ballot, slot: Slot(7) }, idle.offset));
}

fn one_accepted_slot() -> (Replica, assize_wal::Superblock) {
    let mut replica = Replica::format(1);
    replica.pump(60).unwrap();
    replica.stripe(0, 100);
    replica.accept();
    replica.quiesce().unwrap();
    let superblock = superblock_of(&mut replica);
    (replica, superblock)
}

fn superblock_of(replica: &mut Replica) -> assize_wal::Superblock {
    let copies = [0, 1].map(|copy| replica.device.read_superblock(copy).unwrap());
    find(copies).unwrap().superblock
}

/// FlushCompleted: a flush makes durable only what had been written when it was submitted (L3).
///
/// 1. Group 1 is written, and a flush is submitted.
/// 2. Group 2, which was in flight meanwhile, is written.
/// 3. The flush completes. The disk may have begun it before step 2: group 2 can still be lost.
#[test]
fn l3_a_flush_submitted_before_a_write_completed_does_not_cover_it() {
    let config = LogConfig { flush: FlushPolicy::OnRequest, ..LogConfig::default() };
    let start = LogStart { prepared_end: SegmentId(8), ..LogStart::fresh(Incarnation(1)) };
    let mut log = Log::new(common::identity(LogId(2)), config, start);
    let append = |log: &mut Log, byte| {
        let (entry, buffer) = stripe(byte);
        log.append(entry, buffer).unwrap();
        log.poll_operation().unwrap()
    };
    let (first, second) = (append(&mut log, 1), append(&mut log, 2));
    log.request_flush();
    assert!(log.poll_operation().is_none(), "nothing is written yet");
    log.handle_completion(done(&first)).unwrap();
    let flush = log.poll_operation().unwrap();
    assert!(matches!(flush, Operation::Flush { .. }));
    log.handle_completion(done(&second)).unwrap();
    assert!(log.poll_operation().is_none(), "one flush of a segment at a time");
    log.handle_completion(done(&flush)).unwrap();
    assert_eq!(log.poll_durable().map(|record| record.sequence.0), Some(1));
    assert!(log.poll_durable().is_none(), "what was written after the flush began is called durable");
    let again = log.poll_operation().unwrap();
    assert!(matches!(again, Operation::Flush { .. }));
    log.handle_completion(done(&again)).unwrap();
    assert_eq!(log.poll_durable().map(|record| record.sequence.0), Some(2));
}

/// OldRecordsVoid (L5): what a start did not find stays away, also if a later start could read it.
///
/// 1. Incarnation 1 writes the accept of slot 1, whole, and crashes before anybody is told.
/// 2. Incarnation 2 reads other bytes there. Nothing proves that it was durable: the log is cut before it, and from now
///    on slot 1 is empty, for clients and peers alike. Incarnation 2 crashes before it writes there.
/// 3. Incarnation 3 reads the right ones again: a whole record that follows the last one. It is void.
#[test]
fn l5_a_record_beyond_the_cut_of_a_second_crash_is_void() {
    let mut replica = Replica::format(1);
    replica.pump(60).unwrap();
    replica.stripe(0, 100);
    replica.quiesce().unwrap();
    let accept_at = replica.logs[&LOGS[0]].durable_through();
    replica.accept();
    while replica.logs[&LOGS[0]].has_unwritten()
        && replica.device.bytes(LOGS[0], SegmentId(0))[accept_at as usize] == 0
    {
        replica.pump(1).unwrap();
    }
    SegmentReader::flush(&mut replica.device, LOGS[0]).unwrap();
    replica.device.crash(0);
    let readable = replica.device.clone();
    (0..2).for_each(|copy| replica.device.flip_bit(LOGS[0], SegmentId(0), accept_at + copy * 4096 + 99, 0));
    let before = superblock_of(&mut replica);
    assert_eq!(
        recover_from(&mut readable.clone(), &before).unwrap().accepted.len(),
        1,
        "step 1 wrote it whole"
    );
    replica.model.promised = 0;
    replica.start().unwrap();
    let superblock = superblock_of(&mut replica);
    assert_eq!(superblock.cut(LOGS[0]).map(|cut| cut.offset), Some(accept_at));
    let recovered = recover_from(&mut readable.clone(), &superblock).unwrap();
    assert_eq!(recovered.accepted.len(), 0, "slot 1 was empty at the start before");
    assert_eq!(recovered.logs[0].decision, LogDecision::IgnoreVoid);
    assert_eq!(recovered.logs[0].end.offset, accept_at);
}
