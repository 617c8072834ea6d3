//! Reads one log: its chain of whole records, then whatever whole records lie behind its end. Streams; keeps
//! headers and accept payloads only.
//!
//! A replica with peers goes on behind a gap, with the next whole record that is not void. What an earlier start called
//! void may look whole there, where the gap hides what voided it. That does no harm: it was written by this replica as
//! it stands, so an accept in it was made, although never answered; what came after it is newer by write order.

use alloc::boxed::Box;
use alloc::vec::Vec;

use assize_wire::Incarnation;
use assize_wire::canary::{self, Canary};

use super::RecoveredLog;
use super::gap::{Gap, unwritten};
use super::table::{LogDecision, LogInput, Remains};
use super::window::Window;
use crate::block::BlockBuffer;
use crate::header::{Entry, LogIdentity, RecordFault, RecordHeader, RecordLocation};
use crate::limits::{BLOCK_BYTES, RECORD_HEADER_BYTES};
use crate::log::LogEnd;
use crate::operation::{DeviceError, SegmentId, SegmentReader};
use crate::superblock::LogCut;

/// What one log holds.
#[derive(Debug)]
pub struct LogScan {
    /// Whose log.
    pub identity: LogIdentity,
    /// What is lost of it may be repaired from peers: the scan goes on behind gaps.
    pub peers: bool,
    /// The chain of whole records, first copies only; with peers what is whole behind gaps, too.
    pub records: Vec<ScannedRecord>,
    /// With peers: where whole records are missing, in log order.
    pub gaps: Vec<Gap>,
    /// Where the last whole record ends.
    pub end: LogEnd,
    /// Where the log goes on: there, or behind what is known to be lost.
    pub resume_at: u64,
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
    /// Every segment that is there, ascending.
    pub found: Vec<SegmentId>,
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
        let nothing = unwritten(&self.fault) && self.beyond.is_empty();
        let void = matches!(self.fault, RecordFault::Void { .. }) && self.beyond.is_empty();
        let behind_gap = self.gaps.iter().any(|gap| self.behind(gap).next().is_some());
        let flushed = |gap: &Gap| self.behind(gap).any(|record| record.header.durable_through > gap.start);
        LogInput {
            peers: self.peers,
            below_cut: self.cut.is_some_and(|cut| self.end.offset < cut.offset),
            below_flushed: self.gaps.iter().any(flushed)
                || self.beyond.iter().any(|record| record.header.durable_through > self.end.offset),
            remains: match (nothing, void || (nothing && self.voided > 0)) {
                _ if behind_gap => Remains::WholeBehind,
                (_, true) => Remains::Void,
                (true, false) => Remains::Nothing,
                (false, false) if matches!(self.fault, RecordFault::Unreadable { .. }) => Remains::Unreadable,
                (false, false) if self.beyond.is_empty() => Remains::Torn,
                (false, false) => Remains::WholeBehind,
            },
        }
        .decide()
    }

    /// The records behind a gap.
    pub(super) fn behind(&self, gap: &Gap) -> impl Iterator<Item = &ScannedRecord> {
        self.records[gap.records_before..].iter()
    }

    /// A segment that is not there, although the log goes on behind it.
    pub(super) fn missing_segment(&self) -> Option<SegmentId> {
        let cut = self.cut.map_or(0, |cut| cut.offset);
        let end = self.end.offset.max(cut);
        (self.identity.start_of(self.prepared_end) < end).then_some(self.prepared_end)
    }

    pub(super) fn summary(&self) -> RecoveredLog {
        RecoveredLog {
            log: self.identity.log,
            decision: self.decision(),
            end: LogEnd { offset: self.resume_at, ..self.end },
            gaps: self.gaps.clone(),
            first_segment: self.first_segment,
            first_previous: self.first_previous,
            prepared_end: self.prepared_end,
            free: self.found.iter().copied().filter(|found| *found < self.first_segment).collect(),
            previous: self.previous(),
            records: self.records.len() as u64,
            twins_damaged: self.twins_damaged,
        }
    }

    /// The log is to begin anew, in a segment that it never had: nothing is kept of it.
    pub(super) fn summary_anew(&self) -> RecoveredLog {
        let used = self.end.offset.max(self.resume_at).max(self.cut.map_or(0, |cut| cut.offset));
        let of_used = used.div_ceil(self.identity.segment_bytes);
        let of_found = self.found.last().map_or(0, |last| last.next().0);
        let first = SegmentId(of_used.max(of_found));
        RecoveredLog {
            end: LogEnd { offset: self.identity.start_of(first), checksum: 0 },
            gaps: Vec::new(),
            first_segment: first,
            first_previous: 0,
            prepared_end: first,
            free: self.found.clone(),
            previous: Vec::new(),
            ..self.summary()
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

/// Scans one log; with `peers` to its very end, whatever is missing.
pub(super) fn scan(
    reader: &mut dyn SegmentReader,
    identity: LogIdentity,
    cut: Option<LogCut>,
    peers: bool,
) -> Result<LogScan, DeviceError> {
    let found: Vec<SegmentId> = reader.segments(identity.log)?.into_iter().map(|(id, _)| id).collect();
    let first_segment = match cut {
        Some(cut) => cut.first_segment,
        None => found.first().copied().unwrap_or_default(),
    };
    let first_previous = cut.map_or(0, |cut| cut.first_previous);
    let segments: Vec<_> = found.iter().copied().filter(|found| *found >= first_segment).collect();
    let mut prepared_end = first_segment;
    while segments.binary_search(&prepared_end).is_ok() {
        prepared_end = prepared_end.next();
    }
    let window = Window::new(identity, first_segment);
    let mut scanner = Scanner { reader, window, segments, cut };
    let mut scan = LogScan {
        identity,
        peers,
        records: Vec::new(),
        gaps: Vec::new(),
        resume_at: 0,
        end: LogEnd { offset: identity.start_of(first_segment), checksum: first_previous },
        fault: RecordFault::NoSegment,
        beyond: Vec::new(),
        voided: 0,
        cut,
        first_segment,
        first_previous,
        prepared_end,
        found,
        twins_damaged: 0,
    };
    scan.resume_at = scan.end.offset;
    scanner.follow_chain(&mut scan);
    if !peers {
        scan.resume_at = scan.end.offset;
        scanner.look_beyond(&mut scan);
    }
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
                    let Some(record) = self.look_behind(scan, incarnation) else { return };
                    incarnation = record.header.incarnation;
                    scan.end = LogEnd { offset: record.header.offset, checksum: record.header.previous };
                    if record.header.copy == 1 {
                        // Of its first copy nothing can be proven any more: what it followed is in the gap.
                        scan.twins_damaged += 1;
                        let end = record.header.offset + record.header.record_bytes() as u64;
                        scan.end = LogEnd { offset: end, checksum: record.header.checksum };
                        scan.records.push(record);
                    }
                }
            }
        }
    }

    /// With peers: the next whole record behind the end that is not void. Notes the gap before it; without one, the gap
    /// before where the log goes on, behind what cannot be read and everything below the cut, so that nothing damaged
    /// is written again.
    fn look_behind(&mut self, scan: &mut LogScan, incarnation: Incarnation) -> Option<ScannedRecord> {
        if !scan.peers {
            return None;
        }
        let start = scan.end.offset;
        let (next, unreadable_end) = self.next_whole(scan, incarnation);
        let unreadable_end = unreadable_end.filter(|_| !unwritten(&scan.fault));
        let below_cut = self.cut.map(|cut| cut.offset).filter(|cut| start < *cut);
        let end = match &next {
            Some(record) => Some(record.header.offset),
            None => unreadable_end.max(below_cut),
        };
        scan.resume_at = end.unwrap_or(start);
        if let Some(end) = end.filter(|end| start < *end) {
            let (fault, records_before) = (scan.fault, scan.records.len());
            scan.gaps.push(Gap { start, end, fault, unreadable_end, records_before });
        }
        next
    }

    /// The next whole record behind the end that is not void, block by block; and where the last block ends that
    /// cannot be read before it.
    fn next_whole(
        &mut self,
        scan: &mut LogScan,
        incarnation: Incarnation,
    ) -> (Option<ScannedRecord>, Option<u64>) {
        let identity = self.window.identity;
        let end = self.segments.last().map_or(0, |last| identity.start_of(last.next()));
        let mut offset = scan.end.offset;
        let mut unreadable_end = None;
        while offset < end {
            match self.whole_record(offset) {
                Ok(record) if record.header.incarnation >= self.least_incarnation(offset, incarnation) => {
                    return (Some(record), unreadable_end);
                }
                Ok(record) => {
                    scan.voided += 1;
                    offset += record.header.record_bytes() as u64;
                }
                Err(RecordFault::NoSegment) => {
                    offset = identity.start_of(identity.segment_of(offset).next());
                }
                Err(fault) => {
                    if let RecordFault::Unreadable { block } = fault {
                        let end = identity.start_of(block.segment) + block.offset + BLOCK_BYTES as u64;
                        unreadable_end = unreadable_end.max(Some(end));
                    }
                    offset += BLOCK_BYTES as u64;
                }
            }
        }
        (None, unreadable_end)
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
