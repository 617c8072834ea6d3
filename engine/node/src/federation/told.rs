//! What operators were told of refused connections, so that each reason is told once in a while only.

use alloc::vec::Vec;

use assize_wire::ReplicaId;
use assize_wire::peer::PeerRefusal;

use super::event::RefusedPeer;
use crate::limits::{REFUSAL_AGAIN_NS, REFUSAL_PAUSE_NS};

/// By peer; the last entry is of those who did not say.
#[derive(Debug)]
pub(super) struct Told {
    last: Vec<Option<(PeerRefusal, bool, u64)>>,
}

impl Told {
    pub(super) fn new(replicas: u8) -> Told {
        Told { last: (0..=replicas).map(|_| None).collect() }
    }

    /// Whether this one is to be told now. Whoever makes up reasons is not told of more often than others.
    pub(super) fn admit(&mut self, refused: &RefusedPeer, now: u64) -> bool {
        let others = self.last.len() - 1;
        let known = refused.peer.map(|ReplicaId(peer)| usize::from(peer)).filter(|peer| *peer < others);
        let last = &mut self.last[known.unwrap_or(others)];
        let this = (refused.refused.code, refused.by_peer);
        let admitted = last.is_none_or(|(code, by_peer, at)| {
            let pause = if (code, by_peer) == this { REFUSAL_AGAIN_NS } else { REFUSAL_PAUSE_NS };
            now >= at + pause
        });
        if admitted {
            *last = Some((this.0, this.1, now));
        }
        admitted
    }

    /// The peer is connected: what is refused from here on is news.
    pub(super) fn forget(&mut self, peer: ReplicaId) {
        self.last[usize::from(peer.0)] = None;
    }
}
