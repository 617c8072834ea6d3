//! Random work, crashes and faults on the memory device, checked against the plain model. The names in comments are
//! those of `ledger.allium`.

mod common;

use assize_wal::RecoveryError;
use assize_wal::memory::{FailAt, Random};
use assize_wal::superblock::find;
use assize_wal::{BLOCK_BYTES, SegmentReader};
use common::{LOGS, Replica, SEGMENT_BYTES, check_recovered, recover_from};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[derive(Clone, Copy, Debug)]
enum Step {
    Stripe { shard: u16, bytes: usize },
    Accept,
    Outcomes,
    Idle,
    Pump(usize),
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..2_u16, 0..14_000_usize).prop_map(|(shard, bytes)| Step::Stripe { shard, bytes }),
        4 => Just(Step::Accept),
        1 => Just(Step::Outcomes),
        1 => Just(Step::Idle),
        6 => (1..20_usize).prop_map(Step::Pump),
        1 => any::<u64>().prop_map(Step::Crash),
    ]
}

fn take(replica: &mut Replica, step: Step) {
    match step {
        Step::Stripe { shard, bytes } => replica.stripe(shard, bytes),
        Step::Accept => replica.accept(),
        Step::Outcomes => replica.outcomes(),
        Step::Idle => replica.idle(),
        Step::Pump(steps) => replica.pump(steps).unwrap(),
        Step::Crash(seed) => {
            replica.device.crash(seed);
            if let Err(error) = replica.start() {
                panic!("a crash alone never loses what was promised, but: {error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 250,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// RecordDurable, DurableInOrder, TornTailCut, OldRecordsVoid: after any crashes, nothing reported durable is lost
    /// and nothing unknown appears (L3, L4, L5).
    #[test]
    fn nothing_promised_is_lost_by_crashes(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..150)) {
        let mut replica = Replica::format(seed);
        for step in steps {
            take(&mut replica, step);
        }
        take(&mut replica, Step::Crash(seed));
        take(&mut replica, Step::Crash(seed ^ 1));
    }

    /// LossRefused, AcceptWrittenTwice: a fault at rest either costs nothing promised or is refused with a report (L5).
    #[test]
    fn no_fault_at_rest_passes_silently(seed in any::<u64>(), steps in prop::collection::vec(step(), 20..100)) {
        let mut replica = Replica::format(seed);
        for step in steps {
            take(&mut replica, step);
        }
        replica.accept();
        replica.quiesce().unwrap();
        let copies = [0, 1].map(|copy| replica.device.read_superblock(copy).unwrap());
        let superblock = find(copies).unwrap().superblock;
        let mut random = Random(seed);
        for _ in 0..12 {
            let mut device = replica.device.clone();
            let log = LOGS[random.below(2) as usize];
            let segments = device.segments(log).unwrap();
            let (segment, _) = segments[random.below(segments.len() as u64) as usize];
            let byte = random.below(SEGMENT_BYTES);
            match random.below(2) {
                0 => device.flip_bit(log, segment, byte, random.below(8) as u8),
                _ => device.make_unreadable(log, segment, byte),
            }
            match recover_from(&mut device, &superblock) {
                Ok(recovered) => {
                    prop_assert_eq!(recovered.accepted.len(), replica.model.promised);
                    // Where the fault hit one copy of an accept, the other one's location is given.
                    check_recovered(&mut device, &replica.model, &recovered);
                }
                Err(RecoveryError::Lost { losses }) => prop_assert!(!losses.is_empty()),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// A write that lands elsewhere and reports success is found out once anything later is durable.
    #[test]
    fn no_misdirected_write_passes_silently(seed in any::<u64>(), steps in prop::collection::vec(step(), 20..60)) {
        let mut replica = Replica::format(seed);
        for step in steps {
            take(&mut replica, step);
        }
        replica.quiesce().unwrap();
        replica.stripe(0, 100);
        replica.device.misdirect_next_write(-1);
        replica.accept();
        if replica.logs[&LOGS[0]].durable_through().is_multiple_of(SEGMENT_BYTES) {
            return Ok(()); // Nothing of the segment lies before the write.
        }
        replica.quiesce().unwrap();
        match replica.start() {
            Ok(()) => {}
            Err(RecoveryError::Lost { losses }) => prop_assert!(!losses.is_empty()),
            Err(error) => panic!("{error}"),
        }
    }

    /// FailedWriteStops: a failed write or flush is reported, the log gives nothing more, and recovery finds all that
    /// was promised (L3).
    #[test]
    fn a_failed_write_stops_the_log(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 10..60),
        flush in any::<bool>(),
    ) {
        let mut replica = Replica::format(seed);
        for step in steps {
            take(&mut replica, step);
        }
        replica.quiesce().unwrap();
        replica.device.fail_operation(0, if flush { FailAt::Flush } else { FailAt::Write });
        replica.stripe(0, 5000);
        replica.accept();
        if replica.logs[&LOGS[0]].has_unwritten() {
            let promised = replica.model.promised;
            let failure = replica.quiesce().unwrap_err();
            let log = replica.logs.get_mut(&failure.id.log).unwrap();
            prop_assert!(log.poll_operation().is_none() && log.poll_durable().is_none());
            prop_assert_eq!(replica.model.promised, promised);
        }
        take(&mut replica, Step::Crash(seed));
    }
}

/// LogFullIsBusy: a full log or disk hands records back, loses nothing and goes on where there is room (L2).
#[test]
fn a_full_log_hands_records_back() {
    for segments_left in [1, 4, u64::MAX] {
        let mut replica = Replica::format(3);
        replica.device.set_segments_left(segments_left);
        replica.pump(40).unwrap();
        for round in 0..400 {
            let room = replica.logs[&LOGS[0]].room_bytes(16 << 10);
            if room >= 16 << 10 {
                replica.stripe(0, 9000);
                assert!(replica.logs[&LOGS[0]].has_unwritten(), "room_bytes promised room in round {round}");
                replica.accept();
            }
            replica.pump(8).unwrap();
        }
        replica.quiesce().unwrap();
        assert!(replica.logs[&LOGS[0]].room_bytes(16 << 10) < 16 << 10, "the log is full");
        assert_eq!(replica.model.promised, replica.model.proposed.len());
        take(&mut replica, Step::Crash(1));
    }
}

/// EveryByteChecked: every flipped byte of a record, padding included, is detected (L3).
#[test]
fn every_flipped_byte_of_a_record_is_detected() {
    let mut replica = Replica::format(5);
    replica.pump(40).unwrap();
    replica.stripe(0, 5000);
    replica.quiesce().unwrap();
    let identity = common::identity(LOGS[0]);
    let record = |replica: &mut Replica| {
        let mut blocks = vec![assize_wal::Block::ZERO; 2];
        replica.device.read(LOGS[0], assize_wal::SegmentId(0), 0, &mut blocks).unwrap();
        assize_wal::log::check_record(&identity, 0, blocks)
    };
    assert!(record(&mut replica).is_ok());
    for byte in 0..2 * BLOCK_BYTES as u64 {
        replica.device.flip_bit(LOGS[0], assize_wal::SegmentId(0), byte, (byte % 8) as u8);
        assert!(record(&mut replica).is_err(), "byte {byte} flipped and not detected");
        replica.device.flip_bit(LOGS[0], assize_wal::SegmentId(0), byte, (byte % 8) as u8);
    }
}
