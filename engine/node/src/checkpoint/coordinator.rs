//! The control core's part of checkpoints: when one is taken, that every core has taken its part, that enough replicas
//! have the same (C7), and that the superblock names it before anybody relies on it (L6).

mod taking_over;
#[cfg(test)]
mod tests;
mod updates;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;

use assize_shards::Finding;
use assize_shards::clerk::table::Decision;
use assize_wal::superblock::CheckpointRef;
use assize_wal::{Superblock, SuperblockStore};
use assize_wire::peer::{CheckpointOffer, CheckpointTold, Generations};
use assize_wire::{Ballot, Hash, ReplicaId, Slot, StreamTime};

pub(crate) use taking_over::TakeOver;

use super::fetching::Offers;
use super::gathering::{CheckpointEnd, CheckpointFailure, Gathering};
use super::reports::{Reports, Say};
use super::{ActiveCheckpoint, CheckpointReport, PartFailure};
use crate::limits::{CHECKPOINT_ASK_NS, FLAG_DOUBLED_MAX, FLAG_PUT_OFF};
use crate::usher::Greeting;

/// What the control core starts with.
pub struct CoordinatorStart {
    /// The superblock, as it was made durable for this start.
    pub superblock: Superblock,
    /// Log bytes after which a checkpoint is taken.
    pub checkpoint_bytes: u64,
    /// Log bytes for which one is put off at most.
    pub put_off_bytes_max: u64,
    /// Cores of this replica.
    pub cores: usize,
}

/// The state of the control core.
pub(crate) struct Coordinator {
    superblock: SuperblockStore,
    checkpoint_bytes: u64,
    put_off_bytes_max: u64,
    cores: usize,
    replica: ReplicaId,
    /// Log bytes since the last slot that was flagged.
    bytes: u64,
    /// Slots flagged one after the other while a peer was behind.
    flagged_behind: u32,
    /// A core has no room for more events.
    short_of_room: bool,
    /// A slot is flagged and not chosen yet.
    flagged: Option<Slot>,
    stage: Stage,
    /// The active checkpoint, as it is offered to peers.
    active: Option<CheckpointRef>,
    offers: Offers,
    /// Told through this slot.
    chosen: Slot,
    reports: Reports,
    /// Peers that hear what is said on the control lane.
    connected: BTreeSet<ReplicaId>,
    says: VecDeque<Say>,
    ends: VecDeque<CheckpointEnd>,
    findings: VecDeque<Finding>,
    /// No checkpoint of this replica's state counts any more: the others have another, or none in common (C5); or it is
    /// about to start again from one of theirs.
    ended: bool,
    /// What was evaluated here is to be replaced by a checkpoint of the others (R3).
    rebuilds: bool,
    take_over: Option<TakeOver>,
    /// A peer's was to be taken over since the start: reports of what was given up for it may still come.
    has_fetched: bool,
    /// This start is over: the replica starts again, from a peer's checkpoint or since what came of one is wrong.
    start_over: bool,
    /// Promises that are being written: the superblock's sequence that has them, ascending.
    promises: VecDeque<(u64, Ballot)>,
    /// The promise that is to be written after that one. Where the disk is slower than elections are, all that came in
    /// between need not be: a ballot that was overtaken is of no use to anybody.
    next_promise: Option<Ballot>,
    /// Quarantines that are being written, likewise.
    quarantines: VecDeque<u64>,
    /// What is known of disks, and is being written; likewise.
    generations: VecDeque<(u64, Generations)>,
    /// That this replica has its vote again, likewise.
    rejoined: Option<u64>,
}

/// What the superblock says from now on.
pub(crate) enum Updated {
    /// This ballot is promised.
    Promise(Ballot),
    /// This is known of disks (R3).
    Generations(Generations),
    /// This replica has its vote again (R3).
    Rejoined,
    /// This replica is quarantined.
    Quarantine,
    /// This checkpoint is active.
    Checkpoint(ActiveCheckpoint, CheckpointEnd),
    /// A peer's is, and this replica is to start again from it.
    TakenOver(Slot),
    /// What came from a peer is wrong: this replica is to start again and to be rebuilt (R3).
    Spoiled,
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
        at: CheckpointRef,
        active: ActiveCheckpoint,
        taken_over: bool,
    },
    /// Cores take a peer's over.
    Fetching {
        gathering: Gathering,
        offer: CheckpointOffer,
        from: ReplicaId,
        /// When another peer is looked for, if nothing comes of it.
        again_at: u64,
        /// The peer was away, or does not have it any more: what is under way from it does not go on.
        lost: bool,
    },
}

impl Coordinator {
    /// `domain` is the own failure domain.
    pub(crate) fn new(start: CoordinatorStart, greeting: &Greeting, domain: u64) -> Coordinator {
        let CoordinatorStart { superblock, checkpoint_bytes, put_off_bytes_max, cores } = start;
        let Greeting { replica, copies, .. } = *greeting;
        let rebuilds = superblock.quarantine.is_some_and(|quarantine| quarantine.is_rebuild());
        let ended = superblock.quarantine.is_some();
        let mut reports = Reports::new(replica, copies);
        reports.handle_failure_domain(replica, domain);
        let offers = Offers::new(superblock.incarnation);
        let active = superblock.checkpoint;
        if let Some(checkpoint) = active.filter(|_| !ended) {
            reports.note(replica, checkpoint.slot, Some(checkpoint.digest));
        }
        let found = assize_wal::superblock::FoundSuperblock { superblock, rewrite: None };
        Coordinator {
            superblock: SuperblockStore::new(found),
            checkpoint_bytes,
            put_off_bytes_max,
            cores,
            replica,
            bytes: 0,
            flagged_behind: 0,
            short_of_room: false,
            flagged: None,
            stage: Stage::None,
            active,
            chosen: active.map_or(Slot::ZERO, |active| active.slot),
            reports,
            connected: BTreeSet::new(),
            says: VecDeque::new(),
            ends: VecDeque::new(),
            findings: VecDeque::new(),
            ended,
            rebuilds,
            take_over: None,
            has_fetched: false,
            start_over: false,
            offers,
            promises: VecDeque::new(),
            next_promise: None,
            quarantines: VecDeque::new(),
            generations: VecDeque::new(),
            rejoined: None,
        }
    }

    /// Whether the next slot is to be flagged (L6: by log bytes).
    pub(crate) fn wants_flag(&self) -> bool {
        self.bytes >= self.checkpoint_bytes
            && self.may_flag()
            && (self.bytes >= self.put_off_bytes() || !self.is_peer_behind())
    }

    /// Whether a peer begins from the active checkpoint or an older one. Once the next one is active, the log above
    /// that is gone again.
    fn is_peer_behind(&self) -> bool {
        self.offers.is_any_behind(self.active_slot())
    }

    /// Log bytes for which the next flag is put off while a peer is behind: twice as many each time it is not there by
    /// then, so that however long it takes to begin it once has the log above its beginning.
    fn put_off_bytes(&self) -> u64 {
        let times = FLAG_PUT_OFF << self.flagged_behind.min(FLAG_DOUBLED_MAX);
        self.checkpoint_bytes.saturating_mul(times).min(self.put_off_bytes_max)
    }

    /// Whether a slot is to be formed for the flag alone: a core refuses events for want of room, and only a checkpoint
    /// makes any.
    pub(crate) fn wants_slot(&self) -> bool {
        self.may_flag() && self.short_of_room
    }

    /// C7: only when the last one was reported by `copies`, or has failed: here, or because too few of the replicas
    /// that are there can report it any more.
    fn may_flag(&self) -> bool {
        let over = match &self.stage {
            Stage::None => true,
            Stage::Gathered { gathering, .. } => {
                !self.reports.can_agree(gathering.slot, self.connected.iter().copied())
            }
            Stage::Taken(_) | Stage::Activating { .. } | Stage::Fetching { .. } => false,
        };
        over && self.flagged.is_none() && !self.ended
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
            self.flagged_behind = if self.is_peer_behind() { self.flagged_behind + 1 } else { 0 };
            self.flagged = Some(slot);
            self.bytes = 0;
            self.short_of_room = false;
        }
    }

    /// A slot is chosen. True if it is flagged and the cores are to take a checkpoint after it; not while they take
    /// another one. One that waits for reports gives way: whoever flagged this slot saw enough reports of it, or that
    /// there never will be.
    ///
    /// 1. This replica starts from an older checkpoint and takes again, as it replays, one that its peers took long
    ///    ago.
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
            Stage::None if !self.ended => {}
            Stage::Gathered { .. } => self.give_way(),
            _ => {
                self.report_none(slot);
                return false;
            }
        }
        self.stage = Stage::Taken(Gathering::new(slot, time, manifest, ballot));
        true
    }

    /// What waits for reports gives way to the next one.
    fn give_way(&mut self) {
        if let Stage::Gathered { gathering, .. } = &self.stage {
            let slot = gathering.slot;
            let reports = self.reports.seen(slot).len();
            self.ends
                .push_back(CheckpointEnd { slot, result: Err(CheckpointFailure::Unreported { reports }) });
            self.stage = Stage::None;
        }
    }

    /// A core has taken its part. With the last one this replica reports its digest, or that it has none.
    pub(crate) fn handle_report(&mut self, report: CheckpointReport, now_ns: u64) {
        let gathering = match &mut self.stage {
            Stage::Taken(gathering) if gathering.slot == report.slot && !report.of_peer => gathering,
            Stage::Fetching { gathering, .. } if gathering.slot == report.slot && report.of_peer => gathering,
            // It was given up for a peer's, perhaps after the same slot.
            _ if self.has_fetched => return,
            _ => panic!(
                "core {} reports a checkpoint after slot {} that is not taken",
                report.core, report.slot
            ),
        };
        gathering.reported += 1;
        match report.part {
            Ok((heads, cuts)) => {
                gathering.heads.extend(heads);
                gathering.cuts.extend(cuts);
            }
            Err(PartFailure { reason, sent_wrong }) => {
                let reason = format!("core {}: {reason}", report.core);
                let failed = gathering.failed.get_or_insert(PartFailure { reason, sent_wrong });
                failed.sent_wrong |= sent_wrong;
            }
        }
        if gathering.reported < self.cores {
            return;
        }
        gathering.heads.sort_by_key(|head| head.shard);
        match core::mem::replace(&mut self.stage, Stage::None) {
            Stage::Taken(gathering) => self.gathered(gathering, now_ns),
            Stage::Fetching { gathering, offer, from, .. } => self.fetched(gathering, offer, from, now_ns),
            _ => unreachable!("it was looked at above"),
        }
    }

    fn gathered(&mut self, gathering: Gathering, now_ns: u64) {
        let slot = gathering.slot;
        if let Some(failed) = gathering.failed {
            let result = Err(CheckpointFailure::Part(failed.reason));
            self.ends.push_back(CheckpointEnd { slot, result });
            self.report_none(slot);
            return;
        }
        self.reports.note(self.replica, slot, Some(gathering.digest()));
        self.stage = Stage::Gathered { gathering, ask_at: now_ns + CHECKPOINT_ASK_NS };
        self.tell(None, slot);
        self.compare();
    }

    /// A peer says what became of a checkpoint there.
    pub(crate) fn handle_told(&mut self, from: ReplicaId, told: CheckpointTold) {
        let CheckpointTold { slot, digest, active } = told;
        self.reports.note(from, slot, digest);
        if let Some(active) = &active {
            self.reports.note(from, active.slot, Some(active.digest));
        }
        self.offers.note(from, active);
        // Nobody tells the digest of one that is not active there but who took it.
        if digest.is_some() && active.is_none_or(|active| slot > active.slot) {
            self.offers.note_taken(from, slot);
        }
        if self.ended {
            return;
        }
        if slot > self.active_slot() {
            self.compare();
        } else if let (Some(Some(agreed)), Some(found)) = (self.reports.of(self.replica, slot), digest) {
            if agreed != found {
                self.findings.push_back(Finding::Diverged { slot, replica: from, agreed, found });
            }
            // Whoever takes one waits for the first group only.
            if self.reports.decide(slot) == Decision::SplitBrain {
                self.doubt_all(slot);
            }
        }
    }

    /// A peer wants to know what became of a checkpoint here. Of one that is still to come, or under way, it is told
    /// then.
    pub(crate) fn handle_wanted(&mut self, from: ReplicaId, slot: Slot) {
        let under_way = matches!(&self.stage, Stage::Taken(gathering) if gathering.slot == slot);
        if slot <= self.chosen && !under_way {
            self.tell(Some(from), slot);
        }
    }

    /// A replica, perhaps this one, says what it shares with others when it fails (C1).
    pub(crate) fn handle_failure_domain(&mut self, replica: ReplicaId, domain: u64) {
        self.reports.handle_failure_domain(replica, domain);
    }

    /// A peer hears this replica from now on, perhaps after a restart.
    pub(crate) fn handle_connected(&mut self, peer: ReplicaId) {
        self.connected.insert(peer);
        let slot = match &self.stage {
            Stage::Gathered { gathering, .. } => gathering.slot,
            _ => self.active_slot(),
        };
        self.tell(Some(peer), slot);
    }

    /// A peer does not hear this replica any more.
    pub(crate) fn handle_disconnected(&mut self, peer: ReplicaId) {
        self.connected.remove(&peer);
        self.offers.forget(peer);
        if let Stage::Fetching { from, again_at, lost, .. } = &mut self.stage
            && *from == peer
        {
            (*again_at, *lost) = (0, true);
        }
    }

    /// Whether what was evaluated here is to be replaced.
    pub(crate) fn rebuilds(&self) -> bool {
        self.rebuilds
    }

    /// This replica is quarantined: its checkpoints are worth nothing to anybody (C5).
    pub(crate) fn handle_quarantine(&mut self) {
        self.ended = true;
        self.stage = match core::mem::replace(&mut self.stage, Stage::None) {
            // The superblock is being written, and says so when it is.
            stage @ Stage::Activating { .. } => stage,
            _ => Stage::None,
        };
    }

    /// Asks again those that have not reported. `published` is how far this replica is.
    pub(crate) fn handle_time(&mut self, published: Slot, now_ns: u64) {
        self.offers.note_published(published, now_ns);
        self.look_at_offers(now_ns);
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
        let put_off = self.offers.put_off_until().filter(|_| self.rebuilds);
        let stranded = self.offers.due().filter(|_| !self.ended).or(put_off);
        match &self.stage {
            Stage::Gathered { gathering, ask_at } => {
                let is_silent = |peer: &ReplicaId| self.reports.of(*peer, gathering.slot).is_none();
                let asks = self.connected.iter().any(is_silent).then_some(*ask_at);
                [asks, stranded].into_iter().flatten().min()
            }
            Stage::Fetching { again_at, .. } => self.offers.best().map(|_| *again_at),
            Stage::None | Stage::Taken(_) => stranded,
            Stage::Activating { .. } => None,
        }
    }

    pub(crate) fn active_slot(&self) -> Slot {
        self.active.map_or(Slot::ZERO, |active| active.slot)
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
        let digest = self.reports.of(self.replica, slot).flatten().filter(|_| !self.ended);
        let ballot = self.superblock.latest().promised;
        let active = self.active.filter(|_| !self.ended).map(|active| CheckpointOffer {
            slot: active.slot,
            time: active.time,
            manifest: active.manifest,
            digest: active.digest,
            // The slot was chosen under a ballot not above that one, or the one under which it was recorded here.
            ballot: ballot.max(active.ballot),
        });
        self.says.push_back(Say::Told(to, CheckpointTold { slot, digest, active }));
    }

    /// C7: the Clerk's table over what was reported of the checkpoint that waits.
    fn compare(&mut self) {
        let Stage::Gathered { gathering, .. } = &self.stage else { return };
        let slot = gathering.slot;
        let own = gathering.digest();
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
                self.activate(gathering, own, None);
            }
            Decision::Quarantine => {
                let agreed = self.reports.agreed_against(slot, own).expect("a group agreed");
                self.doubt(Finding::Quarantine { slot, agreed, found: own });
            }
            Decision::SplitBrain => self.doubt_all(slot),
        }
    }

    fn doubt_all(&mut self, slot: Slot) {
        self.doubt(Finding::SplitBrain { slot, seen: self.reports.seen(slot) });
    }

    fn doubt(&mut self, finding: Finding) {
        self.findings.push_back(finding);
        self.handle_quarantine();
    }
}
