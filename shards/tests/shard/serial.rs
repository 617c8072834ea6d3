//! D1: for every log, any number of shards and any timing give the serial evaluation's bytes.

use std::collections::BTreeSet;
use std::panic::{catch_unwind, resume_unwind};

use assize_domain::EngineReason;
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;

use super::bank;
use super::log::{self, Agreed, Dice};
use super::model::Model;
use super::replica::{Replica, quiet};

// UnreadableInvalid, OutsideMaskInvalid, OnlyValidEventsApply, ClaimsSent, TurnOpened, EntityTaken, GrantSent,
// StripeRuns, EntitiesReturned, ReadAnswered, NeverLentTwice, NoDeadlock.
#[test]
fn d1_x1_x4_w1_d4_d5_any_schedule_gives_the_serial_result() {
    quiet();
    let mut statuses = BTreeSet::new();
    let mut messages = 0;
    let mut answers = 0;
    for shards in [1, 2, 3, 4, 8] {
        for seed in seeds() {
            let ran = catch_unwind(|| run(shards, seed));
            let (seen, sent, answered) = ran.unwrap_or_else(|panic| {
                eprintln!("to see this one again: ASSIZE_SEED={seed} cargo test -p assize-shards d1_ (with {shards} shards)");
                resume_unwind(panic)
            });
            statuses.extend(seen);
            messages += sent;
            answers += answered;
        }
    }
    if std::env::var("ASSIZE_SEED").is_err() {
        for wanted in wanted() {
            assert!(statuses.contains(&wanted), "no seed came to {wanted:?}");
        }
        assert!(messages > 10_000 && answers > 1_000, "{messages} messages, {answers} answers");
    }
}

/// One log, two schedules, one reference.
fn run(shards: u16, seed: u64) -> (BTreeSet<(Status, u16)>, u64, u64) {
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
    let mut messages = 0;
    let mut answers = 0;
    for _ in 0..2 {
        let mut replica = Replica::new(agreed);
        let window = 1 + dice.below(14);
        replica.run(&log, &mut dice, window, true);
        compare(&replica, &model);
        messages += replica.messages;
        answers += replica.answers.len() as u64;
    }
    (model.statuses, messages, answers)
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

/// Every kind of ending that the seeds must come to, so that the comparison means something.
fn wanted() -> Vec<(Status, u16)> {
    let mut wanted = vec![
        (Status::Applied, 0),
        (Status::Rejected, bank::EXISTS),
        (Status::Rejected, bank::UNKNOWN),
        (Status::Rejected, bank::INSUFFICIENT),
        (Status::Rejected, bank::REFUSED),
        (Status::Rejected, EngineReason::NoRoom as u16),
        (Status::Fault, 0),
        (Status::Duplicate, 0),
        (Status::Duplicate, bank::REFUSED),
        (Status::Duplicate, EngineReason::NoRoom as u16),
        (Status::Conflict, 0),
        (Status::Full, 0),
        (Status::Expired, 0),
        (Status::Invalid, bank::NONSENSE),
    ];
    wanted.extend(
        [
            EngineReason::Unreadable,
            EngineReason::UnknownDomain,
            EngineReason::BadEntities,
            EngineReason::OutsideMask,
            EngineReason::WrongShard,
        ]
        .map(|reason| (Status::Invalid, reason as u16)),
    );
    wanted
}

pub fn seeds() -> Vec<u64> {
    match std::env::var("ASSIZE_SEED") {
        Ok(seed) => vec![seed.parse().expect("ASSIZE_SEED is a number")],
        Err(_) => (1..=120).collect(),
    }
}
