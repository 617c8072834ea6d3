//! P2, P4, P5, P7: a slot is chosen once a majority has one manifest for it, durably, under one ballot; then no replica
//! ever chooses another. It is reckoned here from what the replicas' disks hold and from nothing that they say; what
//! they say, and what they record as chosen, is held against it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use assize_consensus::Watermarks;
use assize_wire::{Ballot, Hash, Slot};

use super::hold;
use crate::left::LoggedSlot;
use crate::recorder::AcceptDurable;

pub(super) struct Agreement {
    majority: u32,
    /// Which replicas, as bits, hold which manifest of a slot under which ballot.
    accepted: HashMap<(Slot, Ballot, Hash), u32>,
    /// The same of disks that are lost, too, and the slots: where replicas lose disks a leader counts what one answered
    /// until it hears of the next one.
    ever: HashMap<(Slot, Ballot, Hash), u32>,
    held: HashMap<(Slot, Hash), Arc<LoggedSlot>>,
    any_lost: bool,
    /// By replica: the ballot from which on its accepts count; none while it has no vote.
    ///
    /// 1. Replicas 0 and 1 chose slot 1 under ballot 2. The disk of 0 is lost, and its next one has no vote.
    /// 2. Replica 2 was away and still leads under ballot 1. It has 0 accept something else at slot 1.
    /// 3. Replica 0 tells nobody so, and has its vote again only once it has promised ballot 2, as 1 told it: what it
    ///    accepted below never counts (R3).
    counts_from: Vec<Option<Ballot>>,
    /// By replica: what it accepted while it had no vote.
    voteless: Vec<Vec<AcceptDurable>>,
    /// What a majority holds, above the log.
    ahead: BTreeMap<Slot, Arc<LoggedSlot>>,
    /// What is chosen, from slot 1, without a gap.
    log: Vec<Arc<LoggedSlot>>,
    /// Of `log`, how many [`Agreement::poll_chosen`] has given.
    given: usize,
}

impl Agreement {
    pub(super) fn new(replicas: u8) -> Agreement {
        Agreement {
            majority: u32::from(replicas) / 2 + 1,
            accepted: HashMap::new(),
            ever: HashMap::new(),
            held: HashMap::new(),
            any_lost: false,
            counts_from: vec![Some(Ballot::NONE); replicas.into()],
            voteless: (0..replicas).map(|_| Vec::new()).collect(),
            ahead: BTreeMap::new(),
            log: Vec::new(),
            given: 0,
        }
    }

    /// What is chosen.
    pub(super) fn log(&self) -> &[Arc<LoggedSlot>] {
        &self.log
    }

    /// The next slot that was chosen.
    pub(super) fn poll_chosen(&mut self) -> Option<Arc<LoggedSlot>> {
        let slot = self.log.get(self.given).cloned()?;
        self.given += 1;
        Some(slot)
    }

    /// A replica has an accept, durably.
    pub(super) fn durable(&mut self, replica: usize, accept: AcceptDurable) {
        let AcceptDurable { ballot, fetched, logged } = &accept;
        let (slot, hash) = (logged.ordered.manifest.slot, logged.ordered.hash);
        if *fetched {
            self.claim(slot, hash);
            let chosen = self.chosen(slot).map(|chosen| chosen.ordered.hash);
            hold!(
                "agreement",
                chosen == Some(hash),
                "P7: replica {replica} records that {hash} is chosen at slot {slot}; chosen is {chosen:?}"
            );
            return;
        }
        *self.ever.entry((slot, *ballot, hash)).or_default() |= 1 << replica;
        self.held.entry((slot, hash)).or_insert_with(|| Arc::clone(logged));
        match self.counts_from[replica] {
            None => self.voteless[replica].push(accept),
            Some(from) if *ballot >= from => self.count(replica, *ballot, logged),
            Some(_) => {}
        }
    }

    /// It counts.
    fn count(&mut self, replica: usize, ballot: Ballot, logged: &Arc<LoggedSlot>) {
        let (slot, hash) = (logged.ordered.manifest.slot, logged.ordered.hash);
        let holders = self.accepted.entry((slot, ballot, hash)).or_default();
        *holders |= 1 << replica;
        if holders.count_ones() < self.majority {
            return;
        }
        match self.chosen(slot) {
            Some(chosen) => hold!(
                "agreement",
                chosen.ordered.hash == hash,
                "slot {slot} is chosen as {}, and as {hash} under ballot {ballot}",
                chosen.ordered.hash
            ),
            None => drop(self.ahead.insert(slot, Arc::clone(logged))),
        }
        self.append();
    }

    /// What is chosen right above the log goes into it.
    fn append(&mut self) {
        while let Some(next) = self.ahead.remove(&Slot(self.log.len() as u64 + 1)) {
            let previous = self.log.last().map_or(Hash::ZERO, |last| last.ordered.hash);
            let chained = next.ordered.manifest.previous == previous;
            hold!("agreement", chained, "P4: chosen slot {} does not chain", next.ordered.manifest.slot);
            self.log.push(next);
        }
    }

    /// A replica takes everything through its mark for chosen.
    pub(super) fn claim_through(&mut self, marks: Watermarks, own: &[Arc<LoggedSlot>]) {
        let through = (marks.chosen.0 as usize).min(own.len());
        for held in own.get(self.log.len()..through).unwrap_or_default() {
            self.claim(held.ordered.manifest.slot, held.ordered.hash);
        }
    }

    /// Somebody takes a slot for chosen. It is, if a majority ever accepted it under one ballot on whatever disks;
    /// whether it was right to count them so shows when something else is chosen there.
    fn claim(&mut self, slot: Slot, hash: Hash) {
        if !self.any_lost || self.chosen(slot).is_some() {
            return;
        }
        let mut of_slot = self.ever.iter().filter(|((of, _, value), _)| *of == slot && *value == hash);
        if of_slot.any(|(_, holders)| holders.count_ones() >= self.majority)
            && let Some(logged) = self.held.get(&(slot, hash))
        {
            self.ahead.insert(slot, Arc::clone(logged));
            self.append();
        }
    }

    /// The disk of a replica is lost: it holds nothing any more. What is chosen stays so.
    pub(super) fn lost(&mut self, replica: usize) {
        self.any_lost = true;
        self.accepted.values_mut().for_each(|holders| *holders &= !(1 << replica));
        self.counts_from[replica] = None;
        self.voteless[replica].clear();
    }

    /// Whether the disk of a replica was lost, and it has no vote since.
    pub(super) fn is_voteless(&self, replica: usize) -> bool {
        self.counts_from[replica].is_none()
    }

    /// It has its vote again, and has promised this ballot.
    pub(super) fn vote_regained(&mut self, replica: usize, promised: Ballot) {
        self.counts_from[replica] = Some(promised);
        for accept in std::mem::take(&mut self.voteless[replica]) {
            if accept.ballot >= promised {
                self.count(replica, accept.ballot, &accept.logged);
            }
        }
    }

    /// What a replica says is chosen must be, and it must have that itself (P7).
    pub(super) fn step(&self, replica: usize, marks: Watermarks, own: &[Arc<LoggedSlot>]) {
        let slot = marks.chosen;
        if slot == Slot::ZERO {
            return;
        }
        let at = slot.0 as usize - 1;
        let [own, chosen] = [own, &self.log].map(|log| log.get(at).map(|logged| logged.ordered.hash));
        hold!(
            "agreement",
            own.is_some() && own == chosen,
            "P7: replica {replica} says that slot {slot} is chosen; it has {own:?}, chosen is {chosen:?}"
        );
    }

    /// A core was told that a slot is chosen.
    pub(super) fn told(&mut self, replica: usize, slot: Slot, hash: Hash) {
        self.claim(slot, hash);
        let chosen = self.chosen(slot).map(|chosen| chosen.ordered.hash);
        hold!(
            "agreement",
            chosen == Some(hash),
            "replica {replica} tells a core that {hash} is chosen at slot {slot}; chosen is {chosen:?}"
        );
    }

    fn chosen(&self, slot: Slot) -> Option<&Arc<LoggedSlot>> {
        self.log.get(slot.0 as usize - 1).or_else(|| self.ahead.get(&slot))
    }
}
