//! What a crash would leave on the disk now, read as a start reads it.

use std::collections::BTreeMap;

use assize_node::boot::peers_of;
use assize_wal::log::check_record;
use assize_wal::memory::MemoryDevice;
use assize_wal::recovery::{AcceptRead, Recovered, RecoveredSlot, RecoveryError, recover};
use assize_wal::superblock::{Superblock, find};
use assize_wal::{
    BLOCK_BYTES, Block, BlockBuffer, OutcomeIndex, RecordHeader, RecordLocation, SegmentReader,
};
use assize_wire::accept::Accept;
use assize_wire::checkpoint::SavedEntity;
use assize_wire::manifest::Ordered;
use assize_wire::{LogId, ShardId, Slot, StreamTime};

use crate::replica::Replica;
use crate::shape::Shape;

/// A slot of the log: its manifest and its stripes' bytes.
pub struct LoggedSlot {
    /// The manifest and its hash.
    pub ordered: Ordered,
    /// As the manifest names them.
    pub stripes: Vec<(ShardId, Vec<u8>)>,
}

/// What a start after a crash would find.
pub struct Left {
    /// The checkpoint that it begins from.
    pub checkpoint: LeftCheckpoint,
    /// The slots above it, without a gap.
    pub log: Vec<LoggedSlot>,
}

/// What a start begins from.
#[derive(Default)]
pub struct LeftCheckpoint {
    /// The slot of the active checkpoint, 0 if there is none.
    pub slot: Slot,
    /// Its stream time.
    pub time: StreamTime,
    /// The balances in it.
    pub balances: BTreeMap<u128, u64>,
    /// Where stored outcomes lie.
    pub outcomes: OutcomeIndex,
}

impl LeftCheckpoint {
    /// What recovery found of it.
    pub(crate) fn of(shape: &Shape, device: &mut MemoryDevice, recovered: &Recovered) -> LeftCheckpoint {
        let mut left = LeftCheckpoint { outcomes: recovered.outcomes.clone(), ..LeftCheckpoint::default() };
        let Some(checkpoint) = &recovered.checkpoint else { return left };
        (left.slot, left.time) = (checkpoint.at.slot, checkpoint.at.time);
        for location in checkpoint.parts.iter().flat_map(|part| &part.entities) {
            let record = read(shape, device, *location);
            let mut rest = record.payload();
            while !rest.is_empty() {
                let (entity, _, after) = SavedEntity::parse(rest).unwrap();
                let balance = u64::from_le_bytes(entity.state.try_into().unwrap());
                let twice = left.balances.insert(entity.id.0, balance);
                assert_eq!(twice, None, "[checkpoint] account {} is there twice", entity.id);
                rest = after;
            }
        }
        left
    }
}

impl Replica {
    /// What a start after a crash would find now.
    pub fn left_after_crash(&self, seed: u64) -> Left {
        let mut device = self.disk.device.clone();
        device.crash(seed);
        let copies = [0, 1].map(|copy| device.read_superblock(copy).unwrap());
        let superblock = find(copies).unwrap().superblock;
        let recovered = match recover_logs(&mut device, &superblock, self.shape.replicas) {
            Ok(recovered) => recovered,
            Err(refused) => panic!("[durability] a start would be refused: {refused}"),
        };
        let checkpoint = LeftCheckpoint::of(&self.shape, &mut device, &recovered);
        let stripe =
            |device: &mut MemoryDevice, location| read(&self.shape, device, location).payload().to_vec();
        let logged = |slot: &RecoveredSlot| {
            let manifest = Accept::parse(&slot.payload).unwrap().manifest;
            let stripes = slot.stripes.iter();
            let stripes = stripes.map(|(id, location)| (id.shard, stripe(&mut device, *location))).collect();
            LoggedSlot { ordered: Ordered { manifest, hash: slot.manifest }, stripes }
        };
        Left { checkpoint, log: recovered.accepted.iter().map(logged).collect() }
    }

    /// The slots above the checkpoint that a start after a crash would find now.
    pub fn log_after_crash(&self, seed: u64) -> Vec<LoggedSlot> {
        self.left_after_crash(seed).log
    }

    /// The highest accepted-through mark in the records of a log.
    pub fn highest_mark(&self, log: LogId) -> Slot {
        let mut device = self.disk.device.clone();
        let identity = self.shape.identity(log);
        let mut highest = Slot::ZERO;
        for (segment, bytes) in device.segments(log).unwrap() {
            for offset in (0..bytes).step_by(BLOCK_BYTES) {
                let mut block = [Block::ZERO];
                device.read(log, segment, offset, &mut block).unwrap();
                let logical = identity.start_of(segment) + offset;
                if let Ok(header) = RecordHeader::decode(&identity, logical, &block[0].0) {
                    highest = highest.max(header.mark.slot);
                }
            }
        }
        highest
    }
}

/// Recovers the logs that a reader finds, of a cluster of so many replicas.
///
/// # Errors
/// As [`recover`].
pub fn recover_logs(
    reader: &mut dyn SegmentReader,
    superblock: &Superblock,
    replicas: u8,
) -> Result<Recovered, RecoveryError> {
    recover(reader, superblock, &mut AcceptRead::parse, peers_of(replicas.into()))
}

/// Reads a record that is whole.
pub(crate) fn read(shape: &Shape, device: &mut MemoryDevice, location: RecordLocation) -> BlockBuffer {
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    device.read(location.log, location.segment, location.offset, &mut blocks).unwrap();
    let identity = shape.identity(location.log);
    check_record(&identity, identity.start_of(location.segment) + location.offset, blocks).unwrap().buffer
}
