//! The log: one record appended and durable, on the memory device and on the disk of the temporary directory.

use std::time::{Duration, Instant};

use assize_device::{DurabilityMode, RingDevice};
use assize_wal::memory::MemoryDevice;
use assize_wal::{BlockBuffer, Device, Entry, Log, LogConfig, LogIdentity, LogStart};
use assize_wire::{ClusterId, Hash, Incarnation, LogId, ReplicaId, ShardId, StripeId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENTS: u64 = 4;

/// A log on a device, made anew when it is full.
struct Logs<D> {
    device: D,
    log: Log,
    fresh: Box<dyn FnMut() -> D>,
}

impl<D: Device> Logs<D> {
    fn new(mut fresh: Box<dyn FnMut() -> D>) -> Logs<D> {
        let (device, log) = prepared(fresh());
        Logs { device, log, fresh }
    }

    fn append(&mut self, payload: &[u8], entry: Entry) -> Duration {
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(payload);
        let start = Instant::now();
        if let Err(full) = self.log.append(entry, buffer) {
            (self.device, self.log) = prepared((self.fresh)());
            drop(full);
            return self.append(payload, entry);
        }
        loop {
            while let Some(operation) = self.log.poll_operation() {
                self.device.submit(operation);
            }
            self.device.wait();
            while let Some(completion) = self.device.poll() {
                self.log.handle_completion(completion).expect("a sound device");
            }
            if self.log.poll_durable().is_some() {
                return start.elapsed();
            }
        }
    }
}

/// An empty log all of whose segments are prepared, so that none is while something is measured.
fn prepared<D: Device>(mut device: D) -> (D, Log) {
    let (cluster, replica, log) = (ClusterId(1), ReplicaId(0), LogId(0));
    let identity = LogIdentity { cluster, record_key: 0, replica, log, segment_bytes: SEGMENT_BYTES };
    let config = LogConfig { prepare_ahead: SEGMENTS, segments_max: SEGMENTS, ..LogConfig::default() };
    let mut log = Log::new(identity, config, LogStart::fresh(Incarnation(1)));
    while !log.is_idle() {
        while let Some(operation) = log.poll_operation() {
            device.submit(operation);
        }
        device.wait();
        while let Some(completion) = device.poll() {
            log.handle_completion(completion).expect("a sound device");
        }
    }
    (device, log)
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log append+sync");
    let stripes = [("one event", 128_usize), ("a stripe of 4095 events", 48 + 4095 * 80)];
    for (name, bytes) in stripes {
        let payload = vec![7; bytes];
        let entry = Entry::Stripe(StripeId { shard: ShardId(0), hash: Hash::of(&payload) });
        group.throughput(Throughput::Bytes(bytes as u64));

        let mut memory = Logs::new(Box::new(|| MemoryDevice::new(1)));
        group.bench_function(format!("memory, {name}"), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| memory.append(&payload, entry)).sum());
        });

        let modes = [("fdatasync", DurabilityMode::LinkedFdatasync), ("dsync", DurabilityMode::WriteDsync)];
        for (mode_name, mode) in modes {
            // The directory of the log before is removed as the next is made.
            let mut directory: Option<TempDir> = None;
            let fresh = move || {
                let next = directory
                    .insert(TempDir::with_prefix_in("assize-bench-log", place()).expect("a directory"));
                RingDevice::new(next.path(), mode).expect("a ring")
            };
            let mut disk = Logs::new(Box::new(fresh));
            group.bench_function(format!("disk {mode_name}, {name}"), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| disk.append(&payload, entry)).sum());
            });
        }
    }
    group.finish();
}

/// A disk: the temporary directory is in memory on some hosts.
fn place() -> std::path::PathBuf {
    std::env::var_os("ASSIZE_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into()).into()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
