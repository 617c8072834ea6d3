//! What a checkpoint takes of the keys (W5): those recorded since the one before, in order of arrival. They never
//! change again, so they are written once and stand for as long as one of them is live.
//!
//! A key that was live at the checkpoint's slot may be removed from the ring by the keys of slots above it before it is
//! written; then it is kept aside. Keys are removed and written in the same order, so those kept are the next ones to
//! be written.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::checkpoint::{ListDigest, SAVED_KEY_BYTES};
use assize_wire::{Slot, StreamTime};

use super::Warden;
use super::entry::{ENTRY_WORDS, Entry};
use crate::index::Probe;

/// A checkpoint of a Warden that is being taken.
///
/// Invariant: `kept` are the entries `cursor .. cursor + kept.len()`, gone from the ring.
#[derive(Debug)]
pub(super) struct Saving {
    /// Number of the next entry to be written.
    cursor: u64,
    /// Number of the entry after the last one.
    end: u64,
    /// Number of the first entry that is digested.
    digested_from: u64,
    kept: VecDeque<Entry>,
}

/// Where the keys of a checkpoint begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyNumbers {
    /// The oldest key that is live.
    pub(crate) live: u64,
    /// The next key.
    pub(crate) next: u64,
    /// The next key at the flagged slot before.
    pub(crate) digested_from: u64,
}

/// Keys that were appended to a checkpoint: `first .. next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedKeys {
    pub(crate) first: u64,
    pub(crate) next: u64,
}

impl Saving {
    /// An entry leaves the ring.
    pub(super) fn keep(&mut self, number: u64, entry: Entry) {
        if (self.cursor..self.end).contains(&number) {
            assert!(number == self.cursor + self.kept.len() as u64, "entry {number} leaves out of order");
            self.kept.push_back(entry);
        }
    }
}

impl Warden {
    /// Begins a checkpoint at stream time `now`, of everything recorded so far: the stripe of its slot was checked, and
    /// none above it.
    pub(crate) fn begin_saving(&mut self, now: StreamTime) -> KeyNumbers {
        assert!(self.saving.is_none(), "a checkpoint within another one");
        let live = self.first_live(now);
        let end = self.next;
        let digested_from = self.flagged;
        assert!(
            self.saved <= digested_from,
            "keys {} .. {} are digested and not written",
            digested_from,
            self.saved
        );
        self.saving =
            Some(Saving { cursor: self.saved.max(live), end, digested_from, kept: VecDeque::new() });
        KeyNumbers { live, next: end, digested_from }
    }

    /// The same of every live key, written before or not, and each is digested: for a checkpoint that is to stand where
    /// no other was written.
    pub(crate) fn begin_saving_all(&mut self, now: StreamTime) -> KeyNumbers {
        let live = self.first_live(now);
        (self.saved, self.flagged) = (live, live);
        self.begin_saving(now)
    }

    /// The stripe of a flagged slot was checked, and none above it; whether or not a checkpoint is taken here. What the
    /// next one digests begins here on every replica:
    ///
    /// 1. Slots 10 and 20 are flagged. One replica still writes its part of a checkpoint before slot 10 and takes none
    ///    there; the others do.
    /// 2. After slot 20 it writes the keys since that earlier one, the others those since slot 10. Were each to digest
    ///    what it writes, equal states would have unequal digests.
    pub(crate) fn note_flagged(&mut self) {
        self.flagged = self.next;
    }

    /// Appends up to `count` keys to `out` and adds them to `digest`; nothing when there are no more. Only once every
    /// stripe up to the checkpoint's slot has run.
    pub(crate) fn save_next(
        &mut self,
        count: u64,
        out: &mut Vec<u8>,
        digest: &mut ListDigest,
    ) -> Option<SavedKeys> {
        let mut saving = self.saving.take()?;
        if saving.cursor == saving.end {
            return None;
        }
        let from = out.len();
        let first = saving.cursor;
        let next = saving.end.min(first + count);
        for number in first..next {
            let entry = saving.kept.pop_front().unwrap_or_else(|| self.entry(number));
            // Panics if it is not decided yet.
            let _decided = entry.first();
            out.extend_from_slice(&entry.to_bytes());
        }
        let compared_before = saving.digested_from.clamp(first, next) - first;
        digest.add(&out[from + compared_before as usize * SAVED_KEY_BYTES..]);
        saving.cursor = next;
        self.saving = Some(saving);
        Some(SavedKeys { first, next })
    }

    /// The checkpoint that has every key below this number is active: the next one need not write them.
    pub(crate) fn confirm_saved(&mut self, next: u64) {
        self.saved = self.saved.max(next);
    }

    /// An empty Warden that takes up a checkpoint: after `slot` at `now` the keys `from .. next` were known.
    pub(crate) fn restore(&mut self, slot: Slot, now: StreamTime, from: u64) {
        assert!(self.next == 0 && self.slot == Slot::ZERO, "a checkpoint is taken up at the start only");
        (self.slot, self.now) = (slot, now);
        (self.first, self.live, self.next, self.lap, self.saved) = (from, from, from, from, from);
        self.flagged = from;
    }

    /// Takes up keys of a checkpoint, in order of arrival: those below `next` that are not here yet.
    ///
    /// # Errors
    /// [`KeysError`] when they cannot be what a Warden wrote.
    pub(crate) fn restore_keys(&mut self, first: u64, next: u64, payload: &[u8]) -> Result<(), KeysError> {
        let keys = payload.chunks_exact(SAVED_KEY_BYTES);
        if !keys.remainder().is_empty() || first > self.next {
            return Err(KeysError::Shape { bytes: payload.len(), first, wanted: self.next });
        }
        let skipped = self.next - first;
        for (number, bytes) in (first..next).zip(keys).skip(skipped as usize) {
            let entry = Entry::from_bytes(bytes.try_into().expect("the chunks have this size"));
            let sound = entry.is_decided() && entry.time() <= self.now && entry.is_in_order(self.slot);
            let in_order = self.next == self.first || entry.time() >= self.entry(self.next - 1).time();
            if !sound || !in_order || self.now.0 - entry.time().0 >= self.ttl_ns {
                return Err(KeysError::Entry { number });
            }
            if self.live_keys() >= self.capacity {
                return Err(KeysError::TooMany { capacity: self.capacity });
            }
            let key = entry.key();
            let hash = self.hash(key);
            let Probe::Vacant { slot } = self.probe(hash, key) else {
                return Err(KeysError::Entry { number });
            };
            self.next += 1;
            let position = self.position(number);
            self.ring[position as usize] = entry.words();
            self.index.fill(slot, hash, position);
        }
        (self.saved, self.flagged) = (self.next, self.next);
        Ok(())
    }

    /// Number of the next key.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }
}

/// Why keys of a checkpoint cannot be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// Not whole keys, or not the ones that follow.
    Shape {
        /// Bytes of the record's payload.
        bytes: usize,
        /// Number of the first key in it.
        first: u64,
        /// Number of the key that is to follow.
        wanted: u64,
    },
    /// A key that no Warden would have at this place: undecided, expired, out of order or there twice.
    Entry {
        /// Its number.
        number: u64,
    },
    /// More keys than may be live.
    TooMany {
        /// How many may be.
        capacity: u64,
    },
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysError::Shape { bytes, first, wanted } => {
                write!(f, "{bytes} bytes of keys from number {first} do not follow on those below {wanted}")
            }
            KeysError::Entry { number } => write!(f, "key {number} is not one that a Warden keeps there"),
            KeysError::TooMany { capacity } => {
                write!(f, "more keys are live than the {capacity} that may be")
            }
        }
    }
}

impl core::error::Error for KeysError {}

const _: () = assert!(ENTRY_WORDS * 8 == SAVED_KEY_BYTES, "a key is written as it is kept");
