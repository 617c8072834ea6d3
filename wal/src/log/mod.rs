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

mod counters;
mod group;
mod record;
mod room;
mod segments;
mod start;

pub use counters::LogCounters;
pub use record::{Durable, LogFailure, LogFull, ReadFault, ReadRecord, RecordSequence, check_record};
pub use start::{FlushPolicy, LogConfig, LogEnd, LogSpace, LogStart};

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::{Incarnation, canary};

use crate::block::{Block, BlockBuffer};
use crate::header::{Entry, LogIdentity, Mark, RecordHeader, RecordLocation};
use crate::limits::{
    BLOCK_BYTES, GROUP_BYTES_MAX, GROUP_RECORDS_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES_MIN,
    WRITES_IN_FLIGHT_MAX,
};
use crate::operation::{Completion, DeviceError, Done, Operation, OperationId, SegmentId};
use crate::superblock::LogCut;
use group::{FlushUnderWay, Group, GroupState, Pending};
use segments::Segments;

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
    segments: Segments,
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
    counters: LogCounters,
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
        let in_segment = start.end.offset % identity.segment_bytes;
        let again = canary::armed(canary::Canary::TailRewritten) && in_segment > 0;
        let end = start.end.offset - if again { BLOCK_BYTES as u64 } else { 0 };
        Log {
            identity,
            config,
            incarnation: start.incarnation,
            segments: Segments::new(&start),
            queue: VecDeque::new(),
            planned_through: end,
            formed_through: end,
            durable_through: end,
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
            counters: LogCounters::default(),
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

    /// The replica has accepted through `mark`: every record formed from now on says at least that (L5). It never moves
    /// back: what comes from another core may be older than what this log has seen of its own accepts.
    pub fn handle_mark(&mut self, mark: Mark) {
        self.mark = self.mark.max(mark);
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

    /// The start that writes it now.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
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
        let result = completion.result.map(drop);
        let planned = self.planned_through;
        let stranded = |end| planned > self.identity.start_of(end);
        if let Some(prepared) = self.segments.handle_completion(number, &result, stranded) {
            return prepared.map_err(|error| self.fail(completion.id, error));
        }
        if let Err(error) = result {
            return Err(self.fail(completion.id, error));
        }
        if let Some(at) = self.flushes.iter().position(|flush| flush.number == number) {
            let flush = self.flushes.swap_remove(at);
            self.counters.flushes += 1;
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

    /// Whether every record appended is durable and reported, and no operation is under way or wanted.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.groups.is_empty()
            && self.durable.is_empty()
            && self.flushes.is_empty()
            && !self.segments.is_preparing()
            && self.reads_queued.is_empty()
            && self.reads_under_way.is_empty()
            && !self.wants_preparation()
    }

    /// Prepares what a record of so many bytes needs: for a log whose segments are prepared on demand.
    pub fn demand(&mut self, bytes: usize) {
        let start = self.place(bytes as u64);
        self.segments.demand(self.identity.segment_of(start + bytes as u64 - 1).next());
    }

    /// Asks the device for space again, if it had none.
    pub fn retry_space(&mut self) {
        self.segments.retry_space();
    }

    /// Whether a record appended now could be written at once: its segment is prepared.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.identity.segment_of(self.planned_through) < self.segments.prepared_end()
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

    /// The sequence of the last record appended.
    #[must_use]
    pub fn last_sequence(&self) -> RecordSequence {
        self.last_sequence
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// What the superblock is to say of this log if everything below `first_segment` is given up: a start expects
    /// the rest (L5).
    #[must_use]
    pub fn cut(&self, first_segment: SegmentId) -> LogCut {
        let first_segment = first_segment.max(self.segments.first());
        assert!(
            first_segment <= self.identity.segment_of(self.durable_through),
            "segment {first_segment} of log {} is written yet, durable through {}",
            self.identity.log,
            self.durable_through
        );
        // Where nothing was written to the segment, the last record formed is the one before it.
        let first_previous = self.segments.previous(first_segment).unwrap_or(self.previous);
        let (log, incarnation, offset) = (self.identity.log, self.incarnation, self.durable_through);
        LogCut { log, incarnation, offset, first_segment, first_previous }
    }

    /// Gives up the segments below the first one of a cut that is durable in the superblock: their files become the
    /// next segments. Nothing that lies there is wanted any more.
    pub fn release(&mut self, cut: &LogCut) {
        assert_eq!(cut.log, self.identity.log, "the cut of another log");
        self.segments.release(cut.first_segment);
    }

    /// The first segment that is kept.
    #[must_use]
    pub fn first_segment(&self) -> SegmentId {
        self.segments.first()
    }

    /// The segment through which everything is durable.
    #[must_use]
    pub fn durable_segment(&self) -> SegmentId {
        self.identity.segment_of(self.durable_through)
    }

    /// Asserts the invariants at the head of this file and of its parts.
    pub fn check_invariants(&self) {
        self.segments.check_invariants(&self.identity);
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
            assert!(
                group.segment < self.segments.prepared_end(),
                "group in unprepared segment {}",
                group.segment
            );
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
        if segment >= self.segments.prepared_end() {
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
        if offset == self.identity.start_of(header.segment) {
            self.segments.begin(header.segment, self.previous);
        }
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
        let id = self.id(number);
        let filled = self.identity.segment_of(self.planned_through);
        Some(self.segments.prepare(id, self.identity.segment_bytes, filled))
    }

    /// The segment being filled and `prepare_ahead` after it are kept prepared, or what is demanded.
    fn wants_preparation(&self) -> bool {
        let filled = self.identity.segment_of(self.planned_through);
        let wanted_end = match self.config.on_demand {
            true => self.segments.demanded_end(),
            false => SegmentId(filled.0 + 1 + self.config.prepare_ahead),
        };
        !self.failed && self.segments.wants_preparation(&self.config, wanted_end)
    }

    fn segments_limit(&self) -> SegmentId {
        self.segments.limit(&self.config)
    }

    /// Where the next `bytes` go: at the end, or at the start of the next segment if they do not fit this one.
    fn place(&self, bytes: u64) -> u64 {
        let at = self.planned_through;
        let next_segment = self.identity.start_of(self.identity.segment_of(at).next());
        if at + bytes > next_segment { next_segment } else { at }
    }

    fn handle_written(&mut self, number: u64) {
        let at = self.groups.iter().position(|group| group.number == number);
        let at = at.unwrap_or_else(|| panic!("operation {number} completed twice or was never asked for"));
        let group = &mut self.groups[at];
        let GroupState::Writing { formed_at } = group.state else {
            panic!("the write of operation {number} completed twice");
        };
        self.writes_in_flight -= 1;
        self.counters.note_written(group.end - group.start, group.flush);
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
            // At once: a record that calls an accept durable has a mark that covers it, so that a start which finds the
            // one damaged and the other whole knows what is lost.
            for record in &group.records {
                if let Entry::Accept { slot, ballot, .. } = record.entry {
                    self.mark = self.mark.max(Mark { ballot, slot });
                }
            }
            self.durable.extend(group.records);
        }
    }

    fn check_read(&self, location: RecordLocation, blocks: Vec<Block>) -> Result<ReadRecord, ReadFault> {
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
