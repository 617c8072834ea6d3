//! D1: for every log, any number of shards and any timing give the serial evaluation's bytes.
//!
//! `ASSIZE_SEEDS=N` runs N seeds for each number of shards instead of a few hundred, two schedules each; in a release
//! build thousands take seconds: `ASSIZE_SEEDS=5000 cargo test --release -p assize-shards --test shard serial`.
//! `ASSIZE_SEED=N` runs that seed alone.

use std::panic::{catch_unwind, resume_unwind};
use std::sync::Mutex;

use assize_domain::EngineReason;
use assize_wire::outcome::Status;

use super::bank;
use super::regroup;
use super::replica::quiet;
use super::schedule::{self, Seen};

// UnreadableInvalid, OutsideMaskInvalid, OnlyValidEventsApply, ClaimsSent, TurnOpened, StripeOpened, EntityTaken,
// GrantSent, EventRuns, EntityReturned, TurnOver, OutcomeAssembled, StripeAssembled, ReadAnswered, NeverLentTwice,
// SerialPerEntity, NoDeadlock.
#[test]
fn d1_x1_x2_x4_w1_d4_d5_any_schedule_gives_the_serial_result() {
    let seen = Mutex::new(Seen::default());
    for_each_seed("d1_x1_", |shards, seed| schedule::run(shards, seed, &mut seen.lock().unwrap()));
    let seen = seen.into_inner().unwrap();
    if std::env::var("ASSIZE_SEED").is_err() {
        for wanted in wanted() {
            assert!(seen.statuses.contains(&wanted), "no seed came to {wanted:?}");
        }
        let Seen { messages, partial_grants, answers, .. } = seen;
        assert!(messages > 10_000 && answers > 1_000, "{messages} messages, {answers} answers");
        assert!(partial_grants > 1_000, "{partial_grants} grants carried less than was claimed");
    }
}

#[test]
fn d1_regrouping_stripes_changes_no_outcome_state_or_response_but_positions() {
    for_each_seed("d1_regrouping_", regroup::run);
}

/// Runs `body` for each number of shards and each seed, and says how to see again what failed.
fn for_each_seed(test: &str, body: impl Fn(u16, u64) + std::panic::RefUnwindSafe) {
    quiet();
    for shards in [1, 2, 3, 4, 8] {
        for seed in seeds() {
            catch_unwind(|| body(shards, seed)).unwrap_or_else(|panic| {
                eprintln!("to see this one again: ASSIZE_SEED={seed} cargo test -p assize-shards {test} (with {shards} shards)");
                resume_unwind(panic)
            });
        }
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

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|value| value.parse().expect("it is a number"));
    match number("ASSIZE_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("ASSIZE_SEEDS").unwrap_or(300)).collect(),
    }
}
