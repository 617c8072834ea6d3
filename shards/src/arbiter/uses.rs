//! Event by event: in which order the waiting events of a stripe may run (X2).
//!
//! Each entity has one token, which it brings along when it comes. Its uses in the stripe form a chain in index order:
//! the token goes to the first of them, from each that has run to the next, and the entity back to its home after the
//! last. An event that has the tokens of all its entities runs. So whatever the order of arrival, the events that share
//! an entity run in index order, and nothing else is ordered: the serial result (D1).
//!
//! What may run does so by index as far as it can: a token only ever goes to a later event, so one sweep upwards runs
//! all, and reads stripe and states in the order in which they lie.
//!
//! Entities are numbered densely: the stripe's loans, then the local entities by their position in the turn.

use alloc::vec::Vec;
use core::ops::Range;

use assize_wire::canary::{self, Canary};

use super::Step;

/// The chains of one stripe. Reused, so that nothing is allocated for an event.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// By use, which are the plan's `refs`: the entity's dense number.
    entities: Vec<u32>,
    /// By use: the event that uses the entity next, or [`LAST`].
    next: Vec<u32>,
    /// By entity: the event that uses it first.
    first: Vec<u32>,
    /// By event: tokens that it has not got.
    missing: Vec<u8>,
    /// By event, a bit: it has all its tokens and has not run.
    ready: Vec<u64>,
    /// The word of `ready` that is looked at next.
    sweep: usize,
    linked: bool,
}

impl Uses {
    /// Forgets the last stripe.
    pub(crate) fn clear(&mut self) {
        self.entities.clear();
        self.linked = false;
    }

    /// The next use is of this entity.
    pub(crate) fn push(&mut self, entity: u32) {
        self.entities.push(entity);
    }

    /// The entities of an event.
    pub(crate) fn of(&self, step: &Step) -> &[u32] {
        &self.entities[step.uses()]
    }

    /// The entity that a use is of.
    pub(crate) fn entity(&self, at: usize) -> u32 {
        self.entities[at]
    }

    /// Whether the chains are made: events run by token from then on.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Makes the chains of the `waiting` events, which ascend; `entities` is how many there are in all.
    pub(crate) fn link(&mut self, steps: &[Step], waiting: &[u32], entities: u32) {
        self.linked = true;
        self.ready.clear();
        self.ready.resize(steps.len().div_ceil(64), 0);
        self.sweep = 0;
        self.next.clear();
        self.next.resize(self.entities.len(), LAST);
        self.first.clear();
        self.first.resize(entities as usize, LAST);
        self.missing.clear();
        self.missing.resize(steps.len(), 0);
        // From the back, so that each use finds its successor.
        for at in (0..waiting.len()).rev() {
            let reversed = canary::armed(Canary::SkipUseOrder);
            let event = waiting[if reversed { waiting.len() - 1 - at } else { at }];
            let step = &steps[event as usize];
            self.missing[event as usize] = step.entities;
            for at in step.uses() {
                let first = &mut self.first[self.entities[at] as usize];
                self.next[at] = core::mem::replace(first, event);
            }
        }
    }

    /// An entity that waiting events use has come.
    pub(crate) fn arrive(&mut self, entity: u32) {
        let event = self.first[entity as usize];
        assert!(event != LAST, "entity {entity} has come and nothing waits for it");
        self.give(event);
    }

    /// The next event that has all its tokens. None ends the sweep; the next call begins another.
    pub(crate) fn poll_ready(&mut self) -> Option<u32> {
        while let Some(word) = self.ready.get_mut(self.sweep) {
            if *word != 0 {
                let bit = word.trailing_zeros();
                *word &= *word - 1;
                return Some(self.sweep as u32 * 64 + bit);
            }
            self.sweep += 1;
        }
        self.sweep = 0;
        None
    }

    /// A use of this event has run: its token goes on, or the entity back if true.
    pub(crate) fn pass_on(&mut self, event: u32, at: usize) -> bool {
        let next = self.next[at];
        if next != LAST {
            self.give(next);
        }
        if canary::armed(Canary::ReturnTooEarly) {
            return self.first[self.entities[at] as usize] == event;
        }
        next == LAST
    }

    fn give(&mut self, event: u32) {
        let missing = &mut self.missing[event as usize];
        assert!(*missing > 0, "event {event} gets a token too many");
        *missing -= 1;
        if *missing == 0 {
            self.ready[event as usize / 64] |= 1 << (event % 64);
        }
    }
}

impl Step {
    /// Its entities' places among the plan's `ids` and `refs`.
    pub(crate) fn uses(&self) -> Range<usize> {
        let from = self.entities_from as usize;
        from..from + usize::from(self.entities)
    }
}

/// In place of the event that uses an entity next: there is none.
const LAST: u32 = u32::MAX;
