//! Records of recovered slots and checkpoints, read back with the same checks as when recovery read them: the disk may
//! have changed its mind since.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use assize_domain::DomainRegistry;
use assize_shards::{PanicGuard, RestoreError, Shard, ShardConfig, ShardRestore, StripeBytes};
use assize_wal::log::check_record;
use assize_wal::recovery::{RecoveredCheckpoint, RecoveredSlot};
use assize_wal::{
    BLOCK_BYTES, Block, BlockBuffer, DeviceError, LogIdentity, OutcomeIndex, RecordLocation, SegmentReader,
};
use assize_wire::accept::Accept;
use assize_wire::checkpoint::PartHead;
use assize_wire::manifest::Ordered;
use assize_wire::published::PublishedStripe;
use assize_wire::{Hash, ShardId, Slot};

use super::ahead::ReadAhead;
use crate::held::StripePayload;
use crate::message::ReplayedSlot;

/// Reads recovered slots, each with its stripes and the digests under which they were published.
pub struct SlotReader {
    /// Of any of the replica's logs.
    identity: LogIdentity,
    /// Stripes lie in the logs in the order of their slots, or nearly so.
    ahead: ReadAhead,
    outcomes: OutcomeIndex,
    /// For each shard the chunk of the outcome stream that was read last: where it lies, and its digests by slot.
    digests: BTreeMap<ShardId, (RecordLocation, BTreeMap<Slot, Hash>)>,
}

impl SlotReader {
    /// With what recovery knows of the outcome stream.
    #[must_use]
    pub fn new(identity: LogIdentity, outcomes: OutcomeIndex) -> SlotReader {
        SlotReader {
            identity,
            ahead: ReadAhead::new(identity.segment_bytes),
            outcomes,
            digests: BTreeMap::new(),
        }
    }

    /// A slot to be replayed.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn slot(
        &mut self,
        reader: &mut dyn SegmentReader,
        slot: &RecoveredSlot,
    ) -> Result<ReplayedSlot, ReadError> {
        let accept = Accept::parse(&slot.payload).map_err(|_| ReadError::Changed(slot.location))?;
        let mut stripes = Vec::with_capacity(slot.stripes.len());
        let mut digests = Vec::new();
        for (id, location) in &slot.stripes {
            let payload = accept.manifest.stripe_of(id.shard).map_or(0, |stripe| stripe.bytes as usize);
            let blocks = self.ahead.read(reader, *location).map_err(ReadError::Device)?;
            let buffer = checked(self.identity, *location, blocks)?;
            if buffer.payload_len() != payload {
                return Err(ReadError::Changed(*location));
            }
            stripes.push((id.shard, Arc::new(StripePayload(Arc::new(buffer))) as StripeBytes));
            if let Some(digest) = self.digest(reader, id.shard, slot.slot)? {
                digests.push((id.shard, digest));
            }
        }
        let ordered = Ordered { manifest: accept.manifest, hash: slot.manifest };
        Ok(ReplayedSlot { ordered, stripes, digests })
    }

    /// The digest that was published for a shard's stripe, if the outcome stream holds it.
    fn digest(
        &mut self,
        reader: &mut dyn SegmentReader,
        shard: ShardId,
        slot: Slot,
    ) -> Result<Option<Hash>, ReadError> {
        let Some(location) = self.outcomes.locate(shard, slot) else { return Ok(None) };
        if self.digests.get(&shard).is_none_or(|(read, _)| *read != location) {
            let buffer = record(reader, self.identity, location)?;
            let mut chunk = BTreeMap::new();
            let mut rest = buffer.payload();
            while !rest.is_empty() {
                let (stripe, after) =
                    PublishedStripe::parse(rest).map_err(|_| ReadError::Changed(location))?;
                chunk.insert(stripe.slot, stripe.digest);
                rest = after;
            }
            self.digests.insert(shard, (location, chunk));
        }
        Ok(self.digests.get(&shard).and_then(|(_, chunk)| chunk.get(&slot).copied()))
    }
}

/// A shard as the checkpoint has it, or an empty one if there is none.
///
/// # Errors
/// [`ReadError`]
pub fn restore_shard(
    reader: &mut dyn SegmentReader,
    identity: LogIdentity,
    checkpoint: Option<&RecoveredCheckpoint>,
    config: ShardConfig,
    domains: Arc<DomainRegistry>,
    guard: Arc<dyn PanicGuard>,
) -> Result<Shard, ReadError> {
    let Some(checkpoint) = checkpoint else { return Ok(Shard::new(config, domains, guard)) };
    let (shard, slot) = (config.shard, checkpoint.at.slot);
    let failed = |error| ReadError::Restore { slot, shard, error };
    if checkpoint.parts.is_empty() {
        // What was evaluated is to be rebuilt (R3): until then nothing is executed, and the shard only stands there.
        let head = PartHead::empty(slot, shard);
        return ShardRestore::new(config, domains, guard, head, checkpoint.at.time).finish().map_err(failed);
    }
    let part = checkpoint.parts.iter().find(|part| part.head.shard == shard);
    let part = part.ok_or(ReadError::NoPart { slot, shard })?;
    let mut restore = ShardRestore::new(config, domains, guard, part.head, checkpoint.at.time);
    for location in &part.entities {
        let buffer = record(reader, identity, *location)?;
        restore.entities(buffer.payload()).map_err(failed)?;
    }
    for keys in &part.keys {
        let buffer = record(reader, identity, keys.location)?;
        restore.keys(keys.first, keys.next, buffer.payload()).map_err(failed)?;
    }
    restore.finish().map_err(failed)
}

fn record(
    reader: &mut dyn SegmentReader,
    identity: LogIdentity,
    location: RecordLocation,
) -> Result<BlockBuffer, ReadError> {
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    reader.read(location.log, location.segment, location.offset, &mut blocks).map_err(ReadError::Device)?;
    checked(identity, location, blocks)
}

/// The record that these blocks are, if they are.
fn checked(
    identity: LogIdentity,
    location: RecordLocation,
    blocks: Vec<Block>,
) -> Result<BlockBuffer, ReadError> {
    let identity = LogIdentity { log: location.log, ..identity };
    let offset = identity.start_of(location.segment) + location.offset;
    let record = check_record(&identity, offset, blocks);
    record.map(|record| record.buffer).map_err(|_| ReadError::Changed(location))
}

/// Why what recovery found cannot be taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The device failed.
    Device(DeviceError),
    /// A record was whole when recovery read it and is another one now.
    Changed(RecordLocation),
    /// The checkpoint has no part of a shard: it was formatted with fewer.
    NoPart {
        /// The checkpoint's slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
    },
    /// A shard's part is not what its head says.
    Restore {
        /// The checkpoint's slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// What is wrong.
        error: RestoreError,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Device(error) => error.fmt(f),
            ReadError::Changed(location) => {
                write!(
                    f,
                    "the record at {location} changed since recovery read it: check the disk (dmesg, SMART)"
                )
            }
            ReadError::NoPart { slot, shard } => {
                write!(f, "the checkpoint after slot {slot} has no part of shard {shard}")
            }
            ReadError::Restore { slot, shard, error } => write!(
                f,
                "shard {shard} cannot be taken up from the checkpoint after slot {slot}: {error}. Copy the data \
                 directory away, then start the program version that wrote it or restore a backup"
            ),
        }
    }
}

impl core::error::Error for ReadError {}
