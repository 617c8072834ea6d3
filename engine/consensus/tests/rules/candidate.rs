//! A candidate: what it asks, what it counts, and what it takes over.

use assize_consensus::limits::PASSED_BY_MAX;
use assize_consensus::{Alarm, Docket, DocketStart, Effect, Role};
use assize_wire::peer::{DocketMessage, Generation, Promised};
use assize_wire::{Ballot, ReplicaId, Slot};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, tip, value, values};

fn promise(bench: &mut Bench, from: u8, entries: Vec<Promised>) {
    let under = bench.docket.promised();
    bench.hear(from, DocketMessage::Promise { ballot: under, chosen: NOTHING_CHOSEN, entries });
}

/// Has won its canvass, and its own promise is durable.
fn preparing(found: DocketStart) -> Bench {
    let mut bench = Bench::of_three(found);
    bench.tell(Docket::handle_election_timeout);
    let asked = DocketMessage::CanvassAnswer {
        ballot: ballot(bench.docket.promised().round() + 1, 0),
        granted: true,
        promised: bench.docket.promised(),
        chosen: NOTHING_CHOSEN,
    };
    bench.hear(1, asked.clone());
    bench.hear(2, asked);
    bench.sync();
    assert_eq!(bench.docket.role(), Role::Candidate);
    bench
}

/// BallotPromised, CanvassGranted (P1, P9): it asks whether it could win, and prepares under a ballot that is above all
/// it heard of and durable.
#[test]
fn p1_a_ballot_is_durable_before_anybody_is_asked_to_promise_it() {
    let mut bench = Bench::of_three(DocketStart { promised: ballot(4, 2), ..start() });
    bench.tell(Docket::handle_election_timeout);
    let asked = DocketMessage::Canvass { ballot: ballot(5, 0), chosen: Slot(0) };
    assert_eq!((bench.sent_to(1), bench.sent_to(2)), (vec![asked.clone()], vec![asked]));
    assert_eq!(bench.docket.promised(), ballot(4, 2), "nothing is promised by asking");
    let no = (ballot(5, 0), false, ballot(8, 1), NOTHING_CHOSEN);
    let answer = |(ballot, granted, promised, chosen)| DocketMessage::CanvassAnswer {
        ballot,
        granted,
        promised,
        chosen,
    };
    bench.hear(1, answer(no));
    assert!(bench.promises.is_empty());
    bench.hear(2, answer((ballot(5, 0), true, ballot(4, 2), NOTHING_CHOSEN)));
    assert_eq!(bench.promises, [ballot(9, 0)], "above what replica 1 told");
    bench.effects.clear();
    bench.tell(|docket| docket.handle_connected(ReplicaId(1), Generation::NONE));
    assert_eq!(bench.sent_to(1), [], "not before it is durable");
    bench.sync();
    assert_eq!(
        bench.sent_to(2),
        [DocketMessage::Prepare { ballot: ballot(9, 0), from: Slot(1), released: Ballot::NONE }]
    );
}

/// CanvassPutOff (P9, R2): who has much left to execute lets others stand first, but not for ever; who has executed all
/// but what may be under way stands at once.
#[test]
fn r2_who_lags_lets_others_stand_first() {
    let stands = |bench: &mut Bench| {
        bench.effects.clear();
        bench.tell(Docket::handle_election_timeout);
        !bench.sent_to(1).is_empty()
    };
    // With a window of 8, as all of these have.
    let tags: Vec<u64> = (1..=17).collect();
    let accepted =
        |slots: usize| values(&tags[..slots]).into_iter().map(|slot| (slot, ballot(2, 1))).collect();
    let found = |slots| DocketStart { accepted: accepted(slots), promised: ballot(2, 1), ..start() };
    assert!(stands(&mut Bench::of_three(found(16))), "two windows are left");
    let mut bench = Bench::of_three(found(17));
    for _ in 0..PASSED_BY_MAX {
        assert!(!stands(&mut bench), "more is left");
    }
    assert!(stands(&mut bench), "nobody else did");
    let mut bench = Bench::of_three(start());
    bench.tell(|docket| docket.handle_short_of_room(true));
    assert!(!stands(&mut bench), "it lacks room");
    bench.tell(|docket| docket.handle_short_of_room(false));
    assert!(stands(&mut bench), "there is room again");
}

/// SlotInherited (P5): of each slot the value with the highest ballot; the first that does not chain ends the log.
#[test]
fn p5_the_highest_ballot_wins_until_the_chain_ends() {
    let own = values(&[1, 2, 3]);
    let other = value(tip(&own[0]), 7);
    let accepted = own.iter().map(|slot| (slot.clone(), ballot(2, 1))).collect();
    let mut bench = preparing(DocketStart { accepted, promised: ballot(4, 2), ..start() });
    bench.store(std::slice::from_ref(&other));
    let entries = vec![
        Promised::Accepted { ballot: ballot(1, 1), ordered: own[0].clone() },
        Promised::Accepted { ballot: ballot(3, 2), ordered: other.clone() },
    ];
    promise(&mut bench, 1, entries);
    let under = bench.docket.ballot();
    assert_eq!(
        bench.writing(),
        [(1, under, own[0].hash), (2, under, other.hash)],
        "slot 3 does not chain to it"
    );
    let voided =
        own[1..].iter().flat_map(|slot| slot.manifest.stripes.iter().map(|stripe| stripe.id)).collect();
    assert!(bench.has(&Effect::Voided(voided)), "SlotVoided (P4): {:?}", bench.effects);
    assert_eq!(bench.docket.tip(), tip(&other));
}

/// SlotInherited (P7): what a promise knows chosen stands above every ballot, and counts as chosen at once.
#[test]
fn p7_a_chosen_value_stands_above_every_ballot() {
    let slots = values(&[1]);
    let own = values(&[9]);
    let accepted = vec![(own[0].clone(), ballot(4, 1))];
    let mut bench = preparing(DocketStart { accepted, promised: ballot(4, 2), ..start() });
    bench.store(&slots);
    promise(&mut bench, 1, vec![Promised::Chosen { ordered: slots[0].clone() }]);
    assert_eq!((bench.writes[0].ordered.hash, bench.writes[0].chosen), (slots[0].hash, Slot(1)));
    bench.sync();
    assert_eq!(bench.told(), [1], "without anybody's answer");
}

/// DamageCounted (P5): a promise does not count where the promiser cannot read what it accepted; one more does.
#[test]
fn p5_a_damaged_promise_does_not_count() {
    let slots = values(&[1, 2]);
    let damaged = || {
        vec![
            Promised::Accepted { ballot: ballot(1, 1), ordered: slots[0].clone() },
            Promised::Damaged { slot: Slot(2), hash: None },
        ]
    };
    let mut bench = preparing(start());
    bench.store(&slots);
    promise(&mut bench, 1, damaged());
    assert!(!bench.leads(), "of slot 2 only its own promise speaks");
    let whole = slots.iter().map(|slot| Promised::Accepted { ballot: ballot(1, 1), ordered: slot.clone() });
    promise(&mut bench, 2, whole.collect());
    assert!(bench.leads() && bench.writing().len() == 2);

    // Its own damage is no better than that of others.
    let own = DocketStart { damaged: vec![(Slot(1), None)], promised: ballot(1, 1), ..start() };
    let mut bench = preparing(own);
    promise(&mut bench, 1, Vec::new());
    assert!(!bench.leads() && bench.docket.is_damaged());
    promise(&mut bench, 2, Vec::new());
    assert!(bench.leads());
}

/// DoubtCounted (P5): where a promiser is in doubt its promise counts once all have promised; a damaged one never.
#[test]
fn p5_a_doubtful_promise_counts_with_all_others() {
    let slots = values(&[1]);
    let entries = || {
        vec![
            Promised::Accepted { ballot: ballot(1, 1), ordered: slots[0].clone() },
            Promised::Doubtful { slot: Slot(1), through: Slot(1), ballot: ballot(2, 1) },
        ]
    };
    let mut bench = preparing(start());
    bench.store(&slots);
    promise(&mut bench, 1, entries());
    assert!(!bench.leads(), "replica 2 may have what is lost of replica 1");
    promise(&mut bench, 2, vec![Promised::Damaged { slot: Slot(1), hash: None }]);
    assert!(bench.leads(), "its own and the one in doubt are a majority, and everybody was asked");
    assert_eq!(bench.writing().len(), 1, "what was there before the gap counts");

    // Nothing that is lost outranks a value of the highest ballot that may be.
    let mut bench = preparing(start());
    bench.store(&slots);
    promise(&mut bench, 1, entries());
    assert!(!bench.leads());
    let accepted = vec![(slots[0].clone(), ballot(2, 1))];
    let mut bench = preparing(DocketStart { accepted, promised: ballot(2, 1), ..start() });
    bench.store(&slots);
    promise(&mut bench, 1, entries());
    assert!(bench.leads(), "and above slot 1 there is no doubt");

    // Its own doubt is no better than that of others.
    let own = DocketStart { doubtful: vec![(Slot(1), None)], promised: ballot(1, 1), ..start() };
    let mut bench = preparing(own);
    promise(&mut bench, 1, Vec::new());
    assert!(!bench.leads());
    promise(&mut bench, 2, Vec::new());
    assert!(bench.leads());
}

/// CanvassGranted (P5): with damage of its own it needs a majority of others.
#[test]
fn p5_a_damaged_replica_needs_a_majority_of_others() {
    let mut bench =
        Bench::of_three(DocketStart { damaged: vec![(Slot(1), None)], promised: ballot(1, 1), ..start() });
    bench.tell(Docket::handle_election_timeout);
    let yes = DocketMessage::CanvassAnswer {
        ballot: ballot(2, 0),
        granted: true,
        promised: ballot(1, 1),
        chosen: NOTHING_CHOSEN,
    };
    bench.hear(1, yes.clone());
    assert!(bench.promises.is_empty());
    bench.hear(2, yes);
    assert_eq!(bench.promises, [ballot(2, 0)]);
}

/// ConflictAlarmed (P6): two values under one ballot: no leader comes of that.
#[test]
fn p6_two_values_under_one_ballot_alarm() {
    let (one, other) = (values(&[1]), values(&[2]));
    let accepted = vec![(one[0].clone(), ballot(2, 1))];
    let mut bench = preparing(DocketStart { accepted, promised: ballot(2, 1), ..start() });
    promise(&mut bench, 2, vec![Promised::Accepted { ballot: ballot(2, 1), ordered: other[0].clone() }]);
    assert!(matches!(bench.alarms()[..], [Alarm::Conflict { slot: Slot(1), .. }]), "{:?}", bench.alarms());
    assert_eq!(bench.docket.role(), Role::Follower);
}

/// A promise that leaves a gap says nothing; a late one changes nothing.
#[test]
fn a_promise_with_a_gap_does_not_count() {
    let slots = values(&[1, 2]);
    let mut bench = preparing(start());
    promise(&mut bench, 1, vec![Promised::Accepted { ballot: ballot(1, 1), ordered: slots[1].clone() }]);
    assert!(!bench.leads());
    promise(&mut bench, 2, Vec::new());
    assert!(bench.leads());
    promise(&mut bench, 1, vec![Promised::Accepted { ballot: ballot(1, 1), ordered: slots[0].clone() }]);
    assert!(bench.writes.is_empty());
}

/// CanvassRefused (P9): one that is refused because it is behind fetches first, and asks again.
#[test]
fn p9_who_is_behind_catches_up_and_asks_again() {
    let slots = values(&[1]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.tell(Docket::handle_election_timeout);
    bench.effects.clear();
    let no = DocketMessage::CanvassAnswer {
        ballot: ballot(1, 0),
        granted: false,
        promised: ballot(3, 1),
        chosen: chosen(&slots[0]),
    };
    bench.hear(1, no);
    assert_eq!(bench.sent_to(1), [DocketMessage::Fetch { from: Slot(1) }]);
    let fetched =
        DocketMessage::Fetched { ballot: ballot(3, 1), slots: slots.clone(), chosen: chosen(&slots[0]) };
    bench.hear(1, fetched);
    bench.effects.clear();
    bench.sync();
    assert_eq!(bench.sent_to(2), [DocketMessage::Canvass { ballot: ballot(4, 0), chosen: Slot(1) }]);
}

/// PrepareRefused: it gives up, and goes higher the next time.
#[test]
fn a_refused_candidate_follows() {
    let mut bench = preparing(start());
    bench.hear(1, DocketMessage::Refused { ballot: ballot(1, 0), promised: ballot(6, 2) });
    assert_eq!(bench.docket.role(), Role::Follower);
    promise(&mut bench, 2, Vec::new());
    assert!(!bench.leads(), "what it gave up it does not take up again");
    bench.effects.clear();
    bench.tell(Docket::handle_election_timeout);
    assert_eq!(bench.sent_to(1), [DocketMessage::Canvass { ballot: ballot(7, 0), chosen: Slot(0) }]);
}
