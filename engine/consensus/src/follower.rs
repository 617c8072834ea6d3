//! A follower: promises, accepts what the leader proposes, and says how far it is (P3, P4, P9, P13).

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::limits::PEER_SLOTS_MAX;
use assize_wire::manifest::Ordered;
use assize_wire::peer::{Chosen, DocketMessage, Promised};
use assize_wire::{Ballot, ReplicaId, Slot, StreamTime};

use crate::docket::{Docket, State};
use crate::effect::{Alarm, Effect};
use crate::intake::Pending;
use crate::limits::{AHEAD_MAX, EARLY_SLOTS_MAX, PROMISE_SLOTS_MAX};

impl Docket {
    /// Goes by a higher ballot from now on: whatever belonged to a lower one ends.
    pub(crate) fn adopt(&mut self, ballot: Ballot) {
        assert!(ballot > self.promised, "ballot {ballot} is not above {} (P1)", self.promised);
        self.step_down();
        self.state = State::Following;
        self.promised = ballot;
        self.seen = self.seen.max(ballot);
        (self.asked, self.leader) = (None, None);
        (self.hears_leader, self.counted, self.leased) = (false, Slot::ZERO, Slot::ZERO);
        self.give_up_intake();
        // What is known chosen need not be accepted under the new ballot; everything else must be (P3).
        self.written = self.fact;
        self.accepted = self.chosen;
        if canary::armed(Canary::AcceptAbove) {
            (self.written, self.accepted) = (self.durable.max(self.fact), self.durable.max(self.chosen));
        }
        self.report_due = false;
    }

    /// Could the sender win? Nothing is promised by the answer (P9), and nobody could whom a lease would refuse (P11).
    pub(crate) fn take_canvass(&mut self, from: ReplicaId, ballot: Ballot, chosen: Slot) {
        let leads = matches!(self.state, State::Leading(_));
        let granted = ballot > self.promised && !leads && !self.hears_leader && self.can_inform(chosen);
        let granted = granted && self.has_vote();
        let granted = granted && self.may_promise(Ballot::NONE);
        let (promised, chosen) = (self.promised, self.known_chosen());
        self.send(from, DocketMessage::CanvassAnswer { ballot, granted, promised, chosen });
        self.say_voteless(from, ballot);
    }

    /// Whether a promise can bring what an asker lacks that knows this much chosen.
    fn can_inform(&self, chosen: Slot) -> bool {
        // P9: of a log that ends below the checkpoint the stripes are gone, and it could not go on.
        let reaches = chosen >= self.chain.base().max(self.checkpoint);
        reaches && self.chosen.0.saturating_sub(chosen.0) <= PROMISE_SLOTS_MAX
    }

    pub(crate) fn take_prepare(&mut self, from: ReplicaId, ballot: Ballot, slot: Slot, released: Ballot) {
        if ballot.replica() != from || slot == Slot::ZERO {
            return;
        }
        if ballot < self.promised {
            self.send(from, DocketMessage::Refused { ballot, promised: self.promised });
            return;
        }
        if !self.has_vote() {
            self.say_voteless(from, ballot);
            return;
        }
        if !self.can_inform(Slot(slot.0 - 1)) || !self.may_promise(released) {
            let (promised, chosen) = (self.promised, self.known_chosen());
            self.send(from, DocketMessage::CanvassAnswer { ballot, granted: false, promised, chosen });
            return;
        }
        if ballot > self.promised {
            self.adopt(ballot);
            self.effects.push_back(Effect::ResetElectionTimer);
        }
        self.asked = Some((from, slot));
        self.write_promise();
        if self.promised_durable >= ballot || canary::armed(Canary::PromiseUnwritten) {
            self.go_on_with_promise();
        }
    }

    /// The promise is durable: tells whoever asked for it, or asks for those of others.
    pub(crate) fn go_on_with_promise(&mut self) {
        if let Some((to, from)) = self.asked.take() {
            let (ballot, chosen, entries) = (self.promised, self.known_chosen(), self.promised_from(from));
            self.send(to, DocketMessage::Promise { ballot, chosen, entries });
        }
        self.ask_for_promises();
    }

    /// What this replica has from a slot on (P5).
    fn promised_from(&self, from: Slot) -> Vec<Promised> {
        let values = self.chain.above(Slot(from.0 - 1)).map(|held| {
            let ordered = Arc::clone(&held.ordered);
            if ordered.manifest.slot <= self.fact {
                Promised::Chosen { ordered }
            } else {
                Promised::Accepted { ballot: held.ballot, ordered }
            }
        });
        let damaged = self.damaged.iter().filter(|(slot, _)| *slot >= from);
        let damaged = damaged.filter(|_| !canary::armed(Canary::DamageHidden));
        let damaged = damaged.map(|(slot, hash)| Promised::Damaged { slot: *slot, hash: *hash });
        let doubtful = self.doubt_from(from);
        // One place is kept for what is doubtful.
        let most = PEER_SLOTS_MAX - 1;
        let mut entries: Vec<Promised> = values.chain(damaged).take(most).collect();
        if entries.len() == most {
            // There may be more than a message holds. What is not told is called damaged, so that this promise counts
            // for nothing above; never is it left out as if nothing were there.
            let slot = Slot(from.0 + most as u64 - 1);
            entries[most - 1] = Promised::Damaged { slot, hash: None };
        }
        entries.extend(doubtful);
        entries
    }

    /// Whether a leader's message is to be heeded: nothing higher is promised, and it comes from whom the ballot names.
    fn heeds(&mut self, from: ReplicaId, ballot: Ballot) -> bool {
        if ballot.replica() != from {
            return false;
        }
        if ballot < self.promised {
            self.send(from, DocketMessage::Refused { ballot, promised: self.promised });
            return false;
        }
        if ballot > self.promised {
            // Nothing durable is needed for that: it is before something is accepted, and no other answer is a promise.
            self.adopt(ballot);
        }
        self.leader = Some(from);
        true
    }

    pub(crate) fn take_accept(
        &mut self,
        from: ReplicaId,
        ballot: Ballot,
        (fresh, ordered): (bool, Arc<Ordered>),
        chosen: Chosen,
        time_max: StreamTime,
    ) {
        if !self.heeds(from, ballot) {
            return;
        }
        self.consider(Pending { ordered, fresh, chosen: false, from: Some(from) }, time_max);
        self.consider_early();
        self.drain_intake();
        self.hear_chosen(from, chosen, ballot);
        self.count_progress(chosen.slot, false);
    }

    /// Takes what came early and is next by now. Its time was looked at when it came.
    pub(crate) fn consider_early(&mut self) {
        while let Some(pending) = self.early.take_above(self.intake_tip().slot) {
            if !self.consider(pending, StreamTime(u64::MAX)) {
                break;
            }
        }
    }

    /// Takes one proposal under the present ballot, if it may be accepted (P4). Says whether it was new and did.
    fn consider(&mut self, pending: Pending, time_max: StreamTime) -> bool {
        let slot = pending.slot();
        let tip = self.intake_tip();
        if slot <= tip.slot {
            self.compare_with_held(&pending);
            return false;
        }
        if slot.0 - self.published.0 > AHEAD_MAX {
            return false;
        }
        let time = pending.ordered.manifest.time;
        if slot > tip.slot.next() {
            if !pending.fresh || time <= time_max {
                self.early.keep(pending, EARLY_SLOTS_MAX);
            }
            return false;
        }
        let (ballot, from) = (self.promised, pending.from.unwrap_or(self.config.replica));
        if !tip.is_continued_by(&pending.ordered) {
            self.effects.push_back(Effect::Alarm(Alarm::Unchained { slot, ballot, from }));
            return false;
        }
        // P13: never ahead of the clocks of a majority by more than the skew.
        if pending.fresh && time > tip.time.max(time_max) {
            self.effects.push_back(Effect::Alarm(Alarm::TimeAhead { slot, time, time_max, from }));
            return false;
        }
        self.take_in(pending);
        true
    }

    /// A proposal for a slot that is taken already: a repetition, or an error (P6).
    fn compare_with_held(&mut self, pending: &Pending) {
        let slot = pending.slot();
        let taken = self.intake.get(slot).map(|held| held.ordered.hash);
        let Some(held) = taken.or_else(|| self.chain.get(slot).map(|held| held.ordered.hash)) else { return };
        let told = pending.ordered.hash;
        if held == told {
            // The answer was lost, perhaps.
            self.report_due = true;
            return;
        }
        let (ballot, from) = (self.promised, pending.from.unwrap_or(self.config.replica));
        let alarm = match slot <= self.fact {
            true => Alarm::SplitLog { slot, held, told, from },
            false => Alarm::Conflict { slot, ballot, held, told, from },
        };
        self.effects.push_back(Effect::Alarm(alarm));
    }

    pub(crate) fn take_heartbeat(
        &mut self,
        from: ReplicaId,
        ballot: Ballot,
        sequence: u64,
        chosen: Chosen,
        formed: Slot,
    ) {
        if !self.heeds(from, ballot) {
            return;
        }
        self.join(chosen.slot);
        if chosen.slot <= self.heard.chosen.slot {
            // It says nothing new, so it was sent for the time that has passed.
            self.age_fetch();
            self.ask_to_be_told();
        }
        self.hear_chosen(from, chosen, ballot);
        self.advance();
        let counts = self.count_progress(chosen.slot, formed == chosen.slot && !self.is_outstanding());
        if !self.has_vote() {
            // Nobody may count on it: neither on what it has accepted, nor on what it does not promise.
            return;
        }
        // A leader under whom nothing moves on gets no lease: somebody else must be able to win (P9). What its accepts
        // said since the last heartbeat counts.
        let lease_ns = if counts || self.counted > self.leased { self.leases.give(ballot) } else { 0 };
        self.leased = self.counted;
        let (accepted, could_lead) = (self.accepted, self.could_lead());
        self.report_due = false;
        let answer = DocketMessage::HeartbeatAnswer { ballot, sequence, accepted, lease_ns, could_lead };
        self.send(from, answer);
    }

    /// P9: the leader is heard if what is chosen moves on, or nothing is outstanding. Says whether it is.
    fn count_progress(&mut self, chosen: Slot, nothing_outstanding: bool) -> bool {
        let counts = chosen > self.counted || nothing_outstanding;
        if counts {
            self.counted = self.counted.max(chosen);
            self.hears_leader = true;
            self.passed_by = 0;
            self.canvass_again = false;
            if let State::Canvassing { .. } = self.state {
                self.state = State::Following;
            }
            self.effects.push_back(Effect::ResetElectionTimer);
        }
        counts
    }

    /// Tells the leader how far this replica has accepted.
    pub(crate) fn flush_report(&mut self) {
        // Whether it is heard or not: what it waits for may be just this.
        let leader = self.promised.replica();
        if self.has_vote() && core::mem::take(&mut self.report_due) && leader != self.config.replica {
            let (ballot, slot) = (self.promised, self.accepted);
            self.send(leader, DocketMessage::Accepted { ballot, slot });
        }
    }
}
