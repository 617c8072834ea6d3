//! What a replica is made of: its cores, shards and bounds, and the cores themselves as a start builds them.

use std::sync::Arc;

use assize_consensus::DocketConfig;
use assize_domain::DomainRegistry;
use assize_node::boot::{docket_start, restore_shard};
use assize_node::federation::{FederationConfig, Secret};
use assize_node::{
    ControlStart, CoordinatorStart, Core, CoreConfig, CoreStart, ElectionTimes, Greeting, Layout, LeaseUse,
    LogicStart, UsherLimits,
};
use assize_shards::{PanicGuard, Rehearsal, ShardConfig};
use assize_wal::memory::{MemoryDevice, Random};
use assize_wal::recovery::Recovered;
use assize_wal::{LogConfig, LogIdentity, Superblock};
use assize_wire::peer::{PeerIdentity, PeerPorts};
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, CoreId, Hash, LogId, LogicVersion, LogicVersions, ReplicaId, ShardId};

use crate::bank::{BANK, Bank, NEXT_VERSION, VERSION};
use crate::disk::Honesty;
use crate::seeds::silently;

/// The cluster.
pub const CLUSTER: ClusterId = ClusterId(77);
/// Seeds the checksums of the records of replica 0; the others' follow.
const RECORD_KEY: u128 = 3;
/// How long a key is live where nothing else is said, longer than any run takes.
pub const TTL_NS: u64 = 2_000_000_000;
/// Wall time at the start, in nanoseconds.
pub const EPOCH_NS: u64 = 1_000_000_000_000;

/// What a replica is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Which replica it is.
    pub replica: ReplicaId,
    /// Replicas of its cluster.
    pub replicas: u8,
    /// Equal digests that publishing needs.
    pub copies: u8,
    /// When it wants to lead, and how often a leader is heard.
    pub election: ElectionTimes,
    /// How far the clocks of a majority may be apart (P13).
    pub clock_skew_ns: u64,
    /// What it makes of leases, and how far the rates of clocks may be off (P11).
    pub leases: LeaseUse,
    /// What its nonces and timeouts are drawn from.
    pub entropy: u64,
    /// Cores with shards.
    pub cores: u16,
    /// The core of shard 0, the others in turn. The Docket is on core 0, or apart.
    pub first_core: u16,
    /// Whether the Docket has a core of its own.
    pub control_apart: bool,
    /// Shards.
    pub shards: u16,
    /// Slots that may be unpublished, and unpublished stripes of a shard.
    pub window: usize,
    /// A stripe's bytes are below this.
    pub stripe_bytes: usize,
    /// Events of a stripe.
    pub stripe_events: u32,
    /// Events that a client may have under way.
    pub credit_events: u32,
    /// Connections of a core.
    pub connections_max: usize,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Segments of each log.
    pub segments_max: u64,
    /// Log bytes after which a checkpoint is taken.
    pub checkpoint_bytes: u64,
    /// Writes of a log that may be under way.
    pub writes_in_flight: usize,
    /// How long a key is live.
    pub ttl_ns: u64,
    /// Live keys of a shard.
    pub warden_capacity: u32,
    /// Entities at which a shard takes no new ones.
    pub entity_capacity: u32,
    /// What the disk makes of its promises.
    pub honesty: Honesty,
    /// What it shares with others when it fails; nothing unless this says so (C1).
    pub failure_domain: Option<u64>,
    /// A fault that it commits.
    pub rehearsal: Option<Rehearsal>,
    /// Its program has the next version of the bank's logic, too, and its operator wants it (R5).
    pub has_next_logic: bool,
}

/// What replicas agree on and evaluation can see (D2).
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// Which shard owns what.
    pub routing: Routing,
    /// How long a key is live.
    pub ttl_ns: u64,
    /// Live keys of a shard.
    pub warden_capacity: u32,
    /// Entities at which a shard takes no new ones.
    pub entity_capacity: u32,
}

impl Shape {
    /// One drawn from the seed, with capacities that are never reached.
    pub fn random(random: &mut Random) -> Shape {
        let shards = 1 + random.below(8) as u16;
        Shape {
            replica: ReplicaId(0),
            replicas: 1,
            copies: 1,
            election: ElectionTimes::DEFAULT,
            clock_skew_ns: 500_000_000,
            leases: LeaseUse { reads: true, clock_rate_error_ppm: 500 },
            entropy: 0,
            cores: 1 + random.below(u64::from(shards.min(4))) as u16,
            first_core: 0,
            control_apart: random.below(4) == 0,
            shards,
            window: 1 + random.below(3) as usize,
            stripe_bytes: 4300 + random.below(4000) as usize,
            stripe_events: 1 + random.below(20) as u32,
            credit_events: 64,
            connections_max: 64,
            segment_bytes: 256 << 10,
            segments_max: 1000,
            checkpoint_bytes: u64::MAX,
            writes_in_flight: 4,
            ttl_ns: TTL_NS,
            warden_capacity: 10_000,
            entity_capacity: 1000,
            honesty: Honesty::Honest,
            failure_domain: None,
            rehearsal: None,
            has_next_logic: false,
        }
    }

    /// One core, one shard.
    pub fn smallest() -> Shape {
        let mut shape = Shape::random(&mut Random(0));
        (shape.cores, shape.shards, shape.control_apart, shape.window) = (1, 1, false, 2);
        (shape.stripe_bytes, shape.stripe_events) = (8000, 16);
        shape
    }

    /// Another core map: what a replica may be configured to at any start.
    pub fn remap(&mut self, random: &mut Random) {
        self.cores = 1 + random.below(u64::from(self.shards.min(4))) as u16;
        self.control_apart = random.below(4) == 0;
        self.first_core = random.below(u64::from(self.cores)) as u16;
    }

    /// What replicas agree on.
    pub fn agreed(&self) -> Agreed {
        let Shape { ttl_ns, warden_capacity, entity_capacity, .. } = *self;
        Agreed { routing: self.routing(), ttl_ns, warden_capacity, entity_capacity }
    }

    /// Which shard owns what.
    pub fn routing(&self) -> Routing {
        Routing { seed: 5, shards: self.shards }
    }

    /// Cores, the Docket's own included.
    pub fn cores(&self) -> usize {
        usize::from(self.cores) + usize::from(self.control_apart)
    }

    /// Which core owns which shard: in turn.
    pub fn layout(&self) -> Layout {
        let mut cores = vec![Vec::new(); self.cores()];
        for shard in 0..self.shards {
            cores[usize::from((self.first_core + shard) % self.cores)].push(ShardId(shard));
        }
        let control = if self.control_apart { self.cores } else { 0 };
        Layout::new(&cores, CoreId(control))
    }

    /// Seeds the checksums of its records.
    pub fn record_key(&self) -> u128 {
        RECORD_KEY + u128::from(self.replica.0)
    }

    /// What the records of a log carry.
    pub fn identity(&self, log: LogId) -> LogIdentity {
        LogIdentity {
            cluster: CLUSTER,
            record_key: self.record_key(),
            replica: self.replica,
            log,
            segment_bytes: self.segment_bytes,
        }
    }

    /// Segments kept prepared: as many as let every shard have a window under way, whatever the others do. With fewer
    /// the Usher may be busy for ever.
    pub(crate) fn prepare_ahead(&self) -> u64 {
        let window = self.window as u64;
        let of_core = u64::from(self.shards.div_ceil(self.cores));
        let accepts = 3 * window * u64::from(self.shards) * 8192;
        let stripes = 2 * window * of_core * (self.stripe_bytes as u64 + 8192);
        // A segment's rest that the next record does not fit is lost.
        let outcomes = self.segment_bytes / 8 + u64::from(self.stripe_events) * 304;
        let lost = (self.stripe_bytes as u64).max(outcomes) + 8192;
        (accepts + stripes + (512 << 10)).div_ceil(self.segment_bytes - lost) + 1
    }
}

struct Guard;

impl PanicGuard for Guard {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        silently(body).is_some()
    }
}

/// How its logs are tuned.
fn log_tuning(shape: &Shape) -> LogConfig {
    LogConfig {
        writes_in_flight: shape.writes_in_flight,
        prepare_ahead: shape.prepare_ahead(),
        segments_max: shape.segments_max,
        reserve_bytes: shape.segment_bytes / 4,
        ..LogConfig::default()
    }
}

/// A core as a start builds it.
pub fn build_core(
    shape: &Shape,
    core: usize,
    recovered: &Recovered,
    superblock: &Superblock,
    device: &mut MemoryDevice,
) -> Core {
    let first: LogicVersions = [bank_logic(VERSION)].into_iter().collect();
    let part = recovered.checkpoint.as_ref().and_then(|checkpoint| checkpoint.parts.first());
    let logic = part.map_or(first, |part| part.head.logic);
    let mut domains = DomainRegistry::new();
    domains.register(Bank(VERSION)).unwrap();
    // An operator whose program a checkpoint does not suit is told so, and starts another one.
    if shape.has_next_logic || logic != first {
        domains.register(Bank(NEXT_VERSION)).unwrap();
    }
    let domains = Arc::new(domains);
    let layout = Arc::new(shape.layout());
    let id = CoreId(core as u16);
    let owned: Vec<ShardId> =
        (0..shape.shards).map(ShardId).filter(|shard| layout.owner(*shard) == id).collect();
    let mut shard = |shard: &ShardId| {
        let config = ShardConfig {
            shard: *shard,
            replica: shape.replica,
            replicas: shape.replicas,
            routing: shape.routing(),
            body_seed: 11,
            ttl_ns: shape.ttl_ns,
            warden_capacity: shape.warden_capacity,
            entity_capacity: shape.entity_capacity,
            copies: shape.copies,
            logic: first,
        };
        let (domains, guard) = (Arc::clone(&domains), Arc::new(Guard));
        restore_shard(device, shape.identity(LogId(0)), recovered.checkpoint.as_ref(), config, domains, guard)
            .unwrap()
    };
    let docket = DocketConfig {
        replica: shape.replica,
        replicas: shape.replicas,
        shards: shape.shards,
        window: shape.window as u32,
        lease_ns: shape.election.lease_ns(),
    };
    Core::new(CoreConfig {
        id,
        routing: shape.routing(),
        limits: UsherLimits {
            stripe_bytes: shape.stripe_bytes,
            stripe_events: shape.stripe_events,
            window: shape.window,
            credit_events: shape.credit_events,
            connections_max: shape.connections_max,
            event_payload_bytes_max: 4096,
            event_entities_max: 16,
        },
        greeting: Greeting {
            cluster: CLUSTER,
            replica: shape.replica,
            warden_ttl_ns: shape.ttl_ns,
            replicas: shape.replicas,
            copies: shape.copies,
            durable: true,
            ports: (0..shape.shards).collect(),
        },
        shards: owned.iter().map(&mut shard).collect(),
        start: CoreStart::new(id, &layout, shape.identity(LogId(0)), log_tuning(shape), recovered),
        control: (layout.control == id).then(|| ControlStart {
            docket,
            start: docket_start(recovered, superblock).unwrap(),
            times: shape.election,
            seed: drawn(shape, superblock).next_u64(),
            clock_skew_ns: shape.clock_skew_ns,
            leases: shape.leases,
            logic: LogicStart { registered: domains.versions().collect(), wanted: domains.newest() },
            coordinator: CoordinatorStart {
                superblock: superblock.clone(),
                checkpoint_bytes: shape.checkpoint_bytes,
                put_off_bytes_max: shape.segment_bytes * shape.segments_max / 4 * 3,
                cores: shape.cores(),
            },
        }),
        federation: federation(shape, id, &layout, superblock, domains.versions().collect()),
        domains,
        guard: Arc::new(Guard),
        logic,
        quarantine: superblock.quarantine,
        rehearsal: shape.rehearsal,
        layout,
    })
}

/// A version of the bank's logic.
fn bank_logic(version: u16) -> LogicVersion {
    LogicVersion { domain: BANK, version }
}

/// What a start draws its timeouts and nonces from.
fn drawn(shape: &Shape, superblock: &Superblock) -> Random {
    let own = u64::from(shape.replica.0) << 32 | superblock.incarnation.0;
    Random(shape.entropy ^ own.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn federation(
    shape: &Shape,
    core: CoreId,
    layout: &Arc<Layout>,
    superblock: &Superblock,
    logic: Vec<LogicVersion>,
) -> FederationConfig {
    if shape.replicas == 1 {
        return FederationConfig::alone(core, Arc::clone(layout), CLUSTER);
    }
    let identity = PeerIdentity {
        cluster: CLUSTER,
        replica: shape.replica,
        replicas: shape.replicas,
        shards: shape.shards,
        agreed: Hash::ZERO,
        generation: superblock.generation(),
        failure_domain: shape.failure_domain.unwrap_or(shape.replica.0.into()),
        ports: PeerPorts::default(),
        domains: "bank".to_owned(),
        logic,
    };
    let mut random = drawn(shape, superblock);
    let mut entropy = [0; 32];
    entropy.as_chunks_mut::<8>().0.iter_mut().for_each(|part| *part = random.next_u64().to_le_bytes());
    FederationConfig {
        core,
        layout: Arc::clone(layout),
        identity,
        incarnation: superblock.incarnation,
        generations: superblock.generations,
        secret: Secret([9; 32]),
        entropy,
    }
}
