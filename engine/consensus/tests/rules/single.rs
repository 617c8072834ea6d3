//! One voting replica: it is its own majority.

use std::collections::VecDeque;
use std::panic::catch_unwind;

use assize_consensus::{CheckpointFlag, Docket, DocketStart, Effect, HandOverRefused, Heir, Offer, Role};
use assize_wire::manifest::Manifest;
use assize_wire::{Hash, ShardId, Slot, StreamTime, StripeId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::bench::{Bench, SHARDS, ballot, start, stripe, values};

fn leading(window: u32) -> Bench {
    let mut bench = Bench::new(0, 1, window, DocketStart { promised: ballot(2, 0), ..start() });
    bench.tell(Docket::handle_election_timeout);
    bench.sync();
    assert_eq!(bench.docket.ballot(), ballot(3, 0));
    bench.effects.clear();
    bench
}

fn offer(bench: &mut Bench, shard: u16, tag: u64) {
    let offer =
        Offer { ballot: bench.docket.ballot(), stripe: stripe(shard, tag), in_docket_log: shard == 0 };
    bench.tell(|docket| docket.handle_offer(offer));
}

/// The shards that the last slot names.
fn named(bench: &Bench) -> Vec<u16> {
    let manifest = Manifest::parse(&bench.writes.last().expect("a slot").bytes).expect("a manifest");
    manifest.stripes.iter().map(|stripe| stripe.id.shard.0).collect()
}

/// A slot with a stripe of shard 0, accepted and told.
fn choose(bench: &mut Bench, tag: u64) {
    offer(bench, 0, tag);
    assert!(bench.form(tag));
    bench.sync();
    assert_eq!(bench.told().len(), 1);
}

/// BallotPromised, LeadTaken (P1): alone it asks nobody, and leads once its ballot is durable.
#[test]
fn p1_a_single_replica_leads_once_its_ballot_is_durable() {
    let mut bench = Bench::new(0, 1, 8, DocketStart { promised: ballot(6, 0), ..start() });
    bench.tell(Docket::handle_election_timeout);
    assert_eq!((bench.promises.clone(), bench.docket.role()), (vec![ballot(7, 0)], Role::Candidate));
    bench.sync();
    assert!(bench.leads() && bench.docket.is_ready_to_serve() && bench.docket.is_ready());
    assert!(bench.has(&Effect::Lead { ballot: ballot(7, 0) }));
    let sequence = bench.tell(Docket::confirm);
    assert_eq!(bench.docket.confirmed(), sequence, "it is its own majority");
    assert_eq!(bench.tell(|docket| docket.hand_over(Heir::Anybody)), Err(HandOverRefused::Alone));
}

/// OfferTaken, StripeStored, SlotFormed, StripesDurableFirst (P2): a stripe in another log waits for its own record,
/// and nobody waits for it.
#[test]
fn p2_a_stripe_in_another_log_is_named_only_when_it_is_stored() {
    let mut bench = leading(8);
    offer(&mut bench, 1, 1);
    offer(&mut bench, 2, 1);
    assert!(!bench.form(1));
    offer(&mut bench, 0, 1);
    bench.tell(|docket| docket.handle_stripe_stored(stripe(2, 1).id));
    assert!(bench.form(1));
    assert_eq!(named(&bench), [0, 2], "by shard; shard 1 is not stored");
    bench.tell(|docket| docket.handle_stripe_stored(stripe(1, 1).id));
    assert!(!bench.form(1), "one slot per completed manifest write");
    bench.sync();
    assert!(bench.form(1));
    assert_eq!(named(&bench), [1]);
}

/// SlotFormed: at most one stripe a shard, in the order of sealing, though a later one is stored first; one that was
/// lost is not named.
#[test]
fn a_shards_stripes_are_named_in_the_order_of_sealing() {
    let mut bench = leading(8);
    offer(&mut bench, 1, 1);
    offer(&mut bench, 1, 2);
    bench.tell(|docket| docket.handle_stripe_stored(stripe(1, 2).id));
    assert!(!bench.form(1), "the first is not stored");
    bench.tell(|docket| docket.handle_stripe_stored(stripe(1, 1).id));
    bench.tell(|docket| docket.handle_stripe_lost(stripe(1, 1).id));
    assert!(!bench.form(1), "the first is lost");
    bench.tell(|docket| docket.handle_stripe_stored(stripe(1, 1).id));
    for tag in [1, 2] {
        assert!(bench.form(1));
        assert_eq!(bench.writes[0].ordered.manifest.stripes, [stripe(1, tag)]);
        bench.sync();
    }
}

/// OfferDropped (P8): under another ballot than its own a stripe is not named.
#[test]
fn p8_an_offer_of_another_leadership_is_dropped() {
    let mut bench = leading(8);
    let other = Offer { ballot: ballot(2, 0), stripe: stripe(0, 1), in_docket_log: true };
    bench.tell(|docket| docket.handle_offer(other));
    assert!(!bench.form(1) && bench.docket.is_idle());
}

/// SlotAccepted, SlotChosen (P4): only the slot that was written, under its ballot, once.
#[test]
fn p4_only_what_is_being_written_becomes_durable() {
    let mut bench = leading(8);
    offer(&mut bench, 0, 1);
    assert!(bench.form(1) && bench.docket.is_outstanding());
    assert_eq!(bench.told(), [], "not chosen before it is durable");
    for (slot, under) in [(Slot(2), ballot(3, 0)), (Slot(1), ballot(2, 0))] {
        let mut docket = bench.docket.clone();
        assert!(catch_unwind(move || docket.handle_accept_durable(slot, under)).is_err());
    }
    bench.sync();
    assert_eq!((bench.told(), bench.told()), (vec![1], vec![]), "told once");
}

/// StripePublished, PublishedAdvances (C3, R4): the mark moves when all below is published, and each stripe counts
/// once.
#[test]
fn published_is_what_every_shard_has_published() {
    let mut bench = leading(8);
    offer(&mut bench, 0, 1);
    offer(&mut bench, 1, 1);
    bench.tell(|docket| docket.handle_stripe_stored(stripe(1, 1).id));
    assert!(bench.form(1));
    let early = bench.docket.clone();
    bench.sync();
    assert_eq!(bench.told(), [1]);
    choose(&mut bench, 2);
    bench.tell(|docket| docket.handle_published(Slot(1), ShardId(0)));
    bench.tell(|docket| docket.handle_published(Slot(2), ShardId(0)));
    assert_eq!(bench.docket.watermarks().published, Slot(0), "shard 1 owes slot 1");
    let broken =
        [(early, Slot(1), 0), (bench.docket.clone(), Slot(1), 0), (bench.docket.clone(), Slot(1), 2)];
    for (mut docket, slot, shard) in broken {
        let published = catch_unwind(move || docket.handle_published(slot, ShardId(shard)));
        assert!(published.is_err(), "slot {slot}, shard {shard}");
    }
    bench.tell(|docket| docket.handle_published(Slot(1), ShardId(1)));
    assert_eq!(bench.docket.watermarks().published, Slot(2));
    assert!(bench.docket.is_idle());
}

/// SlotFormed: the window counts from formed to published.
#[test]
fn no_slot_is_formed_beyond_the_window() {
    let mut bench = leading(2);
    choose(&mut bench, 1);
    choose(&mut bench, 2);
    offer(&mut bench, 0, 3);
    assert!(!bench.form(9) && !bench.docket.room());
    bench.tell(|docket| docket.handle_published(Slot(1), ShardId(0)));
    assert!(bench.form(9));
    let alone = bench.tell(|docket| docket.form(StreamTime(9), CheckpointFlag::Alone, &[]));
    assert!(!alone, "while a manifest is written");
}

/// StartedWithLog (P4, R1): what recovery found is chosen here, told within the window, and the next slot chains to it.
#[test]
fn what_was_found_is_told_within_the_window() {
    let slots = values(&[1, 2, 3, 4]);
    let accepted: Vec<_> = slots.iter().map(|slot| (slot.clone(), ballot(1, 0))).collect();
    let found = DocketStart { accepted, promised: ballot(6, 0), ..start() };
    let mut bench = Bench::new(0, 1, 2, found.clone());
    assert_eq!(bench.told(), [1, 2]);
    for slot in 1..=4 {
        bench.tell(|docket| docket.handle_published(Slot(slot), ShardId(0)));
        assert_eq!(bench.told(), if slot < 3 { vec![slot + 2] } else { vec![] });
    }
    bench.tell(Docket::handle_election_timeout);
    bench.sync();
    offer(&mut bench, 0, 5);
    assert!(bench.form(1));
    let manifest = &bench.writes[0].ordered.manifest;
    assert_eq!((manifest.slot, manifest.previous), (Slot(5), slots[3].hash));
    let gap = DocketStart { accepted: found.accepted[1..].to_vec(), ..found.clone() };
    assert!(catch_unwind(|| Bench::new(0, 1, 2, gap)).is_err(), "a gap");
    let damaged = DocketStart { damaged: vec![(Slot(5), None)], ..found };
    assert!(catch_unwind(|| Bench::new(0, 1, 2, damaged)).is_err(), "L5: nobody can repair it");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// OneChain, StreamTimeNeverBack, WatermarksOrdered (P4, P13, R4): whatever the order of inputs and however the
    /// clock jumps, slots chain, their times and every mark only rise, and every offer gets one slot, in shard order.
    #[test]
    fn one_chain_and_marks_that_only_rise(
        steps in proptest::collection::vec((0u8..6, 0u16..SHARDS, 0u64..100), 1..400),
        window in 1u32..5,
    ) {
        let mut bench = leading(window);
        let mut counters = [0; SHARDS as usize];
        let mut elsewhere: Vec<StripeId> = Vec::new();
        let mut expected: Vec<VecDeque<StripeId>> = vec![VecDeque::new(); usize::from(SHARDS)];
        let mut owed: Vec<(Slot, ShardId)> = Vec::new();
        let (mut previous, mut time) = (Hash::ZERO, StreamTime(0));
        let mut before = bench.docket.watermarks();
        for (what, shard, clock) in steps {
            match what {
                0 | 1 => {
                    counters[usize::from(shard)] += 1;
                    let tag = counters[usize::from(shard)];
                    offer(&mut bench, shard, tag);
                    expected[usize::from(shard)].push_back(stripe(shard, tag).id);
                    elsewhere.extend((shard != 0).then_some(stripe(shard, tag).id));
                }
                2 if !elsewhere.is_empty() => {
                    let id = elsewhere.swap_remove(clock as usize % elsewhere.len());
                    bench.tell(|docket| docket.handle_stripe_stored(id));
                }
                3 => if bench.form(clock) {
                    prop_assert_eq!(bench.writes.len(), 1);
                    let manifest = &bench.writes[0].ordered.manifest;
                    prop_assert_eq!(manifest.previous, previous);
                    prop_assert!(manifest.time >= time);
                    for stripe in &manifest.stripes {
                        prop_assert_eq!(expected[usize::from(stripe.id.shard.0)].pop_front(), Some(stripe.id));
                        prop_assert!(!elsewhere.contains(&stripe.id));
                        owed.push((manifest.slot, stripe.id.shard));
                    }
                    (previous, time) = (Hash::of(&bench.writes[0].bytes), manifest.time);
                },
                4 => bench.sync(),
                _ => {
                    bench.told();
                    let chosen = bench.docket.watermarks().chosen;
                    // Shards publish each in its own time, each in slot order.
                    let next = owed.iter().position(|(slot, of)| *slot <= chosen && of.0 == shard);
                    if let Some(at) = next {
                        let (slot, shard) = owed.remove(at);
                        bench.tell(|docket| docket.handle_published(slot, shard));
                    }
                }
            }
            let marks = bench.docket.watermarks();
            prop_assert!(marks.formed >= before.formed && marks.accepted >= before.accepted);
            prop_assert!(marks.chosen >= before.chosen && marks.published >= before.published);
            before = marks;
        }
    }
}
