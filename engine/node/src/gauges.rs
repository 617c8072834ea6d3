//! A core in numbers, for whoever watches it: read at any time, and nothing follows from it.

use assize_consensus::Watermarks;
use assize_shards::Counters;
use assize_wal::{Log, LogCounters};
use assize_wire::{Ballot, LogicVersions, ReplicaId, ShardId, Slot, StreamTime};

use crate::checkpoint::CheckpointEnd;
use crate::core::Core;
use crate::output::Output;

/// What a core is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreGauges {
    /// It stands where the cluster does (R2), and is not about to stop.
    pub ready: bool,
    /// It publishes and answers nothing (C5).
    pub quarantined: bool,
    /// It admits nothing more, and ends when all is answered.
    pub stopping: bool,
    /// Connections of clients.
    pub connections: usize,
    /// Events of clients that wait for their answers.
    pub unanswered_events: u32,
    /// The logical offset below which its log of the outcome stream is durable.
    pub outcomes_durable: u64,
    /// The highest published stream time that it knows.
    pub stream_time: StreamTime,
    /// Results found to differ that ought to be the same, of this replica or of another, since this start (C5).
    pub divergences: u64,
}

/// What the control core knows of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlGauges {
    /// It leads, and admits events.
    pub leads: bool,
    /// Who leads, as far as it is heard.
    pub leader: Option<ReplicaId>,
    /// The replicas that it is connected to: bit n is that of replica n.
    pub connected: u64,
    /// The highest ballot that it promised.
    pub promised: Ballot,
    /// How far it is.
    pub watermarks: Watermarks,
    /// The active checkpoint is after this slot.
    pub checkpoint: Slot,
    /// It rejoins with an empty disk, and has no vote yet (R3).
    pub rejoins: bool,
    /// A checkpoint is being taken, compared, written or taken over.
    pub checkpoint_runs: bool,
    /// Checkpoints that became active since this start.
    pub checkpoints_taken: u64,
    /// Checkpoints that came to nothing since this start.
    pub checkpoints_failed: u64,
}

/// What a log is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogGauges {
    /// What it has written since this start.
    pub counters: LogCounters,
    /// Bytes that are kept.
    pub bytes_used: u64,
    /// Bytes that may be, where that is bounded by the configuration.
    pub bytes_max: Option<u64>,
}

/// What a shard is at.
#[derive(Clone, Copy, Debug)]
pub struct ShardGauges<'a> {
    /// Which.
    pub shard: ShardId,
    /// The last slot that it executed.
    pub executed: Slot,
    /// The last slot such that all of its outcomes at and below it that were published here are durable in the outcome
    /// stream. It may move back where nothing waits any more: what it said holds nevertheless.
    pub outcomes_written: Slot,
    /// What it has counted since this start.
    pub counters: &'a Counters,
    /// Its domains, and which versions of their logic are in force there.
    pub logic: LogicVersions,
    /// Live keys at most.
    pub keys_capacity: u64,
    /// Entities at which it takes no new ones.
    pub entities_capacity: u64,
    /// Stripes that were released because enough replicas had computed the same (C3).
    pub copies_matched: u64,
    /// Stripes that have run and wait for equal copies.
    pub outcomes_held: u64,
}

/// What a core counts for those who watch it alone.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) divergences: u64,
    checkpoints_taken: u64,
    checkpoints_failed: u64,
}

impl Core {
    /// What this core is at.
    #[must_use]
    pub fn gauges(&self) -> CoreGauges {
        let quarantined = self.quarantine.is_some();
        CoreGauges {
            ready: self.told_serving && !quarantined && !self.stopping,
            quarantined,
            stopping: self.stopping,
            connections: self.connections.len(),
            unanswered_events: self.connections.unanswered(),
            outcomes_durable: self.outcomes.log.durable_through(),
            stream_time: self.stream_time,
            divergences: self.tally.divergences,
        }
    }

    /// On the control core: what it knows of the replica.
    #[must_use]
    pub fn control_gauges(&self) -> Option<ControlGauges> {
        let control = self.control.as_ref()?;
        Some(ControlGauges {
            leads: self.ballot != Ballot::NONE,
            leader: control.docket.leader(),
            connected: control.docket.connected().fold(0, |all, peer| all | 1 << peer.0),
            promised: control.docket.promised(),
            watermarks: control.docket.watermarks(),
            checkpoint: control.coordinator.active_slot(),
            rejoins: control.told_rejoin.is_some(),
            checkpoint_runs: control.coordinator.is_under_way(),
            checkpoints_taken: self.tally.checkpoints_taken,
            checkpoints_failed: self.tally.checkpoints_failed,
        })
    }

    /// What its logs are at, in the order of [`crate::LogIds::all`].
    #[must_use]
    pub fn log_gauges(&self) -> [LogGauges; 4] {
        let gauges = |log: &Log| LogGauges {
            counters: log.counters(),
            bytes_used: log.bytes_used(),
            bytes_max: log.bytes_max(),
        };
        [&self.log, &self.outcomes.log, &self.checkpoints.parts, &self.checkpoints.keys].map(gauges)
    }

    /// What each of its shards is at.
    pub fn shard_gauges(&self) -> impl Iterator<Item = ShardGauges<'_>> {
        self.shards.iter().zip(&self.usher.seats).map(|(shard, seat)| {
            let (keys_capacity, entities_capacity) = shard.capacities();
            let (id, executed) = (shard.id(), shard.executed());
            // Every chosen stripe below the first that is held is published.
            let published = seat.held.first_chosen().map_or(executed, |first| Slot(first.0 - 1));
            ShardGauges {
                shard: id,
                executed,
                outcomes_written: self.outcomes.written(id, published),
                counters: shard.counters(),
                logic: shard.logic(),
                keys_capacity,
                entities_capacity,
                copies_matched: shard.clerk().copies_matched(),
                outcomes_held: shard.clerk().held(),
            }
        })
    }

    /// On the control core: how far the replica is.
    #[must_use]
    pub fn watermarks(&self) -> Option<Watermarks> {
        self.control.as_ref().map(|control| control.docket.watermarks())
    }

    /// The ballot under which this core admits events, or [`Ballot::NONE`].
    #[must_use]
    pub fn leads(&self) -> Ballot {
        self.ballot
    }

    /// Events that were taken from clients, who are still connected, and are not answered.
    #[must_use]
    pub fn unanswered_events(&self) -> u32 {
        self.connections.unanswered()
    }

    /// A checkpoint came to an end.
    pub(crate) fn tell_checkpoint(&mut self, end: CheckpointEnd) {
        match &end.result {
            Ok(_) => self.tally.checkpoints_taken += 1,
            Err(_) => self.tally.checkpoints_failed += 1,
        }
        self.outputs.push_back(Output::Checkpoint(end));
    }
}
