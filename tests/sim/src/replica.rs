//! All cores of one replica in one thread. What happens next is drawn from the seed: which message arrives (in order
//! between two cores), which disk operation moves, how many of a client's bytes have come, when a timer fires.
//!
//! It plays the shell and the boot of the engine, and nothing else: every decision is the cores' own.

mod told;

use std::collections::VecDeque;

use assize_consensus::limits::REPLICAS_MAX;
use assize_consensus::{Alarm, Watermarks};
use assize_node::federation::{Dial, LinkId, RefusedPeer};
use assize_node::{
    CheckpointEnd, CheckpointFailure, Core, CoreMessage, DivergenceReport, LogIds, Now, Output, PeerNotice,
};
use assize_shards::StateDigest;
use assize_wal::memory::Random;
use assize_wal::superblock::SuperblockStore;
use assize_wal::{Completion, OperationId, Quarantine};
use assize_wire::peer::{Generation, PeerRefusal};
use assize_wire::routing::Routing;
use assize_wire::{Hash, Slot};

use crate::boot::Boot;
use crate::checkers::{Budget, hold};
use crate::disk::{Disk, Down};
use crate::hand_overs::HandOvers;
use crate::left::LeftCheckpoint;
use crate::operator::first_superblock;
use crate::options::{ClockHabits, Faults, Options, Schedule};
use crate::seeds::trace;
use crate::shape::{EPOCH_NS, Shape};
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
    /// Checkpoints that failed for want of space.
    pub checkpoints_failed: u64,
    /// Checkpoints of peers that came with something wrong in them.
    pub sent_wrong: u64,
    /// Checkpoints that gave way to the next one, since too few replicas reported the same.
    pub checkpoints_unreported: u64,
    /// Times that it had its vote again after its disk was lost.
    pub rejoined: u64,
    /// Times that it began to take over a checkpoint of a peer, and that it did.
    pub taking_over: u64,
    /// Of these, those that were completed.
    pub taken_over: u64,
    /// Starts from a checkpoint.
    pub from_checkpoint: u64,
    /// Starts in which the power failed while the logs were read.
    pub recoveries_cut: u64,
    /// Starts with another core map.
    pub remapped: u64,
    /// Writes or flushes that failed.
    pub io_errors: u64,
    /// Stripes whose times were told.
    pub stages: u64,
    /// Connections refused.
    pub refused: u64,
    /// Replayed stripes with another digest than the stored one.
    pub diverged: u64,
    /// Timers that were still due after they had fired: a core that spins.
    pub overdue: u64,
    /// Lanes to peers that were connected.
    pub connected: u64,
    /// Stripes for which too few copies came for a while.
    pub copies_missing: u64,
    /// Times that it told of a full disk.
    pub disks_full: u64,
    /// Times that it said that a shard takes no more keys.
    pub keys_full: u64,
    /// Stripes whose digests too few peers keep any more.
    pub copies_gone: u64,
    /// Records that decayed while it ran.
    pub decayed: u64,
    /// Times that it said that it is quarantined.
    pub quarantines: u64,
    /// Times that it said that too few failure domains are left.
    pub failure_domains_shared: u64,
    /// Times that it stopped for want of the logic that the cluster switched to.
    pub logic_missing: u64,
    /// Times that an operator had it hand over and the replica that was told leads.
    pub handed_over: u64,
    /// Times that another one led then, or nobody.
    pub handed_over_in_vain: u64,
    /// Times that it gave up handing over and went on leading.
    pub kept_leading: u64,
    /// Times that an operator was refused it, or it ended otherwise.
    pub not_handed_over: u64,
    /// Times that a peer was found to have computed something else.
    pub peers_diverged: u64,
    /// Times that a clock was contradicted by a majority.
    pub contradicted: u64,
    /// Times that it lacked what no peer's log had any more.
    pub checkpoints_needed: u64,
}

/// What is wrong on purpose: anything else is found broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// This replica is to find itself in doubt (C5).
    pub doubt: bool,
    /// By replica: this peer is to be found out by this replica.
    pub diverges: [bool; REPLICAS_MAX],
    /// Disks of peers are lost.
    pub lost_disks: bool,
    /// A peer sends wrong bits of its checkpoints.
    pub spoiled: bool,
}

/// What a replica wants of the network, for the cluster to carry out.
#[derive(Default)]
pub(crate) struct ForPeers {
    /// Connections to be made, by core.
    pub(crate) dials: Vec<(usize, Dial)>,
    /// Links with bytes to send, or to be closed, by core.
    pub(crate) links: Vec<(usize, LinkId)>,
    /// What cores were told is chosen.
    pub(crate) told: Vec<(Slot, Hash)>,
    /// Checkpoints whose digest was reported, or, without one, that are active.
    pub(crate) checkpoints: Vec<(Slot, Option<Hash>)>,
}

/// The replica.
pub struct Replica {
    /// What it is made of.
    pub shape: Shape,
    /// Which message comes next.
    pub schedule: Schedule,
    /// How its clocks go.
    pub clock: ClockHabits,
    /// What goes wrong.
    pub faults: Faults,
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
    /// By core: whether clients may connect.
    pub(crate) listening: Vec<bool>,
    /// By core: whether it serves.
    pub serving: Vec<bool>,
    /// By core: whether it has halted.
    pub halted: Vec<bool>,
    /// One in so many messages between cores is lost, which must be found out; 0 means none is.
    pub lose_one_in: u64,
    /// What the last start began from, for the checkers.
    pub(crate) found: Option<LeftCheckpoint>,
    /// Digests are given to replay with a bit flipped.
    pub falsify_digests: bool,
    /// What it sends of a checkpoint has a wrong bit.
    pub spoils_parts: bool,
    pub(crate) invariants_every_steps: u64,
    /// A write or flush failed: it does nothing more until it went down (L3).
    pub failed: bool,
    /// It has taken over a checkpoint, and is to be started again.
    pub start_again: bool,
    /// It was asked to finish what is under way and to halt then.
    pub stopping: bool,
    pub(crate) steps: u64,
    /// Pairs of cores between which messages are under way, the last to send at the end.
    pub(crate) pushed: Vec<(usize, usize)>,
    /// Its wall clock is off by this.
    pub wall_offset_ns: i64,
    /// How much its wall clock has gained on the monotonic one, whose rate may be off by more.
    pub(crate) wall_gain_ns: i64,
    /// Time passes for it as a cluster says, and not by itself.
    pub(crate) driven: bool,
    pub(crate) for_peers: ForPeers,
    /// How often it was started.
    pub(crate) starts: u64,
    /// What is wrong on purpose.
    pub expected: Expected,
    /// Why it is quarantined, as it said last.
    pub quarantined: Option<Quarantine>,
    /// Its disk is in place of one that was lost, and it has not said that it has its vote again (R3).
    pub rejoins: bool,
    /// What it said of where a replica differs (C6).
    pub reports: Vec<DivergenceReport>,
    /// Its disk has, or had, space for so many segments only.
    pub(crate) has_been_full: bool,
    /// What its shards' entities came to when it halted.
    pub digests: Vec<StateDigest>,
    /// Operators that asked it to hand over and have not heard what became of it.
    pub(crate) hand_overs: HandOvers,
}

impl Replica {
    /// A formatted replica that is not started.
    pub fn format(options: &Options, seed: u64) -> Replica {
        let Options { shape, schedule, disk, clock, faults, .. } = *options;
        let mut disk = Disk::new(seed, shape.honesty, disk);
        disk.device.set_segments_left(faults.segments_left.unwrap_or(u64::MAX));
        let first = first_superblock(&shape, Generation::first(EPOCH_NS), false);
        let device = &mut disk.device;
        SuperblockStore::format(first).drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        Replica {
            shape,
            schedule,
            clock,
            faults,
            disk,
            seen: Seen::default(),
            random: Random(seed ^ 0x5eed),
            now: Now { monotonic_ns: 1, wall_ns: EPOCH_NS },
            cores: Vec::new(),
            channels: Vec::new(),
            sockets: Vec::new(),
            boot: Boot::default(),
            listening: Vec::new(),
            serving: Vec::new(),
            halted: Vec::new(),
            lose_one_in: 0,
            found: None,
            falsify_digests: false,
            spoils_parts: false,
            invariants_every_steps: options.invariants_every_steps,
            failed: false,
            start_again: false,
            stopping: false,
            steps: 0,
            pushed: Vec::new(),
            wall_offset_ns: 0,
            wall_gain_ns: 0,
            driven: false,
            for_peers: ForPeers::default(),
            starts: 0,
            expected: Expected::default(),
            quarantined: None,
            rejoins: false,
            has_been_full: faults.segments_left.is_some(),
            reports: Vec::new(),
            digests: Vec::new(),
            hand_overs: HandOvers::default(),
        }
    }

    /// A formatted replica of this shape that serves, with nothing out of the ordinary.
    pub fn serving(shape: Shape, seed: u64) -> Replica {
        let mut replica = Replica::format(&Options::calm(shape), seed);
        replica.start().unwrap();
        replica.run_until("it serves", |replica| replica.is_serving());
        // Segments are prepared: until then it may say busy.
        replica.settle();
        replica
    }

    /// The power fails.
    pub fn crash(&mut self) {
        self.down(Down::Power);
    }

    /// It goes down: cores and connections are gone, and what the disk did not have.
    pub fn down(&mut self, how: Down) {
        let seed = self.random.next_u64();
        self.disk.down(how, seed);
        self.cores.clear();
        self.channels.clear();
        self.pushed.clear();
        self.for_peers = ForPeers::default();
        self.digests.clear();
        self.hand_overs.open.clear();
        self.quarantined = None;
        self.listening.fill(false);
        self.serving.fill(false);
        (self.failed, self.start_again, self.stopping) = (false, false, false);
        for socket in &mut self.sockets {
            (socket.open, socket.closing) = (false, true);
            socket.sent.clear();
        }
    }

    /// Everything under way is to be finished, then nothing more is done.
    pub fn stop(&mut self) {
        self.stopping = true;
        for core in 0..self.cores.len() {
            self.channels[self.cores.len()][core].push_back(CoreMessage::Stop);
        }
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        !self.cores.is_empty() && !self.failed
    }

    /// Whether every core serves.
    pub fn is_serving(&self) -> bool {
        self.serving.iter().all(|serving| *serving)
    }

    /// Whether every core has halted.
    pub fn is_halted(&self) -> bool {
        self.halted.iter().all(|halted| *halted)
    }

    /// Whether its logs are so small that they may be full.
    pub fn may_be_full(&self) -> bool {
        self.has_been_full || self.shape.segments_max < 1000
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
                self.complete(completion);
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
    pub fn run_until(&mut self, what: &'static str, done: impl Fn(&Replica) -> bool) {
        let mut budget = Budget::new(what, 200_000);
        while !done(self) {
            budget.spend(|| format!("serving {:?}, halted {:?}", self.serving, self.halted));
            self.step();
        }
    }

    /// Lets a core do all it can, and carries out what it asks for.
    pub(crate) fn run_core(&mut self, core: usize) {
        self.touch(core);
        let mut rounds = Budget::new("a core has nothing more to do", 1_000_000);
        loop {
            let more = self.cores[core].step();
            self.carry_out(core);
            if !more {
                break;
            }
            // As the engine does between two rounds.
            self.touch(core);
            rounds.spend(|| format!("core {core}"));
        }
    }

    fn carry_out(&mut self, core: usize) {
        while let Some(output) = self.cores[core].poll_output() {
            match output {
                Output::Disk(operation) => self.disk.submit(&self.shape, operation),
                Output::Message { to, message } => {
                    // X3: shards of one core exchange without any wake.
                    assert_ne!(usize::from(to.0), core, "core {core} wakes itself");
                    match &message {
                        CoreMessage::Forward { indexes, .. } => self.seen.forwarded += indexes.len() as u64,
                        CoreMessage::Chosen { ordered, .. } if self.shape.replicas > 1 => {
                            self.for_peers.told.push((ordered.manifest.slot, ordered.hash));
                        }
                        _ => {}
                    }
                    let to = usize::from(to.0);
                    self.channels[core][to].push_back(message);
                    self.pushed.push((core, to));
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
                // Nobody measures here, and who leads is looked at from outside.
                Output::Measure | Output::LeaderChanged { .. } | Output::LeaderStalled => {}
                Output::Listen => self.listening[core] = true,
                Output::Serving => self.serving[core] = true,
                Output::Alarm(alarm) => self.alarmed(&alarm),
                Output::Peer(notice) => self.noticed(notice),
                other @ (Output::Refused(_)
                | Output::ClockContradicted(_)
                | Output::CopiesMissing { .. }
                | Output::CopiesGone { .. }
                | Output::DiskFull(_)
                | Output::KeysFull { .. }
                | Output::RecordDecayed { .. }
                | Output::CheckpointNeeded { .. }
                | Output::PeerDiverged { .. }
                | Output::PeerStateDiverged { .. }
                | Output::FailureDomains { .. }
                | Output::DivergenceReport(_)) => self.told_operator(other),
                Output::Quarantined(quarantine) => {
                    let expected = self.expected.doubt || self.expected.spoiled && quarantine.is_rebuild();
                    hold!("outputs", expected, "C5: replica {}: {quarantine}", self.shape.replica);
                    self.quarantined = Some(quarantine);
                    self.seen.quarantines += 1;
                }
                Output::HandOver { ask, end } => self.told_hand_over(ask, end),
                Output::Rejoin(notice) => self.told_rejoin(&notice),
                Output::CheckpointReported { slot, digest } => {
                    self.for_peers.checkpoints.push((slot, Some(digest)));
                }
                Output::TakingOver { from, slot } => {
                    trace!("replica {} takes over the checkpoint {slot} of {from}", self.shape.replica);
                    self.seen.taking_over += 1;
                }
                Output::StartAgain(why) => self.told_to_start_again(why),
                Output::LogicMissing { slot, .. } => {
                    trace!("replica {} lacks what slot {slot} switches to", self.shape.replica);
                    self.seen.logic_missing += 1;
                    self.shape.has_next_logic = true;
                    self.stop();
                }
                Output::OutcomesFull { log, slot, .. } => {
                    panic!("[outputs] no room in log {log} for slot {slot}")
                }
                Output::Diverged { slot, shard, .. } => {
                    self.seen.diverged += 1;
                    panic!("slot {slot} of shard {shard} diverged");
                }
                Output::Checkpoint(end) => self.checkpoint_ended(end),
                Output::Halted { digests } => {
                    self.halted[core] = true;
                    self.digests.extend(digests);
                }
            }
        }
        while let Some(dial) = self.cores[core].poll_dial() {
            self.for_peers.dials.push((core, dial));
        }
        while let Some(link) = self.cores[core].poll_peer_link() {
            self.for_peers.links.push((core, link));
        }
        while let Some(id) = self.cores[core].poll_connection() {
            let is_it = |socket: &Socket| socket.open && socket.core == core && socket.id == id;
            // One that is being opened is not in the list yet; it is asked again when it is.
            if let Some(socket) = self.sockets.iter_mut().rev().find(|socket| is_it(socket)) {
                socket.closing |= self.cores[core].take_bytes(id, &mut socket.answered);
            }
        }
    }

    /// A completion reaches the core that asked for it.
    pub(crate) fn complete(&mut self, completion: Completion) {
        let core = self.owner(completion.id);
        self.touch(core);
        match self.cores[core].handle_completion(completion) {
            Ok(()) => self.run_core(core),
            Err(failure) => {
                // A log without its first segment has nothing to fall back on.
                assert!(self.seen.io_errors > 0 || self.has_been_full, "no write fails here: {failure}");
                self.failed = true;
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let running = self.cores.iter().zip(&self.halted).filter(|(_, halted)| !**halted);
        running.filter_map(|(core, _)| core.next_deadline()).min()
    }

    pub(crate) fn advance_to(&mut self, monotonic_ns: u64) {
        let ClockHabits { jitter_ns, grain_ns, .. } = self.clock;
        let monotonic_ns = monotonic_ns.max(self.now.monotonic_ns);
        let wall_ns = EPOCH_NS + monotonic_ns.saturating_add_signed(self.wall_gain_ns);
        let wall_ns = wall_ns + self.random.below(jitter_ns);
        let wall_ns = wall_ns.saturating_add_signed(self.wall_offset_ns);
        self.now = Now { monotonic_ns, wall_ns: wall_ns / grain_ns * grain_ns };
    }

    fn owner(&self, operation: OperationId) -> usize {
        usize::from(LogIds::owner(operation, &self.shape.layout()).0)
    }

    pub(crate) fn touch(&mut self, core: usize) {
        self.cores[core].handle_now(self.now);
    }
}
