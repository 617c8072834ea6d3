//! Union-find over a stripe of 8,190 transfers: cleared, every entity added, every event united, every event asked.

use std::time::Duration;

use assize_bench::work::Rng;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

extern crate alloc;

// It is a part of the shard and of no use to anybody else, so the bench takes it in, its tests included, instead of
// making it public.
#[allow(
    dead_code,
    unused_imports,
    reason = "the shard asks for more than is measured here, and tests do not run here"
)]
#[path = "../../shards/src/partitioner/mod.rs"]
mod partitioner;

use partitioner::Partitioner;

const EVENTS: usize = 8190;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("partitioner");
    group.throughput(Throughput::Elements(EVENTS as u64));
    let mut partitioner = Partitioner::default();
    // Few meet; most are in one large group; one entity is in every second event.
    for (name, entities, hot) in
        [("100,000 items", 100_000, false), ("8,000 items", 8000, false), ("one hot item", 8000, true)]
    {
        let mut rng = Rng(88_172_645_463_325_252);
        let mut numbers = vec![u32::MAX; entities];
        let mut count = 0;
        // Entities are numbered densely, by first use.
        let mut number = |item: u64| {
            let number = &mut numbers[item as usize];
            if *number == u32::MAX {
                *number = count;
                count += 1;
            }
            *number
        };
        let mut event = |at: usize| {
            let source = if hot && at.is_multiple_of(2) { 0 } else { rng.next_u64() % entities as u64 };
            [number(source), number(rng.next_u64() % entities as u64)]
        };
        let events: Vec<[u32; 2]> = (0..EVENTS).map(&mut event).collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                partitioner.clear();
                (0..count).for_each(|at| partitioner.add(at.is_multiple_of(2)));
                events.iter().for_each(|event| partitioner.unite(event));
                events.iter().filter(|event| partitioner.is_held(event[0])).count()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1));
    targets = bench
}
criterion_main!(benches);
