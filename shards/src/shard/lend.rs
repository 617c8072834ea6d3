//! What other shards have of this home: claims taken, entities granted, entities given back.

use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::{ShardId, Slot};

use super::Shard;
use super::own::LOOKUPS_BEGUN;
use crate::exchange::{Claim, Exchange, Grant, Return, StateList, StateOf};
use crate::registrar::Holder;

impl Shard {
    /// A claim waits until its turn comes.
    pub(super) fn take_claim(&mut self, from: ShardId, mut claim: Claim) {
        let known = self.executed.0 + self.slots.len() as u64;
        if canary::armed(Canary::GrantOutOfOrder) && claim.slot.0 <= known && !claim.entities.is_empty() {
            let entities = core::mem::take(&mut claim.entities);
            self.open_claimed_turn(claim.slot, from, Claim { slot: claim.slot, entities });
        }
        self.claims[usize::from(from.0)].push_back(claim);
    }

    /// The turn of another shard's stripe, which needs something of this home.
    pub(super) fn open_claimed_turn(&mut self, slot: Slot, claimant: ShardId, claim: Claim) {
        self.work_of(slot).turns_open += 1;
        self.counters.entities_lent += claim.entities.len() as u64;
        let turn = self.turns.open(slot, Holder::Claimant(claimant));
        for names in claim.entities.chunks(LOOKUPS_BEGUN) {
            self.hashes.clear();
            self.hashes.extend(names.iter().map(|(domain, id)| self.entities.hash(*domain, *id)));
            self.entities.touch_all(&self.hashes);
            for ((domain, id), hash) in names.iter().zip(&self.hashes) {
                let at = self.entities.find_or_add(*hash, *domain, *id);
                self.turns.join(&mut self.entities, turn, at);
            }
        }
    }

    /// Grants what came to the front of its queue, one grant for each claim.
    pub(super) fn send_grants(&mut self) {
        while let Some((turn, slot, claimant)) = self.turns.poll_granting() {
            let mut positions = Vec::new();
            self.records.clear();
            self.turns.grant(turn, &mut positions, &mut self.records);
            let mut states = StateList::with_capacity(positions.len(), self.state_bytes_max);
            for at in &self.records {
                states.push(match self.entities.state(*at) {
                    Some(state) => StateOf::Present(state),
                    None => StateOf::Absent,
                });
            }
            let room = self.room_in(slot);
            let grant = Grant { slot, room, positions, states };
            self.outbox.push_back((claimant, Exchange::Grant(grant)));
        }
    }

    /// A claimant has had its last use of some entities. Whoever is next has them.
    pub(super) fn take_return(&mut self, from: ShardId, returned: &Return) {
        let slot = returned.slot;
        let turn = self
            .turns
            .find_claimant(slot, from)
            .unwrap_or_else(|| panic!("shard {from} returns for slot {slot} what it does not have"));
        assert!(
            returned.positions.len() == returned.states.len(),
            "shard {from} returns {} entities with {} states",
            returned.positions.len(),
            returned.states.len()
        );
        let mut change = 0;
        let mut over = false;
        for (index, (position, state)) in returned.positions.iter().zip(&returned.states).enumerate() {
            if index.is_multiple_of(LOOKUPS_BEGUN) {
                let next = returned.positions[index..].iter().take(LOOKUPS_BEGUN);
                self.entities.touch_records(next.filter_map(|position| self.turns.granted(turn, *position)));
            }
            let at = self.turns.granted(turn, *position).unwrap_or_else(|| {
                panic!("shard {from} returns entity {position} of slot {slot}, which it does not have")
            });
            match state {
                StateOf::Present(state) => change += self.entities.store(at, Some(state)),
                StateOf::Absent => change += self.entities.store(at, None),
                StateOf::Unchanged => {}
            }
            over = self.turns.leave(&mut self.entities, turn, *position);
        }
        if over {
            self.turns.end(turn);
        }
        let work = self.work_of(slot);
        work.turns_open -= u32::from(over);
        work.entities_change += change;
    }
}
