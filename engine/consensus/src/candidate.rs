//! A candidate: asks whether it could win, promises itself a ballot, gathers the promises of others, and takes over
//! from them what may be chosen (P1, P5).

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::manifest::Ordered;
use assize_wire::peer::{Chosen, DocketMessage, Promised};
use assize_wire::{Ballot, ReplicaId, Slot};

use crate::docket::{Docket, State};
use crate::effect::{Alarm, Effect};
use crate::limits::{LAG_WINDOWS, PASSED_BY_MAX};
use crate::log::LogTip;
use crate::quorum::{Replicas, majority};

/// A ballot that is promised here, and what others promise under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Preparing {
    /// The first slot asked about.
    pub(crate) from: Slot,
    /// See [`DocketMessage::Prepare`].
    released: Ballot,
    votes: Vec<Vote>,
    /// Who rejoins, and so has nothing to say (R3).
    voteless: Replicas,
}

/// What one replica has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Vote {
    of: ReplicaId,
    /// The first slot of `values`.
    from: Slot,
    values: Vec<(Rank, Arc<Ordered>)>,
    /// From this slot up the vote does not count (P5).
    damaged: Option<Slot>,
    /// From the first of these slots through the other it may lack something that it accepted under a ballot up to this
    /// one (P5).
    doubtful: Option<(Slot, Slot, Ballot)>,
}

/// How strong a claim a value has to its slot: a chosen one above every ballot (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rank {
    Accepted(Ballot),
    Chosen,
}

/// A value that the new leader takes over.
struct Inherited {
    ordered: Arc<Ordered>,
    chosen: bool,
    /// Who has it, and so its stripes.
    of: ReplicaId,
}

/// What the votes say.
enum Walk {
    /// Too few count.
    Wait,
    /// Everything that may be chosen.
    Whole(Vec<Inherited>),
    Broken(Alarm),
}

impl Docket {
    /// Asks everybody whether this replica could win (P9). A single one need not ask.
    pub(crate) fn start_canvass(&mut self) {
        assert!(!self.quarantined && !matches!(self.state, State::Leading(_)), "{:?} canvasses", self.role());
        let ballot = self.next_ballot();
        let mut granted = Replicas::default();
        if !self.is_damaged() {
            // With damaged slots its own promise does not count, or only with all others', so it wins only with a
            // majority of others.
            granted.insert(self.config.replica);
        }
        self.state = State::Canvassing { ballot, granted };
        self.effects.push_back(Effect::ResetElectionTimer);
        for peer in self.connected.iter() {
            self.send(peer, DocketMessage::Canvass { ballot, chosen: self.chosen });
        }
        self.prepare_when_granted();
    }

    /// Whether it stands for election now. Who lacks room, or lags, lets others go first.
    ///
    /// 1. The logs of replica 0 are full. It wins an election, for a promise brings what it lacks.
    /// 2. It proposes what it inherits, accepts none of it, and gives up after an election timeout.
    /// 3. Its election timeout passes first again: nobody else ever leads.
    ///
    /// But where all are like that somebody has to lead, so that a checkpoint is taken, and all is executed.
    pub(crate) fn stands_for_election(&mut self) -> bool {
        let waits = (self.short_of_room || self.lags()) && self.passed_by < PASSED_BY_MAX;
        self.passed_by += u8::from(waits);
        self.can_lead() && !waits
    }

    /// Whether it has much more to execute than what is under way, which it would have to before it could admit
    /// anything (R2).
    ///
    /// 1. Replica 2 starts again under load, and gets what it lacks: its log is soon as long as that of the others.
    /// 2. The leader gives up, and the election timeout of 2 passes first.
    /// 3. It leads, and nobody is answered until it has executed seconds of load. Any other could go on at once.
    pub(crate) fn lags(&self) -> bool {
        let others_wait = self.config.replicas > 1;
        let end = self.tip().slot.max(self.heard.chosen.slot);
        others_wait && end.0 > self.published.0 + LAG_WINDOWS * u64::from(self.config.window)
    }

    /// P1: above every ballot heard of, so above every one used before.
    fn next_ballot(&self) -> Ballot {
        let highest = self.promised.max(self.seen);
        let some = highest != Ballot::NONE;
        if canary::armed(Canary::BallotAgain) && some && highest.replica() == self.config.replica {
            return highest;
        }
        Ballot::new(highest.round() + 1, self.config.replica)
    }

    pub(crate) fn take_canvass_answer(
        &mut self,
        from: ReplicaId,
        asked: Ballot,
        yes: bool,
        promised: Ballot,
        chosen: Chosen,
    ) {
        self.seen = self.seen.max(promised);
        self.hear_chosen(from, chosen, promised);
        let behind = !yes && chosen.slot > self.fact;
        match &mut self.state {
            State::Canvassing { ballot, granted } if *ballot == asked => {
                if yes {
                    granted.insert(from);
                    self.prepare_when_granted();
                } else {
                    self.canvass_again |= behind;
                }
            }
            // A prepare is answered like this when the promise would have to bring too much, or breaks a lease (P11):
            // others may promise all the same.
            State::Preparing(_) if self.promised == asked && behind => {
                self.state = State::Following;
                self.canvass_again = true;
            }
            _ => {}
        }
    }

    pub(crate) fn prepare_when_granted(&mut self) {
        if let State::Canvassing { granted, .. } = &self.state
            && granted.count() >= majority(self.config.replicas)
            && self.may_promise(Ballot::NONE)
        {
            self.start_preparing(Ballot::NONE);
        }
    }

    /// Once what it lacked is here a replica that was refused for it asks again, once per election timeout.
    pub(crate) fn canvass_when_caught_up(&mut self) {
        if self.canvass_again && self.fact >= self.heard.chosen.slot && self.chosen == self.fact {
            self.canvass_again = false;
            let may = matches!(self.state, State::Following | State::Canvassing { .. });
            if may && !self.hears_leader && !self.quarantined && self.can_lead() && !self.lags() {
                self.start_canvass();
            }
        }
    }

    /// Promises itself the next ballot; nobody is asked before that is durable (P1). The leader of `released`, if that
    /// is one, has handed over.
    pub(crate) fn start_preparing(&mut self, released: Ballot) {
        assert!(self.may_promise(released), "it prepares, and has given {:?} (P11)", self.leases);
        let ballot = self.next_ballot();
        if !canary::armed(Canary::BallotAgain) || ballot > self.promised {
            self.adopt(ballot);
        } else {
            self.promise_written = Ballot::NONE;
        }
        self.write_promise();
        self.effects.push_back(Effect::ResetElectionTimer);
        let from = self.intake_tip().slot.next();
        self.state =
            State::Preparing(Preparing { from, released, votes: Vec::new(), voteless: Replicas::default() });
    }

    /// The own promise is durable: asks for those of others.
    pub(crate) fn ask_for_promises(&mut self) {
        let State::Preparing(preparing) = &self.state else { return };
        let message = preparing.ask(self.promised);
        for peer in self.connected.iter() {
            self.send(peer, message.clone());
        }
        self.lead_when_promised();
    }

    pub(crate) fn take_promise(
        &mut self,
        from: ReplicaId,
        ballot: Ballot,
        chosen: Chosen,
        entries: Vec<Promised>,
    ) {
        if ballot != self.promised || !matches!(self.state, State::Preparing(_)) {
            return;
        }
        self.hear_chosen(from, chosen, ballot);
        if let State::Preparing(preparing) = &mut self.state
            && let Some(vote) = Vote::of_promise(from, preparing.from, entries)
        {
            preparing.forget(from);
            preparing.votes.push(vote);
            // The order in which promises come must not matter.
            preparing.votes.sort_unstable_by_key(|vote| vote.of);
            self.lead_when_promised();
        }
    }

    pub(crate) fn lead_when_promised(&mut self) {
        if self.promised_durable < self.promised {
            return;
        }
        let State::Preparing(preparing) = &self.state else { return };
        match self.walk(preparing) {
            Walk::Wait => {}
            Walk::Whole(inherited) => self.inherit(inherited),
            Walk::Broken(alarm) => {
                self.effects.push_back(Effect::Alarm(alarm));
                self.state = State::Following;
            }
        }
    }

    /// P5: slot by slot upward, each from a majority of the votes that count there, the value with the highest ballot,
    /// until there is none, or none that chains.
    fn walk(&self, preparing: &Preparing) -> Walk {
        let own = self.own_vote();
        let said = preparing.votes.len() + preparing.voteless.count();
        let everybody = said + 1 == usize::from(self.config.replicas);
        let mut tip: LogTip = self.intake_tip();
        let mut inherited = Vec::new();
        loop {
            let slot = tip.slot.next();
            let mut best = None::<(Rank, &Arc<Ordered>, ReplicaId)>;
            for vote in preparing.votes.iter().chain([&own]) {
                let Some((rank, ordered)) = vote.value(slot) else { continue };
                match best {
                    Some((held, other, _)) if held == rank && other.hash != ordered.hash => {
                        return Walk::Broken(contradiction(rank, other, ordered, vote.of));
                    }
                    Some((held, ..)) if (held >= rank) != canary::armed(Canary::LowestBallot) => {}
                    _ => best = Some((rank, ordered, vote.of)),
                }
            }
            let highest = best.map(|(rank, ..)| rank);
            let votes = preparing.votes.iter().chain([&own]);
            let counted = votes.filter(|vote| vote.counts_at(slot, everybody, highest)).count();
            let chosen = highest == Some(Rank::Chosen);
            if !chosen && counted < majority(self.config.replicas) {
                return Walk::Wait;
            }
            let Some((rank, ordered, of)) = best else { break };
            if !tip.is_continued_by(ordered) && !canary::armed(Canary::ChainIgnored) {
                match rank {
                    Rank::Accepted(_) => break,
                    Rank::Chosen => {
                        let (held, told) = (tip.hash, ordered.manifest.previous);
                        return Walk::Broken(Alarm::SplitLog { slot: tip.slot, held, told, from: of });
                    }
                }
            }
            inherited.push(Inherited { ordered: Arc::clone(ordered), chosen, of });
            tip = LogTip::of(ordered);
        }
        Walk::Whole(inherited)
    }

    fn own_vote(&self) -> Vote {
        let below = self.intake_tip().slot;
        let values = self.chain.above(below);
        let values = values.filter(|_| !canary::armed(Canary::VoteUncounted));
        let values = values.map(|held| (Rank::Accepted(held.ballot), Arc::clone(&held.ordered))).collect();
        let damaged = self.damaged.first().map(|(slot, _)| *slot);
        let mut own = Vote { of: self.config.replica, from: below.next(), values, damaged, doubtful: None };
        if let Some(Promised::Doubtful { slot, through, ballot }) = self.doubt_from(Slot::ZERO) {
            own.doubtful = Some((slot, through, ballot));
        }
        own
    }

    fn inherit(&mut self, inherited: Vec<Inherited>) {
        self.start_leading();
        for Inherited { ordered, chosen, of } in inherited {
            let of = Some(of).filter(|of| *of != self.config.replica);
            if chosen {
                // What a promiser knows chosen is known here from now on. It continues the log: the walk looked.
                let known = self.take_chosen(&ordered, of);
                assert!(known, "slot {} was chosen and does not fit", ordered.manifest.slot);
            } else {
                self.propose(ordered, false, of);
            }
        }
        self.end_inheriting();
    }
}

impl Preparing {
    pub(crate) fn ask(&self, ballot: Ballot) -> DocketMessage {
        DocketMessage::Prepare { ballot, from: self.from, released: self.released }
    }

    /// What a replica answered does not count any more.
    pub(crate) fn forget(&mut self, peer: ReplicaId) {
        self.votes.retain(|vote| vote.of != peer);
        self.voteless.remove(peer);
    }

    pub(crate) fn note_voteless(&mut self, peer: ReplicaId) {
        self.forget(peer);
        self.voteless.insert(peer);
    }
}

impl Vote {
    /// Reads a promise about `from` and above; nothing when it leaves a gap.
    fn of_promise(of: ReplicaId, from: Slot, entries: Vec<Promised>) -> Option<Vote> {
        let mut vote = Vote { of, from, values: Vec::new(), damaged: None, doubtful: None };
        for entry in entries {
            let (rank, ordered) = match entry {
                Promised::Accepted { ballot, ordered } => (Rank::Accepted(ballot), ordered),
                Promised::Chosen { ordered } => (Rank::Chosen, ordered),
                Promised::Damaged { slot, .. } => {
                    vote.damaged = Some(vote.damaged.map_or(slot, |first| first.min(slot)));
                    continue;
                }
                Promised::Doubtful { slot, through, ballot } => {
                    vote.doubtful = Some((slot, through, ballot));
                    continue;
                }
            };
            let expected = Slot(from.0 + vote.values.len() as u64);
            if ordered.manifest.slot != expected || vote.damaged.is_some() {
                return None;
            }
            vote.values.push((rank, ordered));
        }
        Some(vote)
    }

    /// Whether it says enough of what its replica accepted at a slot (P5). `highest` is the rank of the value that the
    /// votes have there.
    ///
    /// Where it is in doubt it does once everybody has voted: what is chosen was accepted by a majority, and no more
    /// than a minority of logs are damaged at one slot, so somebody says it.
    /// 1. Replica 1 finds a gap before a whole accept of ballot 3. Taken for torn it has slot 15 under ballot 2.
    /// 2. It was not torn: 1 and 2 accepted another value at slot 15 under ballot 3, which is chosen; then it decayed.
    /// 3. With the promises of 0 and 1 alone ballot 4 would find the value of ballot 2. That of 2 must be heard.
    ///
    /// And where somebody has a value of the highest ballot that it may have lost: under that ballot there is no other
    /// (P6), and under lower ones it is outranked.
    fn counts_at(&self, slot: Slot, everybody: bool, highest: Option<Rank>) -> bool {
        let is_sure = |(first, through, bound)| {
            slot < first || slot > through || highest >= Some(Rank::Accepted(bound))
        };
        self.damaged.is_none_or(|first| slot < first) && (everybody || self.doubtful.is_none_or(is_sure))
    }

    fn value(&self, slot: Slot) -> Option<(Rank, &Arc<Ordered>)> {
        let at = usize::try_from(slot.0.checked_sub(self.from.0)?).ok()?;
        self.values.get(at).map(|(rank, ordered)| (*rank, ordered))
    }
}

/// Two values with the same claim to one slot.
fn contradiction(rank: Rank, held: &Ordered, told: &Ordered, from: ReplicaId) -> Alarm {
    let (slot, held, told) = (held.manifest.slot, held.hash, told.hash);
    match rank {
        Rank::Accepted(ballot) => Alarm::Conflict { slot, ballot, held, told, from },
        Rank::Chosen => Alarm::SplitLog { slot, held, told, from },
    }
}
