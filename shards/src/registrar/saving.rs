//! What a checkpoint takes of the entities (X5): each as it was after every stripe up to the checkpoint's slot,
//! although stripes above it go on.
//!
//! A record is *saved* when the checkpoint has its state or does not want it. Three things save a record:
//! 1. It is added after the checkpoint began: the entity did not exist.
//! 2. A turn of a slot above the checkpoint acquires it, be it to change it here or to lend it. By the order of the
//!    queue every stripe up to the checkpoint has given it back, so its state is the one wanted: the pre-image is kept.
//! 3. The walk over all records comes to it, once every stripe up to the checkpoint has given everything back.
//!
//! Whether a record is saved is one bit, whose meaning turns over with each checkpoint, so that beginning one touches
//! no record.
//!
//! Invariants: while no checkpoint is taken every record in use is saved; the walk leaves only saved ones behind it.

use alloc::vec::Vec;

use assize_wire::Slot;
use assize_wire::canary::{self, Canary};
use assize_wire::checkpoint::SavedEntity;

use crate::limits::CHECKPOINT_STEP_PRE_IMAGE_BYTES;

use super::entities::{Entities, FLAGS, IN_USE, SAVED};

/// A checkpoint of a home's entities that is being taken.
#[derive(Debug)]
pub(super) struct Saving {
    /// The checkpoint's slot.
    slot: Slot,
    /// Records below this one were walked over.
    cursor: u32,
    /// Records from this one on were added later.
    end: u32,
    /// Entities that were acquired before the walk came to them.
    pre_images: Vec<PreImages>,
}

/// Some pre-images, at most about [`CHECKPOINT_STEP_PRE_IMAGE_BYTES`].
#[derive(Debug, Default)]
struct PreImages {
    encoded: Vec<u8>,
    count: u64,
}

impl Entities {
    /// Begins a checkpoint after `slot`. Every turn of the slot is open, and none of a slot above it.
    pub(crate) fn begin_saving(&mut self, slot: Slot) {
        assert!(self.saving.is_none(), "a checkpoint of slot {slot} within another one");
        self.saved_flag ^= SAVED;
        self.saving = Some(Saving { slot, cursor: 0, end: self.fresh, pre_images: Vec::new() });
    }

    /// A turn of `slot` has the entity from now on, and may change it; every earlier turn is over for it. The one place
    /// where an entity passes to a new holder, whether the turn joins queues or not. A shard's own stripe comes here at
    /// each of its uses of an entity that it finds free, so a second time for the same turn must change nothing.
    #[inline]
    pub(crate) fn acquire(&mut self, at: u32, slot: Slot) {
        if self.saving.as_ref().is_some_and(|saving| slot > saving.slot) && !canary::armed(Canary::NoPreImage)
        {
            self.save_pre_image(at);
        }
    }

    /// Walks on: appends pre-images, or the entities of up to `records` records, to `out`, and says how many entities
    /// that were, or nothing when there are no more: then the checkpoint is complete here. Only once every stripe up to
    /// its slot has given everything back.
    pub(crate) fn save_next(&mut self, records: u32, out: &mut Vec<u8>) -> Option<u64> {
        let mut saving = self.saving.take()?;
        // First, so that they do not pile up.
        if let Some(PreImages { encoded, count }) = saving.pre_images.pop() {
            out.extend_from_slice(&encoded);
            self.saving = Some(saving);
            return Some(count);
        }
        if saving.cursor == saving.end {
            return None;
        }
        let to = saving.end.min(saving.cursor + records);
        let mut count = 0;
        for at in saving.cursor..to {
            if self.is_wanted(at) {
                count += u64::from(self.save(at, out));
            }
        }
        saving.cursor = to;
        self.saving = Some(saving);
        Some(count)
    }

    /// Panics when a promise at the head of this file is broken.
    pub(super) fn check_saving(&self) {
        let walked = self.saving.as_ref().map_or(self.fresh, |saving| saving.cursor);
        let missed = (0..walked).find(|at| self.is_wanted(*at));
        assert!(missed.is_none(), "record {missed:?} is behind the walk and not saved");
    }

    #[cold]
    fn save_pre_image(&mut self, at: u32) {
        if !self.is_wanted(at) {
            return;
        }
        let Some(mut saving) = self.saving.take() else { return };
        if saving.pre_images.last().is_none_or(|last| last.encoded.len() >= CHECKPOINT_STEP_PRE_IMAGE_BYTES) {
            saving.pre_images.push(PreImages::default());
        }
        if let Some(last) = saving.pre_images.last_mut() {
            last.count += u64::from(self.save(at, &mut last.encoded));
        }
        self.saving = Some(saving);
    }

    fn is_wanted(&self, at: u32) -> bool {
        let flags = self.record(at)[FLAGS];
        flags & IN_USE != 0 && flags & SAVED != self.saved_flag
    }

    /// Appends the entity if it exists, and says whether it does.
    fn save(&mut self, at: u32, out: &mut Vec<u8>) -> bool {
        let (domain, id) = self.name(at);
        let state = self.state(at);
        if let Some(state) = state {
            SavedEntity { domain, id, state }.encode(out);
        }
        let exists = state.is_some();
        let saved_flag = self.saved_flag;
        let flags = &mut self.record_mut(at)[FLAGS];
        *flags = *flags & !SAVED | saved_flag;
        exists
    }
}
