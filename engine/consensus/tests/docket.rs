//! The Docket's rules, one by one. Each test names those of `docket.allium` that it holds.

use std::collections::VecDeque;
use std::panic::catch_unwind;

use assize_consensus::{CheckpointFlag, Docket, DocketConfig, LogTip, Offer, Proposal};
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::{Ballot, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const SHARDS: u16 = 3;

fn ballot(round: u64) -> Ballot {
    Ballot::new(round, ReplicaId(0))
}

/// A Docket that does not lead yet.
fn idle(window: u32) -> Docket {
    Docket::new(DocketConfig { replica: ReplicaId(0), shards: SHARDS, window }, LogTip::START)
}

fn leading(window: u32) -> Docket {
    let mut docket = idle(window);
    docket.lead(ballot(3));
    docket
}

fn offer(shard: u16, counter: u64) -> Offer {
    let hash = Hash::of(&[shard.to_le_bytes().as_slice(), &counter.to_le_bytes()].concat());
    let id = StripeId { shard: ShardId(shard), hash };
    let stripe = StripeRef { id, home_mask: 1, events: 1, bytes: 80 };
    Offer { ballot: ballot(3), stripe, in_docket_log: shard == 0 }
}

fn names(proposal: &Proposal) -> Vec<u16> {
    let manifest = Manifest::parse(&proposal.bytes).unwrap();
    manifest.stripes.iter().map(|stripe| stripe.id.shard.0).collect()
}

fn accept(docket: &mut Docket, proposal: &Proposal) {
    docket.handle_accept_durable(proposal.slot, proposal.ballot);
}

/// A slot with a stripe of shard 0, accepted and told.
fn chosen(docket: &mut Docket, counter: u64) -> Slot {
    docket.handle_offer(offer(0, counter));
    let proposal = docket.form(StreamTime(counter), CheckpointFlag::Lowered).unwrap();
    accept(docket, &proposal);
    docket.poll_chosen().unwrap().manifest.slot
}

/// OfferTaken, StripeDurable, SlotFormed, StripesDurableFirst (P2): a stripe in another log waits for its own record,
/// and nobody waits for it.
#[test]
fn a_stripe_in_another_log_is_named_only_when_it_is_durable() {
    let mut docket = leading(8);
    docket.handle_offer(offer(1, 1));
    docket.handle_offer(offer(2, 1));
    assert!(docket.form(StreamTime(1), CheckpointFlag::Lowered).is_none());
    docket.handle_offer(offer(0, 1));
    docket.handle_stripe_durable(offer(2, 1).stripe.id);
    let first = docket.form(StreamTime(1), CheckpointFlag::Lowered).unwrap();
    assert_eq!(names(&first), [0, 2], "by shard; shard 1 is not durable");
    docket.handle_stripe_durable(offer(1, 1).stripe.id);
    accept(&mut docket, &first);
    assert_eq!(names(&docket.form(StreamTime(1), CheckpointFlag::Lowered).unwrap()), [1]);
}

/// SlotFormed: at most one stripe a shard, in the order of sealing, though a later one is durable first.
#[test]
fn a_shards_stripes_are_named_in_the_order_of_sealing() {
    let mut docket = leading(8);
    docket.handle_offer(offer(1, 1));
    docket.handle_offer(offer(1, 2));
    docket.handle_stripe_durable(offer(1, 2).stripe.id);
    assert!(docket.form(StreamTime(1), CheckpointFlag::Lowered).is_none(), "the first is not durable");
    docket.handle_stripe_durable(offer(1, 1).stripe.id);
    for counter in [1, 2] {
        let proposal = docket.form(StreamTime(1), CheckpointFlag::Lowered).unwrap();
        assert_eq!(Manifest::parse(&proposal.bytes).unwrap().stripes, [offer(1, counter).stripe]);
        assert!(
            docket.form(StreamTime(1), CheckpointFlag::Lowered).is_none(),
            "one slot per completed manifest write"
        );
        accept(&mut docket, &proposal);
    }
}

/// OfferDropped, LeadTaken (P8, P1): under another ballot than its own a stripe is not named.
#[test]
fn an_offer_of_another_leadership_is_dropped() {
    let mut docket = leading(8);
    docket.handle_offer(Offer { ballot: ballot(2), ..offer(0, 1) });
    assert!(docket.form(StreamTime(1), CheckpointFlag::Lowered).is_none() && docket.is_idle());
    assert!(catch_unwind(move || docket.lead(ballot(3))).is_err(), "a ballot is led under once");
    let other = Ballot::new(9, ReplicaId(1));
    assert!(catch_unwind(move || idle(8).lead(other)).is_err(), "another replica's ballot");
}

/// SlotAccepted, SlotChosen (P4, P6): only the slot that was formed, under its ballot, once.
#[test]
fn only_the_slot_that_was_formed_is_accepted() {
    let mut docket = leading(8);
    docket.handle_offer(offer(0, 1));
    let proposal = docket.form(StreamTime(1), CheckpointFlag::Lowered).unwrap();
    assert!(docket.poll_chosen().is_none(), "not chosen before it is durable");
    for (slot, under) in [(Slot(2), ballot(3)), (Slot(1), ballot(2))] {
        let mut docket = docket.clone();
        assert!(catch_unwind(move || docket.handle_accept_durable(slot, under)).is_err());
    }
    accept(&mut docket, &proposal);
    assert_eq!(docket.poll_chosen().unwrap().hash, Hash::of(&proposal.bytes));
    assert!(docket.poll_chosen().is_none(), "told once");
}

/// StripePublished, PublishedAdvances (C3, R4): the mark moves when all below is published, and each stripe counts
/// once.
#[test]
fn published_is_what_every_shard_has_published() {
    let mut docket = leading(8);
    docket.handle_offer(offer(0, 1));
    docket.handle_offer(Offer { in_docket_log: true, ..offer(1, 1) });
    let proposal = docket.form(StreamTime(1), CheckpointFlag::Lowered).unwrap();
    let early = docket.clone();
    accept(&mut docket, &proposal);
    assert!(docket.poll_chosen().is_some());
    let second = chosen(&mut docket, 2);
    docket.handle_published(Slot(1), ShardId(0));
    docket.handle_published(second, ShardId(0));
    assert_eq!(docket.watermarks().published, Slot(0), "shard 1 owes slot 1");
    let broken = [(early, Slot(1), 0), (docket.clone(), Slot(1), 0), (docket.clone(), Slot(1), 2)];
    for (mut docket, slot, shard) in broken {
        let published = catch_unwind(move || docket.handle_published(slot, ShardId(shard)));
        assert!(published.is_err(), "slot {slot}, shard {shard}");
    }
    docket.handle_published(Slot(1), ShardId(1));
    assert_eq!(docket.watermarks().published, Slot(2));
    assert!(docket.is_idle());
}

/// SlotFormed: the window counts from formed to published.
#[test]
fn no_slot_is_formed_beyond_the_window() {
    let mut docket = leading(2);
    chosen(&mut docket, 1);
    chosen(&mut docket, 2);
    docket.handle_offer(offer(0, 3));
    assert!(docket.form(StreamTime(9), CheckpointFlag::Lowered).is_none() && !docket.room());
    docket.handle_published(Slot(1), ShardId(0));
    assert_eq!(docket.form(StreamTime(9), CheckpointFlag::Lowered).unwrap().slot, Slot(3));
}

/// ReplayedInOrder (P4): what recovery found goes through like what is formed, and the next slot chains to it.
#[test]
fn replayed_slots_chain_and_keep_the_window() {
    let mut source = leading(8);
    let mut slots = Vec::new();
    for counter in 1..=4 {
        source.handle_offer(offer(0, counter));
        let proposal = source.form(StreamTime(counter * 10), CheckpointFlag::Lowered).unwrap();
        accept(&mut source, &proposal);
        slots.push((Manifest::parse(&proposal.bytes).unwrap(), Hash::of(&proposal.bytes)));
    }
    let mut docket = idle(2);
    let replay = |docket: &mut Docket, at: usize| docket.replay(slots[at].0.clone(), slots[at].1);
    replay(&mut docket, 0);
    replay(&mut docket, 1);
    assert!(!docket.room());
    for (at, (_, hash)) in slots.iter().enumerate() {
        assert_eq!(docket.poll_chosen().unwrap().hash, *hash);
        docket.handle_published(Slot(at as u64 + 1), ShardId(0));
        if at < 2 {
            replay(&mut docket, at + 2);
        }
    }
    docket.lead(ballot(7));
    docket.handle_offer(Offer { ballot: ballot(7), ..offer(0, 5) });
    let manifest =
        Manifest::parse(&docket.form(StreamTime(1), CheckpointFlag::Lowered).unwrap().bytes).unwrap();
    assert_eq!((manifest.slot, manifest.previous, manifest.time), (Slot(5), slots[3].1, StreamTime(40)));
    let mut unchained = slots[1].0.clone();
    unchained.slot = Slot(1);
    assert!(catch_unwind(move || idle(2).replay(unchained, Hash::ZERO)).is_err());
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
        let mut docket = leading(window);
        let mut counters = [0; SHARDS as usize];
        let mut undurable: Vec<StripeId> = Vec::new();
        let mut expected: Vec<VecDeque<StripeId>> = vec![VecDeque::new(); usize::from(SHARDS)];
        let mut writing: Option<Proposal> = None;
        let mut owed: Vec<(Slot, ShardId)> = Vec::new();
        let (mut previous, mut time) = (Hash::ZERO, StreamTime(0));
        let mut before = docket.watermarks();
        for (what, shard, clock) in steps {
            match what {
                0 | 1 => {
                    counters[usize::from(shard)] += 1;
                    let offer = offer(shard, counters[usize::from(shard)]);
                    docket.handle_offer(offer);
                    expected[usize::from(shard)].push_back(offer.stripe.id);
                    undurable.extend((!offer.in_docket_log).then_some(offer.stripe.id));
                }
                2 if !undurable.is_empty() => {
                    docket.handle_stripe_durable(undurable.swap_remove(clock as usize % undurable.len()));
                }
                3 => if let Some(proposal) = docket.form(StreamTime(clock), CheckpointFlag::Lowered) {
                    prop_assert!(writing.is_none());
                    let manifest = Manifest::parse(&proposal.bytes).unwrap();
                    prop_assert_eq!(manifest.previous, previous);
                    prop_assert!(manifest.time >= time);
                    for stripe in &manifest.stripes {
                        prop_assert_eq!(expected[usize::from(stripe.id.shard.0)].pop_front(), Some(stripe.id));
                        prop_assert!(!undurable.contains(&stripe.id));
                        owed.push((manifest.slot, stripe.id.shard));
                    }
                    (previous, time) = (Hash::of(&proposal.bytes), manifest.time);
                    writing = Some(proposal);
                },
                4 => if let Some(proposal) = writing.take() {
                    accept(&mut docket, &proposal);
                },
                _ => {
                    while docket.poll_chosen().is_some() {}
                    let chosen = docket.watermarks().chosen;
                    // Shards publish each in its own time, each in slot order.
                    let next = owed.iter().position(|(slot, of)| *slot <= chosen && of.0 == shard);
                    if let Some(at) = next {
                        let (slot, shard) = owed.remove(at);
                        docket.handle_published(slot, shard);
                    }
                }
            }
            docket.check_invariants();
            let marks = docket.watermarks();
            prop_assert!(marks.formed >= before.formed && marks.accepted >= before.accepted);
            prop_assert!(marks.chosen >= before.chosen && marks.published >= before.published);
            before = marks;
        }
    }
}
