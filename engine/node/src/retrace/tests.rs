//! Slots evaluated again: what of them is told, and what ends it.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::panic::{AssertUnwindSafe, catch_unwind};

use assize_domain::DomainRegistry;
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, ItemState, VERSION, item_id};
use assize_shards::PanicGuard;
use assize_wal::memory::MemoryDevice;
use assize_wal::recovery::{Peers, recover};
use assize_wal::superblock::Superblock;
use assize_wal::{LogIdentity, Mark};
use assize_wire::event::encode_event;
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::outcome::Status;
use assize_wire::published::PublishedStripe;
use assize_wire::stripe::StripeHead;
use assize_wire::{Ballot, EventKey, LogId, StreamTime, StripeId};

use super::*;
use crate::agreed::tests::agreed;
use crate::boot::peers_of;
use crate::checkpoint::Founding;

struct Guard;

impl PanicGuard for Guard {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        catch_unwind(AssertUnwindSafe(body)).is_ok()
    }
}

/// A cluster that began with the inventory alone, before its first slot.
fn beginning() -> (Agreed, Retrace) {
    let mut agreed = agreed();
    agreed.domains.truncate(1);
    agreed.domains[0].version = VERSION;
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).expect("the only one");
    let superblock = Superblock::first(agreed.cluster, ReplicaId(0), 0, 1 << 20);
    let recovered = recover(&mut MemoryDevice::new(0), &superblock, &mut |_| None, Peers::None);
    let recovered = recovered.expect("an empty disk has lost nothing");
    let identity = LogIdentity {
        cluster: agreed.cluster,
        record_key: 0,
        replica: ReplicaId(0),
        log: LogId(0),
        segment_bytes: 1 << 20,
    };
    let guard: Arc<dyn PanicGuard> = Arc::new(Guard);
    let mut device = MemoryDevice::new(0);
    let states = Retrace::restore(&mut device, identity, &agreed, &recovered, Arc::new(domains), &guard);
    (agreed, states.expect("an empty state"))
}

/// A slot with a stripe of each shard that one of these moves of stock belongs to.
fn slot(agreed: &Agreed, number: u64, moves: &[InventoryEvent<'_>], controls: Vec<Control>) -> ReplayedSlot {
    let mut bytes: Vec<(u32, Vec<u8>)> = vec![(0, Vec::new()); agreed.shard_count.into()];
    for (at, event) in moves.iter().enumerate() {
        let key = EventKey(u128::from(number) << 64 | at as u128);
        let of = &mut bytes[usize::from(agreed.routing().shard_of_key(key).0)];
        of.0 += 1;
        let mut payload = Vec::new();
        event.encode_payload(&mut payload);
        encode_event(&mut of.1, key, StreamTime(1 << 40), INVENTORY, VERSION, &payload).expect("short");
    }
    let (mut stripes, mut refs) = (Vec::new(), Vec::new());
    for (shard, (events, of)) in (0..).map(ShardId).zip(&bytes).filter(|(_, (events, _))| *events > 0) {
        let home_mask = (1 << agreed.shard_count) - 1;
        let ballot = Ballot::NONE;
        let head = StripeHead {
            shard,
            ballot,
            counter: number,
            home_mask,
            events: *events,
            events_bytes: of.len() as u32,
        };
        let bytes = [&head.encode()[..], of].concat();
        let id = StripeId { shard, hash: Hash::of(&bytes) };
        refs.push(StripeRef { id, home_mask, events: *events, bytes: bytes.len() as u32 });
        stripes.push((shard, Arc::new(bytes) as assize_shards::StripeBytes));
    }
    let (slot, time) = (Slot(number), StreamTime(number));
    let manifest = Manifest { slot, time, previous: Hash::ZERO, checkpoint: false, stripes: refs, controls };
    let hash = Hash::of(&manifest.encode());
    ReplayedSlot { ordered: Ordered { manifest, hash }, stripes, digests: Vec::new() }
}

fn put(item: u64, delta: i64) -> InventoryEvent<'static> {
    InventoryEvent::Adjust { item: item_id(1, item), delta, reason: 0 }
}

#[test]
fn d1_transfers_between_shards_come_to_the_states_that_they_name() {
    let (agreed, mut states) = beginning();
    let stock: Vec<_> = (0..20).map(|item| put(item, 100)).collect();
    states.evaluate(slot(&agreed, 1, &stock, Vec::new())).expect("slot 1");
    let transfer = |item| InventoryEvent::Transfer {
        source: item_id(1, item),
        destination: item_id(1, (item + 1) % 20),
        quantity: 10 + item,
    };
    let published = states.evaluate(slot(&agreed, 2, &(0..20).map(transfer).collect::<Vec<_>>(), Vec::new()));
    let published = published.expect("slot 2");
    assert_eq!(published.iter().map(|stripe| stripe.outcomes.count()).sum::<u32>(), 20);
    assert!(published.iter().all(|stripe| stripe.evaluated.pieces().count() > 0), "what changed is kept");
    for item in 0..20 {
        let state = states.state(&agreed, INVENTORY, item_id(1, item)).expect("it is there");
        let came = if item == 0 { 29 } else { 9 + item };
        assert_eq!(
            ItemState::parse(&state).expect("an item").quantity,
            100 + came - (10 + item),
            "item {item}"
        );
    }
    assert_eq!(states.state(&agreed, INVENTORY, item_id(1, 99)), None);
    assert_eq!((states.slot(), states.counts().0), (Slot(2), 20));
}

/// RestoredElsewhere, RestorationNamed: a start finds the states, the keys and the outcomes of the slots that were
/// evaluated elsewhere, and goes on from them.
#[test]
fn l6_w2_what_was_evaluated_is_founded_on_an_empty_device() {
    let (agreed, mut states) = beginning();
    let stock: Vec<_> = (0..300).map(|item| put(item, 5)).collect();
    let mut outcomes: Vec<Published> = Vec::new();
    for number in 1..=2 {
        outcomes.extend(states.evaluate(slot(&agreed, number, &stock, Vec::new())).expect("a slot"));
    }
    let mut device = MemoryDevice::new(1);
    let mut superblock = Superblock::first(agreed.cluster, ReplicaId(0), 7, 1 << 20);
    let identity = LogIdentity {
        cluster: agreed.cluster,
        record_key: 7,
        replica: ReplicaId(0),
        log: LogId(0),
        segment_bytes: 1 << 20,
    };
    let mut founding = Founding::new(&mut device, identity);
    for Published { slot, shard, digest, time, outcomes, .. } in &outcomes {
        let (digest, events) = (*digest, outcomes.count());
        let stripe = PublishedStripe { slot: *slot, time: *time, digest, events, outcomes: outcomes.bytes() };
        let payload = [&stripe.header()[..], stripe.outcomes].concat();
        founding.outcomes(*shard, (*slot, *slot), *time, &payload).expect("space");
    }
    let (digest, tip) = (states.digest(), states.tip());
    let ballot = Ballot::new(3, ReplicaId(1));
    let founded = founding.finish(states.shards_mut(), tip, ballot).expect("space");
    superblock.incarnation = founded.incarnation;
    (superblock.promised, superblock.checkpoint) = (ballot, Some(founded.checkpoint));
    superblock.cuts = founded.cuts;

    // Whatever was not durable is lost.
    device.crash(2);
    let recovered = recover(&mut device, &superblock, &mut |_| None, peers_of(3)).expect("nothing is lost");
    assert_eq!((recovered.chosen, recovered.mark), (Slot(2), Mark { ballot, slot: Slot(2) }));
    let stored = outcomes.iter().filter(|found| recovered.outcomes.locate(found.shard, found.slot).is_some());
    assert_eq!(stored.count(), outcomes.len());
    let (mut domains, guard) = (DomainRegistry::new(), Arc::new(Guard) as Arc<dyn PanicGuard>);
    domains.register(InventoryDomain).expect("the only one");
    let restored = Retrace::restore(&mut device, identity, &agreed, &recovered, Arc::new(domains), &guard);
    let mut restored = restored.expect("a state");
    assert_eq!((restored.digest(), restored.tip(), restored.counts()), (digest, tip, (300, 600)));
    // Keys of both slots are known: nothing is applied twice.
    let mut again = slot(&agreed, 1, &stock, Vec::new());
    (again.ordered.manifest.slot, again.ordered.manifest.time) = (Slot(3), StreamTime(3));
    let answered = restored.evaluate(again).expect("slot 3");
    let mut statuses = answered.iter().flat_map(|stripe| stripe.outcomes.iter());
    assert!(statuses.all(|outcome| outcome.status == Status::Duplicate));
    let entity = restored.state(&agreed, INVENTORY, item_id(1, 7)).expect("it is there");
    assert_eq!(ItemState::parse(&entity).expect("an item").quantity, 10);
}

// ContradictionTold.
#[test]
fn c4_what_was_published_otherwise_is_told() {
    let (agreed, mut states) = beginning();
    let digest = states.evaluate(slot(&agreed, 1, &[put(1, 5)], Vec::new())).expect("slot 1")[0].digest;
    let (agreed, mut states) = (agreed, beginning().1);
    let mut right = slot(&agreed, 1, &[put(1, 5)], Vec::new());
    let shard = right.stripes[0].0;
    right.digests = vec![(shard, digest)];
    assert_eq!(states.evaluate(right).expect("as it was published").len(), 1);
    let mut wrong = slot(&agreed, 2, &[put(1, 5)], Vec::new());
    let shard = wrong.stripes[0].0;
    wrong.digests = vec![(shard, digest)];
    let error = states.evaluate(wrong).expect_err("other events");
    assert!(
        matches!(error, RetraceError::Contradicted { slot: Slot(2), expected, found, .. } if expected == digest && found != digest),
        "{error:?}"
    );
}

// LackingLogicRefused.
#[test]
fn r5_a_slot_of_logic_that_is_not_here_ends_it() {
    let (agreed, mut states) = beginning();
    let logic = LogicVersion { domain: INVENTORY, version: VERSION + 1 };
    let switch = slot(&agreed, 1, &[put(1, 5)], vec![Control::SwitchLogic(logic)]);
    states.evaluate(switch).expect("the switch takes effect at the next slot");
    let error = states.evaluate(slot(&agreed, 2, &[put(1, 5)], Vec::new())).expect_err("it is not here");
    assert_eq!(error, RetraceError::LogicMissing { slot: Slot(2), logic });
}
