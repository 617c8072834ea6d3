//! D1, W2: whatever is told of a position, to whomever and whenever, before a crash and after it, is the same, and what
//! the serial model says.

use std::collections::{BTreeMap, HashSet};

use assize_wire::outcome::Status;
use assize_wire::{Hash, Position, ShardId, Slot};

use super::hold;
use crate::model::{Ended, Model};
use crate::recorder::Stored;

#[derive(Default)]
pub(super) struct Outputs {
    /// The digest under which a stripe was published.
    digests: BTreeMap<(Slot, ShardId), Hash>,
    /// Duplicates in the log by key and first position, and the slot through which they are collected.
    duplicates: HashSet<(u128, Position)>,
    counted: Slot,
}

impl Outputs {
    pub(super) fn stored(&mut self, stored: &Stored, model: &Model) {
        let Stored { slot, shard, digest, outcomes } = stored;
        let first = *self.digests.entry((*slot, *shard)).or_insert(*digest);
        hold!("outputs", first == *digest, "C4: slot {slot} of shard {shard} has two digests");
        let Some(ran) = model.ran.get(&(*slot, *shard)) else {
            panic!("[outputs] shard {shard} stores outcomes of slot {slot}, in which it has no stripe");
        };
        let same = ran.outcomes == *outcomes;
        hold!("outputs", same, "D1: the outcomes of slot {slot} of shard {shard} are not the model's");
        hold!("outputs", ran.digest == *digest, "D1: the digest of slot {slot} of shard {shard} is another");
    }

    pub(super) fn answered(&mut self, key: u128, found: &Ended, model: &Model) {
        let at_position = model.ended.get(&found.position);
        let Some(expected) = at_position.filter(|expected| expected.key == key) else {
            panic!("[outputs] key {key:x} was told {found:?}, and the log has {at_position:?} there");
        };
        let mut expected = expected.clone();
        if found.status == Status::Duplicate {
            self.count_duplicates(model);
            let known = self.duplicates.contains(&(key, found.position));
            hold!("outputs", known, "W2: key {key:x} was told {found:?}, and the log has no duplicate of it");
            expected.status = Status::Duplicate;
        }
        hold!(
            "outputs",
            *found == expected,
            "D1: key {key:x} was told {found:?}, the model says {expected:?}"
        );
    }

    fn count_duplicates(&mut self, model: &Model) {
        let from = Position { slot: self.counted.next(), ..Position::default() };
        let new = model.ended.range(from..).filter(|(_, ended)| ended.status == Status::Duplicate);
        self.duplicates.extend(new.map(|(_, ended)| (ended.key, ended.position)));
        self.counted = model.through;
    }
}
