//! What one replica has durable, and what a start makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assize_consensus::{DocketStart, LogTip, Proposal};
use assize_wire::manifest::Ordered;
use assize_wire::{Ballot, Hash, Slot, StripeId};

/// A record of the Docket's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A stripe of shard 0, whose log is the Docket's.
    Stripe(StripeId),
    /// An accept record, and whether it can still be read.
    Accept { proposal: Proposal, readable: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// The superblock's promise.
    pub promised: Ballot,
    /// The active checkpoint.
    pub checkpoint: LogTip,
    /// In write order.
    pub log: Vec<Record>,
    /// Stripes, in all logs.
    pub stripes: BTreeSet<StripeId>,
}

/// What the log says of one slot.
enum Found {
    Readable(Arc<Ordered>, Ballot),
    Damaged,
}

impl Disk {
    pub fn new() -> Disk {
        Disk { promised: Ballot::NONE, checkpoint: LogTip::START, log: Vec::new(), stripes: BTreeSet::new() }
    }

    pub fn append(&mut self, record: Record) {
        if let Record::Stripe(id) = record {
            self.stripes.insert(id);
        }
        self.log.push(record);
    }

    pub fn accepts(&self) -> impl Iterator<Item = (&Proposal, bool)> {
        self.log.iter().filter_map(|record| match record {
            Record::Accept { proposal, readable } => Some((proposal, *readable)),
            Record::Stripe(_) => None,
        })
    }

    /// P3: the superblock, and every accept record. One that cannot be read is known by the marks of others.
    pub fn promised(&self) -> Ballot {
        self.accepts().map(|(proposal, _)| proposal.ballot).fold(self.promised, Ballot::max)
    }

    /// What a start finds: records supersede each other in write order, and what does not chain is void (P4).
    pub fn recover(&self) -> DocketStart {
        let mut found: BTreeMap<Slot, Found> = BTreeMap::new();
        let mut chosen = self.checkpoint.slot;
        for (proposal, readable) in self.accepts() {
            let slot = proposal.slot;
            if !readable {
                found.insert(slot, Found::Damaged);
                continue;
            }
            chosen = chosen.max(proposal.chosen);
            let ordered = &proposal.ordered;
            if matches!(found.get(&slot), Some(Found::Readable(held, _)) if held.hash != ordered.hash) {
                found.split_off(&slot);
            }
            found.insert(slot, Found::Readable(Arc::clone(ordered), proposal.ballot));
            let chains = match found.get(&slot.next()) {
                Some(Found::Readable(above, _)) => above.manifest.previous == ordered.hash,
                _ => true,
            };
            if !chains {
                found.split_off(&slot.next());
            }
        }
        let (mut tip, mut accepted, mut damaged) = (self.checkpoint, Vec::new(), Vec::new());
        let mut readable = true;
        for (slot, found) in found.range(self.checkpoint.slot.next()..) {
            match found {
                Found::Readable(ordered, ballot) if readable => {
                    if *slot != tip.slot.next() || ordered.manifest.previous != tip.hash {
                        break;
                    }
                    tip = LogTip { slot: *slot, hash: ordered.hash, time: ordered.manifest.time };
                    accepted.push((Arc::clone(ordered), *ballot));
                }
                Found::Readable(ordered, _) => damaged.push((*slot, Some(ordered.hash))),
                Found::Damaged => {
                    readable = false;
                    damaged.push((*slot, None));
                }
            }
        }
        let named: BTreeSet<StripeId> = accepted.iter().flat_map(|(ordered, _)| names(ordered)).collect();
        let stored = self.stripes.difference(&named).copied().collect();
        DocketStart { tip: self.checkpoint, accepted, damaged, chosen, promised: self.promised(), stored }
    }

    /// The readable chain, from the checkpoint on.
    pub fn chain(&self) -> BTreeMap<Slot, (Hash, Ballot)> {
        let start = self.recover();
        start
            .accepted
            .iter()
            .map(|(ordered, ballot)| (ordered.manifest.slot, (ordered.hash, *ballot)))
            .collect()
    }
}

pub fn names(ordered: &Ordered) -> impl Iterator<Item = StripeId> + '_ {
    ordered.manifest.stripes.iter().map(|stripe| stripe.id)
}
