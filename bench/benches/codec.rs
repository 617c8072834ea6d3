//! What is written and read for every event, stripe and slot: events, stripes, outcomes, answers, manifests. Checksums
//! and digests are `frame`'s and `digest`'s.

use std::hint::black_box;
use std::time::Duration;

use assize_inventory::{INVENTORY, InventoryEvent, VERSION};
use assize_wire::event::{Event, encode_event};
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::outcome::{Outcome, Status};
use assize_wire::stripe::{Stripe, StripeHead};
use assize_wire::{Ballot, DomainId, EntityId, EventKey, Hash, ShardId, Slot, StreamTime, StripeId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STRIPE: u32 = 4095;
const SHARDS: u16 = 64;

fn encode_transfers(out: &mut Vec<u8>, payload: &mut Vec<u8>) {
    out.clear();
    for at in 0..u128::from(STRIPE) {
        payload.clear();
        let (source, destination) = (EntityId(at), EntityId(at + 1));
        InventoryEvent::Transfer { source, destination, quantity: 1 }.encode_payload(payload);
        encode_event(out, EventKey(at), StreamTime(1), INVENTORY, VERSION, payload).expect("a short payload");
    }
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(STRIPE.into()));
    let (mut body, mut payload) = (Vec::new(), Vec::new());
    group.bench_function("event, encode", |bencher| {
        bencher.iter(|| encode_transfers(black_box(&mut body), &mut payload));
    });
    group.bench_function("event, parse", |bencher| {
        bencher.iter(|| {
            let mut rest = black_box(&body[..]);
            while !rest.is_empty() {
                let (event, after) = Event::parse(rest).expect("it was encoded");
                black_box(event.key());
                rest = after;
            }
        });
    });
    let head = StripeHead {
        shard: ShardId(0),
        ballot: Ballot::NONE,
        counter: 1,
        home_mask: 1,
        events: STRIPE,
        events_bytes: body.len() as u32,
    };
    let stripe = [&head.encode()[..], &body].concat();
    group.bench_function("stripe, parse with its events and payloads", |bencher| {
        bencher.iter(|| {
            let stripe = Stripe::parse(black_box(&stripe)).expect("it was encoded");
            for event in stripe.events() {
                let event = event.expect("it was encoded");
                black_box(InventoryEvent::parse(event.payload())).expect("it was encoded");
            }
        });
    });
    let mut outcomes = Vec::new();
    let outcome = |index| Outcome {
        key: EventKey(u128::from(index)),
        domain: DomainId(1),
        status: Status::Applied,
        first_status: Status::Applied,
        reason: 0,
        index,
        original_slot: Slot(1),
        original_index: index,
        response: &[7; 16],
    };
    group.bench_function("outcome, encode", |bencher| {
        bencher.iter(|| {
            outcomes.clear();
            (0..STRIPE).for_each(|index| outcome(index).encode(black_box(&mut outcomes)));
        });
    });
    group.bench_function("outcome, parse", |bencher| {
        bencher.iter(|| {
            let mut rest = black_box(&outcomes[..]);
            while !rest.is_empty() {
                let (outcome, after) = Outcome::parse(rest).expect("it was encoded");
                black_box(outcome.index);
                rest = after;
            }
        });
    });
    group.finish();
}

fn manifests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec, manifest of 64 stripes");
    let stripe = |shard| StripeRef {
        id: StripeId { shard: ShardId(shard), hash: Hash::of(&shard.to_le_bytes()) },
        home_mask: u64::MAX,
        events: STRIPE,
        bytes: 1,
    };
    let manifest = Manifest {
        slot: Slot(1),
        time: StreamTime(1),
        previous: Hash::ZERO,
        checkpoint: false,
        controls: Vec::new(),
        stripes: (0..SHARDS).map(stripe).collect(),
    };
    let bytes = manifest.encode();
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(&manifest).encode()));
    group.bench_function("parse", |bencher| bencher.iter(|| Manifest::parse(black_box(&bytes))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1));
    targets = events, manifests
}
criterion_main!(benches);
