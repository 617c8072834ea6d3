//! Lending between two shards, message by message.

use assize_shards::{Exchange, Shard};
use assize_wire::routing::Routing;
use assize_wire::{EntityId, EventKey, ShardId, Slot};

use super::bank::{BANK, Op};
use super::log::{Agreed, Draft, Drafts, LogSlot};
use super::replica::Replica;

const TWO: Agreed = Agreed { routing: Routing { seed: 3, shards: 2 }, ttl: 1000, keys: 100, entities: 100 };

/// The first account at home in a shard.
fn account(home: u16) -> u128 {
    let mut ids = 0..;
    ids.find(|id| TWO.routing.home_of(BANK, EntityId(*id)) == ShardId(home)).unwrap()
}

/// An event under the n-th key of a shard that adds 1 to each account.
fn spread(shard: u16, n: usize, accounts: &[u128]) -> Draft {
    let mut keys = (0..).filter(|key| TWO.routing.shard_of_key(EventKey(*key)) == ShardId(shard));
    Draft::new(keys.nth(n).unwrap(), 500, Op::Spread, 0, accounts)
}

fn slots(drafts: Vec<Drafts>) -> Vec<LogSlot> {
    let mut log = Vec::new();
    for drafts in drafts {
        drafts.append(&mut log, &TWO.routing, |_, _| {});
    }
    log
}

fn choose(shard: &mut Shard, at: usize, slot: &LogSlot) {
    shard.handle_chosen(slot.ordered.clone(), slot.stripe(at), false);
    shard.check_invariants();
}

#[test]
fn x1_x2_a_stripe_that_names_only_its_own_home_never_waits_for_anyone() {
    let (a, b) = (account(0), account(1));
    let drafts = Drafts::new(10, 2).stripe(0, vec![spread(0, 0, &[a])]).stripe(1, vec![spread(1, 0, &[b])]);
    let log = slots(vec![drafts]);
    let mut replica = Replica::new(TWO);
    for (at, shard) in replica.shards.iter_mut().enumerate() {
        choose(shard, at, &log[0]);
        assert!(shard.poll_published().is_some() && shard.poll_exchange().is_none());
        assert_eq!((shard.executed(), shard.counters().stripes_unhindered), (Slot(1), 1));
    }
}

#[test]
fn x1_an_entity_is_lent_in_slot_order_and_c8_a_read_waits_for_its_return() {
    let (a, b) = (account(0), account(1));
    let log = slots(vec![
        Drafts::new(10, 2).stripe(0, vec![spread(0, 0, &[a, b])]),
        Drafts::new(11, 2).stripe(1, vec![spread(1, 0, &[b])]),
    ]);
    let mut replica = Replica::new(TWO);
    let [zero, one] = &mut replica.shards[..] else {
        panic!("two shards");
    };
    choose(one, 1, &log[0]);
    choose(one, 1, &log[1]);
    assert!(one.poll_published().is_none(), "the claim of slot 1 is not known yet");
    choose(zero, 0, &log[0]);
    choose(zero, 0, &log[1]);
    let claim = zero.poll_exchange().unwrap().1;
    assert!(matches!(&claim, Exchange::Claim(claim) if claim.entities == [(BANK, EntityId(b))]));
    one.handle_exchange(ShardId(0), claim);
    one.check_invariants();
    assert!(one.poll_published().is_none(), "slot 1 has the account");
    assert_eq!(one.executed(), Slot(0));
    let read = assize_shards::ReadEntity { index: 4, domain: BANK, entity: EntityId(b) };
    let read = assize_shards::ReadRequest { token: 6, entities: vec![read] };
    one.handle_read(read);
    assert!(one.poll_read().is_none(), "C8: it is away");
    let grant = one.poll_exchange().unwrap().1;
    assert!(zero.poll_published().is_none());
    zero.handle_exchange(ShardId(1), grant);
    assert!(zero.poll_published().is_some() && zero.executed() == Slot(2));
    let returned = zero.poll_exchange().unwrap().1;
    one.handle_exchange(ShardId(0), returned);
    one.check_invariants();
    assert!(one.poll_published().is_some() && one.executed() == Slot(2));
    let answer = one.poll_read().unwrap();
    assert_eq!((answer.token, answer.slot), (6, Slot(2)));
    assert_eq!(answer.states[0].1.as_ref().unwrap()[0], 2, "both stripes added 1");
}

#[test]
fn x1_a_claim_goes_to_every_home_of_the_mask_even_if_it_is_empty() {
    let mut drafts = Drafts::new(10, 2).stripe(0, vec![spread(0, 0, &[account(0)])]);
    drafts.stripes[0].as_mut().unwrap().1 = !0;
    let log = slots(vec![drafts]);
    let mut replica = Replica::new(TWO);
    let [zero, one] = &mut replica.shards[..] else {
        panic!("two shards");
    };
    choose(one, 1, &log[0]);
    assert_eq!(one.executed(), Slot(0));
    choose(zero, 0, &log[0]);
    assert!(zero.poll_published().is_some());
    let (to, claim) = zero.poll_exchange().unwrap();
    assert!(to == ShardId(1) && matches!(&claim, Exchange::Claim(claim) if claim.entities.is_empty()));
    assert!(zero.poll_exchange().is_none());
    one.handle_exchange(ShardId(0), claim);
    assert_eq!(one.executed(), Slot(1));
    assert!(one.poll_exchange().is_none(), "an empty claim is not answered");
}
