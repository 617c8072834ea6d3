//! The **Usher**: takes events in, validates them, applies admission control, routes each to the shard that owns its
//! key and seals stripes. It never evaluates and never decides order.

mod open_stripe;
mod seat;
mod submit;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_domain::{DomainRegistry, Entities};
use assize_shards::PanicGuard;
use assize_wal::BufferPool;
use assize_wire::message::Welcome;
use assize_wire::routing::Routing;
use assize_wire::{Ballot, ClusterId, CoreId, LogicVersions, ReplicaId, ShardId, StreamTime};

use crate::layout::Layout;
use crate::message::CoreMessage;
use crate::room::{self, Promised, Room};
pub(crate) use open_stripe::Batch;
pub use open_stripe::Run;
pub(crate) use seat::{Sealed, Seat};
pub(crate) use submit::{Turned, write_turned};

/// Bounds of a core's Usher, none above the agreed one of the same name.
#[derive(Clone, Copy, Debug)]
pub struct UsherLimits {
    /// A stripe is full at this many bytes.
    pub stripe_bytes: usize,
    /// A stripe is full at this many events.
    pub stripe_events: u32,
    /// Stripes of one shard that may be sealed and not published, and as many that may wait to be sealed.
    pub window: usize,
    /// Events that one connection may have unanswered.
    pub credit_events: u32,
    /// Connections of one core.
    pub connections_max: usize,
    /// Payload bytes of one event.
    pub event_payload_bytes_max: usize,
    /// Entities of one event.
    pub event_entities_max: usize,
}

/// What a client is told of the replica when it connects.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The cluster.
    pub cluster: ClusterId,
    /// This replica.
    pub replica: ReplicaId,
    /// How long a key stays live, in nanoseconds.
    pub warden_ttl_ns: u64,
    /// Voting replicas.
    pub replicas: u8,
    /// Equal digests that publishing needs.
    pub copies: u8,
    /// Whether the data directory survives a power cut.
    pub durable: bool,
    /// For each shard the port of its core.
    pub ports: Vec<u16>,
}

impl Greeting {
    pub(crate) fn welcome(
        &self,
        leader: Option<ReplicaId>,
        routing_seed: u64,
        credit_events: u32,
        stream_time: StreamTime,
    ) -> Welcome {
        Welcome {
            cluster: self.cluster,
            replica: self.replica,
            leader,
            routing_seed,
            stream_time,
            warden_ttl_ns: self.warden_ttl_ns,
            credit_events,
            replicas: self.replicas,
            copies: self.copies,
            durable: self.durable,
            ports: self.ports.clone(),
        }
    }
}

/// The Usher of one core.
pub(crate) struct Usher {
    core: CoreId,
    layout: Arc<Layout>,
    routing: Routing,
    domains: Arc<DomainRegistry>,
    /// What evaluates, as far as this core was told (R5). What is admitted may be evaluated by what comes next: then
    /// that has the last word.
    pub(crate) logic: LogicVersions,
    guard: Arc<dyn PanicGuard>,
    pub(crate) limits: UsherLimits,
    /// The ballot under which stripes are sealed; [`Ballot::NONE`] while this replica does not lead.
    ballot: Ballot,
    /// The highest ballot under which it ever was: no stripe is sealed under it, or a lower one, again (P1).
    ballot_max: Ballot,
    /// Which other replica leads, if one is known to.
    pub(crate) leader: Option<ReplicaId>,
    stopping: bool,
    /// One for each shard of this core.
    pub(crate) seats: Vec<Seat>,
    /// What the logs can still take.
    pub(crate) room: Room,
    pool: BufferPool,
    entities: Entities,
    /// Scratch of one request: its events by shard.
    batches: Vec<Batch>,
    /// Messages to other cores.
    outgoing: VecDeque<(CoreId, CoreMessage)>,
}

impl Usher {
    pub(crate) fn new(
        core: CoreId,
        layout: Arc<Layout>,
        routing: Routing,
        domains: Arc<DomainRegistry>,
        guard: Arc<dyn PanicGuard>,
        limits: UsherLimits,
        segment_bytes: u64,
    ) -> Usher {
        // A stripe of many small events must not have more outcomes than a record of the outcome stream holds.
        let stripe_events = limits.stripe_events.min(room::stripe_events_max(segment_bytes));
        let limits = UsherLimits { stripe_events, ..limits };
        let shards = layout.shards();
        let owned = (0..shards).map(ShardId).filter(|shard| layout.owner(*shard) == core);
        let seats: Vec<Seat> = owned.map(Seat::new).collect();
        let room = Room::new(&limits, seats.len(), shards, core == layout.control, segment_bytes);
        Usher {
            core,
            routing,
            domains,
            logic: LogicVersions::NONE,
            guard,
            limits,
            ballot: Ballot::NONE,
            ballot_max: Ballot::NONE,
            leader: None,
            stopping: false,
            pool: BufferPool::new(seats.len() * (limits.window + 2)),
            seats,
            room,
            entities: Entities::new(),
            batches: (0..shards).map(|_| Batch::default()).collect(),
            outgoing: VecDeque::new(),
            layout,
        }
    }

    /// This replica leads: stripes are sealed under `ballot` from here on.
    pub(crate) fn lead(&mut self, ballot: Ballot) {
        assert!(ballot > self.ballot_max, "ballot {ballot} is not above {}", self.ballot_max);
        (self.ballot, self.ballot_max) = (ballot, ballot);
        self.seats.iter_mut().for_each(Seat::restart_counter);
    }

    /// This replica does not lead any more.
    pub(crate) fn unlead(&mut self) {
        self.ballot = Ballot::NONE;
        self.room.set_docket_open(false);
    }

    /// Admits nothing more.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    pub(crate) fn is_admitting(&self) -> bool {
        !self.stopping && self.ballot != Ballot::NONE
    }

    /// What was admitted here and is not published.
    pub(crate) fn promised(&self) -> Promised {
        self.seats.iter().map(Seat::promised).fold(Promised::default(), |all, seat| Promised {
            waiting_bytes: all.waiting_bytes + seat.waiting_bytes,
            events: all.events + seat.events,
        })
    }

    /// The index of the seat of `shard`, if this core owns it.
    pub(crate) fn seat_index(&self, shard: ShardId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.shard == shard)
    }

    /// Seals the next stripe of a seat, if it is time: it has events, its previous stripe is published or the next one
    /// is full, and fewer than `window` are unpublished.
    pub(crate) fn seal(&mut self, seat: usize, now: u64) -> Option<Sealed> {
        if self.ballot == Ballot::NONE {
            return None;
        }
        self.seats[seat].seal(self.ballot, self.limits.window, now)
    }

    /// A published stripe's buffer, to be used again.
    pub(crate) fn recycle(&mut self, buffer: Arc<assize_wal::BlockBuffer>) {
        self.pool.give(buffer);
    }

    pub(crate) fn poll_message(&mut self) -> Option<(CoreId, CoreMessage)> {
        self.outgoing.pop_front()
    }

    /// Whether other cores are still to be told something.
    pub(crate) fn has_messages(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether nothing that was admitted is waiting or unpublished.
    pub(crate) fn is_drained(&self) -> bool {
        self.outgoing.is_empty() && self.seats.iter().all(Seat::is_drained)
    }
}
