//! From what recovery found to a core that can run: everything of a start that is not I/O, so that the simulator starts
//! replicas as the engine does.
//!
//! Order of a start: recovery; [`begin_incarnation`] into the superblock; for each core a [`CoreStart`] and its shards
//! by [`restore_shard`]; then the slots above the checkpoint, read by a [`SlotReader`], as
//! [`crate::CoreMessage::Replay`].

mod ahead;
mod reader;

pub use reader::{ReadError, SlotReader, restore_shard};

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_consensus::{DocketStart, LogTip};
use assize_wal::log::LogConfig;
use assize_wal::recovery::Peers;
use assize_wal::{LogIdentity, Mark, OutcomeIndex, RecordLocation, Recovered, Superblock};
use assize_wire::accept::Accept;
use assize_wire::manifest::Ordered;
use assize_wire::{CoreId, LogId, ShardId, Slot};

use crate::checkpoint::{CheckpointsStart, Retention};
use crate::layout::Layout;
use crate::logs::{CoreLogs, LogIds};
use crate::stripes::Stripes;

/// What recovery left for one core.
pub struct CoreStart {
    pub(crate) logs: CoreLogs,
    pub(crate) index: OutcomeIndex,
    /// For each of the core's shards the last slot whose outcomes are stored.
    pub(crate) stored: Vec<(ShardId, Slot)>,
    pub(crate) checkpoints: CheckpointsStart,
    pub(crate) tip: LogTip,
    /// Stripes of the core's shards in whatever log.
    pub(crate) stripes: Stripes,
    /// Where the accept records lie of the slots above the checkpoint.
    pub(crate) accepts: BTreeMap<Slot, RecordLocation>,
    /// Accepted through here.
    pub(crate) mark: Mark,
}

impl CoreStart {
    /// Opens a core's logs. `identity` is that of any log of the replica.
    #[must_use]
    pub fn new(
        core: CoreId,
        layout: &Layout,
        identity: LogIdentity,
        tuning: LogConfig,
        recovered: &Recovered,
    ) -> CoreStart {
        let ids = LogIds::of(core);
        let mut retention = Retention::default();
        let unsure = recovered.damaged.iter().chain(&recovered.doubtful);
        let damaged = unsure.filter_map(|slot| slot.found.as_ref());
        for slot in recovered.accepted.iter().chain(damaged) {
            let stripes = slot.stripes.iter().map(|(_, location)| *location);
            for location in stripes.chain([slot.location]).filter(|location| location.log == ids.stripes) {
                retention.note_slot(location.segment, slot.slot);
            }
        }
        for chunk in recovered.outcomes.iter().filter(|chunk| chunk.location.log == ids.outcomes) {
            retention.note_outcomes(chunk.location.segment, chunk.last, chunk.time);
        }
        recovered
            .keys
            .iter()
            .filter(|keys| keys.location.log == ids.keys)
            .for_each(|keys| retention.note_keys(keys));
        let stored = layout.owned_by(core).into_iter();
        let mut stripes = Stripes::default();
        for slot in &recovered.accepted {
            let own = slot.stripes.iter().filter(|(id, _)| layout.owner(id.shard) == core);
            // None was sealed under a higher ballot than the slot that names it was accepted under.
            own.for_each(|(id, location)| stripes.recovered(*id, slot.ballot, *location));
        }
        CoreStart {
            logs: CoreLogs::open(core, identity, tuning, recovered),
            index: recovered.outcomes.clone(),
            stored: stored.map(|shard| (shard, recovered.outcomes.last(shard).unwrap_or_default())).collect(),
            checkpoints: CheckpointsStart::new(retention, &layout.owned_by(core), recovered),
            tip: tip(recovered),
            stripes,
            accepts: recovered.accepted.iter().map(|slot| (slot.slot, slot.location)).collect(),
            mark: recovered.mark,
        }
    }
}

/// What the Docket starts with.
///
/// # Errors
/// [`ReadError`] when an accept record cannot be read: recovery has read it before.
pub fn docket_start(recovered: &Recovered, superblock: &Superblock) -> Result<DocketStart, ReadError> {
    let accepted = recovered.accepted.iter().map(|slot| {
        let accept = Accept::parse(&slot.payload).map_err(|_| ReadError::Changed(slot.location))?;
        Ok((Arc::new(Ordered { manifest: accept.manifest, hash: slot.manifest }), slot.ballot))
    });
    Ok(DocketStart {
        tip: tip(recovered),
        accepted: accepted.collect::<Result<_, ReadError>>()?,
        damaged: recovered.damaged.iter().map(|damaged| (damaged.slot, damaged.hash)).collect(),
        doubtful: recovered.doubtful.iter().map(|doubtful| (doubtful.slot, doubtful.hash)).collect(),
        chosen: recovered.chosen,
        promised: recovered.ballot_max,
        // Stripes that no slot accepted here names are as good as gone. Whoever accepted a slot that names one has it,
        // and may be asked; to keep it here it would have to be known when it may go (P8).
        stored: Vec::new(),
        generations: superblock.generations,
        rejoins: superblock.rejoins,
    })
}

/// Whether a replica of a cluster of this size has peers to repair its logs from.
#[must_use]
pub fn peers_of(replicas: usize) -> Peers {
    match replicas {
        0 | 1 => Peers::None,
        _ => Peers::Some { repairable: LogIds::are_stripes },
    }
}

/// Where the log stands before anything is replayed: at the checkpoint, or at the beginning.
#[must_use]
pub fn tip(recovered: &Recovered) -> LogTip {
    recovered.checkpoint.as_ref().map_or(LogTip::START, |checkpoint| LogTip {
        slot: checkpoint.at.slot,
        hash: checkpoint.at.manifest,
        time: checkpoint.at.time,
    })
}

/// What the superblock must say, durably, before this start appends or promises anything: the incarnation, its cuts
/// (L5) and the highest ballot that was seen anywhere (P3).
pub fn begin_incarnation(
    superblock: &mut Superblock,
    recovered: &Recovered,
    cores: impl Iterator<Item = CoreId>,
) {
    let opened: Vec<LogId> = cores.flat_map(|core| LogIds::of(core).all()).collect();
    superblock.incarnation = recovered.incarnation;
    superblock.cuts = recovered.cuts(&opened);
    superblock.accepted = recovered.to_remember;
    superblock.certain = recovered.to_remember_certain;
    superblock.promised = recovered.ballot_max;
}
