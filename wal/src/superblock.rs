//! The superblock: what a replica must know before it reads its logs, in two copies (L7).
//!
//! One copy, little-endian, 32 KiB:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..4 | magic | `ASZS` |
//! | 4..6 | version | 4 |
//! | 6 | quarantine | 0, or its kind (C5): 1 outcomes, 2 split brain, 3 replay, 4 state, 5 to be rebuilt (R3) |
//! | 7 | replica | replica id |
//! | 8..12 | checksum | crc32c over the whole copy with this field zero |
//! | 12..14 | cuts | number of cuts |
//! | 14..16 | parameters | bytes of agreed parameters |
//! | 16..32 | cluster | cluster id |
//! | 32..40 | sequence | raised by every update |
//! | 40..48 | incarnation | the last one begun |
//! | 48..56 | promised | ballot |
//! | 56..64 | segment bytes | size of every segment of every log |
//! | 64..72 | checkpoint | its slot, 0 if there is none; then the next four are 0, too |
//! | 72..80 | | its stream time |
//! | 80..88 | | the ballot under which its slot was accepted |
//! | 88..120 | | the hash of its slot's manifest |
//! | 120..152 | | its digest |
//! | 152..168 | record key | seeds the records' checksums |
//! | 168..296 | accepted | as the last start found it: 8 times ballot u64, slot u64; unused ones 0 |
//! | 296..424 | certain | the same of what is certain |
//! | 424..504 | quarantine | slot u64, shard u16 (65535: none), 0, digest expected, digest found; all 0 if there is
//! none |
//! | 504 | rejoins | 1 if it has no vote yet (R3), else 0 |
//! | 505..512 | | 0 |
//! | 512..552 | generations | u64 for each of 5 replicas: the last disk that was met of it, its own among them |
//! | 552..576 | | 0 |
//! | 576.. | cuts | 32 bytes each: log u16, u16 0, first previous u32, incarnation u64, offset u64, first segment u64 |
//! | then | parameters | the engine's own bytes, then zeros |

mod error;
mod quarantine;
mod remembered;
mod store;

pub use error::{CopyReport, SuperblockError, SuperblockFault};
pub use quarantine::{Quarantine, QuarantineKind};
pub use remembered::Remembered;
pub use store::SuperblockStore;

use alloc::vec;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::peer::{Generation, Generations};
use assize_wire::{Ballot, ClusterId, Hash, Incarnation, LogId, ReplicaId, Slot, StreamTime};
use zerocopy::IntoBytes;

use crate::block::Block;
use crate::limits::{BLOCK_BYTES, LOGS_MAX, PARAMETERS_BYTES_MAX, SUPERBLOCK_COPY_BYTES};
use crate::operation::SegmentId;

/// What a replica must know before it reads its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The cluster.
    pub cluster: ClusterId,
    /// This replica.
    pub replica: ReplicaId,
    /// Raised by every update.
    pub sequence: u64,
    /// Seeds the checksums of this replica's records; drawn at `format` and told to nobody.
    ///
    /// 1. Without it a client could send an event that holds a whole record, as it would stand in a later segment.
    /// 2. The segment that the event lies in is recycled and gets that later segment's number.
    /// 3. A start finds, behind the end of the log, a whole record that says what must have been durable before it, and
    ///    refuses.
    pub record_key: u128,
    /// The last incarnation begun.
    pub incarnation: Incarnation,
    /// The highest ballot promised, as far as it was written here.
    pub promised: Ballot,
    /// Quarantine is durable and ends only by rebuilding (C5, R3).
    pub quarantine: Option<Quarantine>,
    /// The disks of all replicas, as far as they were met; at its own number this one (R3).
    pub generations: Generations,
    /// This disk is in place of one that was lost, with all that was promised and accepted there: until the others have
    /// told enough this replica has no vote (R3).
    pub rejoins: bool,
    /// Size of every segment.
    pub segment_bytes: u64,
    /// The active checkpoint: what a start begins from (L6).
    pub checkpoint: Option<CheckpointRef>,
    /// With peers, what the last start found to have been accepted, or must suppose (L5). The next one may no longer
    /// see what that followed from: the log goes on behind what is damaged, and what proved it may be damaged in turn.
    pub accepted: Remembered,
    /// The same for what was certainly accepted: `accepted` counts as well what a crash may have left behind a gap.
    pub certain: Remembered,
    /// One per log that was ever opened (L5).
    pub cuts: Vec<LogCut>,
    /// The agreed parameters, opaque here.
    pub parameters: Vec<u8>,
}

/// The checkpoint that a start begins from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRef {
    /// It holds the state after this slot.
    pub slot: Slot,
    /// The slot's stream time.
    pub time: StreamTime,
    /// The ballot under which the slot was accepted here.
    pub ballot: Ballot,
    /// The hash of the slot's manifest, which the next one chains to.
    pub manifest: Hash,
    /// Over the heads of its parts, the time and the manifest ([`assize_wire::checkpoint::digest_of`]).
    pub digest: Hash,
}

/// What a start may expect of a log: recorded when an incarnation begins, and moved on by each checkpoint.
///
/// Records at or beyond `offset` are void unless written by `incarnation` or a later one, and everything from
/// `first_segment` to `offset` is there, or was found damaged by a replica with peers. Segments below the first one
/// were given up to be recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCut {
    /// The log.
    pub log: LogId,
    /// The incarnation that recorded this.
    pub incarnation: Incarnation,
    /// Logical offset through which the log was durable; behind all damage that was found then.
    pub offset: u64,
    /// The first segment that is kept.
    pub first_segment: SegmentId,
    /// The checksum of the record before the first one of that segment.
    pub first_previous: u32,
}

impl Superblock {
    /// What `format` writes first: nothing is promised, accepted or opened. What it leaves out, its caller adds.
    #[must_use]
    pub fn first(cluster: ClusterId, replica: ReplicaId, record_key: u128, segment_bytes: u64) -> Superblock {
        Superblock {
            cluster,
            replica,
            sequence: 0,
            record_key,
            incarnation: Incarnation(0),
            promised: Ballot::NONE,
            quarantine: None,
            generations: Generations::default(),
            rejoins: false,
            segment_bytes,
            checkpoint: None,
            accepted: Remembered::default(),
            certain: Remembered::default(),
            cuts: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The bytes of one copy.
    #[must_use]
    pub fn encode(&self) -> Vec<Block> {
        assert!(self.cuts.len() <= LOGS_MAX, "{} logs, {LOGS_MAX} fit", self.cuts.len());
        assert!(
            self.parameters.len() <= PARAMETERS_BYTES_MAX,
            "{} bytes of parameters, {PARAMETERS_BYTES_MAX} fit",
            self.parameters.len()
        );
        let mut blocks = vec![Block::ZERO; SUPERBLOCK_COPY_BYTES / BLOCK_BYTES];
        let bytes = blocks.as_mut_slice().as_mut_bytes();
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, MAGIC);
        put(4, &VERSION.to_le_bytes());
        put(6, &[self.quarantine.map_or(0, |quarantine| quarantine.kind as u8), self.replica.0]);
        if let Some(quarantine) = self.quarantine {
            put(424, &quarantine.to_bytes());
        }
        put(REJOINS_AT, &[self.rejoins.into()]);
        put(GENERATIONS_AT, &self.generations.to_bytes());
        put(12, &(self.cuts.len() as u16).to_le_bytes());
        put(14, &(self.parameters.len() as u16).to_le_bytes());
        put(16, &self.cluster.0.to_le_bytes());
        put(32, &self.sequence.to_le_bytes());
        put(40, &self.incarnation.0.to_le_bytes());
        put(48, &self.promised.to_raw().to_le_bytes());
        put(56, &self.segment_bytes.to_le_bytes());
        if let Some(checkpoint) = &self.checkpoint {
            assert!(checkpoint.slot > Slot::ZERO, "a checkpoint before the first slot");
            put(64, &checkpoint.slot.0.to_le_bytes());
            put(72, &checkpoint.time.0.to_le_bytes());
            put(80, &checkpoint.ballot.to_raw().to_le_bytes());
            put(88, &checkpoint.manifest.0);
            put(120, &checkpoint.digest.0);
        }
        put(152, &self.record_key.to_le_bytes());
        put(168, &self.accepted.encode());
        put(296, &self.certain.encode());
        for (index, cut) in self.cuts.iter().enumerate() {
            let at = FIXED_BYTES + index * CUT_BYTES;
            put(at, &cut.log.0.to_le_bytes());
            put(at + 4, &cut.first_previous.to_le_bytes());
            put(at + 8, &cut.incarnation.0.to_le_bytes());
            put(at + 16, &cut.offset.to_le_bytes());
            put(at + 24, &cut.first_segment.0.to_le_bytes());
        }
        put(FIXED_BYTES + self.cuts.len() * CUT_BYTES, &self.parameters);
        let checksum = checksum_of(bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        blocks
    }

    /// Reads one copy.
    pub fn decode(blocks: &[Block]) -> Result<Superblock, SuperblockFault> {
        let bytes = blocks.as_bytes();
        if bytes.len() != SUPERBLOCK_COPY_BYTES || &bytes[..4] != MAGIC {
            return Err(SuperblockFault::NotASuperblock);
        }
        let stored = u32_at(bytes, CHECKSUM_AT);
        let computed = checksum_of(bytes);
        if stored != computed {
            return Err(SuperblockFault::Checksum { stored, computed });
        }
        if u16_at(bytes, 4) != VERSION {
            return Err(SuperblockFault::Version { found: u16_at(bytes, 4) });
        }
        let quarantine =
            Quarantine::of_bytes(bytes[6], bytes[424..].first_chunk().expect("the copy is longer"));
        if quarantine.is_none() && bytes[6] != 0 {
            return Err(SuperblockFault::NotASuperblock);
        }
        let rejoins = match bytes[REJOINS_AT] {
            0 => false,
            1 => true,
            _ => return Err(SuperblockFault::NotASuperblock),
        };
        let generations = bytes[GENERATIONS_AT..].first_chunk().expect("the copy is longer");
        let (cuts, parameters) = (usize::from(u16_at(bytes, 12)), usize::from(u16_at(bytes, 14)));
        if cuts > LOGS_MAX || parameters > PARAMETERS_BYTES_MAX {
            return Err(SuperblockFault::NotASuperblock);
        }
        let cut_at = |index: usize| {
            let at = FIXED_BYTES + index * CUT_BYTES;
            LogCut {
                log: LogId(u16_at(bytes, at)),
                incarnation: Incarnation(u64_at(bytes, at + 8)),
                offset: u64_at(bytes, at + 16),
                first_segment: SegmentId(u64_at(bytes, at + 24)),
                first_previous: u32_at(bytes, at + 4),
            }
        };
        let checkpoint = CheckpointRef {
            slot: Slot(u64_at(bytes, 64)),
            time: StreamTime(u64_at(bytes, 72)),
            ballot: Ballot::from_raw(u64_at(bytes, 80)),
            manifest: Hash(bytes[88..120].try_into().expect("32 bytes")),
            digest: Hash(bytes[120..152].try_into().expect("32 bytes")),
        };
        let parameters_at = FIXED_BYTES + cuts * CUT_BYTES;
        Ok(Superblock {
            cluster: ClusterId(u128::from_le_bytes(bytes[16..32].try_into().expect("16 bytes"))),
            replica: ReplicaId(bytes[7]),
            sequence: u64_at(bytes, 32),
            record_key: u128::from_le_bytes(bytes[152..168].try_into().expect("16 bytes")),
            incarnation: Incarnation(u64_at(bytes, 40)),
            promised: Ballot::from_raw(u64_at(bytes, 48)),
            quarantine,
            generations: Generations::from_bytes(generations),
            rejoins,
            segment_bytes: u64_at(bytes, 56),
            checkpoint: (checkpoint.slot > Slot::ZERO).then_some(checkpoint),
            accepted: Remembered::decode(&bytes[168..296]),
            certain: Remembered::decode(&bytes[296..424]),
            cuts: (0..cuts).map(cut_at).collect(),
            parameters: bytes[parameters_at..parameters_at + parameters].to_vec(),
        })
    }

    /// This disk.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generations.of(self.replica)
    }

    /// The cut of a log, if it was ever opened.
    #[must_use]
    pub fn cut(&self, log: LogId) -> Option<LogCut> {
        self.cuts.iter().copied().find(|cut| cut.log == log)
    }
}

/// The superblock found at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSuperblock {
    /// The one to use.
    pub superblock: Superblock,
    /// The copy that must be rewritten before anything else.
    pub rewrite: Option<u8>,
}

/// Reads the two copies as the table says.
pub fn find(copies: [Option<Vec<Block>>; 2]) -> Result<FoundSuperblock, SuperblockError> {
    let read = copies.map(|copy| copy.map(|blocks| Superblock::decode(&blocks)));
    let states = [state_of(&read[0]), state_of(&read[1])];
    let relation = match &read {
        [Some(Ok(first)), Some(Ok(second))] => relation_of(first, second),
        _ => Relation::None,
    };
    let older = canary::armed(Canary::OlderSuperblock) && relation != Relation::None;
    let chosen = match decide(states, relation) {
        Decision::Use { copy, .. } if older && relation != Relation::Same => (1 - copy, true),
        Decision::Use { copy, rewrite_other } => (copy, rewrite_other),
        Decision::NotFormatted => return Err(SuperblockError::NotFormatted),
        Decision::Corrupt => {
            let fault = |copy: &Option<Result<Superblock, SuperblockFault>>| match copy {
                Some(Ok(superblock)) => CopyReport::Valid { sequence: superblock.sequence },
                Some(Err(fault)) => CopyReport::Faulty(*fault),
                None => CopyReport::Absent,
            };
            return Err(SuperblockError::Corrupt { copies: [fault(&read[0]), fault(&read[1])] });
        }
    };
    let (copy, rewrite_other) = chosen;
    let [first, second] = read;
    let superblock = if copy == 0 { first } else { second };
    let superblock = superblock.and_then(Result::ok).expect("the table uses valid copies only");
    Ok(FoundSuperblock { superblock, rewrite: rewrite_other.then_some(1 - copy) })
}

/// What one copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// Never written.
    Absent,
    /// Not whole.
    Invalid,
    /// Whole.
    Valid,
}

/// How two valid copies stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are not both valid.
    None,
    /// The same bytes.
    Same,
    /// Copy 0 has the next sequence number.
    FirstNewer,
    /// Copy 1 has the next sequence number.
    SecondNewer,
    /// More than one sequence number apart, or equal in number and not in bytes, or of two replicas.
    Contradictory,
}

/// What to do with the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Use this one.
    Use {
        /// 0 or 1.
        copy: u8,
        /// Whether the other lacks the newest update, which was then never acknowledged.
        rewrite_other: bool,
    },
    /// Nothing was ever written here.
    NotFormatted,
    /// Neither can be trusted.
    Corrupt,
}

/// A row of the table: `None` matches everything.
type Row = (Option<CopyState>, Option<CopyState>, Option<Relation>, Decision);

/// The table of L7. A test shows that every input matches exactly one row.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    (Some(CopyState::Valid), Some(CopyState::Valid), Some(Relation::Same), Decision::Use { copy: 0, rewrite_other: false }),
    (Some(CopyState::Valid), Some(CopyState::Valid), Some(Relation::FirstNewer), Decision::Use { copy: 0, rewrite_other: true }),
    (Some(CopyState::Valid), Some(CopyState::Valid), Some(Relation::SecondNewer), Decision::Use { copy: 1, rewrite_other: true }),
    (Some(CopyState::Valid), Some(CopyState::Valid), Some(Relation::Contradictory), Decision::Corrupt),
    (Some(CopyState::Valid), Some(CopyState::Invalid), Some(Relation::None), Decision::Use { copy: 0, rewrite_other: true }),
    (Some(CopyState::Valid), Some(CopyState::Absent), Some(Relation::None), Decision::Use { copy: 0, rewrite_other: true }),
    (Some(CopyState::Invalid), Some(CopyState::Valid), Some(Relation::None), Decision::Use { copy: 1, rewrite_other: true }),
    (Some(CopyState::Absent), Some(CopyState::Valid), Some(Relation::None), Decision::Use { copy: 1, rewrite_other: true }),
    (Some(CopyState::Invalid), Some(CopyState::Invalid), Some(Relation::None), Decision::Corrupt),
    (Some(CopyState::Invalid), Some(CopyState::Absent), Some(Relation::None), Decision::Corrupt),
    (Some(CopyState::Absent), Some(CopyState::Invalid), Some(Relation::None), Decision::Corrupt),
    (Some(CopyState::Absent), Some(CopyState::Absent), Some(Relation::None), Decision::NotFormatted),
];

/// Looks the decision up.
#[must_use]
pub fn decide(copies: [CopyState; 2], relation: Relation) -> Decision {
    let mut rows = TABLE.iter().filter(|row| matches(row, copies, relation));
    let row = rows.next().unwrap_or_else(|| panic!("no row for {copies:?}, {relation:?}"));
    row.3
}

const MAGIC: &[u8; 4] = b"ASZS";
const VERSION: u16 = 5;
const CHECKSUM_AT: usize = 8;
const REJOINS_AT: usize = 504;
const GENERATIONS_AT: usize = 512;
const FIXED_BYTES: usize = 576;
const CUT_BYTES: usize = 32;

fn matches(row: &Row, copies: [CopyState; 2], relation: Relation) -> bool {
    row.0.is_none_or(|state| state == copies[0])
        && row.1.is_none_or(|state| state == copies[1])
        && row.2.is_none_or(|expected| expected == relation)
}

fn state_of(copy: &Option<Result<Superblock, SuperblockFault>>) -> CopyState {
    match copy {
        None => CopyState::Absent,
        Some(Err(_)) => CopyState::Invalid,
        Some(Ok(_)) => CopyState::Valid,
    }
}

fn relation_of(first: &Superblock, second: &Superblock) -> Relation {
    let same_replica = first.cluster == second.cluster && first.replica == second.replica;
    match (
        same_replica,
        first.sequence.checked_sub(second.sequence),
        second.sequence.checked_sub(first.sequence),
    ) {
        (true, Some(0), _) if first == second => Relation::Same,
        (true, Some(1), _) => Relation::FirstNewer,
        (true, _, Some(1)) => Relation::SecondNewer,
        _ => Relation::Contradictory,
    }
}

fn checksum_of(bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &bytes[CHECKSUM_AT + 4..])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use assize_wire::ShardId;

    use super::*;
    use crate::header::Mark;
    use crate::operation::{Completion, Operation};

    fn mark(ballot: u64, slot: u64) -> Mark {
        Mark { ballot: Ballot::new(ballot, ReplicaId(1)), slot: Slot(slot) }
    }

    fn example(sequence: u64) -> Superblock {
        Superblock {
            cluster: ClusterId(7),
            replica: ReplicaId(2),
            sequence,
            record_key: 12345 << 90,
            incarnation: Incarnation(3),
            promised: Ballot::new(4, ReplicaId(2)),
            quarantine: Some(Quarantine {
                kind: QuarantineKind::Replay,
                slot: Slot(60),
                shard: Some(ShardId(2)),
                expected: Hash([7; 32]),
                found: Hash([8; 32]),
            }),
            generations: Generations::from_bytes(&[3; Generations::BYTES]),
            rejoins: true,
            segment_bytes: 1 << 20,
            checkpoint: Some(CheckpointRef {
                slot: Slot(70),
                time: StreamTime(71),
                ballot: Ballot::new(3, ReplicaId(1)),
                manifest: Hash([5; 32]),
                digest: Hash([6; 32]),
            }),
            accepted: Remembered::new(&[mark(5, 8), mark(3, 12)]),
            certain: Remembered::new(&[mark(2, 11)]),
            cuts: vec![LogCut {
                log: LogId(1),
                incarnation: Incarnation(3),
                offset: 8192,
                first_segment: SegmentId(4),
                first_previous: 99,
            }],
            parameters: vec![9; 500],
        }
    }

    #[test]
    fn l7_every_input_matches_exactly_one_row() {
        let states = [CopyState::Absent, CopyState::Invalid, CopyState::Valid];
        let both = [Relation::Same, Relation::FirstNewer, Relation::SecondNewer, Relation::Contradictory];
        for first in states {
            for second in states {
                let both_valid = first == CopyState::Valid && second == CopyState::Valid;
                let relations = if both_valid { &both[..] } else { &[Relation::None][..] };
                for relation in relations {
                    let found = TABLE.iter().filter(|row| matches(row, [first, second], *relation)).count();
                    assert_eq!(found, 1, "{first:?} {second:?} {relation:?}");
                }
            }
        }
    }

    #[test]
    fn l7_every_flipped_byte_of_a_superblock_is_detected() {
        let superblock = example(5);
        let mut blocks = superblock.encode();
        assert_eq!(Superblock::decode(&blocks), Ok(superblock));
        for at in 0..SUPERBLOCK_COPY_BYTES {
            blocks.as_mut_slice().as_mut_bytes()[at] ^= 0x41;
            assert!(Superblock::decode(&blocks).is_err(), "byte {at} flipped and not detected");
            blocks.as_mut_slice().as_mut_bytes()[at] ^= 0x41;
        }
    }

    /// FirstCopyWritten, SuperblockUpdated: a crash after any number of completed copy writes leaves the old or the
    /// new superblock, and an acknowledged update is never lost.
    #[test]
    fn l7_an_update_survives_a_crash_at_any_write() {
        for writes_done in 0..=4 {
            for torn in [false, true] {
                let mut disk = [Some(example(5).encode()), Some(example(5).encode())];
                let found = find(disk.clone()).unwrap();
                let mut store = SuperblockStore::new(found);
                let first = store.handle_update(|superblock| superblock.incarnation = Incarnation(4));
                let second =
                    store.handle_update(|superblock| superblock.promised = Ballot::new(9, ReplicaId(2)));
                assert_eq!((first, second), (6, 7));
                let mut acknowledged = 5;
                for step in 0..=writes_done {
                    let Some(Operation::WriteSuperblock { id, copy, blocks }) = store.poll_operation() else {
                        break;
                    };
                    if step == writes_done {
                        if torn {
                            disk[usize::from(copy)].as_mut().unwrap()[0] = Block([0x55; BLOCK_BYTES]);
                        }
                        break;
                    }
                    disk[usize::from(copy)] = Some(blocks.to_vec());
                    let result = Ok(crate::operation::Done::Complete);
                    store.handle_completion(Completion { id, result }).unwrap();
                    acknowledged = store.poll_updated().unwrap_or(acknowledged);
                }
                let found = find(disk).expect("a crash never makes both copies invalid");
                assert!(found.superblock.sequence >= acknowledged, "{writes_done} {torn}");
            }
        }
    }

    #[test]
    fn c5_every_kind_of_quarantine_is_kept_and_an_unknown_one_refused() {
        let of = |kind| Quarantine { kind, shard: None, ..example(5).quarantine.unwrap() };
        for quarantine in QuarantineKind::ALL.map(of).map(Some).into_iter().chain([None]) {
            let superblock = Superblock { quarantine, ..example(5) };
            assert_eq!(Superblock::decode(&superblock.encode()), Ok(superblock));
        }
        let mut blocks = example(5).encode();
        let bytes = blocks.as_mut_slice().as_mut_bytes();
        bytes[6] = 1 + QuarantineKind::ALL.len() as u8;
        let checksum = checksum_of(bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Superblock::decode(&blocks), Err(SuperblockFault::NotASuperblock));
    }

    #[test]
    fn l7_copies_too_far_apart_are_corruption() {
        let far = find([Some(example(5).encode()), Some(example(7).encode())]);
        assert!(matches!(far, Err(SuperblockError::Corrupt { .. })));
        let mut other = example(5);
        other.incarnation = Incarnation(9);
        assert!(find([Some(example(5).encode()), Some(other.encode())]).is_err());
        assert_eq!(find([None, None]), Err(SuperblockError::NotFormatted));
    }
}
