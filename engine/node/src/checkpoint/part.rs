//! One shard's part of a checkpoint on its way to the disk and back.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use assize_shards::limits::CHECKPOINT_RECORD_BYTES_MIN;
use assize_shards::{CheckpointStep, PartRecord, Shard};
use assize_wal::limits::SEGMENT_BYTES_MIN;
use assize_wal::{
    BLOCK_BYTES, BlockBuffer, Entry, Log, LogFull, LogSpace, OperationId, ReadFault, ReadRecord,
    RecordLocation, RecordSequence, SegmentId,
};
use assize_wire::ShardId;
use assize_wire::Slot;
use assize_wire::canary::{self, Canary};
use assize_wire::checkpoint::{ListDigest, PartHead, SAVED_KEY_BYTES, SavedEntity, SumDigest};
use assize_wire::peer::PartItem;

use super::PartFailure;

/// The records of a part.
#[derive(Debug, Default)]
pub(super) struct Part {
    records: Vec<Written>,
    /// Of `records`, how many are durable; and all below this one are.
    durable: usize,
    durable_below: usize,
    head: Option<PartHead>,
    /// Bytes appended and not durable.
    unflushed_bytes: usize,
    /// Bytes appended since a flush was asked for.
    unasked_bytes: usize,
    /// Of `records`, how many were asked for, and how many of those were read back.
    asked: usize,
    read: usize,
    /// In the order in which they were asked for, which is the one in which they are taken in.
    reading: VecDeque<Reading>,
    /// Of what was read back.
    entities: u64,
    entities_digest: SumDigest,
    keys_digest: ListDigest,
    /// Number of the key after the last one that was asked for: records of a peer's may overlap.
    keys_asked: u64,
}

/// A record that is being read back.
#[derive(Debug)]
struct Reading {
    id: OperationId,
    /// What came, until those before it have come.
    came: Option<BlockBuffer>,
    record: PartRecord,
    /// The first key of it that no earlier record had.
    keys_from: u64,
}

#[derive(Debug)]
struct Written {
    record: PartRecord,
    sequence: RecordSequence,
    location: Option<RecordLocation>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for the disk, or for the shard.
    Waits,
    /// Something was done.
    Moved,
    /// Everything is written, durable, read back and the same.
    Complete,
}

/// Why a part failed. The checkpoint before it stays active.
#[derive(Debug)]
pub(super) enum PartFault {
    /// The log has no space.
    Full(ShardId),
    /// A record cannot be read back.
    Read(ReadFault),
    /// What was read back is not what the memory, or the peer, said.
    Differs(ShardId),
    /// A peer sent something else than a record of this shard's part.
    Foreign(ShardId),
}

impl Part {
    /// Takes one step: gives the log a record that the shard has for it, or reads one back. After a failure it only
    /// lets the shard come to its end.
    pub(super) fn step(
        &mut self,
        shard: &mut Shard,
        slot: Slot,
        failed: bool,
        parts: &mut Log,
        keys: &mut Log,
    ) -> Result<Progress, PartFault> {
        if shard.is_taking_checkpoint() {
            if !failed && self.unflushed_bytes >= UNFLUSHED_BYTES_MAX {
                return Ok(Progress::Waits);
            }
            if !failed {
                // A record that was taken from the shard must have its place.
                let bytes = BlockBuffer::record_bytes(payload_bytes_max(parts));
                let logs = [&mut *parts, &mut *keys];
                let mut waits = false;
                for log in logs {
                    match log.space_for(bytes) {
                        LogSpace::Prepared => {}
                        LogSpace::Unprepared => {
                            log.demand(bytes);
                            waits = true;
                        }
                        LogSpace::None => return Err(PartFault::Full(shard.id())),
                    }
                }
                if waits {
                    return Ok(Progress::Waits);
                }
            }
            return self.write(shard, slot, failed, parts, keys);
        }
        self.read_back(failed, parts, keys)
    }

    /// Reads one of the records back, once all of them are durable.
    pub(super) fn read_back(
        &mut self,
        failed: bool,
        parts: &mut Log,
        keys: &mut Log,
    ) -> Result<Progress, PartFault> {
        let whole = self.head.is_some() && self.durable == self.records.len();
        if failed || !whole || self.reading.len() == READS_IN_FLIGHT_MAX {
            return Ok(Progress::Waits);
        }
        let Some(next) = self.records.get(self.asked) else {
            return Ok(if self.reading.is_empty() { Progress::Complete } else { Progress::Waits });
        };
        let (record, location) = (next.record, next.location.expect("it is durable"));
        let keys_from = self.keys_asked;
        let log = match record {
            PartRecord::Keys { next, .. } => {
                self.keys_asked = keys_from.max(next);
                keys
            }
            PartRecord::Entities { .. } | PartRecord::Head { .. } => parts,
        };
        self.asked += 1;
        self.reading.push_back(Reading { id: log.read(location), came: None, record, keys_from });
        Ok(Progress::Moved)
    }

    /// Whether a step would do something now.
    pub(super) fn is_due(&self, shard: &Shard, failed: bool, parts: &Log, keys: &Log) -> bool {
        if shard.is_taking_checkpoint() {
            let bytes = BlockBuffer::record_bytes(payload_bytes_max(parts));
            let waits = [parts, keys].iter().any(|log| log.space_for(bytes) == LogSpace::Unprepared);
            let writes = self.unflushed_bytes < UNFLUSHED_BYTES_MAX && !waits;
            return shard.is_checkpoint_due() && (failed || writes);
        }
        !failed && self.is_read_due()
    }

    /// Whether a record can be read back now.
    pub(super) fn is_read_due(&self) -> bool {
        let whole = self.head.is_some() && self.durable == self.records.len();
        whole && self.reading.len() < READS_IN_FLIGHT_MAX && self.asked < self.records.len()
    }

    fn write(
        &mut self,
        shard: &mut Shard,
        slot: Slot,
        failed: bool,
        parts: &mut Log,
        keys: &mut Log,
    ) -> Result<Progress, PartFault> {
        let mut payload = Vec::new();
        let record = match shard.checkpoint_step(payload_bytes_max(parts), &mut payload) {
            CheckpointStep::Idle => return Ok(Progress::Waits),
            CheckpointStep::Walked => return Ok(Progress::Moved),
            CheckpointStep::Record(record) => record,
        };
        if failed {
            return Ok(Progress::Moved);
        }
        let id = shard.id();
        let (log, entry) = match record {
            PartRecord::Keys { first, next } => (&mut *keys, Entry::Keys { shard: id, first, next }),
            PartRecord::Entities { number } => (&mut *parts, Entry::Entities { slot, shard: id, number }),
            PartRecord::Head { head, records } => {
                self.head = Some(head);
                (&mut *parts, Entry::Part { slot, shard: id, records })
            }
        };
        if canary::armed(Canary::PartGarbled) && matches!(record, PartRecord::Entities { .. }) {
            payload[0] ^= 1;
        }
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(&payload);
        let bytes = buffer.as_blocks_bytes().len();
        let sequence = match log.append(entry, buffer) {
            Ok(sequence) => sequence,
            Err(LogFull { entry, .. }) => panic!("no space for {entry:?}, which was looked for before"),
        };
        self.note_written(Written { record, sequence, location: None }, bytes, parts, keys);
        Ok(Progress::Moved)
    }

    /// Takes up a record of a peer's part, if there is space for it now; [`Progress::Waits`] if not yet.
    pub(super) fn receive(
        &mut self,
        slot: Slot,
        shard: ShardId,
        (item, buffer): (PartItem, &BlockBuffer),
        parts: &mut Log,
        keys: &mut Log,
    ) -> Result<Progress, PartFault> {
        let payload = buffer.payload();
        let foreign = || PartFault::Foreign(shard);
        let (record, entry, log) = match item {
            PartItem::Keys { first, next } => {
                let count = payload.len() / SAVED_KEY_BYTES;
                if payload.len() % SAVED_KEY_BYTES != 0 || first.checked_add(count as u64) != Some(next) {
                    return Err(foreign());
                }
                (PartRecord::Keys { first, next }, Entry::Keys { shard, first, next }, &mut *keys)
            }
            // A start wants all that the head counts, and each once.
            PartItem::Entities { number } => {
                if number != self.entity_records() {
                    return Err(foreign());
                }
                (PartRecord::Entities { number }, Entry::Entities { slot, shard, number }, &mut *parts)
            }
            PartItem::Head { records } => {
                let head =
                    PartHead::parse(payload).ok().filter(|head| (head.slot, head.shard) == (slot, shard));
                let head = head.filter(|head| records == self.entity_records() && self.covers_keys(head));
                let head = head.ok_or_else(foreign)?;
                (PartRecord::Head { head, records }, Entry::Part { slot, shard, records }, &mut *parts)
            }
            PartItem::Gone | PartItem::Outcomes { .. } => return Err(foreign()),
        };
        let bytes = buffer.as_blocks_bytes().len();
        if bytes as u64 > log.identity().segment_bytes {
            return Err(foreign());
        }
        match log.space_for(bytes) {
            LogSpace::None => return Err(PartFault::Full(shard)),
            LogSpace::Unprepared => {
                log.demand(bytes);
                return Ok(Progress::Waits);
            }
            LogSpace::Prepared if self.unflushed_bytes >= UNFLUSHED_BYTES_MAX => return Ok(Progress::Waits),
            LogSpace::Prepared => {}
        }
        let sequence = match log.append(entry, buffer.clone()) {
            Ok(sequence) => sequence,
            Err(LogFull { entry, .. }) => panic!("no space for {entry:?}, which was looked for before"),
        };
        if let PartRecord::Head { head, .. } = record {
            self.head = Some(head);
        }
        self.note_written(Written { record, sequence, location: None }, bytes, parts, keys);
        Ok(Progress::Moved)
    }

    fn entity_records(&self) -> u64 {
        let records = self.records.iter();
        records.filter(|written| matches!(written.record, PartRecord::Entities { .. })).count() as u64
    }

    /// Whether the keys that came are all that this head needs.
    fn covers_keys(&self, head: &PartHead) -> bool {
        let ranges = self.records.iter().filter_map(|written| match written.record {
            PartRecord::Keys { first, next } => Some((first, next)),
            _ => None,
        });
        let covered = ranges.fold(
            head.keys_from,
            |covered, (first, next)| {
                if first <= covered { covered.max(next) } else { covered }
            },
        );
        covered >= head.keys_next
    }

    fn note_written(&mut self, written: Written, bytes: usize, parts: &mut Log, keys: &mut Log) {
        self.records.push(written);
        self.unflushed_bytes += bytes;
        self.unasked_bytes += bytes;
        if self.unasked_bytes >= FLUSH_BYTES || self.head.is_some() {
            self.unasked_bytes = 0;
            parts.request_flush();
            keys.request_flush();
        }
    }

    /// Where its records of entities lie, in order.
    pub(super) fn entities(&self) -> Vec<RecordLocation> {
        let entities =
            self.records.iter().filter(|written| matches!(written.record, PartRecord::Entities { .. }));
        entities.filter_map(|written| written.location).collect()
    }

    /// A record of the log of keys, or of the other one, is durable.
    pub(super) fn handle_durable(
        &mut self,
        of_keys: bool,
        sequence: RecordSequence,
        location: RecordLocation,
    ) {
        let is_it = |written: &&mut Written| {
            let keys = matches!(written.record, PartRecord::Keys { .. });
            keys == of_keys && written.sequence == sequence && written.location.is_none()
        };
        if let Some(written) = self.records[self.durable_below..].iter_mut().find(is_it) {
            written.location = Some(location);
            self.durable += 1;
            self.unflushed_bytes -= location.bytes as usize;
        }
        while self.records.get(self.durable_below).is_some_and(|written| written.location.is_some()) {
            self.durable_below += 1;
        }
    }

    /// Whether this record is read back for this part.
    pub(super) fn is_reading(&self, id: OperationId) -> bool {
        self.reading.iter().any(|reading| reading.id == id)
    }

    /// A record of this part was read back: takes it in, and those that wait for it.
    pub(super) fn handle_read(
        &mut self,
        id: OperationId,
        read: Result<ReadRecord, ReadFault>,
    ) -> Result<(), PartFault> {
        let came = read.map_err(PartFault::Read)?.buffer;
        let reading = self.reading.iter_mut().find(|reading| reading.id == id);
        reading.expect("this part reads it").came = Some(came);
        while let Some(Reading { came: Some(came), record, keys_from, .. }) =
            self.reading.pop_front_if(|front| front.came.is_some())
        {
            self.take_in(record, keys_from, came.payload())?;
        }
        Ok(())
    }

    /// Takes in what a record has at rest. Of one of keys, those below `keys_from` were taken in before.
    fn take_in(&mut self, record: PartRecord, keys_from: u64, payload: &[u8]) -> Result<(), PartFault> {
        let head = self.head.expect("records are read back once the head is written");
        let differs = PartFault::Differs(head.shard);
        match record {
            PartRecord::Keys { first, next } => {
                let from = keys_from.max(head.keys_digested_from).max(head.keys_from);
                let bounds = [from, head.keys_next.max(from)].map(|number| number.clamp(first, next));
                let [from, to] = bounds.map(|number| (number - first) as usize * SAVED_KEY_BYTES);
                let Some(keys) = payload.get(from..to) else { return Err(differs) };
                self.keys_digest.add(keys);
            }
            PartRecord::Entities { .. } => {
                let mut rest = payload;
                while !rest.is_empty() {
                    let Ok((_, own, after)) = SavedEntity::parse(rest) else { return Err(differs) };
                    self.entities_digest.add(own);
                    self.entities += 1;
                    rest = after;
                }
            }
            PartRecord::Head { .. } if PartHead::parse(payload) != Ok(head) => return Err(differs),
            PartRecord::Head { .. } => {}
        }
        self.read += 1;
        // C7: from the bytes at rest, compared with what was taken from memory.
        if self.read < self.records.len() {
            return Ok(());
        }
        let found = (self.entities, self.entities_digest, self.keys_digest.hash());
        if found != (head.entities, head.entities_digest, head.keys_digest) {
            return Err(differs);
        }
        Ok(())
    }

    /// Whether everything is written, durable, read back and the same.
    pub(super) fn is_over(&self) -> bool {
        let read = self.read == self.records.len();
        self.head.is_some() && (read || canary::armed(Canary::ActivateUnflushed))
    }

    pub(super) fn head(&self) -> PartHead {
        self.head.expect("the part is over")
    }

    /// Where the part begins in its log.
    pub(super) fn first_segment(&self) -> Option<SegmentId> {
        let of_parts =
            self.records.iter().filter(|written| !matches!(written.record, PartRecord::Keys { .. }));
        of_parts.filter_map(|written| written.location).map(|location| location.segment).min()
    }
}

impl PartFault {
    /// What follows, where the part is a peer's or an own one.
    pub(super) fn failure(&self, of_peer: bool) -> PartFailure {
        let sent_wrong = match self {
            PartFault::Foreign(_) => true,
            PartFault::Differs(_) => of_peer,
            PartFault::Full(_) | PartFault::Read(_) => false,
        };
        let reason = match self {
            PartFault::Differs(shard) if of_peer => {
                format!("the part of shard {shard} does not come to what its head says")
            }
            _ => self.to_string(),
        };
        PartFailure { reason, sent_wrong }
    }
}

impl fmt::Display for PartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartFault::Full(shard) => write!(f, "there is no space for the part of shard {shard}"),
            PartFault::Read(fault) => write!(f, "what was written cannot be read back: {fault}"),
            PartFault::Foreign(shard) => {
                write!(f, "what came from a peer is no record of the part of shard {shard}")
            }
            PartFault::Differs(shard) => write!(
                f,
                "the part of shard {shard} was read back and is not what was in memory: this machine's memory or disk \
                 is not to be trusted"
            ),
        }
    }
}

/// The largest payload of a record: small enough for a step, and for a segment.
fn payload_bytes_max(log: &Log) -> usize {
    let segment_bytes = usize::try_from(log.identity().segment_bytes).unwrap_or(usize::MAX);
    PAYLOAD_BYTES_MAX.min(segment_bytes - BLOCK_BYTES)
}

/// The largest payload of a record of a checkpoint, where segments are large.
const PAYLOAD_BYTES_MAX: usize = 128 << 10;

const _: () = assert!(
    SEGMENT_BYTES_MIN as usize - BLOCK_BYTES >= CHECKPOINT_RECORD_BYTES_MIN,
    "a record of a checkpoint fits the smallest segment"
);

/// Bytes that are flushed together.
const FLUSH_BYTES: usize = 2 << 20;

/// Bytes that may be appended and not durable, so that a checkpoint keeps little memory.
const UNFLUSHED_BYTES_MAX: usize = 2 * FLUSH_BYTES;

/// Records that are read back at once.
const READS_IN_FLIGHT_MAX: usize = 32;
