//! The shards' streams, merged in order: it says which chunk of which shard it lacks, is given it, and gives the next
//! stripe in the order of slots and shards. No files, no clock.
//!
//! Invariants: stripes come in ascending (slot, shard), each once; none at a slot above the one through which all
//! shards are complete, so that nothing that comes later belongs before one that was given.

use std::fmt;
use std::sync::Arc;

use assize_wire::outcome::Outcome;
use assize_wire::published::{PUBLISHED_HEADER_BYTES, PublishedError, PublishedStripe};
use assize_wire::{Position, ShardId, Slot};

use super::After;

/// The stream from a place on, through a slot.
#[derive(Debug)]
pub(super) struct Merge {
    /// All outcomes of all shards of slots through this one can be had.
    through: Slot,
    /// By shard.
    lanes: Vec<Lane>,
}

/// What is known of a shard.
#[derive(Clone, Debug)]
enum Lane {
    /// Nothing: its first stripe at or behind this slot is wanted.
    Unknown(Slot),
    /// Its next stripe is this one.
    Next(Found),
    /// It has no more stripes through the slot.
    Over,
}

/// A stripe, in its chunk.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) shard: ShardId,
    slot: Slot,
    chunk: Arc<[u8]>,
    /// Where it begins.
    at: usize,
}

/// What is next.
#[derive(Debug)]
pub(super) enum Step {
    /// The chunk of this shard that holds its first stripe at or behind this slot is to be given.
    Want(ShardId, Slot),
    /// The next stripe.
    Stripe(Found),
    /// That was everything.
    Over,
}

impl Merge {
    /// Of so many shards what lies behind `after`, through a slot.
    pub(super) fn new(shards: u16, after: After, through: Slot) -> Merge {
        let lanes = (0..shards).map(|shard| Lane::Unknown(after.first_slot(ShardId(shard))));
        Merge { through, lanes: lanes.collect() }
    }

    /// What is next.
    ///
    /// # Errors
    /// [`ChunkError`]: a chunk is not one.
    pub(super) fn poll(&mut self) -> Result<Step, ChunkError> {
        let mut first: Option<&Found> = None;
        for (shard, lane) in self.lanes.iter().enumerate() {
            match lane {
                Lane::Unknown(slot) if *slot <= self.through => {
                    return Ok(Step::Want(ShardId(shard as u16), *slot));
                }
                Lane::Next(found) if first.is_none_or(|first| found.slot < first.slot) => first = Some(found),
                Lane::Unknown(_) | Lane::Next(_) | Lane::Over => {}
            }
        }
        let Some(found) = first.cloned() else { return Ok(Step::Over) };
        let behind = Slot(found.slot.0 + 1);
        self.lanes[usize::from(found.shard.0)] = self.lane(found.shard, behind, &found.chunk, found.at)?;
        Ok(Step::Stripe(found))
    }

    /// The chunk that was wanted; none if the shard has no stripe there and through the slot.
    ///
    /// # Errors
    /// [`ChunkError`]: it is not one, or holds nothing that was wanted.
    pub(super) fn supply(&mut self, shard: ShardId, chunk: Option<&Arc<[u8]>>) -> Result<(), ChunkError> {
        let at = usize::from(shard.0);
        let Lane::Unknown(slot) = self.lanes[at] else { panic!("nothing of shard {shard} was wanted") };
        self.lanes[at] = match chunk {
            None => Lane::Over,
            Some(chunk) => match self.lane(shard, slot, chunk, 0)? {
                Lane::Unknown(_) => return Err(ChunkError::NotThere { shard, slot }),
                lane => lane,
            },
        };
        Ok(())
    }

    /// The first stripe at or behind a slot, from somewhere in a chunk on.
    fn lane(&self, shard: ShardId, slot: Slot, chunk: &Arc<[u8]>, mut at: usize) -> Result<Lane, ChunkError> {
        while at < chunk.len() {
            let error = |error| ChunkError::Malformed { shard, error };
            let (stripe, _) = PublishedStripe::parse(&chunk[at..]).map_err(error)?;
            if stripe.slot > self.through {
                return Ok(Lane::Over);
            }
            if stripe.slot >= slot {
                return Ok(Lane::Next(Found { shard, slot: stripe.slot, chunk: Arc::clone(chunk), at }));
            }
            at += PUBLISHED_HEADER_BYTES + stripe.outcomes.len();
        }
        Ok(Lane::Unknown(slot))
    }
}

impl Found {
    /// Calls `give` with each outcome of it that lies behind `after`, as long as that is true.
    ///
    /// # Errors
    /// [`ChunkError`]: its bytes are not those of outcomes.
    pub(super) fn outcomes(
        &self,
        after: After,
        mut give: impl FnMut(&PublishedStripe<'_>, Position, &Outcome<'_>) -> bool,
    ) -> Result<(), ChunkError> {
        let (shard, slot) = (self.shard, self.slot);
        let malformed = |error| ChunkError::Malformed { shard, error };
        let (stripe, _) = PublishedStripe::parse(&self.chunk[self.at..]).map_err(malformed)?;
        let mut rest = stripe.outcomes;
        while !rest.is_empty() {
            let (outcome, behind) =
                Outcome::parse(rest).map_err(|error| malformed(PublishedError::Outcome(error)))?;
            let position = Position { slot, shard, index: outcome.index };
            if after.is_before(position) && !give(&stripe, position, &outcome) {
                break;
            }
            rest = behind;
        }
        Ok(())
    }
}

/// A chunk whose checksum is right, and which is not what this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    /// It is not made of stripes and their outcomes.
    Malformed {
        /// Whose it is.
        shard: ShardId,
        /// What is wrong.
        error: PublishedError,
    },
    /// It was to hold a stripe at or behind a slot.
    NotThere {
        /// Whose it is.
        shard: ShardId,
        /// The slot.
        slot: Slot,
    },
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkError::Malformed { shard, error } => write!(f, "a chunk of shard {shard}: {error}"),
            ChunkError::NotThere { shard, slot } => {
                write!(f, "a chunk of shard {shard} lacks what it says that it has from slot {slot} on")
            }
        }
    }
}
