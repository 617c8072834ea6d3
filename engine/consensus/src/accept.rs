//! How values enter this replica's log: in slot order, with their stripes, each by a record (P2 to P4).

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::manifest::Ordered;
use assize_wire::peer::Promised;
use assize_wire::{Ballot, ReplicaId, Slot, StripeId};

use crate::docket::Docket;
use crate::effect::{Effect, Proposal};
use crate::intake::Pending;
use crate::log::LogTip;

/// An accept record on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writing {
    pub(crate) slot: Slot,
    pub(crate) ballot: Ballot,
    /// Whether another value was written at its slot since, or the slot was voided: then it says nothing of the chain.
    pub(crate) stale: bool,
}

impl Docket {
    /// Where the log stands at `written`.
    pub(crate) fn written_tip(&self) -> LogTip {
        match self.chain.tip_at(self.written) {
            Some(tip) => tip,
            None => panic!("slot {} is written and not in memory", self.written),
        }
    }

    /// Where the log will stand when everything that is taken is written.
    pub(crate) fn intake_tip(&self) -> LogTip {
        self.intake.tip().unwrap_or_else(|| self.written_tip())
    }

    /// Takes a value that continues the intake.
    pub(crate) fn take_in(&mut self, pending: Pending) {
        let tip = self.intake_tip();
        assert!(tip.is_continued_by(&pending.ordered), "slot {} does not continue {tip:?}", pending.slot());
        self.want_stripes(&pending.ordered, pending.from);
        self.intake.push(pending);
    }

    /// Asks for the stripes that a value names and that are not here.
    pub(crate) fn want_stripes(&mut self, ordered: &Ordered, from: Option<ReplicaId>) {
        for stripe in &ordered.manifest.stripes {
            if self.stripes.want(stripe.id) {
                self.effects.push_back(Effect::WantStripe { stripe: *stripe, from });
            }
        }
    }

    /// Writes what has all its stripes, in slot order (P2), once the ballot is durable: recovery relies on it, for an
    /// accept record that decays may be the only one that tells of the ballot (P1).
    ///
    /// 1. This replica promised 3.0. It hears of ballot 5.1 by a proposal of slot 7, accepts it, and with 1 itself that
    ///    is a majority.
    /// 2. It stops, and the record decays. The superblock says 3.0, and slot 7 is damaged.
    /// 3. Replica 2, which led under 4.2, still proposes its own slot 7; here it is accepted, and the damage is gone.
    /// 4. Replica 1 dies; 0 and 2 elect a leader, which finds the value of 4.2: the choice of 5.1 is lost.
    pub(crate) fn drain_intake(&mut self) {
        self.learn_heard();
        if self.promised_durable < self.promised && !self.intake.is_empty() {
            self.write_promise();
            return;
        }
        while self.accept_room > 0
            && let Some(first) = self.intake.front()
            && self.stripes.has_all_of(&first.ordered.manifest)
            && let Some(pending) = self.intake.pop()
        {
            self.write(pending);
        }
    }

    /// Has the superblock hold the present promise, once.
    pub(crate) fn write_promise(&mut self) {
        if self.promise_written < self.promised {
            self.promise_written = self.promised;
            self.effects.push_back(Effect::WritePromise(self.promised));
        }
    }

    /// Gives up what is not known chosen: it belongs to a ballot that ends.
    pub(crate) fn give_up_intake(&mut self) {
        for pending in self.intake.split_off(|pending| pending.chosen) {
            self.stripes.unwant_all_of(&pending.ordered.manifest);
        }
        self.early.clear();
    }

    fn write(&mut self, pending: Pending) {
        let Pending { ordered, fresh, chosen, .. } = pending;
        let (slot, ballot) = (ordered.manifest.slot, self.promised);
        assert_eq!(slot, self.written.next(), "written out of slot order (P4)");
        assert_ne!(ballot, Ballot::NONE, "slot {slot} is accepted under no ballot");
        let held = self.chain.get(slot).is_some_and(|held| held.durable && held.ordered.hash == ordered.hash);
        if canary::armed(Canary::AcceptAgainUnwritten) && held {
            self.written = slot;
            self.accepted = slot;
            return;
        }
        let voided = self.chain.put(Arc::clone(&ordered), ballot, fresh);
        if !voided.is_empty() {
            self.durable = self.durable.min(self.written);
            for writing in self.writing.iter_mut().filter(|writing| writing.slot >= slot) {
                writing.stale = true;
            }
            let stripes = voided.iter().flat_map(|held| &held.ordered.manifest.stripes);
            let ids: Vec<StripeId> = stripes.map(|stripe| stripe.id).collect();
            if !ids.is_empty() {
                self.effects.push_back(Effect::Voided(ids));
            }
        }
        self.repair(&ordered, !voided.is_empty());
        self.end_doubt(&ordered, !voided.is_empty());
        self.written = slot;
        if chosen {
            self.fact = slot;
        }
        if self.accept_room != u64::MAX {
            self.accept_room -= 1;
        }
        self.writing.push_back(Writing { slot, ballot, stale: false });
        let bytes = ordered.manifest.encode();
        // A record says what is chosen once it is durable: everything below it has its own record before this one.
        let proposal = Proposal { ballot, slot, fresh, ordered, bytes, chosen: self.fact };
        self.effects.push_back(Effect::WriteAccept(proposal));
        if canary::armed(Canary::AcceptUnwritten) && slot == self.accepted.next() {
            (self.accepted, self.report_due) = (slot, true);
        }
    }

    /// A damaged slot is accepted anew, under a live ballot or because it is chosen (P5). Those above it stay damaged
    /// unless they are void: what was accepted there may be chosen.
    fn repair(&mut self, ordered: &Ordered, voided: bool) {
        let Some((slot, hash)) = self.damaged.first().copied() else { return };
        let other = slot == ordered.manifest.slot && hash.is_some_and(|hash| hash != ordered.hash);
        if voided || other {
            self.damaged.clear();
        }
        self.damaged.retain(|(slot, _)| *slot > ordered.manifest.slot);
    }

    /// What a promise says of slots in doubt, from a slot on (P5).
    pub(crate) fn doubt_from(&self, from: Slot) -> Option<Promised> {
        let (through, _) = *self.doubtful.last()?;
        let (slot, _) = *self.doubtful.iter().find(|(slot, _)| *slot >= from)?;
        Some(Promised::Doubtful { slot, through, ballot: self.doubt_bound })
    }

    /// A slot in doubt is accepted anew. What may have been accepted above it stands if it continues this value.
    fn end_doubt(&mut self, ordered: &Ordered, voided: bool) {
        let Some((first, hash)) = self.doubtful.first().copied() else { return };
        let slot = ordered.manifest.slot;
        let other = slot == first && hash.is_some_and(|hash| hash != ordered.hash);
        if other || (voided && slot < first) {
            self.doubtful.clear();
        }
        self.doubtful.retain(|(doubtful, _)| *doubtful > slot);
    }

    /// An accept record is durable.
    pub(crate) fn take_durable(&mut self, slot: Slot, ballot: Ballot) {
        let Some(writing) = self.writing.pop_front() else {
            panic!("slot {slot} under {ballot} is durable and nothing was being written");
        };
        assert_eq!((writing.slot, writing.ballot), (slot, ballot), "durable out of write order");
        // P3: an accept record is a promise, too.
        self.promised_durable = self.promised_durable.max(ballot);
        if writing.stale {
            return;
        }
        if let Some(held) = self.chain.get_mut(slot) {
            held.durable = true;
        }
        while self.chain.get(self.durable.next()).is_some_and(|held| held.durable) {
            self.durable = self.durable.next();
        }
        if ballot == self.promised && slot == self.accepted.next() {
            self.accepted = slot;
            self.report_due = true;
        }
    }
}
