//! What peers say to this core, and what it says to them.

use assize_wal::BlockBuffer;
use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::stripe::Stripe;
use assize_wire::{Hash, ReplicaId, ShardId, StripeId};

use crate::core::Core;
use crate::execute::ReadFor;
use crate::federation::FromPeer;
use crate::limits::STRIPE_PUSH_NS;
use crate::message::CoreMessage;
use crate::output::Output;
use crate::peers::PeerNotice;

impl Core {
    /// Every other replica.
    pub(crate) fn peers(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let own = self.greeting.replica;
        (0..self.greeting.replicas).map(ReplicaId).filter(move |peer| *peer != own)
    }

    /// What a peer says. Federation lets only those messages through that belong to the lane.
    pub(crate) fn take_peer(&mut self, from: ReplicaId, lane: Lane, message: FromPeer) {
        let shard = match (lane, message) {
            (Lane::Control, FromPeer::Docket { clock_ns, generations, message }) => {
                self.docket().handle_generations(&generations);
                self.take_docket_message(from, clock_ns, message);
                return;
            }
            (Lane::Control, FromPeer::Checkpoint(told)) => {
                self.control().coordinator.handle_told(from, told);
                return;
            }
            (Lane::Control, FromPeer::CheckpointWanted(slot)) => {
                self.control().coordinator.handle_wanted(from, slot);
                return;
            }
            (Lane::Control, FromPeer::ShortOfRoom) => {
                self.control().coordinator.handle_short_of_room();
                return;
            }
            (Lane::Shard(shard), message) => (shard, message),
            (lane, message) => panic!("{message:?} came on the {lane} lane"),
        };
        match shard {
            (shard, FromPeer::Stripe(buffer)) => self.take_stripe(from, shard, buffer),
            (shard, FromPeer::StripeWanted(hash)) => self.give_stripe(from, StripeId { shard, hash }),
            (shard, FromPeer::StripeMissing(hash)) => {
                self.stripes.wanted.handle_missing(StripeId { shard, hash }, self.now.monotonic_ns);
            }
            (shard, FromPeer::Copies(copies)) => self.take_copies(from, shard, &copies),
            (shard, FromPeer::CopiesWanted { from: first, through }) => {
                self.take_copies_wanted(from, shard, first, through);
            }
            (shard, FromPeer::CopiesGone { below }) => self.take_copies_gone(from, shard, below),
            (shard, FromPeer::EventDigests { slot, digests }) => {
                self.take_event_digests(from, shard, slot, &digests);
            }
            (shard, FromPeer::EventDiffers { slot, index, piece }) => {
                self.take_event_differs(from, shard, slot, index, &piece);
            }
            (shard, FromPeer::PartWanted { slot, index }) => self.give_part(from, shard, slot, index),
            (shard, FromPeer::Part(part)) => self.take_part(from, shard, part),
            (shard, message) => panic!("{message:?} came on the lane of shard {shard}"),
        }
    }

    /// Sends on a lane of this core. What cannot be sent now is asked for again by whoever lacks it, or said again.
    pub(crate) fn send_peer(&mut self, to: ReplicaId, lane: Lane, message: &PeerMessage<'_>) {
        let _ = self.federation.send(to, lane, message, self.now.monotonic_ns);
    }

    /// A peer's stripe: it is written before anything else is done with it.
    fn take_stripe(&mut self, from: ReplicaId, shard: ShardId, buffer: BlockBuffer) {
        let head = match Stripe::parse(buffer.payload()) {
            Ok(stripe) if stripe.head.shard == shard => stripe.head,
            _ => {
                self.outputs.push_back(Output::Peer(PeerNotice::BadStripe { peer: from, shard }));
                return;
            }
        };
        let id = StripeId { shard, hash: Hash::of(buffer.payload()) };
        if self.stripes.is_too_late(head.ballot) {
            self.stripes.wanted.forget(id);
            return;
        }
        let wanted = self.stripes.wanted.contains(id);
        if self.stripes.contains(id) || !(wanted || self.stripes.takes_unasked(shard)) {
            return;
        }
        // Without room it is not taken; it is asked for again when a manifest names it, and a checkpoint makes room.
        if self.append_stripe(id, buffer).is_err() {
            self.usher.room.want();
            return;
        }
        self.stripes.handle_appended(id, head.ballot);
        self.tell_stored_if_in_docket_log(id);
    }

    /// In the Docket's own log a stripe counts as stored for whatever is appended after it: one flush covers both (P2).
    pub(crate) fn tell_stored_if_in_docket_log(&mut self, id: StripeId) {
        if let Some(control) = &mut self.control {
            control.docket.handle_stripe_stored(id);
        }
    }

    /// A peer wants a stripe.
    fn give_stripe(&mut self, to: ReplicaId, id: StripeId) {
        let (buffer, location) = match self.stripes.get(id) {
            Some(stripe) => (stripe.buffer.clone(), stripe.location),
            None => {
                self.send_peer(to, Lane::Shard(id.shard), &PeerMessage::StripeMissing(id.hash));
                return;
            }
        };
        match (buffer, location) {
            (Some(buffer), _) => self.send_stripe(to, id, buffer.payload()),
            // It asks again before it has come, if the disk is slow.
            (None, Some(_)) if self.pending.is_reading(ReadFor::Peer(to, id)) => {}
            (None, Some(location)) => {
                let read = self.log.read(location);
                self.pending.note_read(read, ReadFor::Peer(to, id));
            }
            (None, None) => self.stripes.send_when_durable(id, to),
        }
    }

    /// Sends a stripe to one peer. What does not go out now is asked for again.
    pub(crate) fn send_stripe(&mut self, to: ReplicaId, id: StripeId, bytes: &[u8]) {
        self.send_peer(to, Lane::Shard(id.shard), &PeerMessage::Stripe { bytes });
    }

    /// The Docket lacks a stripe.
    pub(crate) fn take_want(&mut self, id: StripeId, bytes: u32, from: ReplicaId) {
        if let Some(stripe) = self.stripes.get(id) {
            if stripe.location.is_some() {
                self.send(self.layout.control, CoreMessage::StripeStored(id));
            }
            // Else it is being written, and told when it is durable.
            return;
        }
        self.stripes.wanted.want(id, bytes, from, self.now.monotonic_ns + STRIPE_PUSH_NS);
    }

    /// Asks peers for stripes that are due.
    pub(crate) fn ask_stripes(&mut self) {
        let (own, replicas) = (self.greeting.replica, self.greeting.replicas);
        let now = self.now.monotonic_ns;
        if self.stripes.wanted.next_due().is_some_and(|due| due <= now)
            && !self.usher.room.takes_stripe(&self.log)
        {
            // What cannot be kept would be read and sent for nothing, again and again, and keep a peer's disk from
            // better.
            self.usher.room.want();
            self.stripes.wanted.ask_later(now);
            return;
        }
        while let Some((id, from)) = self.stripes.wanted.poll(own, replicas, now) {
            self.send_peer(from, Lane::Shard(id.shard), &PeerMessage::StripeWanted(id.hash));
        }
    }
}
