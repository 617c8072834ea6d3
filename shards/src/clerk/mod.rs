//! **Clerk**: releases a stripe's outcomes when `copies` replicas computed the same digest (design section 6).
//!
//! It never alters an outcome. What it sees is decided by a [`table`](table::decide); it publishes in slot order
//! (C3) and stops for good when this replica is outside an agreed group, or two groups agree. What then happens to
//! the replica
//! is the caller's to do (C5).
//!
//! Invariants:
//! * slots are published in ascending order, each at most once;
//! * what is held lies above the last published slot and, for other replicas' copies, not far above it (C4);
//! * what is kept of slots published otherwise lies at or below it, and is bounded.

pub mod table;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::{Hash, ReplicaId, Slot};

use crate::limits::{
    COPIES_AHEAD_MAX, OUTSIDE_SLOTS_MAX, PIECES_BYTES_MAX, SETTLED_DIGESTS, STRIPES_IN_PIECES_MAX,
};
use crate::{Evaluated, Published};
use table::{Decision, Others, Own, Seen};

/// The Clerk of one shard on one replica.
pub struct Clerk {
    replica: ReplicaId,
    copies: usize,
    published: Slot,
    held: BTreeMap<Slot, Held>,
    /// Other digests than those that were published, of the slots for which any came last. `copies` that are equal are
    /// a second truth, which mostly shows late: whoever publishes waits for the first group only.
    outside: BTreeMap<Slot, Held>,
    ready: VecDeque<Published>,
    findings: VecDeque<Finding>,
    stopped: bool,
    /// Digests of own stripes that no peer was sent yet, in slot order. None are kept where there is no peer.
    copies_out: VecDeque<(Slot, Hash)>,
    has_peers: bool,
    /// The digests that were published last, in slot order: late copies are compared with them (C4).
    settled: VecDeque<(Slot, Hash)>,
    /// What replicas share with others when they fail: those in one domain count as one (C1).
    domains: Domains,
    /// Event by event what the last published stripes came to, for a peer that differs (C6).
    pieces: VecDeque<(Slot, Evaluated)>,
    pieces_bytes: usize,
    /// Own stripes that are held.
    own_held: u64,
    copies_matched: u64,
}

/// What became of another replica's copy.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFate {
    /// It counts.
    Held,
    /// The slot is published: compare it with the digest in the outcome stream and answer with that one (C4).
    Late,
    /// It is too far ahead and was dropped: ask for it later (C4).
    Dropped,
}

/// Something that an operator has to know, and the replica to act on (C5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Published, and this replica computed something else.
    Diverged {
        /// The slot.
        slot: Slot,
        /// Who.
        replica: ReplicaId,
        /// What the others agreed on.
        agreed: Hash,
        /// What it has.
        found: Hash,
    },
    /// Others agreed, and this replica is outside of them.
    Quarantine {
        /// The slot.
        slot: Slot,
        /// What they agreed on.
        agreed: Hash,
        /// What this replica has.
        found: Hash,
    },
    /// Two groups agreed, each on something else.
    SplitBrain {
        /// The slot.
        slot: Slot,
        /// Every digest seen.
        seen: Vec<(ReplicaId, Hash)>,
    },
}

type Domains = BTreeMap<ReplicaId, u64>;

#[derive(Default)]
struct Held {
    own: Option<Published>,
    digests: BTreeMap<ReplicaId, Hash>,
}

impl Clerk {
    /// For a replica that publishes at `copies` equal digests, its own among them, and has published through a slot.
    #[must_use]
    pub fn new(replica: ReplicaId, replicas: u8, copies: u8, published: Slot) -> Clerk {
        assert!(copies > 0 && copies <= replicas, "{copies} copies of {replicas} replicas");
        Clerk {
            replica,
            copies: copies.into(),
            published,
            held: BTreeMap::new(),
            outside: BTreeMap::new(),
            ready: VecDeque::new(),
            findings: VecDeque::new(),
            stopped: false,
            copies_out: VecDeque::new(),
            has_peers: replicas > 1,
            settled: VecDeque::new(),
            domains: BTreeMap::new(),
            pieces: VecDeque::new(),
            pieces_bytes: 0,
            own_held: 0,
            copies_matched: 0,
        }
    }

    /// What a replica, this one or another, shares with others when it fails: at most one copy counts of those in one
    /// domain (C1). Of whom nothing was said counts alone.
    pub fn handle_failure_domain(&mut self, replica: ReplicaId, domain: u64) {
        self.domains.insert(replica, domain);
    }

    /// This replica ran a stripe. In slot order.
    pub fn handle_own(&mut self, mut own: Published) {
        let slot = own.slot;
        assert!(slot > self.published, "slot {slot} ran again after {}", self.published);
        if self.has_peers {
            self.copies_out.push_back((slot, own.digest));
            // Stripes of a shard run in slot order, so below this one it has none that has not run: whoever sent copies
            // there says something that nobody asked about, and nothing may wait for it.
            let stray = |at: &Slot, held: &Held| *at < slot && held.own.is_none();
            self.held.retain(|at, held| !stray(at, held));
        }
        if self.copies == 1 && self.held.is_empty() && !self.stopped {
            self.published = slot;
            self.settle_digest(slot, own.digest);
            self.keep_pieces(&mut own);
            self.ready.push_back(own);
            return;
        }
        let held = self.held.entry(slot).or_default();
        assert!(held.own.is_none(), "slot {slot} ran twice");
        held.digests.insert(self.replica, own.digest);
        held.own = Some(own);
        self.own_held += 1;
        self.settle();
    }

    /// Another replica's digest of this shard's stripe in `slot`.
    pub fn handle_copy(&mut self, from: ReplicaId, slot: Slot, digest: Hash) -> CopyFate {
        assert!(from != self.replica, "a copy from this replica itself");
        if slot <= self.published {
            return CopyFate::Late;
        }
        if slot.0 > self.published.0 + COPIES_AHEAD_MAX && !self.held.contains_key(&slot) {
            return CopyFate::Dropped;
        }
        self.held.entry(slot).or_default().digests.insert(from, digest);
        self.settle();
        CopyFate::Held
    }

    /// Another replica's digest of a slot that was published under another one, `agreed`.
    pub fn handle_outside(&mut self, replica: ReplicaId, slot: Slot, agreed: Hash, found: Hash) {
        assert!(
            slot <= self.published && found != agreed,
            "{replica} agrees, or slot {slot} is not published"
        );
        self.findings.push_back(Finding::Diverged { slot, replica, agreed, found });
        let outside = self.outside.entry(slot).or_default();
        outside.digests.insert(replica, found);
        if outside.reached(self.copies, &self.domains).next().is_some() && !self.stopped {
            let seen = outside.digests.iter().map(|(who, digest)| (*who, *digest));
            let seen = core::iter::once((self.replica, agreed)).chain(seen).collect();
            self.findings.push_back(Finding::SplitBrain { slot, seen });
            self.stopped = true;
        }
        while self.outside.len() > OUTSIDE_SLOTS_MAX {
            self.outside.pop_first();
        }
    }

    /// The next copy for the peers: the digest of a stripe that has run here.
    pub fn poll_copy(&mut self) -> Option<(Slot, Hash)> {
        self.copies_out.pop_front()
    }

    /// The digest under which a slot was published, if that is not long ago.
    #[must_use]
    pub fn published_digest(&self, slot: Slot) -> Option<Hash> {
        let at = self.settled.binary_search_by_key(&slot, |(settled, _)| *settled).ok()?;
        Some(self.settled[at].1)
    }

    /// The first slot whose published digest is in memory.
    #[must_use]
    pub fn settled_from(&self) -> Option<Slot> {
        self.settled.front().map(|(slot, _)| *slot)
    }

    /// This replica's digest of a slot, published or not.
    #[must_use]
    pub fn own_digest(&self, slot: Slot) -> Option<Hash> {
        let held = self.held.get(&slot).and_then(|held| held.own.as_ref());
        held.map(|own| own.digest).or_else(|| self.published_digest(slot))
    }

    /// The first and the last stripe that have run and are not published.
    #[must_use]
    pub fn unpublished(&self) -> Option<(Slot, Slot)> {
        let mut own = self.held.iter().filter(|(_, held)| held.own.is_some()).map(|(slot, _)| *slot);
        let first = own.next()?;
        Some((first, own.next_back().unwrap_or(first)))
    }

    /// Event by event what a stripe came to, if it is not published or was not long ago (C6).
    #[must_use]
    pub fn evaluated(&self, slot: Slot) -> Option<&Evaluated> {
        let own = self.held.get(&slot).and_then(|held| held.own.as_ref()).map(|own| &own.evaluated);
        let kept = || self.pieces.binary_search_by_key(&slot, |(at, _)| *at).ok();
        own.or_else(|| kept().map(|at| &self.pieces[at].1))
    }

    /// Every digest that was seen of a slot.
    #[must_use]
    pub fn seen(&self, slot: Slot) -> Vec<(ReplicaId, Hash)> {
        let held = self.held.get(&slot);
        held.iter().flat_map(|held| &held.digests).map(|(who, digest)| (*who, *digest)).collect()
    }

    /// The next slot to be released.
    pub fn poll_published(&mut self) -> Option<Published> {
        if canary::armed(Canary::PublishOutOfOrder) {
            return self.ready.pop_back();
        }
        self.ready.pop_front()
    }

    /// The next finding.
    pub fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }

    /// The last slot that was released.
    #[must_use]
    pub fn published(&self) -> Slot {
        self.published
    }

    /// Stripes that have run here and wait for equal copies.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.own_held
    }

    /// Stripes that were released, since this start, because enough replicas had computed the same.
    #[must_use]
    pub fn copies_matched(&self) -> u64 {
        self.copies_matched
    }

    /// Panics when a promise at the head of this file is broken.
    pub fn check_invariants(&self) {
        let held = self.held.values().filter(|held| held.own.is_some()).count();
        assert!(held as u64 == self.own_held, "{held} own stripes are held, {} counted", self.own_held);
        let lowest = self.held.keys().next();
        assert!(
            lowest.is_none_or(|lowest| *lowest > self.published || self.stopped),
            "slot {lowest:?} is held, {} is published",
            self.published
        );
        let highest = self.outside.keys().next_back();
        assert!(highest <= Some(&self.published), "slot {highest:?} was published otherwise");
        assert!(self.outside.len() <= OUTSIDE_SLOTS_MAX, "{} slots", self.outside.len());
    }

    /// Decides slot by slot, as far as it goes.
    fn settle(&mut self) {
        while !self.stopped {
            // A slot below one of our own in which this shard has no stripe: a copy that nobody should have sent.
            let Some((slot, held)) = self.held.iter().next() else {
                return;
            };
            let slot = *slot;
            let one_less = canary::armed(Canary::CopyTooFew) && self.copies > 1;
            match table::decide(held.seen(self.copies - usize::from(one_less), &self.domains)) {
                Decision::Hold => return,
                Decision::Publish => self.publish(slot),
                Decision::Quarantine => {
                    let agreed = held.reached(self.copies, &self.domains).next().expect("a group agreed");
                    let found = held.own.as_ref().expect("own is known").digest;
                    self.findings.push_back(Finding::Quarantine { slot, agreed, found });
                    self.stopped = true;
                }
                Decision::SplitBrain => {
                    let seen = held.digests.iter().map(|(who, digest)| (*who, *digest));
                    let seen = seen.collect();
                    self.findings.push_back(Finding::SplitBrain { slot, seen });
                    self.stopped = true;
                }
            }
        }
    }

    fn publish(&mut self, slot: Slot) {
        let held = self.held.remove(&slot).expect("it is held");
        let mut own = held.own.expect("own is among those published");
        self.published = slot;
        self.own_held -= 1;
        // With one copy nothing was compared.
        self.copies_matched += u64::from(self.copies > 1);
        for (replica, found) in held.digests {
            if found != own.digest {
                self.handle_outside(replica, slot, own.digest, found);
            }
        }
        self.settle_digest(slot, own.digest);
        self.keep_pieces(&mut own);
        self.ready.push_back(own);
    }

    /// Whoever differs finds out within a window or so, or a little later where it catches up.
    fn keep_pieces(&mut self, own: &mut Published) {
        if self.has_peers {
            let evaluated = core::mem::take(&mut own.evaluated);
            self.pieces_bytes += evaluated.0.len();
            self.pieces.push_back((own.slot, evaluated));
            while self.pieces_bytes > PIECES_BYTES_MAX || self.pieces.len() > STRIPES_IN_PIECES_MAX {
                let Some((_, oldest)) = self.pieces.pop_front() else { break };
                self.pieces_bytes -= oldest.0.len();
            }
        }
    }

    fn settle_digest(&mut self, slot: Slot, digest: Hash) {
        if self.has_peers {
            if self.settled.len() == SETTLED_DIGESTS {
                self.settled.pop_front();
            }
            self.settled.push_back((slot, digest));
        }
    }
}

impl Held {
    /// The table's input.
    fn seen(&self, copies: usize, domains: &Domains) -> Seen {
        let own = self.own.as_ref().map(|own| own.digest);
        let others = self.reached(copies, domains).filter(|digest| Some(*digest) != own).count();
        Seen {
            own: match own {
                None => Own::Unknown,
                Some(digest) if self.group(digest, domains) >= copies => Own::Agreed,
                Some(_) => Own::Short,
            },
            others: match others {
                0 => Others::None,
                1 => Others::One,
                _ => Others::Several,
            },
        }
    }

    /// Every digest that reached `copies`, each once.
    fn reached(&self, copies: usize, domains: &Domains) -> impl Iterator<Item = Hash> {
        let digests = self.digests.values().enumerate();
        let first = digests.filter(|(at, digest)| !self.digests.values().take(*at).any(|d| d == *digest));
        first.map(|(_, digest)| *digest).filter(move |digest| self.group(*digest, domains) >= copies)
    }

    /// In how many failure domains a digest was computed.
    fn group(&self, digest: Hash, domains: &Domains) -> usize {
        let of = |replica: &ReplicaId| domains.get(replica).ok_or(*replica);
        let same = || self.digests.iter().filter(|(_, other)| **other == digest).map(|(replica, _)| replica);
        // Few replicas: each counts unless an earlier one is in its domain.
        same()
            .enumerate()
            .filter(|(at, replica)| !same().take(*at).any(|other| of(other) == of(replica)))
            .count()
    }
}
