//! What the coordinator has the superblock say: promises, disks, quarantine and the active checkpoint, one after the
//! other (L7).

use alloc::format;
use alloc::sync::Arc;

use assize_wal::superblock::CheckpointRef;
use assize_wal::{Completion, DeviceError, Operation, Quarantine};
use assize_wire::peer::Generations;
use assize_wire::{Ballot, Hash, ReplicaId, Slot};

use super::{
    ActiveCheckpoint, CheckpointEnd, CheckpointFailure, Coordinator, Gathering, PartFailure, Stage, Updated,
};

impl Coordinator {
    /// Whether a checkpoint is being taken, compared, written or taken over.
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::None)
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
        if !self.promises.is_empty() {
            self.next_promise = Some(ballot);
            return;
        }
        let sequence = self.superblock.handle_update(|superblock| superblock.promised = ballot);
        self.promises.push_back((sequence, ballot));
    }

    /// This replica stays quarantined when it starts again (C5).
    pub(crate) fn write_quarantine(&mut self, quarantine: Quarantine) {
        let sequence = self.superblock.handle_update(|superblock| superblock.quarantine = Some(quarantine));
        self.quarantines.push_back(sequence);
    }

    /// A peer's checkpoint could not be taken over. Where that is for want of space, it is tried again. Where what came
    /// is wrong, it is in the logs, and nothing but its incarnation tells it from what is right:
    ///
    /// 1. Replica 2 sends keys with a wrong bit. They are written, and the digest of their part shows it.
    /// 2. Replica 1 sends the same keys as they are. They are written, too, in the same incarnation.
    /// 3. A start finds two records of the same keys.
    ///
    /// So this start is over. From the next one on this replica is one to be rebuilt (R3): not even its own older keys
    /// may count before those of a whole checkpoint, which are the newest then.
    pub(super) fn not_taken_over(&mut self, slot: Slot, from: ReplicaId, failed: PartFailure, now_ns: u64) {
        let PartFailure { reason, sent_wrong } = failed;
        let failure = if sent_wrong {
            CheckpointFailure::SentWrong { from, reason }
        } else {
            CheckpointFailure::Part(format!("it could not be taken over: {reason}"))
        };
        self.ends.push_back(CheckpointEnd { slot, result: Err(failure) });
        if sent_wrong {
            self.write_quarantine(Quarantine::REBUILD);
            (self.ended, self.start_over) = (true, true);
        } else {
            self.offers.put_off(now_ns);
        }
    }

    /// `taken_over` from a peer that had promised this ballot.
    pub(super) fn activate(&mut self, gathering: Gathering, digest: Hash, taken_over: Option<Ballot>) {
        let Gathering { slot, time, ballot, manifest, heads, cuts, .. } = gathering;
        let mut at = CheckpointRef { slot, time, ballot, manifest, digest };
        let sequence = self.superblock.handle_update(|superblock| {
            if let Some(ballot) = taken_over {
                superblock.promised = superblock.promised.max(ballot);
                // R3: it ends by rebuilding, and only so.
                superblock.quarantine = superblock.quarantine.filter(|quarantine| !quarantine.is_rebuild());
                at.ballot = superblock.promised;
            }
            superblock.checkpoint = Some(at);
            for cut in &cuts {
                superblock.cuts.retain(|known| known.log != cut.log);
            }
            superblock.cuts.extend(&cuts);
            superblock.cuts.sort_by_key(|cut| cut.log);
        });
        let active = ActiveCheckpoint { slot, heads: Arc::new(heads), cuts: Arc::new(cuts) };
        self.stage = Stage::Activating { sequence, at, active, taken_over: taken_over.is_some() };
    }

    /// What is known of disks is to be durable before a replica that rejoins is told anything (R3).
    pub(crate) fn write_generations(&mut self, known: Generations) {
        let sequence = self.superblock.handle_update(|superblock| superblock.generations = known);
        self.generations.push_back((sequence, known));
    }

    /// This replica has its vote again, from a start on, too (R3).
    pub(crate) fn write_rejoined(&mut self) {
        self.rejoined = Some(self.superblock.handle_update(|superblock| superblock.rejoins = false));
    }

    /// The next thing that the superblock says durably.
    pub(crate) fn poll_updated(&mut self) -> Option<Updated> {
        let updated = self.superblock.poll_updated()?;
        if self.quarantines.pop_front_if(|sequence| *sequence == updated).is_some() {
            return Some(if self.start_over { Updated::Spoiled } else { Updated::Quarantine });
        }
        if let Some((_, known)) = self.generations.pop_front_if(|(sequence, _)| *sequence == updated) {
            return Some(Updated::Generations(known));
        }
        if self.rejoined.take_if(|sequence| *sequence == updated).is_some() {
            return Some(Updated::Rejoined);
        }
        if let Some((_, ballot)) = self.promises.pop_front_if(|(sequence, _)| *sequence == updated) {
            if let Some(next) = self.next_promise.take() {
                self.write_promise(next);
            }
            return Some(Updated::Promise(ballot));
        }
        match core::mem::replace(&mut self.stage, Stage::None) {
            Stage::Activating { sequence, active, taken_over: true, .. } if sequence == updated => {
                (self.ended, self.start_over) = (true, true);
                Some(Updated::TakenOver(active.slot))
            }
            Stage::Activating { sequence, at, active, .. } if sequence == updated => {
                let entities = active.heads.iter().map(|head| head.entities).sum();
                let keys = active.heads.iter().map(|head| head.keys_next - head.keys_from).sum();
                let end = CheckpointEnd { slot: active.slot, result: Ok((entities, keys)) };
                self.active = Some(at);
                // What is below it is gone from this log from now on.
                self.tell(None, active.slot);
                Some(Updated::Checkpoint(active, end))
            }
            _ => panic!("update {updated} of the superblock was not asked for"),
        }
    }
}
