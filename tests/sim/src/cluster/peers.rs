//! The shell's part between a replica's cores and the network: it dials, accepts, carries bytes and closes. It decides
//! nothing.

use assize_node::federation::{Dial, LinkId};
use assize_wire::peer::Lane;
use assize_wire::{Ballot, ReplicaId};

use super::Cluster;
use super::network::{Dialing, Event};
use super::spoil::spoil_parts;
use crate::replica::{ForPeers, Replica};
use crate::seeds::trace;

impl Cluster {
    /// Something happens in the network. Returns whom it touched.
    pub(super) fn happen(&mut self, event: Event) -> Option<usize> {
        match event {
            Event::Dial(place) => self.dialed(place),
            Event::Arrive(place, at) => {
                self.network.take(place, at);
                let end = &mut self.network.connections[place].ends[at];
                let (replica, core, link) = (end.replica, end.core, end.link?);
                trace!(
                    "    {} us: {} bytes arrive at core {core} of replica {replica}",
                    self.now_ns / 1000,
                    end.arrived.len()
                );
                if end.arrived.len() >= end.needed {
                    let arrived = std::mem::take(&mut end.arrived);
                    let (consumed, needed) = self.replicas[replica].peer_received(core, link, &arrived);
                    let end = &mut self.network.connections[place].ends[at];
                    end.arrived = arrived[consumed..].to_vec();
                    end.needed = needed.max(1);
                }
                let sender = &mut self.network.connections[place].ends[1 - at];
                if std::mem::take(&mut sender.wants)
                    && let Some(link) = sender.link
                {
                    let (replica, core) = (sender.replica, sender.core);
                    self.pump(replica, core, link);
                }
                Some(replica)
            }
            Event::End(place, at) => {
                let end = &mut self.network.connections[place].ends[at];
                let (replica, core, link) = (end.replica, end.core, end.link?);
                end.leave();
                self.network.close(place, at, self.now_ns);
                self.replicas[replica].peer_closed(core, link);
                self.network.sweep();
                Some(replica)
            }
        }
    }

    /// Carries out what a replica's cores want of the network.
    pub(crate) fn carry(&mut self, at: usize) {
        // What is carried out may make cores want more.
        while !self.replicas[at].for_peers.dials.is_empty() || !self.replicas[at].for_peers.links.is_empty() {
            let ForPeers { dials, links, .. } = &mut self.replicas[at].for_peers;
            let (dials, links) = (std::mem::take(dials), std::mem::take(links));
            for (core, dial) in dials {
                let start = self.replicas[at].starts;
                self.network.dial(at, core, start, dial, self.now_ns);
            }
            for (core, link) in links {
                self.pump(at, core, link);
            }
        }
    }

    /// Moves what a link has to send to the network, if there is room, and closes it if that is wanted.
    fn pump(&mut self, replica: usize, core: usize, link: LinkId) {
        let Some((place, at)) = self.network.find(replica, core, link) else { return };
        let given_up = self.replicas[replica].peer_given_up(core, link);
        let mut closing = given_up;
        if !given_up {
            if !self.network.room(place, at) {
                self.network.connections[place].ends[at].wants = true;
                return;
            }
            let mut bytes = Vec::new();
            closing = self.replicas[replica].peer_bytes(core, link, &mut bytes);
            if self.replicas[replica].spoils_parts {
                bytes = spoil_parts(&bytes, &mut self.network.random);
            }
            self.network.send(place, at, bytes, self.now_ns);
        }
        if closing {
            self.network.close(place, at, self.now_ns);
            self.replicas[replica].peer_closed(core, link);
            self.network.sweep();
        }
    }

    fn dialed(&mut self, place: usize) -> Option<usize> {
        let dialing = self.network.dials.swap_remove(place);
        let Dialing { replica, core, start, dial, .. } = dialing;
        if !self.replicas[replica].is_up() || self.replicas[replica].starts != start {
            return None;
        }
        let Dial { peer, lane, core_offset } = dial;
        let (to, at) = (usize::from(peer.0), usize::from(core_offset));
        if self.network.is_blocked(replica, to) && self.network.random.below(4) > 0 {
            self.network.dial_hangs(dialing, self.now_ns);
            return None;
        }
        let there = &self.replicas[to];
        let answers = there.is_up() && at < there.core_count() && !there.halted[at];
        if !answers || self.network.is_blocked(replica, to) {
            self.replicas[replica].peer_dial_failed(core, peer, lane);
            return Some(replica);
        }
        let dialed = self.replicas[replica].peer_dialed(core, peer, lane);
        let accepted = self.replicas[to].peer_accepted(at);
        self.network.connect((replica, core, dialed), (to, at, accepted));
        self.carry(to);
        Some(replica)
    }
}

impl Replica {
    /// The ballot under which it admits events, if it does.
    #[must_use]
    pub fn leads(&self) -> Option<Ballot> {
        if !self.is_up() {
            return None;
        }
        self.cores.iter().map(assize_node::Core::leads).min().filter(|ballot| *ballot != Ballot::NONE)
    }

    fn peer_dialed(&mut self, core: usize, peer: ReplicaId, lane: Lane) -> LinkId {
        self.touch(core);
        let link = self.cores[core].handle_peer_dialed(peer, lane);
        self.run_core(core);
        link
    }

    fn peer_dial_failed(&mut self, core: usize, peer: ReplicaId, lane: Lane) {
        self.touch(core);
        self.cores[core].handle_peer_dial_failed(peer, lane);
        self.run_core(core);
    }

    fn peer_accepted(&mut self, core: usize) -> LinkId {
        self.touch(core);
        let link = self.cores[core].handle_peer_accepted();
        self.run_core(core);
        link
    }

    fn peer_received(&mut self, core: usize, link: LinkId, bytes: &[u8]) -> (usize, usize) {
        if self.halted[core] {
            return (bytes.len(), 1);
        }
        self.touch(core);
        let took = self.cores[core].handle_peer_received(link, bytes);
        self.run_core(core);
        took
    }

    fn peer_closed(&mut self, core: usize, link: LinkId) {
        if self.halted[core] {
            return;
        }
        self.touch(core);
        self.cores[core].handle_peer_closed(link);
        self.run_core(core);
    }

    fn peer_given_up(&mut self, core: usize, link: LinkId) -> bool {
        self.cores[core].is_peer_given_up(link)
    }

    fn peer_bytes(&mut self, core: usize, link: LinkId, out: &mut Vec<u8>) -> bool {
        self.cores[core].take_peer_bytes(link, out)
    }
}
