//! What Federation tells, and what it is asked to do outside.

use alloc::vec::Vec;

use assize_wal::BlockBuffer;
use assize_wire::peer::{
    CheckpointTold, DocketMessage, Generation, Generations, Lane, PartItem, PeerPorts, PeerRefused,
};
use assize_wire::{Hash, LogicVersion, ReplicaId, Slot};

/// What happened between this replica and its peers, in the order in which it did.
#[derive(Debug)]
pub enum FederationEvent {
    /// A lane to a peer can be used. Nothing sent before it arrives.
    Connected {
        /// The peer, which has proved the secret.
        peer: ReplicaId,
        /// The lane.
        lane: Lane,
        /// Its disk, the last one that was met (R3).
        generation: Generation,
        /// What it shares with others when it fails (C1).
        failure_domain: u64,
        /// The versions of the domains' logic that its program has (R5).
        logic: Vec<LogicVersion>,
        /// Where others than its peers reach it.
        ports: PeerPorts,
    },
    /// A connected lane is gone, with whatever was on its way; it is made again without being asked.
    Disconnected {
        /// The peer.
        peer: ReplicaId,
        /// The lane.
        lane: Lane,
        /// Why.
        why: Loss,
    },
    /// A message of a connected peer, in the order in which it was sent.
    Message {
        /// The peer.
        peer: ReplicaId,
        /// The lane.
        lane: Lane,
        /// What it says.
        message: FromPeer,
    },
    /// [`Sent::Full`] was answered on this lane, and now there is room again.
    Room {
        /// The peer.
        peer: ReplicaId,
        /// The lane.
        lane: Lane,
    },
    /// A connection was refused, for the operator. The same reason is told once in a while only.
    Refused(RefusedPeer),
}

/// A connection between replicas that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPeer {
    /// Which replica the other says it is, or is meant to be, if that much is known. It has proved nothing.
    pub peer: Option<ReplicaId>,
    /// The lane, if it is known.
    pub lane: Option<Lane>,
    /// Whether the other refused this replica, and not this replica the other.
    pub by_peer: bool,
    /// Why. Of the other's making if it refused.
    pub refused: PeerRefused,
}

/// Why a connected lane was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection was closed, or broke.
    Closed,
    /// Nothing came for too long.
    Silent,
    /// The peer has made a newer connection.
    Replaced,
    /// One side refused what the other sent.
    Refused,
}

/// A message of a peer, owned.
#[derive(Clone, Debug)]
pub enum FromPeer {
    /// Control lane: of its Docket.
    Docket {
        /// Its wall clock as it sent this (P13).
        clock_ns: u64,
        /// What it knew of the disks of all replicas (R3).
        generations: Generations,
        /// The message.
        message: DocketMessage,
    },
    /// Control lane: what became of a checkpoint there.
    Checkpoint(CheckpointTold),
    /// Control lane: the peer wants to know what became of the checkpoint after this slot.
    CheckpointWanted(Slot),
    /// Control lane: the peer's logs have no room.
    ShortOfRoom,
    /// Shard lane: a stripe, as the payload of a record to be logged.
    ///
    /// It is copied once, out of the buffer that it was received in; the design wants none, which takes a receive
    /// buffer that is itself the record.
    Stripe(BlockBuffer),
    /// Shard lane: the peer wants this stripe.
    StripeWanted(Hash),
    /// Shard lane: the peer does not have this stripe.
    StripeMissing(Hash),
    /// Shard lane: its digests.
    Copies(Vec<(Slot, Hash)>),
    /// Shard lane: the peer wants digests of these slots.
    CopiesWanted {
        /// The first slot.
        from: Slot,
        /// The last.
        through: Slot,
    },
    /// Shard lane: the peer has no digests of slots below this one any more.
    CopiesGone {
        /// The slot.
        below: Slot,
    },
    /// Shard lane: what each event of a stripe came to at the peer, which is outside (C6).
    EventDigests {
        /// The slot.
        slot: Slot,
        /// By event.
        digests: Vec<Hash>,
    },
    /// Shard lane: the first event of a stripe that differs, as the peer evaluated it.
    EventDiffers {
        /// The slot.
        slot: Slot,
        /// The event.
        index: u32,
        /// Its piece.
        piece: Vec<u8>,
    },
    /// Shard lane: the peer wants a record of this replica's active checkpoint.
    PartWanted {
        /// The checkpoint's slot.
        slot: Slot,
        /// Counts the records of the shard's part.
        index: u64,
    },
    /// Shard lane: a record of its active checkpoint.
    Part(PartReceived),
}

/// A record of a peer's checkpoint, as the payload of one to be logged.
#[derive(Clone, Debug)]
pub struct PartReceived {
    /// The checkpoint's slot.
    pub slot: Slot,
    /// Counts the records of the shard's part.
    pub index: u64,
    /// What it holds.
    pub item: PartItem,
    /// Its payload.
    pub buffer: BlockBuffer,
}

/// What became of a message to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// It will be sent, in order, unless the connection is lost.
    Queued,
    /// There is no connection. It is dropped.
    NotConnected,
    /// The peer does not take what waits for it. It is dropped; [`FederationEvent::Room`] will tell when there is room.
    Full,
}

/// A connection to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// To which replica.
    pub peer: ReplicaId,
    /// For what.
    pub lane: Lane,
    /// To the peer's base port plus this.
    pub core_offset: u16,
}
