//! C8: what a read shows is the state at its slot, which is published and in the log, and holds every event that any
//! client was told of before the read was sent.

use std::collections::HashMap;

use assize_wire::event::Event;
use assize_wire::outcome::Status;
use assize_wire::{ShardId, Slot};

use super::hold;
use crate::bank::Op;
use crate::model::{Ended, Model};

/// By account the last stripe of which a client knows that it changed it, by an answer or by a read.
#[derive(Default)]
pub(super) struct Told {
    last: HashMap<u128, (Slot, ShardId)>,
}

/// What was known of the accounts of a read when it was sent.
#[derive(Clone, Debug)]
pub struct Asked {
    least: HashMap<u128, (Slot, ShardId)>,
}

impl Told {
    pub(super) fn answered(&mut self, event: &Event<'_>, found: &Ended) {
        if found.first_status != Status::Applied {
            return;
        }
        let at = (found.position.slot, found.position.shard);
        for account in Op::decode(event.payload()).expect("it was applied").accounts() {
            let last = self.last.entry(account).or_insert(at);
            *last = (*last).max(at);
        }
    }

    pub(super) fn asked(&self, accounts: &[u128]) -> Asked {
        let known = accounts.iter().filter_map(|account| Some((*account, *self.last.get(account)?)));
        Asked { least: known.collect() }
    }

    pub(super) fn read(
        &mut self,
        asked: &Asked,
        slot: Slot,
        states: &[(u128, Option<u64>)],
        published: Slot,
        model: &Model,
    ) {
        hold!("reads", slot <= published, "a read shows slot {slot}, and slot {published} is published");
        let least = states.iter().filter_map(|(account, _)| asked.least.get(account)).max();
        let snapshots = model.snapshots.get(&slot).map_or(&[][..], Vec::as_slice);
        let explains = snapshots.iter().find(|snapshot| {
            least.is_none_or(|least| (slot, snapshot.shard) >= *least)
                && states.iter().all(|(account, state)| snapshot.balances.get(account) == state.as_ref())
        });
        let Some(explains) = explains else {
            panic!("[reads] {states:?} at slot {slot} is what never was after {least:?}");
        };
        // Who reads later, wherever, does not see less (C8).
        for (account, _) in states {
            if let Some(changed) = model.changed(*account, (slot, explains.shard)) {
                let last = self.last.entry(*account).or_insert(changed);
                *last = (*last).max(changed);
            }
        }
    }
}
