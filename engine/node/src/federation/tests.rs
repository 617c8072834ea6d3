//! Two or three replicas, wired to each other in memory: everything that Federation promises.

mod handshake;
mod net;
mod splitting;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use assize_wire::peer::{DocketMessage, Generations, Lane, PeerKind, PeerMessage, PeerRefusal, PeerRefused};
use assize_wire::{Ballot, Hash, Incarnation, ReplicaId, ShardId, Slot};

use super::{FederationConfig, FederationEvent, FromPeer, LinkId, Loss, Secret, Sent};
use crate::limits::{
    DIAL_PAUSE_NS_MAX, DIAL_PAUSE_NS_MIN, LINK_HANDSHAKE_NS, LINK_SILENCE_NS, LINK_UNSENT_BYTES_MAX,
    LINKS_UNPROVED_MAX, REFUSAL_AGAIN_NS,
};
use handshake::{framed, frames, greet, hello_of, said};
use net::{End, LANES, Net, simple};

const ONE: ReplicaId = ReplicaId(1);
const ZERO: ReplicaId = ReplicaId(0);
const SHARD: Lane = Lane::Shard(ShardId(0));

fn copies(number: u64) -> PeerMessage<'static> {
    PeerMessage::Copies(vec![(Slot(number), Hash::ZERO)])
}

fn connected(events: &[FederationEvent]) -> Vec<(ReplicaId, Lane)> {
    let connected = events.iter().filter_map(|event| match event {
        FederationEvent::Connected { peer, lane, .. } => Some((*peer, *lane)),
        _ => None,
    });
    connected.collect()
}

fn lost(events: &[FederationEvent]) -> Vec<(Lane, Loss)> {
    let lost = events.iter().filter_map(|event| match event {
        FederationEvent::Disconnected { lane, why, .. } => Some((*lane, *why)),
        _ => None,
    });
    lost.collect()
}

fn numbers(events: &[FederationEvent]) -> Vec<u64> {
    let numbers = events.iter().filter_map(|event| match event {
        FederationEvent::Message { message: FromPeer::Copies(copies), .. } => Some(copies[0].0.0),
        _ => None,
    });
    numbers.collect()
}

/// HigherNumberDials, AcceptorProves, LaneEstablished, EstablishedIsProved.
#[test]
fn lanes_are_established_and_the_higher_number_dials() {
    let mut net = Net::new(vec![simple(0, 3), simple(1, 3), simple(2, 3)]);
    net.settle();
    for at in 0..3 {
        let own = ReplicaId(at as u8);
        let peers = (0..3).map(ReplicaId).filter(|peer| *peer != own);
        let expected: Vec<_> = peers.flat_map(|peer| LANES.map(|lane| (peer, lane))).collect();
        for (peer, lane) in &expected {
            assert!(net.nodes[at].federation.is_connected(*peer, *lane));
        }
        let told = net.told(at);
        assert_eq!(connected(&told).len(), expected.len(), "{told:?}");
    }
    assert!(net.dials.iter().all(|(from, dial)| *from > dial.peer), "{:?}", net.dials);
    assert_eq!(net.dials.len(), 9);
}

#[test]
fn a_cluster_of_one_has_no_peers_and_nothing_to_do() {
    let mut net = Net::new(vec![simple(0, 1)]);
    net.settle();
    assert_eq!((net.dials.len(), net.federation(0).next_deadline()), (0, None));
}

/// MessageQueued, MessageDelivered.
#[test]
fn messages_arrive_in_order_on_their_lane_and_stripes_as_records() {
    let mut net = Net::pair();
    net.settle();
    net.told(0);
    let stripe: Vec<u8> = (0..5000).map(|byte| byte as u8).collect();
    let now = net.now;
    let ballot = Ballot::new(3, ONE);
    let docket = PeerMessage::Docket {
        clock_ns: 77,
        generations: Generations::default(),
        message: DocketMessage::Handover { ballot },
    };
    let from = net.federation(1);
    assert_eq!(from.send(ZERO, Lane::Control, &docket, now), Sent::Queued);
    for message in [
        PeerMessage::Stripe { bytes: &stripe },
        PeerMessage::StripeWanted(Hash([1; 32])),
        PeerMessage::StripeMissing(Hash([2; 32])),
        PeerMessage::CopiesWanted { from: Slot(3), through: Slot(4) },
        PeerMessage::CopiesGone { below: Slot(6) },
        PeerMessage::EventDigests { slot: Slot(7), digests: vec![Hash([7; 32])] },
        PeerMessage::EventDiffers { slot: Slot(7), index: 0, piece: vec![7; 50] },
        copies(5),
    ] {
        assert_eq!(from.send(ZERO, SHARD, &message, now), Sent::Queued);
    }
    net.settle();
    let shown: Vec<String> = net
        .told(0)
        .into_iter()
        .map(|event| match event {
            FederationEvent::Message { peer: ONE, lane: SHARD, message: FromPeer::Stripe(buffer) } => {
                assert_eq!(buffer.payload(), stripe);
                "Stripe".into()
            }
            FederationEvent::Message {
                peer: ONE,
                lane,
                message: FromPeer::Docket { clock_ns, message, .. },
            } => {
                assert_eq!((lane, clock_ns), (Lane::Control, 77));
                assert_eq!(message, DocketMessage::Handover { ballot });
                "Docket".into()
            }
            FederationEvent::Message { peer: ONE, lane: SHARD, message } => format!("{message:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    let shard: Vec<_> = shown.iter().filter(|shown| *shown != "Docket").collect();
    assert_eq!(shard.len(), 8);
    let of_stripes = ["Stripe", "StripeWanted", "StripeMissing"];
    let of_copies = ["CopiesWanted", "CopiesGone", "EventDigests", "EventDiffers", "Copies"];
    let expected = of_stripes.into_iter().chain(of_copies);
    for (shown, expected) in shard.into_iter().zip(expected) {
        assert!(shown.starts_with(expected), "{shown}");
    }
}

/// OtherCoreNamed, RedirectFollowed.
#[test]
fn redirect_to_the_core_that_owns_the_lane() {
    let cores = [vec![], vec![ShardId(0)], vec![ShardId(1)]];
    let of = |replica: u8| (0..3).map(|core| net::config(replica, 3, &cores, core)).collect::<Vec<_>>();
    let mut net = Net::new([of(0), of(1)].concat());
    net.settle();
    for (core, lane) in [(0, Lane::Control), (1, LANES[1]), (2, LANES[2])] {
        for (replica, peer) in [(0, ONE), (1, ZERO)] {
            let at = net.node(replica, core).unwrap();
            assert!(net.nodes[at].federation.is_connected(peer, lane), "{lane} at replica {replica}");
        }
    }
    let shard_dials: Vec<u16> = { net.dials.iter() }
        .filter(|(_, dial)| dial.lane == LANES[2])
        .map(|(_, dial)| dial.core_offset)
        .collect();
    assert_eq!(shard_dials, [0, 2], "the base port first, then where it was told");
    // After a loss the core that is known is dialed first; where nobody is, the base port again.
    net.dials.clear();
    let wire =
        net.serving().into_iter().find(|wire| net.wires[*wire].ends[0].node == net.node(1, 2).unwrap());
    net.cut(wire.unwrap());
    net.down.push(ZERO);
    net.pass(2 * DIAL_PAUSE_NS_MIN);
    net.down.clear();
    net.pass(DIAL_PAUSE_NS_MAX);
    let offsets: Vec<u16> = net.dials.iter().map(|(_, dial)| dial.core_offset).collect();
    assert_eq!((offsets[0], offsets[1], offsets.last()), (2, 0, Some(&2)), "{offsets:?}");
    assert!(net.nodes[net.node(1, 2).unwrap()].federation.is_connected(ZERO, LANES[2]));
}

/// Two core maps that send a dialer to and fro: it pauses, and does not spin.
/// RedirectsPaused.
#[test]
fn redirects_without_end_are_paused() {
    let other = |core| net::config(0, 3, &[vec![ShardId(1)], vec![ShardId(0)]], core);
    // Core 1 thinks that core 0 owns what core 0 thinks is core 1's.
    let confused = net::config(0, 3, &[vec![ShardId(0)], vec![ShardId(1)]], 1);
    let dialer = net::config(1, 3, &[vec![ShardId(0), ShardId(1)]], 0);
    let mut net = Net::new(vec![other(0), confused, dialer]);
    net.settle();
    let dials = net.dials.iter().filter(|(_, dial)| dial.lane == SHARD).count();
    assert!((4..10).contains(&dials), "{dials} dials at once");
    assert!(net.federation(2).next_deadline().is_some());
}

/// DialPauses, LostWithLink.
#[test]
fn a_lost_lane_is_connected_again_after_a_pause_that_grows() {
    let mut net = Net::pair();
    net.settle();
    net.told(1);
    net.down.push(ZERO);
    for wire in net.serving() {
        net.cut(wire);
    }
    assert_eq!(net.federation(1).send(ZERO, SHARD, &copies(1), 2), Sent::NotConnected);
    net.dials.clear();
    net.pass(DIAL_PAUSE_NS_MIN / 2 - 1);
    assert!(net.dials.is_empty(), "no dial without a pause");
    let mut counts = Vec::new();
    for _ in 0..10 {
        net.dials.clear();
        net.pass(DIAL_PAUSE_NS_MAX);
        counts.push(net.dials.len());
    }
    assert!(
        counts[0] > counts[9] && (3..=6).contains(&counts[9]),
        "dials of three lanes a second: {counts:?}"
    );
    net.down.clear();
    net.pass(DIAL_PAUSE_NS_MAX);
    let told = net.told(1);
    assert_eq!(lost(&told).iter().filter(|(_, why)| *why == Loss::Closed).count(), 3);
    assert_eq!(connected(&told).len(), 3);
    // Nothing of the time between arrives.
    assert!(numbers(&net.told(0)).is_empty());
}

/// 1. Replica 1 dies and its connections linger here. 2. It starts again. 3. The new connections replace the old.
#[test]
fn a_newer_connection_replaces_an_older_one() {
    let mut net = Net::pair();
    net.settle();
    net.told(0);
    let old = net.serving();
    let again = FederationConfig { incarnation: Incarnation(2), ..simple(1, 3) };
    net.nodes[1] = Net::new(vec![again]).nodes.remove(0);
    // Replica 0 does not hear of the death.
    old.iter().for_each(|wire| net.wires[*wire].ends[0].node = usize::MAX);
    for wire in &old {
        net.wires[*wire].gone[0] = true;
    }
    net.settle();
    let told = net.told(0);
    assert_eq!(lost(&told), LANES.map(|lane| (lane, Loss::Replaced)), "{told:?}");
    assert_eq!(connected(&told).len(), 3);
    for lane in LANES {
        assert!(net.nodes[0].federation.is_connected(ONE, lane));
    }
    assert!(old.iter().all(|wire| net.wires[*wire].gone[1]), "the old ones are closed");
}

/// The proof of a connection that died long ago is read last: it is not believed.
/// OlderSuperseded.
#[test]
fn an_older_connection_does_not_come_back() {
    let mut net = Net::pair();
    // Three dials are under way; the proof of one is held back.
    let (dial, now) = (net.federation(1).poll_dial().unwrap(), net.now);
    let lane = dial.lane;
    let dialed = net.federation(1).handle_dialed(ZERO, lane, now);
    let accepted = net.federation(0).handle_accepted(now);
    net.connect(End { node: 1, link: dialed }, End { node: 0, link: accepted });
    let wire = net.wires.len() - 1;
    // The Hello, the Welcome, and then the Proof stays on its way.
    while !net.nodes[1].federation.is_connected(ZERO, lane) {
        net.step();
    }
    let held = core::mem::take(&mut net.wires[wire].under_way[1]);
    let mut rest = Vec::new();
    net.federation(1).take_bytes(dialed, &mut rest);
    assert!(!held.is_empty() || !rest.is_empty(), "the proof is here");
    net.federation(1).handle_closed(dialed, now);
    net.wires[wire].gone[0] = true;
    net.pass(DIAL_PAUSE_NS_MAX);
    assert!(net.nodes[0].federation.is_connected(ONE, lane));
    net.told(0);
    net.wires[wire].under_way[1].extend(held.into_iter().chain(rest));
    net.settle();
    let told = net.told(0);
    assert!(lost(&told).is_empty() && connected(&told).is_empty(), "{told:?}");
    let seen = frames(&net.wires[wire].seen[0]);
    let last = PeerRefused::parse(&seen.last().unwrap().1).unwrap();
    assert_eq!(last.code, PeerRefusal::Superseded);
}

/// FullDropped, UnsentBounded.
#[test]
fn full_costs_bounded_memory_stalls_no_other_lane_and_tells_when_there_is_room() {
    let mut net = Net::pair();
    net.settle();
    net.told(0);
    net.stuck = true;
    let stripe = vec![1; 1 << 20];
    let now = net.now;
    let mut queued = 0;
    while net.federation(1).send(ZERO, SHARD, &PeerMessage::Stripe { bytes: &stripe }, now) == Sent::Queued {
        queued += 1;
        net.federation(1).check_invariants();
    }
    assert_eq!(queued, LINK_UNSENT_BYTES_MAX / ((1 << 20) + 48));
    // Nothing of a message that does not fit is queued; a smaller one still is, and so is one on another lane.
    assert_eq!(net.federation(1).send(ZERO, SHARD, &copies(1), now), Sent::Queued);
    assert_eq!(net.federation(1).send(ZERO, LANES[2], &copies(2), now), Sent::Queued);
    net.stuck = false;
    // The shell looks again, as when a send is over.
    assert_eq!(net.federation(1).send(ZERO, SHARD, &copies(3), now), Sent::Queued);
    assert_eq!(net.federation(1).send(ZERO, LANES[2], &copies(4), now), Sent::Queued);
    net.settle();
    let room = |event: &FederationEvent| matches!(event, FederationEvent::Room { peer: ZERO, lane: SHARD });
    assert_eq!(net.told(1).iter().filter(|event| room(event)).count(), 1);
    let told = net.told(0);
    let stripes = told
        .iter()
        .filter(|event| matches!(event, FederationEvent::Message { message: FromPeer::Stripe(_), .. }));
    assert_eq!(stripes.count(), queued);
    let mut numbers = numbers(&told);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

/// GarbageCloses.
#[test]
fn garbage_closes_the_connection_with_a_reason() {
    let mut newer = framed(PeerKind::Alive, &[]);
    newer[4] = 9;
    for (bytes, code, part) in [
        (&b"GET / HTTP/1.1\r\n"[..], PeerRefusal::BadFrame, "listen.client"),
        (b"ASZ1", PeerRefusal::BadFrame, "ASZP"),
        (&newer, PeerRefusal::OtherVersion, "version 9"),
    ] {
        let mut net = Net::new(vec![simple(0, 3)]);
        let (link, now) = (net.stranger(0), net.now);
        assert_eq!(net.federation(0).handle_received(link, bytes, now), (bytes.len(), 0));
        let (said, close) = said(&mut net, 0, link);
        let refused = PeerRefused::parse(&said[0].1).unwrap();
        assert!(close && refused.code == code && refused.text.contains(part), "{refused:?}");
        // Whatever follows is not looked at.
        assert_eq!(net.federation(0).handle_received(link, &[0; 64], now), (64, 0));
        net.federation(0).handle_closed(link, now);
    }
    // On a connection that stands: the lane is lost, and made again.
    let mut net = Net::pair();
    net.settle();
    net.told(0);
    let wire = net.serving()[1];
    net.wires[wire].under_way[1].extend([0xff; 40]);
    net.pass(2 * DIAL_PAUSE_NS_MAX);
    let told = net.told(0);
    assert_eq!(lost(&told).iter().map(|(_, why)| *why).collect::<Vec<_>>(), [Loss::Refused]);
    assert_eq!(connected(&told).len(), 1);
}

#[test]
fn what_is_not_of_the_lane_is_refused() {
    for (lane, message) in [
        (Lane::Control, copies(1)),
        (
            SHARD,
            PeerMessage::Docket {
                clock_ns: 1,
                generations: Generations::default(),
                message: DocketMessage::Fetch { from: Slot(1) },
            },
        ),
    ] {
        let mut net = Net::pair();
        net.settle();
        net.told(0);
        let at = LANES.iter().position(|of| *of == lane).unwrap();
        let wire = net.serving()[at];
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        net.wires[wire].under_way[1].extend(bytes);
        net.settle();
        let told = net.told(0);
        assert_eq!(lost(&told), [(lane, Loss::Refused)], "{told:?}");
        assert!(!told.iter().any(|event| matches!(event, FederationEvent::Message { .. })));
    }
}

#[test]
fn a_peer_without_proof_has_its_message_refused() {
    let mut net = Net::new(vec![simple(0, 3)]);
    let (link, (kind, _), _) = greet(&mut net, &hello_of(&simple(1, 3), SHARD));
    assert_eq!(kind, PeerKind::Welcome);
    let mut bytes = Vec::new();
    copies(1).encode(&mut bytes);
    let now = net.now;
    net.federation(0).handle_received(link, &bytes, now);
    net.settle();
    let told = net.told(0);
    assert!(
        matches!(&told[..], [FederationEvent::Refused(of)] if of.refused.code == PeerRefusal::BadMessage)
    );
}

/// SilentPeerClosed.
#[test]
fn a_silent_peer_is_noticed_and_an_idle_one_is_not_taken_for_it() {
    let mut net = Net::pair();
    net.settle();
    net.told(0);
    net.told(1);
    // Idle for long: signs of life keep every lane.
    net.pass(20 * LINK_SILENCE_NS);
    assert!(net.told(0).is_empty() && net.told(1).is_empty());
    // Nothing is carried any more: both sides notice.
    net.stuck = true;
    net.down.push(ZERO);
    net.pass(LINK_SILENCE_NS + 1);
    for at in 0..2 {
        assert_eq!(lost(&net.told(at)), LANES.map(|lane| (lane, Loss::Silent)), "replica {at}");
    }
}

/// HandshakeTimedOut.
#[test]
fn handshake_timed_out_on_either_side() {
    let mut net = Net::pair();
    let strangers = [net.stranger(0), net.stranger(0)];
    net.stuck = true;
    net.pass(LINK_HANDSHAKE_NS - 1);
    assert!(net.refusals(0).is_empty());
    net.pass(1);
    let timed_out = |told: Vec<(_, _, String)>| told.iter().all(|(_, _, text)| text.starts_with("TimedOut"));
    let (here, there) = (net.refusals(0), net.refusals(1));
    assert!(!here.is_empty() && timed_out(here) && !there.is_empty() && timed_out(there));
    // Those who do not even read the reason are closed all the same.
    net.pass(2_000_000_000);
    assert!(strangers.iter().all(|link| net.federation(0).is_given_up(*link)));
}

#[test]
fn strangers_are_bounded() {
    let mut net = Net::new(vec![simple(0, 3)]);
    let links: Vec<LinkId> = (0..=LINKS_UNPROVED_MAX).map(|_| net.stranger(0)).collect();
    let (last, close) = said(&mut net, 0, links[LINKS_UNPROVED_MAX]);
    assert!(close && last[0].0 == PeerKind::Refused);
    assert!(!said(&mut net, 0, links[0]).1);
    // A place that is free again is given again.
    let now = net.now;
    net.federation(0).handle_closed(links[0], now);
    let next = net.stranger(0);
    assert!(!said(&mut net, 0, next).1);
}

#[test]
fn an_operator_is_told_the_same_once_in_a_while_only() {
    let other = FederationConfig { secret: Secret([8; 32]), ..simple(1, 3) };
    let mut net = Net::new(vec![simple(0, 3), other]);
    net.pass(REFUSAL_AGAIN_NS - 1);
    assert!(net.dials.len() > 100, "{} dials", net.dials.len());
    assert_eq!((net.refusals(0).len(), net.refusals(1).len()), (1, 1));
    net.pass(2 * DIAL_PAUSE_NS_MAX);
    assert_eq!((net.refusals(0).len(), net.refusals(1).len()), (1, 1));
}

#[test]
fn nonces_are_never_the_same() {
    let mut seen = Vec::new();
    for core in 0..2 {
        let mut entropy = super::entropy::Entropy::new(&[1; 32], assize_wire::CoreId(core));
        seen.extend((0..100).map(|_| entropy.nonce()));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
}
