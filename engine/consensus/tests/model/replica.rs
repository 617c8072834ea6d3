//! One replica of the model: the Docket itself, what it has durable, and what is on its way there.

use std::collections::BTreeSet;
use std::hash::Hash;

use assize_consensus::{CheckpointFlag, Docket, DocketConfig, Effect, LeaseOver, Proposal, Role};
use assize_wire::peer::{Chosen, DocketMessage, Generation};
use assize_wire::{Ballot, Hash as Blake3, ReplicaId, Slot, StreamTime};

use crate::disk::{Block, Disk, Record};

pub const REPLICAS: u8 = 3;
const ANY_TIME: StreamTime = StreamTime(u64::MAX);

/// A write that is not durable yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Write {
    Promise(Ballot),
    Accept(Proposal),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    id: ReplicaId,
    leases: bool,
    docket: Docket,
    disk: Disk,
    /// In the order in which they complete.
    writes: Vec<Write>,
    /// The values of the slots that it was told to execute since its start, from slot 1.
    told: Vec<Blake3>,
    /// Whether an operator was told of what no working cluster does.
    alarmed: bool,
    /// The ballots whose heartbeats it answered with a lease that is not over, whether it remembers or not.
    given: BTreeSet<Ballot>,
    /// It started within a lease length.
    fresh: bool,
}

/// A message, from and to whom.
pub type Sent = (ReplicaId, ReplicaId, DocketMessage);

impl Replica {
    /// It was started long ago.
    pub fn new(id: ReplicaId, leases: bool) -> Replica {
        let disk = Disk::new();
        let docket = start(id, leases, &disk);
        let (given, fresh) = (BTreeSet::new(), leases);
        let mut replica = Replica {
            id,
            leases,
            docket,
            disk,
            writes: Vec::new(),
            told: Vec::new(),
            alarmed: false,
            given,
            fresh,
        };
        replica.end_leases(&mut Vec::new());
        replica
    }

    /// The ballot that it leads under, if it leads.
    pub fn ballot(&self) -> Option<Ballot> {
        Some(self.docket.ballot()).filter(|ballot| *ballot != Ballot::NONE)
    }

    /// Whether it gave a lease to the leader of this ballot that is not over.
    pub fn gave(&self, ballot: Ballot) -> bool {
        self.given.contains(&ballot)
    }

    /// Whether there is anything that time ends.
    pub fn has_leases(&self) -> bool {
        self.fresh || !self.given.is_empty()
    }

    /// A lease length passes in which it answers nothing. Whoever counts on its leases has looked at the clock.
    pub fn end_leases(&mut self, sent: &mut Vec<Sent>) {
        self.given.clear();
        if std::mem::take(&mut self.fresh) {
            self.docket.handle_lease_over(LeaseOver::OfBefore);
        }
        self.docket.handle_lease_over(LeaseOver::Given);
        self.settle(sent);
    }

    pub fn leads(&self) -> bool {
        self.docket.role() == Role::Leader
    }

    pub fn is_writing(&self) -> bool {
        !self.writes.is_empty()
    }

    pub fn is_damaged(&self) -> bool {
        self.docket.is_damaged()
    }

    pub fn has_alarmed(&self) -> bool {
        self.alarmed
    }

    pub fn told(&self) -> &[Blake3] {
        &self.told
    }

    pub fn tip(&self) -> Slot {
        self.docket.tip().slot
    }

    /// Every accept record, readable or not.
    pub fn accepts(&self) -> impl Iterator<Item = &Proposal> {
        self.disk.accepts().map(|(proposal, _)| proposal)
    }

    /// How many accept records may decay.
    pub fn readable(&self) -> usize {
        self.disk.accepts().filter(|(_, readable)| *readable).count()
    }

    /// Whether this message has done what it can here, or never can any more: then it is forgotten, as if it were lost.
    /// What is durable decides: a start does not forget it.
    pub fn is_done_with(&self, message: &DocketMessage) -> bool {
        let (promised, role) = (self.disk.promised(), self.docket.role());
        let knows = |slot| self.docket.watermarks().chosen >= slot;
        match message {
            DocketMessage::Prepare { ballot, .. } => *ballot <= promised,
            DocketMessage::Accept { ballot, ordered, chosen, .. } => {
                let slot = ordered.manifest.slot;
                let has = |vote: &Proposal| vote.slot == slot && vote.ballot == *ballot;
                *ballot < promised || self.accepts().any(has) && knows(chosen.slot)
            }
            // With leases each may give another one.
            DocketMessage::Heartbeat { ballot, chosen, .. } => {
                *ballot < promised || knows(chosen.slot) && !self.leases
            }
            // P1: what it prepared or led once it never does again.
            DocketMessage::Promise { ballot, .. } => {
                *ballot != self.docket.promised() || role != Role::Candidate
            }
            DocketMessage::Accepted { ballot, slot } => *ballot != self.docket.ballot() || knows(*slot),
            DocketMessage::Fetched { chosen, .. } => knows(chosen.slot),
            _ => false,
        }
    }

    pub fn hear(&mut self, from: ReplicaId, message: &DocketMessage, sent: &mut Vec<Sent>) {
        self.docket.handle_message(from, message.clone(), ANY_TIME);
        self.settle(sent);
    }

    /// Everything that is on its way becomes durable.
    pub fn complete(&mut self, sent: &mut Vec<Sent>) {
        while !self.writes.is_empty() {
            let write = self.writes.remove(0);
            self.make_durable(&write);
            match write {
                Write::Promise(ballot) => self.docket.handle_promise_durable(ballot),
                Write::Accept(proposal) => self.docket.handle_accept_durable(proposal.slot, proposal.ballot),
            }
            self.settle(sent);
        }
    }

    /// Begins an election. Others say that it could win: they promise nothing by that, so they may always say so.
    pub fn elect(&mut self, sent: &mut Vec<Sent>) {
        self.docket.handle_election_timeout();
        let mut asked = Vec::new();
        while let Some(effect) = self.docket.poll_effect() {
            if let Effect::Send { to, message: DocketMessage::Canvass { ballot, .. } } = effect {
                asked.push((to, ballot));
            }
        }
        for (peer, ballot) in asked {
            let chosen = Chosen { slot: Slot::ZERO, hash: Blake3::ZERO };
            let yes = DocketMessage::CanvassAnswer { ballot, granted: true, promised: Ballot::NONE, chosen };
            self.docket.handle_message(peer, yes, ANY_TIME);
        }
        self.settle(sent);
    }

    /// A leader forms a slot; its ballot is the time, so that no two leaders form the same value.
    pub fn form(&mut self, sent: &mut Vec<Sent>) -> bool {
        let time = StreamTime(self.docket.ballot().to_raw());
        let formed = self.docket.form(time, CheckpointFlag::Alone, &[]);
        self.settle(sent);
        formed
    }

    pub fn give_up(&mut self, sent: &mut Vec<Sent>) {
        self.docket.handle_stalled();
        self.settle(sent);
    }

    /// Stops, and starts with what is durable: with or without what was on its way, and perhaps without what decayed.
    pub fn restart(&mut self, kept: bool, damaged: Option<usize>) {
        for write in std::mem::take(&mut self.writes) {
            if kept {
                self.make_durable(&write);
            }
        }
        let accepts = self.disk.log.iter_mut().filter_map(|record| match record {
            Record::Accept { block, .. } => Some(block),
            Record::Stripe(_) => None,
        });
        if let Some(block) = damaged.and_then(|at| accepts.filter(|block| **block == Block::Whole).nth(at)) {
            *block = Block::Unreadable;
        }
        self.disk.begin();
        self.docket = start(self.id, self.leases, &self.disk);
        self.fresh = self.leases;
        self.told.clear();
    }

    fn make_durable(&mut self, write: &Write) {
        match write {
            Write::Promise(ballot) => self.disk.promised = self.disk.promised.max(*ballot),
            Write::Accept(proposal) => {
                let record = self.disk.accept(proposal.clone());
                self.disk.append(record);
            }
        }
    }

    /// Takes what the Docket wants. Left out is what only time or comfort needs: canvassing, refusals and answers to
    /// heartbeats; and heartbeats lose their number.
    fn settle(&mut self, sent: &mut Vec<Sent>) {
        while let Some(effect) = self.docket.poll_effect() {
            match effect {
                Effect::Send { to, message } => {
                    let message = match message {
                        DocketMessage::HeartbeatAnswer { ballot, lease_ns: 1.., .. } => {
                            self.given.insert(ballot);
                            continue;
                        }
                        DocketMessage::Canvass { .. }
                        | DocketMessage::CanvassAnswer { .. }
                        | DocketMessage::Refused { .. }
                        | DocketMessage::HeartbeatAnswer { .. } => continue,
                        DocketMessage::Heartbeat { chosen, .. }
                            if chosen.slot == Slot::ZERO && !self.leases =>
                        {
                            continue;
                        }
                        DocketMessage::Heartbeat { ballot, chosen, .. } => {
                            DocketMessage::Heartbeat { ballot, sequence: 0, chosen, formed: chosen.slot }
                        }
                        other => other,
                    };
                    sent.push((self.id, to, message));
                }
                Effect::WritePromise(ballot) => self.writes.push(Write::Promise(ballot)),
                Effect::WriteAccept(proposal) => self.writes.push(Write::Accept(proposal)),
                Effect::Alarm(_) => self.alarmed = true,
                _ => {}
            }
        }
        while let Some(ordered) = self.docket.poll_chosen() {
            self.told.push(ordered.hash);
        }
        self.docket.check_invariants();
        let _counts = self.docket.poll_lease_given();
        // Whom it hears matters to canvassing only.
        self.docket.handle_silence();
    }

    /// Its contribution to a state's identity.
    pub fn digest(&self) -> u64 {
        digest(self)
    }
}

fn start(id: ReplicaId, leases: bool, disk: &Disk) -> Docket {
    let config =
        DocketConfig { replica: id, replicas: REPLICAS, shards: 1, window: 8, lease_ns: leases.into() };
    let mut docket = Docket::new(config, disk.recover());
    for peer in (0..REPLICAS).map(ReplicaId).filter(|peer| *peer != id) {
        docket.handle_connected(peer, Generation::NONE);
    }
    docket
}

/// The same in every run.
pub fn digest(of: &impl Hash) -> u64 {
    ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(of)
}

/// A durable accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    pub slot: Slot,
    pub ballot: Ballot,
    pub hash: Blake3,
}

/// A replica with what is asked of it in every state. States share it; it stays for as long as the test runs.
#[derive(Debug)]
pub struct Shared {
    pub replica: Replica,
    pub digest: u64,
    /// What was fetched is no vote.
    pub votes: Vec<Vote>,
}

impl Shared {
    pub fn new(replica: Replica) -> &'static Shared {
        let mut votes: Vec<Vote> = Vec::new();
        for accept in replica.accepts().filter(|accept| accept.chosen < accept.slot) {
            let vote = Vote { slot: accept.slot, ballot: accept.ballot, hash: accept.ordered.hash };
            if !votes.contains(&vote) {
                votes.push(vote);
            }
        }
        Box::leak(Box::new(Shared { digest: replica.digest(), votes, replica }))
    }
}
