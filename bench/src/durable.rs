//! The ways of appending durably that `disk_ab` compares. Each writes whole blocks one after the other into a segment
//! that was allocated and written before (L2), and begins again at its end, as a recycled segment is used.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use assize_device::{DurabilityMode, RingDevice};
use assize_wal::limits::RECORD_HEADER_BYTES;
use assize_wal::{BlockBuffer, Device, Operation, OperationId, SegmentId};
use assize_wire::LogId;
use glommio::io::{DmaFile, OpenOptions as DmaOptions};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

/// One round of one way.
pub struct Round {
    /// Each append's nanoseconds from its submission until it was durable.
    pub latencies_ns: Vec<f64>,
    /// How long the round took.
    pub seconds: f64,
}

/// One way of appending.
pub trait Way {
    /// Its name in tables and records.
    fn name(&self) -> &'static str;

    /// Appends `count` times `bytes` bytes, at most `depth` at a time.
    fn run(&mut self, bytes: usize, depth: usize, count: usize) -> Round;
}

/// All ways, the first being what the others are compared with. Each has a segment of its own below `root`.
///
/// # Errors
/// The directory cannot be written, or a ring cannot be made.
pub fn ways(root: &Path) -> io::Result<Vec<Box<dyn Way>>> {
    let mut device = RingDevice::new(root, DurabilityMode::default())?;
    for log in 0..5 {
        let id = OperationId { log: LogId(log), number: 0 };
        device.submit(Operation::PrepareSegment {
            id,
            segment: SEGMENT,
            bytes: SEGMENT_BYTES,
            recycled: None,
            urgent: true,
        });
        finish_one(&mut device);
    }
    drop(device);
    // glommio finds out with a read whether polling works. On an empty file that read succeeds and says nothing, and
    // every later read of the thread fails; these segments hold data, so it finds out.
    let executor = LocalExecutorBuilder::new(Placement::Unbound).make().map_err(failed)?;
    let executor = Rc::new(executor);
    Ok(vec![
        Box::new(Blocking { file: Arc::new(direct().open(path(root, 0))?), at: AtomicU64::new(0) }),
        Box::new(Ring::new(root, 1, DurabilityMode::LinkedFdatasync)?),
        Box::new(Ring::new(root, 2, DurabilityMode::WriteDsync)?),
        Box::new(Glommio::new(Rc::clone(&executor), &path(root, 3), false)?),
        Box::new(Glommio::new(executor, &path(root, 4), true)?),
    ])
}

/// `pwrite` and `fdatasync`, from as many threads as there are appends at a time.
struct Blocking {
    file: Arc<File>,
    at: AtomicU64,
}

impl Way for Blocking {
    fn name(&self) -> &'static str {
        "pwrite + fdatasync"
    }

    fn run(&mut self, bytes: usize, depth: usize, count: usize) -> Round {
        let one = || {
            let buffer = record(bytes);
            let mut latencies_ns = Vec::with_capacity(count / depth);
            for _ in 0..count / depth {
                let offset = self.at.fetch_add(bytes as u64, Ordering::Relaxed) % SEGMENT_BYTES;
                let start = Instant::now();
                self.file.write_all_at(buffer.as_blocks_bytes(), offset).expect("a write");
                self.file.sync_data().expect("a flush");
                latencies_ns.push(start.elapsed().as_nanos() as f64);
            }
            latencies_ns
        };
        self.at.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let latencies_ns = if depth == 1 {
            one()
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..depth).map(|_| scope.spawn(one)).collect();
                threads.into_iter().flat_map(|thread| thread.join().expect("a thread that writes")).collect()
            })
        };
        Round { latencies_ns, seconds: start.elapsed().as_secs_f64() }
    }
}

/// The engine's own device with a ring of its own.
struct Ring {
    device: RingDevice,
    log: LogId,
    mode: DurabilityMode,
}

impl Ring {
    fn new(root: &Path, log: u16, mode: DurabilityMode) -> io::Result<Ring> {
        Ok(Ring { device: RingDevice::new(root, mode)?, log: LogId(log), mode })
    }
}

impl Way for Ring {
    fn name(&self) -> &'static str {
        match self.mode {
            DurabilityMode::LinkedFdatasync => "ring: write -> fdatasync",
            DurabilityMode::WriteDsync => "ring: write RWF_DSYNC",
            DurabilityMode::Unflushed => "ring: write, not durable",
        }
    }

    fn run(&mut self, bytes: usize, depth: usize, count: usize) -> Round {
        let buffer = Arc::new(record(bytes));
        let mut started = vec![Instant::now(); count];
        let mut latencies_ns = Vec::with_capacity(count);
        let start = Instant::now();
        let mut next = 0;
        while latencies_ns.len() < count {
            while next < count && next - latencies_ns.len() < depth {
                started[next] = Instant::now();
                self.device.submit(Operation::Write {
                    id: OperationId { log: self.log, number: next as u64 },
                    segment: SEGMENT,
                    offset: (next * bytes) as u64 % SEGMENT_BYTES,
                    buffers: vec![Arc::clone(&buffer)],
                    flush: true,
                });
                next += 1;
            }
            self.device.wait();
            while let Some(completion) = self.device.poll() {
                completion.result.expect("a durable write");
                latencies_ns.push(started[completion.id.number as usize].elapsed().as_nanos() as f64);
            }
        }
        Round { latencies_ns, seconds: start.elapsed().as_secs_f64() }
    }
}

/// glommio's file, with as many tasks as there are appends at a time.
struct Glommio {
    executor: Rc<LocalExecutor>,
    file: Rc<DmaFile>,
    dsync: bool,
}

impl Glommio {
    fn new(executor: Rc<LocalExecutor>, path: &Path, dsync: bool) -> io::Result<Glommio> {
        let file = executor.run(async {
            let mut options = DmaOptions::new();
            options.read(true).write(true).custom_flags(if dsync { libc::O_DSYNC } else { 0 });
            options.dma_open(path).await
        });
        Ok(Glommio { executor, file: Rc::new(file.map_err(failed)?), dsync })
    }
}

impl Way for Glommio {
    fn name(&self) -> &'static str {
        if self.dsync { "glommio: O_DSYNC write_at" } else { "glommio: write_at, fdatasync" }
    }

    fn run(&mut self, bytes: usize, depth: usize, count: usize) -> Round {
        let dsync = self.dsync;
        let latencies_ns = Rc::new(RefCell::new(Vec::with_capacity(count)));
        let next = Rc::new(Cell::new(0_usize));
        let start = Instant::now();
        self.executor.run(async {
            let task = || {
                let (file, next) = (Rc::clone(&self.file), Rc::clone(&next));
                let latencies_ns = Rc::clone(&latencies_ns);
                let mut buffer = file.alloc_dma_buffer(bytes);
                buffer.as_bytes_mut().fill(7);
                let buffer = Rc::new(buffer);
                glommio::spawn_local(async move {
                    while next.get() < count {
                        let offset = (next.get() * bytes) as u64 % SEGMENT_BYTES;
                        next.set(next.get() + 1);
                        let start = Instant::now();
                        let written = file.write_rc_at(Rc::clone(&buffer), offset).await.expect("a write");
                        assert_eq!(written, bytes, "a short write");
                        if !dsync {
                            file.fdatasync().await.expect("a flush");
                        }
                        latencies_ns.borrow_mut().push(start.elapsed().as_nanos() as f64);
                    }
                })
            };
            let tasks: Vec<_> = (0..depth).map(|_| task()).collect();
            for task in tasks {
                task.await;
            }
        });
        let seconds = start.elapsed().as_secs_f64();
        Round { latencies_ns: latencies_ns.take(), seconds }
    }
}

/// `bytes` bytes on the device.
fn record(bytes: usize) -> BlockBuffer {
    let mut buffer = BlockBuffer::for_record(bytes - RECORD_HEADER_BYTES);
    buffer.extend_zeroed(bytes - RECORD_HEADER_BYTES).fill(7);
    buffer
}

fn finish_one(device: &mut RingDevice) {
    loop {
        device.wait();
        if let Some(completion) = device.poll() {
            completion.result.expect("a segment can be prepared");
            return;
        }
    }
}

/// glommio's errors hold what cannot go from thread to thread.
fn failed(error: glommio::GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}

fn direct() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_DIRECT);
    options
}

fn path(root: &Path, log: u16) -> PathBuf {
    root.join(format!("log-{log:05}")).join(format!("segment-{:016x}", SEGMENT.0))
}

const SEGMENT: SegmentId = SegmentId(0);
const SEGMENT_BYTES: u64 = 64 << 20;
