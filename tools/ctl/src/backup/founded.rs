//! The directory that a restored replica starts from: the outcomes and the states of a backup, written anew as those of
//! another cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use assize_device::{DataDirectory, DurabilityMode, RingDevice};
use assize_node::agreed::Agreed;
use assize_node::retrace::Retrace;
use assize_node::{Founded, Founding};
use assize_shards::Published;
use assize_wal::recovery::Recovered;
use assize_wal::superblock::{Superblock, SuperblockStore};
use assize_wal::{LogIdentity, follow::read_record};
use assize_wire::peer::{Generation, Generations};
use assize_wire::published::PublishedStripe;
use assize_wire::{Ballot, ClusterId, LogId, ReplicaId, ShardId, Slot, StreamTime};

use super::BackupError;
use super::progress::Doing;
use crate::exit::Ended;
use crate::stopped::Replica;

/// Who the restored replica is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) cluster: ClusterId,
    pub(super) replica: ReplicaId,
    pub(super) record_key: u128,
}

/// Writes it into `into`, with everything through the slot `to`, and returns the states there. `progress` is told
/// how far it is.
pub(super) fn write(
    backup: &Replica,
    recovered: &Recovered,
    states: &mut Retrace,
    to: Slot,
    who: Identity,
    into: &Path,
    progress: &mut dyn FnMut(Doing, u64, u64) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let directory = DataDirectory::open(into, true)?;
    let ring = RingDevice::new(into, DurabilityMode::default());
    let mut device = ring.map_err(|error| Ended::Io("opening an io_uring".to_owned(), error))?;
    let segment_bytes = backup.superblock.segment_bytes;
    let Identity { cluster, replica, record_key } = who;
    let identity = LogIdentity { cluster, record_key, replica, log: LogId(0), segment_bytes };
    let mut founding = Founding::new(&mut device, identity);
    let stored = copy_outcomes(backup, recovered, to, &mut founding, progress)?;
    let first = states.slot();
    let mut chunks: BTreeMap<ShardId, Chunk> = BTreeMap::new();
    backup.retrace(recovered, states, Some(to.0), |_, published| {
        if stored.get(&published.shard).is_none_or(|stored| *stored < published.slot) {
            let chunk = chunks.entry(published.shard).or_insert_with(|| Chunk::of(published.shard));
            chunk.add(published);
            if chunk.payload.len() >= CHUNK_BYTES {
                chunk.write(&mut founding)?;
            }
        }
        progress(Doing::Evaluated, published.slot.0 - first.0, to.0 - first.0)
    })?;
    chunks.values_mut().try_for_each(|chunk| chunk.write(&mut founding))?;
    let ballot = ballot_of(recovered, to);
    let tip = states.tip();
    progress(Doing::StatesWritten, 0, states.counts().0)?;
    let founded = founding.finish(states.shards_mut(), tip, ballot).map_err(BackupError::Founding)?;
    drop(device);
    let agreed = Agreed { cluster, ..backup.agreed.clone() };
    write_superblock(&directory, who, segment_bytes, &agreed, founded)
}

/// Copies what the outcome stream has through `to`: for each shard the last slot of it.
fn copy_outcomes(
    backup: &Replica,
    recovered: &Recovered,
    to: Slot,
    founding: &mut Founding<'_>,
    progress: &mut dyn FnMut(Doing, u64, u64) -> Result<(), Ended>,
) -> Result<BTreeMap<ShardId, Slot>, Ended> {
    let mut chunks: Vec<_> = recovered.outcomes.iter().filter(|chunk| chunk.first <= to).collect();
    chunks.sort_by_key(|chunk| (chunk.shard, chunk.first));
    let mut stored = BTreeMap::new();
    let all = chunks.len() as u64;
    for (done, chunk) in (0..).zip(chunks) {
        progress(Doing::OutcomesWritten, done, all)?;
        let read = read_record(&mut backup.directory.clone(), backup.identity(), chunk.location);
        let read = read.map_err(|fault| Ended::Unreadable(fault.to_string()))?;
        let mut kept = Chunk::of(chunk.shard);
        let mut rest = read.buffer.payload();
        while !rest.is_empty() {
            let (stripe, after) =
                PublishedStripe::parse(rest).map_err(|error| Ended::Unreadable(error.to_string()))?;
            if stripe.slot <= to {
                kept.add_bytes(stripe.slot, stripe.time, &rest[..rest.len() - after.len()]);
            }
            rest = after;
        }
        if let Some((_, last, _)) = kept.slots {
            stored.insert(chunk.shard, last);
        }
        kept.write(founding)?;
    }
    Ok(stored)
}

/// Outcomes of a shard that go into one record.
struct Chunk {
    shard: ShardId,
    /// The first and the last slot, and the last one's time.
    slots: Option<(Slot, Slot, StreamTime)>,
    payload: Vec<u8>,
}

impl Chunk {
    fn of(shard: ShardId) -> Chunk {
        Chunk { shard, slots: None, payload: Vec::new() }
    }

    fn add(&mut self, published: &Published) {
        let (slot, time) = (published.slot, published.time);
        let (digest, events) = (published.digest, published.outcomes.count());
        let stripe = PublishedStripe { slot, time, digest, events, outcomes: published.outcomes.bytes() };
        self.add_bytes(slot, time, &stripe.header());
        self.payload.extend_from_slice(stripe.outcomes);
    }

    fn add_bytes(&mut self, slot: Slot, time: StreamTime, bytes: &[u8]) {
        let first = self.slots.map_or(slot, |(first, ..)| first);
        self.slots = Some((first, slot, time));
        self.payload.extend_from_slice(bytes);
    }

    fn write(&mut self, founding: &mut Founding<'_>) -> Result<(), Ended> {
        let Some((first, last, time)) = self.slots.take() else { return Ok(()) };
        let written = founding.outcomes(self.shard, (first, last), time, &self.payload);
        self.payload.clear();
        Ok(written.map_err(BackupError::Founding)?)
    }
}

/// Under which a slot was accepted where it was chosen.
fn ballot_of(recovered: &Recovered, slot: Slot) -> Ballot {
    let accepted = recovered.accepted.iter().find(|accepted| accepted.slot == slot);
    let checkpoint = recovered.checkpoint.as_ref().filter(|checkpoint| checkpoint.at.slot == slot);
    let ballot =
        accepted.map(|accepted| accepted.ballot).or(checkpoint.map(|checkpoint| checkpoint.at.ballot));
    ballot.unwrap_or_else(|| panic!("slot {slot} was evaluated, and is not there"))
}

/// Last of all: without it the directory is no replica's.
fn write_superblock(
    directory: &DataDirectory,
    who: Identity,
    segment_bytes: u64,
    agreed: &Agreed,
    founded: Founded,
) -> Result<(), Ended> {
    let Identity { cluster, replica, record_key } = who;
    let mut generations = Generations::default();
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    generations.learn(replica, Generation::first(now_ns));
    let Founded { incarnation, checkpoint, cuts } = founded;
    let first = Superblock {
        incarnation,
        // A ballot counts as promised once something was accepted under it.
        promised: checkpoint.ballot,
        checkpoint: Some(checkpoint),
        cuts,
        generations,
        parameters: agreed.encode(),
        ..Superblock::first(cluster, replica, record_key, segment_bytes)
    };
    SuperblockStore::format(first).drive(|copy, blocks| directory.write_superblock(copy, blocks))?;
    Ok(())
}

/// Outcomes that go into one record, and the last stripe more.
const CHUNK_BYTES: usize = 64 << 10;
