//! Catching up: what is chosen is known by its hash, and fetched when the own chain has another value or none.

use assize_consensus::{Alarm, DocketStart, Effect, LogTip};
use assize_wire::peer::DocketMessage;
use assize_wire::{ReplicaId, ShardId, Slot};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, value, values};

fn fetched(bench: &mut Bench, slots: &[std::sync::Arc<assize_wire::manifest::Ordered>]) {
    let last = chosen(slots.last().expect("a slot"));
    bench.hear(1, DocketMessage::Fetched { ballot: ballot(3, 1), slots: slots.to_vec(), chosen: last });
    bench.promise();
}

/// ChosenLearned (P7): a slot is chosen here only if the own chain has that hash; otherwise it is fetched.
#[test]
fn p7_chosen_is_a_slot_and_its_hash() {
    let (slots, other) = (values(&[1]), values(&[7]));
    let accepted = vec![(slots[0].clone(), ballot(1, 2))];
    let found = DocketStart { accepted, promised: ballot(1, 2), ..start() };
    let mut same = Bench::of_three(found.clone());
    same.heartbeat(1, ballot(3, 1), chosen(&slots[0]), Slot(1));
    assert_eq!(same.told(), [1], "no record is needed");

    let mut differs = Bench::of_three(found);
    differs.heartbeat(1, ballot(3, 1), chosen(&other[0]), Slot(1));
    assert!(differs.told().is_empty());
    assert!(differs.sent_to(1).contains(&DocketMessage::Fetch { from: Slot(1) }));
    differs.store(&other);
    fetched(&mut differs, &other);
    let record = &differs.writes[0];
    assert_eq!((record.ordered.hash, record.ballot, record.chosen), (other[0].hash, ballot(3, 1), Slot(1)));
    assert!(differs.told().is_empty(), "chosen here when durable here");
    differs.sync();
    assert_eq!(differs.told(), [1]);
}

/// SlotFetched (P7): fetched slots are logged as chosen before anything above them is accepted, and live accepts that
/// came meanwhile follow.
#[test]
fn p7_fetched_slots_are_logged_before_what_is_accepted_above() {
    let slots = values(&[1, 2, 3, 4]);
    let mut bench = Bench::of_three(start());
    bench.store(&slots);
    bench.accept(1, ballot(3, 1), &slots[2], chosen(&slots[1]));
    bench.accept(1, ballot(3, 1), &slots[3], chosen(&slots[1]));
    assert_eq!(
        bench.sent_to(1).iter().filter(|m| matches!(m, DocketMessage::Fetch { .. })).count(),
        1,
        "asked once"
    );
    fetched(&mut bench, &slots[..2]);
    let written: Vec<_> = bench.writes.iter().map(|write| (write.slot.0, write.chosen.0)).collect();
    assert_eq!(written, [(1, 1), (2, 2), (3, 2), (4, 2)]);
    bench.sync();
    assert!(bench.sent_to(1).contains(&DocketMessage::Accepted { ballot: ballot(3, 1), slot: Slot(4) }));
}

/// SlotFetched (P7): the sender's promise bounds the ballots under which the slots were chosen; lower ones are heeded
/// no more, and fetching goes on across ballots.
#[test]
fn p7_a_fetch_raises_the_promise_and_survives_a_new_ballot() {
    let slots = values(&[1, 2]);
    let mut bench = Bench::of_three(start());
    bench.heartbeat(2, ballot(1, 2), chosen(&slots[1]), Slot(2));
    fetched(&mut bench, &slots);
    assert_eq!(bench.docket.promised(), ballot(3, 1));
    bench.heartbeat(2, ballot(4, 2), NOTHING_CHOSEN, Slot(0));
    bench.store(&slots);
    bench.promise();
    let written: Vec<_> =
        bench.writes.iter().map(|write| (write.slot.0, write.ballot, write.chosen.0)).collect();
    assert_eq!(written, [(1, ballot(4, 2), 1), (2, ballot(4, 2), 2)], "what is chosen stays so");
}

/// SlotFetched, StripesReleased (P8): a slot that was learned chosen while it waited for its stripes is no fresh slot
/// of the ballot under which it is written in the end.
#[test]
fn p8_what_was_learned_chosen_is_not_fresh_under_a_later_ballot() {
    let slots = values(&[1]);
    let mut bench = Bench::of_three(start());
    let ordered = slots[0].clone();
    let fresh = DocketMessage::Accept { ballot: ballot(1, 1), fresh: true, ordered, chosen: NOTHING_CHOSEN };
    bench.hear(1, fresh);
    bench.heartbeat(1, ballot(1, 1), chosen(&slots[0]), Slot(1));
    bench.heartbeat(2, ballot(4, 2), NOTHING_CHOSEN, Slot(0));
    bench.store(&slots);
    bench.promise();
    assert!(!bench.writes[0].fresh && bench.writes[0].ballot == ballot(4, 2));
    bench.sync();
    assert!(!bench.has(&Effect::Release { below: ballot(4, 2) }), "its own stripe is of ballot 1.1");
}

/// SplitAlarmed (P7): two values of one slot that are both said to be chosen stop it from following.
#[test]
fn p7_two_chosen_values_alarm() {
    let slots = values(&[1, 2]);
    let other = values(&[7, 8]);
    let accepted = vec![(slots[0].clone(), ballot(1, 2))];
    let mut bench =
        Bench::of_three(DocketStart { accepted, chosen: Slot(1), promised: ballot(1, 2), ..start() });
    bench.heartbeat(1, ballot(3, 1), chosen(&other[0]), Slot(1));
    assert!(matches!(bench.alarms()[..], [Alarm::SplitLog { slot: Slot(1), .. }]), "{:?}", bench.alarms());
    bench.effects.clear();
    bench.heartbeat(1, ballot(3, 1), chosen(&other[1]), Slot(2));
    fetched(&mut bench, &other[1..]);
    assert!(matches!(bench.alarms()[..], [Alarm::SplitLog { slot: Slot(1), .. }]), "{:?}", bench.alarms());
    assert!(bench.writes.is_empty());
}

/// DamageCounted (P5): a damaged slot is repaired by learning it chosen or by accepting it; what was accepted above it
/// stays in doubt, unless its value is void.
#[test]
fn p5_a_damaged_slot_is_repaired_by_what_is_chosen_or_accepted() {
    let slots = values(&[1, 2, 3]);
    let damaged = vec![(Slot(1), Some(slots[0].hash)), (Slot(2), None)];
    let found = DocketStart { damaged, promised: ballot(1, 2), ..start() };
    let mut bench = Bench::of_three(found.clone());
    bench.store(&slots);
    bench.heartbeat(1, ballot(3, 1), chosen(&slots[0]), Slot(1));
    fetched(&mut bench, &slots[..1]);
    assert!(bench.docket.is_damaged(), "slot 2");
    bench.accept(1, ballot(3, 1), &slots[1], chosen(&slots[0]));
    assert!(!bench.docket.is_damaged());

    let mut bench = Bench::of_three(found);
    let below = value(LogTip::START, 7);
    bench.store(std::slice::from_ref(&below));
    bench.accept(1, ballot(3, 1), &below, NOTHING_CHOSEN);
    assert!(!bench.docket.is_damaged(), "another value than the damaged one voids what was above");
}

/// DoubtCounted (P5): what is in doubt here is settled by accepting it anew or by knowing it chosen, and what may have
/// been accepted above it stays in doubt unless it is void.
#[test]
fn p5_doubt_ends_where_a_slot_is_accepted_anew_or_chosen() {
    let (slots, other) = (values(&[1, 2, 3]), values(&[1, 2, 7]));
    let accepted = || slots.iter().map(|slot| (slot.clone(), ballot(1, 2))).collect();
    let found = |hash| DocketStart {
        accepted: accepted(),
        doubtful: vec![(Slot(2), Some(hash)), (Slot(3), None)],
        promised: ballot(2, 1),
        ..start()
    };
    let mut bench = Bench::of_three(found(slots[1].hash));
    bench.accept(1, ballot(3, 1), &slots[0], NOTHING_CHOSEN);
    assert!(bench.docket.is_damaged());
    bench.accept(1, ballot(3, 1), &slots[1], NOTHING_CHOSEN);
    assert!(bench.docket.is_damaged(), "slot 3");
    bench.accept(1, ballot(3, 1), &slots[2], NOTHING_CHOSEN);
    assert!(!bench.docket.is_damaged());

    let mut bench = Bench::of_three(found(other[2].hash));
    bench.accept(1, ballot(3, 1), &slots[0], NOTHING_CHOSEN);
    bench.accept(1, ballot(3, 1), &slots[1], NOTHING_CHOSEN);
    assert!(
        !bench.docket.is_damaged(),
        "what may have been accepted at slot 2 was another value, so slot 3 is void"
    );

    let mut bench = Bench::of_three(found(slots[1].hash));
    bench.heartbeat(1, ballot(3, 1), chosen(&slots[2]), Slot(3));
    assert!(!bench.docket.is_damaged() && bench.writes.is_empty());
}

/// FetchServed: what is no longer in memory is read from the log.
#[test]
fn what_left_the_memory_is_read_for_who_lacks_it() {
    let count = assize_consensus::limits::RETAINED_SLOTS + 3;
    let slots = values(&(0..count).collect::<Vec<_>>());
    let accepted = slots.iter().map(|slot| (slot.clone(), ballot(1, 2))).collect();
    let found = DocketStart { accepted, chosen: Slot(count), promised: ballot(1, 2), ..start() };
    let mut bench = Bench::of_three(found);
    let mut told = 0;
    for slot in 1..=count {
        told += bench.told().len() as u64;
        assert!(told >= slot, "slot {slot} is told before it is published");
        bench.tell(|docket| docket.handle_published(Slot(slot), ShardId(0)));
    }
    bench.hear(2, DocketMessage::Fetch { from: Slot(2) });
    assert!(bench.has(&Effect::ReadChosen { to: ReplicaId(2), from: Slot(2) }));
}

/// FetchServed: what is in memory is sent; without it the log is read; and where that does not reach back, only a
/// checkpoint helps.
#[test]
fn what_is_chosen_is_sent_to_who_lacks_it() {
    let slots = values(&[1, 2, 3]);
    let accepted = slots.iter().map(|slot| (slot.clone(), ballot(1, 2))).collect();
    let mut bench =
        Bench::of_three(DocketStart { accepted, chosen: Slot(2), promised: ballot(1, 2), ..start() });
    bench.hear(1, DocketMessage::Fetch { from: Slot(2) });
    let (ballot, chosen) = (ballot(1, 2), chosen(&slots[1]));
    assert_eq!(bench.sent_to(1), [DocketMessage::Fetched { ballot, slots: vec![slots[1].clone()], chosen }]);
    bench.tell(|docket| docket.handle_checkpoint(Slot(1)));
    bench.hear(2, DocketMessage::Fetch { from: Slot(1) });
    let gone = DocketMessage::Fetched { ballot, slots: Vec::new(), chosen };
    assert_eq!(bench.sent_to(2), [gone], "its stripes are gone with the checkpoint");

    let mut behind = Bench::of_three(start());
    behind.heartbeat(1, crate::bench::ballot(3, 1), chosen, Slot(2));
    let nothing = DocketMessage::Fetched { ballot, slots: Vec::new(), chosen };
    behind.hear(1, nothing);
    assert!(behind.has(&Effect::WantCheckpoint { from: ReplicaId(1), chosen: Slot(2) }));
    behind.effects.clear();
    for _ in 0..3 {
        behind.heartbeat(1, crate::bench::ballot(3, 1), chosen, Slot(2));
    }
    assert_eq!(behind.sent_to(2), [DocketMessage::Fetch { from: Slot(1) }], "the next peer is asked");
    behind.effects.clear();
    behind.hear(2, DocketMessage::Fetched { ballot, slots: Vec::new(), chosen: NOTHING_CHOSEN });
    assert!(behind.effects.is_empty(), "that one does not know it");
    behind.heartbeat(1, crate::bench::ballot(3, 1), chosen, Slot(2));
    assert!(behind.sent_to(1).contains(&DocketMessage::Fetch { from: Slot(1) }));
}
