//! The memory device of a replica, honest or not. What it loses at a crash is decided there, by the seed; the kinds of
//! dishonesty are those that the checks must find out.

use std::collections::{BTreeSet, VecDeque};

use assize_wal::memory::MemoryDevice;
use assize_wal::{Completion, Device, Done, Operation, OperationId};

/// What a device makes of its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honesty {
    /// A completed flush is durable.
    Honest,
    /// Writes complete, and their flush never happens.
    NeverFlushes,
    /// A write is told complete as soon as it is asked for, as by a core that answers before the completion.
    CompletesAtOnce,
}

/// A disk and its lies.
pub struct Disk {
    /// What holds the bytes.
    pub device: MemoryDevice,
    honesty: Honesty,
    /// Operations that were told complete and are not.
    told: BTreeSet<OperationId>,
    early: VecDeque<Completion>,
    /// Operations that the core waits for.
    under_way: usize,
}

impl Disk {
    /// An empty one.
    pub fn new(seed: u64, honesty: Honesty) -> Disk {
        let (told, early) = (BTreeSet::new(), VecDeque::new());
        Disk { device: MemoryDevice::new(seed), honesty, told, early, under_way: 0 }
    }

    /// A core wants this done.
    pub fn submit(&mut self, operation: Operation) {
        self.under_way += 1;
        match (self.honesty, operation) {
            (Honesty::NeverFlushes, Operation::Write { id, segment, offset, buffers, .. }) => {
                self.device.submit(Operation::Write { id, segment, offset, buffers, flush: false });
            }
            (Honesty::NeverFlushes, Operation::Flush { id, .. }) => {
                self.early.push_back(Completion { id, result: Ok(Done::Complete) });
            }
            (Honesty::CompletesAtOnce, operation @ (Operation::Write { .. } | Operation::Flush { .. })) => {
                self.told.insert(operation.id());
                self.early.push_back(Completion { id: operation.id(), result: Ok(Done::Complete) });
                self.device.submit(operation);
            }
            (_, operation) => self.device.submit(operation),
        }
    }

    /// Lets the device take a step, which may complete an operation.
    pub fn step(&mut self) -> Option<Completion> {
        if let Some(completion) = self.early.pop_front() {
            self.under_way -= 1;
            return Some(completion);
        }
        let completion = self.device.poll()?;
        if self.told.remove(&completion.id) {
            return None;
        }
        self.under_way -= 1;
        Some(completion)
    }

    /// Operations that cores wait for.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// The power fails.
    pub fn crash(&mut self, seed: u64) {
        self.device.crash(seed);
        self.told.clear();
        self.early.clear();
        self.under_way = 0;
    }
}
