//! A whole replica in one thread: the production cores, a disk that completes everything at once, one client a core.
//!
//! Nothing waits in it, so what is counted is what the replica itself does for its events: instructions (callgrind
//! collects in [`metered`] only), allocations, time of each core, and the messages between cores.

mod parts;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use assize_inventory::{INVENTORY, InventoryEvent, VERSION};
use assize_node::{ConnectionId, Core, CoreMessage, Now, Output};
use assize_wal::memory::Random;
use assize_wal::{Completion, Done, Operation};
use assize_wire::event::encode_event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{Answers, Hello, Submit};
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, EntityId, EventKey, StreamTime};

/// The cores of a replica, with one client on each.
pub struct Replica {
    shape: Shape,
    routing: Routing,
    cores: Vec<Core>,
    clients: Vec<ConnectionId>,
    /// By core: what its client was sent and has not read.
    answers: Vec<Vec<u8>>,
    random: Random,
    now: Now,
    request: u64,
    meter: fn() -> u64,
    counted: Counted,
    /// Whether [`metered`] sees what the cores do.
    measuring: bool,
}

/// How many cores, and shards on all of them together: shard n is owned by core n modulo `cores`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Threads, of which the first has the control role, too.
    pub cores: u16,
    /// Shards.
    pub shards: u16,
    /// Whether the program has the inventory alone, whose records of entities are a third as large as telemetry's: with
    /// both, as in the program that is served, all are as large as those.
    pub inventory_alone: bool,
}

impl Shape {
    /// Of the program that is served.
    #[must_use]
    pub fn new(cores: u16, shards: u16) -> Shape {
        Shape { cores, shards, inventory_alone: false }
    }
}

/// What the cores did.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By core: how long it ran.
    pub busy: Vec<Duration>,
    /// By how much the meter went up while cores ran.
    pub meter: u64,
    /// Messages from core to core: claims, grants and returns between shards, and all others.
    pub messages: [u64; 2],
    /// Wakes, if every receiver slept: turns of a core that sent something, times the cores it sent to (X3).
    pub wakes: u64,
    /// Writes to logs.
    pub writes: u64,
    /// Bytes of these.
    pub written_bytes: u64,
}

impl Replica {
    /// One that serves and has every item in stock. `meter` is read before and after all that a core does.
    #[must_use]
    pub fn serving(shape: Shape, meter: fn() -> u64) -> Replica {
        let routing = Routing { seed: 5, shards: shape.shards };
        let mut replica = Replica {
            shape,
            routing,
            cores: parts::cores(shape, routing),
            clients: Vec::new(),
            answers: vec![Vec::new(); shape.cores.into()],
            random: Random(7),
            now: Now { monotonic_ns: 1, wall_ns: EPOCH_NS },
            request: 0,
            meter,
            counted: Counted::none(shape),
            measuring: false,
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

    /// From here on [`metered`] sees what the cores do.
    pub fn measure(&mut self) {
        self.measuring = true;
    }

    /// One of its cores.
    #[must_use]
    pub fn core(&self, core: usize) -> &Core {
        &self.cores[core]
    }

    /// What the cores did since this was last asked.
    pub fn take_counted(&mut self) -> Counted {
        std::mem::replace(&mut self.counted, Counted::none(self.shape))
    }

    /// One request of `events` transfers on each core, taken to its answers. Whichever shards own the keys.
    pub fn transfers(&mut self, events: u32) {
        let requests = (0..self.cores.len()).map(|_| self.transfer_request(events, None)).collect();
        self.answer(requests, events);
    }

    /// The same from clients that know who owns a key: each core gets what it owns.
    pub fn routed_transfers(&mut self, events: u32) {
        let requests = (0..self.cores.len()).map(|core| self.transfer_request(events, Some(core))).collect();
        self.answer(requests, events);
    }

    fn answer(&mut self, requests: Vec<Vec<u8>>, events: u32) {
        for (core, request) in requests.iter().enumerate() {
            self.receive(core, request);
        }
        self.run();
        self.expect_applied(events as usize * self.cores.len());
    }

    fn transfer_request(&mut self, events: u32, owner: Option<usize>) -> Vec<u8> {
        self.request(events, owner, |random, _| {
            let source = random.below(ITEMS);
            let destination = (source + 1 + random.below(ITEMS - 1)) % ITEMS;
            InventoryEvent::Transfer { source: id(source), destination: id(destination), quantity: 1 }
        })
    }

    fn stock(&mut self) {
        for first in (0..ITEMS).step_by(1000) {
            let request = self.request(1000, None, |_, at| {
                let item = id(first + u64::from(at));
                InventoryEvent::Adjust { item, delta: 1 << 40, reason: 1 }
            });
            self.receive(0, &request);
            self.run();
            self.expect_applied(1000);
        }
    }

    /// A frame with events, under keys that were not drawn before: any, or those that this core owns.
    fn request(
        &mut self,
        events: u32,
        owner: Option<usize>,
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
                let key = self.key(owner);
                encode_event(out, key, deadline, INVENTORY, VERSION, &payload).expect("a short payload");
            }
        })
    }

    fn key(&mut self, owner: Option<usize>) -> EventKey {
        loop {
            let half = |random: &mut Random| u128::from(random.next_u64());
            let key = EventKey(half(&mut self.random) << 64 | half(&mut self.random));
            let owned_by = usize::from(self.routing.shard_of_key(key).0 % self.shape.cores);
            if owner.is_none_or(|owner| owner == owned_by) {
                return key;
            }
        }
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
                let mut told = BTreeSet::new();
                while let Some(output) = self.counted(core, Core::poll_output) {
                    moved = true;
                    if let Output::Message { to, .. } = &output {
                        told.insert(*to);
                    }
                    self.carry_out(core, output);
                }
                self.counted.wakes += told.len() as u64;
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
                if let Operation::Write { buffers, .. } = &operation {
                    let bytes = buffers.iter().map(|buffer| buffer.as_blocks_bytes().len() as u64);
                    self.counted.writes += 1;
                    self.counted.written_bytes += bytes.sum::<u64>();
                }
                let completion = Completion { id: operation.id(), result: Ok(Done::Complete) };
                // What was written is let go of before the core hears of it, as the engine's device does.
                drop(operation);
                self.counted(core, |core| core.handle_completion(completion).expect("no write fails here"));
            }
            Output::Message { to, message } => {
                self.counted.messages[usize::from(!matches!(message, CoreMessage::Exchange { .. }))] += 1;
                self.counted(to.0.into(), |core| core.handle_message(message));
            }
            Output::Refused(refused) => panic!("refused: {refused:?}"),
            Output::OutcomesFull { log, .. } => panic!("log {log} is full"),
            Output::Diverged { slot, .. } => panic!("slot {slot} diverged"),
            Output::LeaderChanged { .. } | Output::HandOver { .. } | Output::LeaderStalled => {}
            Output::Stages(_) | Output::Measure | Output::Replayed(_) | Output::Listen | Output::Serving => {}
            Output::Peer(_)
            | Output::Alarm(_)
            | Output::ClockContradicted(_)
            | Output::PeerDiverged { .. }
            | Output::CopiesMissing { .. }
            | Output::CopiesGone { .. }
            | Output::DiskFull(_)
            | Output::KeysFull { .. }
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
        let (start, before) = (Instant::now(), (self.meter)());
        let it = &mut self.cores[core];
        let result = if self.measuring { metered(|| body(it)) } else { body(it) };
        self.counted.meter += (self.meter)() - before;
        self.counted.busy[core] += start.elapsed();
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

/// What a core does while it is measured, by a name that a profiler can be told.
#[inline(never)]
pub fn metered<T>(body: impl FnOnce() -> T) -> T {
    let result = body();
    // Something is left to do here, so the call above is one from here.
    black_box(());
    result
}

impl Counted {
    fn none(shape: Shape) -> Counted {
        Counted { busy: vec![Duration::ZERO; shape.cores.into()], ..Counted::default() }
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

const EPOCH_NS: u64 = 1_000_000_000_000;
const ROUND_NS: u64 = 500_000;
/// Short, so that keys leave the Warden while others come.
const TTL_NS: u64 = 40 * ROUND_NS;
/// Many more than a request has events, so that larger requests touch more entities, too.
const ITEMS: u64 = 100_000;
