//! Recovery of a replica that has peers: what a single replica refuses is damage here, never absence. Names in comments
//! are those of `ledger.allium`.

#[path = "common/acceptor.rs"]
mod acceptor;
mod common;

use acceptor::Acceptor;
use assize_wal::{BLOCK_BYTES, SegmentId, SegmentReader};
use common::{LOGS, SEGMENT_BYTES};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[derive(Clone, Copy, Debug)]
enum Step {
    Accept,
    Choose(usize),
    Learn,
    NewLeader,
    Idle,
    Pump(usize),
    Restart,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Accept),
        2 => (1..4_usize).prop_map(Step::Choose),
        2 => Just(Step::Learn),
        1 => Just(Step::NewLeader),
        1 => Just(Step::Idle),
        6 => (1..20_usize).prop_map(Step::Pump),
        1 => Just(Step::Restart),
        1 => any::<u64>().prop_map(Step::Crash),
    ]
}

fn take(acceptor: &mut Acceptor, step: Step) {
    match step {
        Step::Accept => acceptor.accept(),
        Step::Choose(slots) => acceptor.choose(slots),
        Step::Learn => acceptor.learn(),
        Step::NewLeader => acceptor.new_leader(),
        Step::Idle => acceptor.idle(),
        Step::Pump(steps) => acceptor.pump(steps),
        Step::Restart => {
            acceptor.quiesce();
            acceptor.start();
        }
        Step::Crash(seed) => {
            acceptor.crash(seed);
            acceptor.start();
        }
    }
}

/// Damages blocks that a log has written: some bits, or all that can be read there.
fn damage(acceptor: &mut Acceptor, log: usize, faults: u64, flips: bool) {
    acceptor.faults = true;
    let used = acceptor.logs[&LOGS[log]].durable_through();
    let segments = acceptor.device.segments(LOGS[log]).unwrap();
    let end = used.min(segments.last().map_or(0, |(last, _)| (last.0 + 1) * SEGMENT_BYTES));
    if end == 0 {
        return;
    }
    let at = acceptor.random.below(end);
    for fault in 0..faults {
        // Often neighbours: both copies of an accept.
        let at = if acceptor.random.below(3) > 0 {
            at + fault * BLOCK_BYTES as u64
        } else {
            acceptor.random.below(end)
        };
        let (segment, byte) = (SegmentId(at / SEGMENT_BYTES), at % SEGMENT_BYTES);
        if at >= end {
            continue;
        }
        match acceptor.random.below(2) {
            0 if flips => acceptor.device.flip_bit(LOGS[log], segment, byte, (at % 8) as u8),
            _ => acceptor.device.make_unreadable(LOGS[log], segment, byte),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// NewestAcceptCounts, VoidIsAbsent. Without faults nothing is damaged: after a restart in good order exactly what
    /// was accepted is there, whatever was voided, accepted again and fetched.
    #[test]
    fn l5_without_faults_nothing_is_damaged(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..150)) {
        let mut acceptor = Acceptor::format(seed);
        for step in steps.into_iter().filter(|step| !matches!(step, Step::Crash(_))) {
            take(&mut acceptor, step);
            prop_assert_eq!(acceptor.damaged_through, None);
        }
        acceptor.quiesce();
        let recovered = acceptor.recover();
        prop_assert_eq!(recovered.accepted.iter().map(|slot| (slot.ballot, slot.manifest)).collect::<Vec<_>>(), acceptor.held());
    }

    /// RecordDurable, DurableInOrder, TornGapDoubted with accepts that are voided, accepted again and fetched between
    /// crashes: nothing is damaged by them.
    #[test]
    fn l5_nothing_told_is_absent_after_crashes(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..150)) {
        let mut acceptor = Acceptor::format(seed);
        for step in steps {
            take(&mut acceptor, step);
        }
        take(&mut acceptor, Step::Crash(seed));
        take(&mut acceptor, Step::Restart);
    }

    /// DamagedNotAbsent, DurableAcceptMarks, GapHidesAccepts, RepairAppends, DoubtEnds: whatever is damaged at rest
    /// between starts, what others were told of is there or damaged, and what was repaired is not damaged again by the
    /// same faults.
    #[test]
    fn l5_p5_nothing_told_is_absent_after_faults(
        seed in any::<u64>(),
        cuts in any::<bool>(),
        steps in prop::collection::vec(prop::collection::vec(step(), 5..40), 1..6),
    ) {
        let mut acceptor = Acceptor::format(seed);
        for steps in steps {
            for step in steps.into_iter().filter(|step| cuts || !matches!(step, Step::Crash(_))) {
                take(&mut acceptor, step);
            }
            let (log, faults) = (acceptor.random.below(2) as usize, 1 + acceptor.random.below(4));
            // Flipped bits in what was acknowledged last look like a write that the power cut off, until a mark is
            // written; blocks that cannot be read do not.
            let marked = !cuts || acceptor.random.below(2) == 0;
            match marked {
                true => acceptor.quiesce(),
                false => acceptor.crash(seed),
            }
            damage(&mut acceptor, log, faults, marked);
            acceptor.start();
            let fetch = acceptor.random.below(2) == 0;
            if let (Some(through), 0) = (acceptor.damaged_through, acceptor.random.below(3)) {
                acceptor.repair(through, fetch);
                acceptor.start();
                prop_assert_eq!(acceptor.damaged_through, None, "what was repaired is damaged again");
            }
        }
    }
}
