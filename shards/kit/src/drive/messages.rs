//! What the messages between shards must keep to, whatever the schedule (X1, X2).

use std::collections::{BTreeMap, BTreeSet};

use assize_shards::Exchange;
use assize_wire::{DomainId, EntityId, ShardId, Slot};

/// Watches every message as it is sent.
#[derive(Default)]
pub struct Messages {
    /// How many there were.
    pub seen: u64,
    /// Grants that carried less than their claim asked for.
    pub partial_grants: u64,
    /// Claims under way or open, by (slot, claimant, home).
    claims: BTreeMap<(Slot, ShardId, ShardId), Claimed>,
    /// Entities that are lent, with their holder.
    lent: BTreeMap<(DomainId, EntityId), (Slot, ShardId)>,
    /// Who had each entity last.
    last: BTreeMap<(DomainId, EntityId), (Slot, ShardId)>,
}

struct Claimed {
    entities: Vec<(DomainId, EntityId)>,
    granted: BTreeSet<u32>,
    returned: BTreeSet<u32>,
    room: Option<bool>,
}

impl Messages {
    /// What one shard sent after one input.
    ///
    /// # Panics
    /// When a message breaks a promise.
    pub fn round(&mut self, from: ShardId, sent: &[(ShardId, Exchange)]) {
        let mut coalesced = BTreeSet::new();
        for (to, message) in sent {
            self.seen += 1;
            let slot = message.slot();
            match message {
                Exchange::Claim(claim) => {
                    let claimed = Claimed {
                        entities: claim.entities.clone(),
                        granted: BTreeSet::new(),
                        returned: BTreeSet::new(),
                        room: None,
                    };
                    let before = self.claims.insert((slot, from, *to), claimed);
                    assert!(before.is_none(), "X1: shard {from} claims twice of {to} for slot {slot}");
                }
                Exchange::Grant(grant) => {
                    assert!(coalesced.insert((0, *to, slot)), "X2: two grants in one round");
                    assert!(!grant.positions.is_empty(), "a grant of nothing");
                    let claimed = self.claims.get_mut(&(slot, *to, from)).expect("X1: a claim");
                    let whole = grant.positions.len() == claimed.entities.len();
                    self.partial_grants += u64::from(!whole);
                    assert!(claimed.room.is_none_or(|room| room == grant.room), "D5: room changed");
                    claimed.room = Some(grant.room);
                    for position in &grant.positions {
                        assert!(claimed.granted.insert(*position), "X1: granted twice for one claim");
                        let name = claimed.entities[*position as usize];
                        let holder = (slot, *to);
                        let other = self.lent.insert(name, holder);
                        assert!(other.is_none(), "X1: {name:?} is with {other:?} and lent to {holder:?}");
                        let before = self.last.insert(name, holder);
                        assert!(before < Some(holder), "X1: {name:?} goes to {holder:?} after {before:?}");
                    }
                }
                Exchange::Return(returned) => {
                    assert!(coalesced.insert((1, *to, slot)), "X2: two returns in one round");
                    assert!(!returned.positions.is_empty(), "a return of nothing");
                    let claimed = self.claims.get_mut(&(slot, from, *to)).expect("X1: a claim");
                    for position in &returned.positions {
                        assert!(claimed.granted.contains(position), "X1: returned and never granted");
                        assert!(claimed.returned.insert(*position), "X1: returned twice");
                        let name = claimed.entities[*position as usize];
                        assert_eq!(
                            self.lent.remove(&name),
                            Some((slot, from)),
                            "X1: {name:?} is not with it"
                        );
                    }
                    if claimed.returned.len() == claimed.entities.len() {
                        self.claims.remove(&(slot, from, *to));
                    }
                }
            }
        }
    }

    /// Nothing is under way any more.
    ///
    /// # Panics
    /// When something is.
    pub fn end(&self) {
        assert!(self.lent.is_empty(), "X1: {:?} never came back", self.lent);
        let open = self.claims.values().find(|claimed| !claimed.entities.is_empty());
        assert!(open.is_none(), "X1: a claim was never served");
    }
}
