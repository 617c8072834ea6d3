//! The state machine of the replicated log on one replica.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::manifest::{Manifest, Ordered};
use assize_wire::{Ballot, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

use crate::offers::{Offer, Offers};
use crate::watermarks::Watermarks;

/// What the Docket is told at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DocketConfig {
    /// This replica.
    pub replica: ReplicaId,
    /// Shards of the cluster.
    pub shards: u16,
    /// Slots that may be formed and not yet published.
    pub window: u32,
}

/// Where a log stands: what the next manifest chains to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogTip {
    /// The last slot.
    pub slot: Slot,
    /// The hash of its manifest.
    pub hash: Hash,
    /// Its stream time.
    pub time: StreamTime,
}

impl LogTip {
    /// Before the first slot.
    pub const START: LogTip = LogTip { slot: Slot::ZERO, hash: Hash::ZERO, time: StreamTime(0) };
}

/// A slot that was just formed: its accept record must be written, after the stripes it names (P2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a slot that was formed and is not written stops the log"]
pub struct Proposal {
    /// The ballot under which it is proposed.
    pub ballot: Ballot,
    /// The slot.
    pub slot: Slot,
    /// Its value.
    pub manifest: Manifest,
    /// The manifest's bytes.
    pub bytes: Vec<u8>,
    /// Their hash.
    pub hash: Hash,
}

/// Whether a checkpoint is to be taken after the next slot (L6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFlag {
    /// No.
    Lowered,
    /// Yes, when there is something to order.
    Raised,
    /// Yes, at once, even if there is nothing to order.
    Alone,
}

/// The replicated log as one replica leads it.
///
/// Order of calls: [`Docket::replay`] for every slot that recovery found, in order; then [`Docket::lead`]; then any
/// input, after each of which [`Docket::form`] and [`Docket::poll_chosen`] are drained.
///
/// Invariants, checked by [`Docket::check_invariants`]:
/// * `published <= chosen <= accepted <= formed`, and `formed - published <= window`.
/// * `unpublished` holds exactly the slots above `published` up to `formed`, in order, each chained to the one below.
/// * While an accept record is being written no other slot is formed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Docket {
    config: DocketConfig,
    /// The ballot under which this replica leads, or [`Ballot::NONE`].
    ballot: Ballot,
    /// The last formed (or replayed) slot.
    tip: LogTip,
    marks: Watermarks,
    offers: Offers,
    unpublished: VecDeque<Unpublished>,
    /// The slot up to which [`Docket::poll_chosen`] has told of choices.
    told: Slot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Unpublished {
    ordered: Arc<Ordered>,
    /// Bit s: shard s has a stripe in this slot and has not published it.
    owing: u64,
}

impl Docket {
    /// A Docket whose log ends at `tip`, all of it published; it does not lead.
    #[must_use]
    pub fn new(config: DocketConfig, tip: LogTip) -> Docket {
        assert!(config.window >= 1, "a window of no slots");
        Docket {
            config,
            ballot: Ballot::NONE,
            tip,
            marks: Watermarks::at(tip.slot),
            offers: Offers::new(config.shards),
            unpublished: VecDeque::new(),
            told: tip.slot,
        }
    }

    /// A slot that recovery found: with one replica, durable is chosen. Only while there is [`Docket::room`].
    ///
    /// # Panics
    /// When it does not chain to the slot below: recovery promised that it does (P4).
    pub fn replay(&mut self, manifest: Manifest, hash: Hash) {
        assert_eq!(self.ballot, Ballot::NONE, "slots are replayed before leading");
        assert_eq!(manifest.slot, self.tip.slot.next(), "replayed out of order");
        assert_eq!(manifest.previous, self.tip.hash, "slot {} does not chain", manifest.slot);
        assert!(manifest.time >= self.tip.time, "stream time moved back at slot {}", manifest.slot);
        assert!(self.room(), "slot {} is replayed beyond the window", manifest.slot);
        self.push(manifest, hash);
        self.marks.accepted = self.tip.slot;
        self.marks.chosen = self.tip.slot;
    }

    /// Takes up leading under `ballot`, which is durable and above every one used before (P1).
    pub fn lead(&mut self, ballot: Ballot) {
        assert!(ballot > self.ballot, "ballot {ballot} is not above {}", self.ballot);
        assert_eq!(ballot.replica(), self.config.replica, "another replica's ballot");
        self.ballot = ballot;
    }

    /// A shard sealed a stripe.
    pub fn handle_offer(&mut self, offer: Offer) {
        // P8: named only under the ballot in its bytes. Another one is of an earlier leadership of ours; its shard
        // has discarded it.
        if offer.ballot == self.ballot {
            self.offers.push(offer);
        }
    }

    /// A stripe in a log other than the Docket's is durable (P2).
    pub fn handle_stripe_durable(&mut self, id: StripeId) {
        self.offers.mark_durable(id);
    }

    /// The accept record of `slot` under `ballot` is durable, with everything before it.
    pub fn handle_accept_durable(&mut self, slot: Slot, ballot: Ballot) {
        assert_eq!(ballot, self.ballot, "an accept under a ballot that is not ours");
        assert_eq!(slot, self.marks.accepted.next(), "accepted out of slot order (P4)");
        self.marks.accepted = slot;
        // One voting replica is its own majority.
        self.marks.chosen = slot;
    }

    /// A shard published its stripe of `slot` (C3: in slot order).
    pub fn handle_published(&mut self, slot: Slot, shard: ShardId) {
        let first = self.marks.published.next();
        let at = slot.0.checked_sub(first.0).and_then(|at| usize::try_from(at).ok());
        let entry = at.and_then(|at| self.unpublished.get_mut(at));
        let Some(entry) = entry else {
            panic!("shard {shard} published slot {slot}, outside {first} ..= {}", self.marks.formed);
        };
        assert!(slot <= self.marks.chosen, "slot {slot} is published before it is chosen");
        let bit = 1 << shard.0;
        assert!(entry.owing & bit != 0, "shard {shard} published slot {slot} twice or has no stripe in it");
        entry.owing &= !bit;
        self.advance_published();
    }

    /// A slot is published when no shard owes it anything; one that orders nothing as soon as it was told.
    fn advance_published(&mut self) {
        while self.marks.published < self.told
            && self.unpublished.front().is_some_and(|entry| entry.owing == 0)
        {
            self.unpublished.pop_front();
            self.marks.published = self.marks.published.next();
        }
    }

    /// Forms the next slot from every offer that may be named, if it is time: one slot per completed manifest
    /// write, and no more than the window. `clock` is this replica's wall clock (P13); stream time never moves back.
    pub fn form(&mut self, clock: StreamTime, flag: CheckpointFlag) -> Option<Proposal> {
        let writing = self.marks.accepted < self.marks.formed;
        let something = self.offers.has_ready() || flag == CheckpointFlag::Alone;
        if self.ballot == Ballot::NONE || writing || !self.room() || !something {
            return None;
        }
        let manifest = Manifest {
            slot: self.tip.slot.next(),
            time: clock.max(self.tip.time),
            previous: self.tip.hash,
            checkpoint: flag != CheckpointFlag::Lowered,
            stripes: self.offers.take_ready(),
        };
        let bytes = manifest.encode();
        let (slot, hash) = (manifest.slot, Hash::of(&bytes));
        self.push(manifest.clone(), hash);
        Some(Proposal { ballot: self.ballot, slot, manifest, bytes, hash })
    }

    /// The next slot that became chosen, in slot order.
    pub fn poll_chosen(&mut self) -> Option<Arc<Ordered>> {
        if self.told >= self.marks.chosen {
            return None;
        }
        self.told = self.told.next();
        let at = (self.told.0 - self.marks.published.0 - 1) as usize;
        let ordered = Arc::clone(&self.unpublished[at].ordered);
        self.advance_published();
        Some(ordered)
    }

    /// Whether one more slot may be formed or replayed.
    #[must_use]
    pub fn room(&self) -> bool {
        self.tip.slot.0 - self.marks.published.0 < u64::from(self.config.window)
    }

    /// How far this replica is.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.marks
    }

    /// The ballot under which it leads, or [`Ballot::NONE`].
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The last slot formed.
    #[must_use]
    pub fn tip(&self) -> LogTip {
        self.tip
    }

    /// Whether nothing is under way: no offer waits and every slot is published.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.unpublished.is_empty()
            && (0..self.config.shards).all(|shard| self.offers.waiting(ShardId(shard)) == 0)
    }

    /// Panics, with the values, when an invariant is broken.
    pub fn check_invariants(&self) {
        self.marks.check_invariants();
        let open = self.marks.formed.0 - self.marks.published.0;
        assert!(open <= u64::from(self.config.window), "{open} slots are open");
        assert_eq!(self.unpublished.len() as u64, open);
        assert_eq!(self.tip.slot, self.marks.formed);
        assert!(self.told >= self.marks.published && self.told <= self.marks.chosen);
        for (below, entry) in self.unpublished.iter().zip(self.unpublished.iter().skip(1)) {
            assert_eq!(entry.ordered.manifest.previous, below.ordered.hash, "the chain is broken");
        }
    }

    fn push(&mut self, manifest: Manifest, hash: Hash) {
        self.tip = LogTip { slot: manifest.slot, hash, time: manifest.time };
        self.marks.formed = manifest.slot;
        let owing = manifest.stripes.iter().fold(0u64, |mask, stripe| mask | 1 << stripe.id.shard.0);
        self.unpublished.push_back(Unpublished { ordered: Arc::new(Ordered { manifest, hash }), owing });
    }
}

#[cfg(test)]
mod tests {
    use assize_wire::manifest::StripeRef;
    use proptest::prelude::*;

    use super::*;

    const BALLOT: u64 = 3;

    fn docket(shards: u16, window: u32) -> Docket {
        let mut docket = Docket::new(DocketConfig { replica: ReplicaId(0), shards, window }, LogTip::START);
        docket.lead(Ballot::new(BALLOT, ReplicaId(0)));
        docket
    }

    fn offer(shard: u16, counter: u64, in_docket_log: bool) -> Offer {
        let hash = Hash::of(&[shard.to_le_bytes().as_slice(), &counter.to_le_bytes()].concat());
        Offer {
            ballot: Ballot::new(BALLOT, ReplicaId(0)),
            stripe: StripeRef {
                id: StripeId { shard: ShardId(shard), hash },
                home_mask: 1,
                events: 1,
                bytes: 80,
            },
            in_docket_log,
        }
    }

    #[test]
    fn form_slot_waits_for_stripes_in_other_logs_and_for_the_manifest_write() {
        let mut docket = docket(2, 4);
        docket.handle_offer(offer(1, 0, false));
        assert_eq!(
            docket.form(StreamTime(5), CheckpointFlag::Lowered),
            None,
            "P2: not durable in its own log"
        );
        docket.handle_stripe_durable(offer(1, 0, false).stripe.id);
        docket.handle_offer(offer(0, 0, true));
        let first = docket.form(StreamTime(5), CheckpointFlag::Lowered).unwrap();
        let stripes = Manifest::parse(&first.bytes).unwrap().stripes;
        assert_eq!(stripes.iter().map(|stripe| stripe.id.shard.0).collect::<Vec<_>>(), [0, 1]);
        docket.handle_offer(offer(0, 1, true));
        assert_eq!(
            docket.form(StreamTime(6), CheckpointFlag::Lowered),
            None,
            "one slot per completed manifest write"
        );
        assert_eq!(docket.poll_chosen(), None, "not chosen before it is durable");
        docket.handle_accept_durable(first.slot, first.ballot);
        assert_eq!(docket.poll_chosen().unwrap().manifest.slot, Slot(1));
        let second = docket.form(StreamTime(4), CheckpointFlag::Lowered).unwrap();
        let manifest = Manifest::parse(&second.bytes).unwrap();
        assert_eq!((manifest.time, manifest.previous), (StreamTime(5), Hash::of(&first.bytes)));
    }

    #[test]
    fn an_offer_is_named_only_under_its_own_ballot() {
        let mut docket = docket(1, 4);
        docket.handle_offer(Offer { ballot: Ballot::new(BALLOT - 1, ReplicaId(0)), ..offer(0, 0, true) });
        assert_eq!(docket.form(StreamTime(1), CheckpointFlag::Lowered), None);
    }

    proptest! {
        /// Random offers, completions and publications against what must hold at every step.
        #[test]
        fn the_log_is_a_chain_within_its_window(
            steps in proptest::collection::vec((0u8..5, 0u16..3), 1..300), window in 1u32..5
        ) {
            let mut docket = docket(3, window);
            let mut counter = 0;
            let mut not_durable = Vec::new();
            let mut writing: Option<Proposal> = None;
            let mut owed: VecDeque<(Slot, ShardId)> = VecDeque::new();
            let mut chain = std::vec![Hash::ZERO];
            let mut time = 0;
            let mut named = 0u64;
            let mut offered = 0u64;
            for (what, shard) in steps {
                match what {
                    0 => {
                        counter += 1;
                        offered += 1;
                        docket.handle_offer(offer(shard, counter, shard == 0));
                        if shard != 0 {
                            not_durable.push(offer(shard, counter, false).stripe.id);
                        }
                    }
                    1 if !not_durable.is_empty() => {
                        let at = usize::from(shard) % not_durable.len();
                        docket.handle_stripe_durable(not_durable.swap_remove(at));
                    }
                    2 => if let Some(proposal) = docket.form(StreamTime(100 - u64::from(shard)), CheckpointFlag::Lowered) {
                        prop_assert!(writing.is_none());
                        let manifest = Manifest::parse(&proposal.bytes).unwrap();
                        prop_assert_eq!(manifest.previous, *chain.last().unwrap());
                        prop_assert!(manifest.time.0 >= time);
                        for stripe in &manifest.stripes {
                            prop_assert!(!not_durable.contains(&stripe.id));
                        }
                        named += manifest.stripes.len() as u64;
                        time = manifest.time.0;
                        chain.push(Hash::of(&proposal.bytes));
                        writing = Some(proposal);
                    },
                    3 => if let Some(proposal) = writing.take() {
                        docket.handle_accept_durable(proposal.slot, proposal.ballot);
                    },
                    _ => if let Some((slot, shard)) = owed.pop_front() {
                        docket.handle_published(slot, shard);
                    },
                }
                while let Some(ordered) = docket.poll_chosen() {
                    prop_assert_eq!(ordered.hash, chain[ordered.manifest.slot.0 as usize]);
                    owed.extend(ordered.manifest.stripes.iter().map(|stripe| (ordered.manifest.slot, stripe.id.shard)));
                }
                docket.check_invariants();
                let waiting: usize = (0..3).map(|shard| docket.offers.waiting(ShardId(shard))).sum();
                prop_assert_eq!(offered, named + waiting as u64, "an offer was lost or doubled");
            }
        }
    }
}
