//! X5, L6, W5, D5: a checkpoint taken in the middle of anything is the state after its slot, and a replica that starts
//! from it goes on as if nothing had been.

use std::panic::{catch_unwind, resume_unwind};

use assize_shards::PartRecord;
use assize_wire::routing::Routing;
use assize_wire::{ShardId, Slot};

use super::log::{self, Agreed, Dice};
use super::model::Model;
use super::replica::{Replica, quiet};
use super::serial::{compare, seeds};

/// What a run came to, so that the test can ask whether it meant something.
#[derive(Default)]
struct Seen {
    keys: u64,
    entities: u64,
    above: u64,
    rooms_short: u64,
}

// CheckpointBegins, TurnsOpened, PreImageKept, PartFinished, RecordWalkedOver, KeyWritten, PartCompleted, ShardRestored,
// PartIsTheStateAfterItsSlot.
#[test]
fn x5_d5_w5_a_restored_replica_goes_on_as_if_nothing_had_been() {
    quiet();
    let mut seen = Seen::default();
    for shards in [1, 2, 3, 4, 8] {
        for seed in seeds() {
            let ran = catch_unwind(|| run(shards, seed));
            let run = ran.unwrap_or_else(|panic| {
                eprintln!(
                    "to see this one again: ASSIZE_SEED={seed} cargo test -p assize-shards x5_d5 (with {shards} shards)"
                );
                resume_unwind(panic)
            });
            seen.keys += run.keys;
            seen.entities += run.entities;
            seen.above += run.above;
            seen.rooms_short += run.rooms_short;
        }
    }
    if std::env::var("ASSIZE_SEED").is_err() {
        assert!(seen.keys > 1000 && seen.entities > 1000, "{} keys, {} entities", seen.keys, seen.entities);
        assert!(seen.above > 100, "steps were taken while {} slots above were under way", seen.above);
        assert!(seen.rooms_short > 20, "{} homes were short of room", seen.rooms_short);
    }
}

/// One log, a checkpoint somewhere in it, and the rest of it again from there.
fn run(shards: u16, seed: u64) -> Seen {
    let mut dice = Dice::new(seed << 8 | u64::from(shards) | 1 << 63);
    let agreed = Agreed {
        routing: Routing { seed, shards },
        ttl: 1000,
        keys: 2 + dice.below(40) as u32,
        entities: 1 + dice.below(30) as u32,
    };
    let slots = 5 + dice.below(25);
    let log = log::random(&mut dice, &agreed, slots);
    let model = Model::run(agreed, &log);
    let at = Slot(1 + dice.below(slots));
    let mut replica = Replica::new(agreed);
    replica.checkpoint = Some(at);
    let window = 1 + dice.below(14);
    replica.run(&log, &mut dice, window, true);
    compare(&replica, &model);

    let expected = model.snapshots.iter().rev().find(|(slot, _)| *slot <= at);
    let entities = expected.map_or(0, |(_, entities)| entities.len() as u64);
    let mut seen = Seen { above: slots - at.0, ..Seen::default() };
    for (shard, part) in replica.parts.iter().enumerate() {
        let Some((PartRecord::Head { head, .. }, _)) = part.last() else {
            panic!("shard {shard} gave out {part:?}");
        };
        assert_eq!((head.slot, head.shard), (at, ShardId(shard as u16)));
        seen.entities += head.entities;
        seen.keys += head.keys_next - head.keys_from;
        seen.rooms_short += u64::from(head.rooms != 0xff);
    }
    assert_eq!(seen.entities, entities, "entities after slot {at}");

    let time = log[at.0 as usize - 1].ordered.manifest.time;
    let mut restored = Replica::restored(agreed, &replica, time).unwrap();
    restored.run(&log, &mut dice, window, false);
    compare(&restored, &model);
    seen
}
