//! Copies between the same shards of all replicas: digests out as stripes run, digests in for the Clerk, and questions
//! for those that did not come (C4).

use alloc::vec::Vec;

use assize_consensus::limits::REPLICAS_MAX;
use assize_shards::CopyFate;
use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::{Hash, ReplicaId, ShardId, Slot};

use crate::core::Core;
use crate::limits::COPIES_ASK_NS;
use crate::old_digests::Question;
use crate::output::Output;

/// When a shard's oldest stripe that has run and is not published was last asked about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CopiesAsked {
    slot: Slot,
    /// Since when that slot waits, and when to ask.
    since: u64,
    due: u64,
    alarmed: bool,
    gone_told: bool,
    /// By replica: it keeps no digests of slots below this one.
    gone: [Slot; REPLICAS_MAX],
    /// By replica: the last slot for which it was told, unasked, what was published, since it connected.
    ///
    /// 1. A replica that is far behind sends its digest of slot 5 and is told what was published. 2. When that comes
    ///    it is itself far beyond slot 5. Were it to tell in return what it published, neither would ever stop.
    told: [Slot; REPLICAS_MAX],
}

impl Core {
    /// Sends what a shard's stripes came to, to the same shard of every peer.
    pub(crate) fn send_copies(&mut self, seat: usize) {
        let mut copies = Vec::new();
        while let Some((slot, digest)) = self.shards[seat].poll_copy() {
            // The time that this core knows is that from before it ran.
            self.just_ran.push((seat, slot));
            copies.push((slot, digest));
        }
        if !copies.is_empty() {
            let lane = Lane::Shard(self.usher.seats[seat].shard);
            let message = PeerMessage::Copies(copies);
            for peer in self.peers() {
                // Who does not get it now asks for it.
                self.send_peer(peer, lane, &message);
            }
        }
    }

    /// A peer is connected, perhaps since it has started anew: it may have to be told everything again.
    pub(crate) fn forget_told(&mut self, peer: ReplicaId, shard: ShardId) {
        let seat = self.seat_of(shard);
        let asked = &mut self.copies_asked[seat];
        asked.told[usize::from(peer.0)] = Slot::ZERO;
        asked.gone[usize::from(peer.0)] = Slot::ZERO;
    }

    /// Copies of a peer.
    pub(crate) fn take_copies(&mut self, from: ReplicaId, shard: ShardId, copies: &[(Slot, Hash)]) {
        if self.quarantine.is_some() {
            return;
        }
        let seat = self.seat_of(shard);
        for (slot, digest) in copies {
            if self.shards[seat].handle_copy(from, *slot, *digest) == CopyFate::Late {
                // Who is far behind is told at once; whoever is only a little late has it from its other peers.
                let far = slot.0 + self.usher.limits.window as u64 <= self.shards[seat].clerk().published().0;
                let told = &mut self.copies_asked[seat].told[usize::from(from.0)];
                let tell = far && *slot > *told;
                if tell {
                    *told = *slot;
                }
                self.ask_old(seat, from, *slot, Question { found: Some(*digest), tell });
            }
        }
        self.answer_old(seat);
    }

    /// A peer lacks copies of ours.
    pub(crate) fn take_copies_wanted(&mut self, from: ReplicaId, shard: ShardId, first: Slot, through: Slot) {
        if self.quarantine.is_some() {
            return;
        }
        let seat = self.seat_of(shard);
        let through = Slot(through.0.min(first.0 + COPIES_ANSWERED_MAX));
        let published = self.shards[seat].clerk().published();
        let mut copies: Vec<(Slot, Hash)> = Vec::new();
        for slot in (first.0..=through.0).map(Slot) {
            if slot <= published {
                self.ask_old(seat, from, slot, Question { found: None, tell: true });
            } else if let Some(digest) = self.shards[seat].clerk().own_digest(slot) {
                copies.push((slot, digest));
            }
        }
        if !copies.is_empty() {
            self.send_peer(from, Lane::Shard(shard), &PeerMessage::Copies(copies));
        }
        self.answer_old(seat);
    }

    /// A peer has given up the digests of this shard's slots below `below`. If too few others have that of the oldest
    /// stripe that waits here, it waits in vain.
    pub(crate) fn take_copies_gone(&mut self, from: ReplicaId, shard: ShardId, below: Slot) {
        if self.quarantine.is_some() {
            return;
        }
        let seat = self.seat_of(shard);
        let replicas = self.greeting.replicas;
        let clerk = self.shards[seat].clerk();
        let asked = &mut self.copies_asked[seat];
        let gone = &mut asked.gone[usize::from(from.0)];
        *gone = below.max(*gone);
        let Some((slot, _)) = clerk.unpublished() else { return };
        let seen = clerk.seen(slot);
        // This replica's own copy is among those seen.
        let has = |peer: u8| {
            asked.gone[usize::from(peer)] <= slot || seen.iter().any(|(who, _)| *who == ReplicaId(peer))
        };
        let left = (0..replicas).filter(|replica| has(*replica)).count();
        if left < usize::from(self.greeting.copies) && !core::mem::replace(&mut asked.gone_told, true) {
            self.outputs.push_back(Output::CopiesGone { slot, shard });
        }
    }

    /// Asks for copies that have not come for a while, and says so when they do not come at all.
    pub(crate) fn ask_copies(&mut self) {
        if self.quarantine.is_some() {
            return;
        }
        let now = self.now.monotonic_ns;
        for seat in 0..self.shards.len() {
            let Some((slot, last)) = self.shards[seat].clerk().unpublished() else { continue };
            let asked = &mut self.copies_asked[seat];
            if asked.slot != slot {
                let due = now + COPIES_ASK_NS;
                *asked = CopiesAsked { slot, since: now, due, alarmed: false, gone_told: false, ..*asked };
            }
            if now < asked.due {
                continue;
            }
            asked.due = now + COPIES_ASK_NS;
            let shard = self.usher.seats[seat].shard;
            if !asked.alarmed && now >= asked.since + COPIES_ALARM_NS {
                asked.alarmed = true;
                let seen = self.shards[seat].clerk().seen(slot);
                self.outputs.push_back(Output::CopiesMissing { slot, shard, seen });
            }
            let message = PeerMessage::CopiesWanted { from: slot, through: last };
            for peer in self.peers() {
                self.send_peer(peer, Lane::Shard(shard), &message);
            }
        }
    }

    /// When [`Core::ask_copies`] has something to do.
    pub(crate) fn copies_due(&self) -> Option<u64> {
        if self.greeting.replicas == 1 || self.quarantine.is_some() {
            return None;
        }
        let seats = self.shards.iter().zip(&self.copies_asked);
        let waiting = seats.filter_map(|(shard, asked)| Some((shard.clerk().unpublished()?.0, asked)));
        waiting.map(|(slot, asked)| if asked.slot == slot { asked.due } else { self.now.monotonic_ns }).min()
    }
}

/// Copies that one question is answered with.
const COPIES_ANSWERED_MAX: u64 = 256;

/// A stripe that waits this long for copies is told to the operator, in nanoseconds.
const COPIES_ALARM_NS: u64 = 1_000_000_000;
