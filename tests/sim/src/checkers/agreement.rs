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
    pub(super) fn durable(&mut self, replica: usize, accept: &AcceptDurable) {
        let AcceptDurable { ballot, fetched, logged } = accept;
        let (slot, hash) = (logged.ordered.manifest.slot, logged.ordered.hash);
        if *fetched {
            let chosen = self.chosen(slot).map(|chosen| chosen.ordered.hash);
            hold!(
                "agreement",
                chosen == Some(hash),
                "P7: replica {replica} records that {hash} is chosen at slot {slot}; chosen is {chosen:?}"
            );
            return;
        }
        let holders = self.accepted.entry((slot, *ballot, hash)).or_default();
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
        while let Some(next) = self.ahead.remove(&Slot(self.log.len() as u64 + 1)) {
            let previous = self.log.last().map_or(Hash::ZERO, |last| last.ordered.hash);
            let chained = next.ordered.manifest.previous == previous;
            hold!("agreement", chained, "P4: chosen slot {} does not chain", next.ordered.manifest.slot);
            self.log.push(next);
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
    pub(super) fn told(&self, replica: usize, slot: Slot, hash: Hash) {
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
