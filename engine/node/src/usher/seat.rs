//! One shard's place at the Usher: the stripes that wait to be sealed and those that are not published yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_consensus::Offer;
use assize_wal::{BlockBuffer, BufferPool};
use assize_wire::manifest::StripeRef;
use assize_wire::stripe::{STRIPE_HEADER_BYTES, StripeHead};
use assize_wire::{Ballot, Hash, ShardId, StripeId};

use super::UsherLimits;
use super::open_stripe::{OpenStripe, Run};
use crate::connections::ConnectionRef;
use crate::held::{HeldStripe, HeldStripes};
use crate::room::Promised;
use crate::stages::StripeStages;

/// A shard at its Usher.
///
/// Invariants: every waiting stripe has events, and all but the last are full. At most `window` stripes wait and at
/// most
/// `window` are held.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) shard: ShardId,
    waiting: VecDeque<OpenStripe>,
    /// Event bytes of `waiting`.
    waiting_bytes: u64,
    /// Events of `waiting`.
    waiting_events: u64,
    pub(crate) held: HeldStripes,
    counter: u64,
}

/// A stripe that was just sealed: to be logged, and to be offered.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) buffer: BlockBuffer,
    pub(crate) offer: Offer,
}

impl Seat {
    pub(crate) fn new(shard: ShardId) -> Seat {
        Seat {
            shard,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_events: 0,
            held: HeldStripes::default(),
            counter: 0,
        }
    }

    pub(crate) fn restart_counter(&mut self) {
        self.counter = 0;
    }

    /// Takes everything that waits to be sealed: this replica does not lead any more (P10). Returns who is to be told.
    pub(crate) fn take_waiting(&mut self) -> Vec<Run> {
        (self.waiting_bytes, self.waiting_events) = (0, 0);
        self.waiting.drain(..).flat_map(|open| open.runs).collect()
    }

    /// What was admitted here and is not published.
    pub(crate) fn promised(&self) -> Promised {
        Promised { waiting_bytes: self.waiting_bytes, events: self.waiting_events + self.held.events() }
    }

    /// Who is to be answered, or refused.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.waiting.iter().flat_map(|open| &open.runs).chain(self.held.runs())
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.waiting.is_empty() && self.held.len() == 0
    }

    /// Takes as many of the events as there is room for, in order, and says how many. `ends` are the events' ends
    /// in `bytes`.
    #[allow(
        clippy::too_many_arguments,
        reason = "one call site a path; a struct would only rename the fields"
    )]
    pub(crate) fn admit(
        &mut self,
        pool: &mut BufferPool,
        limits: &UsherLimits,
        connection: ConnectionRef,
        request: u64,
        indexes: &[u32],
        ends: &[u32],
        bytes: &[u8],
        mask: u64,
        now: u64,
    ) -> usize {
        let mut taken = 0;
        let mut start = 0u32;
        while taken < indexes.len() {
            let fits = self.waiting.back().map_or(0, |open| {
                open.fitting(&ends[taken..], start, limits.stripe_bytes, limits.stripe_events)
            });
            if fits == 0 {
                if self.waiting.len() == limits.window {
                    break;
                }
                self.waiting.push_back(OpenStripe::new(pool.take(limits.stripe_bytes), now));
                continue;
            }
            let end = ends[taken + fits - 1];
            let Some(open) = self.waiting.back_mut() else { break };
            let part = &bytes[start as usize..end as usize];
            open.append(connection, request, &indexes[taken..taken + fits], part, mask);
            self.waiting_bytes += part.len() as u64;
            self.waiting_events += fits as u64;
            taken += fits;
            start = end;
        }
        taken
    }

    /// See [`super::Usher::seal`].
    pub(crate) fn seal(&mut self, ballot: Ballot, window: usize, now: u64) -> Option<Sealed> {
        // Whoever is alone waits for nothing. Under load events gather while the stripe before them is on its way:
        // there are fewer stripes, slots and system calls, and so a shorter way.
        let full = self.waiting.len() > 1;
        if self.waiting.is_empty() || self.held.len() >= window || (!full && self.held.len() > 0) {
            return None;
        }
        let OpenStripe { mut buffer, events, home_mask, runs, accepted } = self.waiting.pop_front()?;
        assert!(events > 0, "an empty stripe of shard {}", self.shard);
        let events_bytes = (buffer.payload_len() - STRIPE_HEADER_BYTES) as u32;
        self.waiting_bytes -= u64::from(events_bytes);
        self.waiting_events -= u64::from(events);
        self.counter += 1;
        let head =
            StripeHead { shard: self.shard, ballot, counter: self.counter, home_mask, events, events_bytes };
        buffer.payload_mut()[..STRIPE_HEADER_BYTES].copy_from_slice(&head.encode());
        let id = StripeId { shard: self.shard, hash: Hash::of(buffer.payload()) };
        let stages = StripeStages { events, accepted, sealed: now, ..StripeStages::default() };
        self.held.push_sealed(HeldStripe { id, runs, stages, durable: false, slot: None, expected: None });
        let bytes = buffer.payload_len() as u32;
        let stripe = StripeRef { id, home_mask, events, bytes };
        Some(Sealed { buffer, offer: Offer { ballot, stripe, in_docket_log: false } })
    }
}
