//! What a domain may not do is found out, by the promise that it breaks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use assize_kit::{Failure, Kind, Kit};

use super::counters::{ENOUGH, Wrong, add, draw, made};

fn failure(wrong: Wrong) -> Failure {
    Kit::new(made(wrong, 1)).seeds(3).check(draw).expect_err("it is found out")
}

/// MoreThanArgumentsFound.
#[test]
fn what_sees_more_than_its_arguments_is_found_out_at_once() {
    for wrong in
        [Wrong::MapOrder, Wrong::Clock, Wrong::Randomness, Wrong::StaticCounter, Wrong::NamesByMapOrder]
    {
        let found = failure(wrong);
        assert_eq!(found.kind, Kind::Undetermined, "{wrong:?}: {found}");
    }
}

/// KeptStateFound.
#[test]
fn what_is_kept_outside_of_states_is_found_out_elsewhere() {
    for wrong in [Wrong::RemembersFirst, Wrong::Thread, Wrong::Address] {
        let found = failure(wrong);
        assert_eq!(found.kind, Kind::KeepsState, "{wrong:?}: {found}");
    }
}

/// ShardedOtherwiseFound, RestartedOtherwiseFound.
///
/// Instances are made in this order: for the events, one after the other, elsewhere, a replica, for what is told, one
/// that starts from a checkpoint.
#[test]
fn what_a_replica_or_a_start_computes_otherwise_is_found_out_there() {
    for (instances, kind) in [(2, Kind::KeepsState), (3, Kind::Sharded), (5, Kind::Restarted)] {
        let found = failure(Wrong::Instances(instances));
        assert_eq!(found.kind, kind, "{found}");
    }
}

#[test]
fn a_failure_names_the_event_the_entity_both_outcomes_and_how_to_see_it_again() {
    let found = failure(Wrong::Instances(5));
    let told = found.to_string();
    let seed = format!("ASSIZE_SEED={} cargo test ", found.seed);
    for words in [
        "event ",
        "of counters: {\"add\":",
        "  once     applied",
        "  again    applied",
        "  differs  ",
        "slot ",
        "from a checkpoint at slot",
        "findings::a_failure_names_the_event",
        &seed,
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// FaultFound.
#[test]
fn a_fault_is_found_out_unless_it_is_expected() {
    for (wrong, why) in [
        (Wrong::Panics, "the domain panicked: no counter counts to"),
        (Wrong::PanicsEarly, "asked for its entities, the domain panicked: asked too early"),
        (Wrong::RunsAway, "calls more than 10000 times"),
        (Wrong::LongState, "a state of 9 bytes; the domain's are at most 8"),
        (Wrong::FalseReason, "rejected for reason 65280; a domain's are 1 to 65279"),
    ] {
        let found = failure(wrong);
        assert!(found.kind == Kind::Fault && found.to_string().contains(why), "{wrong:?}: {found}");
    }
    let zero_is_applied = Kit::new(made(Wrong::FalseReason, 1)).faults_expected().seeds(2);
    let report = zero_is_applied.check(draw).unwrap();
    assert!(report.faults() > 0 && report.applied() > 0, "{report}");
}

/// EndlessFound.
#[test]
fn what_does_not_come_back_is_told_of_with_its_event() {
    let kit = Kit::new(made(Wrong::Endless, 1)).patience(Duration::from_millis(50));
    let found = kit.check_these(&[add(3, 0), add(4, 5)]).expect_err("it is found out");
    // Its thread goes on until then.
    ENOUGH.store(true, Ordering::Relaxed);
    assert_eq!((found.kind, found.event), (Kind::Unbounded, Some(1)), "{found}");
}

/// ContractBroken.
#[test]
fn a_notation_that_does_not_keep_its_promises_is_found_out() {
    for (wrong, why) in [
        (Wrong::OtherBytes, "and read as version 1"),
        (Wrong::NoJson, "an event that is evaluated has no JSON"),
        (Wrong::Slash, "which cannot stand in a path"),
        (Wrong::OtherName, "which is read as: entity"),
        (Wrong::NoState, "has no JSON"),
        (Wrong::NoAnswer, "has no JSON without its event"),
        (Wrong::JsonPanics, "it panicked: no JSON today"),
    ] {
        let found = failure(wrong);
        assert!(found.kind == Kind::Notation && found.to_string().contains(why), "{wrong:?}: {found}");
    }
    assert_eq!(failure(Wrong::InspectionAdds).kind, Kind::Inspection);
    assert_eq!(failure(Wrong::NoWords).kind, Kind::NoWords);
}

/// NothingShown, NothingPassesUnshown.
#[test]
fn where_nothing_is_applied_nothing_is_shown() {
    for events in [&[add(1, 0)][..], &[]] {
        let found = Kit::new(made(Wrong::Nothing, 1)).check_these(events).expect_err("it is found out");
        assert_eq!(found.kind, Kind::NothingApplied, "{found}");
    }
}
