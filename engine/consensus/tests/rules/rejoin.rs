//! A replica whose disk was lost: no vote before enough others have told it what it may have promised and accepted, and
//! nothing counts any more that came from the lost disk (R3).

use assize_consensus::{DocketStart, Effect, Role};
use assize_wire::peer::{Chosen, DocketMessage, Generation, Generations, Promised};
use assize_wire::{Ballot, ReplicaId, Slot};

use crate::bench::{Bench, NOTHING_CHOSEN, ballot, chosen, start, values};

/// Of replica 0, in place of one that was lost.
const NEW: Generation = Generation::from_raw(1 << 63 | 9);

fn disks(of: &[(u8, Generation)]) -> Generations {
    let mut generations = Generations::default();
    for (replica, generation) in of {
        generations.learn(ReplicaId(*replica), *generation);
    }
    generations
}

/// Replica 0 of three with an empty disk, connected to both others.
fn rejoining() -> Bench {
    Bench::of_three(DocketStart { generations: disks(&[(0, NEW)]), rejoins: true, ..start() })
}

fn told(accepted: u64, promised: Ballot, chosen: Chosen) -> DocketMessage {
    DocketMessage::Told { generation: NEW, promised, accepted: Slot(accepted), chosen }
}

fn prepare(bench: &mut Bench, under: Ballot) -> Vec<DocketMessage> {
    let from = under.replica().0;
    bench.effects.clear();
    bench.hear(from, DocketMessage::Prepare { ballot: under, from: Slot(1), released: Ballot::NONE });
    bench.promise();
    bench.sent_to(from)
}

/// RejoinBegun, VotelessSilent, RejoinAsked (R3): it asks to be told, takes what is proposed, and nobody hears how far
/// it is, is promised anything, or is told that it could win; nor does it stand for election.
#[test]
fn r3_an_empty_disk_has_no_vote() {
    let mut bench = rejoining();
    let asks = DocketMessage::Rejoin { generation: NEW };
    assert_eq!((bench.sent_to(1), bench.sent_to(2)), (vec![asks.clone()], vec![asks.clone()]));
    bench.effects.clear();
    bench.tell(|docket| docket.handle_election_timeout());
    assert_eq!((bench.docket.role(), bench.sent_to(1)), (Role::Follower, vec![asks]));
    bench.effects.clear();
    bench.hear(1, DocketMessage::Canvass { ballot: ballot(3, 1), chosen: Slot(0) });
    let no = DocketMessage::CanvassAnswer {
        ballot: ballot(3, 1),
        granted: false,
        promised: Ballot::NONE,
        chosen: NOTHING_CHOSEN,
    };
    assert_eq!(bench.sent_to(1), [no, DocketMessage::Voteless { ballot: ballot(3, 1) }]);
    assert_eq!(prepare(&mut bench, ballot(3, 1)), [DocketMessage::Voteless { ballot: ballot(3, 1) }]);
    assert!(bench.promises.is_empty());

    bench.effects.clear();
    let slots = values(&[1]);
    bench.store(&slots);
    bench.accept(1, ballot(3, 1), &slots[0], NOTHING_CHOSEN);
    bench.heartbeat(1, ballot(3, 1), NOTHING_CHOSEN, Slot(1));
    bench.sync();
    assert_eq!(bench.docket.watermarks().accepted, Slot(1));
    let asks = DocketMessage::Rejoin { generation: NEW };
    assert_eq!(bench.sent_to(1), [asks], "neither that it accepted, nor an answer to the heartbeat");
}

/// VoteRegained, RejoinTold (R3): a majority of the cluster, all of them others, have told; it has promised as high a
/// ballot, and has all that they accepted as chosen, both durably. What it accepted meanwhile counts from then on.
#[test]
fn r3_a_vote_comes_back_once_enough_was_told_and_is_here() {
    let mut bench = rejoining();
    let slots = values(&[1, 2]);
    bench.store(&slots);
    bench.hear(1, told(2, ballot(5, 1), NOTHING_CHOSEN));
    bench.hear(2, told(1, ballot(7, 2), chosen(&slots[0])));
    assert!(bench.promises.is_empty(), "slot 2 may have been accepted on the lost disk");
    let fetched = |through: usize| DocketMessage::Fetched {
        ballot: ballot(5, 1),
        slots: slots[..through].to_vec(),
        chosen: chosen(&slots[through - 1]),
    };
    bench.hear(2, fetched(1));
    bench.sync();
    assert_eq!((bench.docket.watermarks().chosen, bench.docket.rejoining().is_some()), (Slot(1), true));
    assert!(!bench.has(&Effect::EndRejoin), "1 of 2 was told enough of");
    bench.accept(1, ballot(7, 1), &slots[1], chosen(&slots[1]));
    bench.store(&slots);
    bench.effects.clear();
    while !bench.writes.is_empty() {
        assert!(!bench.has(&Effect::EndRejoin), "not before slot 2 is durable");
        let write = bench.writes.remove(0);
        bench.tell(|docket| docket.handle_accept_durable(write.slot, write.ballot));
    }
    assert_eq!(bench.promises, [ballot(7, 2)], "the highest that was told");
    assert!(!bench.has(&Effect::EndRejoin), "not before that is durable");
    bench.promise();
    assert!(bench.has(&Effect::EndRejoin));
    assert_eq!(prepare(&mut bench, ballot(8, 1)), [DocketMessage::Voteless { ballot: ballot(8, 1) }]);
    bench.tell(|docket| docket.handle_rejoin_ended());
    assert_eq!(bench.docket.rejoining(), None);
    let promise = prepare(&mut bench, ballot(8, 1));
    assert!(matches!(promise[..], [DocketMessage::Promise { .. }]), "{promise:?}");
}

/// RejoinTold (R3): what is told later may be less, where what was accepted is void. A log of nothing was told, too.
#[test]
fn r3_who_is_told_less_later_needs_no_more() {
    let mut bench = rejoining();
    bench.hear(1, told(0, Ballot::NONE, NOTHING_CHOSEN));
    bench.hear(2, told(3, ballot(2, 1), NOTHING_CHOSEN));
    assert!(!bench.has(&Effect::EndRejoin));
    bench.hear(2, told(5, ballot(4, 1), NOTHING_CHOSEN));
    assert_eq!(bench.docket.rejoining().map(|status| (status.accepted, status.needed)), Some((Slot(3), 2)));
    bench.effects.clear();
    bench.tell(|docket| docket.handle_election_timeout());
    assert_eq!((bench.sent_to(1).len(), bench.sent_to(2).len()), (0, 1), "it asks again whom it must");
    bench.hear(2, told(0, ballot(4, 1), NOTHING_CHOSEN));
    bench.promise();
    assert_eq!(bench.docket.promised(), ballot(4, 1));
    assert!(bench.has(&Effect::EndRejoin));
    let other = DocketMessage::Told {
        generation: Generation::first(3),
        promised: ballot(9, 1),
        accepted: Slot(0),
        chosen: NOTHING_CHOSEN,
    };
    let mut bench = rejoining();
    bench.hear(1, other.clone());
    bench.hear(2, other);
    assert!(!bench.has(&Effect::EndRejoin), "that was told to another disk");
}

/// RejoinTold (R3): nobody tells before it is durable that it knows of the disk, nor without a vote of its own; and
/// what it cannot read, or is in doubt of, it may have accepted.
#[test]
fn r3_who_is_asked_tells_once_it_surely_knows_of_the_disk() {
    let slots = values(&[1, 2]);
    let accepted = slots.iter().map(|slot| (slot.clone(), ballot(2, 2))).collect();
    let damaged = vec![(Slot(3), None)];
    let found = DocketStart { accepted, damaged, promised: ballot(4, 2), ..start() };
    let mut bench = Bench::of_three(found);
    let disk = Generation::rejoined(5);
    bench.effects.clear();
    bench.tell(|docket| docket.handle_connected(ReplicaId(1), disk));
    let known = disks(&[(1, disk)]);
    assert!(bench.has(&Effect::WriteGenerations(known)), "{:?}", bench.effects);
    bench.hear(1, DocketMessage::Rejoin { generation: disk });
    assert_eq!(bench.sent_to(1), []);
    bench.tell(|docket| docket.handle_generations_durable(known));
    let tells = DocketMessage::Told {
        generation: disk,
        promised: ballot(4, 2),
        accepted: Slot(3),
        chosen: NOTHING_CHOSEN,
    };
    assert_eq!(bench.sent_to(1), vec![tells.clone()]);
    bench.effects.clear();
    bench.hear(1, DocketMessage::Rejoin { generation: disk });
    assert_eq!(bench.sent_to(1), [tells], "whenever it asks");
    bench.hear(2, DocketMessage::Rejoin { generation: Generation::NONE });
    assert_eq!(bench.sent_to(2), [], "who has no other disk has nothing to ask");

    let mut voteless = rejoining();
    voteless.tell(|docket| docket.handle_connected(ReplicaId(1), disk));
    voteless.effects.clear();
    voteless.hear(1, DocketMessage::Rejoin { generation: disk });
    voteless.tell(|docket| docket.handle_generations_durable(disks(&[(0, NEW), (1, disk)])));
    assert_eq!(voteless.sent_to(1), [], "who rejoins itself tells nobody");
}

/// LostDiskForgotten (R3): promises of the lost disk and of those who know of the next one are not counted together,
/// nor what they accepted; what comes late from the lost one is not taken.
#[test]
fn r3_what_a_lost_disk_answered_is_not_counted_with_what_comes_later() {
    let mut bench = Bench::new(0, 5, 8, start());
    for peer in 1..5 {
        bench.tell(|docket| docket.handle_connected(ReplicaId(peer), Generation::first(1)));
    }
    bench.tell(|docket| docket.handle_election_timeout());
    let under = ballot(1, 0);
    let yes = DocketMessage::CanvassAnswer {
        ballot: under,
        granted: true,
        promised: Ballot::NONE,
        chosen: NOTHING_CHOSEN,
    };
    for peer in [1, 2] {
        bench.hear(peer, yes.clone());
    }
    bench.promise();
    let promise = DocketMessage::Promise { ballot: under, chosen: NOTHING_CHOSEN, entries: Vec::new() };
    bench.hear(1, promise.clone());
    let known = disks(&[(1, Generation::rejoined(2))]);
    bench.tell(|docket| docket.handle_generations(&known));
    bench.hear(2, promise.clone());
    assert!(!bench.leads(), "0 and 2");
    bench.hear(1, promise.clone());
    assert!(!bench.leads(), "that was still the lost disk");
    bench.hear(3, promise);
    assert!(bench.leads());

    bench.offer(0, 1);
    assert!(bench.form(10));
    bench.sync();
    let accepted = DocketMessage::Accepted { ballot: under, slot: Slot(1) };
    bench.hear(2, accepted.clone());
    bench.tell(|docket| docket.handle_generations(&disks(&[(2, Generation::rejoined(3))])));
    bench.hear(3, accepted.clone());
    assert_eq!(bench.docket.watermarks().chosen, Slot(0), "0 and 3");
    bench.tell(|docket| docket.handle_connected(ReplicaId(2), Generation::rejoined(3)));
    bench.hear(2, accepted);
    assert_eq!(bench.docket.watermarks().chosen, Slot(1), "it was accepted again, on the next disk");
}

/// LostDiskForgotten (R3): nothing is sent to an older disk than was met, and nothing taken from there; and a replica
/// that hears that its own was replaced, or that there is another one, has no vote.
#[test]
fn r3_an_old_disk_is_not_talked_to() {
    let known = disks(&[(1, Generation::rejoined(7))]);
    let mut bench = Bench::of_three(DocketStart { generations: known, ..start() });
    bench.tell(|docket| docket.handle_connected(ReplicaId(1), Generation::first(3)));
    assert!(!bench.docket.takes_from(ReplicaId(1)));
    bench.effects.clear();
    assert_eq!(prepare(&mut bench, ballot(2, 1)), []);
    bench.tell(|docket| docket.handle_connected(ReplicaId(1), Generation::rejoined(7)));
    assert!(matches!(prepare(&mut bench, ballot(2, 1))[..], [DocketMessage::Promise { .. }]));

    for other in [Generation::rejoined(9), Generation::first(9)] {
        let mut bench = Bench::of_three(DocketStart {
            generations: disks(&[(0, Generation::first(5))]),
            promised: ballot(1, 2),
            ..start()
        });
        bench.win(NOTHING_CHOSEN, Vec::new());
        assert!(bench.leads());
        bench.tell(|docket| docket.handle_generations(&disks(&[(0, other)])));
        assert!(!bench.leads());
        assert_eq!(prepare(&mut bench, ballot(4, 1)), []);
        assert_eq!(bench.docket.generations().of(ReplicaId(0)), Generation::first(5), "it stays what it is");
    }
}

/// DoubtCounted (P5, R3): a replica that rejoins has nothing to say, and nobody waits for it. Its disk is one of the
/// few that may be lost, so what a crash may have torn elsewhere was torn.
#[test]
fn r3_nobody_waits_in_doubt_for_one_that_rejoins() {
    let slots = values(&[1, 2]);
    let found = DocketStart {
        accepted: vec![(slots[0].clone(), ballot(2, 1))],
        doubtful: vec![(Slot(1), None)],
        promised: ballot(3, 1),
        ..start()
    };
    let mut bench = Bench::of_three(found);
    bench.store(&slots);
    bench.tell(|docket| docket.handle_election_timeout());
    let under = ballot(4, 0);
    let granted = DocketMessage::CanvassAnswer {
        ballot: under,
        granted: true,
        promised: ballot(3, 1),
        chosen: NOTHING_CHOSEN,
    };
    bench.hear(1, granted);
    assert!(bench.promises.is_empty(), "its own promise counts only with all others'");
    bench.hear(2, DocketMessage::Voteless { ballot: under });
    bench.promise();
    let doubtful = Promised::Doubtful { slot: Slot(1), through: Slot(1), ballot: ballot(3, 1) };
    let entries = vec![Promised::Accepted { ballot: ballot(2, 1), ordered: slots[0].clone() }, doubtful];
    bench.hear(1, DocketMessage::Promise { ballot: under, chosen: NOTHING_CHOSEN, entries });
    assert!(!bench.leads());
    bench.hear(2, DocketMessage::Voteless { ballot: under });
    assert!(bench.leads());
}
