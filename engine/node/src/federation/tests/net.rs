//! Replicas wired to each other in memory: every dial reaches the core it names, bytes move as far as the test lets
//! them.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use assize_wire::peer::{Generation, Generations, Lane, PeerIdentity, PeerPorts};
use assize_wire::{ClusterId, CoreId, Hash, Incarnation, ReplicaId, ShardId};

use crate::federation::{Dial, Federation, FederationConfig, FederationEvent, LinkId, Secret};
use crate::layout::Layout;

/// One core of one replica.
pub struct Node {
    pub federation: Federation,
    pub config: FederationConfig,
    /// Everything it told, in order.
    pub events: Vec<FederationEvent>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub node: usize,
    pub link: LinkId,
}

/// A connection: what is on its way to each end.
pub struct Wire {
    pub ends: [End; 2],
    pub under_way: [VecDeque<u8>; 2],
    /// Received and not consumed.
    pub waiting: [Vec<u8>; 2],
    pub needed: [usize; 2],
    /// Ends that the other side has closed, once everything is read.
    pub closing: [bool; 2],
    pub gone: [bool; 2],
    /// All that ever went to each end.
    pub seen: [Vec<u8>; 2],
}

/// Everything.
pub struct Net {
    pub nodes: Vec<Node>,
    pub wires: Vec<Wire>,
    pub now: u64,
    /// Dials to these replicas fail.
    pub down: Vec<ReplicaId>,
    pub dials: Vec<(ReplicaId, Dial)>,
    /// What each connection delivers at most in one go; all there is if `None`.
    pub chunk: Option<usize>,
    /// Whether bytes leave the nodes: a peer that does not read.
    pub stuck: bool,
}

pub const SECRET: Secret = Secret([7; 32]);

/// A replica whose single core has everything.
pub fn config(replica: u8, replicas: u8, cores: &[Vec<ShardId>], core: u16) -> FederationConfig {
    let layout = Arc::new(Layout::new(cores, CoreId(0)));
    FederationConfig {
        core: CoreId(core),
        identity: PeerIdentity {
            cluster: ClusterId(5),
            replica: ReplicaId(replica),
            replicas,
            shards: layout.shards(),
            agreed: Hash([9; 32]),
            generation: Generation::first(1 + u64::from(replica)),
            failure_domain: 0,
            ports: PeerPorts { client: 7400 + u16::from(replica), http: 7600 },
            domains: "bank v1".into(),
            logic: Vec::new(),
        },
        layout,
        incarnation: Incarnation(1),
        generations: Generations::default(),
        secret: SECRET,
        entropy: [replica; 32],
    }
}

/// One core with two shards.
pub fn simple(replica: u8, replicas: u8) -> FederationConfig {
    config(replica, replicas, &[vec![ShardId(0), ShardId(1)]], 0)
}

impl Net {
    pub fn new(configs: Vec<FederationConfig>) -> Net {
        let node = |config: FederationConfig| Node {
            federation: Federation::new(config.clone()),
            config,
            events: Vec::new(),
        };
        Net {
            nodes: configs.into_iter().map(node).collect(),
            wires: Vec::new(),
            now: 1,
            down: Vec::new(),
            dials: Vec::new(),
            chunk: None,
            stuck: false,
        }
    }

    /// Replicas 0 and 1 of a cluster of three.
    pub fn pair() -> Net {
        Net::new(vec![simple(0, 3), simple(1, 3)])
    }

    /// Moves everything until nothing moves any more.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it never settles");
    }

    /// Lets time pass and moves everything.
    pub fn pass(&mut self, ns: u64) {
        let until = self.now + ns;
        loop {
            self.settle();
            let due = self.nodes.iter().filter_map(|node| node.federation.next_deadline()).min();
            self.now = due.unwrap_or(until).clamp(self.now, until);
            for node in &mut self.nodes {
                node.federation.handle_time(self.now);
            }
            self.settle();
            if self.now == until {
                return;
            }
        }
    }

    /// One round of everything; false if nothing moved.
    pub fn step(&mut self) -> bool {
        let mut moved = false;
        for at in 0..self.nodes.len() {
            while let Some(dial) = self.nodes[at].federation.poll_dial() {
                self.dial(at, dial);
                moved = true;
            }
            moved |= self.collect(at);
        }
        for wire in 0..self.wires.len() {
            for end in 0..2 {
                moved |= self.deliver(wire, end);
            }
        }
        for node in &mut self.nodes {
            node.federation.check_invariants();
            while let Some(event) = node.federation.poll_event() {
                node.events.push(event);
                moved = true;
            }
        }
        moved
    }

    pub fn node(&self, replica: u8, core: u16) -> Option<usize> {
        self.nodes.iter().position(|node| {
            node.config.identity.replica == ReplicaId(replica) && node.config.core == CoreId(core)
        })
    }

    pub fn federation(&mut self, at: usize) -> &mut Federation {
        &mut self.nodes[at].federation
    }

    /// Both ends of the connection that serves a lane between the first two nodes.
    pub fn serving(&self) -> Vec<usize> {
        (0..self.wires.len()).filter(|wire| self.wires[*wire].gone == [false; 2]).collect()
    }

    /// Breaks a connection at both ends.
    pub fn cut(&mut self, wire: usize) {
        for end in 0..2 {
            self.close(wire, end);
        }
    }

    /// Takes what was told so far.
    pub fn told(&mut self, at: usize) -> Vec<FederationEvent> {
        core::mem::take(&mut self.nodes[at].events)
    }

    /// The refusals among them.
    pub fn refusals(&mut self, at: usize) -> Vec<(Option<ReplicaId>, bool, String)> {
        let refused = |event| match event {
            FederationEvent::Refused(of) => {
                Some((of.peer, of.by_peer, alloc::format!("{:?}: {}", of.refused.code, of.refused.text)))
            }
            _ => None,
        };
        self.told(at).into_iter().filter_map(refused).collect()
    }

    /// A connection from nowhere to a node.
    pub fn stranger(&mut self, at: usize) -> LinkId {
        let now = self.now;
        self.nodes[at].federation.handle_accepted(now)
    }

    pub fn connect(&mut self, dialer: End, acceptor: End) {
        self.wires.push(Wire {
            ends: [dialer, acceptor],
            under_way: Default::default(),
            waiting: Default::default(),
            needed: [1; 2],
            closing: [false; 2],
            gone: [false; 2],
            seen: Default::default(),
        });
    }

    fn dial(&mut self, at: usize, dial: Dial) {
        let from = self.nodes[at].config.identity.replica;
        self.dials.push((from, dial));
        let (peer, now) = (dial.peer, self.now);
        let to = self.node(peer.0, dial.core_offset).filter(|_| !self.down.contains(&peer));
        let Some(to) = to else {
            return self.nodes[at].federation.handle_dial_failed(peer, dial.lane, now);
        };
        let dialed = self.nodes[at].federation.handle_dialed(peer, dial.lane, now);
        let accepted = self.nodes[to].federation.handle_accepted(now);
        self.connect(End { node: at, link: dialed }, End { node: to, link: accepted });
    }

    /// Takes what a node has to send.
    fn collect(&mut self, at: usize) -> bool {
        let mut moved = false;
        while let Some(link) = self.nodes[at].federation.poll_link() {
            moved = true;
            let end = End { node: at, link };
            let found =
                self.wires.iter().enumerate().find_map(|(wire, of)| {
                    of.ends.iter().position(|one| *one == end).map(|side| (wire, side))
                });
            let Some((wire, side)) = found else { continue };
            if self.nodes[at].federation.is_given_up(link) {
                self.close(wire, side);
                continue;
            }
            if self.stuck {
                continue;
            }
            let mut bytes = Vec::new();
            let close = self.nodes[at].federation.take_bytes(link, &mut bytes);
            self.wires[wire].under_way[1 - side].extend(&bytes);
            self.wires[wire].seen[1 - side].extend(&bytes);
            if close {
                self.close(wire, side);
            }
        }
        moved
    }

    /// The end `side` closes: what it has sent is still read.
    fn close(&mut self, wire: usize, side: usize) {
        let of = &mut self.wires[wire];
        if !of.gone[side] {
            of.gone[side] = true;
            of.closing[1 - side] = true;
            let (end, now) = (of.ends[side], self.now);
            self.nodes[end.node].federation.handle_closed(end.link, now);
        }
    }

    fn deliver(&mut self, wire: usize, side: usize) -> bool {
        let (chunk, now) = (self.chunk, self.now);
        let of = &mut self.wires[wire];
        if of.gone[side] {
            return false;
        }
        if of.under_way[side].is_empty() {
            if of.closing[side] {
                self.close(wire, side);
                return true;
            }
            return false;
        }
        let most = chunk.unwrap_or(usize::MAX).min(of.under_way[side].len());
        of.waiting[side].extend(of.under_way[side].drain(..most));
        if of.waiting[side].len() >= of.needed[side] {
            let (end, bytes) = (of.ends[side], &of.waiting[side]);
            let (consumed, needed) = self.nodes[end.node].federation.handle_received(end.link, bytes, now);
            of.waiting[side].drain(..consumed);
            of.needed[side] = needed.max(1);
        }
        true
    }
}

/// The lanes of the simple configuration.
pub const LANES: [Lane; 3] = [Lane::Control, Lane::Shard(ShardId(0)), Lane::Shard(ShardId(1))];
