//! The segments of one log: which are kept, which are prepared, and which were given up and may become others (L2).
//!
//! Invariants:
//! * `first <= prepared_end`; segments `first .. prepared_end` are on the device, whole;
//! * `free` are on the device, below `first`, each once;
//! * `previous` has each kept segment that a record was written to since recovery read or this log formed one there.

use alloc::collections::{BTreeMap, VecDeque};

use super::start::{LogConfig, LogStart};
use crate::header::LogIdentity;
use crate::operation::{DeviceError, Operation, OperationId, SegmentId};

#[derive(Debug)]
pub(super) struct Segments {
    /// The first one that is kept.
    first: SegmentId,
    /// Segments below this one are prepared. Only ever rises.
    prepared_end: SegmentId,
    /// The preparation under way.
    preparing: Option<u64>,
    /// The device said that it has no space for another segment.
    space_exhausted: bool,
    /// Segments below this one are demanded.
    demanded_end: SegmentId,
    /// Given up: their files become the next segments.
    free: VecDeque<SegmentId>,
    /// The checksum of the record before the first one of a segment.
    previous: BTreeMap<SegmentId, u32>,
}

impl Segments {
    pub(super) fn new(start: &LogStart) -> Segments {
        Segments {
            first: start.first_segment,
            prepared_end: start.prepared_end,
            preparing: None,
            space_exhausted: false,
            demanded_end: SegmentId(0),
            free: start.free.iter().copied().collect(),
            previous: start.previous.iter().copied().collect(),
        }
    }

    pub(super) fn first(&self) -> SegmentId {
        self.first
    }

    pub(super) fn prepared_end(&self) -> SegmentId {
        self.prepared_end
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.preparing.is_some()
    }

    /// No record goes to this segment or one above it. What is prepared is used, also where an earlier start, which was
    /// allowed more, prepared it: a start that could not append there would have no place for what it must.
    pub(super) fn limit(&self, config: &LogConfig) -> SegmentId {
        match self.space_exhausted {
            true => self.prepared_end,
            false => self.prepared_end.max(SegmentId(self.first.0 + config.segments_max)),
        }
    }

    /// Segments below this one are wanted.
    pub(super) fn demand(&mut self, end: SegmentId) {
        self.demanded_end = self.demanded_end.max(end);
    }

    /// Whether the device said that it has no space for another segment.
    pub(super) fn has_no_space(&self) -> bool {
        self.space_exhausted
    }

    /// Asks the device again, if it had no space.
    pub(super) fn retry_space(&mut self) {
        self.space_exhausted = false;
    }

    pub(super) fn demanded_end(&self) -> SegmentId {
        self.demanded_end
    }

    /// Whether one more is to be prepared, `wanted_end` being where preparation should have come to.
    pub(super) fn wants_preparation(&self, config: &LogConfig, wanted_end: SegmentId) -> bool {
        self.preparing.is_none() && self.prepared_end < wanted_end && self.prepared_end < self.limit(config)
    }

    /// Prepares the next segment, from one that was given up if there is one.
    /// `filled` is the last one in which something is planned.
    pub(super) fn prepare(&mut self, id: OperationId, bytes: u64, filled: SegmentId) -> Operation {
        assert!(self.preparing.is_none(), "one segment is prepared at a time");
        self.preparing = Some(id.number);
        let recycled = self.free.pop_front();
        let urgent = self.prepared_end <= filled.next();
        Operation::PrepareSegment { id, segment: self.prepared_end, bytes, recycled, urgent }
    }

    /// Takes in the completion of a preparation, if it is one. `Err` hands back an error that stops the log.
    pub(super) fn handle_completion(
        &mut self,
        number: u64,
        result: &Result<(), DeviceError>,
        stranded: impl FnOnce(SegmentId) -> bool,
    ) -> Option<Result<(), DeviceError>> {
        if self.preparing != Some(number) {
            return None;
        }
        self.preparing = None;
        Some(match result {
            Ok(()) => {
                self.prepared_end = self.prepared_end.next();
                Ok(())
            }
            Err(DeviceError::NoSpace { place }) => self.handle_no_space(place, stranded(self.prepared_end)),
            Err(error) => Err(error.clone()),
        })
    }

    /// No space for another segment is not a failed write: the log is full and says so, until it is given segments
    /// back. Only records that already have their place in a segment that will never be cannot be kept.
    fn handle_no_space(&mut self, place: &str, stranded: bool) -> Result<(), DeviceError> {
        self.space_exhausted = true;
        if stranded { Err(DeviceError::NoSpace { place: place.into() }) } else { Ok(()) }
    }

    /// The first record of a segment follows one with this checksum.
    pub(super) fn begin(&mut self, segment: SegmentId, previous: u32) {
        self.previous.insert(segment, previous);
    }

    /// The checksum of the record before the first one of a segment, if that one is written.
    pub(super) fn previous(&self, segment: SegmentId) -> Option<u32> {
        self.previous.get(&segment).copied()
    }

    /// Gives up the segments below `first`.
    pub(super) fn release(&mut self, first: SegmentId) {
        for segment in self.first.0..first.0 {
            self.free.push_back(SegmentId(segment));
        }
        self.first = self.first.max(first);
        self.previous = self.previous.split_off(&self.first);
        if !self.free.is_empty() {
            self.space_exhausted = false;
        }
    }

    /// Panics when a promise at the head of this file is broken.
    pub(super) fn check_invariants(&self, identity: &LogIdentity) {
        let log = identity.log;
        assert!(self.first <= self.prepared_end, "log {log}: {} <= {}", self.first, self.prepared_end);
        assert!(self.free.iter().all(|free| *free < self.first), "log {log}: {:?} are given up", self.free);
        assert!(self.previous.keys().all(|segment| *segment >= self.first), "log {log} keeps too much");
    }
}
