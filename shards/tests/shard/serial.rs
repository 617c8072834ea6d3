//! D1: for every log, any number of shards and any timing give the serial evaluation's bytes.

use std::sync::Mutex;

use assize_domain::EngineReason;
use assize_wire::outcome::Status;

use super::bank;
use super::checkpoint;
use super::regroup;
use super::schedule::{self, Seen};
use super::seeds::for_each_seed;

// UnreadableInvalid, LogicSwitched, OutsideMaskInvalid, OnlyValidEventsApply, ClaimsSent, TurnOpened, StripeOpened,
// EntityTaken, GrantSent, EventRuns, EntityReturned, TurnOver, OutcomeAssembled, StripeAssembled, ReadAnswered,
// NeverLentTwice, SerialPerEntity, NoDeadlock.
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

// CheckpointBegins, TurnsOpened, PreImageKept, PartFinished, RecordWalkedOver, KeyWritten, PartCompleted,
// ShardRestored, PartIsTheStateAfterItsSlot.
#[test]
fn x5_d5_w5_a_restored_replica_goes_on_as_if_nothing_had_been() {
    let seen = Mutex::new(checkpoint::Seen::default());
    for_each_seed("x5_d5_", |shards, seed| checkpoint::run(shards, seed, &mut seen.lock().unwrap()));
    let seen = seen.into_inner().unwrap();
    if std::env::var("ASSIZE_SEED").is_err() {
        assert!(seen.keys > 1000 && seen.entities > 1000, "{} keys, {} entities", seen.keys, seen.entities);
        assert!(seen.above > 100, "steps were taken while {} slots above were under way", seen.above);
        assert!(seen.rooms_short > 20, "{} homes were short of room", seen.rooms_short);
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
