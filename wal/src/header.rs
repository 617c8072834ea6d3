//! The 128 bytes before every record, little-endian, and the checks a record must pass when read back.
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..4 | magic | `ASZR` |
//! | 4..6 | version | 1 |
//! | 6 | kind | 1 stripe, 2 accept, 3 idle, 4 outcomes, 5 start, 6 entities, 7 keys, 8 part |
//! | 7 | copy | 0, or 1 for the second copy of an accept |
//! | 8..12 | checksum | crc32c over cluster id and record key, then the record's whole blocks with this field zero |
//! | 12..16 | previous | checksum of the record before it in this log, 0 for the first |
//! | 16..24 | offset | logical offset in the log: segment number × segment bytes + position in the segment |
//! | 24..32 | segment | segment number. Numbers ascend and are never used twice, so this is L3's generation |
//! | 32..40 | incarnation | of the replica that wrote it |
//! | 40..42 | log | log id |
//! | 42 | replica | replica id |
//! | 43 | | 0 |
//! | 44..48 | payload | payload bytes after the header; zeros follow to the end of the block |
//! | 48..56 | mark ballot | accepted-through mark when the record was formed (L5) |
//! | 56..64 | mark slot | |
//! | 64..96 | hash | stripe: blake3 of its bytes. accept: the manifest's hash. outcomes: stream time, zeros |
//! | 96..98 | shard | stripe, outcomes, entities, keys, part: the shard |
//! | 98..100 | | 0 |
//! | 100..104 | group blocks | blocks from the first record of its group commit to this record |
//! | 104..112 | durable through | logical offset below which this log was durable when the record was formed |
//! | 112..120 | first | accept, entities, part: slot. outcomes: first slot. keys: number of the first key |
//! | 120..128 | last | accept: ballot. outcomes: last slot. entities: its number. keys: the next key. part: records |

use core::fmt;

use assize_wire::canary::{self, Canary};
use assize_wire::{
    Ballot, ClusterId, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot, StreamTime, StripeId,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::block::BlockBuffer;
use crate::limits::{BLOCK_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES};
use crate::operation::SegmentId;

/// What a record is about. Written into its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The payload is a stripe's bytes.
    Stripe(StripeId),
    /// The payload is an accept: this replica accepted `manifest` at `slot` under `ballot`. Written twice (P2).
    Accept {
        /// The slot.
        slot: Slot,
        /// The ballot it is accepted under.
        ballot: Ballot,
        /// The manifest's hash.
        manifest: Hash,
    },
    /// No payload: the log fell idle and leaves its mark (L5).
    Idle,
    /// The payload is a chunk of a shard's published outcomes, for slots `first ..= last` (L9).
    Outcomes {
        /// The shard.
        shard: ShardId,
        /// First slot in the chunk.
        first: Slot,
        /// Last slot in the chunk.
        last: Slot,
        /// Stream time of the last slot.
        time: StreamTime,
    },
    /// The first record of an incarnation.
    Start,
    /// The payload is some of a shard's entities after `slot` (L6).
    Entities {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// Counts this part's records of entities, from 0.
        number: u64,
    },
    /// The payload is the keys `first .. next` of a shard's Warden, in order of arrival (W5). They stand for as long as
    /// one of them is live, whichever checkpoint they were written for.
    Keys {
        /// The shard.
        shard: ShardId,
        /// Number of the first key.
        first: u64,
        /// Number of the key after the last one.
        next: u64,
    },
    /// The payload is the head of a shard's part of the checkpoint after `slot`; the part is complete with it.
    Part {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// How many records of entities the part has. They were written by the same incarnation.
        records: u64,
    },
}

/// The kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A stripe's bytes.
    Stripe,
    /// An accepted manifest.
    Accept,
    /// Nothing but a mark.
    Idle,
    /// Published outcomes.
    Outcomes,
    /// The first record of an incarnation.
    Start,
    /// Entities of a checkpoint.
    Entities,
    /// Keys of a Warden.
    Keys,
    /// The head of a shard's part of a checkpoint.
    Part,
}

/// Accepted-through: every slot up to `slot` is accepted here, the last under `ballot`. Compared in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    /// Compared first.
    pub ballot: Ballot,
    /// The highest slot accepted without a gap.
    pub slot: Slot,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordLocation {
    /// The log.
    pub log: LogId,
    /// The segment.
    pub segment: SegmentId,
    /// Bytes from the segment's start.
    pub offset: u64,
    /// Bytes on the device, header and padding included.
    pub bytes: u32,
}

/// Whose log it is. All of it is checked in every record that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Seeds the checksums, so that another cluster's records are never whole here.
    pub cluster: ClusterId,
    /// Seeds the checksums, too. Nobody outside knows it, so bytes that a client had stored here pass for a record with
    /// one chance in 2^32: see [`crate::superblock::Superblock::record_key`].
    pub record_key: u128,
    /// The replica.
    pub replica: ReplicaId,
    /// The log.
    pub log: LogId,
    /// Bytes of each segment. Part of the format: offsets depend on it.
    pub segment_bytes: u64,
}

/// A record's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it is about.
    pub entry: Entry,
    /// 0, or 1 for the second copy of an accept.
    pub copy: u8,
    /// crc32c of the whole record.
    pub checksum: u32,
    /// The checksum of the record before it.
    pub previous: u32,
    /// Logical offset in the log.
    pub offset: u64,
    /// Its segment.
    pub segment: SegmentId,
    /// Its writer's incarnation.
    pub incarnation: Incarnation,
    /// Payload bytes.
    pub payload_bytes: u32,
    /// Accepted-through when it was formed.
    pub mark: Mark,
    /// Blocks since its group's first record.
    pub group_blocks: u32,
    /// Its log was durable below this logical offset when it was formed.
    pub durable_through: u64,
}

impl Entry {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        match self {
            Entry::Stripe(_) => RecordKind::Stripe,
            Entry::Accept { .. } => RecordKind::Accept,
            Entry::Idle => RecordKind::Idle,
            Entry::Outcomes { .. } => RecordKind::Outcomes,
            Entry::Start => RecordKind::Start,
            Entry::Entities { .. } => RecordKind::Entities,
            Entry::Keys { .. } => RecordKind::Keys,
            Entry::Part { .. } => RecordKind::Part,
        }
    }

    /// Copies written: two of an accept, so that one bad block never makes an accepted slot look absent (P2).
    #[must_use]
    pub fn copies(&self) -> u8 {
        match self {
            Entry::Accept { .. } => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordKind::Stripe => "stripe",
            RecordKind::Accept => "accept",
            RecordKind::Idle => "idle",
            RecordKind::Outcomes => "outcomes",
            RecordKind::Start => "start",
            RecordKind::Entities => "checkpoint's entities",
            RecordKind::Keys => "Warden's keys",
            RecordKind::Part => "checkpoint's head",
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(ballot {}, slot {})", self.ballot, self.slot)
    }
}

impl fmt::Display for RecordLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {}, segment {}, offset {}, {} bytes", self.log, self.segment, self.offset, self.bytes)
    }
}

impl LogIdentity {
    /// The segment that a logical offset lies in.
    #[must_use]
    pub fn segment_of(&self, offset: u64) -> SegmentId {
        SegmentId(offset / self.segment_bytes)
    }

    /// The logical offset of a segment's first byte.
    #[must_use]
    pub fn start_of(&self, segment: SegmentId) -> u64 {
        segment.0 * self.segment_bytes
    }

    /// The location of `bytes` at a logical offset.
    #[must_use]
    pub fn location(&self, offset: u64, bytes: u32) -> RecordLocation {
        let segment = self.segment_of(offset);
        RecordLocation { log: self.log, segment, offset: offset - self.start_of(segment), bytes }
    }
}

impl Mark {
    /// As a record carries it: itself, unless a canary is armed.
    pub(crate) fn as_written(self) -> Mark {
        let too_high = u64::from(canary::armed(Canary::MarkTooHigh));
        Mark { slot: Slot(self.slot.0 + too_high), ..self }
    }
}

impl RecordHeader {
    /// Bytes on the device.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        BlockBuffer::record_bytes(self.payload_bytes as usize)
    }

    /// Writes this header in front of the buffer's payload and returns the checksum, which is computed here.
    pub fn seal(&self, identity: &LogIdentity, buffer: &mut BlockBuffer) -> u32 {
        assert_eq!(
            self.payload_bytes as usize,
            buffer.payload_len(),
            "header and payload disagree in length"
        );
        let raw = self.to_raw(identity);
        buffer.header_mut().copy_from_slice(raw.as_bytes());
        let checksum = checksum_of(identity, buffer.as_blocks_bytes());
        buffer.header_mut()[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// Decodes the header at the front of `block` if it claims to be the record at `offset` of this log.
    /// Nothing of it may be trusted before [`RecordHeader::check`] has seen the whole record.
    pub fn decode(identity: &LogIdentity, offset: u64, block: &[u8]) -> Result<RecordHeader, RecordFault> {
        let (raw, _) = RawHeader::ref_from_prefix(block).expect("a block is longer than a header");
        if raw.magic.get() != MAGIC {
            // One comparison of memory, which takes no time in a build without optimisation either.
            let blank = block.chunks(BLOCK_BYTES).all(|part| *part == BLANK[..part.len()]);
            return Err(if blank { RecordFault::Blank } else { RecordFault::NotARecord });
        }
        if raw.version.get() != VERSION {
            return Err(RecordFault::Version { found: raw.version.get() });
        }
        let entry = raw.entry().ok_or(RecordFault::Kind { found: raw.kind })?;
        let header = RecordHeader {
            entry,
            copy: raw.copy,
            checksum: raw.checksum.get(),
            previous: raw.previous.get(),
            offset: raw.offset.get(),
            segment: SegmentId(raw.segment.get()),
            incarnation: Incarnation(raw.incarnation.get()),
            payload_bytes: raw.payload_bytes.get(),
            mark: Mark { ballot: Ballot::from_raw(raw.mark_ballot.get()), slot: Slot(raw.mark_slot.get()) },
            group_blocks: raw.group_blocks.get(),
            durable_through: raw.durable_through.get(),
        };
        if raw.log.get() != identity.log.0 || raw.replica != identity.replica.0 {
            return Err(RecordFault::Foreign { log: LogId(raw.log.get()), replica: ReplicaId(raw.replica) });
        }
        if header.offset != offset || header.segment != identity.segment_of(offset) {
            return Err(RecordFault::Misplaced { found: header.offset, expected: offset });
        }
        let rest = identity.start_of(identity.segment_of(offset)) + identity.segment_bytes - offset;
        if header.payload_bytes as usize > PAYLOAD_BYTES_MAX || header.record_bytes() as u64 > rest {
            return Err(RecordFault::Length { found: header.payload_bytes });
        }
        Ok(header)
    }

    /// Checks the whole record that this header was decoded from: checksum, and a stripe's own hash.
    pub fn check(&self, identity: &LogIdentity, record: &[u8]) -> Result<(), RecordFault> {
        assert_eq!(record.len(), self.record_bytes(), "the whole record must be given");
        let computed = checksum_of(identity, record);
        if computed != self.checksum {
            return Err(RecordFault::Checksum { stored: self.checksum, computed });
        }
        let payload = &record[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + self.payload_bytes as usize];
        match self.entry {
            Entry::Stripe(stripe) if Hash::of(payload) != stripe.hash => Err(RecordFault::StripeHash),
            _ => Ok(()),
        }
    }

    fn to_raw(self, identity: &LogIdentity) -> RawHeader {
        let (hash, shard, first, last) = match self.entry {
            Entry::Stripe(stripe) => (stripe.hash, stripe.shard, 0, 0),
            Entry::Accept { slot, ballot, manifest } => (manifest, ShardId(0), slot.0, ballot.to_raw()),
            Entry::Outcomes { shard, first, last, time } => (time_hash(time), shard, first.0, last.0),
            Entry::Entities { slot, shard, number } => (Hash::ZERO, shard, slot.0, number),
            Entry::Keys { shard, first, next } => (Hash::ZERO, shard, first, next),
            Entry::Part { slot, shard, records } => (Hash::ZERO, shard, slot.0, records),
            Entry::Idle | Entry::Start => (Hash::ZERO, ShardId(0), 0, 0),
        };
        RawHeader {
            magic: MAGIC.into(),
            version: VERSION.into(),
            kind: kind_code(self.entry.kind()),
            copy: self.copy,
            checksum: 0.into(),
            previous: self.previous.into(),
            offset: self.offset.into(),
            segment: self.segment.0.into(),
            incarnation: self.incarnation.0.into(),
            log: identity.log.0.into(),
            replica: identity.replica.0,
            zero_1: 0,
            payload_bytes: self.payload_bytes.into(),
            mark_ballot: self.mark.ballot.to_raw().into(),
            mark_slot: self.mark.slot.0.into(),
            hash: hash.0,
            shard: shard.0.into(),
            zero_2: 0.into(),
            group_blocks: self.group_blocks.into(),
            durable_through: self.durable_through.into(),
            first: first.into(),
            last: last.into(),
        }
    }
}

impl RawHeader {
    fn entry(&self) -> Option<Entry> {
        let hash = Hash(self.hash);
        let shard = ShardId(self.shard.get());
        let first = Slot(self.first.get());
        Some(match self.kind {
            1 => Entry::Stripe(StripeId { shard, hash }),
            2 => Entry::Accept { slot: first, ballot: Ballot::from_raw(self.last.get()), manifest: hash },
            3 => Entry::Idle,
            4 => Entry::Outcomes { shard, first, last: Slot(self.last.get()), time: time_of(hash) },
            5 => Entry::Start,
            6 => Entry::Entities { slot: first, shard, number: self.last.get() },
            7 => Entry::Keys { shard, first: first.0, next: self.last.get() },
            8 => Entry::Part { slot: first, shard, records: self.last.get() },
            _ => return None,
        })
    }
}

/// Why the bytes at a place are not the record that belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// Zeros: nothing was written here.
    Blank,
    /// Bytes that do not begin with a record's magic number.
    NotARecord,
    /// A format version that this program does not know.
    Version {
        /// The version found.
        found: u16,
    },
    /// A record kind that this program does not know.
    Kind {
        /// The kind found.
        found: u8,
    },
    /// A record of another log or replica.
    Foreign {
        /// Its log.
        log: LogId,
        /// Its replica.
        replica: ReplicaId,
    },
    /// A record that belongs at another offset: left from an earlier use, or a misdirected write.
    Misplaced {
        /// The offset it names.
        found: u64,
        /// The offset it lies at.
        expected: u64,
    },
    /// An impossible length.
    Length {
        /// The payload length found.
        found: u32,
    },
    /// The bytes do not match their checksum.
    Checksum {
        /// In the header.
        stored: u32,
        /// Over the bytes.
        computed: u32,
    },
    /// The stripe's bytes do not match its identity.
    StripeHash,
    /// It does not follow the record before it.
    Chain {
        /// The checksum it names.
        found: u32,
        /// The checksum of the record before it.
        expected: u32,
    },
    /// It was written by an incarnation before the one its place belongs to (L5: void).
    Void {
        /// Its incarnation.
        found: Incarnation,
        /// The least incarnation that may stand here.
        least: Incarnation,
    },
    /// The segment is not there, or the log ends with it.
    NoSegment,
    /// The device cannot read a block of it.
    Unreadable {
        /// The block.
        block: RecordLocation,
    },
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::Blank => write!(f, "nothing was written there"),
            RecordFault::NotARecord => write!(f, "the bytes there do not begin a record"),
            RecordFault::Version { found } => {
                write!(f, "a record of format version {found}, this program knows {VERSION}")
            }
            RecordFault::Kind { found } => write!(f, "a record of unknown kind {found}"),
            RecordFault::Foreign { log, replica } => write!(f, "a record of log {log} of replica {replica}"),
            RecordFault::Misplaced { found, expected } => {
                write!(f, "a record that belongs at log offset {found}, not {expected}")
            }
            RecordFault::Length { found } => write!(f, "a record of impossible length {found}"),
            RecordFault::Checksum { stored, computed } => {
                write!(f, "a record whose checksum is {stored:08x} and whose bytes give {computed:08x}")
            }
            RecordFault::StripeHash => write!(f, "a stripe whose bytes do not match its hash"),
            RecordFault::Chain { found, expected } => {
                write!(f, "a record that follows one with checksum {found:08x}, not {expected:08x}")
            }
            RecordFault::Void { found, least } => {
                write!(f, "a record of incarnation {found}, void where incarnation {least} writes")
            }
            RecordFault::NoSegment => write!(f, "there is no such segment"),
            RecordFault::Unreadable { block } => write!(f, "the device cannot read the block at {block}"),
        }
    }
}

impl core::error::Error for RecordFault {}

/// The header as it lies on the device.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: U32,
    version: U16,
    kind: u8,
    copy: u8,
    checksum: U32,
    previous: U32,
    offset: U64,
    segment: U64,
    incarnation: U64,
    log: U16,
    replica: u8,
    zero_1: u8,
    payload_bytes: U32,
    mark_ballot: U64,
    mark_slot: U64,
    hash: [u8; 32],
    shard: U16,
    zero_2: U16,
    group_blocks: U32,
    durable_through: U64,
    first: U64,
    last: U64,
}

const MAGIC: u32 = u32::from_le_bytes(*b"ASZR");
const VERSION: u16 = 1;
const CHECKSUM_AT: usize = 8;
static BLANK: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

const _: () = assert!(size_of::<RawHeader>() == RECORD_HEADER_BYTES, "the table above is the layout");
const _: () = assert!(core::mem::offset_of!(RawHeader, checksum) == CHECKSUM_AT, "seal writes it there");
const _: () = assert!(RECORD_HEADER_BYTES <= BLOCK_BYTES, "a header is read with its first block");

fn kind_code(kind: RecordKind) -> u8 {
    match kind {
        RecordKind::Stripe => 1,
        RecordKind::Accept => 2,
        RecordKind::Idle => 3,
        RecordKind::Outcomes => 4,
        RecordKind::Start => 5,
        RecordKind::Entities => 6,
        RecordKind::Keys => 7,
        RecordKind::Part => 8,
    }
}

/// A record of outcomes has no hash: its stream time stands in that place.
fn time_hash(time: StreamTime) -> Hash {
    let mut hash = Hash::ZERO;
    hash.0[..8].copy_from_slice(&time.0.to_le_bytes());
    hash
}

fn time_of(hash: Hash) -> StreamTime {
    StreamTime(u64::from_le_bytes(hash.0[..8].try_into().expect("eight bytes")))
}

/// crc32c over the cluster id, the record key and the record with its checksum field taken as zero.
fn checksum_of(identity: &LogIdentity, record: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(&identity.cluster.0.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &identity.record_key.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &record[..CHECKSUM_AT]);
    crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &record[CHECKSUM_AT + 4..])
}
