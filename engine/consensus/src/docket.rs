//! The state machine of the replicated log on one replica.

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::manifest::Ordered;
use assize_wire::peer::DocketMessage;
use assize_wire::{Ballot, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

use crate::effect::Effect;
use crate::offers::Offer;
use crate::watermarks::Watermarks;

/// What the Docket is told at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DocketConfig {
    /// This replica.
    pub replica: ReplicaId,
    /// Voting replicas of the cluster: 1, 3 or 5.
    pub replicas: u8,
    /// Shards of the cluster.
    pub shards: u16,
    /// Slots that may be formed and not yet published by a leader, or told and not yet published on any replica.
    pub window: u32,
}

/// What recovery found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocketStart {
    /// The checkpoint, or [`LogTip::START`]: chosen and executed up to here.
    pub tip: LogTip,
    /// Slots above the tip, each chained to the one below, without a gap, with the ballot of its last record. All their
    /// stripes are here.
    pub accepted: Vec<(Arc<Ordered>, Ballot)>,
    /// Slots above those that were accepted once and cannot be read now, with the hash if it is known (P5).
    pub damaged: Vec<(Slot, Option<Hash>)>,
    /// Known chosen through here. With one replica everything accepted is chosen.
    pub chosen: Slot,
    /// At or above every ballot in the superblock and in any accept record (P3).
    pub promised: Ballot,
    /// Stripes in the logs that no accepted slot names.
    pub stored: Vec<StripeId>,
}

/// Where a log stands: what the next manifest chains to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogTip {
    /// The last slot.
    pub slot: Slot,
    /// The hash of its manifest.
    pub hash: Hash,
    /// Its stream time.
    pub time: StreamTime,
}

impl LogTip {
    /// Before the first slot.
    pub const START: LogTip = LogTip { slot: Slot::ZERO, hash: Hash::ZERO, time: StreamTime(0) };
}

/// Whether a checkpoint is to be taken after the next slot (L6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFlag {
    /// No.
    Lowered,
    /// Yes, when there is something to order.
    Raised,
    /// Yes, at once, even if there is nothing to order.
    Alone,
}

/// What a replica does for the log at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It accepts.
    Follower,
    /// It wants to lead.
    Candidate,
    /// It leads.
    Leader,
}

/// The replicated log on one replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Docket {
    config: DocketConfig,
}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl Docket {
    #[must_use]
    pub fn new(config: DocketConfig, start: DocketStart) -> Docket {
        todo!()
    }
    pub fn handle_message(&mut self, from: ReplicaId, message: DocketMessage, time_max: StreamTime) {
        todo!()
    }
    pub fn handle_connected(&mut self, peer: ReplicaId) {
        todo!()
    }
    pub fn handle_disconnected(&mut self, peer: ReplicaId) {
        todo!()
    }
    pub fn handle_silence(&mut self) {
        todo!()
    }
    pub fn handle_election_timeout(&mut self) {
        todo!()
    }
    pub fn handle_heartbeat_due(&mut self) {
        todo!()
    }
    pub fn handle_stalled(&mut self) {
        todo!()
    }
    pub fn handle_promise_durable(&mut self, ballot: Ballot) {
        todo!()
    }
    pub fn handle_offer(&mut self, offer: Offer) {
        todo!()
    }
    pub fn handle_stripe_stored(&mut self, id: StripeId) {
        todo!()
    }
    pub fn handle_stripe_lost(&mut self, id: StripeId) {
        todo!()
    }
    pub fn handle_accept_durable(&mut self, slot: Slot, ballot: Ballot) {
        todo!()
    }
    pub fn handle_published(&mut self, slot: Slot, shard: ShardId) {
        todo!()
    }
    pub fn form(&mut self, clock: StreamTime, flag: CheckpointFlag) -> bool {
        todo!()
    }
    pub fn hand_over(&mut self, to: Option<ReplicaId>) -> bool {
        todo!()
    }
    pub fn quarantine(&mut self) {
        todo!()
    }
    pub fn confirm(&mut self) -> u64 {
        todo!()
    }
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        todo!()
    }
    pub fn poll_effect(&mut self) -> Option<Effect> {
        todo!()
    }
    pub fn poll_chosen(&mut self) -> Option<Arc<Ordered>> {
        todo!()
    }
    #[must_use]
    pub fn role(&self) -> Role {
        todo!()
    }
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        todo!()
    }
    #[must_use]
    pub fn promised(&self) -> Ballot {
        todo!()
    }
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaId> {
        todo!()
    }
    #[must_use]
    pub fn tip(&self) -> LogTip {
        todo!()
    }
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        todo!()
    }
    #[must_use]
    pub fn is_idle(&self) -> bool {
        todo!()
    }
    #[must_use]
    pub fn room(&self) -> bool {
        todo!()
    }
    #[must_use]
    pub fn is_ready_to_serve(&self) -> bool {
        todo!()
    }
    #[must_use]
    pub fn is_outstanding(&self) -> bool {
        todo!()
    }
    pub fn check_invariants(&self) {
        todo!()
    }
}
