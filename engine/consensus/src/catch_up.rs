//! Learning what is chosen: from a hash that the own chain has, or by fetching the slots (P7).

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::manifest::Ordered;
use assize_wire::peer::{Chosen, DocketMessage};
use assize_wire::{Ballot, Hash, ReplicaId, Slot};

use crate::docket::Docket;
use crate::effect::{Alarm, Effect};
use crate::intake::Pending;
use crate::limits::{AHEAD_MAX, FETCH_HEARTBEATS_MAX, FETCH_SLOTS_MAX};
use crate::log::LogTip;

/// The highest slot that anybody said to be chosen, and who did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heard {
    pub(crate) chosen: Chosen,
    from: ReplicaId,
    /// Not below the ballot under which it was chosen.
    bound: Ballot,
}

impl Heard {
    pub(crate) fn nothing(replica: ReplicaId) -> Heard {
        Heard { chosen: Chosen { slot: Slot::ZERO, hash: Hash::ZERO }, from: replica, bound: Ballot::NONE }
    }
}

/// A fetch under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fetch {
    pub(crate) to: ReplicaId,
    from: Slot,
    /// Heartbeats since it was sent.
    age: u8,
}

impl Docket {
    /// Somebody says that a slot is chosen. `bound` is not below the ballot under which it was.
    pub(crate) fn hear_chosen(&mut self, from: ReplicaId, chosen: Chosen, bound: Ballot) {
        if chosen.slot <= self.fact {
            self.compare_with_fact(from, chosen);
            return;
        }
        if chosen.slot > self.heard.chosen.slot {
            self.heard = Heard { chosen, from, bound };
            self.learn_heard();
        } else if bound <= self.promised {
            self.learn(chosen);
        }
        self.want_fetch();
    }

    fn compare_with_fact(&mut self, from: ReplicaId, chosen: Chosen) {
        let (slot, told) = (chosen.slot, chosen.hash);
        if let Some(held) = self.chain.tip_at(slot).map(|tip| tip.hash)
            && held != told
        {
            self.effects.push_back(Effect::Alarm(Alarm::SplitLog { slot, held, told, from }));
        }
    }

    /// What was heard may have come here meanwhile.
    pub(crate) fn learn_heard(&mut self) {
        // Below the bound this replica might still have to heed a leader with another value there; a fetch raises it.
        if self.heard.chosen.slot > self.fact && self.heard.bound <= self.promised {
            self.learn(self.heard.chosen);
        }
    }

    /// A slot is chosen: whether its value is here, in the chain or on its way there, and nothing need be fetched.
    fn learn(&mut self, chosen: Chosen) {
        let any = canary::armed(Canary::ChosenWithoutHash);
        if self.chain.get(chosen.slot).is_some_and(|held| held.ordered.hash == chosen.hash || any) {
            self.raise_fact(chosen.slot);
        } else if self.intake.get(chosen.slot).is_some_and(|pending| pending.ordered.hash == chosen.hash) {
            self.raise_fact(self.written);
            self.intake.mark_chosen(chosen.slot);
        }
    }

    /// Everything in the chain through `slot` is chosen.
    pub(crate) fn raise_fact(&mut self, slot: Slot) {
        assert!(slot <= self.chain.tip().slot, "slot {slot} is chosen and not in the chain");
        self.fact = self.fact.max(slot);
        // Whatever else may have been accepted at a chosen slot was the same value, or counts for nothing any more.
        self.doubtful.retain(|(doubtful, _)| *doubtful > slot);
        if self.written >= slot {
            return;
        }
        // The chain has the chosen values already, under lower ballots: no record is needed for them.
        self.written = slot;
        while self.intake.front().is_some_and(|pending| pending.slot() <= slot)
            && let Some(pending) = self.intake.pop()
        {
            self.stripes.unwant_all_of(&pending.ordered.manifest);
        }
        let tip = self.written_tip();
        if self.intake.front().is_some_and(|pending| !tip.is_continued_by(&pending.ordered)) {
            self.give_up_intake();
        }
    }

    /// Takes a slot that is chosen, right above everything known chosen. Says whether it fits.
    pub(crate) fn take_chosen(&mut self, ordered: &Arc<Ordered>, from: Option<ReplicaId>) -> bool {
        let slot = ordered.manifest.slot;
        let chosen = Chosen { slot, hash: ordered.hash };
        self.learn(chosen);
        if self.known_tip().slot >= slot {
            return true;
        }
        if slot <= self.written {
            return false;
        }
        for pending in self.intake.split_off(|pending| pending.slot() < slot) {
            self.stripes.unwant_all_of(&pending.ordered.manifest);
        }
        if !self.intake_tip().is_continued_by(ordered) {
            return false;
        }
        self.raise_fact(self.written);
        self.take_in(Pending { ordered: Arc::clone(ordered), fresh: false, chosen: true, from });
        self.intake.mark_chosen(slot);
        true
    }

    /// Where the log stands at the last slot that is known chosen, written or not.
    fn known_tip(&self) -> LogTip {
        match self.intake.chosen_tip().or_else(|| self.chain.tip_at(self.fact)) {
            Some(tip) => tip,
            None => panic!("slot {} is chosen and not in memory", self.fact),
        }
    }

    /// Fetches what is known chosen elsewhere and has not come here.
    pub(crate) fn want_fetch(&mut self) {
        let known = self.known_tip().slot;
        let ahead = known.0 - self.published.0 >= AHEAD_MAX;
        if self.heard.chosen.slot <= known || self.fetch.is_some() || ahead {
            return;
        }
        let choices = [Some(self.heard.from), self.leader];
        let named = choices.into_iter().flatten().find(|peer| self.connected.has(*peer));
        if let Some(to) = named.or_else(|| self.connected.iter().next()) {
            self.fetch_from(to, known.next());
        }
    }

    fn fetch_from(&mut self, to: ReplicaId, from: Slot) {
        self.fetch = Some(Fetch { to, from, age: 0 });
        self.send(to, DocketMessage::Fetch { from });
    }

    /// A fetch that brought nothing for some heartbeats is sent again, to the next peer.
    pub(crate) fn age_fetch(&mut self) {
        let Some(fetch) = &mut self.fetch else { return };
        fetch.age += 1;
        if fetch.age >= FETCH_HEARTBEATS_MAX {
            let last = fetch.to;
            self.fetch = None;
            let next = self.connected.iter().find(|peer| *peer > last);
            let known = self.known_tip().slot;
            if let Some(to) = next.or_else(|| self.connected.iter().next())
                && self.heard.chosen.slot > known
            {
                self.fetch_from(to, known.next());
            }
        }
    }

    pub(crate) fn take_fetch(&mut self, to: ReplicaId, from: Slot) {
        if from <= self.checkpoint {
            let (ballot, chosen) = (self.promised, self.known_chosen());
            self.send(to, DocketMessage::Fetched { ballot, slots: Vec::new(), chosen });
            return;
        }
        if from <= self.chain.base() {
            self.effects.push_back(Effect::ReadChosen { to, from });
            return;
        }
        let slots = self.chain.above(Slot(from.0 - 1)).map(|held| &held.ordered);
        let any = canary::armed(Canary::RepairedByAccept);
        let slots = slots.take_while(|ordered| any || ordered.manifest.slot <= self.chosen);
        let slots = slots.take(FETCH_SLOTS_MAX as usize).cloned().collect();
        let (ballot, chosen) = (self.promised, self.known_chosen());
        self.send(to, DocketMessage::Fetched { ballot, slots, chosen });
    }

    pub(crate) fn take_fetched(
        &mut self,
        from: ReplicaId,
        ballot: Ballot,
        slots: Vec<Arc<Ordered>>,
        chosen: Chosen,
    ) {
        self.seen = self.seen.max(ballot);
        let asked = self.fetch.filter(|fetch| fetch.to == from);
        if slots.is_empty() {
            // Asking again at once would bring the same answer: heartbeats age the fetch.
            match asked {
                Some(fetch) if chosen.slot >= fetch.from => {
                    self.effects.push_back(Effect::WantCheckpoint { from, chosen: chosen.slot });
                }
                // It does not know what this replica heard of: the next heartbeat says who does.
                Some(_) => self.fetch = None,
                None => {}
            }
            return;
        }
        if asked.is_some() {
            self.fetch = None;
        }
        let known = self.known_tip().slot;
        let is_new = slots.iter().any(|ordered| ordered.manifest.slot == known.next());
        if is_new && ballot > self.promised {
            // The slots may have been chosen under any ballot up to this one. A leader below it, which might have other
            // values there, is heeded no more.
            self.adopt(ballot);
        }
        for ordered in &slots {
            let (slot, tip) = (ordered.manifest.slot, self.known_tip());
            if slot <= tip.slot {
                self.compare_with_known(from, ordered);
            } else if slot.0 - self.published.0 > AHEAD_MAX || slot > tip.slot.next() {
                break;
            } else if !tip.is_continued_by(ordered) || !self.take_chosen(ordered, Some(from)) {
                let (held, told) = (tip.hash, ordered.manifest.previous);
                self.effects.push_back(Effect::Alarm(Alarm::SplitLog { slot: tip.slot, held, told, from }));
                self.fetch = asked;
                break;
            }
        }
        self.consider_early();
        self.drain_intake();
        self.hear_chosen(from, chosen, ballot);
        self.want_fetch();
    }

    fn compare_with_known(&mut self, from: ReplicaId, ordered: &Ordered) {
        let (slot, told) = (ordered.manifest.slot, ordered.hash);
        let held = match self.intake.get(slot) {
            Some(pending) => Some(pending.ordered.hash),
            None => self.chain.get(slot).map(|held| held.ordered.hash),
        };
        if let Some(held) = held.filter(|held| *held != told) {
            self.effects.push_back(Effect::Alarm(Alarm::SplitLog { slot, held, told, from }));
        }
    }
}
