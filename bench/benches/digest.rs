//! The fixed hashes over one stripe of 4095 transfers: blake3 for its identity, crc32c for its frame and record.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STRIPE_BYTES: usize = 48 + 4095 * 80;

fn bench(criterion: &mut Criterion) {
    let stripe: Vec<u8> = (0..STRIPE_BYTES).map(|at| (at * 31) as u8).collect();
    let mut group = criterion.benchmark_group("digest of a stripe");
    group.throughput(Throughput::Bytes(STRIPE_BYTES as u64));
    group.bench_function("blake3", |bencher| bencher.iter(|| blake3::hash(black_box(&stripe))));
    group.bench_function("crc32c", |bencher| bencher.iter(|| crc32c::crc32c(black_box(&stripe))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1));
    targets = bench
}
criterion_main!(benches);
