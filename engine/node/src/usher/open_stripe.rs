//! A stripe that takes events, and the part of a request that goes to one shard.

use alloc::vec::Vec;

use assize_wal::BlockBuffer;
use assize_wire::stripe::STRIPE_HEADER_BYTES;

use crate::connections::ConnectionRef;

/// Events of one request that follow each other in a stripe: who is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The client.
    pub connection: ConnectionRef,
    /// Its request.
    pub request: u64,
    /// Index in the request of the run's first event; the others follow it.
    pub first: u32,
    /// Events in the run.
    pub events: u32,
}

/// Events of one request that one shard owns, validated, in the request's order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Their index in the request.
    pub(crate) indexes: Vec<u32>,
    /// Where each ends in `bytes`.
    pub(crate) ends: Vec<u32>,
    /// Their bytes. Empty while the whole request goes to this shard: then the frame's own bytes are taken.
    pub(crate) bytes: Vec<u8>,
    /// The homes they touch.
    pub(crate) home_mask: u64,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.indexes.clear();
        self.ends.clear();
        self.bytes.clear();
        self.home_mask = 0;
    }
}

/// A stripe before it is sealed. Its bytes stand where they will be written from.
#[derive(Debug)]
pub(crate) struct OpenStripe {
    /// Header space, then events.
    pub(crate) buffer: BlockBuffer,
    pub(crate) events: u32,
    pub(crate) home_mask: u64,
    pub(crate) runs: Vec<Run>,
    /// When its first event came.
    pub(crate) accepted: u64,
}

impl OpenStripe {
    pub(crate) fn new(mut buffer: BlockBuffer, now: u64) -> OpenStripe {
        buffer.extend_from_slice(&[0; STRIPE_HEADER_BYTES]);
        OpenStripe { buffer, events: 0, home_mask: 0, runs: Vec::new(), accepted: now }
    }

    /// How many of the events that end at `ends` (from `start` in their bytes) still fit.
    pub(crate) fn fitting(&self, ends: &[u32], start: u32, bytes_max: usize, events_max: u32) -> usize {
        let room_bytes = bytes_max.saturating_sub(self.buffer.payload_len());
        let room_events = (events_max - self.events) as usize;
        let by_bytes = ends.partition_point(|end| (end - start) as usize <= room_bytes);
        by_bytes.min(room_events)
    }

    /// Appends the events of `bytes`, which have these indexes in their request.
    pub(crate) fn append(
        &mut self,
        connection: ConnectionRef,
        request: u64,
        indexes: &[u32],
        bytes: &[u8],
        mask: u64,
    ) {
        self.buffer.extend_from_slice(bytes);
        self.events += indexes.len() as u32;
        self.home_mask |= mask;
        for index in indexes {
            match self.runs.last_mut() {
                Some(run)
                    if run.connection == connection
                        && run.request == request
                        && run.first + run.events == *index =>
                {
                    run.events += 1;
                }
                _ => self.runs.push(Run { connection, request, first: *index, events: 1 }),
            }
        }
    }
}
