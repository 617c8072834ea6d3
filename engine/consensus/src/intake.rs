//! Values on their way into the log: those that wait for their stripes, and those that came before a slot below them.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use assize_wire::manifest::Ordered;
use assize_wire::{ReplicaId, Slot};

use crate::log::LogTip;

/// A value that is to be written here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) ordered: Arc<Ordered>,
    /// Whether it was freshly formed under the ballot.
    pub(crate) fresh: bool,
    /// Whether it is known chosen: its record says so, and it outlives a change of ballots (P7).
    pub(crate) chosen: bool,
    /// Who has its stripes.
    pub(crate) from: Option<ReplicaId>,
}

impl Pending {
    pub(crate) fn slot(&self) -> Slot {
        self.ordered.manifest.slot
    }
}

/// Values right above what is written, in slot order: the first waits for its stripes, the others for it.
///
/// Invariants: each continues the one before it; what is known chosen comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Intake {
    values: VecDeque<Pending>,
}

impl Intake {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn front(&self) -> Option<&Pending> {
        self.values.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.values.iter()
    }

    pub(crate) fn pop(&mut self) -> Option<Pending> {
        self.values.pop_front()
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        self.values.push_back(pending);
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Pending> {
        let first = self.values.front()?.slot();
        let at = slot.0.checked_sub(first.0).and_then(|at| usize::try_from(at).ok())?;
        self.values.get(at)
    }

    /// Where the log will stand when all of it is written.
    pub(crate) fn tip(&self) -> Option<LogTip> {
        self.values.back().map(|pending| LogTip::of(&pending.ordered))
    }

    /// Where it will stand when what is known chosen is written.
    pub(crate) fn chosen_tip(&self) -> Option<LogTip> {
        self.values.iter().rev().find(|pending| pending.chosen).map(|pending| LogTip::of(&pending.ordered))
    }

    /// Everything through `slot` is known chosen.
    pub(crate) fn mark_chosen(&mut self, slot: Slot) {
        for pending in self.values.iter_mut().take_while(|pending| pending.ordered.manifest.slot <= slot) {
            pending.chosen = true;
            // 1. Slot 3 is proposed fresh under ballot 1.0 and waits here for its stripe, which was sealed under 1.0.
            //    2. It is learned chosen, so it stays when ballot 6.4 is promised. 3. It is written, or proposed
            //    again, under 6.4. Were it fresh under that ballot, all stripes of lower ones might go once it is
            //    chosen (P8), its own first.
            pending.fresh = false;
        }
    }

    /// Removes and returns the values that `keep` refuses, which come last.
    pub(crate) fn split_off(&mut self, keep: impl Fn(&Pending) -> bool) -> VecDeque<Pending> {
        let kept = self.values.iter().take_while(|pending| keep(pending)).count();
        self.values.split_off(kept)
    }

    pub(crate) fn check_invariants(&self, written: LogTip) {
        let (mut below, mut chosen) = (written, true);
        for pending in &self.values {
            assert!(below.is_continued_by(&pending.ordered), "slot {} does not continue", pending.slot());
            assert!(chosen || !pending.chosen, "slot {} is chosen above one that is not", pending.slot());
            (below, chosen) = (LogTip::of(&pending.ordered), pending.chosen);
        }
    }
}

/// Accepts of the present ballot that came before a slot below them, which is fetched meanwhile. Without them a replica
/// that catches up would reach what was chosen when it asked, and never the live end.
///
/// Invariant: slots without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Early {
    values: VecDeque<Pending>,
}

impl Early {
    /// Keeps a value. Accepts come in slot order: after one that leaves a gap what was kept before is of no use.
    pub(crate) fn keep(&mut self, pending: Pending, most: usize) {
        let slot = pending.slot();
        let fits = self.values.back().is_some_and(|last| last.slot().next() == slot);
        let ends = self.values.front().zip(self.values.back());
        let known = ends.is_some_and(|(first, last)| first.slot() <= slot && slot <= last.slot());
        if known || (fits && self.values.len() >= most) {
            return;
        }
        if !fits {
            self.values.clear();
        }
        self.values.push_back(pending);
    }

    /// The value right above `slot`, if it came early.
    pub(crate) fn take_above(&mut self, slot: Slot) -> Option<Pending> {
        while self.values.front().is_some_and(|value| value.slot() <= slot) {
            self.values.pop_front();
        }
        let is_next = self.values.front().is_some_and(|value| value.slot() == slot.next());
        if is_next { self.values.pop_front() } else { None }
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }
}
