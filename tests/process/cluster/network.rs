//! Networks that are slow, stand still, and cut connections: between each two replicas by itself, in both directions.

use std::time::Duration;

use super::proxy::Proxy;
use super::replicas::{Cluster, PORTS, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::rng::Rng;
use crate::site::LOOPBACK;

/// For each replica, the ways on which it reaches the others; both may dial.
struct Network {
    ways: Vec<(usize, usize, Proxy)>,
}

impl Network {
    /// Leads all that the replicas say to each other through proxies.
    fn between(cluster: &mut Cluster) -> Network {
        let ports: Vec<u16> =
            cluster.sites.iter().map(|site| port_of(site.settings.peers.as_ref())).collect();
        let mut ways = Vec::new();
        for (replica, site) in cluster.sites.iter_mut().enumerate() {
            let peers = site.settings.peers.as_mut().expect("it has peers");
            for (peer, port) in ports.iter().enumerate().filter(|(peer, _)| *peer != replica) {
                let proxy = Proxy::start(*port, PORTS);
                peers.addresses[peer] = format!("{LOOPBACK}:{}", proxy.port);
                ways.push((replica, peer, proxy));
            }
        }
        Network { ways }
    }

    /// Every way between these two.
    fn between_two(&self, one: usize, other: usize) -> impl Iterator<Item = &Proxy> {
        let joins = move |from: usize, to: usize| (from, to) == (one, other) || (from, to) == (other, one);
        self.ways.iter().filter(move |(from, to, _)| joins(*from, *to)).map(|(_, _, proxy)| proxy)
    }

    /// Every way to and from one.
    fn around(&self, replica: usize) -> impl Iterator<Item = &Proxy> {
        self.ways
            .iter()
            .filter(move |(from, to, _)| *from == replica || *to == replica)
            .map(|(_, _, proxy)| proxy)
    }
}

fn port_of(peers: Option<&crate::site::Peers>) -> u16 {
    let listen = &peers.expect("it has peers").listen;
    listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// A scenario: what is done to the network while the load runs. In the end all ways are open and quick.
fn survive(what: &str, fault: impl FnOnce(&Network, &mut Running<'_>, &Steady, &mut Rng)) {
    let mut rng = Rng::announced(what);
    let events = events(40_000);
    let mut cluster = Cluster::for_events(events);
    let network = Network::between(&mut cluster);
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    fault(&network, &mut running, &load, &mut rng);
    let report = load.finish();
    check_all(running, &report);
}

#[test]
fn bytes_are_late_and_connections_are_cut() {
    survive("a bad network", |network, _, load, rng| {
        for _ in 0..8 {
            for (_, _, way) in &network.ways {
                way.delay(Duration::from_millis(rng.below(12)));
            }
            load.wait_for(10, rng);
            let (_, _, way) = &network.ways[rng.below(network.ways.len() as u64) as usize];
            way.cut(false);
        }
        network.ways.iter().for_each(|(_, _, way)| way.delay(Duration::ZERO));
    });
}

/// The old leader and those who elected another meanwhile hear what was said before all at once, and late.
#[test]
fn a_leader_that_nobody_hears_is_replaced_and_follows_when_it_is_heard_again() {
    survive("a silent leader", |network, running, load, rng| {
        for _ in 0..3 {
            load.wait_for(20, rng);
            let leader = running.cluster.leader();
            network.around(leader).for_each(|way| way.stall(true));
            // Another one leads: the load goes on.
            load.wait_for(10, rng);
            assert_ne!(running.cluster.leader(), leader, "it leads, and nobody hears it");
            network.around(leader).for_each(|way| way.stall(false));
        }
    });
}

/// Of three replicas two cannot talk to each other: either can lead, by the third.
#[test]
fn two_that_cannot_reach_each_other_do_not_stop_the_third() {
    survive("half a partition", |network, running, load, rng| {
        load.wait_for(20, rng);
        let leader = running.cluster.leader();
        let follower = (leader + 1) % REPLICAS;
        network.between_two(leader, follower).for_each(|way| way.cut(true));
        load.wait_for(40, rng);
        network.between_two(leader, follower).for_each(|way| way.cut(false));
    });
}
