//! All cores of one replica in one thread. What happens next is drawn from the seed: which message arrives (in order
//! between two cores), which disk operation moves, how many of a client's bytes have come, when a timer fires.
//!
//! It plays the shell and the boot of the engine, and nothing else: every decision is the cores' own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use assize_consensus::Watermarks;
use assize_node::{ConnectionId, Core, CoreMessage, Now, Output, ReplayedSlot, StripePayload};
use assize_shards::StripeBytes;
use assize_wal::log::check_record;
use assize_wal::memory::{MemoryDevice, Random};
use assize_wal::recovery::{Recovered, RecoveredSlot, RecoveryError, recover};
use assize_wal::superblock::{Superblock, SuperblockStore, find};
use assize_wal::{BLOCK_BYTES, Block, BlockBuffer, DeviceError, RecordHeader, RecordLocation, SegmentReader};
use assize_wire::accept::Accept;
use assize_wire::manifest::Ordered;
use assize_wire::published::PublishedStripe;
use assize_wire::routing::Routing;
use assize_wire::{Ballot, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot};

use super::disk::Disk;
use super::shape::{CLUSTER, EPOCH_NS, SEGMENT_BYTES, Shape, build_core, identity};

/// A client's connection, seen from both sides.
struct Socket {
    core: usize,
    id: ConnectionId,
    /// Sent by the client, not arrived.
    sent: VecDeque<u8>,
    /// Arrived, not consumed.
    arrived: Vec<u8>,
    needed: usize,
    /// For the client.
    answered: Vec<u8>,
    /// The core wants it closed.
    closing: bool,
    open: bool,
}

/// What the boot thread still has to give to the Docket.
#[derive(Default)]
struct Boot {
    slots: VecDeque<ReplayedSlot>,
    ballot: Option<Ballot>,
    published: u64,
}

/// What a run came to, so that a test can ask whether it meant something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub forwarded: u64,
    pub replayed: u64,
    pub digests_compared: u64,
    pub superblocks_halved: u64,
    pub stages: u64,
    pub refused: u64,
    pub diverged: u64,
}

/// A slot of the log: its manifest and its stripes' bytes.
pub struct LoggedSlot {
    pub ordered: Ordered,
    pub stripes: Vec<(ShardId, Vec<u8>)>,
}

/// The replica.
pub struct Replica {
    pub shape: Shape,
    pub disk: Disk,
    pub seen: Seen,
    random: Random,
    now: Now,
    /// None while the replica is down.
    cores: Vec<Core>,
    /// By sender (the boot thread is the last) and receiver.
    channels: Vec<Vec<VecDeque<CoreMessage>>>,
    sockets: Vec<Socket>,
    boot: Boot,
    pub serving: Vec<bool>,
    pub halted: Vec<bool>,
    /// Digests are given to replay with a bit flipped.
    pub falsify_digests: bool,
    /// As of the last step.
    marks: Watermarks,
    steps: u64,
}

impl Replica {
    /// A formatted replica that is not started.
    pub fn format(shape: Shape, seed: u64) -> Replica {
        let mut disk = Disk::new(seed, shape.honesty);
        let first = Superblock {
            cluster: CLUSTER,
            replica: ReplicaId(0),
            sequence: 0,
            incarnation: Incarnation(0),
            promised: Ballot::NONE,
            quarantined: false,
            segment_bytes: SEGMENT_BYTES,
            checkpoint: None,
            cuts: Vec::new(),
            parameters: Vec::new(),
        };
        let device = &mut disk.device;
        SuperblockStore::format(first).drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        Replica {
            shape,
            disk,
            seen: Seen::default(),
            random: Random(seed ^ 0x5eed),
            now: Now { monotonic_ns: 1, wall_ns: EPOCH_NS },
            cores: Vec::new(),
            channels: Vec::new(),
            sockets: Vec::new(),
            boot: Boot::default(),
            serving: Vec::new(),
            halted: Vec::new(),
            falsify_digests: false,
            marks: Watermarks::default(),
            steps: 0,
        }
    }

    /// A formatted replica that serves.
    pub fn serving(shape: Shape, seed: u64) -> Replica {
        let mut replica = Replica::format(shape, seed);
        replica.start().unwrap();
        replica.run_until("it serves", |replica| replica.is_serving());
        // Segments are prepared: until then it may say busy.
        replica.settle();
        replica
    }

    /// Recovers as the engine's boot does, and begins to replay.
    pub fn start(&mut self) -> Result<(), RecoveryError> {
        assert!(self.cores.is_empty(), "it runs");
        let (recovered, ballot) = loop {
            let device = &mut self.disk.device;
            let copies = [0, 1].map(|copy| device.read_superblock(copy).unwrap());
            let found = find(copies).unwrap();
            let recovered = recover_logs(device, &found.superblock)?;
            let ballot = Ballot::new(recovered.ballot_max.round() + 1, ReplicaId(0));
            let opened: Vec<LogId> = (0..2 * self.shape.cores() as u16).map(LogId).collect();
            let mut store = SuperblockStore::new(found);
            store.handle_update(|superblock| {
                superblock.incarnation = recovered.incarnation;
                superblock.cuts = recovered.cuts(&opened);
                superblock.promised = ballot;
            });
            // Sometimes the power fails between the two copies (L7).
            let halved = self.random.below(16) == 0;
            let mut written = 0;
            let ended = store.drive(|copy, blocks| {
                if halved && written == 1 {
                    return Err(DeviceError::Io { code: 0, place: "no power".to_owned() });
                }
                written += 1;
                device.write_superblock(copy, blocks)
            });
            if ended.is_ok() {
                break (recovered, ballot);
            }
            self.seen.superblocks_halved += 1;
        };
        let slots = recovered.accepted.iter().map(|slot| self.replayed(slot, &recovered)).collect();
        self.boot = Boot { slots, ballot: Some(ballot), published: 0 };
        let cores = self.shape.cores();
        self.cores = (0..cores).map(|core| build_core(&self.shape, core, &recovered)).collect();
        self.channels = (0..=cores).map(|_| (0..cores).map(|_| VecDeque::new()).collect()).collect();
        (self.serving, self.halted) = (vec![false; cores], vec![false; cores]);
        self.give_slots();
        for core in 0..cores {
            self.run_core(core);
        }
        Ok(())
    }

    /// The power fails: cores and connections are gone, and what the disk did not have.
    pub fn crash(&mut self) {
        let seed = self.random.next_u64();
        self.disk.crash(seed);
        self.cores.clear();
        self.channels.clear();
        self.marks = Watermarks::default();
        for socket in &mut self.sockets {
            (socket.open, socket.closing) = (false, true);
            socket.sent.clear();
        }
    }

    pub fn stop(&mut self) {
        for core in 0..self.cores.len() {
            self.channels[self.cores.len()][core].push_back(CoreMessage::Stop);
        }
    }

    pub fn is_serving(&self) -> bool {
        self.serving.iter().all(|serving| *serving)
    }

    pub fn is_halted(&self) -> bool {
        self.halted.iter().all(|halted| *halted)
    }

    pub fn now(&self) -> Now {
        self.now
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How far the replica is; nothing while it is down.
    pub fn watermarks(&self) -> Watermarks {
        self.cores.iter().find_map(Core::watermarks).unwrap_or_default()
    }

    /// Cores of the replica, the one of the Docket included.
    pub fn core_count(&self) -> usize {
        self.shape.cores()
    }

    pub fn routing(&self) -> Routing {
        self.shape.routing()
    }

    /// A client connects to a core.
    pub fn connect(&mut self, core: usize) -> usize {
        self.touch(core);
        let id = self.cores[core].handle_opened();
        self.sockets.push(Socket {
            core,
            id,
            sent: VecDeque::new(),
            arrived: Vec::new(),
            needed: 1,
            answered: Vec::new(),
            closing: false,
            open: true,
        });
        self.run_core(core);
        self.sockets.len() - 1
    }

    pub fn send(&mut self, socket: usize, bytes: &[u8]) {
        let socket = &mut self.sockets[socket];
        if socket.open && !socket.closing {
            socket.sent.extend(bytes);
        }
    }

    /// What the replica sent on this connection since it was asked last.
    pub fn receive(&mut self, socket: usize) -> Vec<u8> {
        std::mem::take(&mut self.sockets[socket].answered)
    }

    /// Whether the connection is there and the replica does not want to close it.
    pub fn is_open(&self, socket: usize) -> bool {
        self.sockets[socket].open && !self.sockets[socket].closing
    }

    /// Whether all that the client sent is with the core.
    pub fn has_arrived(&self, socket: usize) -> bool {
        self.sockets[socket].sent.is_empty()
    }

    /// The client goes, or what the replica closes is closed.
    pub fn close(&mut self, socket: usize) {
        let (core, id) = (self.sockets[socket].core, self.sockets[socket].id);
        if std::mem::replace(&mut self.sockets[socket].open, false) {
            self.touch(core);
            self.cores[core].handle_closed(id);
            self.run_core(core);
        }
    }

    /// Time passes in which nothing arrives; timers fire.
    pub fn pass(&mut self, nanoseconds: u64) {
        let until = self.now.monotonic_ns + nanoseconds;
        while let Some(due) = self.next_deadline().filter(|due| *due <= until) {
            self.advance_to(due);
            (0..self.cores.len()).for_each(|core| self.run_core(core));
        }
        self.advance_to(until);
        (0..self.cores.len()).for_each(|core| self.run_core(core));
    }

    /// The operations of halted cores end.
    pub fn finish_disk(&mut self) {
        while self.disk.under_way() > 0 {
            if let Some(completion) = self.disk.step() {
                let core = usize::from(completion.id.log.0 / 2);
                self.touch(core);
                self.cores[core].handle_completion(completion).expect("no write fails here");
            }
        }
    }

    /// Events that cores took from clients which are still connected, and did not answer.
    pub fn unanswered_at_halt(&self) -> u32 {
        self.cores.iter().map(Core::unanswered_events).sum()
    }

    /// Until no message, byte or disk operation is under way. Timers do not fire, but by chance.
    pub fn settle(&mut self) {
        self.run_until("all is quiet", |replica| {
            let sent = |socket: &Socket| socket.open && !socket.closing && !socket.sent.is_empty();
            replica.disk.under_way() == 0
                && replica.channels.iter().flatten().all(VecDeque::is_empty)
                && !replica.sockets.iter().any(sent)
        });
    }

    pub fn run_until(&mut self, what: &str, done: impl Fn(&Replica) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("it never came that {what}; serving {:?}, halted {:?}", self.serving, self.halted);
    }

    /// One thing happens, drawn from all that may.
    pub fn step(&mut self) {
        self.steps += 1;
        // R4: no mark ever moves back within an incarnation.
        let after = self.watermarks();
        let before = std::mem::replace(&mut self.marks, after);
        assert!(before.published <= after.published && before.chosen <= after.chosen, "{before:?} {after:?}");
        assert!(before.accepted <= after.accepted && before.formed <= after.formed, "{before:?} {after:?}");
        let passed = 1 + self.random.below(20_000);
        self.advance_to(self.now.monotonic_ns + passed);
        if self.steps.is_multiple_of(64) {
            self.cores.iter().for_each(Core::check_invariants);
        }
        let mut choices: Vec<Choice> = Vec::new();
        for from in 0..self.channels.len() {
            let to = (0..self.cores.len()).filter(|to| !self.channels[from][*to].is_empty());
            choices.extend(to.map(|to| Choice::Message { from, to }));
        }
        if self.disk.under_way() > 0 {
            choices.extend([Choice::Disk; 3]);
        }
        for (socket, state) in self.sockets.iter().enumerate().filter(|(_, socket)| socket.open) {
            if state.closing {
                choices.push(Choice::Close(socket));
            } else if !state.sent.is_empty() && self.serving[state.core] {
                choices.push(Choice::Bytes(socket));
            }
        }
        if choices.is_empty() || self.random.below(50) == 0 {
            choices.push(Choice::Timer);
        }
        let choice = choices[self.random.below(choices.len() as u64) as usize];
        match choice {
            Choice::Message { from, to } => self.deliver(from, to),
            Choice::Disk => {
                if let Some(completion) = self.disk.step() {
                    let core = usize::from(completion.id.log.0 / 2);
                    self.touch(core);
                    self.cores[core].handle_completion(completion).expect("no write fails here");
                    self.run_core(core);
                }
            }
            Choice::Bytes(socket) => self.arrive(socket),
            Choice::Close(socket) => {
                if self.random.below(8) == 0 {
                    self.close(socket);
                }
            }
            Choice::Timer => {
                if let Some(due) = self.next_deadline() {
                    self.advance_to(due);
                }
                (0..self.cores.len()).for_each(|core| self.run_core(core));
            }
        }
    }

    /// The log as a start after a crash would find it now, first to last slot.
    pub fn log_after_crash(&self, seed: u64) -> Vec<LoggedSlot> {
        let mut device = self.disk.device.clone();
        device.crash(seed);
        let copies = [0, 1].map(|copy| device.read_superblock(copy).unwrap());
        let superblock = find(copies).unwrap().superblock;
        let recovered = recover_logs(&mut device, &superblock).unwrap();
        let stripe = |device: &mut MemoryDevice, location| read(device, location).payload().to_vec();
        let logged = |slot: &RecoveredSlot| {
            let manifest = Accept::parse(&slot.payload).unwrap().manifest;
            let stripes = slot.stripes.iter();
            let stripes = stripes.map(|(id, location)| (id.shard, stripe(&mut device, *location))).collect();
            LoggedSlot { ordered: Ordered { manifest, hash: slot.manifest }, stripes }
        };
        recovered.accepted.iter().map(logged).collect()
    }

    /// The highest accepted-through mark in the records of a log.
    pub fn highest_mark(&self, log: LogId) -> Slot {
        let mut device = self.disk.device.clone();
        let mut highest = Slot::ZERO;
        for (segment, bytes) in device.segments(log).unwrap() {
            for offset in (0..bytes).step_by(BLOCK_BYTES) {
                let mut block = [Block::ZERO];
                device.read(log, segment, offset, &mut block).unwrap();
                let logical = identity(log).start_of(segment) + offset;
                if let Ok(header) = RecordHeader::decode(&identity(log), logical, &block[0].0) {
                    highest = highest.max(header.mark.slot);
                }
            }
        }
        highest
    }

    fn deliver(&mut self, from: usize, to: usize) {
        // Several at once, as a core that was busy finds them.
        let waiting = self.channels[from][to].len() as u64;
        self.touch(to);
        for _ in 0..=self.random.below(waiting) {
            let message = self.channels[from][to].pop_front().unwrap();
            if !self.halted[to] {
                self.cores[to].handle_message(message);
            }
        }
        self.run_core(to);
    }

    fn arrive(&mut self, socket: usize) {
        let most = self.sockets[socket].sent.len() as u64;
        let count = if self.random.below(2) == 0 { most } else { 1 + self.random.below(most) } as usize;
        let state = &mut self.sockets[socket];
        state.arrived.extend(state.sent.drain(..count));
        if state.arrived.len() < state.needed {
            return;
        }
        let (core, id) = (state.core, state.id);
        self.touch(core);
        let state = &mut self.sockets[socket];
        let (consumed, needed) = self.cores[core].handle_received(id, &state.arrived);
        state.arrived.drain(..consumed);
        state.needed = needed.max(1);
        self.run_core(core);
    }

    /// Lets a core do all it can, and carries out what it asks for.
    fn run_core(&mut self, core: usize) {
        self.touch(core);
        loop {
            let more = self.cores[core].step();
            self.carry_out(core);
            if !more {
                break;
            }
        }
    }

    fn carry_out(&mut self, core: usize) {
        while let Some(output) = self.cores[core].poll_output() {
            match output {
                Output::Disk(operation) => self.disk.submit(operation),
                Output::Message { to, message } => {
                    if let CoreMessage::Forward { indexes, .. } = &message {
                        self.seen.forwarded += indexes.len() as u64;
                    }
                    self.channels[core][usize::from(to.0)].push_back(message);
                }
                Output::Stages(stages) => {
                    self.seen.stages += 1;
                    let times = [stages.accepted, stages.sealed, stages.durable, stages.chosen];
                    let times = times.into_iter().chain([stages.evaluated, stages.published]);
                    assert!(times.is_sorted(), "{stages:?}");
                }
                Output::Replayed(slot) => {
                    self.boot.published = slot.0;
                    self.give_slots();
                }
                // Nobody measures here.
                Output::Measure => {}
                Output::Refused(_) => self.seen.refused += 1,
                Output::Serving => self.serving[core] = true,
                Output::Diverged { slot, shard, .. } => {
                    self.seen.diverged += 1;
                    panic!("slot {slot} of shard {shard} diverged");
                }
                Output::Halted => self.halted[core] = true,
            }
        }
        while let Some(id) = self.cores[core].poll_connection() {
            let is_it = |socket: &Socket| socket.open && socket.core == core && socket.id == id;
            // One that is being opened is not in the list yet; it is asked again when it is.
            if let Some(socket) = self.sockets.iter_mut().rev().find(|socket| is_it(socket)) {
                socket.closing |= self.cores[core].take_bytes(id, &mut socket.answered);
            }
        }
    }

    fn give_slots(&mut self) {
        let control = usize::from(self.shape.layout().control.0);
        let to_control = &mut self.channels[self.cores.len().max(self.shape.cores())][control];
        let ahead = 4 * self.shape.window as u64;
        while let Some(next) = self.boot.slots.front() {
            if next.ordered.manifest.slot.0 > self.boot.published + ahead {
                return;
            }
            self.seen.replayed += 1;
            self.seen.digests_compared += next.digests.len() as u64;
            to_control.extend(self.boot.slots.pop_front().map(CoreMessage::Replay));
        }
        to_control.extend(self.boot.ballot.take().map(CoreMessage::ReplayEnd));
    }

    fn replayed(&mut self, slot: &RecoveredSlot, recovered: &Recovered) -> ReplayedSlot {
        let device = &mut self.disk.device;
        let manifest = Accept::parse(&slot.payload).unwrap().manifest;
        let mut stripes = Vec::new();
        let mut digests = Vec::new();
        for (id, location) in &slot.stripes {
            let payload = StripePayload(Arc::new(read(device, *location)));
            stripes.push((id.shard, Arc::new(payload) as StripeBytes));
            if let Some(location) = recovered.outcomes.locate(id.shard, slot.slot) {
                let chunk = digests_of(&read(device, location));
                let digest = chunk.get(&slot.slot).copied();
                digests.extend(digest.map(|Hash(mut digest)| {
                    digest[31] ^= u8::from(self.falsify_digests);
                    (id.shard, Hash(digest))
                }));
            }
        }
        ReplayedSlot { ordered: Ordered { manifest, hash: slot.manifest }, stripes, digests }
    }

    fn next_deadline(&self) -> Option<u64> {
        let running = self.cores.iter().zip(&self.halted).filter(|(_, halted)| !**halted);
        running.filter_map(|(core, _)| core.next_deadline()).min()
    }

    fn advance_to(&mut self, monotonic_ns: u64) {
        // The wall clock is set back and forth by up to two milliseconds.
        let wall_ns = EPOCH_NS + monotonic_ns + self.random.below(4_000_000);
        self.now = Now { monotonic_ns: monotonic_ns.max(self.now.monotonic_ns), wall_ns };
    }

    fn touch(&mut self, core: usize) {
        self.cores[core].handle_now(self.now);
    }
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Message { from: usize, to: usize },
    Disk,
    Bytes(usize),
    Close(usize),
    Timer,
}

fn recover_logs(device: &mut MemoryDevice, superblock: &Superblock) -> Result<Recovered, RecoveryError> {
    recover(device, superblock, &mut |payload| {
        let accept = Accept::parse(payload).ok()?;
        Some(accept.manifest.stripes.iter().map(|stripe| stripe.id).collect())
    })
}

fn read(device: &mut MemoryDevice, location: RecordLocation) -> BlockBuffer {
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    device.read(location.log, location.segment, location.offset, &mut blocks).unwrap();
    let identity = identity(location.log);
    check_record(&identity, identity.start_of(location.segment) + location.offset, blocks).unwrap().buffer
}

fn digests_of(chunk: &BlockBuffer) -> HashMap<Slot, Hash> {
    let mut rest = chunk.payload();
    let mut digests = HashMap::new();
    while !rest.is_empty() {
        let (stripe, after) = PublishedStripe::parse(rest).unwrap();
        digests.insert(stripe.slot, stripe.digest);
        rest = after;
    }
    digests
}
