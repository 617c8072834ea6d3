//! Evaluation through [`assize_shards::Shard`]: a stripe of 4095 transfers on one shard, and two such stripes on two
//! shards that lend each other half of the items, all on one thread.

use std::time::{Duration, Instant};

use assize_bench::work::{Shards, Size};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STRIPE: u32 = 4095;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evaluate");
    for (name, shards) in [("one shard, all local", 1), ("two shards, exchange", 2)] {
        let mut all = Shards::new(Size::usual(shards));
        group.throughput(Throughput::Elements(u64::from(STRIPE) * u64::from(shards)));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let slot = all.transfers(STRIPE);
                    let start = Instant::now();
                    let released = all.run(slot);
                    spent += start.elapsed();
                    assert!(released >= STRIPE as usize, "{released} events were released");
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = bench
}
criterion_main!(benches);
