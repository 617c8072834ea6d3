//! One core of a replica: its connections, its Usher, its shards, its logs and, on the control core, the Docket.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_consensus::{Docket, DocketConfig, DocketStart, Offer};
use assize_domain::DomainRegistry;
use assize_shards::{PanicGuard, Rehearsal, Shard};
use assize_wal::{Log, Quarantine};
use assize_wire::frame::{Frame, Parsed};
use assize_wire::message::{Refused, RefusedCode};
use assize_wire::peer::Chosen;
use assize_wire::routing::Routing;
use assize_wire::{Ballot, Control as ControlEvent, CoreId, LogicVersions, ShardId, Slot, StreamTime};

use crate::boot::CoreStart;
use crate::checkpoint::{Checkpoints, Coordinator, CoordinatorStart};
use crate::clocks::Clocks;
use crate::connections::{ConnectionId, Connections};
use crate::control::{Control, ControlParts};
use crate::copies::CopiesAsked;
use crate::election::{Election, ElectionTimes};
use crate::execute::Pending;
use crate::federation::{Federation, FederationConfig};
use crate::gauges::Tally;
use crate::layout::Layout;
use crate::lease::{Lease, LeaseUse};
use crate::limits::IDLE_MARK_NS;
use crate::logic::{Logic, LogicStart};
use crate::message::CoreMessage;
use crate::old_digests::OldDigests;
use crate::outcome_stream::OutcomeStream;
use crate::output::Output;
use crate::publish::Unfilled;
use crate::reads::Reads;
use crate::replay::Replay;
use crate::short_of_room::KeysFull;
use crate::stripes::Stripes;
use crate::usher::{Greeting, Usher, UsherLimits};

/// The time of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// A clock that never moves back, in nanoseconds, for intervals.
    pub monotonic_ns: u64,
    /// The host's wall clock, in nanoseconds since the Unix epoch, for stream time.
    pub wall_ns: u64,
}

/// What a core is made of.
pub struct CoreConfig {
    /// This core.
    pub id: CoreId,
    /// Which core owns which shard.
    pub layout: Arc<Layout>,
    /// The agreed routing.
    pub routing: Routing,
    /// The domains.
    pub domains: Arc<DomainRegistry>,
    /// Catches their panics.
    pub guard: Arc<dyn PanicGuard>,
    /// Bounds of the Usher.
    pub limits: UsherLimits,
    /// What clients are told.
    pub greeting: Greeting,
    /// The shards that the layout gives this core, ascending.
    pub shards: Vec<Shard>,
    /// What recovery left for it.
    pub start: CoreStart,
    /// On the control core: what the Docket and the checkpoints start with.
    pub control: Option<ControlStart>,
    /// Of its connections to other replicas.
    pub federation: FederationConfig,
    /// As the superblock has it (C5).
    pub quarantine: Option<Quarantine>,
    /// A fault that is to be committed.
    pub rehearsal: Option<Rehearsal>,
    /// What evaluates the first slot above the checkpoint (R5).
    pub logic: LogicVersions,
}

/// What the control core starts with, beside what every core does.
pub struct ControlStart {
    /// Of the Docket.
    pub docket: DocketConfig,
    /// What recovery found of its log.
    pub start: DocketStart,
    /// Of checkpoints.
    pub coordinator: CoordinatorStart,
    /// Elections.
    pub times: ElectionTimes,
    /// Makes the timeouts of replicas, and of one replica's starts, differ.
    pub seed: u64,
    /// How far the wall clocks of a majority may be apart, in nanoseconds (P13). Agreed.
    pub clock_skew_ns: u64,
    /// Of leases (P11).
    pub leases: LeaseUse,
    /// Of the domains' logic (R5).
    pub logic: LogicStart,
}

/// One core. Order of calls: [`Core::handle_now`], any inputs, [`Core::step`], then [`Core::poll_output`] and
/// [`Core::poll_connection`] until they are empty. It never blocks and never calls back.
pub struct Core {
    pub(crate) id: CoreId,
    pub(crate) layout: Arc<Layout>,
    pub(crate) routing: Routing,
    pub(crate) greeting: Greeting,
    pub(crate) connections: Connections,
    pub(crate) federation: Federation,
    pub(crate) usher: Usher,
    /// As `usher.seats`: the shards of this core, ascending.
    pub(crate) shards: Vec<Shard>,
    pub(crate) log: Log,
    pub(crate) outcomes: OutcomeStream<Unfilled>,
    pub(crate) checkpoints: Checkpoints,
    /// On the control core alone.
    pub(crate) control: Option<Control>,
    pub(crate) stripes: Stripes,
    pub(crate) pending: Pending,
    /// As `shards`.
    pub(crate) copies_asked: Vec<CopiesAsked>,
    /// As `shards`.
    pub(crate) old_digests: Vec<OldDigests>,
    pub(crate) reads: Reads,
    /// Messages of this core to itself.
    pub(crate) own: VecDeque<CoreMessage>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) now: Now,
    /// The highest published stream time that this core knows.
    pub(crate) stream_time: StreamTime,
    /// Under which this replica leads and admits events, or [`Ballot::NONE`].
    pub(crate) ballot: Ballot,
    /// Whether clients may connect.
    pub(crate) listening: bool,
    pub(crate) told_serving: bool,
    /// When the log last had something appended, until it was given its idle mark.
    pub(crate) log_busy_since: Option<u64>,
    stalled_checked: u64,
    /// When the control core was last told that this one has no room.
    pub(crate) short_told: u64,
    /// When the operator was last told that the device has no space.
    pub(crate) disk_full_told: Option<u64>,
    pub(crate) keys_full: KeysFull,
    pub(crate) stopping: bool,
    pub(crate) drained: bool,
    /// Why this core executes, publishes and answers nothing (C5).
    pub(crate) quarantine: Option<Quarantine>,
    pub(crate) rehearsal: Option<Rehearsal>,
    /// Seat and slot of the stripes that ran since the time was last told: they were evaluated by the next.
    pub(crate) just_ran: Vec<(usize, Slot)>,
    pub(crate) tally: Tally,
}

impl Core {
    /// A core as it stands after recovery: nothing of what recovery found is executed above the checkpoint.
    #[must_use]
    pub fn new(config: CoreConfig) -> Core {
        let CoreConfig { id, layout, routing, domains, guard, limits, greeting, .. } = config;
        let CoreConfig {
            mut shards, start, federation, control, quarantine, rehearsal, logic: in_force, ..
        } = config;
        assert_eq!(
            control.is_some(),
            id == layout.control,
            "the control core runs the Docket, no other does"
        );
        let CoreStart { logs, index, stored, checkpoints, tip, stripes, accepts, mark } = start;
        let segment_bytes = logs.outcomes.identity().segment_bytes;
        let mut usher = Usher::new(id, Arc::clone(&layout), routing, domains, guard, limits, segment_bytes);
        usher.logic = in_force;
        assert_eq!(usher.seats.len(), shards.len(), "core {id} has other shards than the layout gives it");
        let executed = shards.iter().all(|shard| shard.executed() == tip.slot);
        assert!(executed, "core {id} has shards that do not stand at slot {}", tip.slot);
        let alone = greeting.replicas == 1;
        let (own, domain) = (greeting.replica, federation.identity.failure_domain);
        shards.iter_mut().for_each(|shard| shard.handle_failure_domain(own, domain));
        if let Some(fault) = rehearsal {
            // One fault is enough: of the first shard.
            shards
                .iter_mut()
                .filter(|shard| shard.id() == ShardId(0))
                .for_each(|shard| shard.rehearse(fault));
        }
        let control = control.map(|control| {
            let ControlStart { docket, start, coordinator, times, seed, clock_skew_ns, leases, logic } =
                control;
            let accepted = || start.accepted.iter().map(|(ordered, _)| &ordered.manifest);
            let logic = Logic::new(logic, in_force, accepted());
            let replay = Replay::through(accepted().next_back().map_or(Slot::ZERO, |last| last.slot));
            Control::new(ControlParts {
                tip: Chosen { slot: start.tip.slot, hash: start.tip.hash },
                clocks: Clocks::new(docket.replica, docket.replicas, clock_skew_ns),
                docket: Docket::new(docket, start),
                coordinator: Coordinator::new(coordinator, &greeting, domain),
                election: Election::new(times, seed, alone),
                lease: Lease::new(leases, docket.lease_ns, docket.replicas),
                logic,
                replay,
                mark,
                accepts,
            })
        });
        let mut core = Core {
            id,
            layout,
            routing,
            greeting,
            connections: Connections::default(),
            federation: Federation::new(federation),
            usher,
            copies_asked: shards.iter().map(|_| CopiesAsked::default()).collect(),
            old_digests: shards.iter().map(|_| OldDigests::default()).collect(),
            shards,
            log: logs.stripes,
            outcomes: OutcomeStream::new(logs.outcomes, index, stored),
            checkpoints: Checkpoints::new(logs.parts, logs.keys, checkpoints),
            control,
            stripes,
            pending: Pending::default(),
            reads: Reads::after(tip.slot),
            own: VecDeque::new(),
            outputs: VecDeque::new(),
            now: Now::default(),
            stream_time: tip.time,
            ballot: Ballot::NONE,
            // With peers a client can always be told who leads.
            listening: !alone,
            told_serving: false,
            log_busy_since: None,
            stalled_checked: 0,
            short_told: 0,
            disk_full_told: None,
            keys_full: KeysFull::default(),
            stopping: false,
            drained: false,
            quarantine,
            rehearsal,
            just_ran: Vec::new(),
            tally: Tally::default(),
        };
        if let (Some(quarantine), Some(control)) = (quarantine, &mut core.control) {
            control.doubted = true;
            control.docket.quarantine();
            core.outputs.push_back(Output::Quarantined(quarantine));
        }
        if core.listening {
            core.outputs.push_back(Output::Listen);
        }
        core
    }

    /// The time of what follows, as a clock just showed it that runs on while the machine is suspended (P11). Never
    /// moves back on the monotonic clock.
    pub fn handle_now(&mut self, now: Now) {
        assert!(now.monotonic_ns >= self.now.monotonic_ns, "{now:?} is before {:?}", self.now);
        self.now = now;
        for (seat, slot) in self.just_ran.drain(..) {
            self.usher.seats[seat].held.handle_evaluated(slot, now.monotonic_ns);
        }
        if let Some(control) = &mut self.control {
            control.lease.handle_now(now.monotonic_ns);
        }
    }

    /// A client connected. One too many is told so and closed.
    pub fn handle_opened(&mut self) -> ConnectionId {
        let id = self.connections.open(self.now.monotonic_ns);
        let max = self.usher.limits.connections_max;
        if self.connections.len() > max {
            let text = alloc::format!("this core serves {max} connections and no more");
            let refused = Refused { code: RefusedCode::TooManyConnections, retry_after_us: 0, text };
            self.connections.refuse(id, 0, &refused, true);
        }
        id
    }

    /// The socket of a connection is gone.
    pub fn handle_closed(&mut self, id: ConnectionId) {
        self.connections.close(id);
    }

    /// Bytes of a client that have not been consumed yet, from the first. Returns how many were consumed and how many
    /// must be there in all before it is worth calling again.
    pub fn handle_received(&mut self, id: ConnectionId, bytes: &[u8]) -> (usize, usize) {
        let mut consumed = 0;
        let needed = loop {
            if self.connections.get(id).is_none_or(|connection| connection.closing) {
                return (bytes.len(), 0);
            }
            match Frame::parse(&bytes[consumed..]) {
                Ok(Parsed::Whole { frame, bytes }) => {
                    self.handle_frame(id, &frame);
                    consumed += bytes;
                }
                Ok(Parsed::Needs(needed)) => break needed,
                Err(error) => {
                    self.refuse_and_close(id, 0, RefusedCode::BadFrame, error.to_string());
                    return (bytes.len(), 0);
                }
            }
        };
        let partial = consumed < bytes.len();
        self.connections.note_partial(id, partial, consumed > 0, self.now.monotonic_ns);
        // The first bytes of a frame count: since then the rest is owed, and what cannot become a frame is refused.
        (consumed, if partial { needed } else { 1 })
    }

    /// A message of another core, of the boot thread or of the shell.
    pub fn handle_message(&mut self, message: CoreMessage) {
        self.own.push_back(message);
    }

    /// Does one round of what the inputs so far allow, and says whether there may be more to do: then it is to be
    /// called again, after [`Core::handle_now`], so that the times of the stages mean something.
    #[must_use]
    pub fn step(&mut self) -> bool {
        if cfg!(debug_assertions) {
            self.check_accept_room();
        }
        self.tell_accept_room();
        self.outcomes.handle_durable(&mut self.checkpoints.retention);
        let mut progress = self.publish_filled();
        progress |= self.step_federation();
        progress |= self.take_reads();
        while let Some(message) = self.own.pop_front() {
            self.apply(message);
            progress = true;
        }
        progress |= self.step_docket();
        progress |= self.run_pending();
        for seat in 0..self.shards.len() {
            progress |= self.step_shard(seat);
        }
        progress |= self.step_usher();
        if progress || !self.own.is_empty() {
            return true;
        }
        self.step_timers();
        if let Some((log, shard, slot)) = self.outcomes.poll_full() {
            self.outputs.push_back(Output::OutcomesFull { log, shard, slot });
        }
        let hands_over = self.step_stop();
        match self.quarantine {
            None => self.step_checkpoint(),
            Some(_) => self.step_rebuild(),
        }
        self.poll_operations();
        // What a checkpoint told this core itself.
        hands_over || !self.own.is_empty()
    }

    /// The next thing to be done outside.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next connection that has bytes to send or is to be closed.
    pub fn poll_connection(&mut self) -> Option<ConnectionId> {
        self.connections.poll_dirty()
    }

    /// Whether a connection's client does not read, so that its socket is to be closed now, whatever is being sent.
    pub fn is_given_up(&mut self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.given_up)
    }

    /// Moves the bytes that wait to be sent on a connection to the end of `out`; true if it is to be closed after them.
    /// What cannot be sent yet is left here: how much waits is what tells a client that does not read.
    pub fn take_bytes(&mut self, id: ConnectionId, out: &mut Vec<u8>) -> bool {
        let Some(connection) = self.connections.get(id) else { return true };
        if out.is_empty() {
            core::mem::swap(out, &mut connection.out);
        } else {
            out.append(&mut connection.out);
        }
        connection.closing
    }

    /// When [`Core::step`] must be called again even if nothing arrives, in monotonic nanoseconds.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let idle = self.log_busy_since.map(|since| since + IDLE_MARK_NS);
        let stalled = (self.connections.len() > 0).then_some(self.stalled_checked + STALLED_CHECK_NS);
        let checkpoint = match self.quarantine {
            None => self.checkpoint_due(),
            Some(_) => self.take_over_due(),
        };
        let own = [idle, stalled, self.outcomes.next_due(), checkpoint];
        let of_peers = [self.federation.next_deadline(), self.stripes.wanted.next_due(), self.copies_due()];
        own.into_iter().chain(of_peers).chain([self.election_due()]).flatten().min()
    }

    /// Panics when a promise of a part of this core is broken.
    pub fn check_invariants(&self) {
        self.shards.iter().for_each(Shard::check_invariants);
        self.log.check_invariants();
        self.outcomes.log.check_invariants();
        self.checkpoints.parts.check_invariants();
        self.checkpoints.keys.check_invariants();
        self.control.iter().for_each(|control| control.docket.check_invariants());
        self.federation.check_invariants();
        self.connections.check_invariants();
        self.stripes.check_invariants();
    }

    /// Says once that this core serves.
    pub(crate) fn tell_serving(&mut self) {
        if !self.told_serving {
            self.told_serving = true;
            self.outputs.push_back(Output::Serving);
        }
    }

    /// Sends to any core, this one included.
    pub(crate) fn send(&mut self, to: CoreId, message: CoreMessage) {
        if to == self.id {
            self.own.push_back(message);
        } else {
            self.outputs.push_back(Output::Message { to, message });
        }
    }

    /// The index of a shard that this core owns.
    pub(crate) fn seat_of(&self, shard: ShardId) -> usize {
        match self.usher.seat_index(shard) {
            Some(seat) => seat,
            None => panic!("shard {shard} is not of core {}", self.id),
        }
    }

    pub(crate) fn apply(&mut self, message: CoreMessage) {
        match message {
            CoreMessage::Forward { shard, connection, request, indexes, home_mask, events } => {
                self.take_forwarded(shard, connection, request, indexes, home_mask, events);
            }
            CoreMessage::Frames { connection, answered, bytes } => {
                self.connections.write(connection.connection, |out| out.extend_from_slice(&bytes));
                self.note_answered(connection, answered);
            }
            CoreMessage::Offer(offer) => self.docket().handle_offer(offer),
            CoreMessage::StripeStored(id) => self.docket().handle_stripe_stored(id),
            CoreMessage::WantStripe { id, bytes, from } => self.take_want(id, bytes, from),
            CoreMessage::Chosen { ordered, stripes, digests, checkpoint, mark } => {
                for ControlEvent::SwitchLogic(version) in &ordered.manifest.controls {
                    self.usher.logic.set(*version);
                }
                self.take_chosen(ordered, stripes, &digests, checkpoint, mark);
            }
            CoreMessage::Checkpoint(report) => self.take_report(report),
            CoreMessage::CheckpointActive(active) => self.checkpoint_active(&active),
            CoreMessage::TakeOver { from, slot, time, anew } => self.take_over(from, (slot, time), anew),
            CoreMessage::PartGone { from, slot } => {
                let now = self.now.monotonic_ns;
                self.control().coordinator.handle_part_gone(from, slot, now);
            }
            CoreMessage::ShortOfRoom { disk_full } => self.take_short_of_room(disk_full),
            CoreMessage::Doubt(quarantine) => self.take_doubt(quarantine),
            CoreMessage::Quarantined(quarantine) => self.enter_quarantine(quarantine),
            // Nothing is executed or led any more (C5).
            CoreMessage::Exchange { .. }
            | CoreMessage::Read { .. }
            | CoreMessage::Replay(_)
            | CoreMessage::Lead(_)
            | CoreMessage::Ready
                if self.quarantine.is_some() => {}
            CoreMessage::Published { slot, shard } => self.docket().handle_published(slot, shard),
            CoreMessage::Exchange { from, to, message } => {
                let seat = self.seat_of(to);
                self.shards[seat].handle_exchange(from, message);
            }
            CoreMessage::Read { home, connection, request, consistency, entities } => {
                self.read_here(home, connection, request, consistency, entities);
            }
            CoreMessage::WatchRead { slot, core, watch, ballot } => {
                self.watch_read(slot, core, watch, ballot)
            }
            CoreMessage::ReadAllowed { watch } => self.release_read(watch),
            CoreMessage::DocketOpen(open) => self.usher.room.set_docket_open(open),
            CoreMessage::Replay(slot) => self.control().replay.push(slot),
            CoreMessage::Lead(ballot) => self.take_lead(ballot),
            CoreMessage::Unlead { named } => self.take_unlead(&named),
            CoreMessage::Ready => self.tell_serving(),
            CoreMessage::Leader(leader) => self.take_leader(leader),
            CoreMessage::Generations(known) => self.take_generations(&known),
            CoreMessage::Voided(ids) => self.take_voided(&ids),
            CoreMessage::Release { below } => {
                let lost = self.stripes.release(below);
                if !lost.is_empty() {
                    self.send(self.layout.control, CoreMessage::StripesLost(lost));
                }
            }
            CoreMessage::StripesLost(ids) => {
                ids.into_iter().for_each(|id| self.docket().handle_stripe_lost(id));
            }
            CoreMessage::Measure => self.outputs.push_back(Output::Measure),
            CoreMessage::HandOver { ask, to } => self.take_hand_over(ask, to),
            CoreMessage::Stop => self.take_stop(),
            CoreMessage::Drained(core) => self.control().drained_cores.push(core),
            CoreMessage::Halt => {
                // What a quarantined replica has is not to be compared with anything.
                let shards = self.shards.iter().filter(|_| self.quarantine.is_none());
                let digests = shards.map(Shard::state_digest).collect();
                self.outputs.push_back(Output::Halted { digests });
            }
        }
    }

    fn step_shard(&mut self, seat: usize) -> bool {
        if self.quarantine.is_some() {
            return false;
        }
        let mut progress = false;
        let from = self.usher.seats[seat].shard;
        while let Some((to, message)) = self.shards[seat].poll_exchange() {
            self.send(self.layout.owner(to), CoreMessage::Exchange { from, to, message });
            progress = true;
        }
        self.send_copies(seat);
        while let Some(finding) = self.shards[seat].poll_finding() {
            self.take_finding(from, finding);
        }
        while self.quarantine.is_none()
            && let Some(published) = self.shards[seat].poll_published()
        {
            self.publish(seat, published);
            progress = true;
        }
        if self.quarantine.is_some() {
            return true;
        }
        while let Some(answer) = self.shards[seat].poll_read() {
            self.answer_read(answer);
            progress = true;
        }
        progress
    }

    /// Seals what may be sealed, logs and offers it, and sends what was forwarded.
    fn step_usher(&mut self) -> bool {
        let mut progress = false;
        for seat in 0..self.shards.len() {
            while let Some(sealed) = self.usher.seal(seat, self.now.monotonic_ns) {
                let id = sealed.offer.stripe.id;
                for peer in self.peers() {
                    self.send_stripe(peer, id, sealed.buffer.payload());
                }
                if let Err(full) = self.append_stripe(id, sealed.buffer) {
                    panic!("no room for stripe {:?}, which was admitted", full.entry);
                }
                self.stripes.handle_appended(id, sealed.offer.ballot);
                // The accept record follows in the same log exactly when this core runs the Docket (P2).
                let offer = Offer { in_docket_log: self.control.is_some(), ..sealed.offer };
                self.send(self.layout.control, CoreMessage::Offer(offer));
                progress = true;
            }
        }
        while let Some((to, message)) = self.usher.poll_message() {
            self.send(to, message);
            progress = true;
        }
        self.usher.room.measure(&self.log, &self.outcomes.log, self.outcomes.open_bytes());
        self.tell_disk_full();
        progress | self.tell_docket_open() | self.tell_short_of_room()
    }

    fn step_timers(&mut self) {
        let now = self.now.monotonic_ns;
        self.tell_keys_full();
        self.outcomes.close_chunks(now, self.stopping);
        if self.log_busy_since.is_some_and(|since| now >= since + IDLE_MARK_NS) {
            // While something is under way the mark is still to rise: a slow write is not an idle log.
            let docket_idle = self.control.as_ref().is_none_or(|control| control.docket.is_idle());
            let quiet = self.usher.is_drained() && docket_idle && self.pending.is_empty();
            self.log_busy_since = (!quiet).then_some(now);
            if quiet {
                self.handle_idle_log();
            }
        }
        self.ask_stripes();
        self.ask_copies();
        if now >= self.stalled_checked + STALLED_CHECK_NS {
            self.stalled_checked = now;
            self.connections.close_stalled(now);
        }
    }
}

/// How often connections are looked at for being stalled.
const STALLED_CHECK_NS: u64 = 1_000_000_000;
