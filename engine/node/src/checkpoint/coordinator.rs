//! The control core's part of checkpoints: when one is taken, that every core has taken its part, and that the
//! superblock names it before anybody relies on it (L6).

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wal::superblock::CheckpointRef;
use assize_wal::{Completion, DeviceError, LogCut, Operation, Quarantine, Superblock, SuperblockStore};
use assize_wire::checkpoint::{PartHead, digest_of};
use assize_wire::{Ballot, Hash, Slot, StreamTime};

use super::{ActiveCheckpoint, CheckpointReport};

/// What the control core starts with.
pub struct CoordinatorStart {
    /// The superblock, as it was made durable for this start.
    pub superblock: Superblock,
    /// Log bytes after which a checkpoint is taken.
    pub checkpoint_bytes: u64,
    /// Cores of this replica.
    pub cores: usize,
}

/// How a checkpoint ended, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointEnd {
    /// Its slot.
    pub slot: Slot,
    /// Entities and keys of all shards; or why the one before it stays active.
    pub result: Result<(u64, u64), String>,
}

/// The state of the control core.
pub(crate) struct Coordinator {
    superblock: SuperblockStore,
    checkpoint_bytes: u64,
    cores: usize,
    /// Log bytes since the last slot that was flagged.
    bytes: u64,
    /// A core has no room for more events.
    short_of_room: bool,
    stage: Stage,
    /// Promises that are being written: the superblock's sequence that has them, ascending.
    promises: VecDeque<(u64, Ballot)>,
    /// Quarantines that are being written, likewise.
    quarantines: VecDeque<u64>,
}

/// What the superblock says from now on.
pub(crate) enum Updated {
    /// This ballot is promised.
    Promise(Ballot),
    /// This replica is quarantined.
    Quarantine,
    /// This checkpoint is active.
    Checkpoint(ActiveCheckpoint, CheckpointEnd),
}

/// Where a checkpoint is.
enum Stage {
    None,
    /// A slot is flagged and not chosen yet.
    Flagged {
        slot: Slot,
    },
    /// Cores take their parts.
    Taken(Gathering),
    /// The superblock is being written.
    Activating {
        sequence: u64,
        active: ActiveCheckpoint,
    },
}

struct Gathering {
    slot: Slot,
    time: StreamTime,
    ballot: Ballot,
    manifest: Hash,
    heads: Vec<PartHead>,
    cuts: Vec<LogCut>,
    reported: usize,
    failed: Option<String>,
}

impl Coordinator {
    pub(crate) fn new(start: CoordinatorStart) -> Coordinator {
        let CoordinatorStart { superblock, checkpoint_bytes, cores } = start;
        let found = assize_wal::superblock::FoundSuperblock { superblock, rewrite: None };
        Coordinator {
            superblock: SuperblockStore::new(found),
            checkpoint_bytes,
            cores,
            bytes: 0,
            short_of_room: false,
            stage: Stage::None,
            promises: VecDeque::new(),
            quarantines: VecDeque::new(),
        }
    }

    /// Whether the next slot is to be flagged (L6: by log bytes).
    pub(crate) fn wants_flag(&self) -> bool {
        matches!(self.stage, Stage::None) && self.bytes >= self.checkpoint_bytes
    }

    /// Whether a slot is to be formed for the flag alone: a core refuses events for want of room, and only a checkpoint
    /// makes any.
    pub(crate) fn wants_slot(&self) -> bool {
        matches!(self.stage, Stage::None) && self.short_of_room
    }

    /// A core has no room for more events.
    pub(crate) fn handle_short_of_room(&mut self) {
        self.short_of_room = true;
    }

    /// A slot is accepted here and takes this many bytes of the logs. A flag in it is the next checkpoint's, if it is
    /// chosen: until then no other slot is flagged.
    pub(crate) fn handle_formed(&mut self, slot: Slot, bytes: u64, flagged: bool) {
        self.bytes += bytes;
        if flagged && matches!(self.stage, Stage::None) {
            self.stage = Stage::Flagged { slot };
            self.bytes = 0;
            self.short_of_room = false;
        }
    }

    /// A slot is chosen. True if it is flagged and the cores are to take a checkpoint after it; not while there is
    /// another one.
    pub(crate) fn handle_chosen(
        &mut self,
        slot: Slot,
        flagged: bool,
        time: StreamTime,
        manifest: Hash,
        ballot: Ballot,
    ) -> bool {
        // The flag that was waited for did not come: its slot was void (P4).
        if matches!(self.stage, Stage::Flagged { slot: awaited } if awaited <= slot) {
            self.stage = Stage::None;
        }
        if !flagged || !matches!(self.stage, Stage::None) {
            return false;
        }
        self.stage = Stage::Taken(Gathering {
            slot,
            time,
            ballot,
            manifest,
            heads: Vec::new(),
            cuts: Vec::new(),
            reported: 0,
            failed: None,
        });
        true
    }

    /// A core has taken its part. With the last one the superblock is asked to name the checkpoint, or it has failed.
    pub(crate) fn handle_report(&mut self, report: CheckpointReport) -> Option<CheckpointEnd> {
        let Stage::Taken(gathering) = &mut self.stage else {
            panic!("core {} reports a checkpoint after slot {} that is not taken", report.core, report.slot);
        };
        let slot = gathering.slot;
        assert_eq!(slot, report.slot, "core {} reports another checkpoint", report.core);
        gathering.reported += 1;
        match report.part {
            Ok((heads, cuts)) => {
                gathering.heads.extend(heads);
                gathering.cuts.extend(cuts);
            }
            Err(reason) => {
                gathering.failed.get_or_insert(format!("core {}: {reason}", report.core));
            }
        }
        if gathering.reported < self.cores {
            return None;
        }
        let Stage::Taken(gathering) = core::mem::replace(&mut self.stage, Stage::None) else {
            unreachable!("it was looked at above");
        };
        if let Some(reason) = gathering.failed {
            return Some(CheckpointEnd { slot, result: Err(reason) });
        }
        self.activate(gathering);
        None
    }

    /// The next write of the superblock.
    pub(crate) fn poll_operation(&mut self) -> Option<Operation> {
        self.superblock.poll_operation()
    }

    /// A write of the superblock completed.
    pub(crate) fn handle_completion(&mut self, completion: Completion) -> Result<(), DeviceError> {
        self.superblock.handle_completion(completion)
    }

    /// The ballot is to be durable before it is answered or used (P1, P3).
    pub(crate) fn write_promise(&mut self, ballot: Ballot) {
        let sequence = self.superblock.handle_update(|superblock| superblock.promised = ballot);
        self.promises.push_back((sequence, ballot));
    }

    /// This replica stays quarantined when it starts again (C5).
    pub(crate) fn write_quarantine(&mut self, quarantine: Quarantine) {
        let sequence = self.superblock.handle_update(|superblock| superblock.quarantine = Some(quarantine));
        self.quarantines.push_back(sequence);
    }

    /// The next thing that the superblock says durably.
    pub(crate) fn poll_updated(&mut self) -> Option<Updated> {
        let updated = self.superblock.poll_updated()?;
        if self.quarantines.pop_front_if(|sequence| *sequence == updated).is_some() {
            return Some(Updated::Quarantine);
        }
        if let Some((_, ballot)) = self.promises.pop_front_if(|(sequence, _)| *sequence == updated) {
            return Some(Updated::Promise(ballot));
        }
        match core::mem::replace(&mut self.stage, Stage::None) {
            Stage::Activating { sequence, active } if sequence == updated => {
                let entities = active.heads.iter().map(|head| head.entities).sum();
                let keys = active.heads.iter().map(|head| head.keys_next - head.keys_from).sum();
                let end = CheckpointEnd { slot: active.slot, result: Ok((entities, keys)) };
                Some(Updated::Checkpoint(active, end))
            }
            _ => panic!("update {updated} of the superblock was not asked for"),
        }
    }

    fn activate(&mut self, gathering: Gathering) {
        let Gathering { slot, time, ballot, manifest, mut heads, cuts, .. } = gathering;
        heads.sort_by_key(|head| head.shard);
        let digest = digest_of(&heads);
        let sequence = self.superblock.handle_update(|superblock| {
            superblock.checkpoint = Some(CheckpointRef { slot, time, ballot, manifest, digest });
            for cut in &cuts {
                superblock.cuts.retain(|known| known.log != cut.log);
            }
            superblock.cuts.extend(&cuts);
            superblock.cuts.sort_by_key(|cut| cut.log);
        });
        let active = ActiveCheckpoint { slot, heads: Arc::new(heads), cuts: Arc::new(cuts) };
        self.stage = Stage::Activating { sequence, active };
    }
}
