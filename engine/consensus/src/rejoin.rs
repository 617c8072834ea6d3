//! An empty disk in place of one that was lost (R3): what the lost one promised and accepted is not known any more, so
//! the replica has no vote until enough others have told it what it may have been, and nobody counts what came from the
//! lost one together with what came from replicas that have told.
//!
//! A replica that rejoins follows like any other: it accepts what is proposed, fetches what is chosen, and executes. It
//! keeps to itself how far it has accepted, promises nobody anything, and does not stand for election. It has its vote
//! once a majority of the cluster, all of them others with a vote, have told it the highest ballot that they promised
//! and the last slot that they accepted; it has promised as high a ballot, durably; and it has everything through that
//! slot as chosen, durably.
//!
//! Why that is enough. Let its lost disk have accepted a slot that was chosen by a majority Q, or have promised a
//! ballot to a candidate with the promises of a majority Q. Those who told, T, are a majority without it, so some
//! replica z in T is in Q, too. Either z accepted (promised) before it told: then what it told covers that. Or after:
//! then z knew of the new disk, said so with its answer ([`Docket::handle_generations`]), and whoever counted it had
//! dropped what the lost disk answered before: Q was never counted. That it knows is durable at z before it tells, so
//! it is so after a start, too; and should z lose its disk in turn, it has no vote until some other replica that knows
//! of the disk has told it.

use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::peer::{DocketMessage, Generation, Generations};
use assize_wire::{Ballot, ReplicaId, Slot};

use crate::docket::{Docket, State};
use crate::effect::Effect;
use crate::limits::REPLICAS_MAX;
use crate::quorum::{Replicas, majority};

/// What is known of disks, this replica's own included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disks {
    /// This one.
    own: Generation,
    /// The last one that was met of each replica. What came from another one is not counted.
    known: Generations,
    /// What of that is durable.
    durable: Generations,
    /// To which disk of each peer it is connected.
    links: [Generation; REPLICAS_MAX],
    /// Somebody has met a disk that replaced this one, or contradicts it: this one has no vote any more.
    replaced: bool,
    /// Peers that rejoin and are told once it is durable that this replica knows.
    asking: Replicas,
    rejoining: Option<Rejoining>,
}

/// What others have told one that rejoins. It is kept in memory: after a start it asks again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Rejoining {
    /// By replica.
    told: [Option<Told>; REPLICAS_MAX],
    /// It is being written that it has a vote again.
    ending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Told {
    promised: Ballot,
    accepted: Slot,
}

/// How far one is that rejoins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejoinStatus {
    /// Who has told what it promised and accepted.
    pub told: Vec<ReplicaId>,
    /// So many must.
    pub needed: usize,
    /// Everything through this slot must be chosen here, as far as it was told.
    pub accepted: Slot,
    /// Everything through this one is.
    pub chosen: Slot,
}

impl Disks {
    pub(crate) fn new(replica: ReplicaId, known: Generations, rejoins: bool) -> Disks {
        Disks {
            own: known.of(replica),
            known,
            durable: known,
            links: [Generation::NONE; REPLICAS_MAX],
            replaced: false,
            asking: Replicas::default(),
            rejoining: rejoins.then(Rejoining::default),
        }
    }

    /// Whether the connection to a peer is one to its last disk.
    pub(crate) fn is_current(&self, peer: ReplicaId) -> bool {
        self.links[usize::from(peer.0)] == self.known.of(peer)
    }
}

impl Docket {
    /// What this replica knows of the disks of all: to be said with every message, and heard before it is taken.
    #[must_use]
    pub fn generations(&self) -> Generations {
        self.disks.known
    }

    /// What the sender of the next message knew of disks when it sent that.
    pub fn handle_generations(&mut self, told: &Generations) {
        // It comes with every message, and is news once in the life of a disk.
        if *told == self.disks.known {
            return;
        }
        let replicas = (0..self.config.replicas).map(ReplicaId);
        let news: Vec<_> = replicas.map(|replica| (replica, told.of(replica))).collect();
        self.meet(&news);
    }

    /// Another disk of a replica was met, or heard of: nothing counts any more that came from the one before.
    ///
    /// 1. Of five, replica 1 promised ballot 7 to replica 0, which waits for a third promise. The disk of 1 is lost.
    /// 2. Its next one is told by 2, 3 and 4, none of which has promised more than ballot 5. It has its vote again, and
    ///    with 3 and 4 chooses slot 9 under ballot 6.
    /// 3. Replica 2 promises ballot 7. With its answer it says that it knows another disk of 1, so what 0 has is the
    ///    promises of 0 and 2, and not three.
    pub(crate) fn meet(&mut self, news: &[(ReplicaId, Generation)]) {
        let mut any = false;
        for (peer, generation) in news {
            if *peer == self.config.replica {
                self.look_at_own(*generation);
            } else if self.disks.known.learn(*peer, *generation) {
                any = true;
                self.forget_votes_of(*peer);
            }
        }
        if any {
            self.effects.push_back(Effect::WriteGenerations(self.disks.known));
        }
    }

    /// What others know of this replica's disks: if it is not this one, this one is out. The superblock goes on saying
    /// which this one is.
    fn look_at_own(&mut self, generation: Generation) {
        if self.disks.own.with(generation) != self.disks.own && !self.disks.replaced {
            self.disks.replaced = true;
            self.step_down();
            self.state = State::Following;
        }
    }

    fn forget_votes_of(&mut self, peer: ReplicaId) {
        self.disks.asking.remove(peer);
        let chosen = self.chosen;
        match &mut self.state {
            State::Following => {}
            State::Canvassing { granted, .. } => granted.remove(peer),
            State::Preparing(preparing) => preparing.forget(peer),
            State::Leading(leading) => leading.forget(peer, chosen),
        }
        if self.asked.is_some_and(|(asker, _)| asker == peer) {
            self.asked = None;
        }
        if !self.disks.is_current(peer) && self.connected.has(peer) {
            self.handle_disconnected(peer);
        }
    }

    /// The superblock holds this ([`Effect::WriteGenerations`]).
    pub fn handle_generations_durable(&mut self, durable: Generations) {
        self.disks.durable = durable;
        for peer in self.disks.asking.iter() {
            self.tell_rejoiner(peer);
        }
    }

    /// Whether what this replica answers counts for anything: it does not rejoin, and its disk was not replaced.
    pub(crate) fn has_vote(&self) -> bool {
        let Disks { rejoining, replaced, .. } = &self.disks;
        rejoining.is_none() && !replaced
    }

    /// A connection to a peer's disk. Says whether it is the last one.
    pub(crate) fn link(&mut self, peer: ReplicaId, generation: Generation) -> bool {
        self.disks.links[usize::from(peer.0)] = generation;
        self.meet(&[(peer, generation)]);
        self.disks.is_current(peer)
    }

    /// One that rejoins asks again those who have not told enough yet. What was told may lie above what is ever chosen:
    /// what is told later then does not.
    pub(crate) fn ask_to_be_told(&mut self) {
        self.connected.iter().for_each(|peer| self.ask_one(peer));
    }

    pub(crate) fn ask_one(&mut self, peer: ReplicaId) {
        let Some(rejoining) = &self.disks.rejoining else { return };
        let told = rejoining.told[usize::from(peer.0)];
        if !rejoining.ending && told.is_none_or(|told| told.accepted > self.chosen) {
            let generation = self.disks.own;
            self.send(peer, DocketMessage::Rejoin { generation });
        }
    }

    pub(crate) fn take_rejoin(&mut self, from: ReplicaId, generation: Generation) {
        if self.has_vote() && generation.is_rejoined() && generation == self.disks.known.of(from) {
            self.disks.asking.insert(from);
            self.tell_rejoiner(from);
        }
    }

    /// Not before it is durable that this replica knows of the disk: after a start it must know it, too.
    fn tell_rejoiner(&mut self, peer: ReplicaId) {
        let generation = self.disks.known.of(peer);
        if self.disks.durable.of(peer) != generation || !self.disks.is_current(peer) || !self.has_vote() {
            return;
        }
        self.disks.asking.remove(peer);
        let unsure = self.damaged.last().into_iter().chain(self.doubtful.last()).map(|(slot, _)| *slot);
        let accepted = unsure.fold(self.chain.tip().slot, Slot::max);
        let (promised, chosen) = (self.promised, self.known_chosen());
        self.send(peer, DocketMessage::Told { generation, promised, accepted, chosen });
    }

    pub(crate) fn take_told(
        &mut self,
        from: ReplicaId,
        generation: Generation,
        promised: Ballot,
        accepted: Slot,
    ) {
        self.seen = self.seen.max(promised);
        let Some(rejoining) = &mut self.disks.rejoining else { return };
        if generation != self.disks.own || rejoining.ending {
            return;
        }
        // Whatever it tells is enough at the moment at which it tells it.
        let told = &mut rejoining.told[usize::from(from.0)];
        if told.is_none_or(|before| accepted < before.accepted) {
            *told = Some(Told { promised, accepted });
        }
    }

    /// Once enough was told, and everything that it names is here, this replica has its vote again.
    pub(crate) fn end_rejoining_when_told(&mut self) {
        let (chosen, needed) = (self.chosen, majority(self.config.replicas));
        let needed = if canary::armed(Canary::VoteAfterEmptyDisk) { 0 } else { needed };
        let Some(rejoining) = self.disks.rejoining.as_ref().filter(|rejoining| !rejoining.ending) else {
            return;
        };
        let enough = rejoining.told.iter().flatten().filter(|told| told.accepted <= chosen);
        let promised = enough.clone().map(|told| told.promised).max().unwrap_or(Ballot::NONE);
        if enough.count() < needed {
            return;
        }
        if promised > self.promised {
            self.adopt(promised);
        }
        self.write_promise();
        if self.promised_durable >= promised
            && let Some(rejoining) = &mut self.disks.rejoining
        {
            rejoining.ending = true;
            self.effects.push_back(Effect::EndRejoin);
        }
    }

    /// The superblock holds that this replica has a vote again ([`Effect::EndRejoin`]).
    ///
    /// # Panics
    /// When that was not asked for.
    pub fn handle_rejoin_ended(&mut self) {
        let ending = self.disks.rejoining.take().is_some_and(|rejoining| rejoining.ending);
        assert!(ending, "replica {} has its vote again without having asked", self.config.replica);
        // What it accepted under the present ballot meanwhile counts as if it were accepted now.
        self.report_due = true;
        self.advance();
    }

    /// Whether the peer's disk is the last one that was met of it: what comes from another one is not taken.
    #[must_use]
    pub fn takes_from(&self, peer: ReplicaId) -> bool {
        self.disks.is_current(peer)
    }

    /// One that rejoins has nothing to say of any slot: it does not count, and nobody waits for it.
    pub(crate) fn say_voteless(&mut self, to: ReplicaId, ballot: Ballot) {
        if self.disks.rejoining.is_some() {
            self.send(to, DocketMessage::Voteless { ballot });
        }
    }

    /// A peer rejoins, and has no vote. Where logs are in doubt nobody waits for what it would say (P5): its disk is
    /// one of the minority that may be damaged, so no other log is, beyond what the rest of that minority may be.
    pub(crate) fn take_voteless(&mut self, from: ReplicaId, ballot: Ballot) {
        match &mut self.state {
            State::Canvassing { ballot: asked, granted } if *asked == ballot && self.damaged.is_empty() => {
                granted.insert(self.config.replica);
                self.prepare_when_granted();
            }
            State::Preparing(preparing) if self.promised == ballot => {
                preparing.note_voteless(from);
                self.lead_when_promised();
            }
            _ => {}
        }
    }

    /// How far this replica is, if it rejoins.
    #[must_use]
    pub fn rejoining(&self) -> Option<RejoinStatus> {
        let rejoining = self.disks.rejoining.as_ref()?;
        let told = rejoining.told.iter().enumerate();
        Some(RejoinStatus {
            told: told.filter(|(_, told)| told.is_some()).map(|(at, _)| ReplicaId(at as u8)).collect(),
            needed: majority(self.config.replicas),
            accepted: rejoining.told.iter().flatten().map(|told| told.accepted).max().unwrap_or_default(),
            chosen: self.chosen,
        })
    }
}
