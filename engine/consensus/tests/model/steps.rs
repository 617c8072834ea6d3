//! What each step of each replica leads to, computed once. A cluster has many more states than its replicas have: what
//! distinguishes most is who has which of the same few, and what is under way.

use std::collections::HashMap;
use std::sync::RwLock;

use crate::replica::{Sent, Shared};

/// What happens to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The message with this digest arrives.
    Hear(u64),
    Complete,
    Elect,
    Form,
    GiveUp,
    EndLeases,
    Restart {
        kept: bool,
        damaged: Option<usize>,
    },
}

/// A replica by its digest, what happens to it, and whether it stops before anything is durable of that.
pub type Key = (u64, Step, bool);

/// What comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub replica: &'static Shared,
    /// With their digests.
    pub sent: &'static [(u64, &'static Sent)],
}

/// Every step taken so far.
#[derive(Default)]
pub struct Steps {
    hasher: ahash::RandomState,
    parts: [RwLock<HashMap<Key, Option<Next>, ahash::RandomState>>; 32],
}

impl Steps {
    /// What a step leads to; `compute` says it the first time.
    pub fn get(&self, key: Key, compute: impl FnOnce() -> Option<Next>) -> Option<Next> {
        let part = &self.parts[self.hasher.hash_one(key) as usize % self.parts.len()];
        if let Some(known) = part.read().expect("nobody panicked").get(&key) {
            return *known;
        }
        let next = compute();
        part.write().expect("nobody panicked").insert(key, next);
        next
    }
}
