//! The remote entities of one stripe: claimed, lent, changed, given back.

use alloc::vec::Vec;

use ahash::RandomState;
use assize_wire::{DomainId, EntityId, ShardId};
use hashbrown::HashMap;

use crate::exchange::{StateList, StateOf};

/// Remote entities by first use.
pub(crate) struct Loans {
    stride: usize,
    entities: Vec<Loan>,
    states: Vec<u8>,
    by_name: HashMap<(u16, u128), u32, RandomState>,
    /// The homes that the stripe's mask names, with the numbers of their loans.
    homes: Vec<(ShardId, Vec<u32>)>,
    /// Homes that were asked for something and have not granted it.
    pub(crate) missing: u32,
    /// Homes that have room for new entities, as far as they have said (D5).
    pub(crate) rooms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Loan {
    domain: DomainId,
    id: EntityId,
    home: ShardId,
    length: u8,
    present: bool,
    changed: bool,
}

impl Loans {
    pub(crate) fn new(state_bytes_max: usize) -> Loans {
        Loans {
            stride: state_bytes_max,
            entities: Vec::new(),
            states: Vec::new(),
            by_name: HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4)),
            homes: Vec::new(),
            missing: 0,
            rooms: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entities.clear();
        self.states.clear();
        self.by_name.clear();
        self.homes.clear();
        self.missing = 0;
        self.rooms = 0;
    }

    /// One claim goes to this home, empty or not.
    pub(crate) fn expect_home(&mut self, home: ShardId) {
        self.homes.push((home, Vec::new()));
    }

    /// The number of a remote entity's loan, a new one at its first use.
    pub(crate) fn need(&mut self, domain: DomainId, id: EntityId, home: ShardId) -> u32 {
        let fresh = self.entities.len() as u32;
        let at = *self.by_name.entry((domain.0, id.0)).or_insert(fresh);
        if at == fresh {
            self.entities.push(Loan { domain, id, home, length: 0, present: false, changed: false });
            let (_, loans) = self
                .homes
                .iter_mut()
                .find(|(named, _)| *named == home)
                .expect("the mask names the home of every loan");
            if loans.is_empty() {
                self.missing += 1;
            }
            loans.push(fresh);
        }
        at
    }

    /// Every claim: its home and its entities.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (ShardId, Vec<(DomainId, EntityId)>)> {
        self.homes.iter().map(|(home, loans)| {
            let names = loans.iter().map(|at| &self.entities[*at as usize]);
            (*home, names.map(|loan| (loan.domain, loan.id)).collect())
        })
    }

    /// A home's grant has arrived.
    pub(crate) fn grant(&mut self, from: ShardId, room: bool, states: &StateList) {
        let found = self.homes.iter().find(|(home, _)| *home == from);
        let (_, loans) = found.unwrap_or_else(|| panic!("shard {from} grants what it was not asked for"));
        assert!(
            loans.len() == states.len() && !loans.is_empty(),
            "shard {from} grants {} entities of {}",
            states.len(),
            loans.len()
        );
        self.states.resize(self.entities.len() * self.stride, 0);
        for (at, state) in loans.iter().zip(states) {
            let loan = &mut self.entities[*at as usize];
            match state {
                StateOf::Present(state) => {
                    loan.present = true;
                    loan.length = state.len() as u8;
                    let from = *at as usize * self.stride;
                    self.states[from..from + state.len()].copy_from_slice(state);
                }
                StateOf::Absent => loan.present = false,
                StateOf::Unchanged => panic!("shard {from} grants {} without a state", loan.id),
            }
        }
        self.rooms |= u64::from(room) << from.0;
        self.missing -= 1;
    }

    pub(crate) fn home(&self, at: u32) -> ShardId {
        self.entities[at as usize].home
    }

    pub(crate) fn state(&self, at: u32) -> Option<&[u8]> {
        let loan = &self.entities[at as usize];
        let from = at as usize * self.stride;
        loan.present.then(|| &self.states[from..from + usize::from(loan.length)])
    }

    pub(crate) fn store(&mut self, at: u32, state: Option<&[u8]>) {
        let loan = &mut self.entities[at as usize];
        let bytes = state.unwrap_or(&[]);
        let from = at as usize * self.stride;
        self.states[from..from + bytes.len()].copy_from_slice(bytes);
        loan.present = state.is_some();
        loan.length = bytes.len() as u8;
        loan.changed = true;
    }

    /// What goes back to each home that lent something.
    pub(crate) fn returns(&self) -> impl Iterator<Item = (ShardId, StateList)> {
        let lenders = self.homes.iter().filter(|(_, loans)| !loans.is_empty());
        lenders.map(|(home, loans)| {
            let mut states = StateList::with_capacity(loans.len(), self.stride);
            for at in loans {
                states.push(match (self.entities[*at as usize].changed, self.state(*at)) {
                    (false, _) => StateOf::Unchanged,
                    (true, None) => StateOf::Absent,
                    (true, Some(state)) => StateOf::Present(state),
                });
            }
            (*home, states)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }
}
