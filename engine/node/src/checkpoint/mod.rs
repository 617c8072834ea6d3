//! One core's work for a **checkpoint** (L6): it writes what its shards give out, reads all of it back, and says what
//! of its logs may go.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | the core's part: from the shards' steps to a report |
//! | `pace.rs` | how many steps a turn takes |
//! | `part.rs` | one shard's records: written, durable, read back and compared |
//! | `coordinator.rs` | the control core's part: when one is taken, and that it becomes active |
//! | `coordinator/updates.rs` | what it has the superblock say |
//! | `gathering.rs` | what the cores report of one, and how it ended |
//! | `reports.rs` | what replicas report of their checkpoints, compared |
//! | `offered.rs` | the active checkpoint, given to a peer |
//! | `incoming.rs` | a peer's, coming in |
//! | `take_over.rs` | the core's part of both |
//! | `fetching.rs` | the control core's part of taking one over: whether, and from whom |
//! | `founding.rs` | one that is no replica's work, written to an empty device for a replica to begin from |
//! | `retention.rs` | which segments are still wanted |
//!
//! Nothing waits for a checkpoint, so a turn of the core takes its steps after everything else.

mod coordinator;
mod fetching;
mod founding;
mod gathering;
mod incoming;
mod offered;
mod pace;
mod part;
mod reports;
mod retention;
mod take_over;

pub use coordinator::CoordinatorStart;
pub(crate) use coordinator::{Coordinator, TakeOver, Updated};
pub use founding::{Founded, Founding, FoundingError};
pub use gathering::{CheckpointEnd, CheckpointFailure};
pub(crate) use reports::Say;
pub(crate) use retention::Retention;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_shards::Shard;
use assize_shards::limits::CHECKPOINT_RECORD_BYTES_MIN;
use assize_wal::recovery::KeysRecord;
use assize_wal::{Completion, Durable, Log, LogCut, LogFailure, Recovered};
use assize_wire::canary::{self, Canary};
use assize_wire::checkpoint::PartHead;
use assize_wire::{CoreId, ReplicaId, ShardId, Slot, StreamTime};

use crate::core::Core;
use crate::message::CoreMessage;
use incoming::{Incoming, OutcomesTaken};
use offered::{Offered, Sending};
use pace::Pace;
use part::{Part, Progress};

/// What a core has to say of a checkpoint.
#[derive(Clone, Debug)]
pub struct CheckpointReport {
    /// The checkpoint's slot.
    pub slot: Slot,
    /// Who reports.
    pub core: CoreId,
    /// Whether it came from a peer. One that this replica began to take itself after the same slot may be reported
    /// although it was given up for that.
    pub of_peer: bool,
    /// The heads of its shards' parts, all durable and read back, and what a start may expect of its logs once the
    /// checkpoint is active; or why its part failed.
    pub part: Result<(Vec<PartHead>, Vec<LogCut>), PartFailure>,
}

/// Why a core's part of a checkpoint came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFailure {
    /// For the operator.
    pub reason: String,
    /// It came from a peer, and is not what it was to be.
    pub sent_wrong: bool,
}

/// A checkpoint that is active: the superblock names it.
#[derive(Clone, Debug)]
pub struct ActiveCheckpoint {
    /// Its slot.
    pub slot: Slot,
    /// Every shard's head, by shard.
    pub heads: Arc<Vec<PartHead>>,
    /// What the superblock says of the logs.
    pub cuts: Arc<Vec<LogCut>>,
}

/// One core's checkpoints.
pub(crate) struct Checkpoints {
    pub(crate) parts: Log,
    pub(crate) keys: Log,
    pub(crate) retention: Retention,
    /// By shard, the number of the oldest key that was live at the last active checkpoint.
    live: Vec<(ShardId, u64)>,
    taking: Option<Taking>,
    /// Outcomes that were taken up from peers by this start.
    outcomes_taken: OutcomesTaken,
    /// The own one, after this slot, instead of which a peer's was taken over: the shards are not at its end yet.
    given_up: Option<Slot>,
    /// The active one, for peers.
    offered: Offered,
    /// The last one that was reported, to be offered once it is active.
    reported: Option<Offered>,
    sending: Sending,
    /// Every record of keys of this core's shards that may be live.
    known_keys: Vec<KeysRecord>,
    pace: Pace,
}

/// What recovery left of checkpoints for one core.
pub(crate) struct CheckpointsStart {
    pub(crate) retention: Retention,
    /// By shard, the number of the oldest key that was live at the checkpoint.
    pub(crate) live: Vec<(ShardId, u64)>,
    offered: Offered,
    known_keys: Vec<KeysRecord>,
}

impl CheckpointsStart {
    pub(crate) fn new(retention: Retention, owned: &[ShardId], recovered: &Recovered) -> CheckpointsStart {
        let parts = recovered.checkpoint.iter().flat_map(|checkpoint| &checkpoint.parts);
        let keys = recovered.keys.iter().filter(|keys| owned.contains(&keys.shard));
        CheckpointsStart {
            retention,
            live: parts.map(|part| (part.head.shard, part.head.keys_from)).collect(),
            offered: Offered::recovered(recovered.checkpoint.as_ref(), owned, &recovered.outcomes),
            known_keys: keys.copied().collect(),
        }
    }
}

/// A checkpoint that this core takes its part of, or takes over.
struct Taking {
    slot: Slot,
    time: StreamTime,
    /// By seat.
    parts: Vec<Part>,
    failed: Option<PartFailure>,
    /// The outcome stream was asked to make everything through the slot durable.
    outcomes_asked: bool,
    /// It comes from a peer: then it stays here once it is reported, and this replica starts again.
    incoming: Option<Incoming>,
    reported: bool,
}

impl Taking {
    fn new(slot: Slot, time: StreamTime, parts: Vec<Part>, incoming: Option<Incoming>) -> Taking {
        Taking { slot, time, parts, failed: None, outcomes_asked: false, incoming, reported: false }
    }
}

impl Checkpoints {
    /// With the logs as recovery left them.
    pub(crate) fn new(parts: Log, keys: Log, start: CheckpointsStart) -> Checkpoints {
        let CheckpointsStart { retention, live, offered, known_keys } = start;
        Checkpoints {
            parts,
            keys,
            retention,
            live,
            taking: None,
            outcomes_taken: OutcomesTaken::default(),
            given_up: None,
            offered,
            reported: None,
            sending: Sending::default(),
            known_keys,
            pace: Pace::default(),
        }
    }

    /// The shards are to take their parts, one for each of `shards`. False if they cannot, and this core's part fails:
    /// a shard takes one checkpoint at a time.
    #[must_use]
    pub(crate) fn begin(&mut self, slot: Slot, time: StreamTime, shards: usize) -> bool {
        let before = self.taking.as_ref().filter(|taking| !taking.reported).map(|taking| taking.slot);
        assert!(before.is_none(), "a checkpoint after slot {slot} beside the one after slot {before:?}");
        // Another log may have given some back since the last time.
        self.parts.retry_space();
        self.keys.retry_space();
        let parts = (0..shards).map(|_| Part::default()).collect();
        let mut taking = Taking::new(slot, time, parts, None);
        taking.failed = self.given_up.map(|before| PartFailure {
            reason: format!("the one after slot {before}, which was given up, is not over"),
            sent_wrong: false,
        });
        self.taking = Some(taking);
        self.given_up.is_none()
    }

    /// A peer's is to be taken over, in place of the own one if there is one.
    fn begin_incoming(&mut self, slot: Slot, time: StreamTime, from: ReplicaId, shards: usize) {
        let own = self.taking.as_ref().filter(|taking| taking.incoming.is_none());
        self.given_up = self.given_up.or(own.map(|taking| taking.slot));
        self.parts.retry_space();
        self.keys.retry_space();
        let parts = (0..shards).map(|_| Part::default()).collect();
        self.taking = Some(Taking::new(slot, time, parts, Some(Incoming::new(from, shards))));
    }

    pub(crate) fn handle_completion(&mut self, completion: Completion) -> Result<(), LogFailure> {
        let log =
            if completion.id.log == self.parts.identity().log { &mut self.parts } else { &mut self.keys };
        log.handle_completion(completion)
    }

    /// Takes in what became durable and what was read back.
    fn take_in(&mut self) {
        let Checkpoints { parts, keys, retention, taking, sending, known_keys, .. } = self;
        while let Some(Durable { sequence, location, .. }) = parts.poll_durable() {
            let own = taking.iter_mut().flat_map(|taking| &mut taking.parts);
            own.for_each(|part| part.handle_durable(false, sequence, location));
        }
        while let Some(Durable { sequence, entry, location, .. }) = keys.poll_durable() {
            if let assize_wal::Entry::Keys { shard, first, next } = entry {
                let incarnation = keys.incarnation();
                let record = KeysRecord { shard, first, next, incarnation, location };
                retention.note_keys(&record);
                known_keys.push(record);
            }
            let own = taking.iter_mut().flat_map(|taking| &mut taking.parts);
            own.for_each(|part| part.handle_durable(true, sequence, location));
        }
        for log in [parts, keys] {
            while let Some((id, read)) = log.poll_read() {
                if sending.handle_read(id, &read) {
                    continue;
                }
                let Some(taking) = taking else { continue };
                let Some(part) = taking.parts.iter_mut().find(|part| part.is_reading(id)) else { continue };
                if let Err(fault) = part.handle_read(id, read) {
                    taking.failed.get_or_insert(fault.failure(taking.incoming.is_some()));
                }
            }
        }
    }

    /// The steps of this turn.
    fn step_parts(&mut self, shards: &mut [Shard]) {
        let executed = shards.iter().map(|shard| shard.counters().events).sum();
        if self.taking.is_none() {
            self.pace.rest(executed);
            return;
        }
        for _ in 0..self.pace.steps(executed) {
            if !self.step_part(shards) {
                break;
            }
        }
    }

    /// One step of one of the shards' parts. True if there may be another one at once.
    fn step_part(&mut self, shards: &mut [Shard]) -> bool {
        let Checkpoints { parts, keys, taking, .. } = self;
        let Some(taking) = taking else { return false };
        let failed = taking.failed.is_some();
        for (part, shard) in taking.parts.iter_mut().zip(shards) {
            match part.step(shard, taking.slot, failed, parts, keys) {
                Ok(Progress::Waits | Progress::Complete) => {}
                Ok(Progress::Moved) => return true,
                Err(fault) => {
                    taking.failed.get_or_insert(fault.failure(false));
                    return true;
                }
            }
        }
        false
    }

    /// One step of each shard that is not at the end of what was given up.
    fn step_given_up(&mut self, shards: &mut [Shard]) {
        let Some(slot) = self.given_up else { return };
        for shard in shards.iter_mut().filter(|shard| shard.is_checkpoint_due()) {
            let _nobody_wants_it = shard.checkpoint_step(CHECKPOINT_RECORD_BYTES_MIN, &mut Vec::new());
        }
        if shards.iter().all(|shard| shard.executed() >= slot && !shard.is_taking_checkpoint()) {
            self.given_up = None;
        }
    }

    /// Whether the next step need not wait for the disk.
    fn is_due(&self, shards: &[Shard]) -> bool {
        if self.given_up.is_some() && shards.iter().any(Shard::is_checkpoint_due) {
            return true;
        }
        let Some(taking) = self.taking.as_ref().filter(|taking| taking.incoming.is_none()) else {
            return false;
        };
        taking
            .parts
            .iter()
            .zip(shards)
            .any(|(part, shard)| part.is_due(shard, taking.failed.is_some(), &self.parts, &self.keys))
    }
}

impl Core {
    /// The steps of a checkpoint that this turn owes it, when there is nothing else to do.
    pub(crate) fn step_checkpoint(&mut self) {
        self.checkpoints.take_in();
        self.send_parts();
        self.checkpoints.step_given_up(&mut self.shards);
        if self.step_take_over() || self.drained {
            // This start is over: the checkpoint before this one stays active.
            return;
        }
        self.checkpoints.step_parts(&mut self.shards);
        let Some(taking) = &mut self.checkpoints.taking else { return };
        let slot = taking.slot;
        let published = self.usher.seats.iter().all(|seat| seat.held.is_published_through(slot));
        let finished = published && self.shards.iter().all(|shard| shard.executed() >= slot);
        if finished && !taking.outcomes_asked {
            taking.outcomes_asked = true;
            let oldest = oldest(taking.time, self.greeting.warden_ttl_ns);
            self.outcomes.forget_elsewhere(slot, oldest);
            self.outcomes.close_all();
        }
        let complete = taking.parts.iter().all(Part::is_over) || taking.failed.is_some();
        let shards_done = self.shards.iter().all(|shard| !shard.is_taking_checkpoint());
        // L6: only when the outcome stream is durable through the slot.
        let outcomes_settled = self.outcomes.is_settled() || canary::armed(Canary::OutcomesNotAwaited);
        if !(finished && complete && shards_done && outcomes_settled) {
            return;
        }
        let report = self.report();
        self.checkpoints.keep_for_offer(self.outcomes.index());
        self.checkpoints.taking = None;
        self.send(self.layout.control, CoreMessage::Checkpoint(report));
    }

    /// When the next step of a checkpoint is due: at once, or when the disk has done something.
    pub(crate) fn checkpoint_due(&self) -> Option<u64> {
        let due = self.checkpoints.is_due(&self.shards).then_some(self.now.monotonic_ns);
        due.or(self.take_over_due())
    }

    /// A checkpoint is active: what it makes superfluous is given up.
    pub(crate) fn checkpoint_active(&mut self, active: &ActiveCheckpoint) {
        for (seat, shard) in self.usher.seats.iter().zip(&mut self.shards) {
            let head = active.heads.iter().find(|head| head.shard == seat.shard);
            let head = head.unwrap_or_else(|| panic!("shard {} has no head", seat.shard));
            shard.handle_checkpoint_active(head);
        }
        self.checkpoints.offer(active);
        let Checkpoints { parts, keys, retention, live, .. } = &mut self.checkpoints;
        *live = active.heads.iter().map(|head| (head.shard, head.keys_from)).collect();
        for log in [&mut self.log, &mut self.outcomes.log, parts, keys] {
            if let Some(cut) = active.cuts.iter().find(|cut| cut.log == log.identity().log) {
                log.release(cut);
            }
        }
        self.outcomes.forget_released();
        self.stripes.handle_checkpoint(active.slot);
        let (stripes, outcomes) = (self.log.first_segment(), self.outcomes.log.first_segment());
        retention.forget(stripes, outcomes, keys.first_segment());
    }

    fn report(&self) -> CheckpointReport {
        let Checkpoints { parts, keys, retention, live, taking, sending, .. } = &self.checkpoints;
        let Some(taking) = taking else {
            panic!("core {} reports a checkpoint that it does not take", self.id)
        };
        let (slot, core, of_peer) = (taking.slot, self.id, taking.incoming.is_some());
        if let Some(failed) = &taking.failed {
            return CheckpointReport { slot, core, of_peer, part: Err(failed.clone()) };
        }
        let heads: Vec<PartHead> = taking.parts.iter().map(Part::head).collect();
        // Of other shards whose keys lie here the last active checkpoint told.
        let mut live: Vec<(ShardId, u64)> = live.clone();
        live.retain(|(shard, _)| heads.iter().all(|head| head.shard != *shard));
        live.extend(heads.iter().map(|head| (head.shard, head.keys_from)));
        let unnamed = self.stripes.unnamed(self.log.identity().log);
        let oldest = oldest(taking.time, self.greeting.warden_ttl_ns);
        let cut = |log: &Log, wanted| {
            let durable = log.durable_segment();
            let sent = sending.first_of(log.identity().log).unwrap_or(durable);
            log.cut(durable.min(Option::unwrap_or(wanted, durable)).min(sent))
        };
        // Somebody may read what is old: who was a duplicate before its key ran out.
        let young = retention.first_of_outcomes(slot, oldest);
        let outcomes = young.into_iter().chain(self.outcomes.first_read()).min();
        let first_of_part = taking.parts.iter().filter_map(Part::first_segment).min();
        let cuts = Vec::from([
            cut(&self.log, retention.first_of_stripes(slot, unnamed)),
            cut(&self.outcomes.log, outcomes),
            cut(parts, first_of_part),
            cut(keys, retention.first_of_keys(&live)),
        ]);
        CheckpointReport { slot, core, of_peer, part: Ok((heads, cuts)) }
    }
}

/// Keys that are live at this time are younger than this.
fn oldest(time: StreamTime, ttl_ns: u64) -> StreamTime {
    StreamTime(time.0.saturating_sub(ttl_ns))
}
