//! The control core's part of checkpoints: when one is taken, that every core has taken its part, that enough replicas
//! have the same (C7), and that the superblock names it before anybody relies on it (L6).

use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use assize_shards::Finding;
use assize_shards::clerk::table::Decision;
use assize_wal::superblock::CheckpointRef;
use assize_wal::{Completion, DeviceError, LogCut, Operation, Quarantine, Superblock, SuperblockStore};
use assize_wire::checkpoint::{PartHead, digest_of};
use assize_wire::peer::CheckpointTold;
use assize_wire::{Ballot, Hash, ReplicaId, Slot, StreamTime};

use super::reports::Reports;
use super::{ActiveCheckpoint, CheckpointReport};
use crate::limits::CHECKPOINT_ASK_NS;
use crate::usher::Greeting;

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
    pub result: Result<(u64, u64), CheckpointFailure>,
}

/// Why a checkpoint came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointFailure {
    /// A part of it failed here.
    Part(String),
    /// It was whole, and too few replicas had reported the same when the next one began (C7).
    Unreported {
        /// How many had reported any.
        reports: usize,
    },
}

impl fmt::Display for CheckpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointFailure::Part(reason) => f.write_str(reason),
            CheckpointFailure::Unreported { reports } => write!(
                f,
                "{reports} replicas had reported their digests of it when the next one began, too few for it to count"
            ),
        }
    }
}

/// The state of the control core.
pub(crate) struct Coordinator {
    superblock: SuperblockStore,
    checkpoint_bytes: u64,
    cores: usize,
    replica: ReplicaId,
    /// Log bytes since the last slot that was flagged.
    bytes: u64,
    /// A core has no room for more events.
    short_of_room: bool,
    /// A slot is flagged and not chosen yet.
    flagged: Option<Slot>,
    stage: Stage,
    /// The active checkpoint's slot.
    active: Slot,
    /// Told through this slot.
    chosen: Slot,
    reports: Reports,
    /// Peers that hear what is said on the control lane.
    connected: BTreeSet<ReplicaId>,
    says: VecDeque<Say>,
    ends: VecDeque<CheckpointEnd>,
    findings: VecDeque<Finding>,
    /// This replica's state is not that of the others, or they have none: no checkpoint of it counts any more (C5).
    doubted: bool,
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

/// What is said to peers on the control lane. What is lost is said again when it is asked for, or on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// To one, or to all: what became of a checkpoint here.
    Told(Option<ReplicaId>, CheckpointTold),
    /// To one: tell me what became of it.
    Wanted(ReplicaId, Slot),
}

/// Where a checkpoint is.
enum Stage {
    None,
    /// Cores take their parts.
    Taken(Gathering),
    /// Every part is whole; too few replicas have reported the same.
    Gathered {
        gathering: Gathering,
        /// When those that are silent are asked.
        ask_at: u64,
    },
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
    pub(crate) fn new(start: CoordinatorStart, greeting: &Greeting) -> Coordinator {
        let CoordinatorStart { superblock, checkpoint_bytes, cores } = start;
        let Greeting { replica, copies, .. } = *greeting;
        let mut reports = Reports::new(replica, copies);
        let active = superblock.checkpoint.map_or(Slot::ZERO, |checkpoint| checkpoint.slot);
        if let Some(checkpoint) = &superblock.checkpoint {
            reports.note(replica, active, Some(checkpoint.digest));
        }
        let found = assize_wal::superblock::FoundSuperblock { superblock, rewrite: None };
        Coordinator {
            superblock: SuperblockStore::new(found),
            checkpoint_bytes,
            cores,
            replica,
            bytes: 0,
            short_of_room: false,
            flagged: None,
            stage: Stage::None,
            active,
            chosen: active,
            reports,
            connected: BTreeSet::new(),
            says: VecDeque::new(),
            ends: VecDeque::new(),
            findings: VecDeque::new(),
            doubted: false,
            promises: VecDeque::new(),
            quarantines: VecDeque::new(),
        }
    }

    /// Whether the next slot is to be flagged (L6: by log bytes).
    pub(crate) fn wants_flag(&self) -> bool {
        self.may_flag() && self.bytes >= self.checkpoint_bytes
    }

    /// Whether a slot is to be formed for the flag alone: a core refuses events for want of room, and only a checkpoint
    /// makes any.
    pub(crate) fn wants_slot(&self) -> bool {
        self.may_flag() && self.short_of_room
    }

    /// C7: only when the last one was reported by `copies`, or has failed: here, or because too few of the replicas that
    /// are there can report it any more.
    fn may_flag(&self) -> bool {
        let over = match &self.stage {
            Stage::None => true,
            Stage::Gathered { gathering, .. } => {
                !self.reports.can_agree(gathering.slot, self.connected.iter().copied())
            }
            Stage::Taken(_) | Stage::Activating { .. } => false,
        };
        over && self.flagged.is_none() && !self.doubted
    }

    /// A core has no room for more events.
    pub(crate) fn handle_short_of_room(&mut self) {
        self.short_of_room = true;
    }

    /// A slot is accepted here and takes this many bytes of the logs. A flag in it is the next checkpoint's, if it is
    /// chosen: until then no other slot is flagged.
    pub(crate) fn handle_formed(&mut self, slot: Slot, bytes: u64, flagged: bool) {
        self.bytes += bytes;
        if flagged {
            self.flagged = Some(slot);
            self.bytes = 0;
            self.short_of_room = false;
        }
    }

    /// A slot is chosen. True if it is flagged and the cores are to take a checkpoint after it; not while they take
    /// another one. One that waits for reports gives way: whoever flagged this slot saw enough reports of it, or that
    /// there never will be.
    ///
    /// 1. This replica starts from an older checkpoint and takes again, as it replays, one that its peers took long ago.
    /// 2. They have started again since, too, and do not know its digest any more: nobody can report it.
    /// 3. The log goes on to the flag of the next one, which they know.
    pub(crate) fn handle_chosen(
        &mut self,
        slot: Slot,
        flagged: bool,
        time: StreamTime,
        manifest: Hash,
        ballot: Ballot,
    ) -> bool {
        self.chosen = slot;
        // It has come, or it was void (P4).
        self.flagged = self.flagged.filter(|awaited| *awaited > slot);
        if !flagged {
            return false;
        }
        match &self.stage {
            Stage::None if !self.doubted => {}
            Stage::Gathered { gathering, .. } => {
                let slot = gathering.slot;
                let reports = self.reports.seen(slot).len();
                let result = Err(CheckpointFailure::Unreported { reports });
                self.ends.push_back(CheckpointEnd { slot, result });
            }
            _ => {
                self.report_none(slot);
                return false;
            }
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

    /// A core has taken its part. With the last one this replica reports its digest, or that it has none.
    pub(crate) fn handle_report(&mut self, report: CheckpointReport, now_ns: u64) {
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
            return;
        }
        let Stage::Taken(mut gathering) = core::mem::replace(&mut self.stage, Stage::None) else {
            unreachable!("it was looked at above");
        };
        if let Some(reason) = gathering.failed {
            self.ends.push_back(CheckpointEnd { slot, result: Err(CheckpointFailure::Part(reason)) });
            self.report_none(slot);
            return;
        }
        gathering.heads.sort_by_key(|head| head.shard);
        self.reports.note(self.replica, slot, Some(digest_of(&gathering.heads)));
        self.stage = Stage::Gathered { gathering, ask_at: now_ns + CHECKPOINT_ASK_NS };
        self.tell(None, slot);
        self.compare();
    }

    /// A peer says what became of a checkpoint there.
    pub(crate) fn handle_told(&mut self, from: ReplicaId, told: CheckpointTold) {
        let CheckpointTold { slot, digest, .. } = told;
        self.reports.note(from, slot, digest);
        if slot > self.active {
            self.compare();
        } else if let (Some(Some(agreed)), Some(found)) = (self.reports.of(self.replica, slot), digest)
            && agreed != found
        {
            self.findings.push_back(Finding::Diverged { slot, replica: from, agreed, found });
        }
    }

    /// A peer wants to know what became of a checkpoint here. Of one that is still to come, or under way, it is told then.
    pub(crate) fn handle_wanted(&mut self, from: ReplicaId, slot: Slot) {
        let under_way = matches!(&self.stage, Stage::Taken(gathering) if gathering.slot == slot);
        if slot <= self.chosen && !under_way {
            self.tell(Some(from), slot);
        }
    }

    /// A peer hears this replica from now on, perhaps after a restart.
    pub(crate) fn handle_connected(&mut self, peer: ReplicaId) {
        self.connected.insert(peer);
        let slot = match &self.stage {
            Stage::Gathered { gathering, .. } => gathering.slot,
            _ => self.active,
        };
        self.tell(Some(peer), slot);
    }

    /// A peer does not hear this replica any more.
    pub(crate) fn handle_disconnected(&mut self, peer: ReplicaId) {
        self.connected.remove(&peer);
    }

    /// Asks again those that have not reported.
    pub(crate) fn handle_time(&mut self, now_ns: u64) {
        let Stage::Gathered { gathering, ask_at } = &mut self.stage else { return };
        if now_ns >= *ask_at {
            *ask_at = now_ns + CHECKPOINT_ASK_NS;
            let slot = gathering.slot;
            let silent = self.connected.iter().filter(|peer| self.reports.of(**peer, slot).is_none());
            self.says.extend(silent.map(|peer| Say::Wanted(*peer, slot)));
        }
    }

    /// When [`Coordinator::handle_time`] has something to do.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let Stage::Gathered { gathering, ask_at } = &self.stage else { return None };
        let is_silent = |peer: &ReplicaId| self.reports.of(*peer, gathering.slot).is_none();
        self.connected.iter().any(is_silent).then_some(*ask_at)
    }

    /// The next thing to be said to peers.
    pub(crate) fn poll_say(&mut self) -> Option<Say> {
        self.says.pop_front()
    }

    /// The next checkpoint that failed.
    pub(crate) fn poll_end(&mut self) -> Option<CheckpointEnd> {
        self.ends.pop_front()
    }

    /// The next thing that comparing checkpoints found.
    pub(crate) fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }

    fn report_none(&mut self, slot: Slot) {
        self.reports.note(self.replica, slot, None);
        self.tell(None, slot);
    }

    fn tell(&mut self, to: Option<ReplicaId>, slot: Slot) {
        let digest = self.reports.of(self.replica, slot).flatten();
        self.says.push_back(Say::Told(to, CheckpointTold { slot, digest, active: self.active }));
    }

    /// C7: the Clerk's table over what was reported of the checkpoint that waits.
    fn compare(&mut self) {
        let Stage::Gathered { gathering, .. } = &self.stage else { return };
        let slot = gathering.slot;
        let own = digest_of(&gathering.heads);
        match self.reports.decide(slot) {
            Decision::Hold => {}
            Decision::Publish => {
                for (replica, found) in self.reports.seen(slot).into_iter().filter(|(_, found)| *found != own)
                {
                    self.findings.push_back(Finding::Diverged { slot, replica, agreed: own, found });
                }
                let Stage::Gathered { gathering, .. } = core::mem::replace(&mut self.stage, Stage::None)
                else {
                    unreachable!("it was looked at above");
                };
                self.activate(gathering, own);
            }
            Decision::Quarantine => {
                let agreed = self.reports.agreed_against(slot, own).expect("a group agreed");
                self.doubt(Finding::Quarantine { slot, agreed, found: own });
            }
            Decision::SplitBrain => {
                let seen = self.reports.seen(slot);
                self.doubt(Finding::SplitBrain { slot, seen });
            }
        }
    }

    fn doubt(&mut self, finding: Finding) {
        self.findings.push_back(finding);
        self.stage = Stage::None;
        self.doubted = true;
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
                self.active = active.slot;
                // What is below it is gone from this log from now on.
                self.tell(None, active.slot);
                Some(Updated::Checkpoint(active, end))
            }
            _ => panic!("update {updated} of the superblock was not asked for"),
        }
    }

    fn activate(&mut self, gathering: Gathering, digest: Hash) {
        let Gathering { slot, time, ballot, manifest, heads, cuts, .. } = gathering;
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
