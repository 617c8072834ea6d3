//! All cores of one replica in one thread. What happens next is drawn from the seed: which message arrives (in order
//! between two cores), which disk operation moves, how many of a client's bytes have come, when a timer fires.
//!
//! It plays the shell and the boot of the engine, and nothing else: every decision is the cores' own.

use std::collections::VecDeque;

use assize_consensus::Watermarks;
use assize_node::{Core, CoreMessage, LogIds, Now, Output};
use assize_wal::OperationId;
use assize_wal::memory::Random;
use assize_wal::superblock::{Superblock, SuperblockStore};
use assize_wire::routing::Routing;
use assize_wire::{Ballot, Incarnation, ReplicaId};

use crate::boot::Boot;
use crate::disk::Disk;
use crate::shape::{CLUSTER, EPOCH_NS, SEGMENT_BYTES, Shape};
use crate::socket::Socket;

/// What a run came to, so that a test can ask whether it meant something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Events that one core forwarded to another.
    pub forwarded: u64,
    /// Slots given to replay.
    pub replayed: u64,
    /// Digests of the outcome stream given to replay with them.
    pub digests_compared: u64,
    /// Starts in which the power failed between the superblock's two copies.
    pub superblocks_halved: u64,
    /// Checkpoints that became active.
    pub checkpoints: u64,
    /// Starts from a checkpoint.
    pub from_checkpoint: u64,
    /// Stripes whose times were told.
    pub stages: u64,
    /// Connections refused.
    pub refused: u64,
    /// Replayed stripes with another digest than the stored one.
    pub diverged: u64,
}

/// The replica.
pub struct Replica {
    /// What it is made of.
    pub shape: Shape,
    /// Its disk.
    pub disk: Disk,
    /// What the run came to.
    pub seen: Seen,
    pub(crate) random: Random,
    pub(crate) now: Now,
    /// None while the replica is down.
    pub(crate) cores: Vec<Core>,
    /// By sender (the boot thread is the last) and receiver.
    pub(crate) channels: Vec<Vec<VecDeque<CoreMessage>>>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) boot: Boot,
    /// By core: whether it serves.
    pub serving: Vec<bool>,
    /// By core: whether it has halted.
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

    /// Everything under way is to be finished, then nothing more is done.
    pub fn stop(&mut self) {
        for core in 0..self.cores.len() {
            self.channels[self.cores.len()][core].push_back(CoreMessage::Stop);
        }
    }

    /// Whether every core serves.
    pub fn is_serving(&self) -> bool {
        self.serving.iter().all(|serving| *serving)
    }

    /// Whether every core has halted.
    pub fn is_halted(&self) -> bool {
        self.halted.iter().all(|halted| *halted)
    }

    /// Its clocks.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Steps so far.
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

    /// Which shard owns what.
    pub fn routing(&self) -> Routing {
        self.shape.routing()
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
                let core = self.owner(completion.id);
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

    /// Steps until it is so.
    ///
    /// # Panics
    /// When it never comes.
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
                    let core = self.owner(completion.id);
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

    /// Lets a core do all it can, and carries out what it asks for.
    pub(crate) fn run_core(&mut self, core: usize) {
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
                Output::Checkpoint(end) => match end.result {
                    Ok(_) => self.seen.checkpoints += 1,
                    Err(reason) => panic!("a checkpoint after slot {} failed: {reason}", end.slot),
                },
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

    fn next_deadline(&self) -> Option<u64> {
        let running = self.cores.iter().zip(&self.halted).filter(|(_, halted)| !**halted);
        running.filter_map(|(core, _)| core.next_deadline()).min()
    }

    fn advance_to(&mut self, monotonic_ns: u64) {
        // The wall clock is set back and forth by up to two milliseconds.
        let wall_ns = EPOCH_NS + monotonic_ns + self.random.below(4_000_000);
        self.now = Now { monotonic_ns: monotonic_ns.max(self.now.monotonic_ns), wall_ns };
    }

    fn owner(&self, operation: OperationId) -> usize {
        usize::from(LogIds::owner(operation, &self.shape.layout()).0)
    }

    pub(crate) fn touch(&mut self, core: usize) {
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
