//! P1, P6: a ballot belongs to one incarnation of the replica that proposes under it, and under it a slot has one
//! manifest.

use std::collections::HashMap;

use assize_wire::{Ballot, Hash, Incarnation, Slot};

use super::hold;
use crate::recorder::AcceptSeen;

#[derive(Default)]
pub(super) struct Ballots {
    incarnations: HashMap<Ballot, Incarnation>,
    manifests: HashMap<(Ballot, Slot), Hash>,
}

impl Ballots {
    pub(super) fn count(&self) -> u64 {
        let ballots: std::collections::HashSet<Ballot> =
            self.manifests.keys().map(|(ballot, _)| *ballot).collect();
        ballots.len() as u64
    }

    pub(super) fn accept(&mut self, accept: &AcceptSeen) {
        let AcceptSeen { ballot, slot, manifest, fetched, replica, incarnation } = *accept;
        // What a leader accepts itself it proposes. What it is told chosen it may record under any ballot.
        if ballot.replica() == replica && !fetched {
            let first = *self.incarnations.entry(ballot).or_insert(incarnation);
            hold!(
                "ballots",
                first == incarnation,
                "P1: ballot {ballot} is of incarnations {first} and {incarnation}"
            );
        }
        let first = *self.manifests.entry((ballot, slot)).or_insert(manifest);
        hold!("ballots", first == manifest, "P6: slot {slot} has two manifests under ballot {ballot}");
    }
}
