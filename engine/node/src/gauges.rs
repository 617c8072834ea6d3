//! A core in numbers, for whoever watches it: read at any time, and nothing follows from it.

use assize_consensus::Watermarks;
use assize_shards::Counters;
use assize_wire::{Ballot, ReplicaId, ShardId, Slot};

use crate::core::Core;

/// What a core is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreGauges {
    /// It stands where the cluster does (R2), and is not about to stop.
    pub ready: bool,
    /// It publishes and answers nothing (C5).
    pub quarantined: bool,
    /// Connections of clients.
    pub connections: usize,
    /// Events of clients that wait for their answers.
    pub unanswered_events: u32,
}

/// What the control core knows of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlGauges {
    /// It leads, and admits events.
    pub leads: bool,
    /// Who leads, as far as it is heard.
    pub leader: Option<ReplicaId>,
    /// The highest ballot that it promised.
    pub promised: Ballot,
    /// How far it is.
    pub watermarks: Watermarks,
    /// The active checkpoint is after this slot.
    pub checkpoint: Slot,
}

/// What a shard is at.
#[derive(Clone, Copy, Debug)]
pub struct ShardGauges<'a> {
    /// Which.
    pub shard: ShardId,
    /// The last slot that it executed.
    pub executed: Slot,
    /// What it has counted since this start.
    pub counters: &'a Counters,
}

impl Core {
    /// What this core is at.
    #[must_use]
    pub fn gauges(&self) -> CoreGauges {
        let quarantined = self.quarantine.is_some();
        CoreGauges {
            ready: self.told_serving && !quarantined && !self.stopping,
            quarantined,
            connections: self.connections.len(),
            unanswered_events: self.connections.unanswered(),
        }
    }

    /// On the control core: what it knows of the replica.
    #[must_use]
    pub fn control_gauges(&self) -> Option<ControlGauges> {
        let control = self.control.as_ref()?;
        Some(ControlGauges {
            leads: self.ballot != Ballot::NONE,
            leader: control.docket.leader(),
            promised: control.docket.promised(),
            watermarks: control.docket.watermarks(),
            checkpoint: control.coordinator.active_slot(),
        })
    }

    /// What each of its shards is at.
    pub fn shard_gauges(&self) -> impl Iterator<Item = ShardGauges<'_>> {
        self.shards.iter().map(|shard| ShardGauges {
            shard: shard.id(),
            executed: shard.executed(),
            counters: shard.counters(),
        })
    }
}
