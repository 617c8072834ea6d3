//! What cores of one replica say to each other: plain owned data; an I/O buffer never crosses.

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_consensus::Offer;
use assize_shards::{Exchange, ReadEntity, StripeBytes};
use assize_wal::{Mark, Quarantine};
use assize_wire::manifest::Ordered;
use assize_wire::message::Consistency;
use assize_wire::peer::Generations;
use assize_wire::{Ballot, CoreId, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

use crate::checkpoint::{ActiveCheckpoint, CheckpointReport};
use crate::connections::ConnectionRef;

/// One message. Between two cores they arrive in the order they were sent.
#[derive(Clone)]
pub enum CoreMessage {
    /// Control core to all: more is known of the disks of replicas (R3).
    Generations(Generations),
    /// Usher to Usher: events whose key another core's shard owns.
    Forward {
        /// The shard, owned by the receiver.
        shard: ShardId,
        /// Who is to be answered.
        connection: ConnectionRef,
        /// The client's request.
        request: u64,
        /// For each event its index in the request.
        indexes: Vec<u32>,
        /// The homes they touch.
        home_mask: u64,
        /// The events, one after the other, validated.
        events: Vec<u8>,
    },
    /// Whole frames for a client of the receiver.
    Frames {
        /// Who is to be sent them.
        connection: ConnectionRef,
        /// How many events they answer.
        answered: u32,
        /// The frames.
        bytes: Vec<u8>,
    },
    /// Shard to Docket: a sealed stripe.
    Offer(Offer),
    /// Shard to Docket: a stripe is durable in its own log.
    StripeStored(StripeId),
    /// Shard to Docket: these stripes are kept no longer.
    StripesLost(Vec<StripeId>),
    /// Docket to shards: a chosen slot, in slot order. While replaying it brings the receiver's stripes.
    Chosen {
        /// The slot.
        ordered: Arc<Ordered>,
        /// Stripes of the receiver's shards that recovery read.
        stripes: Vec<(ShardId, StripeBytes)>,
        /// Digests that were published before the restart, to be compared (C4).
        digests: Vec<(ShardId, Hash)>,
        /// The receiver takes its part of a checkpoint after this slot.
        checkpoint: bool,
        /// This replica has accepted through here (L5).
        mark: Mark,
    },
    /// To the control core: what the sender found puts this replica into quarantine (C5).
    Doubt(Quarantine),
    /// From the control core: this replica is quarantined.
    Quarantined(Quarantine),
    /// Docket to shard: a manifest names this stripe, which is not stored here; `from` may have it.
    WantStripe {
        /// The stripe, of one of the receiver's shards.
        id: StripeId,
        /// Its size.
        bytes: u32,
        /// Whom to ask first; this replica itself where nobody in particular.
        from: ReplicaId,
    },
    /// To the control core: this core has taken its part of a checkpoint.
    Checkpoint(CheckpointReport),
    /// From the control core: a checkpoint is active; what it makes superfluous may go.
    CheckpointActive(ActiveCheckpoint),
    /// From the control core: this peer's checkpoint is to be taken over.
    TakeOver {
        /// Whose.
        from: ReplicaId,
        /// Its slot.
        slot: Slot,
        /// The slot's stream time.
        time: StreamTime,
        /// Whether what came of it before counts for nothing: else the rest comes from this peer.
        anew: bool,
    },
    /// To the control core: the peer does not have that checkpoint any more.
    PartGone {
        /// Whose.
        from: ReplicaId,
        /// Its slot.
        slot: Slot,
    },
    /// To the control core: this core refuses events, or stripes, because its logs have no room.
    ShortOfRoom {
        /// Whether that is because the device has no space.
        disk_full: bool,
    },
    /// Shard to Docket: it published its stripe of this slot.
    Published {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
    },
    /// Shard to shard.
    Exchange {
        /// Who says it.
        from: ShardId,
        /// To whom.
        to: ShardId,
        /// Claim, grant or return.
        message: Exchange,
    },
    /// A client's read, to the home of its entities.
    Read {
        /// The home, owned by the receiver.
        home: ShardId,
        /// Who is to be answered.
        connection: ConnectionRef,
        /// The client's request.
        request: u64,
        /// How fresh.
        consistency: Consistency,
        /// What to read.
        entities: Vec<ReadEntity>,
    },
    /// To the Docket: tell this core once `slot` is published by the whole replica and, unless the read is local, a
    /// majority has confirmed since now that it leads.
    WatchRead {
        /// The slot.
        slot: Slot,
        /// Who asks.
        core: CoreId,
        /// The asker's number for it.
        watch: u64,
        /// Under which it was asked and read; none if it is local.
        ballot: Option<Ballot>,
    },
    /// From the Docket: so it is.
    ReadAllowed {
        /// The asker's number.
        watch: u64,
    },
    /// From the Docket: whether its log has room for the slots of more stripes. While it has not, nothing is admitted.
    DocketOpen(bool),
    /// From the boot thread to the Docket: the next slot that recovery found.
    Replay(ReplayedSlot),
    /// From the Docket: this replica leads under this ballot; admission may open.
    Lead(Ballot),
    /// From the Docket: this replica does not lead any more.
    Unlead {
        /// Stripes that slots held here still name.
        named: Arc<Vec<StripeId>>,
    },
    /// From the Docket: a leader is known, and what it calls chosen is executed here (R2).
    Ready,
    /// From the Docket: who leads.
    Leader(Option<ReplicaId>),
    /// From the Docket: the slots that named these stripes are void (P4).
    Voided(Arc<Vec<StripeId>>),
    /// From the Docket: stripes that were sealed under lower ballots and that no chosen slot names may go (P8).
    Release {
        /// The ballot.
        below: Ballot,
    },
    /// From the shell: the latencies of what was accepted so far are of no interest.
    Measure,
    /// From the shell to the control core: an operator wants another replica to lead. Answered by
    /// [`Output::HandOver`](crate::Output::HandOver).
    HandOver {
        /// The shell's number for it.
        ask: u64,
        /// Which replica; any that could if none is named.
        to: Option<ReplicaId>,
    },
    /// From the shell: admit nothing more, finish what is under way.
    Stop,
    /// To the Docket: this core has nothing under way any more.
    Drained(CoreId),
    /// From the Docket: every core has drained.
    Halt,
}

/// A slot that recovery found, with the bytes of its stripes.
#[derive(Clone)]
pub struct ReplayedSlot {
    /// The slot.
    pub ordered: Ordered,
    /// The bytes of each stripe it names.
    pub stripes: Vec<(ShardId, StripeBytes)>,
    /// For each of its stripes that was published before the restart, the digest in the outcome stream.
    pub digests: Vec<(ShardId, Hash)>,
}
