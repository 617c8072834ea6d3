//! The remote entities of one stripe: claimed, lent, changed, given back.
//!
//! Invariants:
//! * a loan is asked for, comes once and goes back once;
//! * `away` loans have not come.

use alloc::vec;
use alloc::vec::Vec;

use ahash::RandomState;
use assize_wire::canary::{self, Canary};
use assize_wire::{DomainId, EntityId, ShardId, Slot};

use crate::exchange::{Claim, Grant, Return, StateList, StateOf};

/// Remote entities by first use.
pub(crate) struct Loans {
    stride: usize,
    entities: Vec<Loan>,
    states: Vec<u8>,
    /// Finds a loan by name: open addressing, 0 or the loan's number + 1, at most half full, a power of two.
    by_name: Vec<u32>,
    hasher: RandomState,
    /// The homes that the stripe's mask names, by shard ascending.
    homes: Vec<Home>,
    away: u32,
    /// Loans that came and were not taken notice of yet.
    arrived: Vec<u32>,
    /// Homes that have room for new entities, as far as they have said (D5).
    rooms: u64,
    /// Loans that are to be returned.
    returning: u32,
    /// Spent lists, to be used again.
    lists: Vec<Vec<u32>>,
}

/// What one home is asked for.
struct Home {
    shard: ShardId,
    /// Loans by their position in the claim.
    loans: Vec<u32>,
    /// Positions that go back with the next return.
    returning: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Loan {
    domain: DomainId,
    id: EntityId,
    /// Which of `homes`.
    home: u8,
    /// In the claim.
    position: u32,
    /// Its place in `by_name`.
    slot: u32,
    length: u8,
    present: bool,
    changed: bool,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Away,
    Here,
    Returned,
}

impl Loans {
    /// For states of at most so many bytes. `seed` keys a table's hash; nothing depends on it.
    pub(crate) fn new(state_bytes_max: usize, seed: u64) -> Loans {
        Loans {
            stride: state_bytes_max,
            entities: Vec::new(),
            states: Vec::new(),
            by_name: vec![0; 64],
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(48), 0x4c),
            homes: Vec::new(),
            away: 0,
            arrived: Vec::new(),
            rooms: 0,
            returning: 0,
            lists: Vec::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        assert!(self.away == 0 && self.returning == 0, "loans of {} homes are under way", self.homes.len());
        // One by one, so that a small stripe after a large one costs little.
        for loan in self.entities.drain(..) {
            self.by_name[loan.slot as usize] = 0;
        }
        self.states.clear();
        for home in self.homes.drain(..) {
            self.lists.push(home.loans);
            self.lists.push(home.returning);
        }
        self.arrived.clear();
        self.rooms = 0;
    }

    /// One claim goes to this home, empty or not.
    pub(crate) fn expect_home(&mut self, shard: ShardId) {
        let mut list = || {
            let mut list = self.lists.pop().unwrap_or_default();
            list.clear();
            list
        };
        let home = Home { shard, loans: list(), returning: list() };
        self.homes.push(home);
    }

    /// The number of a remote entity's loan, a new one at its first use.
    pub(crate) fn need(&mut self, domain: DomainId, id: EntityId, home: ShardId) -> u32 {
        let hash = self.hasher.hash_one((domain.0, id.0));
        let mut slot = self.slot_of(hash);
        while self.by_name[slot] != 0 {
            let at = self.by_name[slot] - 1;
            let loan = &self.entities[at as usize];
            if loan.id == id && loan.domain == domain {
                return at;
            }
            slot = self.slot_of(slot as u64 + 1);
        }
        let at = self.entities.len() as u32;
        self.by_name[slot] = at + 1;
        let home = find_home(&self.homes, home);
        let loans = &mut self.homes[home].loans;
        let position = loans.len() as u32;
        loans.push(at);
        self.away += 1;
        self.entities.push(Loan {
            domain,
            id,
            home: home as u8,
            position,
            slot: slot as u32,
            length: 0,
            present: false,
            changed: false,
            status: Status::Away,
        });
        if self.entities.len() * 2 > self.by_name.len() {
            self.grow();
        }
        at
    }

    /// Every claim, with its home.
    pub(crate) fn claims(&self, slot: Slot) -> impl Iterator<Item = (ShardId, Claim)> {
        self.homes.iter().map(move |home| {
            let names = home.loans.iter().map(|at| &self.entities[*at as usize]);
            let entities = names.map(|loan| (loan.domain, loan.id)).collect();
            (home.shard, Claim { slot, entities })
        })
    }

    /// Entities have come from a home.
    pub(crate) fn grant(&mut self, from: ShardId, grant: &Grant) {
        assert!(
            grant.positions.len() == grant.states.len(),
            "shard {from} grants {} entities with {} states",
            grant.positions.len(),
            grant.states.len()
        );
        self.states.resize(self.entities.len() * self.stride, 0);
        let home = &self.homes[find_home(&self.homes, from)];
        for (position, state) in grant.positions.iter().zip(&grant.states) {
            let at = home.loans[*position as usize];
            let loan = &mut self.entities[at as usize];
            assert!(loan.status == Status::Away, "shard {from} grants twice: {loan:?}");
            loan.status = Status::Here;
            match state {
                StateOf::Present(state) => {
                    loan.present = true;
                    loan.length = state.len() as u8;
                    let from = at as usize * self.stride;
                    self.states[from..from + state.len()].copy_from_slice(state);
                }
                StateOf::Absent => loan.present = false,
                StateOf::Unchanged => panic!("shard {from} grants {} without a state", loan.id),
            }
            self.arrived.push(at);
        }
        self.away -= grant.positions.len() as u32;
        self.rooms |= u64::from(grant.room) << from.0;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.entities.len() as u32
    }

    /// How many have not come.
    pub(crate) fn away(&self) -> u32 {
        self.away
    }

    /// Whether some came that were not taken notice of.
    pub(crate) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// The next that came and was not taken notice of.
    pub(crate) fn poll_arrived(&mut self) -> Option<u32> {
        self.arrived.pop()
    }

    /// All that came is taken notice of.
    pub(crate) fn clear_arrived(&mut self) {
        self.arrived.clear();
    }

    pub(crate) fn is_here(&self, at: u32) -> bool {
        self.entities[at as usize].status == Status::Here
    }

    /// Whether the home of a loan that is here has room for new entities (D5).
    pub(crate) fn has_room(&self, at: u32) -> bool {
        let home = &self.homes[usize::from(self.entities[at as usize].home)];
        self.rooms >> home.shard.0 & 1 == 1
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

    /// A loan had its last use and goes back with the next return (X2).
    pub(crate) fn give_back(&mut self, at: u32) {
        let loan = &mut self.entities[at as usize];
        assert!(loan.status == Status::Here, "{loan:?} is given back");
        loan.status = Status::Returned;
        self.homes[usize::from(loan.home)].returning.push(loan.position);
        self.returning += 1;
    }

    /// All that are here have had their last use.
    pub(crate) fn give_all_back(&mut self) {
        for at in 0..self.len() {
            if self.is_here(at) {
                self.give_back(at);
            }
        }
    }

    /// Whether something is to be returned.
    pub(crate) fn is_returning(&self) -> bool {
        self.returning > 0
    }

    fn slot_of(&self, hash: u64) -> usize {
        hash as usize & (self.by_name.len() - 1)
    }

    fn grow(&mut self) {
        let slots = self.by_name.len() * 2;
        self.by_name.clear();
        self.by_name.resize(slots, 0);
        for at in 0..self.entities.len() {
            let loan = &self.entities[at];
            let mut slot = self.slot_of(self.hasher.hash_one((loan.domain.0, loan.id.0)));
            while self.by_name[slot] != 0 {
                slot = self.slot_of(slot as u64 + 1);
            }
            self.by_name[slot] = at as u32 + 1;
            self.entities[at].slot = slot as u32;
        }
    }

    /// Takes what is to be returned, one return for each home.
    pub(crate) fn take_returns(&mut self, slot: Slot, mut send: impl FnMut(ShardId, Return)) {
        self.returning = 0;
        for home in self.homes.iter_mut().filter(|home| !home.returning.is_empty()) {
            let positions = home.returning.clone();
            home.returning.clear();
            let mut states = StateList::with_capacity(positions.len(), self.stride);
            for position in &positions {
                let at = home.loans[*position as usize] as usize;
                let loan = &self.entities[at];
                let from = at * self.stride;
                states.push(match (loan.changed && !canary::armed(Canary::LoseChange), loan.present) {
                    (false, _) => StateOf::Unchanged,
                    (true, false) => StateOf::Absent,
                    (true, true) => StateOf::Present(&self.states[from..from + usize::from(loan.length)]),
                });
            }
            send(home.shard, Return { slot, positions, states });
        }
    }
}

/// A handful of homes: a linear look is faster than a search.
fn find_home(homes: &[Home], shard: ShardId) -> usize {
    let found = homes.iter().position(|home| home.shard == shard);
    found.unwrap_or_else(|| panic!("shard {shard} is not in the stripe's mask"))
}
