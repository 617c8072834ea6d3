//! What is true of the whole cluster, whoever knows it: which slots are chosen, who led under which ballot. Everything
//! that a replica does is held against it at once.

use std::collections::BTreeMap;

use assize_consensus::Proposal;
use assize_wire::{Ballot, Hash, ReplicaId, Slot};

/// What happened in a run, so that a test shows that it tests something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events {
    pub led: u64,
    pub chosen: u64,
    /// Slots that were accepted again, with the same value or with another.
    pub accepted_again: u64,
    pub replaced: u64,
    pub fetched: u64,
    pub damaged_starts: u64,
    pub doubtful_starts: u64,
    pub checkpoints_installed: u64,
    pub handovers: u64,
    pub released: u64,
    pub lost_disks: u64,
    pub rejoined: u64,
}

impl Events {
    fn each(&mut self) -> [&mut u64; 12] {
        let Events { led, chosen, accepted_again, replaced, fetched, .. } = self;
        let Events { damaged_starts, doubtful_starts, checkpoints_installed, handovers, released, .. } = self;
        let Events { lost_disks, rejoined, .. } = self;
        [
            led,
            chosen,
            accepted_again,
            replaced,
            fetched,
            damaged_starts,
            doubtful_starts,
            checkpoints_installed,
            handovers,
            released,
            lost_disks,
            rejoined,
        ]
    }

    pub fn all_happened(mut self) -> bool {
        self.each().iter().all(|count| **count > 0)
    }
}

impl std::ops::AddAssign for Events {
    fn add_assign(&mut self, mut other: Events) {
        for (total, more) in self.each().into_iter().zip(other.each()) {
            *total += *more;
        }
    }
}

pub struct Truth {
    pub events: Events,
    replicas: u8,
    /// Who has a durable accept record, by slot and ballot.
    accepts: BTreeMap<(Slot, Ballot), u8>,
    /// Who ever had one, those included whose disks are lost: what was answered may count until that is known.
    ever: BTreeMap<(Slot, Ballot), u8>,
    /// The value that a ballot gave a slot (P6).
    proposed: BTreeMap<(Slot, Ballot), Hash>,
    /// What a majority accepted under one ballot.
    chosen: BTreeMap<Slot, Hash>,
    /// Who led.
    led: BTreeMap<Ballot, ReplicaId>,
}

impl Truth {
    pub fn new(replicas: u8) -> Truth {
        Truth {
            events: Events::default(),
            replicas,
            accepts: BTreeMap::new(),
            ever: BTreeMap::new(),
            proposed: BTreeMap::new(),
            chosen: BTreeMap::new(),
            led: BTreeMap::new(),
        }
    }

    /// P6: one ballot, one value.
    pub fn note_proposed(&mut self, slot: Slot, ballot: Ballot, hash: Hash) {
        let known = *self.proposed.entry((slot, ballot)).or_insert(hash);
        assert_eq!(known, hash, "two values for slot {slot} under ballot {ballot} (P6)");
    }

    /// P1: a ballot is led under once.
    pub fn note_led(&mut self, ballot: Ballot, by: ReplicaId) {
        assert_eq!(ballot.replica(), by, "another replica's ballot");
        self.events.led += 1;
        assert_eq!(self.led.insert(ballot, by), None, "ballot {ballot} is led under twice (P1)");
    }

    /// A record became durable. Agreement: a slot is chosen once and for ever.
    pub fn note_durable(&mut self, at: ReplicaId, proposal: &Proposal) {
        let (slot, ballot, hash) = (proposal.slot, proposal.ballot, proposal.ordered.hash);
        if proposal.chosen >= slot {
            // It says that it is chosen: then it was.
            self.events.fetched += 1;
            self.check_chosen(at, slot, hash);
            return;
        }
        self.note_proposed(slot, ballot, hash);
        *self.ever.entry((slot, ballot)).or_default() |= 1 << at.0;
        let who = self.accepts.entry((slot, ballot)).or_default();
        *who |= 1 << at.0;
        if who.count_ones() as usize > usize::from(self.replicas) / 2 {
            self.choose(slot, hash);
        }
    }

    fn choose(&mut self, slot: Slot, hash: Hash) {
        self.events.chosen += u64::from(!self.chosen.contains_key(&slot));
        let known = *self.chosen.entry(slot).or_insert(hash);
        assert_eq!(known, hash, "slot {slot} is chosen twice");
    }

    /// A disk is lost: it holds nothing any more. What is chosen stays so.
    pub fn note_lost(&mut self, at: ReplicaId) {
        self.events.lost_disks += 1;
        self.accepts.values_mut().for_each(|who| *who &= !(1 << at.0));
    }

    /// A replica holds this slot as chosen.
    pub fn check_chosen(&mut self, at: ReplicaId, slot: Slot, hash: Hash) {
        if !self.chosen.contains_key(&slot) && self.may_be_chosen(slot, hash) {
            self.choose(slot, hash);
        }
        match self.chosen.get(&slot) {
            Some(known) => assert_eq!(*known, hash, "replica {at} has another slot {slot} than was chosen"),
            None => panic!("replica {at} takes slot {slot} as chosen, and no majority accepted it"),
        }
    }

    /// Whether a majority ever accepted it under one ballot, on whatever disks: a leader that has heard of no other
    /// disk counts so. That it is right where it does is what the rules of R3 are for.
    fn may_be_chosen(&self, slot: Slot, hash: Hash) -> bool {
        let under = self.ever.range((slot, Ballot::NONE)..).take_while(|((of, _), _)| *of == slot);
        let majority = |who: &u8| who.count_ones() as usize > usize::from(self.replicas) / 2;
        under.into_iter().any(|(at, who)| majority(who) && self.proposed.get(at) == Some(&hash))
    }

    pub fn is_chosen(&self, slot: Slot, hash: Hash) -> bool {
        self.chosen.get(&slot) == Some(&hash)
    }

    pub fn chosen_through(&self) -> Slot {
        self.chosen.keys().next_back().copied().unwrap_or(Slot::ZERO)
    }
}
