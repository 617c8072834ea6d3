//! X5, L6, W5, D5: a checkpoint taken in the middle of anything is the state after its slot, and a replica that starts
//! from it goes on as if nothing had been.

use assize_kit::Dice;
use assize_shards::PartRecord;
use assize_wire::routing::Routing;
use assize_wire::{ShardId, Slot};

use super::log::{self, Agreed};
use super::model::Model;
use super::replica::{replica, restored, run_and_read};
use super::schedule::compare;

/// What a run came to, so that the test can ask whether it meant something.
#[derive(Default)]
pub struct Seen {
    pub keys: u64,
    pub entities: u64,
    pub above: u64,
    pub rooms_short: u64,
}

/// One log, a checkpoint somewhere in it, and the rest of it again from there.
pub fn run(shards: u16, seed: u64, seen: &mut Seen) {
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
    let mut replica = replica(agreed);
    replica.checkpoint = Some(at);
    let window = 1 + dice.below(14);
    run_and_read(&mut replica, &log, &mut dice, window);
    compare(&replica, &model);

    let expected = model.snapshots.iter().rev().find(|(slot, _)| *slot <= at);
    let entities = expected.map_or(0, |(_, entities)| entities.len() as u64);
    seen.above += slots - at.0;
    let mut found = 0;
    for (shard, part) in replica.parts.iter().enumerate() {
        let Some((PartRecord::Head { head, .. }, _)) = part.last() else {
            panic!("shard {shard} gave out {part:?}");
        };
        assert_eq!((head.slot, head.shard), (at, ShardId(shard as u16)));
        found += head.entities;
        seen.keys += head.keys_next - head.keys_from;
        seen.rooms_short += u64::from(head.rooms != 0xff);
    }
    seen.entities += found;
    assert_eq!(found, entities, "entities after slot {at}");

    let time = log[at.0 as usize - 1].ordered.manifest.time;
    let mut restored = restored(agreed, &replica, time).unwrap();
    restored.run(&log, &mut dice, window, &[]);
    compare(&restored, &model);
}
