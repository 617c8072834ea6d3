//! C8, W2: the history of all clients together is linearizable. Events are totally ordered by the log, so what is left
//! to show is that this order agrees with real time: what ended before something else was asked for stands before it.
//! For reads, `reads.rs` shows the same account by account, which is enough: linearizability holds for all objects if
//! it holds for each.

use std::collections::HashMap;

use assize_wire::event::Event;
use assize_wire::{Position, Slot};

use super::hold;
use crate::model::Ended;

#[derive(Default)]
pub(super) struct Linearizable {
    /// The last position that any client knew of when a submission (key, deadline) was sent for the first time.
    before: HashMap<(u128, u64), Position>,
    /// The same of a key, whatever its deadline.
    before_key: HashMap<u128, Position>,
    /// The last position that any client knows of.
    known: Position,
}

impl Linearizable {
    pub(super) fn submitted(&mut self, event: &[u8]) {
        let Ok((event, _)) = Event::parse(event) else { return };
        let key = event.key().0;
        self.before.entry((key, event.deadline().0)).or_insert(self.known);
        self.before_key.entry(key).or_insert(self.known);
    }

    pub(super) fn answered(&mut self, event: &Event<'_>, found: &Ended) {
        let key = event.key().0;
        // A duplicate has the position of the key's first submission, which may have had another deadline.
        let before = match found.status {
            assize_wire::outcome::Status::Duplicate => self.before_key.get(&key),
            _ => self.before.get(&(key, event.deadline().0)),
        };
        let before = before.copied().unwrap_or_default();
        hold!(
            "linearizable",
            found.position > before,
            "key {key:x} was sent after {before:?} was known, and stands at {:?}",
            found.position
        );
        self.known = self.known.max(found.position);
    }

    /// A read showed the state at this slot: what is sent from now on comes later.
    pub(super) fn read(&mut self, slot: Slot) {
        let last = Position { slot, shard: assize_wire::ShardId(u16::MAX), index: u32::MAX };
        self.known = self.known.max(last);
    }
}
