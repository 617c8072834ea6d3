//! The control core's part: it runs the Docket, carries out what the Docket wants done, and tells the other cores.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_consensus::{CheckpointFlag, Docket, Effect, Proposal, RejoinStatus, Role};
use assize_wal::{BlockBuffer, Entry, LogFull, Mark, RecordLocation};
use assize_wire::accept::{ACCEPT_HEADER_BYTES, Accept};
use assize_wire::canary::{self, Canary};
use assize_wire::manifest::Manifest;
use assize_wire::peer::{CheckpointOffer, CheckpointTold, Chosen, DocketMessage, Lane, PeerMessage};
use assize_wire::{Ballot, CoreId, ReplicaId, ShardId, Slot, StreamTime, StripeId};

use crate::catch_up::Fetching;
use crate::checkpoint::{CheckpointReport, Coordinator, Say, TakeOver, Updated};
use crate::clocks::{Agreement, Clocks};
use crate::core::{Core, Now};
use crate::election::{Due, Election};
use crate::hand_over::Handing;
use crate::lease::Lease;
use crate::limits::SHORT_OF_ROOM_NS;
use crate::logic::Logic;
use crate::message::CoreMessage;
use crate::output::{Output, StartAgain};
use crate::reads::Watcher;
use crate::replay::{Brought, Replay};

/// What the control core has beside what every core has.
pub(crate) struct Control {
    pub(crate) docket: Docket,
    pub(crate) coordinator: Coordinator,
    pub(crate) election: Election,
    pub(crate) lease: Lease,
    pub(crate) clocks: Clocks,
    pub(crate) logic: Logic,
    pub(crate) replay: Replay,
    /// Reads that wait for a published slot, and for a lease or a majority.
    pub(crate) watchers: Vec<Watcher>,
    /// Cores that have drained.
    pub(crate) drained_cores: Vec<CoreId>,
    /// Accepted through here, durably: what every record says from now on (L5). Never moves back.
    pub(crate) mark: Mark,
    /// Where the accept records lie of the slots above the last checkpoint, for peers that lack them (P7).
    pub(crate) accepts: BTreeMap<Slot, RecordLocation>,
    /// Manifests that a peer is being sent, while they are read.
    pub(crate) fetching: Vec<Fetching>,
    /// Stripes that may go once the cores were told of all that was chosen when the Docket said so: what they were not
    /// told of yet looks to them as if nothing named it.
    releases: VecDeque<(Slot, Ballot)>,
    /// The slot up to which cores were told of choices.
    pub(crate) told_chosen: Chosen,
    /// The published slot that was last told to the boot thread and to watchers.
    told_published: Slot,
    /// Whether the cores were told that there is room for more slots.
    pub(crate) told_open: bool,
    /// The ballot under which the cores were told to admit events.
    told_lead: Ballot,
    told_leader: Option<ReplicaId>,
    /// Whether the cores were told that this replica stands where the cluster does (R2).
    told_ready: bool,
    clock_contradicted: bool,
    /// When a core last said that its logs have no room.
    pub(crate) short_at: Option<u64>,
    /// This replica is quarantined (C5).
    pub(crate) doubted: bool,
    /// What peers share with others when they fail, as they said last (C1).
    pub(crate) failure_domains: BTreeMap<ReplicaId, u64>,
    /// When an operator was last told that a peer's log does not reach back to what is missing here.
    pub(crate) told_checkpoint_needed: Option<u64>,
    /// How far this replica was, as it was last told that it rejoins (R3).
    pub(crate) told_rejoin: Option<RejoinStatus>,
    /// Leadership is being handed over, for an operator or for want of space.
    pub(crate) handing: Option<Handing>,
    /// While stopping: another replica has until then to take over.
    pub(crate) hand_over_until: Option<u64>,
}

/// What the control core's part is made of.
pub(crate) struct ControlParts {
    pub(crate) docket: Docket,
    pub(crate) coordinator: Coordinator,
    pub(crate) election: Election,
    pub(crate) lease: Lease,
    pub(crate) clocks: Clocks,
    pub(crate) logic: Logic,
    pub(crate) replay: Replay,
    /// Chosen, executed and published through here.
    pub(crate) tip: Chosen,
    /// Accepted through here.
    pub(crate) mark: Mark,
    pub(crate) accepts: BTreeMap<Slot, RecordLocation>,
}

impl Control {
    pub(crate) fn new(start: ControlParts) -> Control {
        let ControlParts { docket, coordinator, election, lease, clocks, logic, replay, tip, mark, accepts } =
            start;
        let published = tip.slot;
        Control {
            docket,
            coordinator,
            election,
            lease,
            clocks,
            logic,
            replay,
            watchers: Vec::new(),
            drained_cores: Vec::new(),
            mark,
            accepts,
            fetching: Vec::new(),
            releases: VecDeque::new(),
            told_chosen: tip,
            told_published: published,
            told_open: false,
            told_lead: Ballot::NONE,
            told_leader: None,
            told_ready: false,
            clock_contradicted: false,
            short_at: None,
            doubted: false,
            failure_domains: BTreeMap::new(),
            told_checkpoint_needed: None,
            told_rejoin: None,
            handing: None,
            hand_over_until: None,
        }
    }
}

impl Control {
    /// The next ballot below which stripes that no slot names may go.
    fn next_release(&mut self) -> Option<Ballot> {
        let told = self.told_chosen.slot;
        self.releases.pop_front_if(|(chosen, _)| *chosen <= told).map(|(_, below)| below)
    }
}

impl Core {
    /// Tells the Docket how many accept records the log takes: before anything else in a round, for more may have been
    /// prepared or given up, and after each other record, which takes of the same room.
    pub(crate) fn tell_accept_room(&mut self) {
        if self.control.is_some() {
            self.place_accepts();
            let room = self.usher.room.accept_records(&self.log);
            // Looked at only where it matters: every round comes here.
            let to_come = room > 0 || self.usher.room.accept_records_to_come(&self.log);
            self.docket().handle_accept_room(room, to_come);
        }
    }

    /// Accept records that the Docket has asked for get their place before the room is counted, or taken by a stripe.
    fn place_accepts(&mut self) {
        if self.control.as_ref().is_some_and(|control| control.docket.has_accepts_to_write()) {
            self.carry_out_effects();
        }
    }

    /// Nothing has come for a while, or nothing will: the log says last what the replica has accepted (L5).
    pub(crate) fn handle_idle_log(&mut self) {
        self.place_accepts();
        self.log.handle_idle();
        self.tell_accept_room();
    }

    /// Panics when the log does not take what the Docket was told it would. In a round that follows, the Docket is told
    /// anew before anything shows it.
    pub(crate) fn check_accept_room(&self) {
        let Some(told) = self.control.as_ref().and_then(|control| control.docket.accepts_to_take()) else {
            return;
        };
        let takes = self.usher.room.accept_records(&self.log);
        assert!(told <= takes, "the Docket may write {told} accept records, and the log takes {takes}");
    }

    /// Gives a stripe its place in the log.
    ///
    /// 1. The Docket is told that the log takes 40 accept records.
    /// 2. In the same round a peer sends ten stripes, which take a quarter of that room.
    /// 3. In the same round it sends the accepts of 40 slots: the last ten have no place.
    ///
    /// So the Docket is told anew after each stripe.
    pub(crate) fn append_stripe(&mut self, id: StripeId, buffer: BlockBuffer) -> Result<(), LogFull> {
        self.place_accepts();
        self.log.append(Entry::Stripe(id), buffer)?;
        self.log_busy_since = Some(self.now.monotonic_ns);
        if !canary::armed(Canary::RoomToldOnce) {
            self.tell_accept_room();
        }
        Ok(())
    }

    /// Everything that the control core does for the Docket. True if there may be more to do.
    pub(crate) fn step_docket(&mut self) -> bool {
        if self.control.is_none() {
            return false;
        }
        let lasts = self.control().short_at.map(|at| at + 2 * SHORT_OF_ROOM_NS);
        let short = lasts.is_some_and(|until| self.now.monotonic_ns < until);
        self.docket().handle_short_of_room(short);
        let mut progress = self.take_superblock_updates();
        progress |= self.step_election();
        progress |= self.form_slot();
        progress |= self.carry_out_effects();
        progress |= self.step_hand_over();
        progress |= self.tell_chosen_slots();
        progress |= self.tell_published();
        progress |= self.step_coordinator();
        progress |= self.tell_rejoin();
        progress | self.tell_leading()
    }

    /// A message of a peer's Docket, sent when its wall clock said `clock_ns`.
    pub(crate) fn take_docket_message(&mut self, from: ReplicaId, clock_ns: u64, message: DocketMessage) {
        let Now { wall_ns, monotonic_ns } = self.now;
        let control = self.control();
        if !control.docket.takes_from(from) {
            return;
        }
        control.clocks.handle_clock(from, clock_ns, monotonic_ns);
        let time_max = control.clocks.time_max(wall_ns);
        if let DocketMessage::HeartbeatAnswer { ballot, sequence, lease_ns, .. } = message {
            control.lease.handle_answered(from, ballot, sequence, lease_ns);
        }
        control.docket.handle_message(from, message, time_max);
    }

    fn take_superblock_updates(&mut self) -> bool {
        let mut any = false;
        while let Some(updated) = self.control().coordinator.poll_updated() {
            any = true;
            match updated {
                Updated::Promise(ballot) => self.control().docket.handle_promise_durable(ballot),
                Updated::Generations(known) => self.control().docket.handle_generations_durable(known),
                Updated::Rejoined => self.control().docket.handle_rejoin_ended(),
                // It is acted on already.
                Updated::Quarantine => {}
                Updated::TakenOver(slot) => {
                    self.outputs.push_back(Output::StartAgain(StartAgain::From(slot)))
                }
                Updated::Spoiled => self.outputs.push_back(Output::StartAgain(StartAgain::Rebuild)),
                Updated::Checkpoint(active, end) => {
                    self.control().docket.handle_checkpoint(active.slot);
                    self.tell_checkpoint(end);
                    self.control().accepts.retain(|slot, _| *slot > active.slot);
                    for core in self.layout.cores() {
                        self.send(core, CoreMessage::CheckpointActive(active.clone()));
                    }
                }
            }
        }
        any
    }

    fn step_election(&mut self) -> bool {
        let Now { wall_ns, monotonic_ns: now } = self.now;
        let written = self.log.durable_through();
        let Some(Control { docket, election, lease, clocks, .. }) = &mut self.control else { return false };
        let mut any = false;
        if docket.poll_lease_given() {
            lease.handle_given();
        }
        while let Some(over) = lease.poll_over() {
            any = true;
            docket.handle_lease_over(over);
        }
        election.handle_ballot(docket.promised(), now);
        let outstanding = docket.is_outstanding() || self.log.has_unwritten();
        while let Some(due) = election.poll(docket.role(), docket.watermarks(), written, outstanding, now) {
            any = true;
            match due {
                Due::Silence => docket.handle_silence(),
                Due::Timeout => docket.handle_election_timeout(),
                Due::Heartbeat => docket.handle_heartbeat_due(),
                Due::Stalled => {
                    self.outputs.push_back(Output::LeaderStalled);
                    docket.handle_stalled();
                }
            }
        }
        // P13: a leader whose clock a majority contradicts abdicates and says so.
        let agreement = clocks.agreement(wall_ns, now);
        let contradicted = agreement == Agreement::Contradicted && !canary::armed(Canary::OwnClock);
        if contradicted && docket.role() == Role::Leader {
            docket.handle_stalled();
            any = true;
        }
        let control = self.control();
        if contradicted != control.clock_contradicted {
            control.clock_contradicted = contradicted;
            self.outputs.push_back(Output::ClockContradicted(contradicted));
        }
        any
    }

    /// When the Docket has something to do even if nothing arrives.
    pub(crate) fn election_due(&self) -> Option<u64> {
        let control = self.control.as_ref()?;
        let role = control.docket.role();
        if self.greeting.replicas == 1 && role == Role::Leader {
            return None;
        }
        let outstanding = control.docket.is_outstanding() || self.log.has_unwritten();
        let election = control.election.next_due(role, outstanding);
        let handing = [control.handing.as_ref().map(Handing::until), control.hand_over_until];
        let others = [control.lease.next_due(), control.coordinator.next_due()];
        others.into_iter().chain(handing).flatten().chain([election]).min()
    }

    /// As leader: forms the next slot, if it is time.
    fn form_slot(&mut self) -> bool {
        let promised = self.usher.promised();
        let Now { wall_ns, monotonic_ns } = self.now;
        let clock = StreamTime(wall_ns);
        let Some(Control { docket, coordinator, clocks, logic, .. }) = &mut self.control else {
            return false;
        };
        let agreement = clocks.agreement(wall_ns, monotonic_ns);
        let agreed = agreement == Agreement::Agreed || canary::armed(Canary::OwnClock);
        if docket.role() != Role::Leader || !agreed {
            return false;
        }
        let alone = coordinator.wants_slot() && self.usher.room.takes_flag(promised);
        let mut controls = logic.to_order();
        if !controls.is_empty() && !self.usher.room.takes_flag(promised) {
            controls.clear();
        }
        let flag = match (coordinator.wants_flag(), alone) {
            (_, true) => CheckpointFlag::Alone,
            (true, false) => CheckpointFlag::Raised,
            (false, false) => CheckpointFlag::Lowered,
        };
        docket.form(clock, flag, &controls)
    }

    fn carry_out_effects(&mut self) -> bool {
        let mut any = false;
        while let Some(effect) = self.control().docket.poll_effect() {
            any = true;
            match effect {
                Effect::Send { to, message } => {
                    if let DocketMessage::Heartbeat { ballot, sequence, .. } = message {
                        self.control().lease.handle_sent(ballot, sequence);
                    }
                    let message = self.of_docket(message);
                    // What is lost is said again with the next heartbeat, or after the next election timeout.
                    self.send_peer(to, Lane::Control, &message);
                }
                Effect::WritePromise(ballot) => self.control().coordinator.write_promise(ballot),
                Effect::WriteGenerations(known) => self.write_generations(known),
                Effect::EndRejoin => self.control().coordinator.write_rejoined(),
                Effect::WriteAccept(proposal) => self.write_accept(proposal),
                Effect::WantStripe { stripe, from } => {
                    let owner = self.layout.owner(stripe.id.shard);
                    let from = from.unwrap_or(self.greeting.replica);
                    self.send(owner, CoreMessage::WantStripe { id: stripe.id, bytes: stripe.bytes, from });
                }
                Effect::ResetElectionTimer => {
                    let now = self.now.monotonic_ns;
                    self.control().election.reset(now);
                }
                // Events are admitted once all that was inherited is executed: see `tell_leading`.
                Effect::Lead { .. } => {}
                Effect::Unlead { named } => {
                    let named = Arc::new(named);
                    self.control().told_lead = Ballot::NONE;
                    self.control().forget_leading_watchers();
                    self.control().told_open = false;
                    self.tell_cores(|| CoreMessage::Unlead { named: Arc::clone(&named) });
                }
                Effect::HandedOver { to } => self.handed_over(to),
                Effect::Voided(stripes) => {
                    let stripes = Arc::new(stripes);
                    self.tell_cores(|| CoreMessage::Voided(Arc::clone(&stripes)));
                }
                Effect::Release { below } => {
                    let control = self.control();
                    let chosen = control.docket.watermarks().chosen;
                    control.releases.push_back((chosen, below));
                }
                Effect::ReadChosen { to, from } => self.read_chosen(to, from),
                Effect::WantCheckpoint { from, chosen } => self.tell_checkpoint_needed(from, chosen),
                Effect::Alarm(alarm) => self.outputs.push_back(Output::Alarm(alarm)),
            }
        }
        any
    }

    pub(crate) fn tell_cores(&mut self, message: impl Fn() -> CoreMessage) {
        for core in self.layout.cores() {
            self.send(core, message());
        }
    }

    fn write_accept(&mut self, proposal: Proposal) {
        let Proposal { ballot, slot, fresh, ordered, bytes, chosen } = proposal;
        let Manifest { checkpoint, .. } = ordered.manifest;
        self.control().coordinator.handle_formed(slot, log_bytes(&ordered.manifest), checkpoint);
        self.control().logic.handle_formed(&ordered.manifest);
        let payload = Accept::encode(ballot, fresh, chosen, &bytes);
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(&payload);
        let entry = Entry::Accept { slot, ballot, manifest: ordered.hash };
        if let Err(full) = self.log.append(entry, buffer) {
            panic!("no room for the accept record {:?}, for which a reserve is kept", full.entry);
        }
        self.log_busy_since = Some(self.now.monotonic_ns);
    }

    /// An accept record is durable, with everything before it.
    pub(crate) fn take_accept_durable(&mut self, slot: Slot, ballot: Ballot, location: RecordLocation) {
        self.checkpoints.retention.note_slot(location.segment, slot);
        let control = self.control();
        control.accepts.insert(slot, location);
        control.docket.handle_accept_durable(slot, ballot);
        control.mark = control.mark.max(Mark { ballot, slot });
        let mark = control.mark;
        self.mark(mark);
    }

    /// Every core learns every slot, in slot order: homes follow the order of claims by it.
    fn tell_chosen_slots(&mut self) -> bool {
        if self.control().doubted {
            return false;
        }
        let mut any = false;
        loop {
            let control = self.control();
            let next = control.told_chosen.slot.next();
            if !control.replay.is_ready(next) || !control.logic.is_complete() {
                break;
            }
            let Some(ordered) = control.docket.poll_chosen() else { break };
            assert_eq!(ordered.manifest.slot, next, "slots are told chosen in order");
            control.told_chosen = Chosen { slot: next, hash: ordered.hash };
            let Manifest { time, checkpoint: flagged, .. } = ordered.manifest;
            let missing = control.logic.handle_chosen(&ordered.manifest);
            if control.replay.brings(next) {
                control.coordinator.handle_formed(next, log_bytes(&ordered.manifest), flagged);
            }
            let Brought { stripes, digests } = control.replay.take(next, ordered.hash);
            let (hash, mark) = (ordered.hash, control.mark);
            let checkpoint = control.coordinator.handle_chosen(next, flagged, time, hash, mark.ballot);
            for core in self.layout.cores() {
                let of_core = |shard: &ShardId| self.layout.owner(*shard) == core;
                let stripes = stripes.iter().filter(|(shard, _)| of_core(shard)).cloned().collect();
                let digests = digests.iter().filter(|(shard, _)| of_core(shard)).copied().collect();
                let ordered = Arc::clone(&ordered);
                self.send(core, CoreMessage::Chosen { ordered, stripes, digests, checkpoint, mark });
            }
            if let Some(logic) = missing {
                self.outputs.push_back(Output::LogicMissing { slot: next, logic });
            }
            any = true;
        }
        while let Some(below) = self.control().next_release() {
            self.tell_cores(|| CoreMessage::Release { below });
        }
        any
    }

    fn tell_published(&mut self) -> bool {
        let control = self.control();
        if control.doubted {
            // What the Docket counts as published was not.
            return false;
        }
        let published = control.docket.watermarks().published;
        let advanced = published > control.told_published;
        control.told_published = published;
        let replaying = !control.replay.is_over();
        if advanced {
            if replaying {
                self.outputs.push_back(Output::Replayed(published));
            }
            self.handle_published_through(published);
        }
        advanced | self.allow_reads(published)
    }

    /// Tells the cores who leads; and once this replica does and has executed all it inherited, to admit events (R2).
    fn tell_leading(&mut self) -> bool {
        let own = self.greeting.replica;
        let control = self.control();
        let (leader, ballot) = (control.docket.leader(), control.docket.ballot());
        let ready = control.docket.is_ready_to_serve() || canary::armed(Canary::ServeUnready);
        let leads = ballot != Ballot::NONE && ready;
        let mut any = false;
        if leader != control.told_leader {
            control.told_leader = leader;
            let promised = control.docket.promised();
            if self.greeting.replicas > 1 {
                self.outputs.push_back(Output::LeaderChanged { leader, ballot: promised });
            }
            self.tell_cores(|| CoreMessage::Leader(leader));
            any = true;
        }
        if self.control().doubted {
            return any;
        }
        if leads && self.control().told_lead != ballot && !self.stopping {
            self.control().told_lead = ballot;
            self.tell_cores(|| CoreMessage::Lead(ballot));
            any = true;
        }
        let Control { docket, told_ready, .. } = self.control();
        // A leader tells that it serves when it admits.
        let follows = leader.is_some_and(|leader| leader != own);
        if !*told_ready && follows && docket.is_ready() {
            *told_ready = true;
            self.tell_cores(|| CoreMessage::Ready);
            any = true;
        }
        any
    }

    /// A core has taken its part of a checkpoint.
    pub(crate) fn take_report(&mut self, report: CheckpointReport) {
        if self.control().doubted && !self.control().coordinator.rebuilds() {
            return;
        }
        let now = self.now.monotonic_ns;
        self.control().coordinator.handle_report(report, now);
    }

    /// What comparing checkpoints wants said, and what it found.
    fn step_coordinator(&mut self) -> bool {
        let now = self.now.monotonic_ns;
        let mut any = false;
        let published = self.control().docket.watermarks().published;
        self.control().coordinator.handle_time(published, now);
        if let Some(TakeOver { from, offer, anew }) = self.control().coordinator.poll_take_over() {
            any = true;
            let CheckpointOffer { slot, time, .. } = offer;
            self.outputs.push_back(Output::TakingOver { from, slot });
            self.tell_cores(|| CoreMessage::TakeOver { from, slot, time, anew });
        }
        while let Some(say) = self.control().coordinator.poll_say() {
            any = true;
            match say {
                Say::Told(to, told) => {
                    if let (None, CheckpointTold { slot, digest: Some(digest), active }) = (to, told)
                        && active.is_none_or(|active| active.slot < slot)
                    {
                        self.outputs.push_back(Output::CheckpointReported { slot, digest });
                    }
                    let message = PeerMessage::Checkpoint(told);
                    let peers = self.peers().filter(|peer| to.is_none_or(|to| to == *peer));
                    peers.for_each(|peer| self.send_peer(peer, Lane::Control, &message));
                }
                Say::Wanted(to, slot) => {
                    self.send_peer(to, Lane::Control, &PeerMessage::CheckpointWanted(slot));
                }
            }
        }
        while let Some(end) = self.control().coordinator.poll_end() {
            self.tell_checkpoint(end);
        }
        while let Some(finding) = self.control().coordinator.poll_finding() {
            self.take_state_finding(finding);
        }
        any
    }

    /// A message of the Docket, with what is said with each: the clock, and what is known of disks.
    pub(crate) fn of_docket(&mut self, message: DocketMessage) -> PeerMessage<'static> {
        let (clock_ns, generations) = (self.now.wall_ns, self.docket().generations());
        PeerMessage::Docket { clock_ns, generations, message }
    }

    pub(crate) fn control(&mut self) -> &mut Control {
        match &mut self.control {
            Some(control) => control,
            None => panic!("core {} is not the control core", self.id),
        }
    }

    pub(crate) fn docket(&mut self) -> &mut Docket {
        &mut self.control().docket
    }
}

/// What a slot takes of the logs: its stripes, and twice its accept record.
fn log_bytes(manifest: &Manifest) -> u64 {
    let stripes = manifest.stripes.iter().map(|stripe| BlockBuffer::record_bytes(stripe.bytes as usize));
    let accept = BlockBuffer::record_bytes(manifest.encoded_bytes() + ACCEPT_HEADER_BYTES);
    (stripes.sum::<usize>() + 2 * accept) as u64
}
