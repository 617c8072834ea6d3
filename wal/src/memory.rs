//! The log device in memory, with faults, deterministic from a seed. Operations complete in random order.
//!
//! Faults that recovery must survive, losing nothing acknowledged:
//! * *lost and torn unflushed writes*: [`MemoryDevice::crash`] keeps any subset of the 512-byte sectors of every write
//!   that no completed flush covers, in flight or completed;
//! * *a killed process*: [`MemoryDevice::kill`] keeps what was written, and leaves it unflushed;
//! * *full disk*: [`MemoryDevice::set_segments_left`];
//! * *I/O error on a write or flush*: [`MemoryDevice::fail_operation`]; the replica stops, a crash follows.
//!
//! Faults that must be detected where they touch what was acknowledged, never silently passed:
//! * *bit flip*: [`MemoryDevice::flip_bit`];
//! * *misdirected write*: [`MemoryDevice::misdirect_next_write`];
//! * *unreadable block*: [`MemoryDevice::make_unreadable`].

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use assize_wire::LogId;
use zerocopy::IntoBytes;

use crate::block::Block;
use crate::limits::BLOCK_BYTES;
use crate::operation::{
    Completion, Device, DeviceError, Done, Operation, OperationId, SegmentId, SegmentReader,
};

/// A device in memory.
#[derive(Clone, Debug)]
pub struct MemoryDevice {
    segments: BTreeMap<(LogId, SegmentId), File>,
    superblocks: [Option<File>; 2],
    in_flight: Vec<InFlight>,
    ready: VecDeque<Ready>,
    random: Random,
    submitted: u64,
    /// The submission, by number, that fails, and how.
    fails_at: Option<(u64, FailAt)>,
    /// Blocks by which the next write misses its place.
    misdirected_blocks: Option<i64>,
    segments_left: u64,
    unreadable: BTreeSet<(LogId, SegmentId, u64)>,
}

/// The step at which an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailAt {
    /// The write fails; any part of it may be on the device.
    Write,
    /// The write succeeds, the flush fails.
    Flush,
}

impl MemoryDevice {
    /// An empty device.
    #[must_use]
    pub fn new(seed: u64) -> MemoryDevice {
        MemoryDevice {
            segments: BTreeMap::new(),
            superblocks: [None, None],
            in_flight: Vec::new(),
            ready: VecDeque::new(),
            random: Random(seed),
            submitted: 0,
            fails_at: None,
            misdirected_blocks: None,
            segments_left: u64::MAX,
            unreadable: BTreeSet::new(),
        }
    }

    /// The power fails: what remains of unflushed writes is chosen by `seed`, sector by sector. Nothing in flight
    /// completes. The device goes on from what remains.
    pub fn crash(&mut self, seed: u64) {
        let mut random = Random(seed);
        for operation in core::mem::take(&mut self.in_flight) {
            if operation.stage == Stage::Write {
                self.apply(&operation.operation);
            }
        }
        for file in self.segments.values_mut().chain(self.superblocks.iter_mut().flatten()) {
            file.crash(&mut random);
        }
        self.ready.clear();
        self.fails_at = None;
        self.random = random;
    }

    /// The process dies and the power stays: each write in flight lands or not, chosen by `seed`, and what was not
    /// flushed still is not. Nothing in flight completes. A power failure that follows may take what was read since.
    pub fn kill(&mut self, seed: u64) {
        let mut random = Random(seed);
        for operation in core::mem::take(&mut self.in_flight) {
            if operation.stage == Stage::Write && random.below(2) == 0 {
                self.apply(&operation.operation);
            }
        }
        self.ready.clear();
        self.fails_at = None;
        self.random = random;
    }

    /// The next operation but `after` fails at this step.
    pub fn fail_operation(&mut self, after: u64, at: FailAt) {
        self.fails_at = Some((self.submitted + after + 1, at));
    }

    /// Segments that can still be prepared before the disk is full.
    pub fn set_segments_left(&mut self, left: u64) {
        self.segments_left = left;
    }

    /// The next group commit that can lands this many blocks before its place (negative) and reports success.
    pub fn misdirect_next_write(&mut self, blocks: i64) {
        self.misdirected_blocks = Some(blocks);
    }

    /// Flips one bit at rest.
    pub fn flip_bit(&mut self, log: LogId, segment: SegmentId, byte: u64, bit: u8) {
        let file = self.segments.get_mut(&(log, segment)).expect("the segment is there");
        file.visible[byte as usize] ^= 1 << bit;
        file.durable[byte as usize] ^= 1 << bit;
    }

    /// Every read of this block fails.
    pub fn make_unreadable(&mut self, log: LogId, segment: SegmentId, offset: u64) {
        self.unreadable.insert((log, segment, offset / BLOCK_BYTES as u64 * BLOCK_BYTES as u64));
    }

    /// A segment's bytes as a read sees them.
    #[must_use]
    pub fn bytes(&self, log: LogId, segment: SegmentId) -> &[u8] {
        &self.segments[&(log, segment)].visible
    }

    /// Operations under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Writes one copy of the superblock durably, as boot does.
    pub fn write_superblock(&mut self, copy: u8, blocks: &[Block]) -> Result<(), DeviceError> {
        let mut file = File::of(blocks.as_bytes().len());
        file.write(0, blocks.as_bytes());
        file.flush();
        self.superblocks[usize::from(copy)] = Some(file);
        Ok(())
    }

    /// Moves one operation in flight, chosen at random, one step on.
    fn step(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let at = self.random.below(self.in_flight.len() as u64) as usize;
        let mut under_way = self.in_flight.swap_remove(at);
        let id = under_way.operation.id();
        let fails = self.fails_at.filter(|(number, _)| *number == under_way.number).map(|(_, at)| at);
        if under_way.stage == Stage::Write {
            let result = self.perform(&under_way.operation, fails);
            if result.is_ok() && flushes(&under_way.operation) {
                under_way.stage = Stage::Flush;
                self.in_flight.push(under_way);
            } else {
                self.ready.push_back(Ready { id, result });
            }
            return;
        }
        let result = if fails.is_some() {
            Err(DeviceError::Io { code: 5, place: format!("flushing for {id:?}") })
        } else {
            if let Some(file) = self.file_of(&under_way.operation) {
                file.flush();
            }
            Ok(None)
        };
        self.ready.push_back(Ready { id, result });
    }

    fn perform(
        &mut self,
        operation: &Operation,
        fails: Option<FailAt>,
    ) -> Result<Option<Vec<Block>>, DeviceError> {
        let id = operation.id();
        match operation {
            Operation::PrepareSegment { segment, recycled: Some(recycled), .. } => {
                let file = self.segments.remove(&(id.log, *recycled)).ok_or_else(|| DeviceError::Io {
                    code: 2,
                    place: format!("recycling segment {recycled} of log {}", id.log),
                })?;
                self.segments.insert((id.log, *segment), file);
                Ok(None)
            }
            Operation::PrepareSegment { segment, bytes, recycled: None, .. } => {
                if self.segments_left == 0 {
                    return Err(DeviceError::NoSpace {
                        place: format!("segment {segment} of log {}", id.log),
                    });
                }
                self.segments_left -= 1;
                self.segments.insert((id.log, *segment), File::of(*bytes as usize));
                Ok(None)
            }
            Operation::Read { location, .. } => {
                let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
                self.read(location.log, location.segment, location.offset, &mut blocks)?;
                Ok(Some(blocks))
            }
            Operation::Write { .. } | Operation::WriteSuperblock { .. } | Operation::Flush { .. } => {
                if self.file_of(operation).is_none() {
                    return Err(DeviceError::Io { code: 2, place: format!("opening the file of {id:?}") });
                }
                self.apply(operation);
                match fails {
                    Some(FailAt::Write) => {
                        Err(DeviceError::Io { code: 5, place: format!("writing for {id:?}") })
                    }
                    _ => Ok(None),
                }
            }
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { offset, buffers, .. } => {
                let missed = self.misdirected_blocks.unwrap_or(0) * BLOCK_BYTES as i64;
                let misplaced = offset.checked_add_signed(missed);
                if misplaced.is_some() {
                    self.misdirected_blocks = None;
                }
                let Some(file) = self.file_of(operation) else {
                    return;
                };
                let mut at = misplaced.unwrap_or(*offset);
                for buffer in buffers {
                    file.write(at, buffer.as_blocks_bytes());
                    at += buffer.as_blocks_bytes().len() as u64;
                }
            }
            Operation::WriteSuperblock { blocks, .. } => {
                if let Some(file) = self.file_of(operation) {
                    file.write(0, blocks.as_slice().as_bytes());
                }
            }
            Operation::Flush { .. } | Operation::PrepareSegment { .. } | Operation::Read { .. } => {}
        }
    }

    fn file_of(&mut self, operation: &Operation) -> Option<&mut File> {
        let log = operation.id().log;
        match operation {
            Operation::Write { segment, .. } | Operation::Flush { segment, .. } => {
                self.segments.get_mut(&(log, *segment))
            }
            Operation::WriteSuperblock { copy, .. } => self.superblocks[usize::from(*copy)].as_mut(),
            Operation::PrepareSegment { .. } | Operation::Read { .. } => None,
        }
    }
}

impl Device for MemoryDevice {
    fn submit(&mut self, operation: Operation) {
        self.submitted += 1;
        self.in_flight.push(InFlight { number: self.submitted, operation, stage: Stage::Write });
    }

    fn poll(&mut self) -> Option<Completion> {
        if self.ready.is_empty() {
            self.step();
        }
        let ready = self.ready.pop_front()?;
        let result = ready.result.map(|blocks| blocks.map_or(Done::Complete, Done::Read));
        Some(Completion { id: ready.id, result })
    }

    fn wait(&mut self) {
        while self.ready.is_empty() && !self.in_flight.is_empty() {
            self.step();
        }
    }
}

impl SegmentReader for MemoryDevice {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        let logs: BTreeSet<LogId> = self.segments.keys().map(|(log, _)| *log).collect();
        Ok(logs.into_iter().collect())
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        let of_log = self.segments.iter().filter(|((of, _), _)| *of == log);
        Ok(of_log.map(|((_, segment), file)| (*segment, file.visible.len() as u64)).collect())
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        let place = || format!("reading segment {segment} of log {log} at {offset}");
        let bytes = into.as_mut_bytes();
        let end = offset + bytes.len() as u64;
        if self.unreadable.range((log, segment, offset)..(log, segment, end)).next().is_some() {
            return Err(DeviceError::Io { code: 5, place: place() });
        }
        let file = self.segments.get(&(log, segment));
        let found = file.and_then(|file| file.visible.get(offset as usize..end as usize));
        bytes.copy_from_slice(found.ok_or_else(|| DeviceError::Io { code: 0, place: place() })?);
        Ok(())
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        self.segments.iter_mut().filter(|((of, _), _)| *of == log).for_each(|(_, file)| file.flush());
        Ok(())
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        let file = self.superblocks[usize::from(copy)].as_mut();
        Ok(file.map(|file| {
            file.flush();
            let mut blocks = vec![Block::ZERO; file.visible.len() / BLOCK_BYTES];
            blocks.as_mut_slice().as_mut_bytes().copy_from_slice(&file.visible);
            blocks
        }))
    }
}

/// A small deterministic generator (splitmix64), so that one seed tells the whole story.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

#[derive(Clone, Debug)]
struct InFlight {
    number: u64,
    operation: Operation,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Write,
    Flush,
}

#[derive(Clone, Debug)]
struct Ready {
    id: OperationId,
    result: Result<Option<Vec<Block>>, DeviceError>,
}

/// Bytes as a read sees them, as a crash leaves them, and the writes between the two.
#[derive(Clone, Debug)]
struct File {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unflushed: Vec<(u64, Vec<u8>)>,
}

impl File {
    fn of(bytes: usize) -> File {
        File { visible: vec![0; bytes], durable: vec![0; bytes], unflushed: Vec::new() }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.visible[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        self.unflushed.push((offset, bytes.to_vec()));
    }

    fn flush(&mut self) {
        for (offset, bytes) in self.unflushed.drain(..) {
            self.durable[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// Each write stays wholly, not at all, or in any subset of its sectors.
    fn crash(&mut self, random: &mut Random) {
        for (offset, bytes) in self.unflushed.drain(..) {
            let fate = random.below(3);
            for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let at = offset as usize + index * SECTOR_BYTES;
                let place = at..at + sector.len();
                if fate == 0 || (fate == 1 && random.below(2) == 0) {
                    self.durable[place.clone()].copy_from_slice(sector);
                }
                // Only here a read may have seen something else than what stays.
                self.visible[place.clone()].copy_from_slice(&self.durable[place]);
            }
        }
    }
}

fn flushes(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Write { flush: true, .. } | Operation::Flush { .. } | Operation::WriteSuperblock { .. }
    )
}

/// What a disk writes atomically.
const SECTOR_BYTES: usize = 512;
