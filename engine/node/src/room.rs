//! How much of its logs a core may still promise. What is admitted is surely written later: its stripe, the accept
//! records of the slots on the way there, and its outcomes. A core whose logs cannot take all of that says `busy`.
//!
//! A story that this is about:
//! 1. Core 0 runs the Docket. Core 1 takes all the events; its own log is nearly empty.
//! 2. Every slot costs core 0 an accept record, though none of its own shards has a stripe.
//! 3. Core 0's log fills. A slot that cannot be accepted would leave events that were admitted without an end.
//!
//! So the Docket's core tells the others in time that its log is short, and they say `busy` as if it were theirs.

use assize_wal::{BLOCK_BYTES, BlockBuffer, Log};

use crate::limits::{
    OUTCOME_BYTES_MAX, OUTCOME_CHUNK_BYTES, RECORD_OVERHEAD_BYTES, SLOT_BLOCKS, SPARE_BLOCKS,
};
use crate::usher::UsherLimits;

/// What was admitted and is not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promised {
    /// Event bytes that wait to be sealed.
    pub(crate) waiting_bytes: u64,
    /// Events that are not published.
    pub(crate) events: u64,
}

/// The room of one core.
#[derive(Debug)]
pub(crate) struct Room {
    /// The largest record of a stripe.
    stripe_record_bytes: usize,
    /// The largest record of the outcome stream.
    chunk_record_bytes: usize,
    /// Stripes of this core's shards that may wait to be sealed, and as many that may be held.
    stripes: u64,
    /// What the accept records of all that may be under way in the whole replica take of the Docket's log.
    accepts: u64,
    runs_docket: bool,
    /// Record bytes that the log surely still takes.
    log: u64,
    /// Record bytes that the log surely still takes, its reserve included.
    log_in_all: u64,
    /// Record bytes that the outcome stream surely still takes.
    outcomes: u64,
    /// Whether the Docket's log takes the accept records of more stripes.
    docket_open: bool,
    /// The log, and the outcome stream's, get no more segments unless they give up old ones.
    log_at_limit: bool,
    outcomes_at_limit: bool,
    /// Room was wanted since this was last asked for that only a checkpoint can make.
    wanted: bool,
}

impl Room {
    pub(crate) fn new(
        limits: &UsherLimits,
        own_shards: usize,
        all_shards: u16,
        runs_docket: bool,
        outcomes: &Log,
    ) -> Room {
        let window = limits.window as u64;
        let chunk_bytes = chunk_bytes(outcomes) + stripe_outcome_bytes(limits.stripe_events);
        // When the Docket's core says that its log is short, each shard has at most a window of stripes offered; the
        // slots it was told of before may free as many places, and as many again wait to be sealed.
        let slots = 3 * window * u64::from(all_shards);
        Room {
            stripe_record_bytes: BlockBuffer::record_bytes(limits.stripe_bytes),
            chunk_record_bytes: BlockBuffer::record_bytes(chunk_bytes as usize),
            stripes: window * own_shards as u64,
            accepts: slots * SLOT_BLOCKS * BLOCK_BYTES as u64,
            runs_docket,
            log: 0,
            log_in_all: 0,
            outcomes: 0,
            docket_open: false,
            log_at_limit: false,
            outcomes_at_limit: false,
            wanted: false,
        }
    }

    /// The logs as they are after what was appended. `open_bytes` wait in chunks of the outcome stream.
    pub(crate) fn measure(&mut self, log: &Log, outcomes: &Log, open_bytes: u64) {
        self.log = log.room_bytes(self.stripe_record_bytes);
        self.log_in_all = log.room_bytes_in_all(self.stripe_record_bytes);
        self.outcomes = outcomes.room_bytes(self.chunk_record_bytes).saturating_sub(open_bytes);
        self.log_at_limit = log.is_at_limit();
        self.outcomes_at_limit = outcomes.is_at_limit();
    }

    /// On the Docket's core: whether its log takes the accept records of all that may be under way, beside what is
    /// `promised` here.
    pub(crate) fn takes_slots(&mut self, promised: Promised) -> bool {
        let takes = self.log >= self.log_wanted(promised) + SPARE_BYTES;
        self.wanted |= !takes && self.log_at_limit;
        takes
    }

    /// On the Docket's core: whether its log takes the accept record of a slot that is formed for a checkpoint alone,
    /// beside all that is promised. The reserve is there for it.
    pub(crate) fn takes_flag(&self, promised: Promised) -> bool {
        self.log_in_all >= self.log_wanted(promised) + SLOT_BLOCKS * BLOCK_BYTES as u64
    }

    pub(crate) fn set_docket_open(&mut self, open: bool) {
        self.docket_open = open;
    }

    /// Whether events with this many bytes may be admitted beside what is `promised`.
    pub(crate) fn admits(&mut self, promised: Promised, events: u64, bytes: u64) -> bool {
        let log = self.log_wanted(promised) + bytes;
        // Each stripe may come to a chunk of its own, and one chunk a shard is open.
        let chunks = 3 * self.stripes * RECORD_OVERHEAD_BYTES;
        let outcomes = (promised.events + events) * OUTCOME_BYTES_MAX + chunks;
        let (log_short, outcomes_short) = (log > self.log, outcomes > self.outcomes);
        self.wanted |= log_short && self.log_at_limit || outcomes_short && self.outcomes_at_limit;
        self.docket_open && !log_short && !outcomes_short
    }

    /// Whether room was wanted since this was last asked that only a checkpoint can make. What segments that are being
    /// prepared will make is not.
    pub(crate) fn take_wanted(&mut self) -> bool {
        core::mem::take(&mut self.wanted)
    }

    fn log_wanted(&self, promised: Promised) -> u64 {
        let accepts = if self.runs_docket { self.accepts } else { 0 };
        promised.waiting_bytes + self.stripes * RECORD_OVERHEAD_BYTES + accepts + SPARE_BYTES
    }
}

/// At how many bytes a chunk of this log is full: small enough that a stripe's outcomes fit a segment beside it.
pub(crate) fn chunk_bytes(outcomes: &Log) -> u64 {
    (outcomes.identity().segment_bytes / 8).min(OUTCOME_CHUNK_BYTES)
}

/// The events that a stripe may have so that its outcomes fit a chunk's record.
pub(crate) fn stripe_events_max(outcomes: &Log) -> u32 {
    let record = outcomes.identity().segment_bytes.min(assize_wal::limits::RECORD_BYTES_MAX as u64);
    ((record - chunk_bytes(outcomes) - RECORD_OVERHEAD_BYTES) / OUTCOME_BYTES_MAX) as u32
}

const SPARE_BYTES: u64 = SPARE_BLOCKS * BLOCK_BYTES as u64;

fn stripe_outcome_bytes(events: u32) -> u64 {
    u64::from(events) * OUTCOME_BYTES_MAX + RECORD_OVERHEAD_BYTES
}
