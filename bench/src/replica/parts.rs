//! What the cores of a replica are made of.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use assize_consensus::DocketConfig;
use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;
use assize_node::boot::{begin_incarnation, docket_start, restore_shard};
use assize_node::federation::FederationConfig;
use assize_node::{
    ControlStart, CoordinatorStart, Core, CoreConfig, CoreStart, ElectionTimes, Greeting, Layout, LeaseUse,
    LogicStart, UsherLimits,
};
use assize_shards::{PanicGuard, ShardConfig};
use assize_telemetry::TelemetryDomain;
use assize_wal::memory::MemoryDevice;
use assize_wal::recovery::{Peers, Recovered, recover};
use assize_wal::{LogConfig, LogIdentity, Superblock};
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, CoreId, LogId, ReplicaId, ShardId};

use super::{Shape, TTL_NS};

/// The cores of a replica on an empty disk.
pub(super) fn cores(shape: Shape, routing: Routing) -> Vec<Core> {
    let mut superblock = Superblock::first(CLUSTER, ReplicaId(0), 0, SEGMENT_BYTES);
    let recovered = recover(&mut MemoryDevice::new(0), &superblock, &mut |_| None, Peers::None);
    let recovered = recovered.expect("an empty disk has lost nothing");
    let ids = (0..shape.cores).map(CoreId);
    begin_incarnation(&mut superblock, &recovered, ids.clone());
    ids.map(|id| core(shape, routing, id, &recovered, &superblock)).collect()
}

fn core(shape: Shape, routing: Routing, id: CoreId, recovered: &Recovered, superblock: &Superblock) -> Core {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).expect("the first one");
    if !shape.inventory_alone {
        domains.register(TelemetryDomain).expect("another one");
    }
    let domains = Arc::new(domains);
    let mut owned = vec![Vec::new(); shape.cores.into()];
    (0..shape.shards).for_each(|shard| owned[usize::from(shard % shape.cores)].push(ShardId(shard)));
    let layout = Arc::new(Layout::new(&owned, CoreId(0)));
    let identity = LogIdentity {
        cluster: CLUSTER,
        record_key: 0,
        replica: ReplicaId(0),
        log: LogId(0),
        segment_bytes: SEGMENT_BYTES,
    };
    let shard = |shard: ShardId| {
        let config = ShardConfig {
            shard,
            replica: ReplicaId(0),
            replicas: 1,
            routing,
            body_seed: 11,
            ttl_ns: TTL_NS,
            warden_capacity: 1 << 20,
            entity_capacity: 1 << 17,
            copies: 1,
            logic: domains.newest(),
        };
        let (mut device, domains) = (MemoryDevice::new(0), Arc::clone(&domains));
        restore_shard(&mut device, identity, None, config, domains, Arc::new(Guard)).expect("an empty shard")
    };
    let tuning = LogConfig { segments_max: 1 << 20, ..LogConfig::default() };
    Core::new(CoreConfig {
        id,
        routing,
        limits: UsherLimits {
            stripe_bytes: 2 << 20,
            stripe_events: 8190,
            window: 8,
            credit_events: 32_760,
            connections_max: 4,
            event_payload_bytes_max: 1024,
            event_entities_max: 16,
        },
        greeting: Greeting {
            cluster: CLUSTER,
            replica: ReplicaId(0),
            warden_ttl_ns: TTL_NS,
            replicas: 1,
            copies: 1,
            durable: true,
            ports: vec![7400; shape.shards.into()],
        },
        shards: owned[usize::from(id.0)].iter().copied().map(shard).collect(),
        start: CoreStart::new(id, &layout, identity, tuning, recovered),
        control: (layout.control == id).then(|| ControlStart {
            docket: DocketConfig {
                replica: ReplicaId(0),
                replicas: 1,
                shards: shape.shards,
                window: 8,
                lease_ns: 0,
            },
            start: docket_start(recovered, superblock).expect("an empty log"),
            times: ElectionTimes::DEFAULT,
            seed: 1,
            clock_skew_ns: 500_000_000,
            leases: LeaseUse { reads: true, clock_rate_error_ppm: 500 },
            logic: LogicStart { registered: domains.versions().collect(), wanted: domains.newest() },
            coordinator: CoordinatorStart {
                superblock: superblock.clone(),
                checkpoint_bytes: u64::MAX,
                put_off_bytes_max: u64::MAX,
                cores: shape.cores.into(),
            },
        }),
        logic: domains.newest(),
        domains,
        guard: Arc::new(Guard),
        federation: FederationConfig::alone(id, Arc::clone(&layout), CLUSTER),
        quarantine: None,
        rehearsal: None,
        layout,
    })
}

struct Guard;

impl PanicGuard for Guard {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        catch_unwind(AssertUnwindSafe(body)).is_ok()
    }
}

const CLUSTER: ClusterId = ClusterId(77);
const SEGMENT_BYTES: u64 = 64 << 20;
