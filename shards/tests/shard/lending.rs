//! Lending between two shards, message by message.

use assize_kit::drive::LogSlot;
use assize_shards::exchange::StateOf;
use assize_shards::{Exchange, Shard};
use assize_wire::routing::Routing;
use assize_wire::{EntityId, EventKey, ShardId, Slot};

use super::bank::{BANK, Op};
use super::log::{Agreed, Draft, Drafts};
use super::replica::replica;

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
    let mut replica = replica(TWO);
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
    let mut replica = replica(TWO);
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
fn c8_an_entity_that_was_only_read_goes_home_unchanged() {
    let b = account(1);
    let inspect = Draft { op: Op::Inspect, ..spread(0, 0, &[b]) };
    let log = slots(vec![Drafts::new(10, 2).stripe(0, vec![inspect])]);
    let mut replica = replica(TWO);
    let [zero, one] = &mut replica.shards[..] else {
        panic!("two shards");
    };
    choose(one, 1, &log[0]);
    choose(zero, 0, &log[0]);
    one.handle_exchange(ShardId(0), zero.poll_exchange().unwrap().1);
    zero.handle_exchange(ShardId(1), one.poll_exchange().unwrap().1);
    let published = zero.poll_published().unwrap();
    assert_eq!(published.outcomes.iter().next().unwrap().response, [0]);
    let returned = zero.poll_exchange().unwrap().1;
    let Exchange::Return(states) = &returned else { panic!("not a return: {returned:?}") };
    assert!(states.states.iter().eq([StateOf::Unchanged]));
    one.handle_exchange(ShardId(0), returned);
    one.check_invariants();
    assert_eq!((one.executed(), one.counters().entities), (Slot(1), 0));
}

#[test]
fn x1_a_claim_goes_to_every_home_of_the_mask_even_if_it_is_empty() {
    let mut drafts = Drafts::new(10, 2).stripe(0, vec![spread(0, 0, &[account(0)])]);
    drafts.stripes[0].as_mut().unwrap().1 = !0;
    let log = slots(vec![drafts]);
    let mut replica = replica(TWO);
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

const THREE: Agreed = Agreed { routing: Routing { seed: 3, shards: 3 }, ..TWO };

/// The n-th account at home in a shard of three.
fn of_three(home: u16, n: usize) -> u128 {
    let at_home = |id: &u128| THREE.routing.home_of(BANK, EntityId(*id)) == ShardId(home);
    (0..).filter(at_home).nth(n).unwrap()
}

/// An event under the n-th key of a shard of three that adds 1 to each account.
fn spread_three(shard: u16, n: usize, accounts: &[u128]) -> Draft {
    let mut keys = (0..).filter(|key| THREE.routing.shard_of_key(EventKey(*key)) == ShardId(shard));
    Draft::new(keys.nth(n).unwrap(), 500, Op::Spread, 0, accounts)
}

fn slots_three(drafts: Vec<Drafts>) -> Vec<LogSlot> {
    let mut log = Vec::new();
    for drafts in drafts {
        drafts.append(&mut log, &THREE.routing, |_, _| {});
    }
    log
}

fn sent(shard: &mut Shard) -> Vec<(u16, Exchange)> {
    shard.check_invariants();
    core::iter::from_fn(|| shard.poll_exchange()).map(|(to, message)| (to.0, message)).collect()
}

fn read_balance(shard: &mut Shard, account: u128) -> Option<u8> {
    let read = assize_shards::ReadEntity { index: 0, domain: BANK, entity: EntityId(account) };
    shard.handle_read(assize_shards::ReadRequest { token: 1, entities: vec![read] });
    let answer = shard.poll_read()?;
    answer.states[0].1.as_ref().map(|state| state[0])
}

/// Positions of a grant.
fn granted(message: &Exchange) -> &[u32] {
    match message {
        Exchange::Grant(grant) => &grant.positions,
        other => panic!("not a grant: {other:?}"),
    }
}

/// Positions of a return.
fn returned(message: &Exchange) -> &[u32] {
    match message {
        Exchange::Return(returned) => &returned.positions,
        other => panic!("not a return: {other:?}"),
    }
}

// GroupHeld, GroupsAreComponents, FreeGroupsRun.
#[test]
fn x2_what_lacks_nothing_runs_and_passes_its_entities_on_though_a_loan_never_comes() {
    let (free, held, away) = (of_three(0, 0), of_three(0, 1), of_three(1, 0));
    let first_only = of_three(0, 3);
    let first = vec![
        spread_three(0, 5, &[held, first_only]),
        spread_three(0, 0, &[held, away]),
        spread_three(0, 1, &[free]),
        spread_three(0, 2, &[held]),
        spread_three(0, 3, &[free]),
    ];
    let log = slots_three(vec![
        Drafts::new(10, 3).stripe(0, first),
        Drafts::new(11, 3).stripe(2, vec![spread_three(2, 0, &[free])]),
        Drafts::new(12, 3).stripe(0, vec![spread_three(0, 4, &[of_three(0, 2)])]),
    ]);
    let mut replica = replica(THREE);
    let [zero, _, two] = &mut replica.shards[..] else {
        panic!("three shards");
    };
    choose(zero, 0, &log[0]);
    assert!(matches!(&sent(zero)[..], [(1, Exchange::Claim(_))]), "and nobody answers it");
    assert_eq!(read_balance(zero, free), Some(2), "both its events ran");
    assert_eq!(read_balance(zero, held), None, "its later events wait, though it is here");
    assert_eq!(read_balance(zero, first_only), Some(1), "the first of them lacked nothing and ran");
    for slot in &log {
        choose(two, 2, slot);
    }
    let [(0, claim)] = &sent(two)[..] else {
        panic!("one claim");
    };
    choose(zero, 0, &log[1]);
    zero.handle_exchange(ShardId(2), claim.clone());
    let grant = sent(zero);
    assert_eq!(granted(&grant[0].1), [0], "the next turn has it at once");
    two.handle_exchange(ShardId(0), grant[0].1.clone());
    let back = sent(two);
    zero.handle_exchange(ShardId(2), back[0].1.clone());
    assert_eq!(read_balance(zero, free), Some(3));
    choose(zero, 0, &log[2]);
    assert_eq!(read_balance(zero, of_three(0, 2)), Some(1), "a later stripe runs before an earlier one");
    assert!(zero.poll_published().is_none() && zero.executed() == Slot(0), "and is published after it");
}

// EventRuns, EntityReturned, GrantSent.
#[test]
fn x2_an_entity_returns_after_its_last_use_while_the_stripe_waits_for_another() {
    let (soon, late) = (of_three(1, 0), of_three(2, 0));
    let events = vec![spread_three(0, 0, &[late]), spread_three(0, 1, &[soon]), spread_three(0, 2, &[soon])];
    let log = slots_three(vec![
        Drafts::new(10, 3).stripe(0, events),
        Drafts::new(11, 3).stripe(2, vec![spread_three(2, 0, &[soon])]),
    ]);
    let mut replica = replica(THREE);
    let [zero, one, two] = &mut replica.shards[..] else {
        panic!("three shards");
    };
    choose(zero, 0, &log[0]);
    let claims = sent(zero);
    assert!(matches!(&claims[..], [(1, Exchange::Claim(_)), (2, Exchange::Claim(_))]));
    for slot in &log {
        choose(one, 1, slot);
        choose(two, 2, slot);
    }
    one.handle_exchange(ShardId(0), claims[0].1.clone());
    let [(0, grant)] = &sent(one)[..] else {
        panic!("one grant");
    };
    let later = sent(two);
    one.handle_exchange(ShardId(2), later[0].1.clone());
    assert!(sent(one).is_empty(), "slot 1 has it");
    zero.handle_exchange(ShardId(1), grant.clone());
    let back = sent(zero);
    assert!(zero.poll_published().is_none(), "it waits for the other");
    assert_eq!((back.len(), back[0].0, returned(&back[0].1)), (1, 1, &[0][..]));
    one.handle_exchange(ShardId(0), back[0].1.clone());
    let [(2, grant)] = &sent(one)[..] else {
        panic!("one grant");
    };
    two.handle_exchange(ShardId(1), grant.clone());
    let back = sent(two);
    assert!(two.poll_published().is_none(), "its turn comes when the claim of slot 1 is known");
    assert!(back.is_empty());
    two.handle_exchange(ShardId(0), claims[1].1.clone());
    let done = sent(two);
    assert!(two.poll_published().is_some() && zero.poll_published().is_none());
    assert_eq!(done.len(), 2, "a grant to slot 1 and the return of slot 2");
    let ours = done.iter().find(|(to, _)| *to == 0).unwrap();
    zero.handle_exchange(ShardId(2), ours.1.clone());
    assert_eq!(returned(&sent(zero)[0].1), [0]);
    assert!(zero.poll_published().is_some());
}

// EntityTaken, GrantSent, EntityReturned.
#[test]
fn x1_x2_grants_carry_what_is_free_and_are_coalesced_as_returns_are() {
    let accounts: Vec<u128> = (0..4).map(|n| of_three(1, n)).collect();
    let events = |shard| accounts.iter().enumerate().map(move |(n, id)| spread_three(shard, n, &[*id]));
    let log = slots_three(vec![
        Drafts::new(10, 3).stripe(0, events(0).take(2).collect()),
        Drafts::new(11, 3).stripe(2, events(2).collect()),
    ]);
    let mut replica = replica(THREE);
    let [zero, one, two] = &mut replica.shards[..] else {
        panic!("three shards");
    };
    for slot in &log {
        choose(zero, 0, slot);
        choose(one, 1, slot);
        choose(two, 2, slot);
    }
    let (first, second) = (sent(zero), sent(two));
    one.handle_exchange(ShardId(2), second[0].1.clone());
    assert!(sent(one).is_empty(), "slot 1 comes first, and its claim is not here");
    one.handle_exchange(ShardId(0), first[0].1.clone());
    let grants = sent(one);
    assert_eq!(grants.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [0, 2], "one for each claim");
    assert_eq!((granted(&grants[0].1), granted(&grants[1].1)), (&[0, 1][..], &[2, 3][..]));
    two.handle_exchange(ShardId(1), grants[1].1.clone());
    let back = sent(two);
    assert_eq!(back.len(), 1, "one return for what ran in one round");
    one.handle_exchange(ShardId(2), back[0].1.clone());
    assert!(sent(one).is_empty() && two.poll_published().is_none());
    zero.handle_exchange(ShardId(1), grants[0].1.clone());
    let back = sent(zero);
    assert_eq!((back.len(), returned(&back[0].1)), (1, &[0, 1][..]));
    one.handle_exchange(ShardId(0), back[0].1.clone());
    let rest = sent(one);
    assert_eq!((rest.len(), granted(&rest[0].1)), (1, &[0, 1][..]), "what came free follows");
    two.handle_exchange(ShardId(1), rest[0].1.clone());
    assert!(two.poll_published().is_some());
    let back = sent(two);
    one.handle_exchange(ShardId(2), back[0].1.clone());
    assert_eq!(one.executed(), Slot(2));
    assert!(accounts.iter().take(2).all(|id| read_balance(one, *id) == Some(2)));
}
