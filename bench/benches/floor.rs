//! The floor: a bare loop on one core that touches what one event must touch and does nothing else. What the engine
//! needs above this is the price of what it promises.
//!
//! For each event: copy its 80 bytes into the stripe, insert its key into a table of ten million 64-byte entries (and
//! take the oldest out), change two of 100,000 entities, append a 64-byte outcome; for each stripe one blake3 over its
//! bytes and one over its outcomes. `evaluate` and `warden` measure the same work in the engine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use assize_bench::work::Rng;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zerocopy::IntoBytes;

const STRIPE: usize = 4095;
const EVENT_BYTES: usize = 80;
const ENTITIES: u64 = 100_000;
const LIVE_KEYS: usize = 10_000_000;
/// Twice the live keys, and a power of two.
const BUCKETS: usize = 1 << 25;

struct Floor {
    rng: Rng,
    events: Vec<[u64; EVENT_BYTES / 8]>,
    stripe: Vec<u64>,
    /// Ring of entries in order of arrival, and an index of ring positions, 0 for none.
    ring: Vec<[u64; 7]>,
    index: Vec<u32>,
    next: usize,
    entities: Vec<[u64; 6]>,
    outcomes: Vec<u64>,
}

impl Floor {
    fn new() -> Floor {
        let mut floor = Floor {
            rng: Rng(88_172_645_463_325_252),
            events: vec![[0; 10]; STRIPE],
            stripe: Vec::with_capacity(STRIPE * 10),
            ring: vec![[0; 7]; LIVE_KEYS],
            index: vec![0; BUCKETS],
            next: 0,
            entities: vec![[1 << 40; 6]; ENTITIES as usize],
            outcomes: Vec::with_capacity(STRIPE * 8),
        };
        while floor.next <= LIVE_KEYS {
            floor.stripe();
        }
        floor
    }

    fn stripe(&mut self) -> Duration {
        for event in &mut self.events {
            event.fill_with(|| self.rng.next_u64());
        }
        let start = Instant::now();
        self.stripe.clear();
        self.outcomes.clear();
        for event in &self.events {
            self.stripe.extend_from_slice(event);
        }
        black_box(blake3::hash(self.stripe.as_slice().as_bytes()));
        for at in 0..STRIPE {
            let event: [u64; 10] = self.stripe[at * 10..at * 10 + 10].try_into().expect("an event");
            self.insert(&event);
            let (source, destination) = (event[2] % ENTITIES, event[3] % ENTITIES);
            self.entities[source as usize][0] -= 1;
            self.entities[destination as usize][0] += 1;
            let (left, right) = (self.entities[source as usize][0], self.entities[destination as usize][0]);
            self.outcomes.extend_from_slice(&[event[0], event[1], at as u64, 1, left, right, 0, 0]);
        }
        black_box(blake3::hash(self.outcomes.as_slice().as_bytes()));
        start.elapsed()
    }

    fn insert(&mut self, event: &[u64; 10]) {
        let position = self.next % LIVE_KEYS;
        let oldest = self.ring[position][0];
        if self.next >= LIVE_KEYS {
            // Keys are random, so their low bits are the hash. Nothing is moved up: the bench only needs the misses.
            let bucket = self.find(oldest, position as u32 + 1);
            self.index[bucket] = 0;
        }
        let bucket = self.find(event[0], 0);
        self.index[bucket] = position as u32 + 1;
        self.ring[position] = [event[0], event[1], event[2], event[3], event[4], event[5], event[6]];
        self.next += 1;
    }

    /// The key's bucket that holds `wanted`, or the first free one.
    fn find(&self, key: u64, wanted: u32) -> usize {
        let mut bucket = key as usize & (BUCKETS - 1);
        while self.index[bucket] != wanted && self.index[bucket] != 0 {
            bucket = (bucket + 1) & (BUCKETS - 1);
        }
        bucket
    }
}

fn bench(criterion: &mut Criterion) {
    let mut floor = Floor::new();
    let mut group = criterion.benchmark_group("floor");
    group.throughput(Throughput::Elements(STRIPE as u64));
    group.bench_function("bare loop", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| floor.stripe()).sum());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = bench
}
criterion_main!(benches);
