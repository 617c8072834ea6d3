//! A checkpoint of one shard with a million entities and a million keys: taken step by step, and taken up again, in
//! CPU time of the thread. Before
//! the figures a line tells how long the steps of a whole checkpoint take of the thread's CPU time, while slots above
//! it go on changing what it has not written yet; the design allows 1 ms for each.

use std::time::Duration;

use assize_bench::kernel::thread_cpu_time;
use assize_bench::summary::quantile;
use assize_bench::work::{Shards, Size};
use assize_shards::{CheckpointStep, PartRecord, ShardRestore};
use assize_wire::ShardId;
use assize_wire::checkpoint::PartHead;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MILLION: u64 = 1_000_000;
/// As the engine's records are.
const RECORD_BYTES: usize = 128 << 10;
const STEPS_BETWEEN_SLOTS: usize = 20;
const CHECKPOINTS: usize = 10;

/// A part, record by record, and how long its steps took.
#[derive(Default)]
struct Part {
    keys: Vec<(u64, u64, Vec<u8>)>,
    entities: Vec<Vec<u8>>,
    head: Option<PartHead>,
    of_keys: Duration,
    of_entities: Duration,
    steps_us: Vec<f64>,
}

/// Takes a whole checkpoint; with `busy`, slots of transfers run between its steps.
fn take(all: &mut Shards, busy: bool) -> Part {
    let slot = all.transfers(1);
    all.choose(slot, true);
    let mut part = Part::default();
    while part.head.is_none() {
        if busy && part.steps_us.len() % STEPS_BETWEEN_SLOTS == 0 {
            let slot = all.transfers(8190);
            all.run(slot);
        }
        let mut payload = Vec::with_capacity(RECORD_BYTES);
        let start = thread_cpu_time().expect("a clock");
        let step = all.shards[0].checkpoint_step(RECORD_BYTES, &mut payload);
        let spent = thread_cpu_time().expect("a clock") - start;
        part.steps_us.push(spent.as_secs_f64() * 1e6);
        match step {
            CheckpointStep::Idle => panic!("a checkpoint is being taken"),
            CheckpointStep::Walked => part.of_entities += spent,
            CheckpointStep::Record(PartRecord::Keys { first, next }) => {
                part.of_keys += spent;
                part.keys.push((first, next, payload));
            }
            CheckpointStep::Record(PartRecord::Entities { .. }) => {
                part.of_entities += spent;
                part.entities.push(payload);
            }
            CheckpointStep::Record(PartRecord::Head { head, .. }) => part.head = Some(head),
        }
    }
    while all.shards[0].poll_published().is_some() {}
    part
}

fn bench(criterion: &mut Criterion) {
    let size = Size { shards: 1, items: MILLION, ttl_slots: 1_000_000, keys_max: 4_000_000 };
    let mut all = Shards::new(size);

    let mut longest = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..CHECKPOINTS {
        let mut taken = take(&mut all, true).steps_us;
        longest.push(quantile(&mut taken, 1.0));
        steps.append(&mut taken);
    }
    println!(
        "checkpoint steps, thread CPU time: {} steps, median {:.0} us, 99.9% {:.0} us; longest of a checkpoint: median {:.0} \
         us, worst {:.0} us (allowed: 1000 us)",
        steps.len(),
        quantile(&mut steps, 0.5),
        quantile(&mut steps, 0.999),
        quantile(&mut longest, 0.5),
        quantile(&mut longest, 1.0),
    );

    // Anew: the slots above have left more keys than a million.
    let mut all = Shards::new(size);
    let mut group = criterion.benchmark_group("checkpoint");
    group.throughput(Throughput::Elements(MILLION));
    let mut of = |name: &str, time: fn(&Part) -> Duration| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| time(&take(&mut all, false))).sum());
        });
    };
    of("entities, each", |part| part.of_entities);
    of("keys, each", |part| part.of_keys);

    let part = take(&mut all, false);
    let (head, time) = (part.head.expect("it is whole"), all.time());
    let mut of = |name: &str, entities: bool| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let (config, domains, guard) = all.parts(ShardId(0));
                    let mut restore = ShardRestore::new(config, domains, guard, head, time);
                    let start = thread_cpu_time().expect("a clock");
                    part.entities.iter().for_each(|payload| restore.entities(payload).expect("its own"));
                    let between = thread_cpu_time().expect("a clock");
                    for (first, next, payload) in &part.keys {
                        restore.keys(*first, *next, payload).expect("its own");
                    }
                    let end = thread_cpu_time().expect("a clock");
                    restore.finish().expect("a whole part");
                    spent += if entities { between - start } else { end - between };
                }
                spent
            });
        });
    };
    of("restore, entities, each", true);
    of("restore, keys, each", false);
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
