//! One replica: its Docket, its disk with what is on the way there, and a node that does what the Docket wants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use assize_consensus::{CheckpointFlag, Docket, DocketConfig, Effect, LogTip, Offer, Watermarks};
use assize_wire::manifest::StripeRef;
use assize_wire::peer::{DocketMessage, Generation, Generations};
use assize_wire::{Ballot, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

use crate::disk::{Block, Disk, Record, names};
use crate::rng::Rng;
use crate::truth::Truth;

pub const SHARDS: u16 = 2;

/// What a replica wants of the others.
pub enum Outgoing {
    /// With what its sender knew of disks.
    Message(ReplicaId, Generations, DocketMessage),
    /// A stripe was sealed: its shard pushes it to every peer.
    Push(StripeId),
    /// The peer's log does not reach back: take over this one's checkpoint.
    WantCheckpoint(ReplicaId),
}

/// What the superblock is to hold, in the order in which it was asked for.
#[derive(Clone, Copy, Debug)]
enum Update {
    Promise(Ballot),
    Generations(Generations),
    Rejoined,
}

pub struct Replica {
    pub config: DocketConfig,
    pub disk: Disk,
    /// Nothing while it is down.
    pub docket: Option<Docket>,
    /// Records of the Docket's log on their way.
    log: VecDeque<Record>,
    superblock: VecDeque<Update>,
    /// Stripes on their way into other logs.
    stripes: Vec<StripeId>,
    /// Stripes asked for.
    pub wanted: BTreeMap<StripeId, StripeRef>,
    /// What the shards have been told and have not published.
    owed: Vec<(Slot, ShardId)>,
    /// The values written here, as a start would find them if all were durable.
    held: BTreeMap<Slot, (Hash, Ballot)>,
    marks: Watermarks,
    last_told: Slot,
    sealed: u64,
    /// Times that passed since the election timer was reset; for runs with clocks.
    pub since_reset: u64,
    pub outgoing: Vec<Outgoing>,
    pub quarantined: bool,
    /// Whether anything in its log ever decayed.
    decayed: bool,
}

impl Replica {
    pub fn new(config: DocketConfig, truth: &mut Truth) -> Replica {
        let mut replica = Replica {
            config,
            disk: Disk::new(),
            docket: None,
            log: VecDeque::new(),
            superblock: VecDeque::new(),
            stripes: Vec::new(),
            wanted: BTreeMap::new(),
            owed: Vec::new(),
            held: BTreeMap::new(),
            marks: Watermarks::default(),
            last_told: Slot::ZERO,
            sealed: 0,
            since_reset: 0,
            outgoing: Vec::new(),
            quarantined: false,
            decayed: false,
        };
        replica.disk.generations.learn(replica.id(), Generation::first(1));
        replica.start(truth);
        replica
    }

    /// The disk that it has.
    pub fn generation(&self) -> Generation {
        self.disk.generations.of(self.id())
    }

    /// One that is down has lost its disk, and is given another one.
    pub fn lose_disk(&mut self, truth: &mut Truth) {
        let formatted = self.generation().formatted_ns() + 1;
        self.disk = Disk::new();
        self.disk.generations.learn(self.id(), Generation::rejoined(formatted));
        self.disk.rejoins = true;
        self.decayed = false;
        truth.note_lost(self.id());
    }

    pub fn id(&self) -> ReplicaId {
        self.config.replica
    }

    pub fn is_up(&self) -> bool {
        self.docket.is_some()
    }

    pub fn start(&mut self, truth: &mut Truth) {
        self.disk.begin();
        let start = self.disk.recover();
        truth.events.damaged_starts += u64::from(!start.damaged.is_empty());
        truth.events.doubtful_starts += u64::from(!start.doubtful.is_empty());
        self.held = self.disk.chain();
        self.last_told = start.tip.slot;
        self.since_reset = 0;
        for (ordered, _) in &start.accepted {
            for id in names(ordered) {
                assert!(
                    self.disk.stripes.contains(&id),
                    "an accept record is durable before its stripe (P2)"
                );
            }
        }
        let mut docket = Docket::new(self.config, start);
        if self.quarantined {
            docket.quarantine();
        }
        self.marks = docket.watermarks();
        self.docket = Some(docket);
    }

    /// Stops at once. Of what was on its way a random part is durable: in one log what comes first, and sometimes
    /// something whole behind what is torn.
    pub fn crash(&mut self, rng: &mut Rng, truth: &mut Truth) {
        self.docket = None;
        let kept = rng.below(self.log.len() + 1);
        let mut on_way = std::mem::take(&mut self.log).into_iter();
        for record in on_way.by_ref().take(kept) {
            self.make_durable(record, truth);
        }
        let landed = if rng.per_mille(500) { rng.below(on_way.len() + 1) } else { 0 };
        let mut first = true;
        for mut record in on_way.take(landed) {
            if let Record::Accept { block, .. } = &mut record {
                let torn = std::mem::take(&mut first) || rng.per_mille(300);
                *block = if torn { Block::Garbled } else { Block::Whole };
            }
            self.disk.append(record);
        }
        let kept = rng.below(self.superblock.len() + 1);
        for update in std::mem::take(&mut self.superblock).into_iter().take(kept) {
            self.update(update, truth);
        }
        for id in std::mem::take(&mut self.stripes) {
            if rng.per_mille(500) {
                self.disk.stripes.insert(id);
            }
        }
        self.wanted.clear();
        self.owed.clear();
        self.outgoing.clear();
    }

    /// One accept record that is durable cannot be read any more. Says whether there was one.
    pub fn damage(&mut self, rng: &mut Rng) -> bool {
        let from = self.disk.checkpoint.slot;
        let readable: Vec<usize> = (0..self.disk.log.len())
            .filter(|at| match &self.disk.log[*at] {
                Record::Accept { proposal, block, .. } => *block == Block::Whole && proposal.slot > from,
                Record::Stripe(_) => false,
            })
            .collect();
        // Mostly one of the last.
        let Some(last) = readable.len().checked_sub(1) else { return false };
        let (at, garbled) = (last - rng.below(readable.len().min(3)), rng.per_mille(500));
        // What is garbled at the very end looks torn, until a mark is written: that is not survivable. Rather something
        // that only looks so.
        let may_be_torn = readable[..last].iter().rev().find(|at| self.disk.may_look_torn(**at));
        let (at, block) = match may_be_torn {
            Some(at) if garbled => (*at, Block::Garbled),
            _ if garbled && at < last => (readable[at], Block::Garbled),
            _ => (readable[at], Block::Unreadable),
        };
        self.disk.set_block(at, block);
        self.decayed = true;
        true
    }

    /// Whether something decayed here, and nothing shows yet that it is repaired.
    pub fn is_damaged(&self) -> bool {
        let start = self.disk.recover();
        let unrepaired = !start.damaged.is_empty() || !start.doubtful.is_empty();
        self.decayed && (unrepaired || self.docket.as_ref().is_some_and(|docket| docket.is_damaged()))
    }

    /// A checkpoint of what it has published becomes active; taken into account at the next start.
    pub fn take_checkpoint(&mut self) {
        let published = self.marks.published;
        let at = self.disk.accepts().filter(|(proposal, _)| proposal.slot == published).last();
        if let Some((proposal, true)) = at
            && published > self.disk.checkpoint.slot
            && self.held.get(&published).is_some_and(|(hash, _)| *hash == proposal.ordered.hash)
            && !self.quarantined
        {
            let (hash, time) = (proposal.ordered.hash, proposal.ordered.manifest.time);
            self.disk.checkpoint = LogTip { slot: published, hash, time };
        }
    }

    /// Performs what the Docket wants, and holds it against the truth.
    pub fn settle(&mut self, truth: &mut Truth) {
        let Some(mut docket) = self.docket.take() else { return };
        loop {
            let mut moved = false;
            while let Some(effect) = docket.poll_effect() {
                moved = true;
                self.perform(effect, &mut docket, truth);
            }
            while let Some(ordered) = docket.poll_chosen() {
                moved = true;
                let slot = ordered.manifest.slot;
                assert_eq!(slot, self.last_told.next(), "told out of slot order");
                self.last_told = slot;
                truth.check_chosen(self.id(), slot, ordered.hash);
                self.owed.extend(ordered.manifest.stripes.iter().map(|stripe| (slot, stripe.id.shard)));
            }
            if !moved {
                break;
            }
        }
        docket.check_invariants();
        let marks = docket.watermarks();
        assert!(
            marks.chosen >= self.marks.chosen && marks.published >= self.marks.published,
            "a mark fell (R4)"
        );
        for slot in self.marks.chosen.0 + 1..=marks.chosen.0 {
            let (hash, _) = self.held[&Slot(slot)];
            truth.check_chosen(self.id(), Slot(slot), hash);
        }
        if self.quarantined {
            self.last_told = marks.chosen;
        }
        self.marks = marks;
        self.docket = Some(docket);
    }

    fn perform(&mut self, effect: Effect, docket: &mut Docket, truth: &mut Truth) {
        match effect {
            Effect::Send { to, message } => {
                self.check_sent(&message, truth);
                self.outgoing.push(Outgoing::Message(to, docket.generations(), message));
            }
            Effect::WritePromise(ballot) => self.superblock.push_back(Update::Promise(ballot)),
            Effect::WriteGenerations(known) => self.superblock.push_back(Update::Generations(known)),
            Effect::EndRejoin => self.superblock.push_back(Update::Rejoined),
            Effect::WriteAccept(proposal) => {
                let slot = proposal.slot;
                match self.held.get(&slot) {
                    Some((hash, _)) if *hash == proposal.ordered.hash => truth.events.accepted_again += 1,
                    Some(_) => {
                        truth.events.replaced += 1;
                        self.held.split_off(&slot);
                    }
                    None => {}
                }
                self.held.insert(slot, (proposal.ordered.hash, proposal.ballot));
                self.log.push_back(self.disk.accept(proposal));
            }
            Effect::WantStripe { stripe, .. } => {
                if self.disk.stripes.contains(&stripe.id) {
                    docket.handle_stripe_stored(stripe.id);
                } else {
                    self.wanted.insert(stripe.id, stripe);
                }
            }
            Effect::ResetElectionTimer => self.since_reset = 0,
            Effect::Lead { ballot } => {
                assert!(self.disk.promised() >= ballot, "leads under {ballot} before it is durable (P1)");
                truth.note_led(ballot, self.id());
                self.sealed = 0;
            }
            Effect::Unlead { .. } | Effect::HandedOver { .. } | Effect::Voided(_) => {}
            Effect::Release { below } => self.release(below, docket, truth),
            Effect::ReadChosen { to, from } => self.read_chosen(to, from, docket),
            Effect::WantCheckpoint { from, .. } => self.outgoing.push(Outgoing::WantCheckpoint(from)),
            Effect::Alarm(alarm) => panic!("replica {} alarms: {alarm}", self.id()),
        }
    }

    /// P1, P2, P3, P6: what a message promises is durable.
    fn check_sent(&self, message: &DocketMessage, truth: &mut Truth) {
        let durable = self.disk.promised();
        let votes = matches!(
            message,
            DocketMessage::Prepare { .. }
                | DocketMessage::Promise { .. }
                | DocketMessage::Accepted { .. }
                | DocketMessage::HeartbeatAnswer { .. }
                | DocketMessage::Told { .. }
        );
        assert!(!votes || !self.disk.rejoins, "{message:?} of one that has no vote (R3)");
        match message {
            DocketMessage::Handover { .. } => truth.events.handovers += 1,
            DocketMessage::Prepare { ballot, .. } | DocketMessage::Promise { ballot, .. } => {
                assert!(*ballot <= durable, "{message:?} before it is durable: {durable}");
            }
            DocketMessage::Accept { ballot, ordered, .. } => {
                truth.note_proposed(ordered.manifest.slot, *ballot, ordered.hash);
            }
            DocketMessage::Accepted { ballot, slot }
            | DocketMessage::HeartbeatAnswer { ballot, accepted: slot, .. } => {
                let chain = self.disk.chain();
                for slot in (self.disk.checkpoint.slot.0 + 1..=slot.0).map(Slot) {
                    let (hash, under) = chain.get(&slot).copied().unwrap_or_default();
                    let whole = under == *ballot || truth.is_chosen(slot, hash);
                    assert!(whole, "{message:?}: slot {slot} is durable under {under} only (P3)");
                }
            }
            _ => {}
        }
    }

    /// P8: drops at once what it may: what no slot here names.
    fn release(&mut self, below: Ballot, docket: &mut Docket, truth: &mut Truth) {
        let named = self.named();
        let droppable = |id: &StripeId| ballot_of(*id) < below && !named.contains(id);
        let dropped: Vec<StripeId> = self.disk.stripes.iter().copied().filter(droppable).collect();
        truth.events.released += dropped.len() as u64;
        for id in dropped {
            self.disk.stripes.remove(&id);
            docket.handle_stripe_lost(id);
        }
    }

    /// Every stripe that an accept record names, written or on its way.
    pub fn named(&self) -> BTreeSet<StripeId> {
        let mut named = BTreeSet::new();
        for record in self.disk.log.iter().chain(&self.log) {
            if let Record::Accept { proposal, .. } = record {
                named.extend(names(&proposal.ordered));
            }
        }
        named
    }

    fn read_chosen(&mut self, to: ReplicaId, from: Slot, docket: &Docket) {
        let (chosen, ballot) = (docket.watermarks().chosen, docket.promised());
        let mut slots: Vec<std::sync::Arc<assize_wire::manifest::Ordered>> = Vec::new();
        if from > self.disk.checkpoint.slot {
            let start = self.disk.recover();
            let found = start.accepted.iter().map(|(ordered, _)| ordered);
            slots.extend(found.filter(|o| o.manifest.slot >= from && o.manifest.slot <= chosen).cloned());
        }
        let hash = self.held.get(&chosen).map_or(self.disk.checkpoint.hash, |(hash, _)| *hash);
        let chosen = assize_wire::peer::Chosen { slot: chosen, hash };
        let message = DocketMessage::Fetched { ballot, slots, chosen };
        self.outgoing.push(Outgoing::Message(to, docket.generations(), message));
    }

    /// A shard of this replica seals a stripe, if it leads.
    pub fn seal(&mut self, shard: u16) {
        let Some(docket) = &mut self.docket else { return };
        let ballot = docket.ballot();
        if ballot == Ballot::NONE {
            return;
        }
        self.sealed += 1;
        let id = stripe_id(ballot, shard, self.sealed);
        let stripe = StripeRef { id, home_mask: 1, events: 1, bytes: 64 };
        let in_docket_log = shard == 0;
        if in_docket_log {
            self.log.push_back(Record::Stripe(id));
        } else {
            self.stripes.push(id);
        }
        docket.handle_offer(Offer { ballot, stripe, in_docket_log });
        self.outgoing.push(Outgoing::Push(id));
    }

    pub fn form(&mut self, flag: CheckpointFlag) -> bool {
        self.docket.as_mut().is_some_and(|docket| docket.form(StreamTime(1), flag, &[]))
    }

    /// A peer's stripe came.
    pub fn receive_stripe(&mut self, id: StripeId) {
        let Some(docket) = &mut self.docket else { return };
        self.wanted.remove(&id);
        let on_way = self.stripes.contains(&id)
            || self.log.iter().any(|record| matches!(record, Record::Stripe(known) if *known == id));
        if self.disk.stripes.contains(&id) {
            docket.handle_stripe_stored(id);
        } else if on_way {
        } else if id.shard == ShardId(0) {
            // It stands before every accept record that is appended from now on.
            self.log.push_back(Record::Stripe(id));
            docket.handle_stripe_stored(id);
        } else {
            self.stripes.push(id);
        }
    }

    /// Whether it can give this stripe to a peer.
    pub fn has_stripe(&self, id: StripeId) -> bool {
        self.is_up() && self.disk.stripes.contains(&id)
    }

    pub fn lose_stripe(&mut self, id: StripeId) {
        if let Some(docket) = &mut self.docket
            && self.disk.stripes.remove(&id)
        {
            docket.handle_stripe_lost(id);
        }
    }

    /// Completes one write, if one is on its way. Says whether one was.
    pub fn complete_io(&mut self, rng: &mut Rng, truth: &mut Truth) -> bool {
        if self.docket.is_none() {
            return false;
        }
        let [logs, promises, stripes] = [self.log.len(), self.superblock.len(), self.stripes.len()];
        let choices: Vec<u8> = [(0, logs), (1, promises), (2, stripes)]
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(c, _)| *c)
            .collect();
        if choices.is_empty() {
            return false;
        }
        match rng.pick(&choices) {
            0 => {
                let Some(record) = self.log.pop_front() else { return false };
                let accept = match &record {
                    Record::Accept { proposal, .. } => Some((proposal.slot, proposal.ballot)),
                    Record::Stripe(_) => None,
                };
                self.make_durable(record, truth);
                if let (Some((slot, ballot)), Some(docket)) = (accept, &mut self.docket) {
                    docket.handle_accept_durable(slot, ballot);
                }
            }
            1 => {
                let Some(update) = self.superblock.pop_front() else { return false };
                self.update(update, truth);
                if let Some(docket) = &mut self.docket {
                    match update {
                        Update::Promise(ballot) => docket.handle_promise_durable(ballot),
                        Update::Generations(known) => docket.handle_generations_durable(known),
                        Update::Rejoined => docket.handle_rejoin_ended(),
                    }
                }
            }
            _ => {
                let id = self.stripes.swap_remove(rng.below(stripes));
                self.disk.stripes.insert(id);
                if let Some(docket) = &mut self.docket {
                    docket.handle_stripe_stored(id);
                }
            }
        }
        true
    }

    /// The superblock holds it.
    fn update(&mut self, update: Update, truth: &mut Truth) {
        match update {
            Update::Promise(ballot) => self.disk.promised = self.disk.promised.max(ballot),
            Update::Generations(known) => self.disk.generations = known,
            Update::Rejoined => {
                self.disk.rejoins = false;
                truth.events.rejoined += 1;
            }
        }
    }

    fn make_durable(&mut self, record: Record, truth: &mut Truth) {
        if let Record::Accept { proposal, .. } = &record {
            for id in names(&proposal.ordered) {
                assert!(
                    self.disk.stripes.contains(&id),
                    "slot {} is accepted without {id:?} (P2)",
                    proposal.slot
                );
            }
            truth.note_durable(self.id(), proposal);
        }
        self.disk.append(record);
    }

    /// A shard publishes its next stripe. Says whether one did.
    pub fn publish(&mut self, rng: &mut Rng) -> bool {
        if self.owed.is_empty() || !self.is_up() {
            return false;
        }
        let shard = self.owed[rng.below(self.owed.len())].1;
        let Some(at) = self.owed.iter().position(|(_, of)| *of == shard) else { return false };
        let (slot, shard) = self.owed.remove(at);
        if let Some(docket) = &mut self.docket {
            docket.handle_published(slot, shard);
        }
        true
    }

    pub fn marks(&self) -> Watermarks {
        self.marks
    }
}

/// Identities hold the ballot of their sealing, as a stripe's bytes do.
pub fn stripe_id(ballot: Ballot, shard: u16, counter: u64) -> StripeId {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&(ballot.to_raw() as u32).to_be_bytes());
    hash[4..8].copy_from_slice(&(counter as u32).to_be_bytes());
    StripeId { shard: ShardId(shard), hash: Hash(hash) }
}

fn ballot_of(id: StripeId) -> Ballot {
    let mut raw = [0; 4];
    raw.copy_from_slice(&id.hash.0[..4]);
    Ballot::from_raw(u64::from(u32::from_be_bytes(raw)))
}
