//! W1: a submission (a key with its deadline) is evaluated at most once, ever, crashes included; nothing is in the log
//! that was not submitted, nor more often than it was.

use std::collections::{BTreeMap, HashMap, HashSet};

use assize_wire::outcome::{Outcome, Status};
use assize_wire::stripe::Stripe;
use assize_wire::{Position, ShardId, Slot};

use super::hold;
use crate::left::LoggedSlot;
use crate::model::{Ended, Model};
use crate::recorder::Stored;

#[derive(Default)]
pub(super) struct ExactlyOnce {
    /// How often which event was submitted, less how often the log has it.
    submitted: HashMap<Vec<u8>, u64>,
    /// Key and deadline of every event in the log.
    submissions: BTreeMap<Position, (u128, u64)>,
    /// Where a submission was evaluated, by what the model, the outcome stream and clients were told.
    evaluated: HashMap<(u128, u64), Position>,
    /// Positions that somebody was given as the place of his own event.
    given: HashSet<Position>,
}

impl ExactlyOnce {
    pub(super) fn submitted(&mut self, event: &[u8]) {
        *self.submitted.entry(event.to_vec()).or_default() += 1;
    }

    pub(super) fn slot(&mut self, slot: &LoggedSlot, model: &Model) {
        for (shard, bytes) in &slot.stripes {
            let number = slot.ordered.manifest.slot;
            for (index, event) in Stripe::parse(bytes).unwrap().events().enumerate() {
                let event = event.unwrap();
                let position = Position { slot: number, shard: *shard, index: index as u32 };
                let left = self.submitted.get_mut(event.bytes()).filter(|left| **left > 0);
                hold!("exactly once", left.is_some(), "more often in the log than submitted: {position:?}");
                left.into_iter().for_each(|left| *left -= 1);
                self.submissions.insert(position, (event.key().0, event.deadline().0));
                self.evaluate(position, model.ended[&position].status);
            }
        }
    }

    pub(super) fn stored(&mut self, stored: &Stored) {
        let Stored { slot, shard, .. } = *stored;
        let mut rest: &[u8] = &stored.outcomes;
        while !rest.is_empty() {
            let (outcome, after) = Outcome::parse(rest).expect("stored outcomes are outcomes");
            self.evaluate(position_of(slot, shard, &outcome), outcome.status);
            rest = after;
        }
    }

    pub(super) fn answered(&mut self, found: &Ended) {
        if found.status != Status::Duplicate {
            let position = found.position;
            let first = self.given.insert(position);
            hold!("exactly once", first, "two submissions of key {:x} were told {found:?}", found.key);
            self.evaluate(position, found.status);
        }
    }

    fn evaluate(&mut self, position: Position, status: Status) {
        let Some(submission) = self.submissions.get(&position) else { return };
        if status.is_recorded() {
            let first = *self.evaluated.entry(*submission).or_insert(position);
            let (key, deadline) = submission;
            hold!(
                "exactly once",
                first == position,
                "W1: key {key:x} with deadline {deadline} is evaluated at {first:?} and at {position:?}"
            );
        }
    }
}

fn position_of(slot: Slot, shard: ShardId, outcome: &Outcome<'_>) -> Position {
    Position { slot, shard, index: outcome.index }
}
