//! Requests by hand, through one shard: each rule once, readable.

use assize_domain::EngineReason;
use assize_kit::Dice;
use assize_kit::drive::{LogSlot, Replica, quiet};
use assize_wire::Hash;
use assize_wire::outcome::{Outcome, Status};
use assize_wire::routing::Routing;

use super::bank::{INSUFFICIENT, Op, REFUSED};
use super::log::{Agreed, Draft, Drafts};
use super::replica::{accounts, replica};

const TTL: u64 = 1000;

const ONE: Agreed = Agreed { routing: Routing { seed: 3, shards: 1 }, ttl: TTL, keys: 100, entities: 100 };

/// A log of stripes of shard 0 at these times.
fn log_of(agreed: Agreed, stripes: &[(u64, Vec<Draft>)]) -> Vec<LogSlot> {
    let mut log: Vec<LogSlot> = Vec::new();
    for (time, events) in stripes {
        Drafts::new(*time, 1).stripe(0, events.clone()).append(&mut log, &agreed.routing, |_, _| {});
    }
    log
}

/// Runs stripes of shard 0 at these times and returns the replica.
fn run(agreed: Agreed, stripes: &[(u64, Vec<Draft>)]) -> Replica {
    quiet();
    let log = log_of(agreed, stripes);
    let mut replica = replica(agreed);
    replica.run(&log, &mut Dice::new(1), 8, &[]);
    replica
}

fn endings(replica: &Replica) -> Vec<(Status, u16)> {
    let outcomes = replica.published[0].iter().flat_map(|published| &published.outcomes);
    outcomes.map(|outcome| (outcome.status, outcome.reason)).collect()
}

fn outcome(replica: &Replica, slot: usize, index: usize) -> Outcome<'_> {
    replica.published[0][slot - 1].outcomes.iter().nth(index).unwrap()
}

fn open(key: u128, deadline: u64, account: u128, amount: u64) -> Draft {
    Draft::new(key, deadline, Op::Open, amount, &[account])
}

// EventAdmitted, DomainRejects, ChangesStored.
#[test]
fn a_transfer_moves_what_is_there_and_is_refused_with_its_reason_else() {
    let transfer = |key, amount| Draft::new(key, 500, Op::Transfer, amount, &[1, 2]);
    let events = vec![open(1, 500, 1, 100), open(2, 500, 2, 5), transfer(3, 60), transfer(4, 60)];
    let mut replica = run(ONE, &[(10, events)]);
    assert_eq!(
        endings(&replica),
        [(Status::Applied, 0), (Status::Applied, 0), (Status::Applied, 0), (Status::Rejected, INSUFFICIENT),]
    );
    let mut balances = 40u64.to_le_bytes().to_vec();
    balances.extend(65u64.to_le_bytes());
    assert_eq!(outcome(&replica, 1, 2).response, balances);
    replica.read(0, &accounts([1, 2, 3]));
    replica.drain(0);
    let answer = &replica.answers[0];
    assert_eq!(answer.slot.0, 1);
    let balances = answer.states.iter().map(|(id, state)| (*id, state.as_ref().map(|state| state[0])));
    assert!(balances.eq([(1, Some(40)), (2, Some(65)), (3, None)]));
}

#[test]
fn w1_a_key_is_evaluated_at_most_once_and_a_duplicate_never_renews_it() {
    let event = |deadline| open(7, deadline, 1, 100);
    let replica = run(
        ONE,
        &[
            (1000, vec![event(1500), event(1500)]),
            // Live for one more nanosecond, whatever the deadline says now.
            (1999, vec![event(2500)]),
            // Expired at exactly the TTL: the old deadline is past, a new one makes a new event.
            (2000, vec![event(1500), event(2000), event(3001), event(2001)]),
        ],
    );
    assert_eq!(
        endings(&replica),
        [
            (Status::Applied, 0),
            (Status::Duplicate, 0),
            (Status::Duplicate, 0),
            (Status::Expired, 0),
            (Status::Expired, 0),
            (Status::Expired, 0),
            (Status::Rejected, super::bank::EXISTS),
        ]
    );
}

#[test]
fn w2_a_duplicate_carries_the_first_position_status_reason_and_response() {
    let refuse = |key, bytes| Draft::new(key, 500, Op::Refuse, bytes, &[1]);
    let answer = |key, bytes| Draft::new(key, 500, Op::Answer, bytes, &[1]);
    for bytes in [0, 13, 14, 15, 16, 17, 31, 40] {
        let replica = run(
            ONE,
            &[
                (10, vec![open(1, 500, 9, 1), refuse(2, bytes), answer(3, bytes)]),
                (11, vec![answer(3, bytes), refuse(2, bytes)]),
            ],
        );
        let applied = outcome(&replica, 2, 0);
        assert_eq!((applied.status, applied.first_status), (Status::Duplicate, Status::Applied));
        let refused = outcome(&replica, 2, 1);
        assert_eq!((refused.status, refused.first_status), (Status::Duplicate, Status::Rejected));
        assert_eq!((refused.reason, refused.original_slot.0, refused.original_index), (REFUSED, 1, 1));
        assert!(refused.response.is_empty() && applied.response.is_empty());
        let fills = &replica.published[0][1].fills;
        let responses: Vec<_> = fills.iter().map(|fill| replica.first_response(0, fill.first)).collect();
        assert_eq!(responses, [vec![0x55; bytes as usize], vec![0x66; bytes as usize]]);
    }
}

#[test]
fn w2_another_body_under_a_live_key_is_a_conflict_and_another_deadline_is_not() {
    let replica = run(ONE, &[(10, vec![open(1, 500, 1, 1), open(1, 500, 1, 2), open(1, 400, 1, 1)])]);
    assert_eq!(endings(&replica), [(Status::Applied, 0), (Status::Conflict, 0), (Status::Duplicate, 0)]);
}

#[test]
fn w3_full_conflict_invalid_and_expired_record_nothing_and_no_live_key_is_evicted() {
    let agreed = Agreed { keys: 2, ..ONE };
    let nonsense = Draft::new(9, 500, Op::Nonsense, 0, &[1]);
    let replica = run(
        agreed,
        &[
            (10, vec![nonsense, open(8, 10, 1, 1), open(1, 500, 1, 1), open(2, 500, 2, 1)]),
            (11, vec![open(3, 500, 3, 1), open(3, 500, 3, 2), open(1, 500, 1, 1)]),
            (1010, vec![open(3, 1500, 3, 1), open(4, 1500, 4, 1), open(5, 1500, 5, 1)]),
        ],
    );
    assert_eq!(
        endings(&replica)[2..],
        [
            (Status::Applied, 0),
            (Status::Applied, 0),
            (Status::Full, 0),
            (Status::Full, 0),
            (Status::Duplicate, 0),
            (Status::Applied, 0),
            (Status::Applied, 0),
            (Status::Full, 0),
        ]
    );
}

// FaultContained.
#[test]
fn d4_a_domain_that_fails_is_a_fault_that_changes_nothing_and_the_next_event_runs() {
    let fail = |key, op| Draft::new(key, 500, op, 77, &[1]);
    let replica = run(
        ONE,
        &[(
            10,
            vec![
                open(1, 500, 1, 5),
                fail(2, Op::Panic),
                fail(3, Op::PanicEarly),
                fail(4, Op::TooLong),
                fail(5, Op::FalseReason),
                fail(2, Op::Panic),
                fail(10, Op::RunAwayEarly),
                Draft::new(11, 500, Op::RunAway, 0, &[1]),
                Draft::new(12, 500, Op::RunAway, 1, &[1]),
                Draft::new(13, 500, Op::RunAway, 2, &[1]),
                Draft::new(14, 500, Op::RunAway, 3, &[1]),
                Draft::new(6, 500, Op::Spread, 0, &[1]),
            ],
        )],
    );
    let statuses: Vec<_> = endings(&replica).into_iter().map(|(status, _)| status).collect();
    assert_eq!(
        statuses,
        [
            Status::Applied,
            Status::Fault,
            Status::Fault,
            Status::Fault,
            Status::Fault,
            Status::Duplicate,
            Status::Fault,
            Status::Fault,
            Status::Fault,
            Status::Fault,
            Status::Fault,
            Status::Applied,
        ]
    );
    assert!((1..5).all(|index| outcome(&replica, 1, index).response.is_empty()));
    assert_eq!(outcome(&replica, 1, 5).first_status, Status::Fault);
}

// RoomFixed, NoRoomFixed, NoRoomRejects.
#[test]
fn d5_room_is_fixed_by_the_count_eight_slots_below() {
    let agreed = Agreed { entities: 1, ..ONE };
    let stripes: Vec<_> =
        (1..=10u64).map(|slot| (slot, vec![open(slot.into(), 500, slot.into(), 1)])).collect();
    let replica = run(agreed, &stripes);
    let no_room = (Status::Rejected, EngineReason::NoRoom as u16);
    let endings = endings(&replica);
    assert!(endings[..8].iter().all(|ending| *ending == (Status::Applied, 0)));
    assert_eq!(endings[8..], [no_room, no_room]);
}

// ChangesStored.
#[test]
fn c8_an_event_that_reads_is_applied_and_is_no_change_whether_the_entity_exists_or_not() {
    let agreed = Agreed { entities: 1, ..ONE };
    let inspect = |key, account| Draft::new(key, 500, Op::Inspect, 0, &[account]);
    let stripes: Vec<_> = (1..=10u64)
        .map(|slot| {
            let key = u128::from(slot) << 8;
            let first = if slot == 1 { open(key, 500, 1, 9) } else { inspect(key, 1) };
            (slot, vec![first, inspect(key + 1, 2), inspect(key + 2, 1)])
        })
        .collect();
    let replica = run(agreed, &stripes);
    assert!(endings(&replica).iter().all(|ending| *ending == (Status::Applied, 0)));
    let state = [&[1][..], &9u64.to_le_bytes(), &[0xab; 9]].concat();
    assert_eq!(outcome(&replica, 1, 2).response, state, "what the event before it made");
    // From slot 9 on there is no room for another account (D5), and to read one that does not exist takes none.
    assert_eq!(
        (outcome(&replica, 10, 0).response, outcome(&replica, 10, 1).response),
        (&state[..], &[0][..])
    );
    assert_eq!(replica.shards[0].counters().entities, 1);

    // What the digest of the last slot covers: that each of its events changed nothing.
    let log = log_of(agreed, &stripes);
    let mut digested = [&log[9].ordered.hash.0[..], &0u16.to_le_bytes()].concat();
    for outcome in replica.published[0][9].outcomes.iter() {
        outcome.encode(&mut digested);
        digested.push(0);
    }
    assert_eq!(replica.published[0][9].digest, Hash::of(&digested));
}

#[test]
fn d1_regrouping_that_keeps_order_and_times_changes_no_outcome() {
    let mut dice = Dice::new(5);
    let event = |at: u64, dice: &mut Dice| {
        let op = [Op::Open, Op::Transfer, Op::Close, Op::Spread][dice.below(4) as usize];
        let first = u128::from(dice.below(5));
        let accounts = [first, (first + 1) % 5];
        let count = if matches!(op, Op::Transfer | Op::Spread) { 2 } else { 1 };
        Draft::new(u128::from(dice.below(at + 1)), 500, op, dice.below(20), &accounts[..count])
    };
    let events: Vec<_> = (0..200).map(|at| event(at, &mut dice)).collect();
    let at_once = run(ONE, &[(10, events.clone())]);
    for size in [1, 7, 64] {
        let stripes: Vec<_> = events.chunks(size).map(|chunk| (10, chunk.to_vec())).collect();
        let regrouped = run(ONE, &stripes);
        assert_eq!(endings(&at_once), endings(&regrouped), "stripes of {size}");
        assert_eq!(at_once.shards[0].counters().entities, regrouped.shards[0].counters().entities);
    }
}
