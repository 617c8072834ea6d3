//! What a core wants done outside.

use alloc::string::String;
use alloc::vec::Vec;

use assize_consensus::Alarm;
use assize_shards::StateDigest;
use assize_wal::{Operation, Quarantine};
use assize_wire::message::Refused;
use assize_wire::{Ballot, CoreId, Hash, LogId, LogicVersion, ReplicaId, ShardId, Slot};

use crate::checkpoint::CheckpointEnd;
use crate::divergence::DivergenceReport;
use crate::hand_over::HandOverEnd;
use crate::message::CoreMessage;
use crate::peers::PeerNotice;
use crate::rejoin::RejoinNotice;
use crate::stages::StripeStages;

/// What a core wants done.
pub enum Output {
    /// An effect on a device.
    Disk(Operation),
    /// A message to another core.
    Message {
        /// To whom.
        to: CoreId,
        /// What.
        message: CoreMessage,
    },
    /// A stripe's times, for the histograms.
    Stages(StripeStages),
    /// The stages told so far are to be forgotten.
    Measure,
    /// A client was refused and its connection is closed, for the operator.
    Refused(Refused),
    /// The control core: replayed slots are published through this one; more may be given.
    Replayed(Slot),
    /// Clients may connect from now on. They are served, or told who leads.
    Listen,
    /// This core serves: as leader, or as a follower that stands where the cluster does.
    Serving,
    /// The Docket met something that no working cluster does, for the operator.
    Alarm(Alarm),
    /// No peer's log reaches back to what this replica lacks: it needs a checkpoint of theirs.
    CheckpointNeeded {
        /// Who said so.
        from: ReplicaId,
        /// What is chosen there.
        chosen: Slot,
    },
    /// Whether the clocks of a majority contradict this replica's now (P13).
    ClockContradicted(bool),
    /// A peer computed something else than what was published.
    PeerDiverged {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// Who.
        replica: ReplicaId,
        /// The digest published.
        published: Hash,
        /// The digest it sent.
        found: Hash,
    },
    /// A stripe has run here and too few replicas agree with it, for a while now; with the digests seen.
    CopiesMissing {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// Who says what, this replica included.
        seen: Vec<(ReplicaId, Hash)>,
    },
    /// The device has no space for another segment of this log; told again now and then while that lasts.
    DiskFull(LogId),
    /// A shard refused new keys, since as many as it may hold are live; told again now and then while that lasts.
    KeysFull {
        /// The shard.
        shard: ShardId,
        /// How many it may hold.
        capacity: u64,
        /// For how long each is live, in nanoseconds.
        ttl_ns: u64,
    },
    /// A stripe has run here, and too few replicas still keep the digest it was published under (C4): it cannot be
    /// published here any more. This replica must be rebuilt.
    CopiesGone {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
    },
    /// A record that was durable cannot be read back: it is repaired from the peers, but the disk wants looking at.
    RecordDecayed {
        /// The log.
        log: LogId,
        /// What stands there, and where.
        fault: String,
    },
    /// The log has no room for outcomes that are published: the replica must stop.
    OutcomesFull {
        /// The log.
        log: LogId,
        /// The shard.
        shard: ShardId,
        /// The first slot that is not stored.
        slot: Slot,
    },
    /// The control core: every peer has said what it shares with others when it fails, and with one failure domain
    /// lost, or even without, too few are left to publish anything (C1).
    FailureDomains {
        /// How many there are.
        distinct: u8,
        /// How many must agree.
        copies: u8,
        /// Replicas that are not alone in theirs.
        sharing: Vec<ReplicaId>,
    },
    /// Where a replica that is outside differs first (C6).
    DivergenceReport(DivergenceReport),
    /// The control core: this replica is quarantined, since just now or from its start (C5). It publishes nothing and
    /// answers nobody; it must be rebuilt.
    Quarantined(Quarantine),
    /// The control core: this replica has an empty disk in place of one that was lost (R3), and is so far.
    Rejoin(RejoinNotice),
    /// The control core: this replica's checkpoint is whole and waits for reports of others (C7).
    CheckpointReported {
        /// Its slot.
        slot: Slot,
        /// Its digest.
        digest: Hash,
    },
    /// The control core: a peer has another state than this replica and others agree on (C7).
    PeerStateDiverged {
        /// After this slot.
        slot: Slot,
        /// Who.
        replica: ReplicaId,
        /// The digest of the checkpoint that counts.
        agreed: Hash,
        /// The one that it reported.
        found: Hash,
    },
    /// The control core: what this replica lacks is gone from its peers' logs, and it takes over a checkpoint of one.
    TakingOver {
        /// Whose.
        from: ReplicaId,
        /// Its slot.
        slot: Slot,
    },
    /// The control core: the replica must be started again.
    StartAgain(StartAgain),
    /// The control core: another replica leads, or none that is heard; under this ballot.
    LeaderChanged {
        /// Who.
        leader: Option<ReplicaId>,
        /// The ballot.
        ballot: Ballot,
    },
    /// The control core: what became of handing leadership over. Told once for each [`CoreMessage::HandOver`], unless
    /// the replica ends before.
    HandOver {
        /// Who asked; none where this replica began it, for want of space.
        ask: Option<u64>,
        /// What became of it.
        end: HandOverEnd,
    },
    /// The control core: nothing has moved under this leader for too long, and it gives up leading (P9).
    LeaderStalled,
    /// The control core: this slot switches a domain to logic that this replica's program does not have (R5). The cores
    /// were told no slot above it, and the replica must stop; a program that has it goes on from there.
    LogicMissing {
        /// The slot that orders it.
        slot: Slot,
        /// What is missing.
        logic: LogicVersion,
    },
    /// The control core: a checkpoint is active, or failed.
    Checkpoint(CheckpointEnd),
    /// In a cluster of one, a replayed stripe has another digest than the one published before the restart (C4): this
    /// replica's arithmetic or its disk is wrong. It must stop and publish nothing.
    Diverged {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// The digest published.
        expected: Hash,
        /// The digest computed now.
        found: Hash,
    },
    /// What happened to a connection to another replica, for the operator.
    Peer(PeerNotice),
    /// Everything that was admitted is answered and durable: the core may end once its sockets are flushed.
    Halted {
        /// What its shards' entities come to.
        digests: Vec<StateDigest>,
    },
}

/// Why a replica must be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAgain {
    /// To begin from a peer's checkpoint after this slot, which is active here.
    From(Slot),
    /// What came of a peer's checkpoint is wrong: it is to be rebuilt (R3).
    Rebuild,
}
