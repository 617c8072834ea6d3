//! A follower: what it promises, what it accepts, whom it heeds.

use std::panic::catch_unwind;

use assize_consensus::{Alarm, Docket, DocketStart, Effect, LogTip, Role};
use assize_wire::peer::{DocketMessage, Promised};
use assize_wire::{Ballot, ReplicaId, Slot, StreamTime};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, stripe, tip, value, values};

/// PrepareAnswered (P1, P3): a promise is answered when it is durable, with everything from the asked slot on.
#[test]
fn p3_a_promise_is_durable_before_it_is_answered() {
    let slots = values(&[1, 2, 3]);
    let accepted = slots.iter().map(|slot| (slot.clone(), ballot(2, 1))).collect();
    let damaged = vec![(Slot(4), None)];
    let found = DocketStart { accepted, damaged, chosen: Slot(2), promised: ballot(2, 1), ..start() };
    let mut bench = Bench::of_three(found);
    bench.hear(2, DocketMessage::Prepare { ballot: ballot(3, 2), from: Slot(2), released: Ballot::NONE });
    assert_eq!((bench.sent_to(2), bench.promises.clone()), (vec![], vec![ballot(3, 2)]));
    bench.sync();
    let entries = vec![
        Promised::Chosen { ordered: slots[1].clone() },
        Promised::Accepted { ballot: ballot(2, 1), ordered: slots[2].clone() },
        Promised::Damaged { slot: Slot(4), hash: None },
    ];
    let promise = DocketMessage::Promise { ballot: ballot(3, 2), chosen: chosen(&slots[1]), entries };
    assert_eq!(bench.sent_to(2), std::slice::from_ref(&promise));
    bench.effects.clear();
    bench.hear(2, DocketMessage::Prepare { ballot: ballot(3, 2), from: Slot(2), released: Ballot::NONE });
    assert_eq!(
        (bench.sent_to(2), bench.promises.len()),
        (vec![promise], 0),
        "asked again: the answer was lost"
    );
}

/// AcceptTaken (P1): nothing is written under a ballot that the superblock does not hold; a proposal that comes first
/// waits for it.
#[test]
fn p1_nothing_is_accepted_under_a_ballot_that_is_not_durable() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    for ordered in &slots {
        let ordered = ordered.clone();
        bench.hear(
            1,
            DocketMessage::Accept { ballot: ballot(2, 1), fresh: false, ordered, chosen: NOTHING_CHOSEN },
        );
    }
    assert_eq!((bench.writes.len(), bench.promises.clone()), (0, vec![ballot(2, 1)]), "asked for once");
    bench.promise();
    assert_eq!(bench.writes.len(), 2);
}

/// AcceptTaken: where the log takes no more accept records, proposals wait for room.
#[test]
fn p2_an_accept_waits_for_room_in_the_log() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.tell(|docket| docket.handle_accept_room(1, false));
    for ordered in &slots {
        bench.accept(1, ballot(2, 1), ordered, NOTHING_CHOSEN);
    }
    assert_eq!(bench.writes.len(), 1);
    bench.tell(Docket::handle_election_timeout);
    assert_eq!(bench.docket.role(), Role::Follower, "who accepts nothing must not lead (P9)");
    bench.tell(|docket| docket.handle_accept_room(0, true));
    bench.tell(Docket::handle_election_timeout);
    assert_ne!(bench.docket.role(), Role::Follower, "it has room in a moment");
    bench.tell(|docket| docket.handle_accept_room(5, false));
    assert_eq!(bench.writes.len(), 2);
}

/// PrepareRefused, AcceptRefused: nothing under a lower ballot is heeded, nor under one that is not the sender's.
#[test]
fn a_lower_ballot_is_refused() {
    let slots = values(&[1]);
    let mut bench = Bench::of_three(DocketStart { promised: ballot(5, 2), ..start() });
    let refused = DocketMessage::Refused { ballot: ballot(4, 1), promised: ballot(5, 2) };
    bench.hear(1, DocketMessage::Prepare { ballot: ballot(4, 1), from: Slot(1), released: Ballot::NONE });
    bench.accept(1, ballot(4, 1), &slots[0], NOTHING_CHOSEN);
    bench.heartbeat(1, ballot(4, 1), NOTHING_CHOSEN, Slot(0));
    assert_eq!(bench.sent_to(1), vec![refused; 3]);
    bench.effects.clear();
    bench.accept(1, ballot(6, 2), &slots[0], NOTHING_CHOSEN);
    bench.hear(1, DocketMessage::Prepare { ballot: ballot(6, 2), from: Slot(1), released: Ballot::NONE });
    assert!(bench.effects.is_empty() && bench.docket.promised() == ballot(5, 2), "{:?}", bench.effects);
}

/// PrepareRefused (P9): a promise that would have to bring more than is in memory is not given; the asker fetches
/// first.
#[test]
fn p9_who_lacks_more_than_a_promise_brings_is_told_to_fetch() {
    let below = tip(&values(&[1, 2, 3])[2]);
    let mut bench =
        Bench::of_three(DocketStart { tip: below, chosen: below.slot, promised: ballot(5, 2), ..start() });
    let known = assize_wire::peer::Chosen { slot: below.slot, hash: below.hash };
    let no = |asked| DocketMessage::CanvassAnswer {
        ballot: asked,
        granted: false,
        promised: ballot(5, 2),
        chosen: known,
    };
    bench.hear(1, DocketMessage::Prepare { ballot: ballot(6, 1), from: Slot(3), released: Ballot::NONE });
    bench.hear(1, DocketMessage::Canvass { ballot: ballot(7, 1), chosen: Slot(2) });
    assert_eq!(bench.sent_to(1), [no(ballot(6, 1)), no(ballot(7, 1))]);
    bench.effects.clear();
    bench.hear(1, DocketMessage::Canvass { ballot: ballot(7, 1), chosen: Slot(3) });
    assert!(matches!(bench.sent_to(1)[..], [DocketMessage::CanvassAnswer { granted: true, .. }]));
}

/// AcceptTaken, SlotAccepted, StripesDurableFirst (P2, P4): in slot order, with their stripes, and answered when
/// durable.
#[test]
fn p2_an_accept_waits_for_its_stripes_and_for_the_slot_below() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    bench.accept(1, ballot(1, 1), &slots[0], NOTHING_CHOSEN);
    bench.accept(1, ballot(1, 1), &slots[1], NOTHING_CHOSEN);
    let want = |tag| Effect::WantStripe { stripe: stripe(0, tag), from: Some(ReplicaId(1)) };
    assert!(bench.has(&want(1)) && bench.has(&want(2)));
    bench.effects.clear();
    bench.store(&slots[1..]);
    bench.accept(1, ballot(1, 1), &slots[1], NOTHING_CHOSEN);
    assert!(bench.writes.is_empty() && !bench.has(&want(1)), "slot 1 lacks its stripe, which was asked for");
    bench.store(&slots[..1]);
    assert_eq!(bench.writing(), [(1, ballot(1, 1), slots[0].hash), (2, ballot(1, 1), slots[1].hash)]);
    let accepted = |slot| DocketMessage::Accepted { ballot: ballot(1, 1), slot: Slot(slot) };
    assert!(!bench.sent_to(1).contains(&accepted(1)), "not before it is durable");
    // A leader that is not heard may wait for just this.
    bench.tell(Docket::handle_silence);
    bench.sync();
    assert!(bench.sent_to(1).contains(&accepted(2)));
    let late = catch_unwind(|| {
        let mut bench = Bench::of_three(start());
        bench.tell(|docket| docket.handle_accept_durable(Slot(1), ballot(1, 1)));
    });
    assert!(late.is_err(), "nothing was being written");
}

/// AcceptTaken (P8): a stripe that was dropped too early is asked for again before its slot is accepted again.
#[test]
fn p8_a_dropped_stripe_is_fetched_before_the_slot_is_accepted_again() {
    let slots = values(&[1]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.accept(1, ballot(1, 1), &slots[0], NOTHING_CHOSEN);
    bench.sync();
    bench.tell(|docket| docket.handle_stripe_lost(stripe(0, 1).id));
    bench.accept(2, ballot(2, 2), &slots[0], NOTHING_CHOSEN);
    assert!(bench.writes.is_empty());
    assert!(bench.has(&Effect::WantStripe { stripe: stripe(0, 1), from: Some(ReplicaId(2)) }));
    bench.store(&slots);
    assert_eq!(bench.writing(), [(1, ballot(2, 2), slots[0].hash)], "P3: a record of its own");
}

/// SlotAccepted (P3): what is accepted under one ballot is not under the next, before a new record is durable.
#[test]
fn p3_a_slot_is_accepted_again_by_a_new_record() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    for slot in &slots {
        bench.accept(1, ballot(1, 1), slot, NOTHING_CHOSEN);
    }
    bench.sync();
    bench.effects.clear();
    bench.heartbeat(2, ballot(2, 2), NOTHING_CHOSEN, Slot(2));
    let answer = |slot| DocketMessage::HeartbeatAnswer {
        ballot: ballot(2, 2),
        sequence: 1,
        accepted: Slot(slot),
        lease_ns: 0,
        could_lead: true,
    };
    assert_eq!(bench.sent_to(2), [answer(0)]);
    bench.accept(2, ballot(2, 2), &slots[1], NOTHING_CHOSEN);
    assert!(bench.writes.is_empty(), "P4: slot 1 is not accepted under this ballot");
    bench.accept(2, ballot(2, 2), &slots[0], NOTHING_CHOSEN);
    assert_eq!(bench.writing().len(), 2, "slot 2 came early and follows");
    bench.sync();
    assert_eq!(bench.docket.watermarks().accepted, Slot(2));
}

/// SlotVoided (P4): another value voids what is above it, and a late completion says nothing of the chain.
#[test]
fn p4_another_value_voids_everything_above() {
    let (slots, other) = (values(&[1, 2]), values(&[7]));
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.store(&other);
    for slot in &slots {
        bench.accept(1, ballot(1, 1), slot, NOTHING_CHOSEN);
    }
    bench.accept(2, ballot(2, 2), &other[0], chosen(&other[0]));
    assert!(bench.has(&Effect::Voided(vec![stripe(0, 1).id, stripe(0, 2).id])));
    assert_eq!(bench.docket.tip(), tip(&other[0]));
    for write in bench.writes.split_off(0) {
        let before = bench.docket.watermarks().chosen;
        assert_eq!(before, Slot(0), "chosen by its hash, but not durable here yet");
        bench.tell(|docket| docket.handle_accept_durable(write.slot, write.ballot));
    }
    assert_eq!(bench.docket.watermarks().chosen, Slot(1));
}

/// ConflictAlarmed (P6): the same slot and ballot with another manifest is an error, never an overwrite.
#[test]
fn p6_another_value_under_the_same_ballot_alarms() {
    let (slots, other) = (values(&[1]), values(&[2]));
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.accept(1, ballot(1, 1), &slots[0], NOTHING_CHOSEN);
    bench.accept(1, ballot(1, 1), &other[0], NOTHING_CHOSEN);
    assert!(matches!(bench.alarms()[..], [Alarm::Conflict { slot: Slot(1), .. }]));
    let unchained = value(LogTip { slot: Slot(1), ..LogTip::START }, 3);
    bench.accept(1, ballot(1, 1), &unchained, NOTHING_CHOSEN);
    assert!(matches!(bench.alarms()[..], [_, Alarm::Unchained { slot: Slot(2), .. }]));
    assert_eq!(bench.writing().len(), 1);
}

/// AcceptRefused (P13): a fresh slot is never ahead of the clocks here by more than the skew; an inherited one is not
/// looked at.
#[test]
fn p13_a_fresh_slot_ahead_of_the_clock_is_refused() {
    let slots = values(&[1]);
    let mut late = (*slots[0]).clone();
    late.manifest.time = StreamTime(100);
    let late = std::sync::Arc::new(late);
    let propose = |fresh| DocketMessage::Accept {
        ballot: ballot(1, 1),
        fresh,
        ordered: late.clone(),
        chosen: NOTHING_CHOSEN,
    };
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    let from = ReplicaId(1);
    bench.tell(|docket| docket.handle_message(from, propose(true), StreamTime(99)));
    let alarm = Alarm::TimeAhead { slot: Slot(1), time: StreamTime(100), time_max: StreamTime(99), from };
    assert_eq!((bench.alarms(), bench.writes.len()), (vec![alarm], 0));
    bench.tell(|docket| docket.handle_message(from, propose(false), StreamTime(99)));
    bench.promise();
    assert_eq!(bench.writes.len(), 1);
}

/// HeartbeatCounted, CanvassRefused (P9): the leader is heard while what is chosen moves on or nothing is outstanding.
#[test]
fn p9_a_heartbeat_counts_only_if_something_moves_or_nothing_waits() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    let counted = |bench: &mut Bench| {
        let counted = bench.has(&Effect::ResetElectionTimer);
        bench.effects.clear();
        counted
    };
    bench.heartbeat(1, ballot(1, 1), NOTHING_CHOSEN, Slot(0));
    assert!(counted(&mut bench) && bench.docket.is_ready());
    bench.heartbeat(1, ballot(1, 1), NOTHING_CHOSEN, Slot(1));
    assert!(!counted(&mut bench), "slot 1 is outstanding");
    bench.hear(2, DocketMessage::Canvass { ballot: ballot(2, 2), chosen: Slot(0) });
    assert!(
        matches!(bench.sent_to(2)[..], [DocketMessage::CanvassAnswer { granted: false, .. }]),
        "heard till now"
    );
    bench.store(&slots);
    bench.accept(1, ballot(1, 1), &slots[0], NOTHING_CHOSEN);
    bench.sync();
    bench.effects.clear();
    bench.heartbeat(1, ballot(1, 1), chosen(&slots[0]), Slot(2));
    assert!(counted(&mut bench), "slot 1 is chosen");
    bench.told();
    bench.heartbeat(1, ballot(1, 1), chosen(&slots[0]), Slot(1));
    assert!(!counted(&mut bench), "slot 1 is not published here");
    bench.tell(Docket::handle_silence);
    bench.hear(2, DocketMessage::Canvass { ballot: ballot(2, 2), chosen: Slot(0) });
    assert!(matches!(bench.sent_to(2)[..], [DocketMessage::CanvassAnswer { granted: true, .. }]));
    assert_eq!((bench.docket.leader(), bench.docket.promised()), (None, ballot(1, 1)));
}
