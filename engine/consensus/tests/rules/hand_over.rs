//! Handing over: a leader steps down for another replica, or goes on leading.

use assize_consensus::HandOverRefused as Refused;
use assize_consensus::{Docket, DocketStart, Effect, Heir, Role};
use assize_wire::peer::{DocketMessage, Generation};
use assize_wire::{ReplicaId, Slot};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, values};

const TO: Heir = Heir::This(ReplicaId(2));

fn accepted(bench: &mut Bench, from: u8, slot: u64) {
    let under = bench.docket.ballot();
    bench.hear(from, DocketMessage::Accepted { ballot: under, slot: Slot(slot) });
}

/// It answers the newest heartbeat.
fn answered(bench: &mut Bench, from: u8, slot: u64, could_lead: bool) {
    let (ballot, sequence) = (bench.docket.ballot(), u64::MAX);
    let accepted = Slot(slot);
    bench.hear(from, DocketMessage::HeartbeatAnswer { ballot, sequence, accepted, lease_ns: 0, could_lead });
}

/// A leader whose peers have answered.
fn leading() -> Bench {
    let mut bench = Bench::leading(3);
    answered(&mut bench, 1, 0, true);
    answered(&mut bench, 2, 0, true);
    bench
}

fn form(bench: &mut Bench, tag: u64) -> bool {
    bench.offer(0, tag);
    bench.form(tag)
}

fn hand_over(bench: &mut Bench, to: Heir) -> Result<(), Refused> {
    bench.tell(|docket| docket.hand_over(to))
}

/// Who was told to take over.
fn told(bench: &Bench) -> Vec<u8> {
    let ballot = ballot(3, 0);
    (1..5).filter(|peer| bench.sent_to(*peer).contains(&DocketMessage::Handover { ballot })).collect()
}

/// HandOverBegun, HandedOver (P12): it forms nothing more, and tells its successor when that has everything and all of
/// it is chosen.
#[test]
fn p12_a_leader_hands_over_when_its_successor_has_everything() {
    let mut bench = leading();
    assert!(form(&mut bench, 1));
    bench.sync();
    assert_eq!(hand_over(&mut bench, TO), Ok(()));
    assert!(!form(&mut bench, 2) && bench.docket.is_handing_over());
    accepted(&mut bench, 1, 1);
    assert!(bench.leads(), "replica 2 has not accepted");
    bench.effects.clear();
    accepted(&mut bench, 2, 1);
    assert_eq!((told(&bench), bench.docket.role()), (vec![2], Role::Follower));
    assert!(bench.has(&Effect::HandedOver { to: ReplicaId(2) }));
    // The successor knows what is chosen before it is told to take over: else it would have to find out.
    let heartbeat =
        |m: &DocketMessage| matches!(m, DocketMessage::Heartbeat { chosen, .. } if chosen.slot == Slot(1));
    let handover = |m: &DocketMessage| matches!(m, DocketMessage::Handover { .. });
    let sent = bench.sent_to(2);
    assert!(sent.iter().position(heartbeat) < sent.iter().position(handover), "{sent:?}");
}

/// HandedOver: not before everything is chosen, whoever has it.
#[test]
fn what_only_the_successor_has_is_not_handed_over() {
    let mut bench = leading();
    assert!(form(&mut bench, 1));
    hand_over(&mut bench, TO).expect("replica 2 is there");
    accepted(&mut bench, 2, 1);
    assert!(bench.leads(), "two of three have it, this leader is none of them");
    bench.sync();
    assert!(!bench.leads());
}

/// HandOverBegun: whoever has everything first, of those that could lead.
#[test]
fn anybody_is_whoever_has_everything_and_could_lead() {
    let mut bench = leading();
    answered(&mut bench, 1, 0, false);
    assert!(form(&mut bench, 1));
    bench.sync();
    assert_eq!(hand_over(&mut bench, Heir::Anybody), Ok(()));
    accepted(&mut bench, 1, 1);
    assert!(bench.leads(), "replica 1 has everything and could not lead");
    accepted(&mut bench, 2, 1);
    assert_eq!(told(&bench), [2]);
}

/// HandOverGivenUp (P1): until its successor is told it may go on, under the ballot that it has.
#[test]
fn p1_a_leader_whose_successor_is_late_goes_on_leading() {
    let mut bench = leading();
    assert!(form(&mut bench, 1));
    bench.sync();
    hand_over(&mut bench, TO).expect("replica 2 is there");
    accepted(&mut bench, 1, 1);
    bench.tell(Docket::keep_leading);
    assert!(bench.leads() && !bench.docket.is_handing_over());
    accepted(&mut bench, 2, 1);
    assert!(bench.leads() && told(&bench).is_empty(), "that comes too late");
    assert!(form(&mut bench, 2), "slots are formed again");
    bench.sync();
    answered(&mut bench, 2, 2, true);
    assert_eq!(hand_over(&mut bench, TO), Ok(()), "another time");
    assert_eq!(told(&bench), [2]);
    bench.tell(Docket::keep_leading);
    assert!(!bench.leads() && bench.docket.ballot() < ballot(3, 0), "P1: what is handed over is gone");
}

/// HandOverGivenUp: one that was named, and cannot take over any more, is not waited for.
#[test]
fn a_successor_that_is_gone_is_not_waited_for() {
    for gone in [
        |bench: &mut Bench| bench.tell(|docket| docket.handle_disconnected(ReplicaId(2))),
        |bench: &mut Bench| answered(bench, 2, 0, false),
    ] {
        let mut bench = leading();
        assert!(form(&mut bench, 1));
        bench.sync();
        hand_over(&mut bench, TO).expect("replica 2 is there");
        gone(&mut bench);
        assert!(bench.leads() && !bench.docket.is_handing_over());
        accepted(&mut bench, 1, 1);
        assert!(form(&mut bench, 2));
    }
}

/// HandOverRefused: each reason, and nothing is done.
#[test]
fn who_could_not_take_over_is_refused() {
    let mut bench = Bench::of_three(start());
    assert_eq!(hand_over(&mut bench, TO), Err(Refused::NotLeading { leader: None }));
    bench.heartbeat(1, ballot(2, 1), NOTHING_CHOSEN, Slot(0));
    assert_eq!(hand_over(&mut bench, TO), Err(Refused::NotLeading { leader: Some(ReplicaId(1)) }));

    let (to, mut bench) = (ReplicaId(2), Bench::leading(3));
    let there_is_no = Refused::NoSuchReplica { to: ReplicaId(3), replicas: 3 };
    assert_eq!(hand_over(&mut bench, Heir::This(ReplicaId(3))), Err(there_is_no));
    assert_eq!(hand_over(&mut bench, Heir::This(ReplicaId(0))), Err(Refused::LeadsAlready));
    assert_eq!(hand_over(&mut bench, TO), Err(Refused::Silent { to }));
    assert_eq!(hand_over(&mut bench, Heir::Anybody), Err(Refused::NobodyAble));
    answered(&mut bench, 2, 0, false);
    assert_eq!(hand_over(&mut bench, TO), Err(Refused::Unable { to }));
    // Four windows of eight slots are not too much.
    for slot in 1..=33 {
        assert!(form(&mut bench, slot));
        bench.sync();
        accepted(&mut bench, 1, slot);
        assert_eq!(bench.told(), [slot]);
        bench.tell(|docket| docket.handle_published(Slot(slot), assize_wire::ShardId(0)));
    }
    assert_eq!(hand_over(&mut bench, TO), Err(Refused::Behind { to, slots: 33 }));
    answered(&mut bench, 2, 1, true);
    bench.tell(|docket| docket.handle_disconnected(to));
    assert_eq!(hand_over(&mut bench, TO), Err(Refused::NotConnected { to }));
    bench.tell(|docket| docket.handle_disconnected(ReplicaId(1)));
    assert_eq!(hand_over(&mut bench, Heir::Anybody), Err(Refused::Alone));
    assert!(form(&mut bench, 34) && bench.leads() && told(&bench).is_empty());
}

/// CouldLeadTold: what a follower answers.
#[test]
fn a_follower_says_whether_it_could_lead() {
    let could_lead = |bench: &mut Bench, at: Slot| {
        bench.effects.clear();
        bench.heartbeat(1, ballot(2, 1), NOTHING_CHOSEN, at);
        match bench.sent_to(1)[..] {
            [DocketMessage::HeartbeatAnswer { could_lead, .. }] => could_lead,
            ref other => panic!("{other:?}"),
        }
    };
    let mut bench = Bench::of_three(start());
    assert!(could_lead(&mut bench, Slot(0)));
    bench.tell(|docket| docket.handle_short_of_room(true));
    assert!(!could_lead(&mut bench, Slot(0)));
    bench.tell(|docket| docket.handle_short_of_room(false));
    assert!(could_lead(&mut bench, Slot(0)));
    bench.tell(Docket::quarantine);
    assert!(!could_lead(&mut bench, Slot(0)), "C5");

    // P5: what it accepted and cannot read is known to others only.
    let damaged = DocketStart { damaged: vec![(Slot(1), None)], promised: ballot(1, 1), ..start() };
    assert!(!could_lead(&mut Bench::of_three(damaged), Slot(1)));

    // P11: of what it answered before its start it knows nothing, and so promises nothing for a while.
    let mut bench = Bench::with_leases(77, start());
    bench.tell(|docket| docket.handle_connected(ReplicaId(1), Generation::NONE));
    assert!(!could_lead(&mut bench, Slot(0)));
    bench.tell(|docket| docket.handle_lease_over(assize_consensus::LeaseOver::OfBefore));
    assert!(could_lead(&mut bench, Slot(0)), "the lease of its leader is released with the handover");

    // R2: more to execute than two windows of one slot.
    let slots = values(&[1, 2, 3]);
    let mut bench = Bench::new(0, 3, 1, start());
    bench.tell(|docket| docket.handle_connected(ReplicaId(1), Generation::NONE));
    bench.store(&slots);
    slots.iter().for_each(|slot| bench.accept(1, ballot(2, 1), slot, NOTHING_CHOSEN));
    bench.sync();
    bench.effects.clear();
    bench.heartbeat(1, ballot(2, 1), chosen(&slots[2]), Slot(3));
    let lags = |m: &DocketMessage| matches!(m, DocketMessage::HeartbeatAnswer { could_lead: false, .. });
    assert!(bench.sent_to(1).iter().any(lags), "{:?}", bench.effects);
}

/// LeaseReleased, HandedOver (P12): a successor begins an election at once, without asking; inert when it comes late.
#[test]
fn p12_a_handover_begins_an_election_and_a_late_one_nothing() {
    let mut bench = Bench::of_three(start());
    bench.heartbeat(1, ballot(2, 1), NOTHING_CHOSEN, Slot(0));
    bench.hear(1, DocketMessage::Handover { ballot: ballot(1, 1) });
    bench.hear(2, DocketMessage::Handover { ballot: ballot(2, 1) });
    assert!(bench.promises.is_empty());
    bench.hear(1, DocketMessage::Handover { ballot: ballot(2, 1) });
    assert_eq!((bench.promises.clone(), bench.docket.role()), (vec![ballot(3, 0)], Role::Candidate));
}
