//! One random log, several random schedules, one reference: what all of D1 is checked by.

use std::collections::BTreeSet;

use assize_kit::Dice;
use assize_kit::drive::Replica;
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;

use super::log::{self, Agreed};
use super::model::Model;
use super::replica::{replica, run_and_read};

/// What the schedules of some seeds came to.
#[derive(Default)]
pub struct Seen {
    pub statuses: BTreeSet<(Status, u16)>,
    pub messages: u64,
    pub partial_grants: u64,
    pub answers: u64,
}

/// Runs a seed's log twice over so many shards, and compares everything with the reference.
pub fn run(shards: u16, seed: u64, seen: &mut Seen) {
    let mut dice = Dice::new(seed << 8 | u64::from(shards));
    let agreed = Agreed {
        routing: Routing { seed, shards },
        ttl: 1000,
        keys: 2 + dice.below(40) as u32,
        entities: 1 + dice.below(30) as u32,
    };
    let slots = 5 + dice.below(25);
    let log = log::random(&mut dice, &agreed, slots);
    let model = Model::run(agreed, &log);
    for _ in 0..2 {
        let mut replica = replica(agreed);
        let window = 1 + dice.below(14);
        run_and_read(&mut replica, &log, &mut dice, window);
        compare(&replica, &model);
        seen.messages += replica.messages.seen;
        seen.partial_grants += replica.messages.partial_grants;
        seen.answers += replica.answers.len() as u64;
    }
    seen.statuses.extend(model.statuses);
}

pub fn compare(replica: &Replica, model: &Model) {
    let mut published = vec![0; replica.shards.len()];
    for ran in &model.stripes {
        let shard = usize::from(ran.shard.0);
        let found = &replica.published[shard][published[shard]];
        published[shard] += 1;
        let place = format!("slot {} shard {shard}", ran.slot);
        assert_eq!((found.slot, found.shard), (ran.slot, ran.shard), "{place}");
        assert_eq!(found.outcomes.bytes(), ran.outcomes, "outcomes of {place}");
        assert_eq!(found.digest, ran.digest, "digest of {place}");
        let fills = found.fills.iter().map(|fill| (fill.index, replica.first_response(shard, fill.first)));
        let wanted = ran.fills.iter().map(|(index, response, ..)| (*index, response.clone()));
        assert!(fills.eq(wanted), "W2: first responses of {place}");
    }
    let stripes = replica.published.iter().map(Vec::len);
    assert!(stripes.eq(published), "each stripe is published once");
    let entities: u64 = replica.shards.iter().map(|shard| shard.counters().entities).sum();
    assert_eq!(entities, model.entities.len() as u64, "entities at the end");
    for answer in &replica.answers {
        // C8: the states after one stripe of the slot that the answer names, all of them.
        let shows = model.snapshots.iter().any(|(slot, entities)| {
            let state = |id: &u32| entities.get(&u128::from(*id));
            *slot == answer.slot && answer.states.iter().all(|(id, found)| state(id) == found.as_ref())
        });
        assert!(shows, "C8: {answer:?} was never so");
    }
}
