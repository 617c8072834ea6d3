//! The Warden: looking up and inserting a stripe's keys, with few live keys and with ten million.
//!
//! Both are steady states: as many keys expire with each slot as are new in it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use assize_bench::work::Rng;
use assize_shards::warden::{Look, Warden};
use assize_wire::outcome::Status;
use assize_wire::{EventKey, Slot, StreamTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STRIPE: usize = 4095;

struct Steady {
    warden: Warden,
    rng: Rng,
    slot: u64,
    ttl: u64,
    keys: Vec<EventKey>,
    hashes: Vec<u64>,
}

impl Steady {
    fn new(live_keys: usize) -> Steady {
        let ttl = live_keys.div_ceil(STRIPE) as u64;
        let warden = Warden::new((live_keys + 2 * STRIPE) as u32, ttl, 1);
        let (keys, hashes) = (vec![EventKey(0); STRIPE], vec![0; STRIPE]);
        let mut steady = Steady { warden, rng: Rng(88_172_645_463_325_252), slot: 0, ttl, keys, hashes };
        for _ in 0..ttl + 2 {
            steady.stripe();
        }
        steady
    }

    fn stripe(&mut self) -> Duration {
        self.keys.fill_with(|| self.rng.key());
        self.slot += 1;
        let now = StreamTime(self.slot);
        let deadline = StreamTime(self.slot + self.ttl);
        let start = Instant::now();
        self.warden.begin(Slot(self.slot), now);
        for (hash, key) in self.hashes.iter_mut().zip(&self.keys) {
            *hash = self.warden.hash(*key);
        }
        let mut index = 0;
        // As the Arbiter does it: the look-ups of a block begin before the first of them ends.
        for (keys, hashes) in self.keys.chunks(16).zip(self.hashes.chunks(16)) {
            black_box(hashes.iter().fold(0, |all, hash| all ^ self.warden.touch(*hash)));
            for (key, hash) in keys.iter().zip(hashes) {
                let Look::Absent(vacancy) = self.warden.look(*hash, *key, 7) else {
                    panic!("a key came twice")
                };
                let seen =
                    self.warden.admit(vacancy, *hash, *key, 7, deadline, index).expect("there is room");
                self.warden.decide(seen, Status::Applied, 0, &[1; 16]);
                index += 1;
            }
        }
        start.elapsed()
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("warden");
    group.throughput(Throughput::Elements(STRIPE as u64));
    for (name, live_keys) in
        [("look+insert, few live keys", STRIPE), ("look+insert, 10M live keys", 10_000_000)]
    {
        let mut steady = Steady::new(live_keys);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| steady.stripe()).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
