//! Where replicas differ (C6): the one that finds itself outside tells the others the digest of each event of that
//! stripe; they answer with the first one that differs, and each names it to its operator.
//!
//! 1. Replica 2 is outside in slot 9. It sends the digests of the events of its stripe to the same shard of its peers.
//! 2. Replica 0, which still has what slot 9 came to, sends back the first event that differs, as it evaluated it.
//! 3. Replica 2 compares it with its own, says in what they differ, and sends its own back.
//! 4. Replica 0 does the same. It is not outside, so it sends nothing more.
//!
//! A peer that has published many stripes since does not have that one any more, and is silent: then there are only the
//! digests of the whole stripe.

use alloc::vec::Vec;
use core::fmt;

use assize_shards::{Difference, Piece};
use assize_wal::{Quarantine, QuarantineKind};
use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::{CoreId, Hash, ReplicaId, ShardId, Slot};

use crate::core::Core;
use crate::output::Output;
use crate::peers::PeerNotice;

/// The first event of a stripe in which two replicas differ, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DivergenceReport {
    /// The slot.
    pub slot: Slot,
    /// The shard.
    pub shard: ShardId,
    /// The event's index in the shard's stripe.
    pub index: u32,
    /// The replica that is outside.
    pub outside: ReplicaId,
    /// The one that it was compared with.
    pub compared_with: ReplicaId,
    /// The core of the replica that says this, which owns the shard there.
    pub core: CoreId,
    /// In what they differ.
    pub difference: Difference,
}

impl fmt::Display for DivergenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DivergenceReport { slot, shard, index, outside, compared_with, core, difference } = self;
        write!(
            f,
            "replica {outside} differs from replica {compared_with} first in slot {slot}, shard {shard} (core {core} here), \
             event {index}: {difference}"
        )
    }
}

impl Core {
    /// This replica is outside: the peers are told what each event of that stripe came to here.
    pub(crate) fn tell_events(&mut self, quarantine: &Quarantine) {
        let (Some(shard), QuarantineKind::Outcomes) = (quarantine.shard, quarantine.kind) else { return };
        let (seat, slot) = (self.seat_of(shard), quarantine.slot);
        let Some(evaluated) = self.shards[seat].clerk().evaluated(slot) else { return };
        let message = PeerMessage::EventDigests { slot, digests: evaluated.digests() };
        for peer in self.peers() {
            self.send_peer(peer, Lane::Shard(shard), &message);
        }
    }

    /// A peer that is outside tells what each event of a stripe came to there.
    pub(crate) fn take_event_digests(
        &mut self,
        from: ReplicaId,
        shard: ShardId,
        slot: Slot,
        digests: &[Hash],
    ) {
        let seat = self.seat_of(shard);
        if self.quarantine.is_some() {
            return;
        }
        let Some(evaluated) = self.shards[seat].clerk().evaluated(slot) else { return };
        let own: Vec<&[u8]> = evaluated.pieces().collect();
        // Both have the same stripe, so one digest for each of its events.
        let differing = own.iter().zip(digests).position(|(piece, digest)| Hash::of(piece) != *digest);
        if let Some(index) = differing {
            let message = PeerMessage::EventDiffers { slot, index: index as u32, piece: own[index].to_vec() };
            self.send_peer(from, Lane::Shard(shard), &message);
        }
    }

    /// The first event of a stripe that differs, as a peer evaluated it.
    pub(crate) fn take_event_differs(
        &mut self,
        from: ReplicaId,
        shard: ShardId,
        slot: Slot,
        index: u32,
        theirs: &[u8],
    ) {
        let (seat, own) = (self.seat_of(shard), self.greeting.replica);
        let evaluated = self.shards[seat].clerk().evaluated(slot);
        let Some(ours) = evaluated.and_then(|evaluated| evaluated.pieces().nth(index as usize)) else {
            return;
        };
        let Ok((their_piece, [])) = Piece::parse(theirs) else {
            self.outputs.push_back(Output::Peer(PeerNotice::BadEvent { peer: from, shard }));
            return;
        };
        let (our_piece, _) = Piece::parse(ours).expect("it was encoded here");
        let is_outside = self.quarantine.is_some();
        let (outside, compared_with) = if is_outside { (own, from) } else { (from, own) };
        let difference = match is_outside {
            true => their_piece.difference(&our_piece),
            false => our_piece.difference(&their_piece),
        };
        let message = PeerMessage::EventDiffers { slot, index, piece: ours.to_vec() };
        let core = self.id;
        self.outputs.extend(difference.map(|difference| {
            let report = DivergenceReport { slot, shard, index, outside, compared_with, core, difference };
            Output::DivergenceReport(report)
        }));
        if is_outside {
            self.send_peer(from, Lane::Shard(shard), &message);
        }
    }
}
