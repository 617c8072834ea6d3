//! Group commit of one log: records in, operations out, durable records out in append order.
//!
//! Invariants, checked by [`Log::check_invariants`]:
//! 1. `durable_through <= formed_through <= planned_through`: logical offsets below which everything is durable, has
//!    been handed to the device, and has its place.
//! 2. A record is reported durable once, in append order, after a flush that was submitted after its write completed
//!    has completed, and after everything before it was reported (L3).
//! 3. Every group commit starts at a fresh block; no block is written twice (L4).
//! 4. Writes in flight never exceed the configured number, and go only to prepared segments (L2).
//!
//! A hazard that 2 is about:
//! 1. Groups 6 and 7 are in flight.
//! 2. The write and flush of 7 complete first.
//! 3. The power fails. Recovery finds 7 whole and 6 missing, and cuts at 6.
//!
//! Had 7 been acknowledged at step 2, it would now be lost. So 7 waits for 6.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::{Incarnation, canary};

use crate::block::BlockBuffer;
use crate::header::{Entry, LogIdentity, Mark, RecordFault, RecordHeader, RecordLocation};
use crate::limits::{
    BLOCK_BYTES, GROUP_BYTES_MAX, GROUP_RECORDS_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES_MIN,
    WRITES_IN_FLIGHT_MAX,
};
use crate::operation::{Completion, DeviceError, Done, Operation, OperationId, SegmentId};

/// One log of a replica.
///
/// Call order, on the core that owns it: [`Log::append`] (and [`Log::handle_mark`]) as things arrive; then
/// [`Log::poll_operation`] until `None`, each operation to the device; each completion to
/// [`Log::handle_completion`]; then [`Log::poll_durable`] until `None`; then operations again, for a completion may
/// have made room for the next group. After a [`LogFailure`] the replica must stop (L3).
#[derive(Debug)]
pub struct Log {
    identity: LogIdentity,
    config: LogConfig,
    incarnation: Incarnation,
    first_segment: SegmentId,
    /// Segments below this one are prepared. Only ever rises.
    prepared_end: SegmentId,
    /// A preparation is under way.
    preparing: Option<u64>,
    /// The device said that it has no space for another segment.
    space_exhausted: bool,
    /// Records that have their place and wait for a group, in append order.
    queue: VecDeque<Pending>,
    /// Where the next record goes unless it does not fit the segment's rest. `>= formed_through`.
    planned_through: u64,
    /// End of the last group handed to the device. `>= durable_through`.
    formed_through: u64,
    /// End of the durable prefix.
    durable_through: u64,
    /// Checksum of the last record formed.
    previous: u32,
    /// Groups handed to the device and not yet in the durable prefix, in log order.
    groups: VecDeque<Group>,
    writes_in_flight: usize,
    /// Flushes of their own under way, for logs that are written lazily.
    flushes: Vec<FlushUnderWay>,
    /// Everything appended up to here is to be flushed without waiting for more.
    flush_wanted: RecordSequence,
    mark: Mark,
    /// The mark in the last record formed. `<= mark`.
    mark_formed: Mark,
    last_sequence: RecordSequence,
    durable: VecDeque<Durable>,
    reads_queued: VecDeque<(u64, RecordLocation)>,
    reads_under_way: Vec<(u64, RecordLocation)>,
    reads_done: VecDeque<(OperationId, Result<ReadRecord, ReadFault>)>,
    last_operation: u64,
    /// Counts completions, so that a flush knows which writes completed before it was submitted.
    completions: u64,
    failed: bool,
}

impl Log {
    /// A log that resumes where `start` says. A fresh log resumes at [`LogStart::fresh`].
    #[must_use]
    pub fn new(identity: LogIdentity, config: LogConfig, start: LogStart) -> Log {
        assert_ne!(identity.log, OperationId::SUPERBLOCK, "log id {} is reserved", identity.log);
        assert!(
            identity.segment_bytes >= SEGMENT_BYTES_MIN
                && identity.segment_bytes.is_multiple_of(BLOCK_BYTES as u64),
            "segment size {} must be a multiple of {BLOCK_BYTES} and at least {SEGMENT_BYTES_MIN}",
            identity.segment_bytes
        );
        assert!(
            (1..=WRITES_IN_FLIGHT_MAX).contains(&config.writes_in_flight),
            "{} writes in flight, 1 to {WRITES_IN_FLIGHT_MAX} are possible",
            config.writes_in_flight
        );
        assert!(
            start.end.offset.is_multiple_of(BLOCK_BYTES as u64),
            "log end {} in a block",
            start.end.offset
        );
        Log {
            identity,
            config,
            incarnation: start.incarnation,
            first_segment: start.first_segment,
            prepared_end: start.prepared_end,
            preparing: None,
            space_exhausted: false,
            queue: VecDeque::new(),
            planned_through: start.end.offset,
            formed_through: start.end.offset,
            durable_through: start.end.offset,
            previous: start.end.checksum,
            groups: VecDeque::new(),
            writes_in_flight: 0,
            flushes: Vec::new(),
            flush_wanted: RecordSequence(0),
            mark: start.mark,
            mark_formed: start.mark,
            last_sequence: RecordSequence(0),
            durable: VecDeque::new(),
            reads_queued: VecDeque::new(),
            reads_under_way: Vec::new(),
            reads_done: VecDeque::new(),
            last_operation: 0,
            completions: 0,
            failed: false,
        }
    }

    /// Gives a record its place. It is durable when [`Log::poll_durable`] returns its sequence.
    ///
    /// Stripes leave the configured reserve untouched; the other kinds may use it. A stripe must have the hash that
    /// `entry` names. A record larger than the limits or a segment is the caller's broken promise.
    pub fn append(&mut self, entry: Entry, buffer: BlockBuffer) -> Result<RecordSequence, LogFull> {
        let bytes = buffer.as_blocks_bytes().len();
        assert!(
            bytes <= RECORD_BYTES_MAX
                && bytes as u64 * u64::from(entry.copies()) <= self.identity.segment_bytes,
            "a record of {bytes} bytes is larger than {RECORD_BYTES_MAX} or, with its copies, a segment"
        );
        let limit = self.identity.start_of(self.segments_limit());
        let reserve = if matches!(entry, Entry::Stripe(_)) { self.config.reserve_bytes } else { 0 };
        let together = bytes as u64 * u64::from(entry.copies());
        let start = self.place(together);
        if start + together + reserve > limit {
            return Err(LogFull { entry, buffer });
        }
        self.last_sequence = RecordSequence(self.last_sequence.0 + 1);
        let sequence = self.last_sequence;
        let twin = (entry.copies() == 2).then(|| buffer.clone());
        for (copy, buffer) in [Some(buffer), twin].into_iter().flatten().enumerate() {
            let offset = start + (copy * bytes) as u64;
            self.queue.push_back(Pending { sequence, entry, copy: copy as u8, buffer, offset });
        }
        self.planned_through = start + together;
        Ok(sequence)
    }

    /// The replica has accepted through `mark`: every record formed from now on says so (L5). Never moves back.
    pub fn handle_mark(&mut self, mark: Mark) {
        assert!(mark >= self.mark, "the accepted-through mark moved back from {} to {mark}", self.mark);
        self.mark = mark;
    }

    /// Nothing has arrived for a while: leaves the mark in an empty record if the last record lacks it (L5), and
    /// flushes what a lazily written log still holds.
    pub fn handle_idle(&mut self) {
        if self.queue.is_empty() && self.mark_formed < self.mark {
            // A full log keeps its last mark: nothing more can be accepted in it either.
            let _full = self.append(Entry::Idle, BlockBuffer::for_record(0));
        }
        self.request_flush();
    }

    /// Everything appended so far is to become durable now. Needed only with [`FlushPolicy::OnRequest`].
    pub fn request_flush(&mut self) {
        self.flush_wanted = self.last_sequence;
    }

    /// Asks for a record to be read back while running, of this log or of another one of the replica: what a shard
    /// stored before it moved to this core lies there. The answer comes from [`Log::poll_read`].
    pub fn read(&mut self, location: RecordLocation) -> OperationId {
        let number = self.next_operation();
        self.reads_queued.push_back((number, location));
        OperationId { log: self.identity.log, number }
    }

    /// The next effect for the device.
    pub fn poll_operation(&mut self) -> Option<Operation> {
        if self.failed {
            return None;
        }
        if let Some((number, location)) = self.reads_queued.pop_front() {
            self.reads_under_way.push((number, location));
            return Some(Operation::Read { id: self.id(number), location });
        }
        self.form_group().or_else(|| self.form_flush()).or_else(|| self.form_preparation())
    }

    /// Takes in what became of an operation of this log.
    pub fn handle_completion(&mut self, completion: Completion) -> Result<(), LogFailure> {
        let number = completion.id.number;
        assert_eq!(completion.id.log, self.identity.log, "a completion of another log");
        self.completions += 1;
        if let Some(at) = self.reads_under_way.iter().position(|(read, _)| *read == number) {
            let (_, location) = self.reads_under_way.swap_remove(at);
            let result = match completion.result {
                Ok(Done::Read(blocks)) => self.check_read(location, blocks),
                Ok(Done::Complete) => unreachable!("a read completes with its blocks"),
                Err(error) => Err(ReadFault::Device { location, error }),
            };
            self.reads_done.push_back((completion.id, result));
            return Ok(());
        }
        if self.preparing == Some(number) {
            self.preparing = None;
            return match completion.result {
                Ok(_) => {
                    self.prepared_end = self.prepared_end.next();
                    Ok(())
                }
                Err(DeviceError::NoSpace { place }) => self.handle_no_space(completion.id, place),
                Err(error) => Err(self.fail(completion.id, error)),
            };
        }
        if let Err(error) = completion.result {
            return Err(self.fail(completion.id, error));
        }
        if let Some(at) = self.flushes.iter().position(|flush| flush.number == number) {
            let flush = self.flushes.swap_remove(at);
            self.mark_flushed(flush.segment, flush.formed_at);
        } else {
            self.handle_written(number);
        }
        self.advance_durable();
        Ok(())
    }

    /// The next durable record, in append order. Each is returned once.
    pub fn poll_durable(&mut self) -> Option<Durable> {
        if self.failed { None } else { self.durable.pop_front() }
    }

    /// The next answer to [`Log::read`].
    pub fn poll_read(&mut self) -> Option<(OperationId, Result<ReadRecord, ReadFault>)> {
        self.reads_done.pop_front()
    }

    /// Bytes of records, headers and padding included ([`BlockBuffer::record_bytes`]), that still surely fit
    /// prepared space above the reserve, however they are cut into records of at most `record_bytes_max` bytes.
    /// Below what it is about to seal, the Usher says `busy`.
    #[must_use]
    pub fn room_bytes(&self, record_bytes_max: usize) -> u64 {
        // A segment's rest smaller than the next record is lost, so each segment surely takes its size less that.
        let waste = record_bytes_max as u64 - BLOCK_BYTES as u64;
        let end = self.identity.start_of(self.prepared_end.min(self.segments_limit()));
        if self.planned_through >= end {
            return 0;
        }
        let segment = self.identity.segment_of(self.planned_through);
        let rest = self.identity.start_of(segment.next()) - self.planned_through;
        let whole = (end - self.identity.start_of(segment.next())) / self.identity.segment_bytes;
        let room = rest.saturating_sub(waste) + whole * self.identity.segment_bytes.saturating_sub(waste);
        room.saturating_sub(self.config.reserve_bytes)
    }

    /// Whether every record appended is durable and reported, and no operation is under way or wanted.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.groups.is_empty()
            && self.durable.is_empty()
            && self.flushes.is_empty()
            && self.preparing.is_none()
            && self.reads_queued.is_empty()
            && self.reads_under_way.is_empty()
            && !self.wants_preparation()
    }

    /// Whether a record appended now could be written at once: its segment is prepared.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.identity.segment_of(self.planned_through) < self.prepared_end
    }

    /// Whether something appended is not durable yet (P9 counts it as outstanding).
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        !self.queue.is_empty() || !self.groups.is_empty()
    }

    /// Group commits whose write is under way.
    #[must_use]
    pub fn writes_in_flight(&self) -> usize {
        self.writes_in_flight
    }

    /// The logical offset below which everything is durable.
    #[must_use]
    pub fn durable_through(&self) -> u64 {
        self.durable_through
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// Asserts the invariants at the head of this file.
    pub fn check_invariants(&self) {
        assert!(
            self.durable_through <= self.formed_through && self.formed_through <= self.planned_through,
            "durable {} formed {} planned {}",
            self.durable_through,
            self.formed_through,
            self.planned_through
        );
        assert!(self.writes_in_flight <= self.config.writes_in_flight);
        assert!(self.mark_formed <= self.mark);
        let mut end = self.durable_through;
        for group in &self.groups {
            assert!(group.start >= end && group.end > group.start, "group at {} after {end}", group.start);
            assert!(group.segment < self.prepared_end, "group in unprepared segment {}", group.segment);
            end = group.end;
        }
        for pending in &self.queue {
            assert!(pending.offset >= end, "record at {} after {end}", pending.offset);
            end = pending.offset + pending.bytes() as u64;
        }
        assert_eq!(end.max(self.planned_through), self.planned_through);
    }

    fn form_group(&mut self) -> Option<Operation> {
        if self.writes_in_flight == self.config.writes_in_flight {
            return None;
        }
        let start = self.queue.front()?.offset;
        let segment = self.identity.segment_of(start);
        if segment >= self.prepared_end {
            return None;
        }
        let mut records: Vec<Durable> = Vec::new();
        let mut buffers = Vec::new();
        let mut end = start;
        while let Some(pending) = self.queue.front() {
            // Both copies of an accept go into the same write (P2).
            let copies = usize::from(pending.entry.copies() - pending.copy);
            let end_together = pending.offset + (copies * pending.bytes()) as u64;
            let full =
                buffers.len() + copies > GROUP_RECORDS_MAX || end_together - start > GROUP_BYTES_MAX as u64;
            let elsewhere = pending.offset != end || self.identity.segment_of(pending.offset) != segment;
            if elsewhere || (full && pending.copy == 0 && !buffers.is_empty()) {
                break;
            }
            let pending = self.queue.pop_front().expect("it was looked at above");
            end = pending.offset + pending.bytes() as u64;
            let (sequence, entry, copy) = (pending.sequence, pending.entry, pending.copy);
            let (buffer, location) = self.seal(&entry, copy, pending.buffer, pending.offset, start);
            buffers.push(Arc::clone(&buffer));
            if copy == 0 {
                records.push(Durable { sequence, entry, buffer, location });
            }
        }
        let number = self.next_operation();
        let flush = self.config.flush == FlushPolicy::EachGroup;
        let state = GroupState::Writing { formed_at: self.completions };
        self.formed_through = end;
        self.writes_in_flight += 1;
        self.groups.push_back(Group { number, segment, start, end, records, flush, state });
        let offset = start - self.identity.start_of(segment);
        let flush = flush && !canary::armed(canary::Canary::AnswerBeforeFlush);
        Some(Operation::Write { id: self.id(number), segment, offset, buffers, flush })
    }

    fn seal(
        &mut self,
        entry: &Entry,
        copy: u8,
        mut buffer: BlockBuffer,
        offset: u64,
        group_start: u64,
    ) -> (Arc<BlockBuffer>, RecordLocation) {
        let header = RecordHeader {
            entry: *entry,
            copy,
            checksum: 0,
            previous: self.previous,
            offset,
            segment: self.identity.segment_of(offset),
            incarnation: self.incarnation,
            payload_bytes: buffer.payload_len() as u32,
            mark: self.mark.as_written(),
            group_blocks: ((offset - group_start) / BLOCK_BYTES as u64) as u32,
            durable_through: self.durable_through,
        };
        self.previous = header.seal(&self.identity, &mut buffer);
        self.mark_formed = self.mark;
        let location = self.identity.location(offset, buffer.as_blocks_bytes().len() as u32);
        (Arc::new(buffer), location)
    }

    /// A flush of its own, for groups that were written without one: when asked for, and when the log has moved on
    /// to another segment, for a flush covers one segment only.
    fn form_flush(&mut self) -> Option<Operation> {
        let last_segment = self.groups.back()?.segment;
        let wanted = self.flush_wanted;
        let group = self.groups.iter().find(|group| {
            matches!(group.state, GroupState::Written { .. })
                && (group.segment != last_segment
                    || group.first_sequence().is_some_and(|first| first <= wanted))
        })?;
        let segment = group.segment;
        if self.flushes.iter().any(|flush| flush.segment == segment) {
            return None;
        }
        let number = self.next_operation();
        self.flushes.push(FlushUnderWay { number, segment, formed_at: self.completions });
        Some(Operation::Flush { id: self.id(number), segment })
    }

    fn form_preparation(&mut self) -> Option<Operation> {
        if !self.wants_preparation() {
            return None;
        }
        let number = self.next_operation();
        self.preparing = Some(number);
        let (id, segment, bytes) = (self.id(number), self.prepared_end, self.identity.segment_bytes);
        Some(Operation::PrepareSegment { id, segment, bytes })
    }

    /// The segment being filled and `prepare_ahead` after it are kept prepared.
    fn wants_preparation(&self) -> bool {
        let wanted = self.identity.segment_of(self.planned_through).0 + 1 + self.config.prepare_ahead;
        !self.failed
            && self.preparing.is_none()
            && self.prepared_end.0 < wanted
            && self.prepared_end < self.segments_limit()
    }

    fn segments_limit(&self) -> SegmentId {
        if self.space_exhausted {
            self.prepared_end
        } else {
            SegmentId(self.first_segment.0 + self.config.segments_max)
        }
    }

    /// Where the next `bytes` go: at the end, or at the start of the next segment if they do not fit this one.
    fn place(&self, bytes: u64) -> u64 {
        let at = self.planned_through;
        let next_segment = self.identity.start_of(self.identity.segment_of(at).next());
        if at + bytes > next_segment { next_segment } else { at }
    }

    /// No space for another segment is not a failed write: the log is full and says so. Only records that already
    /// have their place in a segment that will never be cannot be kept.
    fn handle_no_space(&mut self, id: OperationId, place: alloc::string::String) -> Result<(), LogFailure> {
        self.space_exhausted = true;
        let stranded = self.planned_through > self.identity.start_of(self.prepared_end);
        if stranded { Err(self.fail(id, DeviceError::NoSpace { place })) } else { Ok(()) }
    }

    fn handle_written(&mut self, number: u64) {
        let at = self.groups.iter().position(|group| group.number == number);
        let at = at.unwrap_or_else(|| panic!("operation {number} completed twice or was never asked for"));
        let group = &mut self.groups[at];
        let GroupState::Writing { formed_at } = group.state else {
            panic!("the write of operation {number} completed twice");
        };
        self.writes_in_flight -= 1;
        if group.flush {
            group.state = GroupState::Durable;
            let segment = group.segment;
            self.mark_flushed(segment, formed_at);
        } else {
            group.state = GroupState::Written { at: self.completions };
        }
    }

    /// A flush submitted at `formed_at` covers the writes of its segment that had completed by then.
    fn mark_flushed(&mut self, segment: SegmentId, formed_at: u64) {
        for group in &mut self.groups {
            if let GroupState::Written { at } = group.state
                && group.segment == segment
                && at <= formed_at
            {
                group.state = GroupState::Durable;
            }
        }
    }

    fn advance_durable(&mut self) {
        while self.groups.front().is_some_and(|group| matches!(group.state, GroupState::Durable)) {
            let group = self.groups.pop_front().expect("it was looked at above");
            self.durable_through = group.end;
            self.durable.extend(group.records);
        }
    }

    fn check_read(
        &self,
        location: RecordLocation,
        blocks: Vec<crate::block::Block>,
    ) -> Result<ReadRecord, ReadFault> {
        let identity = LogIdentity { log: location.log, ..self.identity };
        let offset = identity.start_of(location.segment) + location.offset;
        check_record(&identity, offset, blocks).map_err(|fault| ReadFault::Record { location, fault })
    }

    fn fail(&mut self, id: OperationId, error: DeviceError) -> LogFailure {
        self.failed = true;
        LogFailure { id, error }
    }

    fn next_operation(&mut self) -> u64 {
        self.last_operation += 1;
        self.last_operation
    }

    fn id(&self, number: u64) -> OperationId {
        OperationId { log: self.identity.log, number }
    }
}

/// What a log may be tuned with. None of it changes the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Group commits under way at most.
    pub writes_in_flight: usize,
    /// Segments kept prepared beyond the one being filled.
    pub prepare_ahead: u64,
    /// Segments of this log at most. Full is `busy`.
    pub segments_max: u64,
    /// Bytes at the log's end that stripes leave free for accepts and marks.
    pub reserve_bytes: u64,
    /// When writes are flushed.
    pub flush: FlushPolicy,
}

/// When a log's writes are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// Every group commit, for logs that somebody waits for.
    EachGroup,
    /// Only when asked, for the outcome stream.
    OnRequest,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            writes_in_flight: 4,
            prepare_ahead: 2,
            segments_max: 256,
            reserve_bytes: 1 << 20,
            flush: FlushPolicy::EachGroup,
        }
    }
}

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Logical offset of the next record.
    pub offset: u64,
    /// Checksum of the last record, 0 if there is none.
    pub checksum: u32,
}

/// From where a log resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// This start's incarnation, durable in the superblock before the log is used.
    pub incarnation: Incarnation,
    /// Where it ends.
    pub end: LogEnd,
    /// The first segment that is there.
    pub first_segment: SegmentId,
    /// The first segment that is not prepared.
    pub prepared_end: SegmentId,
    /// Accepted-through as recovered.
    pub mark: Mark,
}

impl LogStart {
    /// A log that was never written.
    #[must_use]
    pub fn fresh(incarnation: Incarnation) -> LogStart {
        LogStart {
            incarnation,
            end: LogEnd::default(),
            first_segment: SegmentId(0),
            prepared_end: SegmentId(0),
            mark: Mark::default(),
        }
    }
}

/// A record's number in its log since the start, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordSequence(pub u64);

/// A record that is durable. Only a [`Log`] makes one, from the completion of its write: a message that promises
/// durability can be built from nothing else.
#[must_use = "somebody waits for this record"]
#[derive(Debug)]
#[non_exhaustive]
pub struct Durable {
    /// As [`Log::append`] returned it.
    pub sequence: RecordSequence,
    /// What it is about.
    pub entry: Entry,
    /// The record, shared with whoever still reads it.
    pub buffer: Arc<BlockBuffer>,
    /// Where it lies.
    pub location: RecordLocation,
}

/// A record that was read back and checked.
#[derive(Debug)]
pub struct ReadRecord {
    /// Its header.
    pub header: RecordHeader,
    /// Its payload.
    pub buffer: BlockBuffer,
}

/// No segment can take the record. Nothing changed; the record is handed back.
#[derive(Debug)]
pub struct LogFull {
    /// As it was given.
    pub entry: Entry,
    /// As it was given.
    pub buffer: BlockBuffer,
}

impl fmt::Display for LogFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the log has no room for a {} of {} bytes: the replica is busy until space is freed",
            self.entry.kind(),
            self.buffer.payload_len()
        )
    }
}

impl core::error::Error for LogFull {}

/// A write, flush or preparation failed. It is never retried: whether it is on the disk is unknown, and a second
/// flush may report success for pages that the first one lost. The replica must stop and recover (L3).
#[must_use = "the replica must stop"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFailure {
    /// The operation.
    pub id: OperationId,
    /// What the device said.
    pub error: DeviceError,
}

impl fmt::Display for LogFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {} failed and the replica stops: {}", self.id.log, self.error)
    }
}

impl core::error::Error for LogFailure {}

/// Why a record could not be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The device could not read.
    Device {
        /// What was to be read.
        location: RecordLocation,
        /// What the device said.
        error: DeviceError,
    },
    /// What it read is not the record.
    Record {
        /// What was to be read.
        location: RecordLocation,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadFault::Device { location, error } => write!(f, "reading {location}: {error}"),
            ReadFault::Record { location, fault } => write!(f, "at {location}: {fault}"),
        }
    }
}

impl core::error::Error for ReadFault {}

/// Decodes and checks a whole record that lies at a logical offset.
pub fn check_record(
    identity: &LogIdentity,
    offset: u64,
    blocks: Vec<crate::block::Block>,
) -> Result<ReadRecord, RecordFault> {
    use zerocopy::IntoBytes;
    let bytes = blocks.as_slice().as_bytes();
    let header = RecordHeader::decode(identity, offset, bytes)?;
    let record =
        bytes.get(..header.record_bytes()).ok_or(RecordFault::Length { found: header.payload_bytes })?;
    header.check(identity, record)?;
    let buffer = BlockBuffer::from_blocks(blocks, header.payload_bytes as usize);
    Ok(ReadRecord { header, buffer })
}

/// A record that has its place and waits for its group.
#[derive(Debug)]
struct Pending {
    sequence: RecordSequence,
    entry: Entry,
    copy: u8,
    buffer: BlockBuffer,
    offset: u64,
}

impl Pending {
    fn bytes(&self) -> usize {
        self.buffer.as_blocks_bytes().len()
    }
}

/// One write.
#[derive(Debug)]
struct Group {
    number: u64,
    segment: SegmentId,
    start: u64,
    end: u64,
    /// First copies only: what is reported durable.
    records: Vec<Durable>,
    flush: bool,
    state: GroupState,
}

impl Group {
    fn first_sequence(&self) -> Option<RecordSequence> {
        self.records.first().map(|record| record.sequence)
    }
}

#[derive(Clone, Copy, Debug)]
enum GroupState {
    /// `formed_at` completions had been seen when it was submitted.
    Writing { formed_at: u64 },
    /// Written, not flushed; the completion counter at that moment.
    Written { at: u64 },
    /// Flushed.
    Durable,
}

#[derive(Debug)]
struct FlushUnderWay {
    number: u64,
    segment: SegmentId,
    formed_at: u64,
}
