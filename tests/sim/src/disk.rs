//! The memory device of a replica, with its habits, honest or not. What it loses at a crash is decided there, by the
//! seed; the kinds of dishonesty are those that the checkers must find out.

use std::collections::{BTreeSet, VecDeque};

use assize_node::LogIds;
use assize_wal::memory::{MemoryDevice, Random};
use assize_wal::{BLOCK_BYTES, Completion, Device, Done, Operation, OperationId, SegmentId, SegmentReader};
use assize_wire::LogId;

use crate::recorder::Recorder;
use crate::seeds::trace;
use crate::shape::Shape;

/// So many blocks at the end of a log may be of what was acknowledged last.
const LAST: u64 = 6;

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

/// How a disk takes its time. Operations complete in random order in any case.
#[derive(Clone, Copy, Debug)]
pub struct DiskHabits {
    /// The disk's share of what happens: a message between two cores has 2.
    pub weight: u64,
    /// A log whose operations come late.
    pub slow_log: Option<LogId>,
    /// One in so many of the disk's moves lets one of the slow log's operations begin, others being there.
    pub slow_one_in: u64,
    /// One in so many moves begins a stall; 0 means none does.
    pub stall_one_in: u64,
    /// Moves that a stall takes at most; then all that waited comes in a burst.
    pub stall_moves: u64,
}

impl DiskHabits {
    /// Nothing out of the ordinary.
    pub const CALM: DiskHabits =
        DiskHabits { weight: 6, slow_log: None, slow_one_in: 1, stall_one_in: 0, stall_moves: 1 };
}

/// How a replica goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The power fails: what was not flushed is kept, lost or torn.
    Power,
    /// The process dies: what was written stays written, and unflushed.
    Process,
}

/// A disk and its lies.
pub struct Disk {
    /// What holds the bytes.
    pub device: MemoryDevice,
    /// What is durable, reckoned apart.
    pub recorder: Recorder,
    /// How it takes its time.
    pub habits: DiskHabits,
    /// Nothing completes any more.
    pub hung: bool,
    /// No operation of this log begins any more, until it goes down.
    pub stuck_log: Option<LogId>,
    honesty: Honesty,
    random: Random,
    /// Operations of the slow log that have not begun.
    held: Vec<Operation>,
    /// Moves that the stall still takes.
    stalled: u64,
    /// Operations that were told complete and are not.
    told: BTreeSet<OperationId>,
    early: VecDeque<Completion>,
    /// Operations that cores wait for.
    under_way: usize,
}

impl Disk {
    /// An empty one.
    pub fn new(seed: u64, honesty: Honesty, habits: DiskHabits) -> Disk {
        Disk {
            device: MemoryDevice::new(seed),
            recorder: Recorder::default(),
            habits,
            hung: false,
            stuck_log: None,
            honesty,
            random: Random(seed ^ 0xd15c),
            held: Vec::new(),
            stalled: 0,
            told: BTreeSet::new(),
            early: VecDeque::new(),
            under_way: 0,
        }
    }

    /// A core wants this done.
    pub fn submit(&mut self, shape: &Shape, operation: Operation) {
        self.under_way += 1;
        match (self.honesty, operation) {
            (Honesty::NeverFlushes, Operation::Write { id, segment, offset, buffers, .. }) => {
                self.begin(shape, Operation::Write { id, segment, offset, buffers, flush: false });
            }
            (Honesty::NeverFlushes, Operation::Flush { id, .. }) => {
                self.early.push_back(Completion { id, result: Ok(Done::Complete) });
            }
            (Honesty::CompletesAtOnce, operation @ (Operation::Write { .. } | Operation::Flush { .. })) => {
                self.told.insert(operation.id());
                self.early.push_back(Completion { id: operation.id(), result: Ok(Done::Complete) });
                self.begin(shape, operation);
            }
            (_, operation) => self.begin(shape, operation),
        }
    }

    /// Lets the device move, which may complete an operation.
    pub fn step(&mut self) -> Option<Completion> {
        if let Some(completion) = self.early.pop_front() {
            self.under_way -= 1;
            return Some(completion);
        }
        if self.hung {
            return None;
        }
        if self.stalled > 0 {
            self.stalled -= 1;
            return None;
        }
        if self.habits.stall_one_in > 0 && self.random.below(self.habits.stall_one_in) == 0 {
            self.stalled = self.random.below(self.habits.stall_moves);
        }
        let alone = self.device.in_flight() == 0;
        if !self.held.is_empty() && (alone || self.random.below(self.habits.slow_one_in) == 0) {
            let at = self.random.below(self.held.len() as u64) as usize;
            if self.stuck_log != Some(self.held[at].id().log) {
                self.device.submit(self.held.swap_remove(at));
            }
        }
        let completion = self.device.poll()?;
        self.recorder.note_completed(&completion);
        if self.told.remove(&completion.id) {
            return None;
        }
        self.under_way -= 1;
        Some(completion)
    }

    /// What it makes of its promises.
    pub fn honesty(&self) -> Honesty {
        self.honesty
    }

    /// Operations that cores wait for.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// A byte of a log of stripes and accepts that was written, if any was, and whether it is one of the last of its
    /// log.
    fn draw_written(&mut self, random: &mut Random) -> Option<(LogId, SegmentId, u64, bool)> {
        let logs = self.device.logs().expect("memory reads").into_iter();
        let mut written = Vec::new();
        for log in logs.filter(|log| LogIds::are_stripes(*log)) {
            for (segment, _) in self.device.segments(log).expect("memory reads") {
                let blocks = self.device.bytes(log, segment).chunks(BLOCK_BYTES).enumerate();
                let used = blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0));
                written.extend(used.map(|(at, _)| (log, segment, (at * BLOCK_BYTES) as u64)));
            }
        }
        if written.is_empty() {
            return None;
        }
        // Rather the last ones, which are of slots that are not known chosen everywhere.
        let count = written.len() as u64;
        let from_end = if random.below(2) == 0 { random.below(count.min(LAST)) } else { random.below(count) };
        let at = (count - 1 - from_end) as usize;
        let (log, segment, block) = written[at];
        let of_log = written[at..].iter().take_while(|(of, ..)| *of == log).count() as u64;
        Some((log, segment, block + random.below(BLOCK_BYTES as u64), of_log <= LAST))
    }

    /// Bits of its logs of stripes and accepts turn over, in blocks that are drawn.
    pub fn damage_any(&mut self, random: &mut Random) {
        let mut last = false;
        for _ in 0..1 + random.below(3) {
            if let Some((log, segment, byte, is_last)) = self.draw_written(random) {
                // Both copies of what was acknowledged last, garbled before a mark was written, look like a write that
                // the power cut off. That is not survivable.
                if is_last && std::mem::replace(&mut last, true) {
                    continue;
                }
                trace!("damage in log {log}, segment {segment}, byte {byte}");
                self.damage(log, segment, byte, (byte % 8) as u8);
            }
        }
    }

    /// A bit turns over.
    fn damage(&mut self, log: LogId, segment: SegmentId, byte: u64, bit: u8) {
        self.device.flip_bit(log, segment, byte, bit);
        self.recorder.damaged = true;
    }

    /// Whoever used it is gone, and what was under way is open.
    pub fn down(&mut self, how: Down, seed: u64) {
        self.held.drain(..).for_each(|operation| self.device.submit(operation));
        match how {
            Down::Power => self.device.crash(seed),
            Down::Process => self.device.kill(seed),
        }
        self.recorder.note_down();
        self.told.clear();
        self.early.clear();
        (self.under_way, self.stalled) = (0, 0);
    }

    fn begin(&mut self, shape: &Shape, operation: Operation) {
        self.recorder.note_submitted(shape, &operation);
        if self.habits.slow_log == Some(operation.id().log) {
            self.held.push(operation);
        } else {
            self.device.submit(operation);
        }
    }
}
