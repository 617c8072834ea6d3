//! The client protocol's frames: encoding and parsing requests of one and of 1024 transfers, checksum included.

use std::hint::black_box;
use std::time::Duration;

use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENT_BYTES: usize = 80;

fn encode(out: &mut Vec<u8>, payload: &[u8]) {
    out.clear();
    let writer = FrameWriter::begin(out, FrameKind::Submit, 7);
    out.extend_from_slice(payload);
    writer.finish(out);
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for events in [1, 1024] {
        let payload = vec![5; 16 + events * EVENT_BYTES];
        let mut out = Vec::new();
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function(format!("encode, {events} events"), |bencher| {
            bencher.iter(|| encode(&mut out, black_box(&payload)));
        });
        group.bench_function(format!("parse, {events} events"), |bencher| {
            bencher.iter(|| {
                let parsed = Frame::parse(black_box(&out));
                assert!(matches!(parsed, Ok(Parsed::Whole { .. })));
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
