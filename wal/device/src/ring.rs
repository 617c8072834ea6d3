//! The O_DIRECT device with a ring of its own: what tests and benches run, and a core that has no ring to share.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use assize_wal::operation::{Completion, Device, Operation};
use io_uring::{IoUring, squeue};

use crate::direct::{DirectDevice, DurabilityMode};
use crate::trace::DeviceOptions;

/// A [`DirectDevice`] and its ring.
#[derive(Debug)]
pub struct RingDevice {
    device: DirectDevice,
    ring: Ring,
    completed: VecDeque<Completion>,
}

impl RingDevice {
    /// Opens a ring for the data directory `root`.
    pub fn new(root: &Path, mode: DurabilityMode) -> io::Result<RingDevice> {
        RingDevice::with(root, DeviceOptions { mode, tracer: None })
    }

    /// The same with all that can be chosen.
    pub fn with(root: &Path, options: DeviceOptions) -> io::Result<RingDevice> {
        let device = DirectDevice::new(root, 0, options, Arc::new(|| ()));
        Ok(RingDevice { device, ring: Ring(IoUring::new(ENTRIES)?), completed: VecDeque::new() })
    }

    fn reap(&mut self) {
        let RingDevice { device, ring, completed } = self;
        for entry in ring.0.completion() {
            completed.extend(device.complete(entry.user_data(), entry.result()));
        }
    }
}

impl Device for RingDevice {
    fn submit(&mut self, operation: Operation) {
        let mut entries = Vec::with_capacity(2);
        self.device.submit(operation, &mut |entry| entries.push(entry));
        self.ring.push(&entries);
        self.ring.enter(0);
    }

    fn poll(&mut self) -> Option<Completion> {
        self.reap();
        self.completed.pop_front().or_else(|| self.device.poll_completion())
    }

    fn wait(&mut self) {
        self.reap();
        if !self.completed.is_empty() || self.device.has_ready() {
            return;
        }
        if self.device.in_flight() > 0 {
            self.ring.enter(1);
        } else {
            self.device.wait_prepared();
        }
    }
}

impl Drop for RingDevice {
    fn drop(&mut self) {
        while self.device.in_flight() > 0 {
            self.ring.enter(1);
            self.reap();
        }
    }
}

struct Ring(IoUring);

impl Ring {
    fn push(&mut self, entries: &[squeue::Entry]) {
        let mut queue = self.0.submission();
        // SAFETY: every entry comes from `DirectDevice`, which owns the memory and the file that it names until its
        // completions have arrived, and leaks them if it is dropped before.
        let pushed = unsafe { queue.push_multiple(entries) };
        // Everything is submitted at once, so the queue is empty before each push.
        pushed.expect("the submission queue has room for one operation");
    }

    fn enter(&mut self, wanted: usize) {
        loop {
            match self.0.submit_and_wait(wanted) {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("io_uring_enter failed: {error}"),
            }
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

const ENTRIES: u32 = 256;
