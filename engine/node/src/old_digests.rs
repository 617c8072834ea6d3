//! Digests of slots that were published long ago: a shard's memory holds the newest, the outcome stream all that it
//! keeps (C4). A peer that starts far behind sends its copies of such slots, or asks for ours; both wait here until the
//! chunk of the outcome stream that has them is read.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::{Hash, ReplicaId, ShardId, Slot};

use crate::core::Core;
use crate::limits::OLD_DIGESTS_WANTED_MAX;

/// What peers want to know of one shard's old slots.
///
/// Invariant: at most [`OLD_DIGESTS_WANTED_MAX`] questions, each once. What finds no place is asked again by whoever
/// waits for it.
#[derive(Debug, Default)]
pub(crate) struct OldDigests {
    /// The digests of the chunk that was read last, in slot order. A peer that catches up asks for slot after slot.
    chunk: Vec<(Slot, Hash)>,
    reading: bool,
    questions: BTreeMap<(Slot, ReplicaId), Question>,
}

/// A question about a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Question {
    /// The peer's own digest, to be compared with what was published.
    pub(crate) found: Option<Hash>,
    /// Whether the peer is told.
    pub(crate) tell: bool,
}

/// What is known of a slot's digest.
enum Known {
    Digest(Hash),
    /// The shard has no stripe there, or one that is not durable in the outcome stream yet.
    Nothing,
    /// It was given up, with everything below this slot.
    Gone(Slot),
    /// It is in the outcome stream.
    Stored,
}

impl Core {
    /// A peer's question about a slot that this shard has published. [`Core::answer_old`] answers it.
    pub(crate) fn ask_old(&mut self, seat: usize, peer: ReplicaId, slot: Slot, question: Question) {
        let questions = &mut self.old_digests[seat].questions;
        if questions.len() >= OLD_DIGESTS_WANTED_MAX && !questions.contains_key(&(slot, peer)) {
            return;
        }
        let asked = questions.entry((slot, peer)).or_default();
        asked.found = question.found.or(asked.found);
        asked.tell |= question.tell;
    }

    /// A chunk of the outcome stream was read.
    pub(crate) fn take_old_digests(&mut self, shard: ShardId, chunk: Vec<(Slot, Hash)>) {
        let seat = self.seat_of(shard);
        self.old_digests[seat].chunk = chunk;
        self.old_digests[seat].reading = false;
        self.answer_old(seat);
    }

    /// Answers what is known, and begins to read what is not.
    pub(crate) fn answer_old(&mut self, seat: usize) {
        let shard = self.usher.seats[seat].shard;
        let mut answers: BTreeMap<ReplicaId, Vec<(Slot, Hash)>> = BTreeMap::new();
        let mut gone: BTreeMap<ReplicaId, Slot> = BTreeMap::new();
        let mut unread = None;
        let questions = core::mem::take(&mut self.old_digests[seat].questions);
        for ((slot, peer), question) in questions {
            match self.known_digest(seat, slot) {
                Known::Digest(published) => {
                    if let Some(found) = question.found.filter(|found| *found != published) {
                        self.shards[seat].handle_outside(peer, slot, published, found);
                    }
                    if question.tell {
                        answers.entry(peer).or_default().push((slot, published));
                    }
                }
                Known::Nothing => {}
                Known::Gone(below) => {
                    gone.insert(peer, below);
                }
                Known::Stored => {
                    unread.get_or_insert(slot);
                    self.old_digests[seat].questions.insert((slot, peer), question);
                }
            }
        }
        for (peer, copies) in answers {
            self.send_peer(peer, Lane::Shard(shard), &PeerMessage::Copies(copies));
        }
        for (peer, below) in gone {
            self.send_peer(peer, Lane::Shard(shard), &PeerMessage::CopiesGone { below });
        }
        if let Some(slot) = unread.filter(|_| !self.old_digests[seat].reading && !self.stopping) {
            self.old_digests[seat].reading = self.outcomes.want_digests(shard, slot);
        }
    }

    fn known_digest(&self, seat: usize, slot: Slot) -> Known {
        let shard = self.usher.seats[seat].shard;
        let clerk = self.shards[seat].clerk();
        if let Some(digest) = clerk.published_digest(slot) {
            return Known::Digest(digest);
        }
        let chunk = &self.old_digests[seat].chunk;
        match chunk.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => return Known::Digest(chunk[at].1),
            Err(at) if at > 0 && at < chunk.len() => return Known::Nothing,
            Err(_) => {}
        }
        if self.outcomes.stores(shard, slot) {
            return Known::Stored;
        }
        let kept = [clerk.settled_from(), self.outcomes.kept_from(shard)].into_iter().flatten().min();
        let kept = kept.unwrap_or(clerk.published().next());
        if slot < kept { Known::Gone(kept) } else { Known::Nothing }
    }
}
