//! A leader: proposes in slot order, counts who has accepted, tells what is chosen, and gives up when it must (P1, P9,
//! P10).

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::manifest::{Manifest, Ordered};
use assize_wire::peer::DocketMessage;
use assize_wire::{Ballot, Control, Hash, ReplicaId, Slot, StreamTime};

use crate::docket::{Docket, State};
use crate::effect::Effect;
use crate::hand_over::Heir;
use crate::intake::Pending;
use crate::limits::REPLICAS_MAX;
use crate::quorum::reached_by_majority;

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

/// What a leader keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leading {
    /// The last slot that it took over: when all of them are published, it knows what was answered before (R2).
    inherited: Slot,
    /// Counts heartbeats.
    sequence: u64,
    /// Whether everybody is due a heartbeat.
    heartbeat_due: bool,
    /// Whom it is about to step down for.
    pub(crate) handing: Option<Heir>,
    /// By replica, its own unused.
    pub(crate) peers: Vec<Peer>,
}

/// How far another replica is, as the leader knows.
///
/// Invariant: `acked <= ` what was proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// It has accepted, under the leader's ballot or as chosen, everything through here.
    pub(crate) acked: Slot,
    /// That, when the last heartbeat was due.
    acked_before: Slot,
    /// It was sent everything unchosen through here, since it connected or was sent everything again.
    sent: Slot,
    /// It was told this slot as chosen.
    told: Slot,
    /// The last heartbeat that it answered.
    pub(crate) answered: u64,
    /// Whether it could lead at once, as it said with the last answer.
    pub(crate) could_lead: bool,
}

impl Leading {
    /// What a replica answered does not count any more.
    pub(crate) fn forget(&mut self, peer: ReplicaId, chosen: Slot) {
        self.peers[usize::from(peer.0)] = Peer { sent: chosen, ..Peer::default() };
    }

    pub(crate) fn check_invariants(&self, proposed: Slot) {
        for peer in &self.peers {
            assert!(peer.acked <= proposed && peer.sent <= proposed, "{peer:?} beyond {proposed}");
            assert!(peer.answered <= self.sequence, "{peer:?} answered beyond {}", self.sequence);
        }
    }
}

impl Docket {
    /// A majority promised: this replica leads under `promised`, which is its own and durable (P1).
    pub(crate) fn start_leading(&mut self) {
        let ballot = self.promised;
        assert_eq!(ballot.replica(), self.config.replica, "another replica's ballot");
        assert!(self.promised_durable >= ballot, "ballot {ballot} is led under before it is durable (P1)");
        let peers = (0..self.config.replicas).map(|_| Peer { sent: self.chosen, ..Peer::default() });
        self.state = State::Leading(Leading {
            inherited: Slot::ZERO,
            sequence: 0,
            heartbeat_due: true,
            handing: None,
            peers: peers.collect(),
        });
        self.leader = Some(self.config.replica);
        self.effects.push_back(Effect::Lead { ballot });
    }

    /// Everything that was taken over is proposed.
    pub(crate) fn end_inheriting(&mut self) {
        let tip = self.intake_tip().slot;
        if let State::Leading(leading) = &mut self.state {
            leading.inherited = tip;
        }
        self.join(tip);
        self.drain_intake();
        self.send_accepts();
    }

    /// Gives a slot its value, under the own ballot.
    pub(crate) fn propose(&mut self, ordered: Arc<Ordered>, fresh: bool, stripes_at: Option<ReplicaId>) {
        self.take_in(Pending { ordered, fresh, chosen: false, from: stripes_at });
    }

    /// On a leader: forms the next slot from every offer that may be named, if it is time: one slot per completed
    /// manifest write, and no more than the window between formed and published. `clock` is this replica's wall clock
    /// (P13); stream time never moves back. `controls` take effect at the slot after it, and are reason enough for a
    /// slot (P12). Says whether it did.
    pub fn form(&mut self, clock: StreamTime, flag: CheckpointFlag, controls: &[Control]) -> bool {
        let something = self.offers.has_ready() || flag == CheckpointFlag::Alone || !controls.is_empty();
        let State::Leading(leading) = &self.state else { return false };
        let tip = self.intake_tip();
        if self.accepted < tip.slot || !self.room() || !something || leading.handing.is_some() {
            return false;
        }
        let manifest = Manifest {
            slot: tip.slot.next(),
            time: clock.max(tip.time),
            previous: tip.hash,
            checkpoint: flag != CheckpointFlag::Lowered,
            stripes: self.offers.take_ready(),
            controls: controls.to_vec(),
        };
        let hash = Hash::of(&manifest.encode());
        let slot = manifest.slot;
        self.propose(Arc::new(Ordered { manifest, hash }), true, None);
        self.drain_intake();
        assert_eq!(self.written, slot, "slot {slot} names a stripe that is not stored (P2)");
        self.send_accepts();
        true
    }

    /// Whether one more slot may be formed.
    #[must_use]
    pub fn room(&self) -> bool {
        self.tip().slot.0.saturating_sub(self.published.0) < u64::from(self.config.window)
    }

    /// Whether it leads and has published everything that it took over: only then it knows what was answered before
    /// (R2).
    #[must_use]
    pub fn is_ready_to_serve(&self) -> bool {
        matches!(&self.state, State::Leading(leading) if self.published >= leading.inherited)
    }

    /// Sends every connected peer what it was not sent, above what is chosen: that it fetches.
    fn send_accepts(&mut self) {
        let (tip, chosen) = (self.intake_tip().slot, self.known_chosen());
        for to in self.connected.iter() {
            let State::Leading(leading) = &mut self.state else { return };
            let peer = &mut leading.peers[usize::from(to.0)];
            let mut next = peer.sent.max(chosen.slot).next();
            peer.sent = peer.sent.max(tip);
            if next <= tip {
                peer.told = chosen.slot;
            }
            while next <= tip {
                let (ballot, (fresh, ordered)) = (self.promised, self.proposed(next));
                self.send(to, DocketMessage::Accept { ballot, fresh, ordered, chosen });
                next = next.next();
            }
        }
    }

    /// What this leader proposed at a slot.
    fn proposed(&self, slot: Slot) -> (bool, Arc<Ordered>) {
        if let Some(pending) = self.intake.get(slot) {
            return (pending.fresh, Arc::clone(&pending.ordered));
        }
        match self.chain.get(slot) {
            // A slot known chosen keeps the ballot of its record.
            Some(held) => (held.fresh && held.ballot == self.promised, Arc::clone(&held.ordered)),
            None => panic!("slot {slot} is proposed and not in memory"),
        }
    }

    /// A peer connected: it is sent everything again.
    pub(crate) fn greet(&mut self, peer: ReplicaId) {
        if let State::Leading(leading) = &mut self.state {
            let peer = &mut leading.peers[usize::from(peer.0)];
            (peer.sent, peer.told) = (peer.acked, Slot::ZERO);
            leading.heartbeat_due = true;
            self.send_accepts();
        }
    }

    /// Everybody gets a heartbeat, and what it has not answered since the last one: it may be lost.
    pub(crate) fn send_heartbeats_and_again(&mut self) {
        if let State::Leading(leading) = &mut self.state {
            leading.heartbeat_due = true;
            for peer in &mut leading.peers {
                if peer.acked == peer.acked_before {
                    peer.sent = peer.acked;
                }
                peer.acked_before = peer.acked;
            }
            self.send_accepts();
        }
    }

    pub(crate) fn take_accepted(&mut self, from: ReplicaId, ballot: Ballot, slot: Slot) {
        let proposed = self.intake_tip().slot;
        if ballot == self.ballot()
            && let State::Leading(leading) = &mut self.state
        {
            let peer = &mut leading.peers[usize::from(from.0)];
            peer.acked = peer.acked.max(slot.min(proposed));
        }
    }

    pub(crate) fn take_heartbeat_answer(
        &mut self,
        from: ReplicaId,
        ballot: Ballot,
        sequence: u64,
        accepted: Slot,
        could_lead: bool,
    ) {
        self.take_accepted(from, ballot, accepted);
        if ballot == self.ballot()
            && let State::Leading(leading) = &mut self.state
        {
            let peer = &mut leading.peers[usize::from(from.0)];
            if sequence >= peer.answered {
                peer.could_lead = could_lead;
            }
            peer.answered = peer.answered.max(sequence.min(leading.sequence));
        }
    }

    /// A peer has promised a higher ballot. Only above that one it can ever be led again, so leading ends.
    pub(crate) fn take_refused(&mut self, ballot: Ballot, promised: Ballot) {
        self.seen = self.seen.max(promised);
        if ballot != self.promised || promised <= ballot {
            return;
        }
        match self.state {
            State::Leading(_) => self.step_down(),
            State::Preparing(_) => self.state = State::Following,
            State::Following | State::Canvassing { .. } => {}
        }
    }

    /// What a majority has accepted is chosen.
    pub(crate) fn count_accepted(&mut self) {
        let State::Leading(leading) = &self.state else { return };
        let mut marks = [Slot::ZERO; REPLICAS_MAX];
        for (mark, peer) in marks.iter_mut().zip(&leading.peers) {
            *mark = peer.acked;
        }
        marks[usize::from(self.config.replica.0)] = self.accepted;
        // Not before it is accepted here, too: nothing is executed that is not durable on this replica.
        let chosen = reached_by_majority(&mut marks[..leading.peers.len()]).min(self.accepted);
        if chosen > self.fact {
            self.raise_fact(chosen);
        }
    }

    /// Heartbeats that are due, and for those who were not told what is chosen: that must not wait for the next slot.
    pub(crate) fn flush_heartbeats(&mut self) {
        if !matches!(self.state, State::Leading(_)) {
            return;
        }
        let (ballot, chosen, formed) = (self.promised, self.known_chosen(), self.intake_tip().slot);
        let State::Leading(leading) = &mut self.state else { return };
        let due = core::mem::take(&mut leading.heartbeat_due);
        let peers = leading.peers.iter_mut().enumerate();
        let connected = self.connected;
        let told: Vec<ReplicaId> = peers
            .map(|(at, peer)| (ReplicaId(at as u8), peer))
            .filter(|(id, peer)| connected.has(*id) && (due || peer.told < chosen.slot))
            .map(|(id, peer)| {
                peer.told = chosen.slot;
                id
            })
            .collect();
        if due || !told.is_empty() {
            leading.sequence += 1;
        }
        let sequence = leading.sequence;
        for to in told {
            self.send(to, DocketMessage::Heartbeat { ballot, sequence, chosen, formed });
        }
    }

    /// On a leader: begins a round that shows that it still leads. A read that began before is linearizable once
    /// [`Docket::confirmed`] reaches the number returned (leases off: P11).
    ///
    /// # Panics
    /// When it does not lead.
    pub fn confirm(&mut self) -> u64 {
        match &mut self.state {
            State::Leading(leading) => {
                leading.heartbeat_due = true;
                leading.sequence + 1
            }
            _ => panic!("replica {} confirms that it leads, and does not", self.config.replica),
        }
    }

    /// The last heartbeat under the own ballot that a majority answered; 0 when it does not lead.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        let State::Leading(leading) = &self.state else { return 0 };
        let mut answers: Vec<u64> = leading.peers.iter().map(|peer| peer.answered).collect();
        answers[usize::from(self.config.replica.0)] = leading.sequence;
        reached_by_majority(&mut answers)
    }

    /// Leads or prepares no more (P10). The ballot is used up (P1).
    pub(crate) fn step_down(&mut self) {
        let led = matches!(self.state, State::Leading(_));
        if !led && !matches!(self.state, State::Preparing(_)) {
            return;
        }
        self.state = State::Following;
        self.give_up_intake();
        if !led {
            return;
        }
        self.leader = None;
        self.offers.clear();
        let held = self.chain.above(self.published).flat_map(|held| &held.ordered.manifest.stripes);
        let named = held.map(|stripe| stripe.id).collect();
        self.effects.push_back(Effect::Unlead { named });
        self.effects.push_back(Effect::ResetElectionTimer);
    }
}
