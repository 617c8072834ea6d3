//! Whatever the sizes in which bytes arrive and whenever connections break: the messages of one connection arrive in
//! order, they are the first of those sent since connecting, and none is made up.

use alloc::vec::Vec;

use assize_wire::peer::{Lane, PeerMessage};
use assize_wire::{Hash, ReplicaId, ShardId, Slot};
use proptest::prelude::*;

use super::net::Net;
use crate::federation::{FederationEvent, FromPeer, Sent};

const SHARD: Lane = Lane::Shard(ShardId(1));

#[derive(Clone, Debug)]
enum Step {
    Send { from: usize, length: usize },
    Move { rounds: usize, chunk: usize },
    Cut { wire: usize },
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, 0..3000_usize).prop_map(|(from, length)| Step::Send { from, length }),
        6 => (1..20_usize, 1..900_usize).prop_map(|(rounds, chunk)| Step::Move { rounds, chunk }),
        1 => (0..8_usize).prop_map(|wire| Step::Cut { wire }),
        1 => (1..300_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// A stripe that says which it is.
fn stripe(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::from(number.to_le_bytes());
    bytes.resize(8 + length, number as u8);
    bytes
}

/// Splits what a side was told into connections: the numbers received in each.
fn received(events: &[FederationEvent]) -> Vec<Vec<u64>> {
    let mut connections: Vec<Vec<u64>> = Vec::new();
    let mut open = false;
    for event in events {
        match event {
            FederationEvent::Connected { lane: SHARD, .. } => {
                assert!(!open, "connected twice");
                open = true;
                connections.push(Vec::new());
            }
            FederationEvent::Disconnected { lane: SHARD, .. } => {
                assert!(open, "disconnected twice");
                open = false;
            }
            FederationEvent::Message { lane: SHARD, message, .. } => {
                assert!(open, "a message without a connection");
                let FromPeer::Stripe(buffer) = message else { panic!("{message:?}") };
                let (number, rest) = buffer.payload().split_first_chunk::<8>().unwrap();
                let number = u64::from_le_bytes(*number);
                assert!(rest.iter().all(|byte| *byte == number as u8), "another message's bytes");
                connections.last_mut().unwrap().push(number);
            }
            _ => {}
        }
    }
    connections
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_of_one_connection_arrive_in_order_and_none_is_made_up(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut net = Net::pair();
        // For each side the numbers that it sent while it was connected, by connection.
        let mut sent: [Vec<Vec<u64>>; 2] = Default::default();
        let mut epoch = [0, 0];
        let mut number = 0;
        for step in steps {
            match step {
                Step::Send { from, length } => {
                    number += 1;
                    let bytes = stripe(number, length);
                    let (to, now) = (ReplicaId(1 - from as u8), net.now);
                    let connected = net.nodes[from].events.iter().filter(|event| {
                        matches!(event, FederationEvent::Connected { lane: SHARD, .. })
                    });
                    epoch[from] = connected.count();
                    let message = PeerMessage::Stripe { bytes: &bytes };
                    let queued = net.federation(from).send(to, SHARD, &message, now) == Sent::Queued;
                    if queued {
                        sent[from].resize(epoch[from], Vec::new());
                        sent[from].last_mut().unwrap().push(number);
                    }
                }
                Step::Move { rounds, chunk } => {
                    net.chunk = Some(chunk);
                    for _ in 0..rounds {
                        net.step();
                    }
                    net.chunk = None;
                }
                Step::Cut { wire } => {
                    let serving = net.serving();
                    if let Some(wire) = serving.get(wire % serving.len().max(1)) {
                        net.cut(*wire);
                        // What it told is taken in order.
                        net.step();
                    }
                }
                Step::Pass { ms } => net.pass(ms * 1_000_000),
            }
        }
        net.settle();
        for (from, sent) in sent.iter().enumerate() {
            for got in received(&net.nodes[1 - from].events) {
                let Some(first) = got.first() else { continue };
                // It is a beginning of what was sent on one connection.
                let of = sent.iter().find(|of| of.first() == Some(first));
                prop_assert!(of.is_some_and(|of| of.starts_with(&got)), "{got:?} of {sent:?}");
            }
        }
        // The connection that stands has brought everything.
        net.pass(3_000_000_000);
        let now = net.now;
        for from in 0..2 {
            let (to, wanted) = (ReplicaId(1 - from as u8), Hash([9; 32]));
            let sent = net.federation(from).send(to, SHARD, &PeerMessage::Copies(alloc::vec![(Slot(1), wanted)]), now);
            prop_assert_eq!(sent, Sent::Queued);
        }
        net.settle();
        for at in 0..2 {
            let last = net.nodes[at].events.last();
            let copies = |event: &FederationEvent| {
                matches!(event, FederationEvent::Message { message: FromPeer::Copies(_), .. })
            };
            prop_assert!(last.is_some_and(copies), "{last:?}");
        }
    }
}
