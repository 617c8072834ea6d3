//! What one replica has durable, and what a start makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assize_consensus::{DocketStart, LogTip, Proposal};
use assize_wire::manifest::Ordered;
use assize_wire::peer::Generations;
use assize_wire::{Ballot, Hash, Slot, StripeId};

/// A record of the Docket's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A stripe of shard 0, whose log is the Docket's.
    Stripe(StripeId),
    /// An accept record.
    Accept {
        proposal: Proposal,
        block: Block,
        /// How many records were durable when it was formed, which it says.
        proves: usize,
        /// Starts of its writer.
        incarnation: u32,
    },
}

/// What became of an accept record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    Whole,
    /// It decayed, and no crash would leave it so.
    Unreadable,
    /// A crash tore it, or it decayed so that it looks like that (L5).
    Garbled,
    /// A start found it torn, at the end of the log: what comes next is written in its place.
    Cut,
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
    pub incarnation: u32,
    /// The superblock's: the disks of all that were met.
    pub generations: Generations,
    /// It is in place of a lost one, and its replica has no vote yet (R3).
    pub rejoins: bool,
    /// Garbled records that a start has found: the superblock remembers what may have been accepted there.
    doubted: BTreeSet<usize>,
}

/// What is known of a garbled record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A record of its writer says that it was durable.
    Proven,
    /// Nothing does, and something of its writer is whole behind it, or was at an earlier start.
    Doubtful,
    /// Nothing is behind it: it never was.
    Tail,
}

/// What the log says of one slot.
enum Found {
    /// With its place in the log.
    Readable(Arc<Ordered>, Ballot, usize),
    Damaged,
}

/// What a log comes to, in one view of it (L5).
struct Walked {
    /// With their places in the log.
    accepted: Vec<(Arc<Ordered>, Ballot, usize)>,
    damaged: Vec<(Slot, Option<Hash>)>,
}

impl Disk {
    pub fn new() -> Disk {
        Disk {
            promised: Ballot::NONE,
            checkpoint: LogTip::START,
            log: Vec::new(),
            stripes: BTreeSet::new(),
            incarnation: 0,
            generations: Generations::default(),
            rejoins: false,
            doubted: BTreeSet::new(),
        }
    }

    pub fn append(&mut self, record: Record) {
        if let Record::Stripe(id) = record {
            self.stripes.insert(id);
        }
        self.log.push(record);
    }

    /// An accept record that is given to the log now, when so many records are still on their way.
    pub fn accept(&self, proposal: Proposal) -> Record {
        let (proves, incarnation) = (self.log.len(), self.incarnation);
        Record::Accept { proposal, block: Block::Whole, proves, incarnation }
    }

    pub fn accepts(&self) -> impl Iterator<Item = (&Proposal, bool)> {
        self.places().map(|(_, proposal, block)| (proposal, block == Block::Whole))
    }

    fn places(&self) -> impl Iterator<Item = (usize, &Proposal, Block)> {
        self.log.iter().enumerate().filter_map(|(at, record)| match record {
            Record::Accept { proposal, block, .. } => Some((at, proposal, *block)),
            Record::Stripe(_) => None,
        })
    }

    /// P1, P3: the superblock. It holds every ballot under which anything is accepted, whether that can be read or not.
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// A start: what is found now is remembered.
    pub fn begin(&mut self) {
        let garbled = self.garbled(|place| place != Place::Tail);
        self.doubted.extend(garbled);
        for at in self.garbled(|place| place == Place::Tail) {
            self.set_block(at, Block::Cut);
        }
        self.incarnation += 1;
    }

    fn garbled(&self, wanted: impl Fn(Place) -> bool) -> BTreeSet<usize> {
        let garbled = self.places().filter(|(_, _, block)| *block == Block::Garbled);
        garbled.map(|(at, ..)| at).filter(|at| wanted(self.place_of(*at))).collect()
    }

    /// What the records of the same writer say of a garbled one.
    fn place_of(&self, at: usize) -> Place {
        let of = |record: &Record| match record {
            Record::Accept { block, proves, incarnation, .. } => Some((*block, *proves, *incarnation)),
            Record::Stripe(_) => None,
        };
        let Some((_, _, writer)) = of(&self.log[at]) else { return Place::Tail };
        let behind = self.log[at + 1..].iter().filter_map(of).filter(|(block, ..)| *block == Block::Whole);
        let mut of_writer = behind.clone().filter(|(_, _, by)| *by == writer);
        match (of_writer.clone().any(|(_, proves, _)| proves > at), of_writer.next().is_some()) {
            (true, _) => Place::Proven,
            (false, true) => Place::Doubtful,
            (false, false) if self.doubted.contains(&at) => Place::Doubtful,
            (false, false) if behind.count() > 0 => Place::Proven,
            (false, false) => Place::Tail,
        }
    }

    pub fn set_block(&mut self, at: usize, to: Block) {
        if let Record::Accept { block, .. } = &mut self.log[at] {
            *block = to;
        }
    }

    /// Whether a record, once garbled, looks as if a crash had torn it.
    pub fn may_look_torn(&self, at: usize) -> bool {
        self.place_of(at) == Place::Doubtful
    }

    /// What a start finds. Where something is damaged it is looked at again without what stands behind torn gaps.
    pub fn recover(&self) -> DocketStart {
        let tail = self.garbled(|place| place == Place::Tail);
        let everything = self.walk(|at| tail.contains(&at));
        let torn = self.garbled(|place| place == Place::Doubtful);
        let vouched: BTreeSet<usize> = everything.accepted.iter().map(|(.., at)| *at).collect();
        let is_dropped = |at: usize| {
            let Record::Accept { incarnation, .. } = &self.log[at] else { return false };
            let behind = torn.iter().any(|gap| match &self.log[*gap] {
                Record::Accept { incarnation: writer, .. } => *gap <= at && writer == incarnation,
                Record::Stripe(_) => false,
            });
            tail.contains(&at) || (behind && !vouched.contains(&at))
        };
        let mut start = DocketStart {
            tip: self.checkpoint,
            accepted: Vec::new(),
            damaged: everything.damaged,
            doubtful: Vec::new(),
            chosen: self.checkpoint.slot,
            promised: self.promised(),
            stored: Vec::new(),
            generations: self.generations,
            rejoins: self.rejoins,
        };
        start.accepted.extend(everything.accepted.into_iter().map(|(ordered, ballot, _)| (ordered, ballot)));
        if !start.damaged.is_empty() && !torn.is_empty() {
            let certain = self.walk(is_dropped);
            let (first, last) = (start.damaged[0].0, start.damaged[start.damaged.len() - 1].0);
            start.doubtful = std::mem::take(&mut start.damaged);
            let mut continues = true;
            for (ordered, ballot, _) in certain.accepted {
                let below = start.accepted.last().map_or(self.checkpoint.hash, |(below, _)| below.hash);
                if ordered.manifest.slot >= first {
                    continues &= ordered.manifest.previous == below;
                    start.accepted.extend(continues.then_some((ordered, ballot)));
                }
            }
            let next = start.accepted.last().map_or(self.checkpoint.slot, |(o, _)| o.manifest.slot).next();
            let damaged = certain.damaged.into_iter();
            start.damaged = damaged.filter(|(slot, _)| continues && *slot >= next && *slot <= last).collect();
        }
        let known = self.known_chosen();
        let slots = start.accepted.iter().map(|(ordered, _)| (ordered.manifest.slot, ordered.hash));
        start.chosen =
            slots.filter(|slot| known.contains(slot)).map(|(slot, _)| slot).fold(start.chosen, Slot::max);
        let named: BTreeSet<StripeId> =
            start.accepted.iter().flat_map(|(ordered, _)| names(ordered)).collect();
        start.stored = self.stripes.difference(&named).copied().collect();
        start
    }

    /// What whole records say is chosen: down along the chain from each (P7).
    fn known_chosen(&self) -> BTreeSet<(Slot, Hash)> {
        let mut known = BTreeSet::new();
        let whole: Vec<&Proposal> = self.accepts().filter(|(_, whole)| *whole).map(|(p, _)| p).collect();
        for proposal in &whole {
            let mut at = (proposal.slot, proposal.ordered.hash);
            while let Some(found) = whole.iter().find(|p| (p.slot, p.ordered.hash) == at) {
                if at.0 <= proposal.chosen && !known.insert(at) {
                    break;
                }
                at = (Slot(at.0.0 - 1), found.ordered.manifest.previous);
            }
            if at.0 <= proposal.chosen {
                // Its own record is lost, and its hash known.
                known.insert(at);
            }
        }
        known
    }

    /// Records supersede each other in write order, and what does not chain is void (P4).
    fn walk(&self, is_dropped: impl Fn(usize) -> bool) -> Walked {
        let mut found: BTreeMap<Slot, Found> = BTreeMap::new();
        let places = self.places().filter(|(at, _, block)| *block != Block::Cut && !is_dropped(*at));
        for (at, proposal, block) in places {
            let slot = proposal.slot;
            if block != Block::Whole {
                found.insert(slot, Found::Damaged);
                continue;
            }
            let ordered = &proposal.ordered;
            if matches!(found.get(&slot), Some(Found::Readable(held, ..)) if held.hash != ordered.hash) {
                found.split_off(&slot);
            }
            found.insert(slot, Found::Readable(Arc::clone(ordered), proposal.ballot, at));
            let chains = match found.get(&slot.next()) {
                Some(Found::Readable(above, ..)) => above.manifest.previous == ordered.hash,
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
                Found::Readable(ordered, ballot, at) if readable => {
                    if *slot != tip.slot.next() || ordered.manifest.previous != tip.hash {
                        break;
                    }
                    tip = LogTip { slot: *slot, hash: ordered.hash, time: ordered.manifest.time };
                    accepted.push((Arc::clone(ordered), *ballot, *at));
                }
                Found::Readable(ordered, ..) => damaged.push((*slot, Some(ordered.hash))),
                Found::Damaged => {
                    readable = false;
                    damaged.push((*slot, None));
                }
            }
        }
        Walked { accepted, damaged }
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
