//! Reads one log: its chain of whole records, then whatever whole records lie behind its end. Streams; keeps
//! headers and accept payloads only.

use alloc::boxed::Box;
use alloc::vec::Vec;

use assize_wire::Incarnation;
use assize_wire::canary::{self, Canary};
use zerocopy::IntoBytes;

use super::RecoveredLog;
use super::table::{LogDecision, LogInput, Remains};
use crate::block::{Block, BlockBuffer};
use crate::header::{Entry, LogIdentity, RecordFault, RecordHeader, RecordLocation};
use crate::limits::{BLOCK_BYTES, RECORD_HEADER_BYTES, SCAN_CHUNK_BYTES};
use crate::log::LogEnd;
use crate::operation::{DeviceError, SegmentId, SegmentReader};
use crate::superblock::LogCut;

/// What one log holds.
#[derive(Debug)]
pub struct LogScan {
    /// Whose log.
    pub identity: LogIdentity,
    /// The chain of whole records, first copies only.
    pub records: Vec<ScannedRecord>,
    /// Where the chain ends.
    pub end: LogEnd,
    /// Why it ends there.
    pub fault: RecordFault,
    /// Whole records behind the end that are not void.
    pub beyond: Vec<ScannedRecord>,
    /// Records behind the end that are void.
    pub voided: u64,
    /// The cut recorded when the last incarnation began.
    pub cut: Option<LogCut>,
    /// The first segment that is kept.
    pub first_segment: SegmentId,
    /// The checksum of the record before the first one of that segment.
    pub first_previous: u32,
    /// The first segment after those that follow it without a gap.
    pub prepared_end: SegmentId,
    /// Segments below the first one: given up.
    pub free: Vec<SegmentId>,
    /// Accepts of which one copy is damaged.
    pub twins_damaged: u64,
}

/// A whole record.
#[derive(Clone, Debug)]
pub struct ScannedRecord {
    /// Its header.
    pub header: RecordHeader,
    /// Where it lies.
    pub location: RecordLocation,
    /// The payload of an accept, or of a checkpoint's head; of other kinds it stays on the disk.
    pub payload: Box<[u8]>,
}

impl LogScan {
    /// What the table says of its end.
    #[must_use]
    pub fn decision(&self) -> LogDecision {
        let unwritten = match self.fault {
            RecordFault::Blank | RecordFault::NoSegment => true,
            // What the segment held before it was recycled.
            RecordFault::Misplaced { found, expected } => found < expected,
            _ => false,
        };
        let nothing = unwritten && self.beyond.is_empty();
        let void = matches!(self.fault, RecordFault::Void { .. }) && self.beyond.is_empty();
        LogInput {
            below_cut: self.cut.is_some_and(|cut| self.end.offset < cut.offset),
            below_flushed: self.beyond.iter().any(|record| record.header.durable_through > self.end.offset),
            remains: match (nothing, void || (nothing && self.voided > 0)) {
                (_, true) => Remains::Void,
                (true, false) => Remains::Nothing,
                (false, false) if matches!(self.fault, RecordFault::Unreadable { .. }) => Remains::Unreadable,
                (false, false) => Remains::Torn,
            },
        }
        .decide()
    }

    pub(super) fn summary(&self) -> RecoveredLog {
        RecoveredLog {
            log: self.identity.log,
            decision: self.decision(),
            end: self.end,
            first_segment: self.first_segment,
            first_previous: self.first_previous,
            prepared_end: self.prepared_end,
            free: self.free.clone(),
            previous: self.previous(),
            records: self.records.len() as u64,
            twins_damaged: self.twins_damaged,
        }
    }
}

impl LogScan {
    /// For each segment with records the checksum of the record before its first one.
    fn previous(&self) -> Vec<(SegmentId, u32)> {
        let headers = self.records.iter().map(|record| &record.header);
        let first = headers.filter(|header| header.offset == self.identity.start_of(header.segment));
        first.map(|header| (header.segment, header.previous)).collect()
    }
}

/// Scans one log.
pub(super) fn scan(
    reader: &mut dyn SegmentReader,
    identity: LogIdentity,
    cut: Option<LogCut>,
) -> Result<LogScan, DeviceError> {
    let found: Vec<SegmentId> = reader.segments(identity.log)?.into_iter().map(|(id, _)| id).collect();
    let first_segment = match cut {
        Some(cut) => cut.first_segment,
        None => found.first().copied().unwrap_or_default(),
    };
    let first_previous = cut.map_or(0, |cut| cut.first_previous);
    let (free, segments): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| *found < first_segment);
    let mut prepared_end = first_segment;
    while segments.binary_search(&prepared_end).is_ok() {
        prepared_end = prepared_end.next();
    }
    let window = Window { identity, segment: first_segment, offset: 0, blocks: Vec::new() };
    let mut scanner = Scanner { reader, window, segments, cut };
    let mut scan = LogScan {
        identity,
        records: Vec::new(),
        end: LogEnd { offset: identity.start_of(first_segment), checksum: first_previous },
        fault: RecordFault::NoSegment,
        beyond: Vec::new(),
        voided: 0,
        cut,
        first_segment,
        first_previous,
        prepared_end,
        free,
        twins_damaged: 0,
    };
    scanner.follow_chain(&mut scan);
    scanner.look_beyond(&mut scan);
    Ok(scan)
}

struct Scanner<'a> {
    reader: &'a mut dyn SegmentReader,
    window: Window,
    segments: Vec<SegmentId>,
    cut: Option<LogCut>,
}

impl Scanner<'_> {
    fn follow_chain(&mut self, scan: &mut LogScan) {
        let mut incarnation = Incarnation(0);
        // The second copy that must stand at the end of the chain: its checksum follows from the first copy.
        let mut twin: Option<(u64, u32)> = None;
        loop {
            match self.next_record(scan.end, incarnation) {
                Ok(record) => {
                    let header = record.header;
                    incarnation = header.incarnation;
                    let location_end = header.offset + header.record_bytes() as u64;
                    scan.end = LogEnd { offset: location_end, checksum: header.checksum };
                    twin = None;
                    if header.copy == 0 {
                        twin = self.twin_of(&record);
                        scan.records.push(record);
                    }
                }
                Err(fault) => {
                    if let Some((bytes, checksum)) = twin.take() {
                        // The first copy was whole. Its twin's place is never used again, whole or not (L4).
                        scan.twins_damaged += 1;
                        scan.end = LogEnd { offset: scan.end.offset + bytes, checksum };
                        continue;
                    }
                    if let Some(first) = self.first_copy_from_twin(scan.end, incarnation) {
                        scan.twins_damaged += 1;
                        let header = first.header;
                        scan.end = LogEnd {
                            offset: header.offset + header.record_bytes() as u64,
                            checksum: header.checksum,
                        };
                        scan.records.push(first);
                        continue;
                    }
                    scan.fault = fault;
                    return;
                }
            }
        }
    }

    /// The record that follows: at the end, or at the start of the next segment if it did not fit this one.
    fn next_record(&mut self, end: LogEnd, incarnation: Incarnation) -> Result<ScannedRecord, RecordFault> {
        let here = self.chained_record(end.offset, end.checksum, incarnation);
        let next_segment = self.window.identity.start_of(self.window.identity.segment_of(end.offset).next());
        let at_start = end.offset.is_multiple_of(self.window.identity.segment_bytes);
        match here {
            Err(fault) if !at_start => {
                let next = self.chained_record(next_segment, end.checksum, incarnation);
                // Whether the log goes on in a block that cannot be read is not known.
                next.map_err(|next| if matches!(next, RecordFault::Unreadable { .. }) { next } else { fault })
            }
            result => result,
        }
    }

    fn chained_record(
        &mut self,
        offset: u64,
        previous: u32,
        incarnation: Incarnation,
    ) -> Result<ScannedRecord, RecordFault> {
        let record = self.whole_record(offset)?;
        let least = self.least_incarnation(offset, incarnation);
        if record.header.incarnation < least {
            if canary::armed(Canary::IgnoreCut) {
                return Ok(record);
            }
            return Err(RecordFault::Void { found: record.header.incarnation, least });
        }
        if record.header.previous != previous {
            return Err(RecordFault::Chain { found: record.header.previous, expected: previous });
        }
        Ok(record)
    }

    fn whole_record(&mut self, offset: u64) -> Result<ScannedRecord, RecordFault> {
        let identity = self.window.identity;
        if self.segments.binary_search(&identity.segment_of(offset)).is_err() {
            return Err(RecordFault::NoSegment);
        }
        let first = self.window.get(self.reader, offset, BLOCK_BYTES)?;
        let header = RecordHeader::decode(&identity, offset, first)?;
        let bytes = header.record_bytes();
        let record = self.window.get(self.reader, offset, bytes)?;
        header.check(&identity, record)?;
        let payload = &record[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + header.payload_bytes as usize];
        let payload = if matches!(header.entry, Entry::Accept { .. } | Entry::Part { .. }) {
            Box::from(payload)
        } else {
            Box::default()
        };
        Ok(ScannedRecord { header, location: identity.location(offset, bytes as u32), payload })
    }

    fn least_incarnation(&self, offset: u64, incarnation: Incarnation) -> Incarnation {
        match self.cut {
            Some(cut) if offset >= cut.offset => incarnation.max(cut.incarnation),
            _ => incarnation,
        }
    }

    /// Length and checksum of the second copy that follows a first copy of an accept.
    fn twin_of(&self, record: &ScannedRecord) -> Option<(u64, u32)> {
        if !matches!(record.header.entry, Entry::Accept { .. }) {
            return None;
        }
        let bytes = record.header.record_bytes() as u64;
        let twin = RecordHeader {
            copy: 1,
            previous: record.header.checksum,
            offset: record.header.offset + bytes,
            group_blocks: record.header.group_blocks + (bytes / BLOCK_BYTES as u64) as u32,
            ..record.header
        };
        Some((bytes, self.checksum_of(&twin, &record.payload)))
    }

    /// The first copy of an accept, damaged at the end of the chain, from its whole second copy behind it (P2).
    /// The second copy names the first one's checksum, which is computed again here: no other bytes can pass.
    /// As any record it lies at the end, or at the start of the next segment.
    fn first_copy_from_twin(&mut self, end: LogEnd, incarnation: Incarnation) -> Option<ScannedRecord> {
        let identity = self.window.identity;
        let next_segment = identity.start_of(identity.segment_of(end.offset).next());
        let at_next = LogEnd { offset: next_segment, ..end };
        self.first_copy_at(end, incarnation).or_else(|| self.first_copy_at(at_next, incarnation))
    }

    /// The same at this very place.
    fn first_copy_at(&mut self, end: LogEnd, incarnation: Incarnation) -> Option<ScannedRecord> {
        let identity = self.window.identity;
        let segment_end = identity.start_of(identity.segment_of(end.offset).next());
        let half = (segment_end - end.offset) / 2;
        let mut bytes = BLOCK_BYTES as u64;
        while bytes <= half.min(crate::limits::RECORD_BYTES_MAX as u64) {
            let offset = end.offset + bytes;
            if let Ok(twin) = self.whole_record(offset)
                && twin.header.copy == 1
                && twin.header.record_bytes() as u64 == bytes
                && twin.header.incarnation >= self.least_incarnation(offset, incarnation)
                && u64::from(twin.header.group_blocks) * BLOCK_BYTES as u64 >= bytes
            {
                let mut header = RecordHeader {
                    copy: 0,
                    previous: end.checksum,
                    offset: end.offset,
                    group_blocks: twin.header.group_blocks - (bytes / BLOCK_BYTES as u64) as u32,
                    ..twin.header
                };
                header.checksum = self.checksum_of(&header, &twin.payload);
                if header.checksum == twin.header.previous {
                    // Its location is the copy that can be read.
                    return Some(ScannedRecord { header, location: twin.location, payload: twin.payload });
                }
            }
            bytes += BLOCK_BYTES as u64;
        }
        None
    }

    fn checksum_of(&self, header: &RecordHeader, payload: &[u8]) -> u32 {
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(payload);
        header.seal(&self.window.identity, &mut buffer)
    }

    /// Every whole record behind the end, block by block, to the end of the last segment: they may prove that what is
    /// missing was durable.
    fn look_beyond(&mut self, scan: &mut LogScan) {
        let identity = self.window.identity;
        let Some(last) = self.segments.last() else { return };
        let (mut offset, end) = (scan.end.offset, identity.start_of(last.next()));
        let incarnation = scan.records.last().map_or(Incarnation(0), |record| record.header.incarnation);
        while offset < end {
            match self.whole_record(offset) {
                Ok(record) => {
                    offset += record.header.record_bytes() as u64;
                    if record.header.incarnation < self.least_incarnation(record.header.offset, incarnation) {
                        scan.voided += 1;
                    } else {
                        scan.beyond.push(record);
                    }
                }
                Err(RecordFault::NoSegment) => {
                    offset = identity.start_of(identity.segment_of(offset).next());
                }
                Err(_) => offset += BLOCK_BYTES as u64,
            }
        }
    }
}

/// A piece of a segment, read ahead.
struct Window {
    identity: LogIdentity,
    segment: SegmentId,
    /// Of the first block, from the segment's start.
    offset: u64,
    blocks: Vec<Block>,
}

impl Window {
    /// `bytes` at a logical offset, whole blocks within one segment.
    fn get(
        &mut self,
        reader: &mut dyn SegmentReader,
        offset: u64,
        bytes: usize,
    ) -> Result<&[u8], RecordFault> {
        let segment = self.identity.segment_of(offset);
        let within = offset - self.identity.start_of(segment);
        let held = self.offset..self.offset + (self.blocks.len() * BLOCK_BYTES) as u64;
        if segment != self.segment || !held.contains(&within) || within + bytes as u64 > held.end {
            let rest = (self.identity.segment_bytes - within) as usize;
            let read = self
                .read(reader, segment, within, bytes.max(SCAN_CHUNK_BYTES).min(rest))
                .or_else(|_| self.read(reader, segment, within, bytes));
            if read.is_err() {
                return Err(self.unreadable(reader, segment, within, bytes));
            }
        }
        let start = (within - self.offset) as usize;
        Ok(&self.blocks.as_slice().as_bytes()[start..start + bytes])
    }

    /// Names the first block of a piece that cannot be read.
    fn unreadable(
        &mut self,
        reader: &mut dyn SegmentReader,
        segment: SegmentId,
        offset: u64,
        bytes: usize,
    ) -> RecordFault {
        let blocks = (offset..offset + bytes as u64).step_by(BLOCK_BYTES);
        let first = { blocks }.find(|at| self.read(reader, segment, *at, BLOCK_BYTES).is_err());
        let start = self.identity.start_of(segment);
        RecordFault::Unreadable {
            block: self.identity.location(start + first.unwrap_or(offset), BLOCK_BYTES as u32),
        }
    }

    fn read(
        &mut self,
        reader: &mut dyn SegmentReader,
        segment: SegmentId,
        offset: u64,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        let mut blocks = core::mem::take(&mut self.blocks);
        blocks.resize(bytes / BLOCK_BYTES, Block::ZERO);
        reader.read(self.identity.log, segment, offset, &mut blocks)?;
        (self.segment, self.offset, self.blocks) = (segment, offset, blocks);
        Ok(())
    }
}
