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
use assize_wire::accept::ACCEPT_HEADER_BYTES;
use assize_wire::manifest::{MANIFEST_CONTROLS_BYTES_MAX, MANIFEST_HEADER_BYTES, MANIFEST_STRIPE_BYTES};

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
    /// The most that an accept record and its copy take.
    accept_record_bytes: u64,
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
        segment_bytes: u64,
    ) -> Room {
        let window = limits.window as u64;
        let chunk_bytes = chunk_bytes(segment_bytes) + stripe_outcome_bytes(limits.stripe_events);
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
            accept_record_bytes: accept_record_bytes(all_shards),
            outcomes: 0,
            docket_open: false,
            log_at_limit: false,
            outcomes_at_limit: false,
            wanted: false,
        }
    }

    /// How many segments each of the core's logs must have prepared ahead so that a stripe is taken wherever they stand
    /// in a segment; none if no number suffices.
    fn segments_ahead_min(
        &self,
        limits: &UsherLimits,
        segment_bytes: u64,
        reserve_bytes: u64,
    ) -> Option<u64> {
        let nothing = Promised::default();
        let log = self.log_wanted(nothing) + SPARE_BYTES.max(limits.stripe_bytes as u64);
        let outcomes = self.outcomes_wanted(nothing, limits.stripe_events.into());
        let segments = |wanted: u64, record_bytes: usize| {
            // As `Log::room_bytes`: a segment's rest smaller than the next record is lost, and nothing may be left of
            // the one in use.
            let surely = segment_bytes.saturating_sub(record_bytes as u64 - BLOCK_BYTES as u64);
            (surely > 0).then(|| (wanted + reserve_bytes).div_ceil(surely))
        };
        let of_log = segments(log, self.stripe_record_bytes)?;
        Some(of_log.max(segments(outcomes, self.chunk_record_bytes)?))
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

    /// On the Docket's core: accept records that its log takes as it is prepared, the reserve included: what is counted
    /// here is not lost where the device has no space for another segment.
    pub(crate) fn accept_records(&self, log: &Log) -> u64 {
        log.room_bytes_in_all(self.accept_record_bytes as usize) / self.accept_record_bytes
    }

    /// Whether the log will take an accept record as it is, once more of it is prepared. Where it never will, a
    /// follower asks for a checkpoint.
    pub(crate) fn accept_records_to_come(&mut self, log: &Log) -> bool {
        let bytes = self.accept_record_bytes;
        let to_come = log.room_bytes_to_limit(bytes as usize) >= bytes;
        self.wanted |= !to_come;
        to_come
    }

    pub(crate) fn set_docket_open(&mut self, open: bool) {
        self.docket_open = open;
    }

    /// How many of a batch's events may be admitted beside what is `promised`, from the first; `ends` are their ends in
    /// the batch's bytes. A batch that is larger than all the room is taken piece by piece.
    pub(crate) fn fitting(&mut self, promised: Promised, ends: &[u32]) -> usize {
        let mut admits = |count: usize| self.admits(promised, count as u64, ends[count - 1].into());
        let (mut fits, mut over) = (0, ends.len());
        // Nearly always all of them do.
        if over == 0 || admits(over) {
            return over;
        }
        while over - fits > 1 {
            let middle = usize::midpoint(fits, over);
            if admits(middle) {
                fits = middle;
            } else {
                over = middle;
            }
        }
        fits
    }

    /// Whether events with this many bytes may be admitted beside what is `promised`.
    fn admits(&mut self, promised: Promised, events: u64, bytes: u64) -> bool {
        let log = self.log_wanted(promised) + bytes;
        let outcomes = self.outcomes_wanted(promised, events);
        let (log_short, outcomes_short) = (log > self.log, outcomes > self.outcomes);
        self.wanted |= log_short && self.log_at_limit || outcomes_short && self.outcomes_at_limit;
        self.docket_open && !log_short && !outcomes_short
    }

    /// Whether the outcome stream surely takes the outcomes of so many events in so many stripes, which are to run.
    pub(crate) fn takes_outcomes(&mut self, events: u64, stripes: u64) -> bool {
        let takes = events * OUTCOME_BYTES_MAX + stripes * RECORD_OVERHEAD_BYTES <= self.outcomes;
        self.wanted |= !takes && self.outcomes_at_limit;
        takes
    }

    /// Whether the log takes a stripe of a peer, however large.
    pub(crate) fn takes_stripe(&self, log: &Log) -> bool {
        log.room_bytes_to_limit(self.stripe_record_bytes)
            >= self.stripe_record_bytes as u64 + log.reserve_bytes()
    }

    /// The log has no room for a peer's stripe.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
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

    fn outcomes_wanted(&self, promised: Promised, events: u64) -> u64 {
        // Each stripe may come to a chunk of its own, and one chunk a shard is open.
        let chunks = 3 * self.stripes * RECORD_OVERHEAD_BYTES;
        (promised.events + events) * OUTCOME_BYTES_MAX + chunks
    }
}

/// How many segments the logs of a core must have prepared ahead. With fewer it would say `busy` for ever where its
/// logs come to stand at a segment's end; none if segments are too small for any number to do.
#[must_use]
pub fn segments_ahead_min(
    limits: &UsherLimits,
    own_shards: usize,
    all_shards: u16,
    runs_docket: bool,
    segment_bytes: u64,
    reserve_bytes: u64,
) -> Option<u64> {
    let stripe_events = limits.stripe_events.min(stripe_events_max(segment_bytes));
    let limits = UsherLimits { stripe_events, ..*limits };
    let room = Room::new(&limits, own_shards, all_shards, runs_docket, segment_bytes);
    room.segments_ahead_min(&limits, segment_bytes, reserve_bytes)
}

/// At how many bytes a chunk of the outcome stream is full: small enough that a stripe's outcomes fit a segment beside
/// it.
pub(crate) fn chunk_bytes(segment_bytes: u64) -> u64 {
    (segment_bytes / 8).min(OUTCOME_CHUNK_BYTES)
}

/// The events that a stripe may have so that its outcomes fit a chunk's record.
pub(crate) fn stripe_events_max(segment_bytes: u64) -> u32 {
    let record = segment_bytes.min(assize_wal::limits::RECORD_BYTES_MAX as u64);
    ((record - chunk_bytes(segment_bytes) - RECORD_OVERHEAD_BYTES) / OUTCOME_BYTES_MAX) as u32
}

const SPARE_BYTES: u64 = SPARE_BLOCKS * BLOCK_BYTES as u64;

/// Both copies of the largest accept record: one that names a stripe of every shard, and all the control
/// events that there may be.
fn accept_record_bytes(shards: u16) -> u64 {
    let stripes = usize::from(shards) * MANIFEST_STRIPE_BYTES;
    let manifest = MANIFEST_HEADER_BYTES + stripes + MANIFEST_CONTROLS_BYTES_MAX;
    2 * BlockBuffer::record_bytes(ACCEPT_HEADER_BYTES + manifest) as u64
}

fn stripe_outcome_bytes(events: u32) -> u64 {
    u64::from(events) * OUTCOME_BYTES_MAX + RECORD_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const LIMITS: UsherLimits = UsherLimits {
        stripe_bytes: 16 << 10,
        stripe_events: 64,
        window: 4,
        credit_events: 1 << 20,
        connections_max: 1,
        event_payload_bytes_max: 1024,
        event_entities_max: 16,
    };

    fn room(log: u64, outcomes: u64) -> Room {
        let mut room = Room::new(&LIMITS, 2, 2, true, 1 << 20);
        (room.log, room.outcomes, room.docket_open) = (log, outcomes, true);
        room
    }

    /// A batch larger than all the room there ever is would never be taken as a whole.
    #[test]
    fn of_a_batch_that_is_too_large_as_much_is_taken_as_fits() {
        let nothing = Promised::default();
        for (log, outcomes) in [(2 << 20, 1 << 20), (2 << 20, 2 << 20), (700 << 10, 64 << 20), (0, 0)] {
            for count in [0, 1, 2, 3, 100, 5_000] {
                let ends: Vec<u32> = (1..=count).map(|event| event * 96).collect();
                let fits = room(log, outcomes).fitting(nothing, &ends);
                let admits =
                    |count: usize| room(log, outcomes).admits(nothing, count as u64, ends[count - 1].into());
                assert!(fits == 0 || admits(fits), "{fits} of {count} with {log} and {outcomes}");
                assert!(
                    fits == ends.len() || !admits(fits + 1),
                    "{fits} of {count} with {log} and {outcomes}"
                );
            }
        }
    }

    /// With so many segments ahead a stripe is admitted wherever the logs stand; with one fewer there is a place where
    /// it never is.
    #[test]
    fn enough_segments_ahead_are_enough_for_a_stripe_at_a_segments_end() {
        for (segment_bytes, window) in [(1 << 20, 4), (4 << 20, 8), (64 << 20, 8)] {
            let limits = UsherLimits { window, ..LIMITS };
            let reserve = (4 << 20).min(segment_bytes / 4);
            let least = segments_ahead_min(&limits, 2, 4, true, segment_bytes, reserve).expect("some number");
            let admits = |ahead: u64| {
                let mut room = Room::new(&limits, 2, 4, true, segment_bytes);
                let surely = |record: usize| ahead * (segment_bytes - (record - BLOCK_BYTES) as u64);
                room.log = surely(room.stripe_record_bytes).saturating_sub(reserve);
                room.outcomes = surely(room.chunk_record_bytes).saturating_sub(reserve);
                room.docket_open = room.takes_slots(Promised::default());
                room.admits(Promised::default(), limits.stripe_events.into(), limits.stripe_bytes as u64)
            };
            assert!(admits(least) && !admits(least - 1), "{least} segments of {segment_bytes} bytes");
        }
    }
}
