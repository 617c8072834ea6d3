//! Which disk of a peer is talked to (R3): the last one that was met, and none that was formatted anew as if it were
//! the first, since it may have promised and accepted what it does not know any more.

use alloc::format;
use alloc::vec::Vec;

use assize_wire::ReplicaId;
use assize_wire::peer::{Generation, Generations, PeerRefusal, PeerRefused};

use super::Federation;
use super::event::Loss;
use super::link::LinkId;

impl Federation {
    /// More is known of disks: connections to those that were replaced end.
    pub fn handle_generations(&mut self, known: &Generations, now_ns: u64) {
        let (own, replicas) = (self.config.identity.replica, self.config.identity.replicas);
        for peer in (0..replicas).map(ReplicaId).filter(|peer| *peer != own) {
            self.learn_disk(peer, known.of(peer), now_ns);
        }
    }

    /// A peer has proved that it has this disk, or is said to.
    pub(super) fn learn_disk(&mut self, peer: ReplicaId, generation: Generation, now: u64) {
        if !self.config.generations.learn(peer, generation) {
            return;
        }
        let known = self.config.generations.of(peer);
        let of_peer = self.places.iter().filter(|place| place.peer == peer);
        let replaced = of_peer.filter_map(|place| place.established).filter(|made| made.generation != known);
        let replaced: Vec<LinkId> = replaced.map(|made| made.link).collect();
        for link in replaced {
            // Mostly what lingers of a process that is gone. If it is not, it is told why when it connects again.
            self.detach(link, Loss::Replaced, now);
            self.links.give_up(link);
        }
    }

    /// Whether a peer's disk is the one that was met, or replaces it.
    pub(super) fn judge_disk(&self, peer: ReplicaId, found: Generation) -> Result<(), PeerRefused> {
        let known = self.config.generations.of(peer);
        if known.with(found) == found {
            return Ok(());
        }
        let own = self.config.identity.replica;
        let anew = !found.is_rejoined() && found.formatted_ns() > known.formatted_ns();
        let text = if anew || known == Generation::CONTRADICTED {
            format!(
                "replica {own} knows another disk of replica {peer} than this one, which has forgotten what that one \
                 promised and accepted: start replica {peer} with that one, or, if it is lost, format this one with \
                 `assize format --rejoin`"
            )
        } else {
            format!(
                "replica {peer} was given a new disk; this is an old one (or its clock was behind when it was formatted), \
                 which does not know what was promised and accepted since: start replica {peer} with the new one, or, if \
                 that is lost, format this one with `assize format --rejoin`"
            )
        };
        Err(PeerRefused { code: PeerRefusal::OtherDisk, text })
    }
}
