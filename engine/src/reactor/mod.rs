//! The reactor: one thread of a replica, with one io_uring for its disk, its sockets and its wakes.
//!
//! It performs what [`Core`] asks for and tells it what became of it. It holds no decisions: nothing here knows what a
//! stripe or a slot is. It is the only code that knows which runtime is underneath.

mod alarms;
mod dialer;
mod listener;
mod numbers;
mod ring;
mod socket;
mod sockets;
mod stages;
mod wake;

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use assize_device::DirectDevice;
use assize_metrics::Board;
use assize_node::boot::ReadError;
use assize_node::{
    CheckpointEnd, Core, CoreMessage, HandOverEnd, Now, Output, PeerNotice, RejoinNotice, StartAgain,
};
use assize_shards::StateDigest;
use assize_wal::{LogFailure, Quarantine};
use assize_wire::message::Refused;
use assize_wire::{CoreId, Hash, LogId, LogicVersion, ShardId, Slot};
use crossbeam_channel::{Receiver, Sender};

use crate::logging::RateLimited;
pub use dialer::{DialEnd, Dialed, Dialer};
use listener::Audience;
pub use listener::Listener;
pub use numbers::Numbers;
use ring::{Ring, TAG_ACCEPT, TAG_DISK, TAG_RECEIVE, TAG_SEND, TAG_WAKE};
use socket::Owner;
use sockets::Sockets;
pub use stages::{StageHistograms, StageLine};
pub use wake::{Clock, Mailbox, Parker, mailbox};

/// What a core's thread tells the process.
#[derive(Debug)]
pub enum Notice {
    /// The core serves clients.
    Serving(CoreId),
    /// The control core: replayed slots are published through this one.
    Replayed(Slot),
    /// The control core: the replica is to start again.
    StartAgain(StartAgain),
    /// The control core: this slot switches to logic that the program lacks, and the replica is to stop.
    LogicMissing(Slot, LogicVersion),
    /// The control core: a checkpoint is active, or failed.
    Checkpoint(CheckpointEnd),
    /// A connection to a peer.
    Peer(PeerNotice),
    /// The operator must hear of this.
    Alarm(String),
    /// Whether the clocks of a majority contradict this replica's.
    ClockContradicted(bool),
    /// The replica is quarantined, since just now or from its start (C5).
    Quarantined(Quarantine),
    /// The replica rejoins with an empty disk, or has its vote again (R3).
    Rejoin(RejoinNotice),
    /// The control core: what became of handing leadership over, with the number of who asked for it.
    HandOver(Option<u64>, HandOverEnd),
    /// A core has ended in good order.
    Halted {
        /// Its latencies.
        stages: Box<StageHistograms>,
        /// What its shards' entities come to.
        digests: Vec<StateDigest>,
    },
    /// The core cannot go on; the process must end.
    Failed(CoreId, Failure),
}

/// Why a core cannot go on.
#[derive(Debug)]
pub enum Failure {
    /// A write or flush failed (L3).
    Log(LogFailure),
    /// A replayed outcome contradicts what was published (C4).
    Diverged {
        /// The slot.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// The digest in the outcome stream.
        expected: Hash,
        /// The digest computed now.
        found: Hash,
    },
    /// The log has no room for outcomes that are published.
    OutcomesFull {
        /// The log.
        log: LogId,
        /// The shard.
        shard: ShardId,
        /// The first slot that is not stored.
        slot: Slot,
    },
    /// A recovered slot or a checkpoint cannot be read back.
    Read(ReadError),
    /// The ring or a listening socket does not work.
    Io(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Log(failure) => failure.fmt(f),
            Failure::Diverged { slot, shard, expected, found } => write!(
                f,
                "slot {slot}, shard {shard}: outcomes with digest {expected} were published before the restart and the \
                 same stripe now gives {found}: this machine's memory, CPU or disk is not to be trusted; nothing more \
                 is published"
            ),
            Failure::OutcomesFull { log, shard, slot } => write!(
                f,
                "log {log} has no room for the outcomes of shard {shard} from slot {slot} on: free space on the disk, \
                 raise [log] bytes_max, or give the shard back to the core that had it"
            ),
            Failure::Read(error) => error.fmt(f),
            Failure::Io(error) => write!(f, "io_uring or a socket does not work: {error}"),
        }
    }
}

/// How a thread without work behaves.
#[derive(Clone, Copy, Debug)]
pub struct IdlePolicy {
    /// How long it looks for work before it sleeps; zero to sleep at once.
    pub spin: Duration,
}

/// What a reactor is made of.
pub struct ReactorParts {
    /// The core it drives.
    pub core: Core,
    /// This core's number.
    pub id: CoreId,
    /// Its log device; user data tagged with [`DISK_TAG`].
    pub device: DirectDevice,
    /// Messages for it.
    pub inbox: Receiver<CoreMessage>,
    /// Where it sleeps.
    pub parker: Parker,
    /// The mailboxes of all cores, by number.
    pub peers: Vec<Mailbox>,
    /// Where clients connect, bound and not yet listening.
    pub listener: Listener,
    /// Where peers connect, likewise; none in a cluster of one.
    pub peer_listener: Option<Listener>,
    /// Makes connections to peers, and where they come.
    pub dialer: Dialer,
    /// The other end of it.
    pub dialed: Receiver<Dialed>,
    /// What the process is told.
    pub notices: Sender<Notice>,
    /// What to do without work.
    pub idle: IdlePolicy,
    /// Where it writes what it is at.
    pub board: Arc<Board>,
}

/// The tag that a reactor's log device must use.
pub const DISK_TAG: u8 = TAG_DISK;

/// Drives a core until it halts. Returns after the last byte is sent.
pub fn run(parts: ReactorParts) {
    let (id, notices) = (parts.id, parts.notices.clone());
    let notice = match Reactor::new(parts).and_then(Reactor::run) {
        Ok((stages, digests)) => Notice::Halted { stages, digests },
        Err(failure) => Notice::Failed(id, failure),
    };
    // The receiver is gone only when the process is ending anyway.
    let _ = notices.send(notice);
}

struct Reactor {
    core: Core,
    id: CoreId,
    ring: Ring,
    device: DirectDevice,
    inbox: Receiver<CoreMessage>,
    parker: Parker,
    peers: Vec<Mailbox>,
    /// Peers that were sent something in this turn and are woken once at its end (X3). There may be 65: one a shard,
    /// and the control core.
    to_wake: u128,
    sockets: Sockets,
    dialer: Dialer,
    dialed: Receiver<Dialed>,
    notices: Sender<Notice>,
    idle: IdlePolicy,
    clock: Clock,
    stages: Box<StageHistograms>,
    numbers: Numbers,
    refusals: RateLimited,
    halted_at: Option<u64>,
    digests: Vec<StateDigest>,
    /// Since when there has been nothing to do.
    idle_since: Option<u64>,
}

impl Reactor {
    fn new(parts: ReactorParts) -> Result<Reactor, Failure> {
        let ReactorParts { core, id, device, inbox, parker, peers, notices, idle, .. } = parts;
        Ok(Reactor {
            core,
            id,
            ring: Ring::new().map_err(Failure::Io)?,
            device,
            inbox,
            parker,
            peers,
            to_wake: 0,
            sockets: Sockets::new(parts.listener, parts.peer_listener),
            dialer: parts.dialer,
            dialed: parts.dialed,
            notices,
            idle,
            clock: Clock::new(),
            stages: Box::default(),
            numbers: Numbers::new(parts.board, id),
            refusals: RateLimited::per_second(REFUSALS_PER_SECOND),
            halted_at: None,
            digests: Vec::new(),
            idle_since: None,
        })
    }

    fn run(mut self) -> Result<(Box<StageHistograms>, Vec<StateDigest>), Failure> {
        self.arm_wake();
        self.sockets.listen(Audience::Peers, &mut self.ring).map_err(Failure::Io)?;
        loop {
            let now = self.turn()?;
            self.numbers.write_now_and_then(&self.core, now.monotonic_ns);
            if let Some(halted) = self.halted_at
                && (!self.sockets.is_sending() || now.monotonic_ns > halted + LINGER_NS)
                && self.device.in_flight() == 0
            {
                return Ok((self.stages, self.digests));
            }
            self.wait(now)?;
            self.reap()?;
        }
    }

    /// Gives the core everything that has arrived, and carries out what it asks for.
    fn turn(&mut self) -> Result<Now, Failure> {
        let mut now = self.clock.now();
        self.core.handle_now(now);
        while let Ok(message) = self.inbox.try_recv() {
            self.core.handle_message(message);
        }
        while let Ok(dialed) = self.dialed.try_recv() {
            self.take_dialed(dialed)?;
        }
        while let Some(completion) = self.device.poll_completion() {
            self.core.handle_completion(completion).map_err(Failure::Log)?;
        }
        while self.core.step() {
            // The answers of one stripe leave before the next is evaluated.
            self.flush_outputs()?;
            now = self.clock.now();
            self.core.handle_now(now);
        }
        self.flush_outputs()?;
        Ok(now)
    }

    fn flush_outputs(&mut self) -> Result<(), Failure> {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Disk(operation) => {
                    // A linked pair must be in one submission.
                    self.ring.make_room(2).map_err(Failure::Io)?;
                    let ring = &mut self.ring;
                    self.device.submit(operation, &mut |entry| ring.push(entry));
                }
                Output::Message { to, message } => {
                    self.peers[usize::from(to.0)].post(message);
                    self.to_wake |= 1 << to.0;
                }
                Output::Stages(stages) => {
                    self.stages.record(&stages);
                    self.numbers.record_stages(&stages);
                }
                Output::Measure => *self.stages = StageHistograms::default(),
                Output::Refused(refused) => self.log_refused(&refused),
                Output::Peer(notice) => drop(self.notices.send(Notice::Peer(notice))),
                Output::Replayed(slot) => drop(self.notices.send(Notice::Replayed(slot))),
                Output::Listen => {
                    self.sockets.listen(Audience::Clients, &mut self.ring).map_err(Failure::Io)?;
                }
                Output::Serving => drop(self.notices.send(Notice::Serving(self.id))),
                Output::ClockContradicted(contradicted) => {
                    drop(self.notices.send(Notice::ClockContradicted(contradicted)));
                }
                Output::OutcomesFull { log, shard, slot } => {
                    return Err(Failure::OutcomesFull { log, shard, slot });
                }
                alarm @ (Output::Alarm(_)
                | Output::PeerDiverged { .. }
                | Output::PeerStateDiverged { .. }
                | Output::CopiesMissing { .. }
                | Output::CopiesGone { .. }
                | Output::DiskFull(_)
                | Output::KeysFull { .. }
                | Output::RecordDecayed { .. }
                | Output::FailureDomains { .. }
                | Output::DivergenceReport(_)) => {
                    drop(self.notices.send(Notice::Alarm(alarms::text_of(&alarm))));
                }
                // It mends itself.
                needed @ Output::CheckpointNeeded { .. } => tracing::warn!("{}", alarms::text_of(&needed)),
                Output::Quarantined(quarantine) => drop(self.notices.send(Notice::Quarantined(quarantine))),
                Output::TakingOver { from, slot } => {
                    tracing::warn!(
                        from = from.0,
                        slot = slot.0,
                        "what is missing here is gone from the logs of all peers: taking over a checkpoint of one"
                    );
                }
                Output::LeaderChanged { leader: Some(leader), ballot } => {
                    tracing::info!(leader = leader.0, %ballot, "a replica leads");
                }
                Output::LeaderChanged { leader: None, ballot } => {
                    tracing::info!(%ballot, "no leader is heard");
                }
                Output::LeaderStalled => {
                    tracing::warn!("nothing has moved for too long here: this replica gives up leading");
                }
                Output::LogicMissing { slot, logic } => {
                    drop(self.notices.send(Notice::LogicMissing(slot, logic)))
                }
                Output::Rejoin(notice) => drop(self.notices.send(Notice::Rejoin(notice))),
                Output::HandOver { ask, end } => drop(self.notices.send(Notice::HandOver(ask, end))),
                Output::StartAgain(why) => drop(self.notices.send(Notice::StartAgain(why))),
                Output::CheckpointReported { slot, digest } => {
                    tracing::info!(slot = slot.0, %digest, "a checkpoint is whole and is compared with those of others");
                }
                Output::Diverged { slot, shard, expected, found } => {
                    return Err(Failure::Diverged { slot, shard, expected, found });
                }
                Output::Checkpoint(end) => drop(self.notices.send(Notice::Checkpoint(end))),
                Output::Halted { digests } => {
                    self.digests = digests;
                    self.sockets.stop_accepting();
                    self.halted_at = Some(self.clock.now().monotonic_ns);
                }
            }
        }
        self.flush_sockets()
    }

    /// What is to be sent to clients and peers goes out, and cores that have messages wake.
    fn flush_sockets(&mut self) -> Result<(), Failure> {
        while let Some(id) = self.core.poll_connection() {
            self.sockets.flush(id, &mut self.core, &mut self.ring).map_err(Failure::Io)?;
        }
        while let Some(id) = self.core.poll_peer_link() {
            self.sockets.flush_link(id, &mut self.core, &mut self.ring).map_err(Failure::Io)?;
        }
        while let Some(dial) = self.core.poll_dial() {
            self.dialer.dial(self.id, dial);
        }
        while self.to_wake != 0 {
            let peer = self.to_wake.trailing_zeros();
            self.to_wake &= self.to_wake - 1;
            self.peers[peer as usize].wake();
        }
        Ok(())
    }

    /// Submits, and sleeps until something arrives or the core wants a turn.
    fn wait(&mut self, now: Now) -> Result<(), Failure> {
        let spin_ns = self.idle.spin.as_nanos() as u64;
        let idle_for = now.monotonic_ns - *self.idle_since.get_or_insert(now.monotonic_ns);
        if idle_for < spin_ns || self.ring.has_completions() {
            return self.ring.submit(None).map_err(Failure::Io);
        }
        self.numbers.write(&self.core);
        // Park: from here on a sender writes to the eventfd, whose read is armed. What was sent before is in the inbox.
        // What another thread finished before is looked for once more: its wake found this thread awake.
        self.parker.prepare();
        let finished = self.device.poll_completion();
        if finished.is_some() || !self.inbox.is_empty() || !self.dialed.is_empty() {
            self.parker.cancel();
            if let Some(completion) = finished {
                self.core.handle_completion(completion).map_err(Failure::Log)?;
            }
            return self.ring.submit(None).map_err(Failure::Io);
        }
        let linger = self.halted_at.map(|at| at + LINGER_NS);
        let deadline =
            [self.core.next_deadline(), self.sockets.next_due(), linger].into_iter().flatten().min();
        let sleep =
            deadline.map_or(MAX_SLEEP, |at| Duration::from_nanos(at.saturating_sub(now.monotonic_ns)));
        let waited = self.ring.submit(Some(sleep.min(MAX_SLEEP)));
        self.parker.cancel();
        waited.map_err(Failure::Io)
    }

    fn reap(&mut self) -> Result<(), Failure> {
        let now = self.clock.now();
        self.core.handle_now(now);
        self.sockets.handle_time(now.monotonic_ns, &mut self.ring).map_err(Failure::Io)?;
        let mut any = false;
        while let Some((user_data, result, flags)) = self.ring.next_completion() {
            any = true;
            let slot = (user_data & u64::from(u32::MAX)) as u32;
            match (user_data >> 56) as u8 {
                TAG_DISK => {
                    if let Some(completion) = self.device.complete(user_data, result) {
                        self.core.handle_completion(completion).map_err(Failure::Log)?;
                    }
                }
                TAG_WAKE => self.arm_wake(),
                TAG_ACCEPT => {
                    let (audience, how) = (Audience::from_slot(slot), (result, flags));
                    self.sockets
                        .accepted(audience, how, now.monotonic_ns, &mut self.core, &mut self.ring)
                        .map_err(Failure::Io)?;
                }
                TAG_RECEIVE => self
                    .sockets
                    .received(slot, result, &mut self.core, &mut self.ring)
                    .map_err(Failure::Io)?,
                TAG_SEND => {
                    self.sockets.sent(slot, result, &mut self.core, &mut self.ring).map_err(Failure::Io)?;
                }
                tag => panic!("a completion with tag {tag}, which nothing here uses"),
            }
        }
        if any || !self.inbox.is_empty() {
            self.idle_since = None;
        }
        Ok(())
    }

    fn take_dialed(&mut self, dialed: Dialed) -> Result<(), Failure> {
        let Dialed { dial, socket } = dialed;
        match socket {
            Some(socket) => {
                let owner = Owner::Peer(self.core.handle_peer_dialed(dial.peer, dial.lane));
                self.sockets.open(socket, owner, &mut self.ring).map_err(Failure::Io)
            }
            None => {
                self.core.handle_peer_dial_failed(dial.peer, dial.lane);
                Ok(())
            }
        }
    }

    /// A client that does not speak the protocol is worth a line, but not one for each of its tries.
    fn log_refused(&mut self, refused: &Refused) {
        if let Some(suppressed) = self.refusals.admit(self.clock.now().monotonic_ns) {
            let (code, text) = (refused.code, &refused.text);
            tracing::warn!(?code, text, suppressed, "a client was refused and its connection closed");
        }
    }

    fn arm_wake(&mut self) {
        let entry = self.parker.read_entry(u64::from(TAG_WAKE) << 56);
        if let Err(error) = self.ring.make_room(1) {
            panic!("the ring of core {} does not submit: {error}", self.id);
        }
        self.ring.push(entry);
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reactor({}, ring {})", self.id, self.ring.as_raw_fd())
    }
}

/// No sleep is longer, so that a lost wake would show as a delay and not as a halt.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Lines about refused clients.
const REFUSALS_PER_SECOND: u32 = 5;

/// How long a halted core waits for slow readers to take their last answers.
const LINGER_NS: u64 = 2_000_000_000;
