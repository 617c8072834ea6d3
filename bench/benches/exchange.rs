//! Shards that lend each other entities: two and four in one thread, a stripe of 8,190 transfers in each, slot after
//! slot with four under way, in CPU time of that thread. With each figure goes a line with the messages that an event
//! took.

use std::time::Duration;

use assize_bench::kernel::thread_cpu_time;
use assize_bench::work::{Shards, Size};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STRIPE: u32 = 8190;
const WINDOW: usize = 4;
const SLOTS: usize = 8;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    for shards in [1, 2, 4] {
        let mut all = Shards::new(Size::usual(shards));
        let events = u64::from(STRIPE) * u64::from(shards) * SLOTS as u64;
        let mut measured = 0;
        all.take_told();
        group.throughput(Throughput::Elements(events));
        group.bench_function(format!("{shards} shards, window {WINDOW}"), |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let slots: Vec<_> = (0..SLOTS).map(|_| all.transfers(STRIPE)).collect();
                    let start = thread_cpu_time().expect("a clock");
                    let released = all.run_pipelined(slots, WINDOW);
                    spent += thread_cpu_time().expect("a clock") - start;
                    assert_eq!(released as u64, events, "every event is published");
                }
                measured += times * events;
                spent
            });
        });
        let told = all.take_told();
        let slots = measured / (u64::from(STRIPE) * u64::from(shards));
        let [claims, grants, returns] = told.messages.map(|count| count as f64 / slots as f64);
        let (messages, entities) = (told.messages.iter().sum::<u64>() as f64, told.entities as f64);
        println!(
            "exchange, {shards} shards: {claims:.1} claims, {grants:.1} grants, {returns:.1} returns a slot; {:.5} \
             messages and {:.3} entities lent an event",
            messages / measured as f64,
            entities / measured as f64
        );
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = bench
}
criterion_main!(benches);
