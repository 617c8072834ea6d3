//! The state machine of the replicated log on one replica: its state, its inputs and outputs. What a role does stands
//! in `leader.rs`, `candidate.rs` and `follower.rs`, how values enter the log in `accept.rs`, catching up in
//! `catch_up.rs`.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::manifest::Ordered;
use assize_wire::peer::{Chosen, DocketMessage, Generation, Generations};
use assize_wire::{Ballot, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

use crate::accept::Writing;
use crate::candidate::Preparing;
use crate::catch_up::{Fetch, Heard};
use crate::effect::Effect;
use crate::intake::{Early, Intake};
use crate::leader::Leading;
use crate::lease::Leases;
use crate::log::{Chain, Held, LogTip};
use crate::offers::{Offer, Offers};
use crate::quorum::Replicas;
use crate::rejoin::Disks;
use crate::stripes::Stripes;

/// What the Docket is told at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DocketConfig {
    /// This replica.
    pub replica: ReplicaId,
    /// Voting replicas of the cluster: 1, 3 or 5.
    pub replicas: u8,
    /// Shards of the cluster.
    pub shards: u16,
    /// Slots that may be formed and not yet published by a leader, or told and not yet published on any replica.
    pub window: u32,
    /// For how long an answered heartbeat promises its leader no other ballot (P11), in nanoseconds; 0 is never.
    pub lease_ns: u64,
}

/// What recovery found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocketStart {
    /// The checkpoint, or [`LogTip::START`]: chosen and executed up to here.
    pub tip: LogTip,
    /// Slots above the tip, each chained to the one below, without a gap, with the ballot of its last record. All their
    /// stripes are here.
    pub accepted: Vec<(Arc<Ordered>, Ballot)>,
    /// Slots above those that were accepted once and cannot be read now, with the hash if it is known (P5).
    pub damaged: Vec<(Slot, Option<Hash>)>,
    /// Slots at which an accept may be lost that a crash may just as well have torn (L5), with the hash of what it may
    /// have been, if that is known. `accepted` has what was there before.
    pub doubtful: Vec<(Slot, Option<Hash>)>,
    /// Known chosen through here. With one replica everything accepted is chosen.
    pub chosen: Slot,
    /// At or above every ballot in the superblock and in any accept record, those included that cannot be read any more
    /// (P3): before anything is accepted under a ballot the superblock holds it.
    pub promised: Ballot,
    /// Stripes in the logs that no accepted slot names.
    pub stored: Vec<StripeId>,
    /// The disks of all replicas, as far as the superblock knows them, this one's among them (R3).
    pub generations: Generations,
    /// This disk is in place of one that was lost, and has no vote yet.
    pub rejoins: bool,
}

/// What a replica does for the log at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It accepts.
    Follower,
    /// It wants to lead.
    Candidate,
    /// It leads.
    Leader,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Following,
    /// It asks whether it could win. Nothing is promised by that: meanwhile it follows.
    Canvassing {
        ballot: Ballot,
        granted: Replicas,
    },
    /// It has promised itself its own ballot, and gathers the promises of others.
    Preparing(Preparing),
    Leading(Leading),
}

/// Whether what this replica says of itself means anything (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Readiness {
    /// No leader was heard since the start.
    NotJoined,
    /// Once this slot is published, which the first leader heard, or this replica when it first led, knew chosen.
    At(Slot),
    Ready,
}

/// The replicated log on one replica.
///
/// Order of calls: any `handle_*` or command, in any order; after each (or after a batch of them)
/// [`Docket::poll_effect`] and [`Docket::poll_chosen`] until they return nothing. Completions come in the order of
/// their effects.
///
/// Invariants, checked by [`Docket::check_invariants`]:
/// * `published <= told <= chosen <= accepted <= formed`; `told - published <= window`.
/// * The chain in memory has every slot above `published`, each chained to the one below (P4).
/// * `chosen = min(fact, durable)`: what is executed is known chosen and durable here.
/// * `fact <= written`, and the intake begins right above `written`.
/// * `promised` is at or above every ballot under which a slot known chosen here was chosen: so a leader under this or
///   a higher ballot never has another value there (P7).
/// * A ballot is led under, or prepared, once (P1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Docket {
    pub(crate) config: DocketConfig,
    pub(crate) state: State,
    /// No proposal, prepare or heartbeat under a lower ballot is heeded.
    pub(crate) promised: Ballot,
    /// What of that is durable, by the superblock or by an accept record (P3): nothing is answered to a prepare before.
    pub(crate) promised_durable: Ballot,
    /// The highest ballot whose promise was given to the superblock.
    pub(crate) promise_written: Ballot,
    /// The highest ballot heard of anywhere: the next own one is above it.
    pub(crate) seen: Ballot,
    /// Whose prepare under `promised` waits for that promise to be durable, and from which slot it wants to know.
    pub(crate) asked: Option<(ReplicaId, Slot)>,
    /// Who leads under `promised`, once it was heard.
    pub(crate) leader: Option<ReplicaId>,
    /// Whether the leader is heard and moves on: as long as it does, nobody else is told that he could win (P9).
    pub(crate) hears_leader: bool,
    /// What the leader last said to be chosen in a heartbeat that counted.
    pub(crate) counted: Slot,
    /// That, when a lease was last given.
    pub(crate) leased: Slot,
    pub(crate) leases: Leases,
    pub(crate) readiness: Readiness,
    pub(crate) connected: Replicas,
    pub(crate) chain: Chain,
    /// Slots above the chain that were accepted once and cannot be read now, ascending (P5).
    pub(crate) damaged: Vec<(Slot, Option<Hash>)>,
    /// Slots, ascending, at which a later accept than the chain has may be lost: from the first one up a promise of
    /// this replica counts only where all others count, too (P5).
    pub(crate) doubtful: Vec<(Slot, Option<Hash>)>,
    /// Not below the ballot of whatever may be lost there: what was promised before this start.
    pub(crate) doubt_bound: Ballot,
    /// Values to be written, right above `written`.
    pub(crate) intake: Intake,
    pub(crate) early: Early,
    /// Accept records that the log surely still takes; the highest number where nobody said.
    pub(crate) accept_room: u64,
    /// Whether the log gets room for more by itself, as soon as it is prepared.
    pub(crate) room_to_come: bool,
    /// Whether the logs lack room for what is proposed, and election timeouts that passed by for that.
    pub(crate) short_of_room: bool,
    pub(crate) passed_by: u8,
    /// Accept records on their way, in write order.
    pub(crate) writing: VecDeque<Writing>,
    /// Everything in the chain through here was given to the log under `promised`, or is known chosen.
    pub(crate) written: Slot,
    /// Everything in the chain through here has a durable record of its present value.
    pub(crate) durable: Slot,
    /// Everything in the chain through here is chosen (P7).
    pub(crate) fact: Slot,
    /// See [`Watermarks::accepted`].
    pub(crate) accepted: Slot,
    /// See [`Watermarks::chosen`].
    pub(crate) chosen: Slot,
    /// The slot up to which [`Docket::poll_chosen`] has told of choices.
    pub(crate) told: Slot,
    pub(crate) published: Slot,
    /// The active checkpoint: stripes at or below are gone, so nobody is sent what names them.
    pub(crate) checkpoint: Slot,
    pub(crate) heard: Heard,
    pub(crate) fetch: Option<Fetch>,
    /// Whether a canvass is to be repeated once this replica has caught up; once per election timeout.
    pub(crate) canvass_again: bool,
    pub(crate) stripes: Stripes,
    pub(crate) offers: Offers,
    /// The ballot of the last [`Effect::Release`].
    pub(crate) released: Ballot,
    pub(crate) quarantined: bool,
    pub(crate) disks: Disks,
    /// Whether the leader is to be told how far this replica has accepted.
    pub(crate) report_due: bool,
    pub(crate) effects: VecDeque<Effect>,
}

impl Docket {
    /// A Docket that follows, with what recovery found.
    ///
    /// # Panics
    /// When that is not one chain, or a single replica has damaged slots: recovery promised otherwise (P4, L5).
    #[must_use]
    pub fn new(config: DocketConfig, start: DocketStart) -> Docket {
        assert!(matches!(config.replicas, 1 | 3 | 5), "{} replicas", config.replicas);
        assert!(config.replica.0 < config.replicas, "replica {} of {}", config.replica, config.replicas);
        assert!(config.window >= 1, "a window of no slots");
        let is_whole = start.damaged.is_empty() && start.doubtful.is_empty();
        assert!(config.replicas > 1 || !start.rejoins, "it rejoins, and there are no others");
        assert!(config.replicas > 1 || is_whole, "damaged slots and nobody to repair them");
        assert!(start.chosen >= start.tip.slot, "chosen {} is below the checkpoint", start.chosen);
        let mut chain = Chain::new(start.tip);
        let mut stripes = Stripes::default();
        start.stored.into_iter().for_each(|id| stripes.store(id));
        for (ordered, ballot) in start.accepted {
            assert!(ballot <= start.promised, "an accept under {ballot}, promised {}", start.promised);
            let slot = ordered.manifest.slot;
            assert_eq!(slot, chain.tip().slot.next(), "recovered out of order");
            if slot > start.chosen && config.replicas > 1 {
                ordered.manifest.stripes.iter().for_each(|stripe| stripes.store(stripe.id));
            }
            let _ = chain.put(ordered, ballot, false);
            if let Some(held) = chain.get_mut(slot) {
                held.durable = true;
            }
        }
        let end = chain.tip().slot;
        assert!(start.damaged.iter().all(|(slot, _)| *slot > end), "damaged slots below {end}");
        let chosen = if config.replicas == 1 { end } else { start.chosen.min(end) };
        let doubtful = start.doubtful.into_iter().filter(|(slot, _)| *slot > chosen);
        Docket {
            state: State::Following,
            promised: start.promised,
            promised_durable: start.promised,
            promise_written: start.promised,
            seen: start.promised,
            asked: None,
            leader: None,
            hears_leader: false,
            counted: Slot::ZERO,
            leased: Slot::ZERO,
            leases: Leases::at_start(config.lease_ns, config.replicas),
            readiness: Readiness::NotJoined,
            connected: Replicas::default(),
            damaged: start.damaged,
            doubtful: doubtful.collect(),
            doubt_bound: start.promised,
            intake: Intake::default(),
            early: Early::default(),
            accept_room: u64::MAX,
            room_to_come: true,
            short_of_room: false,
            passed_by: 0,
            writing: VecDeque::new(),
            written: chosen,
            durable: end,
            fact: chosen,
            accepted: chosen,
            chosen,
            told: start.tip.slot,
            published: start.tip.slot,
            checkpoint: start.tip.slot,
            heard: Heard::nothing(config.replica),
            fetch: None,
            canvass_again: false,
            stripes,
            offers: Offers::new(config.shards),
            released: Ballot::NONE,
            quarantined: false,
            disks: Disks::new(config.replica, start.generations, start.rejoins),
            report_due: false,
            effects: VecDeque::new(),
            chain,
            config,
        }
    }

    /// A message of a peer; what it knew of disks is told before ([`Docket::handle_generations`]). `time_max` is this
    /// replica's clock with the skew bound added: freshly formed slots must not be beyond it (P13).
    pub fn handle_message(&mut self, from: ReplicaId, message: DocketMessage, time_max: StreamTime) {
        let is_peer = from != self.config.replica && from.0 < self.config.replicas;
        assert!(is_peer, "a message from replica {from}, which is no peer");
        if !self.takes_from(from) {
            return;
        }
        match message {
            DocketMessage::Canvass { ballot, chosen } => self.take_canvass(from, ballot, chosen),
            DocketMessage::CanvassAnswer { ballot, granted, promised, chosen } => {
                self.take_canvass_answer(from, ballot, granted, promised, chosen);
            }
            DocketMessage::Prepare { ballot, from: slot, released } => {
                self.take_prepare(from, ballot, slot, released);
            }
            DocketMessage::Promise { ballot, chosen, entries } => {
                self.take_promise(from, ballot, chosen, entries);
            }
            DocketMessage::Accept { ballot, fresh, ordered, chosen } => {
                self.take_accept(from, ballot, (fresh, ordered), chosen, time_max);
            }
            DocketMessage::Accepted { ballot, slot } => self.take_accepted(from, ballot, slot),
            DocketMessage::Refused { ballot, promised } => self.take_refused(ballot, promised),
            DocketMessage::Heartbeat { ballot, sequence, chosen, formed } => {
                self.take_heartbeat(from, ballot, sequence, chosen, formed);
            }
            // What it says of a lease is for those who have a clock.
            DocketMessage::HeartbeatAnswer { ballot, sequence, accepted, lease_ns: _, could_lead } => {
                self.take_heartbeat_answer(from, ballot, sequence, accepted, could_lead);
            }
            DocketMessage::Fetch { from: slot } => self.take_fetch(from, slot),
            DocketMessage::Fetched { ballot, slots, chosen } => {
                self.take_fetched(from, ballot, slots, chosen);
            }
            DocketMessage::Handover { ballot } => self.take_handover(from, ballot),
            DocketMessage::Rejoin { generation } => self.take_rejoin(from, generation),
            DocketMessage::Told { generation, promised, accepted, chosen } => {
                self.take_told(from, generation, promised, accepted);
                self.hear_chosen(from, chosen, promised);
            }
            DocketMessage::Voteless { ballot } => self.take_voteless(from, ballot),
        }
        self.advance();
    }

    /// Messages reach this peer from now on, which has this disk. If it is not the last one that was met, nothing is
    /// sent there, and nothing taken from there (R3).
    pub fn handle_connected(&mut self, peer: ReplicaId, generation: Generation) {
        assert!(peer != self.config.replica && peer.0 < self.config.replicas, "replica {peer} is no peer");
        if !self.link(peer, generation) {
            return;
        }
        self.connected.insert(peer);
        match &self.state {
            State::Following => {}
            State::Canvassing { ballot, .. } => {
                let message = DocketMessage::Canvass { ballot: *ballot, chosen: self.chosen };
                self.send(peer, message);
            }
            State::Preparing(preparing) => {
                let message = preparing.ask(self.promised);
                if self.promised_durable >= self.promised {
                    self.send(peer, message);
                }
            }
            State::Leading(_) => self.greet(peer),
        }
        self.ask_one(peer);
        self.want_fetch();
    }

    /// Messages do not reach this peer any more, and what was sent last may be lost.
    pub fn handle_disconnected(&mut self, peer: ReplicaId) {
        self.connected.remove(peer);
        if self.fetch.is_some_and(|fetch| fetch.to == peer) {
            self.fetch = None;
            self.want_fetch();
        }
        self.hand_over_when_due();
    }

    /// For the shortest election timeout no heartbeat counted (P9): the leader is not heard any more.
    pub fn handle_silence(&mut self) {
        self.hears_leader = false;
        if self.leader != Some(self.config.replica) {
            self.leader = None;
        }
    }

    /// For this replica's election timeout, which is drawn at random, no heartbeat counted.
    pub fn handle_election_timeout(&mut self) {
        if matches!(self.state, State::Leading(_)) || self.quarantined {
            return;
        }
        self.handle_silence();
        self.ask_to_be_told();
        self.fetch = None;
        self.want_fetch();
        self.canvass_again = false;
        if self.stands_for_election() {
            self.start_canvass();
        } else {
            self.effects.push_back(Effect::ResetElectionTimer);
        }
        self.advance();
    }

    /// On a leader, in the interval of heartbeats: everybody gets one, and again what it has not answered since the
    /// last one. Elsewhere nothing happens.
    pub fn handle_heartbeat_due(&mut self) {
        self.send_heartbeats_and_again();
    }

    /// For an election timeout nothing that is outstanding has moved (P9): a leader gives up.
    pub fn handle_stalled(&mut self) {
        self.step_down();
        self.hears_leader = false;
    }

    /// The superblock holds this promise ([`Effect::WritePromise`]).
    pub fn handle_promise_durable(&mut self, ballot: Ballot) {
        assert!(ballot <= self.promise_written, "promise {ballot} is durable and was not written");
        self.promised_durable = self.promised_durable.max(ballot);
        if ballot == self.promised {
            self.go_on_with_promise();
        }
        self.drain_intake();
        self.advance();
    }

    /// A shard of this replica sealed a stripe. Under another ballot than the one led under it is not taken (P8): that
    /// was sealed before [`Effect::Unlead`], and is discarded.
    pub fn handle_offer(&mut self, offer: Offer) {
        if offer.ballot != self.ballot() || self.ballot() == Ballot::NONE {
            return;
        }
        let id = offer.stripe.id;
        if offer.in_docket_log {
            self.stripes.store(id);
        }
        self.offers.push(offer.stripe, self.stripes.has(&id));
    }

    /// A stripe, of this replica or of a peer, is durable here, or stands in the Docket's log before any accept record
    /// that is appended from now on. May be told twice before its slot is chosen.
    pub fn handle_stripe_stored(&mut self, id: StripeId) {
        self.stripes.store(id);
        self.offers.mark(id, true);
        self.drain_intake();
        self.advance();
    }

    /// A stripe was dropped or is damaged: it is no longer stored here.
    pub fn handle_stripe_lost(&mut self, id: StripeId) {
        self.stripes.lose(&id);
        self.offers.mark(id, false);
        let is_named =
            |manifest: &assize_wire::manifest::Manifest| manifest.stripes.iter().any(|s| s.id == id);
        let needed = self.intake.iter().find(|pending| is_named(&pending.ordered.manifest)).cloned();
        if let Some(pending) = needed {
            self.want_stripes(&pending.ordered, pending.from);
        }
    }

    /// The accept record of `slot` under `ballot` is durable, with everything that was to be before it
    /// ([`Effect::WriteAccept`]).
    pub fn handle_accept_durable(&mut self, slot: Slot, ballot: Ballot) {
        self.take_durable(slot, ballot);
        self.advance();
    }

    /// A shard published its stripe of `slot` (C3: in slot order).
    pub fn handle_published(&mut self, slot: Slot, shard: ShardId) {
        if self.quarantined {
            return;
        }
        let (published, told) = (self.published, self.told);
        assert!(
            slot > published && slot <= told,
            "shard {shard} published slot {slot}, outside {published} ..= {told}"
        );
        let Some(held) = self.chain.get_mut(slot) else {
            panic!("slot {slot} is not in memory; published {published}, told {told}");
        };
        let bit = 1 << shard.0;
        assert!(held.owing & bit != 0, "shard {shard} published slot {slot} twice or has no stripe in it");
        held.owing &= !bit;
        self.advance_published();
    }

    /// A checkpoint is active: what it makes superfluous is gone from this replica's log, stripes first. Whoever lacks
    /// it is sent none of it (P7), and cannot win with this replica's promise (P9).
    pub fn handle_checkpoint(&mut self, slot: Slot) {
        self.checkpoint = self.checkpoint.max(slot);
    }

    /// This replica's arithmetic is in doubt (C5): it leads no more and executes nothing, but still accepts. What is
    /// chosen counts as published.
    pub fn quarantine(&mut self) {
        self.step_down();
        self.state = State::Following;
        self.quarantined = true;
        self.advance();
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.flush_report();
            self.flush_heartbeats();
        }
        self.effects.pop_front()
    }

    /// The next slot to execute, in slot order: chosen, and at most a window of them told and not yet published.
    pub fn poll_chosen(&mut self) -> Option<Arc<Ordered>> {
        let open = self.told.0 - self.published.0;
        if self.told >= self.chosen || open >= u64::from(self.config.window) {
            return None;
        }
        self.told = self.told.next();
        let ordered = self.chain.get(self.told).map(|held| Arc::clone(&held.ordered));
        self.advance_published();
        ordered
    }

    /// A leader is joined that knows this chosen, or one that took over this log is this replica.
    pub(crate) fn join(&mut self, slot: Slot) {
        if self.readiness == Readiness::NotJoined {
            self.readiness = if self.published >= slot { Readiness::Ready } else { Readiness::At(slot) };
        }
    }

    pub(crate) fn send(&mut self, to: ReplicaId, message: DocketMessage) {
        if self.connected.has(to) {
            self.effects.push_back(Effect::Send { to, message });
        }
    }

    /// What this replica knows chosen, and has durable.
    pub(crate) fn known_chosen(&self) -> Chosen {
        match self.chain.tip_at(self.chosen) {
            Some(tip) => Chosen { slot: tip.slot, hash: tip.hash },
            None => panic!("slot {} is chosen and not in memory", self.chosen),
        }
    }

    /// Everything that follows from what was just learned: what is chosen, accepted and published.
    pub(crate) fn advance(&mut self) {
        self.count_accepted();
        let chosen = self.fact.min(self.durable);
        if chosen > self.chosen {
            let newly = self.chain.above(self.chosen).take((chosen.0 - self.chosen.0) as usize);
            let mut released = self.released;
            for Held { ordered, ballot, fresh, .. } in newly {
                self.stripes.forget_all_of(&ordered.manifest);
                // P8: every slot that names a stripe of a lower ballot is below this one.
                released = released.max(if *fresh { *ballot } else { Ballot::NONE });
            }
            if released > self.released {
                self.released = released;
                self.effects.push_back(Effect::Release { below: released });
            }
            self.chosen = chosen;
        }
        self.accepted = self.accepted.max(self.chosen);
        self.end_rejoining_when_told();
        if self.quarantined {
            (self.told, self.published) = (self.chosen, self.chosen);
        }
        self.advance_published();
        self.canvass_when_caught_up();
        self.hand_over_when_due();
    }

    /// A slot is published when no shard owes it anything; one that orders nothing as soon as it was told.
    fn advance_published(&mut self) {
        while self.published < self.told
            && self.chain.get(self.published.next()).is_some_and(|held| held.owing == 0)
        {
            self.published = self.published.next();
        }
        if matches!(self.readiness, Readiness::At(slot) if self.published >= slot) {
            self.readiness = Readiness::Ready;
        }
        let kept = crate::limits::RETAINED_SLOTS;
        self.chain.forget_through(Slot(self.published.0.saturating_sub(kept)));
    }
}
