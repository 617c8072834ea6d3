//! A replica whose disk completes everything at once, one client a core, and what its cores allocate.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use assize_consensus::DocketConfig;
use assize_domain::DomainRegistry;
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, VERSION};
use assize_node::boot::{begin_incarnation, docket_start, restore_shard};
use assize_node::federation::FederationConfig;
use assize_node::{
    ConnectionId, ControlStart, CoordinatorStart, Core, CoreConfig, CoreStart, ElectionTimes, Greeting,
    Layout, LeaseUse, LogicStart, Now, Output, UsherLimits,
};
use assize_shards::{PanicGuard, ShardConfig};
use assize_wal::memory::{MemoryDevice, Random};
use assize_wal::recovery::{Peers, Recovered, recover};
use assize_wal::{Completion, Done, LogConfig, LogIdentity, Superblock};
use assize_wire::event::encode_event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{Answers, Hello, Submit};
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, CoreId, EntityId, EventKey, LogId, ReplicaId, ShardId, StreamTime};

use crate::counting::allocations;

/// The cores of a replica, with one client on each.
pub struct Replica {
    shape: Shape,
    cores: Vec<Core>,
    clients: Vec<ConnectionId>,
    /// By core: what its client was sent and has not read.
    answers: Vec<Vec<u8>>,
    random: Random,
    now: Now,
    request: u64,
    allocations: u64,
}

/// How many cores, and shards on all of them together.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub cores: u16,
    pub shards: u16,
}

impl Replica {
    /// One that serves and has every item in stock.
    pub fn serving(shape: Shape) -> Replica {
        let routing = Routing { seed: 5, shards: shape.shards };
        let mut superblock = Superblock::first(CLUSTER, ReplicaId(0), 0, SEGMENT_BYTES);
        let recovered = recover(&mut MemoryDevice::new(0), &superblock, &mut |_| None, Peers::None);
        let recovered = recovered.expect("an empty disk has lost nothing");
        let ids = (0..shape.cores).map(CoreId);
        begin_incarnation(&mut superblock, &recovered, ids.clone());
        let cores: Vec<Core> = ids.map(|id| core(shape, routing, id, &recovered, &superblock)).collect();
        let mut replica = Replica {
            shape,
            cores,
            clients: Vec::new(),
            answers: vec![Vec::new(); shape.cores.into()],
            random: Random(7),
            now: Now { monotonic_ns: 1, wall_ns: EPOCH_NS },
            request: 0,
            allocations: 0,
        };
        replica.run();
        for core in 0..replica.cores.len() {
            let client = replica.cores[core].handle_opened();
            replica.clients.push(client);
            let hello = frame(FrameKind::Hello, 0, |out| Hello { cluster: ClusterId(0) }.encode(out));
            replica.receive(core, &hello);
        }
        replica.run();
        replica.stock();
        replica
    }

    /// One request of `events` transfers on each core, taken to its answers. Returns what the cores allocated
    /// meanwhile.
    pub fn transfers(&mut self, events: u32) -> u64 {
        let before = self.allocations;
        for core in 0..self.cores.len() {
            let request = self.request(events, |random, _| {
                let source = random.below(ITEMS);
                let destination = (source + 1 + random.below(ITEMS - 1)) % ITEMS;
                InventoryEvent::Transfer { source: id(source), destination: id(destination), quantity: 1 }
            });
            self.receive(core, &request);
        }
        self.run();
        self.expect_applied(events as usize * self.cores.len());
        self.allocations - before
    }

    fn stock(&mut self) {
        for first in (0..ITEMS).step_by(1000) {
            let request = self.request(1000, |_, at| {
                let item = id(first + u64::from(at));
                InventoryEvent::Adjust { item, delta: 1 << 40, reason: 1 }
            });
            self.receive(0, &request);
            self.run();
            self.expect_applied(1000);
        }
    }

    /// A frame with events, under keys that were not drawn before.
    fn request(
        &mut self,
        events: u32,
        mut event: impl FnMut(&mut Random, u32) -> InventoryEvent<'static>,
    ) -> Vec<u8> {
        self.request += 1;
        let deadline = StreamTime(self.now.wall_ns + TTL_NS / 2);
        let mut payload = Vec::new();
        frame(FrameKind::Submit, self.request, |out| {
            out.extend_from_slice(&Submit::header(events));
            for at in 0..events {
                payload.clear();
                event(&mut self.random, at).encode_payload(&mut payload);
                let half = |random: &mut Random| u128::from(random.next_u64());
                let key = EventKey(half(&mut self.random) << 64 | half(&mut self.random));
                encode_event(out, key, deadline, INVENTORY, VERSION, &payload).expect("a short payload");
            }
        })
    }

    fn receive(&mut self, core: usize, bytes: &[u8]) {
        let client = self.clients[core];
        let consumed = self.counted(core, |core| core.handle_received(client, bytes).0);
        assert_eq!(consumed, bytes.len(), "a whole frame is taken");
    }

    /// Until nothing is under way. Half a millisecond passes with every round.
    fn run(&mut self) {
        loop {
            self.now.monotonic_ns += ROUND_NS;
            self.now.wall_ns += ROUND_NS;
            let mut moved = false;
            for core in 0..self.cores.len() {
                let now = self.now;
                self.counted(core, |core| {
                    core.handle_now(now);
                    while core.step() {}
                });
                while let Some(output) = self.counted(core, Core::poll_output) {
                    moved = true;
                    self.carry_out(core, output);
                }
                let (client, mut answers) =
                    (self.clients.get(core).copied(), std::mem::take(&mut self.answers[core]));
                self.counted(core, |core| {
                    while let Some(dirty) = core.poll_connection() {
                        assert_eq!(Some(dirty), client, "it is the only one");
                        core.take_bytes(dirty, &mut answers);
                    }
                });
                self.answers[core] = answers;
            }
            if !moved {
                return;
            }
        }
    }

    fn carry_out(&mut self, core: usize, output: Output) {
        match output {
            Output::Disk(operation) => {
                let completion = Completion { id: operation.id(), result: Ok(Done::Complete) };
                // What was written is let go of before the core hears of it, as the engine's device does.
                drop(operation);
                self.counted(core, |core| core.handle_completion(completion).expect("no write fails here"));
            }
            Output::Message { to, message } => self.counted(to.0.into(), |core| core.handle_message(message)),
            Output::Refused(refused) => panic!("refused: {refused:?}"),
            Output::OutcomesFull { log, .. } => panic!("log {log} is full"),
            Output::Diverged { slot, .. } => panic!("slot {slot} diverged"),
            Output::LeaderChanged { .. } | Output::LeaderStalled => {}
            Output::Stages(_) | Output::Measure | Output::Replayed(_) | Output::Listen | Output::Serving => {}
            Output::Peer(_)
            | Output::Alarm(_)
            | Output::ClockContradicted(_)
            | Output::PeerDiverged { .. }
            | Output::CopiesMissing { .. }
            | Output::CopiesGone { .. }
            | Output::DiskFull(_)
            | Output::RecordDecayed { .. }
            | Output::CheckpointNeeded { .. }
            | Output::DivergenceReport(_)
            | Output::FailureDomains { .. }
            | Output::PeerStateDiverged { .. }
            | Output::TakingOver { .. }
            | Output::StartAgain { .. }
            | Output::LogicMissing { .. }
            | Output::Rejoin(_)
            | Output::Quarantined(_) => panic!("it has no peers"),
            Output::Checkpoint(_) | Output::CheckpointReported { .. } | Output::Halted { .. } => {
                panic!("nothing asked for it")
            }
        }
    }

    fn counted<T>(&mut self, core: usize, body: impl FnOnce(&mut Core) -> T) -> T {
        let before = allocations();
        let result = body(&mut self.cores[core]);
        self.allocations += allocations() - before;
        result
    }

    fn expect_applied(&mut self, events: usize) {
        let mut applied = 0;
        for received in &mut self.answers {
            let mut at = 0;
            while let Parsed::Whole { frame, bytes } = Frame::parse(&received[at..]).expect("frames") {
                at += bytes;
                if frame.kind == FrameKind::Answers {
                    let answers =
                        Answers::parse(frame.payload).expect("answers").map(|answer| answer.expect("one"));
                    applied += answers.filter(|answer| answer.status == Status::Applied).count();
                }
            }
            received.clear();
        }
        assert_eq!(applied, events, "every event is applied and answered, with {:?}", self.shape);
    }
}

fn core(shape: Shape, routing: Routing, id: CoreId, recovered: &Recovered, superblock: &Superblock) -> Core {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).expect("it is the only one");
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

fn frame(kind: FrameKind, request: u64, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = FrameWriter::begin(&mut bytes, kind, request);
    payload(&mut bytes);
    writer.finish(&mut bytes);
    bytes
}

fn id(item: u64) -> EntityId {
    EntityId(item.into())
}

const CLUSTER: ClusterId = ClusterId(77);
const EPOCH_NS: u64 = 1_000_000_000_000;
const ROUND_NS: u64 = 500_000;
/// Short, so that keys leave the Warden while others come.
const TTL_NS: u64 = 40 * ROUND_NS;
const SEGMENT_BYTES: u64 = 64 << 20;
/// Many more than a request has events, so that larger requests touch more entities, too.
const ITEMS: u64 = 100_000;
