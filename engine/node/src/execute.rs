//! From a chosen slot to the shards that run it: the bytes of its stripes are in memory, or are read back first.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_shards::{Rehearsal, StripeBytes};
use assize_wal::{BlockBuffer, Mark, OperationId, ReadFault};
use assize_wire::canary::{self, Canary};
use assize_wire::manifest::Ordered;
use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::{Hash, ReplicaId, ShardId, Slot, StripeId};

use crate::core::Core;
use crate::held::StripePayload;
use crate::output::Output;

/// Chosen slots that this core's shards were not given yet, in slot order.
///
/// Invariants: slots ascend without a gap; the shards get a slot only when all of its stripes here have their bytes,
/// and when the outcome stream has room for what they may come to.
#[derive(Default)]
pub(crate) struct Pending {
    slots: VecDeque<PendingSlot>,
    /// Records of stripes that are being read, and what for.
    reading: BTreeMap<OperationId, ReadFor>,
}

struct PendingSlot {
    ordered: Arc<Ordered>,
    /// A checkpoint is taken after it.
    checkpoint: bool,
    stripes: Vec<PendingStripe>,
}

struct PendingStripe {
    shard: ShardId,
    events: u32,
    bytes: Option<StripeBytes>,
}

/// Why a record of the log is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFor {
    /// To run a stripe.
    Run(Slot, ShardId),
    /// To send a stripe to a peer that lacks it.
    Peer(ReplicaId, StripeId),
    /// To send a manifest to a peer that lacks it.
    Fetch(ReplicaId, Slot),
}

impl Pending {
    /// Something is read back for this.
    pub(crate) fn note_read(&mut self, id: OperationId, what: ReadFor) {
        self.reading.insert(id, what);
    }

    /// Whether something is read back for this already.
    pub(crate) fn is_reading(&self, what: ReadFor) -> bool {
        self.reading.values().any(|reading| *reading == what)
    }

    /// No checkpoint is taken after a slot that waits here: a peer's is taken over.
    pub(crate) fn give_up_checkpoints(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.checkpoint = false);
    }

    /// Nothing of what waits here is run any more.
    pub(crate) fn give_up(&mut self) {
        self.slots.clear();
    }

    /// Whether nothing waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Events and stripes of slots that the shards were not given.
    fn waiting(&self) -> (u64, u64) {
        let stripes = self.slots.iter().flat_map(|slot| &slot.stripes);
        stripes.fold((0, 0), |(events, stripes), stripe| (events + u64::from(stripe.events), stripes + 1))
    }
}

impl Core {
    /// A slot is chosen: its stripes here are to be run. `replayed` are bytes that the boot thread has read.
    pub(crate) fn take_chosen(
        &mut self,
        ordered: Arc<Ordered>,
        mut replayed: Vec<(ShardId, StripeBytes)>,
        digests: &[(ShardId, Hash)],
        checkpoint: bool,
        mark: Mark,
    ) {
        let slot = ordered.manifest.slot;
        self.mark(mark);
        if self.quarantine.is_some() {
            return;
        }
        let mut stripes = Vec::new();
        for seat in 0..self.shards.len() {
            let shard = self.usher.seats[seat].shard;
            let Some(named) = ordered.manifest.stripe_of(shard) else { continue };
            let id = match canary::armed(Canary::StripeByPosition) {
                true => self.stripes.any_unnamed(shard).unwrap_or(named.id),
                false => named.id,
            };
            let stripe = self.stripes.handle_chosen(id, slot);
            if let Some(location) = stripe.location
                && location.log == self.log.identity().log
            {
                self.checkpoints.retention.note_slot(location.segment, slot);
            }
            let brought = replayed.iter().position(|(of, _)| *of == shard);
            let bytes = match (brought, &stripe.buffer, stripe.location) {
                (Some(at), ..) => Some(replayed.swap_remove(at).1),
                (None, Some(buffer), _) => Some(Arc::new(StripePayload(Arc::clone(buffer))) as StripeBytes),
                (None, None, Some(location)) => {
                    let id = self.log.read(location);
                    self.pending.note_read(id, ReadFor::Run(slot, shard));
                    None
                }
                (None, None, None) => {
                    panic!("slot {slot} is chosen and stripe {:?} is not durable here (P2)", named.id)
                }
            };
            let expected = digests.iter().find(|(of, _)| *of == shard).map(|(_, digest)| *digest);
            let now = self.now.monotonic_ns;
            self.usher.seats[seat].held.choose(named.id, slot, named.events, expected, now);
            stripes.push(PendingStripe { shard, events: named.events, bytes });
        }
        assert!(replayed.is_empty(), "stripes of shards that core {} does not own", self.id);
        self.pending.slots.push_back(PendingSlot { ordered, checkpoint, stripes });
    }

    /// Gives the shards the slots that have all they need. True if there were any.
    pub(crate) fn run_pending(&mut self) -> bool {
        let mut any = false;
        while let Some(next) = self.pending.slots.front() {
            let complete = next.stripes.iter().all(|stripe| stripe.bytes.is_some());
            let stalled =
                matches!(self.rehearsal, Some(Rehearsal::Stall(from)) if next.ordered.manifest.slot >= from);
            if !complete || stalled || !self.takes_outcomes() {
                break;
            }
            let Some(PendingSlot { mut ordered, mut checkpoint, stripes }) = self.pending.slots.pop_front()
            else {
                break;
            };
            if canary::armed(Canary::KeysByWallClock) {
                Arc::make_mut(&mut ordered).manifest.time.0 = self.now.wall_ns;
            }
            if checkpoint {
                let Ordered { manifest, .. } = &*ordered;
                checkpoint = self.checkpoints.begin(manifest.slot, manifest.time, self.shards.len());
            }
            let mut stripes = stripes.into_iter().peekable();
            for (seat, shard) in self.usher.seats.iter().zip(&mut self.shards) {
                let own = stripes.next_if(|stripe| stripe.shard == seat.shard);
                let bytes = own.and_then(|stripe| stripe.bytes);
                shard.handle_chosen(Arc::clone(&ordered), bytes, checkpoint);
            }
            any = true;
        }
        any
    }

    /// Whether the outcome stream surely takes what the first waiting slot, and all that runs, come to. Where this
    /// replica leads it was seen to at admission; a follower, or one that replays, waits for room.
    fn takes_outcomes(&mut self) -> bool {
        // What was admitted before a restart was seen to then; what is stored already is not stored again.
        if self.greeting.replicas == 1 || self.pending.slots.front().is_none_or(|next| self.is_stored(next)) {
            return true;
        }
        let (waiting_events, waiting_stripes) = self.pending.waiting();
        let held = self.usher.seats.iter().map(|seat| (seat.held.chosen_events(), seat.held.chosen_len()));
        let (events, stripes) = held.fold((0, 0), |all, seat| (all.0 + seat.0, all.1 + seat.1));
        let Some(next) = self.pending.slots.front() else { return true };
        let next_events: u64 = next.stripes.iter().map(|stripe| u64::from(stripe.events)).sum();
        let events = events - waiting_events + next_events;
        let stripes = stripes - waiting_stripes + next.stripes.len() as u64;
        self.usher.room.takes_outcomes(events, stripes)
    }

    /// Whether the outcomes of a slot are in the outcome stream, from before a restart.
    fn is_stored(&self, next: &PendingSlot) -> bool {
        let slot = next.ordered.manifest.slot;
        next.stripes.iter().all(|stripe| self.outcomes.through(stripe.shard) >= slot)
    }

    /// Takes in what was read back from the log of stripes.
    pub(crate) fn take_reads(&mut self) -> bool {
        let mut any = false;
        while let Some((id, read)) = self.log.poll_read() {
            any = true;
            let Some(what) = self.pending.reading.remove(&id) else { continue };
            match read {
                Ok(record) => self.use_record(what, record.buffer),
                Err(fault) if self.greeting.replicas == 1 => {
                    panic!("a record of the log cannot be read back for {what:?}: {fault}")
                }
                Err(fault) => self.repair_record(what, &fault),
            }
        }
        any
    }

    /// What was whole when it was written, or at the start, has decayed under a running replica: peers have it.
    fn repair_record(&mut self, what: ReadFor, fault: &ReadFault) {
        let own = self.greeting.replica;
        let log = self.log.identity().log;
        self.outputs.push_back(Output::RecordDecayed { log, fault: fault.to_string() });
        let stripe = match what {
            ReadFor::Run(slot, shard) => {
                let pending = self.pending.slots.iter().find(|pending| pending.ordered.manifest.slot == slot);
                pending.and_then(|pending| pending.ordered.manifest.stripe_of(shard)).map(|stripe| stripe.id)
            }
            ReadFor::Peer(to, id) => {
                self.send_peer(to, Lane::Shard(id.shard), &PeerMessage::StripeMissing(id.hash));
                Some(id)
            }
            // Whoever asked asks another peer when no answer comes; the next start here repairs the accept (P5).
            ReadFor::Fetch(to, _) => {
                self.give_up_fetching(to);
                None
            }
        };
        if let Some(id) = stripe {
            self.stripes.handle_decayed(id, own, self.now.monotonic_ns);
        }
    }

    /// A stripe is durable here once more, after it had decayed: the slot that waits for its bytes gets them.
    pub(crate) fn bring_repaired(&mut self, id: StripeId, buffer: &Arc<BlockBuffer>) {
        for pending in &mut self.pending.slots {
            let named = pending.ordered.manifest.stripe_of(id.shard).is_some_and(|named| named.id == id);
            let waiting = pending.stripes.iter_mut().find(|stripe| stripe.shard == id.shard);
            if let Some(stripe) = waiting.filter(|stripe| named && stripe.bytes.is_none()) {
                stripe.bytes = Some(Arc::new(StripePayload(Arc::clone(buffer))) as StripeBytes);
            }
        }
    }

    fn use_record(&mut self, what: ReadFor, buffer: BlockBuffer) {
        match what {
            ReadFor::Run(slot, shard) => {
                let mut stripes = self
                    .pending
                    .slots
                    .iter_mut()
                    .filter(|pending| pending.ordered.manifest.slot == slot)
                    .flat_map(|pending| &mut pending.stripes);
                if let Some(stripe) = stripes.find(|stripe| stripe.shard == shard) {
                    stripe.bytes = Some(Arc::new(StripePayload(Arc::new(buffer))) as StripeBytes);
                }
            }
            ReadFor::Peer(to, id) => self.send_stripe(to, id, buffer.payload()),
            ReadFor::Fetch(to, slot) => self.fetched(to, slot, buffer.payload()),
        }
    }
}
