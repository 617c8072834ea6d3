//! Full windows and full logs: `busy`, said in time, and no event without an end.

use assize_wal::memory::Random;
use assize_wire::outcome::Status;
use assize_wire::{EventKey, LogId, ShardId, Slot};

use assize_sim::bank::Op;
use assize_sim::frames::event;
use assize_sim::replica::Replica;
use assize_sim::seeds::each_seed;
use assize_sim::shape::{EPOCH_NS, Shape, TTL_NS};
use assize_sim::world::World;

/// SealedAtPace, WindowKept, BusyWhenFull: what finds the window full is told so, and the same key succeeds later.
#[test]
fn a_full_window_is_busy_and_the_same_key_succeeds_later() {
    let shape = Shape { window: 1, stripe_events: 2, ..Shape::smallest() };
    let mut world = World::serving(shape, 4);
    world.rude = false;
    world.connect(0);
    let deadline = EPOCH_NS + TTL_NS / 2;
    let op = Op::Deposit { account: 1, amount: 1, extra: 0 };
    let events: Vec<_> = (0..10).map(|key| event(key, deadline, &op)).collect();
    world.submit(&events);
    world.finish();
    assert!(world.busy > 0);
    let applied = world.history.events.iter().flat_map(|event| &event.answers);
    assert_eq!(applied.filter(|answer| answer.status == Status::Applied).count(), 10);
    world.check();
}

/// RoomPromised, LogFullIsBusy: logs fill in the middle of a window, the outcome stream's with long responses. What is
/// admitted is answered, the replica says busy, stops in good order and starts again.
#[test]
fn full_logs_are_busy_and_lose_nothing() {
    each_seed("full_logs_are_busy", 0..40, |seed| {
        let mut random = Random(seed);
        let shape = Shape { segments_max: 7 + random.below(3), ..Shape::random(&mut random) };
        fill(shape, seed, 30, |_| true);
    });
}

/// The Docket's log fills with the accept records of other cores' stripes: the other cores are busy with it.
#[test]
fn a_full_docket_log_makes_every_core_busy() {
    each_seed("a_full_docket_log", 0..8, |seed| {
        let shape = Shape {
            cores: 2,
            control_apart: seed % 2 == 1,
            shards: 2,
            window: 3,
            segments_max: 5,
            ..Shape::random(&mut Random(seed))
        };
        let of_core_1 = |shard: ShardId| shard.0 == 1;
        fill(shape, seed, 30, of_core_1);
    });
}

/// RoomPromised: outcomes are several times as large as their events, so the outcome stream's log fills first.
#[test]
fn the_outcome_stream_fills_before_the_log_and_is_busy() {
    each_seed("the_outcome_stream_fills", 0..5, |seed| {
        let shape = Shape {
            window: 3,
            stripe_bytes: 40_000,
            stripe_events: 200,
            credit_events: 2000,
            segments_max: 4,
            ..Shape::smallest()
        };
        fill(shape, seed, 1200, |_| true);
    });
}

/// RoomPromised, SegmentPrepared: a start with a lower `log.bytes_max` than its logs take. What it replays has its
/// place in the outcome stream, and events are taken again.
#[test]
fn logs_that_are_larger_than_allowed_now_are_used() {
    each_seed("logs_larger_than_allowed", 0..8, |seed| {
        let shape = Shape { segment_bytes: 64 << 10, stripe_events: 8, ..Shape::random(&mut Random(seed)) };
        let mut world = World::serving(shape, seed);
        world.rude = false;
        let mut key = 0;
        let mut submit = |world: &mut World, events: u128| {
            world.connect(0);
            let deadline = EPOCH_NS + world.replicas[0].now().monotonic_ns + TTL_NS / 2;
            let op = Op::Deposit { account: key % 5, amount: 1, extra: 240 };
            let events: Vec<_> = (key..key + events).map(|key| event(key, deadline, &op)).collect();
            key += events.len() as u128;
            let from = world.submit(&events)[0];
            while world.unanswered() > 0 {
                world.step();
            }
            let answers = world.history.events[from..].iter().flat_map(|event| &event.answers);
            answers.filter(|answer| answer.status == Status::Applied).count()
        };
        for _ in 0..400 {
            submit(&mut world, 20);
        }
        world.crash();
        world.replicas[0].shape.segments_max = 1;
        world.replicas[0].start().unwrap();
        world.replicas[0].run_until("it serves again", Replica::is_serving);
        let mut budget = 2000;
        while submit(&mut world, 20) == 0 {
            budget -= 1;
            assert!(budget > 0, "nothing is admitted any more");
            world.replicas[0].pass(10_000_000);
        }
        world.check();
    });
}

/// Submits small events with long responses until nothing is admitted for long.
fn fill(shape: Shape, seed: u64, batch: usize, wanted: impl Fn(ShardId) -> bool) {
    let mut world = World::serving(shape, seed);
    world.rude = false;
    let mut key = 0;
    let (mut applied, mut idle) = (0, 0);
    while idle < 40 {
        let core = world.random.below(world.replicas[0].core_count() as u64) as usize;
        world.connect(core);
        let mut events = Vec::new();
        while events.len() < batch {
            key += 1;
            if wanted(world.replicas[0].routing().shard_of_key(EventKey(key))) {
                let deadline = EPOCH_NS + world.replicas[0].now().monotonic_ns + TTL_NS / 2;
                events.push(event(key, deadline, &Op::Deposit { account: key % 5, amount: 1, extra: 240 }));
            }
        }
        let from = world.submit(&events)[0];
        while world.unanswered() > 0 {
            world.step();
        }
        let answers = world.history.events[from..].iter().flat_map(|event| &event.answers);
        let now = answers.filter(|answer| answer.status == Status::Applied).count();
        idle = if now == 0 { idle + 1 } else { 0 };
        applied += now;
        assert!(applied < 200_000, "the logs never fill");
    }
    assert!(applied > 50, "{applied} events filled the logs");
    world.check();
    world.crash();
    world.replicas[0].start().unwrap();
    world.replicas[0].run_until("it serves again", Replica::is_serving);
    world.read(&[1, 2]);
    while world.unanswered() > 0 {
        world.step();
    }
    world.replicas[0].stop();
    world.replicas[0].run_until("it halts", Replica::is_halted);
    world.check();
}

/// IdleLeavesMark (L5): a log that falls idle holds the mark of what was accepted, also when its last write was slow.
#[test]
fn an_idle_log_holds_the_mark_of_the_last_slot() {
    for slow_ns in [0, 6_000_000] {
        let mut world = World::serving(Shape::smallest(), 6);
        world.rude = false;
        world.connect(0);
        let op = Op::Deposit { account: 1, amount: 1, extra: 0 };
        world.submit(&[event(1, EPOCH_NS + TTL_NS / 2, &op)]);
        while world.replicas[0].disk.under_way() == 0 {
            world.step();
        }
        world.replicas[0].pass(slow_ns);
        world.finish();
        for _ in 0..2 {
            world.replicas[0].pass(20_000_000);
            world.replicas[0].settle();
        }
        assert_eq!(world.replicas[0].highest_mark(LogId(0)), Slot(1), "after a write of {slow_ns} ns");
    }
}
