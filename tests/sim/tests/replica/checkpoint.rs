//! Checkpoints in the assembled replica: taken under load, started from, failed, and what they free.

use assize_sim::bank::Op;
use assize_sim::frames::event;
use assize_sim::replica::{Replica, Seen};
use assize_sim::seeds::{all_seeds, each_seed};
use assize_sim::shape::{EPOCH_NS, Shape};
use assize_sim::world::World;
use assize_wal::SegmentReader;
use assize_wal::memory::Random;
use assize_wire::LogId;
use assize_wire::outcome::Status;

/// L6, X5, W5, D5, C7: crashes at any step while checkpoints come and go. A start begins from the newest whole one, and
/// the log above it; everything that was answered stays so.
///
/// SlotFlagged, CheckpointTaken, PartReported, AllPartsGathered, CheckpointActivated, NothingWantedIsGivenUp.
#[test]
fn a_start_begins_from_the_newest_checkpoint_and_goes_on_as_before() {
    let mut seen = Seen::default();
    each_seed("a_start_begins_from", 0..60, |seed| {
        let mut random = Random(seed ^ 0xc4ec);
        let checkpoint_bytes = (20 << 10) << random.below(5);
        let shape = Shape { checkpoint_bytes, ..Shape::random(&mut random) };
        let mut world = World::serving(shape, seed);
        for _ in 0..3 {
            world.run(100 + random.below(600));
            world.crash();
            world.check();
            world.replicas[0].start().unwrap();
            world.replicas[0].run_until("it serves again", Replica::is_serving);
        }
        world.finish();
        world.check();
        seen.checkpoints += world.replicas[0].seen.checkpoints;
        seen.from_checkpoint += world.replicas[0].seen.from_checkpoint;
    });
    if all_seeds() {
        assert!(seen.checkpoints > 300 && seen.from_checkpoint > 60, "{seen:?}");
    }
}

/// L2, L6: whatever is submitted, the logs keep to a bounded number of segments, which they use again and again. The
/// outcome stream keeps a TTL's worth.
#[test]
fn logs_stay_bounded_under_endless_load() {
    let shape = Shape {
        cores: 2,
        shards: 3,
        segment_bytes: 64 << 10,
        checkpoint_bytes: 200 << 10,
        ttl_ns: 4_000_000,
        ..Shape::random(&mut Random(5))
    };
    let mut world = World::serving(shape, 5);
    let mut most = 0;
    for round in 0..30 {
        world.run(1000);
        let device = &mut world.replicas[0].disk.device;
        let logs = device.logs().unwrap().len();
        let segments: usize =
            (0..8).map(|log| device.segments(LogId(log)).map_or(0, |segments| segments.len())).sum();
        assert_eq!(logs, 8);
        if round < 10 {
            most = most.max(segments);
        }
        // What was prepared ahead while the first checkpoints were taken is all that it ever needs, but for a few.
        assert!(segments <= most + 8, "round {round}: {segments} segments, {most} before");
    }
    world.finish();
    world.check();
    let Seen { checkpoints, .. } = world.replicas[0].seen;
    assert!(checkpoints > 30, "{checkpoints} checkpoints");
}

/// SlotForTheFlagAlone: a log that is full answers busy, and no slot comes that could be flagged; so one is formed for
/// the flag alone, and the same keys succeed.
#[test]
fn a_full_log_is_emptied_by_a_slot_that_orders_nothing() {
    let shape = Shape { segments_max: 3, checkpoint_bytes: u64::MAX, ..Shape::smallest() };
    let mut world = World::serving(shape, 8);
    world.rude = false;
    world.connect(0);
    for key in 0..600 {
        let deadline = EPOCH_NS + world.replicas[0].now().monotonic_ns + shape.ttl_ns / 2;
        let op = Op::Deposit { account: 1, amount: 1, extra: 240 };
        world.submit(&[event(key, deadline, &op)]);
        world.finish();
        world.replicas[0].pass(10_000_000);
    }
    // Some expire while they are told to come back; none stays without an end.
    let answers =
        world.history.events.iter().map(|event| event.answers.first().expect("it has its end").status);
    let applied = answers.filter(|status| *status == Status::Applied).count();
    assert!(applied > 400, "{applied} of 600 are applied");
    let ordering_nothing =
        world.replicas[0].disk.recorder.slots().iter().filter(|slot| slot.stripes.is_empty()).count();
    assert!(ordering_nothing > 0 && world.busy > 0, "{ordering_nothing} slots, {} busy", world.busy);
    world.check();
}

/// PartFailed, CheckpointFailed: without space for it a checkpoint fails, the one before it stays active, and what is
/// answered is answered. With space again the next one succeeds.
#[test]
fn without_space_a_checkpoint_fails_and_the_one_before_it_stays() {
    let shape = Shape { checkpoint_bytes: 40 << 10, segments_max: 1000, ..Shape::smallest() };
    let mut world = World::serving(shape, 2);
    world.rude = false;
    world.replicas[0].run_until("all is prepared", |replica| replica.disk.under_way() == 0);
    world.replicas[0].set_segments_left(Some(0));
    world.run(1500);
    assert_eq!(world.replicas[0].seen.checkpoints, 0);
    assert!(world.replicas[0].seen.checkpoints_failed > 0);
    world.replicas[0].set_segments_left(None);
    for _ in 0..3 {
        world.replicas[0].pass(6_000_000_000);
        world.run(1500);
    }
    world.finish();
    world.check();
    assert!(world.replicas[0].seen.checkpoints > 0);
}
