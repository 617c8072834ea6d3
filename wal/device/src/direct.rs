//! Operations as io_uring entries for a ring that somebody else owns.
//!
//! Invariants:
//! 1. Memory and files that the kernel may still touch are owned by `in_flight` until every completion of their
//!    operation has arrived; a device dropped before that leaks them rather than free them.
//! 2. Every operation gives exactly one completion.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use assize_wal::operation::{Completion, DeviceError, Done, Operation, OperationId};
use assize_wal::{BLOCK_BYTES, Block, BlockBuffer};
use io_uring::{opcode, squeue, types};
use zerocopy::IntoBytes;

use crate::directory::{Place, device_error, direct_options, hold};
use crate::preparer::{Preparer, Request, Wake};
use crate::trace::{DeviceOptions, DiskEvent, tell};

/// The O_DIRECT device of one data directory, for use with a foreign ring.
///
/// Call order: [`DirectDevice::submit`] gives entries to push, in that order, into one ring (both entries of a linked
/// pair in the same submission); each completion whose user data [`DirectDevice::owns`] goes to
/// [`DirectDevice::complete`]; and after a wake, or once per turn, [`DirectDevice::poll_completion`] gives the rest.
/// Before it is dropped, [`DirectDevice::in_flight`] should have reached zero.
pub struct DirectDevice {
    root: PathBuf,
    /// The high byte of every user data.
    tag: u8,
    options: DeviceOptions,
    files: HashMap<Place, Arc<File>>,
    in_flight: Vec<Option<InFlight>>,
    free: Vec<u32>,
    /// Completions that need no ring: errors at opening, prepared segments.
    ready: VecDeque<Completion>,
    preparer: Preparer,
    preparing: usize,
}

impl DirectDevice {
    /// A device whose user data all begin with `tag`. `wake` is called from another thread when a segment has been
    /// prepared.
    #[must_use]
    pub fn new(root: &Path, tag: u8, options: DeviceOptions, wake: Wake) -> DirectDevice {
        DirectDevice {
            root: root.to_owned(),
            tag,
            preparer: Preparer::start(root, wake, options.tracer.clone()),
            options,
            files: HashMap::new(),
            in_flight: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            preparing: 0,
        }
    }

    /// Starts an operation: gives `push` zero, one or two entries.
    pub fn submit(&mut self, operation: Operation, push: &mut impl FnMut(squeue::Entry)) {
        let id = operation.id();
        if let Err(error) = self.start(operation, push) {
            self.ready.push_back(Completion { id, result: Err(error) });
        }
    }

    /// Whether a completion with this user data belongs to this device.
    #[must_use]
    pub fn owns(&self, user_data: u64) -> bool {
        (user_data >> TAG_SHIFT) as u8 == self.tag
    }

    /// Takes in a completion of the ring.
    pub fn complete(&mut self, user_data: u64, result: i32) -> Option<Completion> {
        assert!(self.owns(user_data), "user data {user_data:#x} is not of device {:#x}", self.tag);
        let slot = ((user_data & SLOT_MASK) >> 1) as usize;
        let operation = self.in_flight[slot].as_mut();
        let operation =
            operation.unwrap_or_else(|| panic!("slot {slot} completed more often than submitted"));
        operation.completions_left -= 1;
        let is_flush = user_data & FLUSH_PART != 0;
        // A write that fails or falls short cancels its linked flush: the write's own error is the one to report.
        if operation.error.is_none() {
            operation.error = operation.check(is_flush, result);
            if operation.error.is_none() {
                let event = operation.completed(is_flush);
                event.into_iter().for_each(|event| tell(self.options.tracer.as_ref(), || event));
            }
        }
        if operation.completions_left > 0 {
            return None;
        }
        let operation = self.in_flight[slot].take().expect("it was there above");
        self.free.push(slot as u32);
        let result = match (operation.error, operation.memory) {
            (Some(error), _) => Err(error),
            (None, Memory::Read(blocks)) => Ok(Done::Read(blocks)),
            (None, _) => Ok(Done::Complete),
        };
        Some(Completion { id: operation.id, result })
    }

    /// The next completion that did not come through the ring.
    pub fn poll_completion(&mut self) -> Option<Completion> {
        while let Some(prepared) = self.preparer.poll() {
            self.take_prepared(prepared);
        }
        self.ready.pop_front()
    }

    /// Operations whose completion is to come through the ring.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    /// Blocks until a segment under preparation is done. Returns at once if none is.
    pub(crate) fn wait_prepared(&mut self) {
        if self.preparing > 0
            && let Some(prepared) = self.preparer.wait()
        {
            self.take_prepared(prepared);
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn take_prepared(&mut self, prepared: crate::preparer::Prepared) {
        self.preparing -= 1;
        let result = prepared.result.map(|file| {
            self.keep(Place::Segment(prepared.id.log, prepared.segment), &Arc::new(file));
            Done::Complete
        });
        self.ready.push_back(Completion { id: prepared.id, result });
    }

    fn start(
        &mut self,
        operation: Operation,
        push: &mut impl FnMut(squeue::Entry),
    ) -> Result<(), DeviceError> {
        match operation {
            Operation::Write { id, segment, offset, buffers, flush } => {
                let file = self.file(Place::Segment(id.log, segment))?;
                let iovecs = buffers.iter().map(|buffer| iovec(buffer.as_blocks_bytes())).collect();
                let memory = Memory::Group { iovecs, buffers };
                self.start_write(id, file, Place::Segment(id.log, segment), offset, memory, flush, push);
            }
            Operation::WriteSuperblock { id, copy, blocks } => {
                let file = self.file(Place::Superblock(copy))?;
                let iovecs = Box::new([iovec(blocks.as_slice().as_bytes())]);
                let memory = Memory::Superblock { iovecs, blocks };
                self.start_write(id, file, Place::Superblock(copy), 0, memory, true, push);
            }
            Operation::Flush { id, segment } => {
                if self.options.mode == DurabilityMode::Unflushed {
                    self.ready.push_back(Completion { id, result: Ok(Done::Complete) });
                    return Ok(());
                }
                let place = Place::Segment(id.log, segment);
                let file = self.file(place)?;
                let fd = types::Fd(file.as_raw_fd());
                let slot = self.insert(InFlight::new(id, place, file, Memory::None, 0, 1));
                tell(self.options.tracer.as_ref(), || DiskEvent::FlushSubmitted { id, place });
                push(fdatasync(fd).user_data(self.user_data(slot) | FLUSH_PART));
            }
            Operation::Read { id, location } => {
                let place = Place::Segment(location.log, location.segment);
                let file = self.file(place)?;
                let fd = types::Fd(file.as_raw_fd());
                let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
                let pointer = blocks.as_mut_slice().as_mut_bytes().as_mut_ptr();
                let memory = Memory::Read(blocks);
                let slot = self.insert(InFlight::new(id, place, file, memory, u64::from(location.bytes), 1));
                let entry = opcode::Read::new(fd, pointer, location.bytes).offset(location.offset).build();
                push(entry.user_data(self.user_data(slot)));
            }
            Operation::PrepareSegment { id, segment, bytes, recycled, urgent } => {
                if let Some(recycled) = recycled {
                    self.files.remove(&Place::Segment(id.log, recycled));
                }
                self.preparing += 1;
                self.preparer.request(Request { id, segment, bytes, recycled, urgent });
            }
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one write, taken apart by its only two callers"
    )]
    fn start_write(
        &mut self,
        id: OperationId,
        file: Arc<File>,
        place: Place,
        offset: u64,
        memory: Memory,
        flush: bool,
        push: &mut impl FnMut(squeue::Entry),
    ) {
        let fd = types::Fd(file.as_raw_fd());
        let iovecs = memory.iovecs();
        let (pointer, count) = (iovecs.as_ptr(), iovecs.len() as u32);
        let bytes = iovecs.iter().map(|part| part.iov_len as u64).sum();
        let linked = flush && self.options.mode == DurabilityMode::LinkedFdatasync;
        let synced = flush && self.options.mode == DurabilityMode::WriteDsync;
        tell(self.options.tracer.as_ref(), || {
            let bytes = memory.written().concat();
            DiskEvent::WriteSubmitted { id, place, offset, bytes }
        });
        if linked {
            tell(self.options.tracer.as_ref(), || DiskEvent::FlushSubmitted { id, place });
        }
        let slot = self.insert(InFlight {
            synced,
            ..InFlight::new(id, place, file, memory, bytes, 1 + u8::from(linked))
        });
        let user_data = self.user_data(slot);
        let write = opcode::Writev::new(fd, pointer, count).offset(offset);
        if linked {
            push(write.build().flags(squeue::Flags::IO_LINK).user_data(user_data));
            push(fdatasync(fd).user_data(user_data | FLUSH_PART));
        } else {
            let rw_flags = if synced { libc::RWF_DSYNC } else { 0 };
            push(write.rw_flags(rw_flags).build().user_data(user_data));
        }
    }

    fn file(&mut self, place: Place) -> Result<Arc<File>, DeviceError> {
        if let Some(file) = self.files.get(&place) {
            return Ok(Arc::clone(file));
        }
        let path = place.path(&self.root);
        let open = || direct_options().open(&path).and_then(|file| hold(&file).map(|()| file));
        let file = open().map_err(|error| device_error(&error, "opening", &path))?;
        let file = Arc::new(file);
        self.keep(place, &file);
        Ok(file)
    }

    /// Keeps a file open for its next use. A log has more segments than a process may have files open, so now and then
    /// all are closed on which nothing is in flight; what is needed again is opened again.
    fn keep(&mut self, place: Place, file: &Arc<File>) {
        if self.files.len() >= FILES_KEPT_MAX {
            self.files.retain(|_, kept| Arc::strong_count(kept) > 1);
        }
        self.files.insert(place, Arc::clone(file));
    }

    fn insert(&mut self, operation: InFlight) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.in_flight.push(None);
            (self.in_flight.len() - 1) as u32
        });
        self.in_flight[slot as usize] = Some(operation);
        slot
    }

    fn user_data(&self, slot: u32) -> u64 {
        u64::from(self.tag) << TAG_SHIFT | u64::from(slot) << 1
    }
}

impl Drop for DirectDevice {
    fn drop(&mut self) {
        for operation in self.in_flight.drain(..).flatten() {
            // The kernel may still read from or write to this memory (invariant 1).
            std::mem::forget(operation);
        }
    }
}

impl fmt::Debug for DirectDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectDevice({}, {} in flight)", self.root.display(), self.in_flight())
    }
}

/// How a write that must be durable is made so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DurabilityMode {
    /// A write, and an fdatasync linked to it.
    #[default]
    LinkedFdatasync,
    /// One write with RWF_DSYNC.
    WriteDsync,
    /// Not at all, and it is called durable all the same: what the power-cut test must find out.
    #[doc(hidden)]
    Unflushed,
}

struct InFlight {
    id: OperationId,
    place: Place,
    _file: Arc<File>,
    memory: Memory,
    bytes: u64,
    /// The write makes itself durable.
    synced: bool,
    completions_left: u8,
    error: Option<DeviceError>,
}

impl InFlight {
    fn new(
        id: OperationId,
        place: Place,
        file: Arc<File>,
        memory: Memory,
        bytes: u64,
        completions: u8,
    ) -> InFlight {
        InFlight {
            id,
            place,
            _file: file,
            memory,
            bytes,
            synced: false,
            completions_left: completions,
            error: None,
        }
    }

    /// What a tracer is told of one of its completions.
    fn completed(&self, is_flush: bool) -> Option<DiskEvent> {
        match (is_flush, &self.memory) {
            (true, _) => Some(DiskEvent::FlushCompleted { id: self.id }),
            (false, Memory::Read(_)) => None,
            (false, _) => Some(DiskEvent::WriteCompleted { id: self.id, durable: self.synced }),
        }
    }

    fn check(&self, is_flush: bool, result: i32) -> Option<DeviceError> {
        let doing = match (is_flush, &self.memory) {
            (true, _) => "flushing",
            (false, Memory::Read(_)) => "reading",
            (false, _) => "writing",
        };
        let path = self.place.path(Path::new(""));
        if result < 0 {
            return Some(device_error(&io::Error::from_raw_os_error(-result), doing, &path));
        }
        // The kernel reports a count for reads and writes; O_DIRECT within a prepared segment is never short.
        (!is_flush && result as u64 != self.bytes).then(|| DeviceError::Short {
            asked: self.bytes,
            done: result as u64,
            place: format!("{doing} {}", path.display()),
        })
    }
}

/// Memory that the kernel reads or writes while the operation is in flight.
enum Memory {
    None,
    Group { iovecs: Box<[libc::iovec]>, buffers: Vec<Arc<BlockBuffer>> },
    Superblock { iovecs: Box<[libc::iovec; 1]>, blocks: Arc<Vec<Block>> },
    Read(Vec<Block>),
}

impl Memory {
    fn iovecs(&self) -> &[libc::iovec] {
        match self {
            Memory::Group { iovecs, .. } => iovecs,
            Memory::Superblock { iovecs, .. } => iovecs.as_slice(),
            Memory::None | Memory::Read(_) => &[],
        }
    }

    /// What is written.
    fn written(&self) -> Vec<&[u8]> {
        match self {
            Memory::Group { buffers, .. } => buffers.iter().map(|buffer| buffer.as_blocks_bytes()).collect(),
            Memory::Superblock { blocks, .. } => vec![blocks.as_slice().as_bytes()],
            Memory::None | Memory::Read(_) => Vec::new(),
        }
    }
}

fn iovec(bytes: &[u8]) -> libc::iovec {
    // The kernel only reads from it: the pointer is mutable because the type serves reads, too.
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn fdatasync(fd: types::Fd) -> squeue::Entry {
    opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build()
}

const TAG_SHIFT: u32 = 56;
const FLUSH_PART: u64 = 1;
const SLOT_MASK: u64 = (1 << 33) - 1;

/// Files that a device keeps open while nothing is in flight on them.
const FILES_KEPT_MAX: usize = 16;
