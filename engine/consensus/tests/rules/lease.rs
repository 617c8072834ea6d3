//! Leases: who answered a heartbeat promises no other ballot until its lease is over.

use assize_consensus::{Docket, DocketStart, LeaseOver, Role};
use assize_wire::peer::{DocketMessage, Generation};
use assize_wire::{Ballot, ReplicaId, Slot};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, values};

const LEASE_NS: u64 = 77;

/// Replica 0 of three, long after its start.
fn follower() -> Bench {
    let mut bench = started();
    bench.tell(|docket| docket.handle_lease_over(LeaseOver::OfBefore));
    bench
}

fn started() -> Bench {
    let mut bench = Bench::with_leases(LEASE_NS, start());
    for peer in [1, 2] {
        bench.tell(|docket| docket.handle_connected(ReplicaId(peer), Generation::NONE));
    }
    bench
}

/// Replica 1's heartbeat; what the answer says of a lease.
fn answered(bench: &mut Bench, formed: u64) -> u64 {
    bench.effects.clear();
    bench.heartbeat(1, ballot(2, 1), NOTHING_CHOSEN, Slot(formed));
    match bench.sent_to(1)[..] {
        [DocketMessage::HeartbeatAnswer { lease_ns, .. }] => lease_ns,
        ref other => panic!("it answers a heartbeat with {other:?}"),
    }
}

fn prepare(bench: &mut Bench, under: Ballot, released: Ballot) -> bool {
    let from = under.replica().0;
    bench.effects.clear();
    bench.hear(from, DocketMessage::Prepare { ballot: under, from: Slot(1), released });
    bench.promise();
    let promised = bench.sent_to(from).iter().any(|sent| matches!(sent, DocketMessage::Promise { .. }));
    assert_eq!(promised, bench.docket.promised() == under, "{:?}", bench.effects);
    promised
}

fn canvass(bench: &mut Bench, under: Ballot) -> bool {
    let from = under.replica().0;
    bench.effects.clear();
    bench.hear(from, DocketMessage::Canvass { ballot: under, chosen: Slot(0) });
    bench.sent_to(from).iter().any(|sent| matches!(sent, DocketMessage::CanvassAnswer { granted: true, .. }))
}

/// What the clock side does when the time has passed.
fn pass(bench: &mut Bench) {
    bench.tell(Docket::poll_lease_given);
    bench.tell(|docket| docket.handle_lease_over(LeaseOver::Given));
}

/// LeaseGiven, LeaseKept, LeaseEnded (P11).
#[test]
fn p11_who_answered_a_heartbeat_promises_no_other_ballot_until_its_lease_is_over() {
    let mut bench = follower();
    assert_eq!(answered(&mut bench, 0), LEASE_NS);
    bench.tell(Docket::handle_silence);
    assert!(!canvass(&mut bench, ballot(3, 2)), "it hears nobody, and still could not promise");
    assert!(!prepare(&mut bench, ballot(3, 2), Ballot::NONE));
    assert!(!prepare(&mut bench, ballot(3, 2), ballot(1, 0)), "another leader handed over");
    pass(&mut bench);
    assert!(canvass(&mut bench, ballot(3, 2)));
    assert!(prepare(&mut bench, ballot(3, 2), Ballot::NONE));
}

/// LeaseKept (P11): its own ballot is another one, too.
#[test]
fn p11_a_candidate_waits_for_the_lease_that_it_gave() {
    let mut bench = follower();
    answered(&mut bench, 0);
    bench.tell(Docket::handle_election_timeout);
    let granted = DocketMessage::CanvassAnswer {
        ballot: ballot(3, 0),
        granted: true,
        promised: ballot(2, 1),
        chosen: NOTHING_CHOSEN,
    };
    bench.hear(2, granted);
    assert_eq!((bench.promises.len(), bench.docket.role()), (0, Role::Candidate));
    pass(&mut bench);
    assert_eq!(bench.promises, [ballot(3, 0)], "granted it was, so it need not ask again");
}

/// LeaseOfBeforeEnded (P11): what was answered before a start is not known, so nothing is promised, and no handover
/// helps.
#[test]
fn p11_nothing_is_promised_for_a_lease_length_after_a_start() {
    let mut bench = started();
    bench.heartbeat(1, ballot(2, 1), NOTHING_CHOSEN, Slot(0));
    bench.tell(Docket::handle_silence);
    assert!(!canvass(&mut bench, ballot(3, 2)));
    assert!(!prepare(&mut bench, ballot(3, 2), ballot(2, 1)));
    bench.hear(1, DocketMessage::Handover { ballot: ballot(2, 1) });
    assert!(bench.promises.is_empty());
    bench.tell(|docket| docket.handle_lease_over(LeaseOver::OfBefore));
    assert!(prepare(&mut bench, ballot(3, 2), ballot(2, 1)));
}

/// LeaseReleased, HandedOver (P11): the leader has given up its lease, so its successor prepares at once, and others
/// promise at once.
#[test]
fn p11_a_handover_releases_the_lease() {
    let mut heir = follower();
    answered(&mut heir, 0);
    heir.effects.clear();
    heir.hear(1, DocketMessage::Handover { ballot: ballot(2, 1) });
    heir.promise();
    let asked = DocketMessage::Prepare { ballot: ballot(3, 0), from: Slot(1), released: ballot(2, 1) };
    assert_eq!((heir.sent_to(1), heir.sent_to(2)), (vec![asked.clone()], vec![asked]));
    heir.effects.clear();
    heir.tell(|docket| docket.handle_connected(ReplicaId(2), Generation::NONE));
    assert_eq!(heir.sent_to(2).len(), 1, "also of who connects later: {:?}", heir.effects);

    let mut other = follower();
    answered(&mut other, 0);
    assert!(prepare(&mut other, ballot(3, 2), ballot(2, 1)));
}

/// LeaseGiven (P9): a leader under whom nothing moves on gets none, so that another one can win; what its accepts told
/// since counts.
#[test]
fn p9_a_leader_without_progress_gets_no_lease() {
    let mut bench = follower();
    let slots = values(&[1, 2]);
    bench.store(&slots);
    bench.accept(1, ballot(2, 1), &slots[0], NOTHING_CHOSEN);
    assert_eq!(answered(&mut bench, 1), 0, "slot 1 is not chosen");
    bench.accept(1, ballot(2, 1), &slots[1], chosen(&slots[0]));
    bench.effects.clear();
    bench.heartbeat(1, ballot(2, 1), chosen(&slots[0]), Slot(2));
    let last = bench.sent_to(1).pop();
    assert!(matches!(last, Some(DocketMessage::HeartbeatAnswer { lease_ns: LEASE_NS, .. })), "{last:?}");
    bench.effects.clear();
    bench.heartbeat(1, ballot(2, 1), chosen(&slots[0]), Slot(2));
    let last = bench.sent_to(1).pop();
    assert!(matches!(last, Some(DocketMessage::HeartbeatAnswer { lease_ns: 0, .. })), "{last:?}");
}

/// LeaseKept (P11): refused by one, a candidate still counts the promises of others.
#[test]
fn p11_a_candidate_that_one_lease_refuses_still_wins_with_others() {
    let mut bench = follower();
    bench.tell(Docket::handle_election_timeout);
    let answer = |under, granted| DocketMessage::CanvassAnswer {
        ballot: under,
        granted,
        promised: Ballot::NONE,
        chosen: NOTHING_CHOSEN,
    };
    bench.hear(1, answer(ballot(1, 0), true));
    bench.promise();
    bench.hear(1, answer(ballot(1, 0), false));
    assert_eq!(bench.docket.role(), Role::Candidate);
    let promise =
        DocketMessage::Promise { ballot: ballot(1, 0), chosen: NOTHING_CHOSEN, entries: Vec::new() };
    bench.hear(2, promise);
    assert!(bench.leads());
}

/// LeaseKept: a replica recovered with a promise holds no less.
#[test]
fn p11_a_lease_of_before_is_kept_whatever_was_promised() {
    let found = DocketStart { promised: ballot(2, 1), ..start() };
    let mut bench = Bench::with_leases(LEASE_NS, found);
    bench.tell(|docket| docket.handle_connected(ReplicaId(2), Generation::NONE));
    assert!(!prepare(&mut bench, ballot(3, 2), ballot(2, 1)));
}
