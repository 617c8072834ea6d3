//! A leader: it proposes, counts who has accepted, tells what is chosen, and gives up.

use assize_consensus::{Docket, Effect, Role};
use assize_wire::peer::{DocketMessage, Generation, Promised};
use assize_wire::{ReplicaId, ShardId, Slot, StripeId};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, stripe, values};

fn accepted(bench: &mut Bench, from: u8, slot: u64) {
    let under = bench.docket.ballot();
    bench.hear(from, DocketMessage::Accepted { ballot: under, slot: Slot(slot) });
}

fn form(bench: &mut Bench, tag: u64) {
    bench.offer(0, tag);
    assert!(bench.form(tag));
}

/// SlotChosen: by a majority under the own ballot, itself among them, and everybody is told at once.
#[test]
fn a_slot_is_chosen_when_a_majority_has_accepted_it() {
    let mut bench = Bench::leading(3);
    form(&mut bench, 1);
    let under = bench.docket.ballot();
    for peer in [1, 2] {
        let sent = bench.sent_to(peer);
        assert!(matches!(&sent[..], [DocketMessage::Accept { ballot, fresh: true, .. }] if *ballot == under));
    }
    bench.hear(1, DocketMessage::Accepted { ballot: ballot(2, 0), slot: Slot(1) });
    bench.sync();
    assert_eq!(bench.told(), [], "one is no majority, and another ballot does not count");
    bench.effects.clear();
    accepted(&mut bench, 1, 9);
    let value = values(&[1])[0].manifest.slot;
    assert_eq!(
        (bench.told(), bench.docket.watermarks().chosen),
        (vec![1], value),
        "never beyond what it proposed"
    );
    for peer in [1, 2] {
        let sent = bench.sent_to(peer);
        let told = |message: &DocketMessage| matches!(message, DocketMessage::Heartbeat { chosen, .. } if chosen.slot == value);
        assert!(sent.len() == 1 && told(&sent[0]), "told without a delay, once: {sent:?}");
    }
}

/// SlotChosen: others alone do not make it chosen here before it is durable here.
#[test]
fn nothing_is_chosen_here_before_it_is_durable_here() {
    let mut bench = Bench::leading(3);
    form(&mut bench, 1);
    accepted(&mut bench, 1, 1);
    accepted(&mut bench, 2, 1);
    assert_eq!(bench.told(), []);
    bench.sync();
    assert_eq!(bench.told(), [1]);
}

/// A peer that connects is sent what is not chosen; what it does not answer is sent again with the second heartbeat.
#[test]
fn what_is_not_answered_is_sent_again() {
    let mut bench = Bench::leading(3);
    form(&mut bench, 1);
    bench.sync();
    accepted(&mut bench, 1, 1);
    form(&mut bench, 2);
    bench.sync();
    accepted(&mut bench, 1, 2);
    form(&mut bench, 3);
    bench.effects.clear();
    bench.tell(|docket| docket.handle_disconnected(ReplicaId(2)));
    bench.tell(|docket| docket.handle_connected(ReplicaId(2), Generation::NONE));
    let accepts = |bench: &Bench, peer| {
        let sent = bench.sent_to(peer).into_iter();
        let slots = sent.filter_map(|message| match message {
            DocketMessage::Accept { ordered, .. } => Some(ordered.manifest.slot.0),
            _ => None,
        });
        slots.collect::<Vec<_>>()
    };
    assert_eq!(accepts(&bench, 2), [3], "what is chosen it fetches");
    bench.effects.clear();
    bench.tell(Docket::handle_heartbeat_due);
    assert_eq!(accepts(&bench, 1), [], "its answer may be on the way");
    bench.tell(Docket::handle_heartbeat_due);
    assert_eq!(accepts(&bench, 1), [3]);
}

/// SlotInherited, LeadTaken (P5, P10, R2): what it found it proposes again, unchanged, and serves when that is
/// published.
#[test]
fn r2_a_leader_serves_when_what_it_inherited_is_published() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    let entries = slots.iter().map(|slot| Promised::Accepted { ballot: ballot(1, 2), ordered: slot.clone() });
    bench.win(NOTHING_CHOSEN, entries.collect());
    let under = bench.docket.ballot();
    assert_eq!(bench.writing(), [(1, under, slots[0].hash), (2, under, slots[1].hash)]);
    assert!(bench.writes.iter().all(|write| !write.fresh));
    bench.offer(0, 7);
    assert!(!bench.form(1), "before the inherited slots are written");
    bench.sync();
    accepted(&mut bench, 1, 2);
    assert_eq!(bench.told(), [1, 2]);
    bench.tell(|docket| docket.handle_published(Slot(1), ShardId(0)));
    assert!(!bench.docket.is_ready_to_serve());
    bench.tell(|docket| docket.handle_published(Slot(2), ShardId(0)));
    assert!(bench.docket.is_ready_to_serve());
}

/// LeadGivenUp (P1, P9, P10): a leader that is stalled gives up, says which of its stripes are named, and its ballot is
/// used up.
#[test]
fn p9_a_stalled_leader_gives_up_its_ballot() {
    let mut bench = Bench::leading(3);
    form(&mut bench, 1);
    bench.offer(0, 2);
    bench.effects.clear();
    bench.tell(Docket::handle_stalled);
    let named: Vec<StripeId> = vec![stripe(0, 1).id];
    assert!(bench.has(&Effect::Unlead { named }), "{:?}", bench.effects);
    assert_eq!((bench.docket.role(), bench.docket.leader()), (Role::Follower, None));
    bench.sync();
    bench.effects.clear();
    bench.win(NOTHING_CHOSEN, Vec::new());
    assert_eq!(bench.docket.ballot(), ballot(4, 0), "P1: never the same again");
    assert_eq!(bench.writing().len(), 1, "what it accepted itself it proposes again");
}

/// LeadGivenUp: a peer that has promised a higher ballot can only be led above it.
#[test]
fn a_refused_leader_gives_up() {
    let mut bench = Bench::leading(3);
    bench.hear(2, DocketMessage::Refused { ballot: ballot(2, 0), promised: ballot(9, 2) });
    assert!(bench.leads(), "about an older ballot");
    bench.hear(2, DocketMessage::Refused { ballot: ballot(3, 0), promised: ballot(9, 2) });
    assert!(!bench.leads());
    bench.win(NOTHING_CHOSEN, Vec::new());
    assert_eq!(bench.docket.ballot(), ballot(10, 0));
}

/// ReadConfirmed (P11, leases off): a majority answered a heartbeat that was sent later.
#[test]
fn p11_a_read_is_confirmed_by_a_heartbeat_that_a_majority_answers() {
    let mut bench = Bench::leading(3);
    let sequence = bench.tell(Docket::confirm);
    let sent = bench.sent_to(1);
    assert!(sent.iter().any(|m| matches!(m, DocketMessage::Heartbeat { sequence: s, .. } if *s == sequence)));
    assert!(bench.docket.confirmed() < sequence);
    let answer = |under, sequence| DocketMessage::HeartbeatAnswer {
        ballot: under,
        sequence,
        accepted: Slot(0),
        lease_ns: 0,
        could_lead: true,
    };
    bench.hear(1, answer(ballot(2, 0), sequence));
    bench.hear(1, answer(ballot(3, 0), sequence - 1));
    assert!(bench.docket.confirmed() < sequence);
    bench.hear(1, answer(ballot(3, 0), sequence));
    assert_eq!(bench.docket.confirmed(), sequence);
}

/// StripesReleased (P8): when a slot freshly formed under a ballot is chosen, stripes of lower ones that no slot names
/// are of no use.
#[test]
fn p8_stripes_are_released_when_a_fresh_slot_is_chosen() {
    let slots = values(&[1]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.win(NOTHING_CHOSEN, vec![Promised::Accepted { ballot: ballot(1, 2), ordered: slots[0].clone() }]);
    bench.sync();
    accepted(&mut bench, 1, 1);
    let under = bench.docket.ballot();
    let release = Effect::Release { below: under };
    assert!(bench.docket.watermarks().chosen == Slot(1) && !bench.has(&release), "not by an inherited one");
    form(&mut bench, 2);
    bench.sync();
    assert!(!bench.has(&release), "not before it is chosen");
    accepted(&mut bench, 1, 2);
    assert!(bench.has(&release));
}

/// Quarantined (C5): it gives up and leads no more; it still accepts, and executes nothing.
#[test]
fn c5_a_quarantined_replica_accepts_and_never_leads() {
    let slots = values(&[1]);
    let mut bench = Bench::leading(3);
    bench.tell(Docket::quarantine);
    assert!(!bench.leads());
    bench.effects.clear();
    bench.tell(Docket::handle_election_timeout);
    assert!(bench.sent_to(1).is_empty() && bench.docket.role() == Role::Follower);
    bench.store(&slots);
    bench.accept(1, ballot(5, 1), &slots[0], NOTHING_CHOSEN);
    bench.sync();
    bench.heartbeat(1, ballot(5, 1), chosen(&slots[0]), Slot(1));
    let marks = bench.docket.watermarks();
    assert_eq!((bench.told(), marks.accepted, marks.published), (vec![], Slot(1), Slot(1)));
}
