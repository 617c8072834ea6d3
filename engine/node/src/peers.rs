//! A core's connections to its peers, passed through to [`Federation`](crate::federation::Federation), and what is done
//! with what they bring.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use assize_wire::peer::{Lane, PeerPorts};
use assize_wire::{ReplicaId, ShardId};

use crate::core::Core;
use crate::federation::{Dial, FederationEvent, LinkId, Loss, RefusedPeer};
use crate::output::Output;

/// What an operator is told of connections between replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerNotice {
    /// A lane to a peer can be used.
    Connected {
        /// The peer.
        peer: ReplicaId,
        /// The lane.
        lane: Lane,
        /// Where others than its peers reach it.
        ports: PeerPorts,
    },
    /// A lane to a peer is lost; it is made again without being asked.
    Disconnected {
        /// The peer.
        peer: ReplicaId,
        /// The lane.
        lane: Lane,
        /// Why.
        why: Loss,
    },
    /// A connection was refused.
    Refused(RefusedPeer),
    /// A peer sent bytes as an event that it evaluated, of a shard, which are none. They were dropped.
    BadEvent {
        /// The peer.
        peer: ReplicaId,
        /// The shard.
        shard: ShardId,
    },
    /// A peer sent bytes as a stripe of a shard which are none. They were dropped.
    BadStripe {
        /// The peer.
        peer: ReplicaId,
        /// The shard.
        shard: ShardId,
    },
}

impl Core {
    /// Somebody connected to this core's port for peers.
    pub fn handle_peer_accepted(&mut self) -> LinkId {
        self.federation.handle_accepted(self.now.monotonic_ns)
    }

    /// A dial of [`Core::poll_dial`] succeeded.
    pub fn handle_peer_dialed(&mut self, peer: ReplicaId, lane: Lane) -> LinkId {
        self.federation.handle_dialed(peer, lane, self.now.monotonic_ns)
    }

    /// A dial of [`Core::poll_dial`] failed.
    pub fn handle_peer_dial_failed(&mut self, peer: ReplicaId, lane: Lane) {
        self.federation.handle_dial_failed(peer, lane, self.now.monotonic_ns);
    }

    /// Bytes of a peer that have not been consumed yet; returns as [`Core::handle_received`] does.
    pub fn handle_peer_received(&mut self, link: LinkId, bytes: &[u8]) -> (usize, usize) {
        self.federation.handle_received(link, bytes, self.now.monotonic_ns)
    }

    /// The socket of a link is gone.
    pub fn handle_peer_closed(&mut self, link: LinkId) {
        self.federation.handle_closed(link, self.now.monotonic_ns);
    }

    /// The next connection to a peer that is to be made.
    pub fn poll_dial(&mut self) -> Option<Dial> {
        self.federation.poll_dial()
    }

    /// The next link that has bytes to send or is to be closed.
    pub fn poll_peer_link(&mut self) -> Option<LinkId> {
        self.federation.poll_link()
    }

    /// Whether a link's socket is to be closed now, whatever is being sent.
    pub fn is_peer_given_up(&mut self, link: LinkId) -> bool {
        self.federation.is_given_up(link)
    }

    /// Moves the bytes that wait to be sent on a link to the end of `out`; true if it is to be closed after them.
    pub fn take_peer_bytes(&mut self, link: LinkId, out: &mut Vec<u8>) -> bool {
        self.federation.take_bytes(link, out)
    }

    /// Takes in what happened between this core and its peers.
    pub(crate) fn step_federation(&mut self) -> bool {
        self.federation.handle_time(self.now.monotonic_ns);
        let mut progress = false;
        while let Some(event) = self.federation.poll_event() {
            self.handle_federation_event(event);
            progress = true;
        }
        progress
    }

    /// On the control core: a peer says what it shares with others when it fails. Once every peer has, the operator is
    /// told if too few domains are left to compare outcomes between (C1).
    fn take_failure_domain(&mut self, peer: ReplicaId, domain: u64) {
        let (replicas, copies) = (self.greeting.replicas, self.greeting.copies);
        let own = (self.greeting.replica, self.federation.failure_domain());
        let control = self.control();
        control.coordinator.handle_failure_domain(peer, domain);
        let before = control.failure_domains.insert(peer, domain);
        let all = control.failure_domains.len() + 1 == usize::from(replicas);
        if before == Some(domain) || !all {
            return;
        }
        let mut domains: Vec<(ReplicaId, u64)> =
            control.failure_domains.iter().map(|of| (*of.0, *of.1)).collect();
        domains.push(own);
        let shared = |(replica, domain): &(ReplicaId, u64)| {
            domains.iter().any(|(other, of)| other != replica && of == domain)
        };
        let sharing: Vec<ReplicaId> =
            domains.iter().filter(|of| shared(of)).map(|(replica, _)| *replica).collect();
        let distinct = domains.iter().map(|(_, domain)| *domain).collect::<BTreeSet<u64>>().len() as u8;
        if distinct <= copies {
            self.outputs.push_back(Output::FailureDomains { distinct, copies, sharing });
        }
    }

    fn handle_federation_event(&mut self, event: FederationEvent) {
        let notice = match event {
            FederationEvent::Connected { peer, lane, generation, failure_domain, logic, ports } => {
                match lane {
                    Lane::Control => {
                        self.docket().handle_connected(peer, generation);
                        self.control().coordinator.handle_connected(peer);
                        self.control().logic.handle_connected(peer, logic);
                        self.take_failure_domain(peer, failure_domain);
                    }
                    Lane::Shard(shard) => {
                        self.forget_told(peer, shard);
                        let seat = self.seat_of(shard);
                        self.shards[seat].handle_failure_domain(peer, failure_domain);
                    }
                }
                PeerNotice::Connected { peer, lane, ports }
            }
            FederationEvent::Disconnected { peer, lane, why } => {
                if lane == Lane::Control {
                    if self.docket().leader() == Some(peer) {
                        self.control().election.handle_leader_gone();
                    }
                    self.docket().handle_disconnected(peer);
                    self.control().clocks.forget(peer);
                    self.control().coordinator.handle_disconnected(peer);
                    self.control().logic.handle_disconnected(peer);
                }
                PeerNotice::Disconnected { peer, lane, why }
            }
            FederationEvent::Refused(refused) => PeerNotice::Refused(refused),
            FederationEvent::Message { peer, lane, message } => return self.take_peer(peer, lane, message),
            // What found no room is asked for, or said again.
            FederationEvent::Room { .. } => return,
        };
        self.outputs.push_back(Output::Peer(notice));
    }
}
