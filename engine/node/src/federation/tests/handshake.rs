//! The handshake: every reason for which a replica is refused, and what a proof is worth elsewhere.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use assize_wire::peer::{
    Generation, Generations, Lane, PeerFrame, PeerHello, PeerKind, PeerParsed, PeerProof, PeerRefusal,
    PeerRefused, PeerWelcome, write_peer_frame,
};
use assize_wire::{ClusterId, Hash, Incarnation, ReplicaId, ShardId};

use super::net::{Net, simple};
use super::{ONE, SHARD, ZERO, connected, lost};
use crate::federation::{FederationConfig, FederationEvent, LinkId, Secret};

/// What both operators are told when replica 1 is made otherwise.
fn refused(change: impl FnOnce(&mut FederationConfig)) -> [Vec<(Option<ReplicaId>, bool, String)>; 2] {
    let mut other = simple(1, 3);
    change(&mut other);
    let mut net = Net::new(vec![simple(0, 3), other]);
    net.settle();
    let told = [net.refusals(0), net.refusals(1)];
    assert!(net.serving().is_empty(), "a connection stays open");
    let (from, to) = (net.nodes[1].config.identity.replica, ZERO);
    assert!(from == to || !net.nodes[0].federation.is_connected(ONE, SHARD));
    told
}

/// Both operators read the same sentence, once, though there are three lanes.
fn both_say(told: &[Vec<(Option<ReplicaId>, bool, String)>; 2], peer: u8, code: PeerRefusal, part: &str) {
    let [here, there] = told;
    assert_eq!((here.len(), there.len()), (1, 1), "{told:?}");
    assert_eq!(here[0].0, Some(ReplicaId(peer)));
    assert_eq!(there[0].0, Some(ZERO));
    assert_eq!(here[0].2, there[0].2);
    assert!(here[0].1 != there[0].1, "one refuses and the other is told");
    let shown = &here[0].2;
    assert!(shown.starts_with(&format!("{code:?}: ")) && shown.contains(part), "{shown}");
}

/// MismatchRefused.
#[test]
fn mismatch_refused_with_its_reason_to_both_operators() {
    let told = refused(|other| other.identity.cluster = ClusterId(6));
    both_say(&told, 1, PeerRefusal::OtherCluster, "check the addresses");
    let told = refused(|other| other.identity.replicas = 5);
    both_say(&told, 1, PeerRefusal::OtherReplicas, "formatted for 3 replicas, replica 1 for 5");
    let told = refused(|other| {
        other.identity.agreed = Hash([1; 32]);
        other.identity.domains = "bank v2".into();
    });
    both_say(&told, 1, PeerRefusal::OtherAgreed, "bank v1; bank v2");
    let told = refused(|other| other.identity.shards = 7);
    both_say(&told, 1, PeerRefusal::OtherShards, "2 shards, replica 1 with 7");
}

/// WrongSecretRefused.
#[test]
fn wrong_secret_refused_whichever_side_has_it() {
    let told = refused(|other| other.secret = Secret([8; 32]));
    // The dialer sees it first: the acceptor's proof is the first one.
    both_say(&told, 1, PeerRefusal::WrongSecret, "replica 0 does not prove to replica 1");
    assert!(told[0][0].1, "told to replica 0 by replica 1");
    assert_eq!(format!("{:?}", Secret([8; 32])), "Secret(hidden)");
}

/// Frames in a byte stream, whole ones only.
pub fn frames(mut bytes: &[u8]) -> Vec<(PeerKind, Vec<u8>)> {
    let mut found = Vec::new();
    while let Ok(PeerParsed::Whole { frame, bytes: read }) = PeerFrame::parse(bytes, 1 << 20) {
        found.push((frame.kind, frame.payload.to_vec()));
        bytes = &bytes[read..];
    }
    found
}

pub fn framed(kind: PeerKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_peer_frame(&mut bytes, kind, |out| out.extend_from_slice(payload));
    bytes
}

/// What a link has to say, and whether it closes after it.
pub fn said(net: &mut Net, at: usize, link: LinkId) -> (Vec<(PeerKind, Vec<u8>)>, bool) {
    let mut bytes = Vec::new();
    let close = net.federation(at).take_bytes(link, &mut bytes);
    (frames(&bytes), close)
}

pub fn hello_of(config: &FederationConfig, lane: Lane) -> PeerHello {
    PeerHello {
        identity: config.identity.clone(),
        incarnation: config.incarnation,
        to: ZERO,
        lane,
        nonce: [3; 32],
    }
}

/// Someone says `hello` to node 0 and gets an answer.
pub fn greet(net: &mut Net, hello: &PeerHello) -> (LinkId, (PeerKind, Vec<u8>), bool) {
    let (link, now) = (net.stranger(0), net.now);
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    let bytes = framed(PeerKind::Hello, &payload);
    assert_eq!(net.federation(0).handle_received(link, &bytes, now).0, bytes.len());
    let (mut said, close) = said(net, 0, link);
    (link, said.remove(0), close)
}

#[test]
fn a_recorded_proof_is_worth_nothing_on_another_connection() {
    let mut net = Net::pair();
    net.settle();
    // What replica 1 said on one of its connections, word for word, by someone who listened.
    let wire = net.serving()[0];
    let recorded = frames(&net.wires[wire].seen[1]);
    assert_eq!([recorded[0].0, recorded[1].0], [PeerKind::Hello, PeerKind::Proof]);
    net.told(0);
    let (link, now) = (net.stranger(0), net.now);
    let federation = net.federation(0);
    federation.handle_received(link, &framed(PeerKind::Hello, &recorded[0].1), now);
    federation.handle_received(link, &framed(PeerKind::Proof, &recorded[1].1), now);
    let (said, close) = said(&mut net, 0, link);
    assert_eq!(
        said.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [PeerKind::Welcome, PeerKind::Refused]
    );
    assert!(close);
    net.settle();
    let told = net.told(0);
    assert!(connected(&told).is_empty() && lost(&told).is_empty(), "the real connection stays: {told:?}");
    assert!(
        matches!(&told[..], [FederationEvent::Refused(of)] if of.refused.code == PeerRefusal::WrongSecret)
    );
}

/// The acceptor's own proof, sent back to it.
#[test]
fn a_proof_is_not_reflected() {
    let mut net = Net::new(vec![simple(0, 3)]);
    let (link, (kind, payload), _) = greet(&mut net, &hello_of(&simple(1, 3), SHARD));
    assert_eq!(kind, PeerKind::Welcome);
    let welcome = PeerWelcome::parse(&payload).unwrap();
    let now = net.now;
    net.federation(0).handle_received(link, &framed(PeerKind::Proof, &welcome.proof.0), now);
    net.settle();
    assert!(!net.nodes[0].federation.is_connected(ONE, SHARD));
    assert!(net.refusals(0)[0].2.starts_with("WrongSecret"));
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let mut same = simple(0, 3);
    same.identity.replica = ZERO;
    let mut outside = simple(1, 3);
    outside.identity.replica = ReplicaId(3);
    for (other, expected) in [(same, "the same number, 0"), (outside, "no number of this cluster, 3")] {
        let mut net = Net::new(vec![simple(0, 3)]);
        let (_, (kind, payload), close) = greet(&mut net, &hello_of(&other, SHARD));
        assert!(kind == PeerKind::Refused && close);
        let refused = PeerRefused::parse(&payload).unwrap();
        assert!(refused.code == PeerRefusal::BadReplica && refused.text.contains(expected), "{refused:?}");
    }
    // The lower number does not dial.
    let mut net = Net::new(vec![simple(1, 3)]);
    let hello = PeerHello { to: ONE, ..hello_of(&simple(0, 3), SHARD) };
    let (_, (_, payload), _) = greet(&mut net, &hello);
    assert_eq!(PeerRefused::parse(&payload).unwrap().code, PeerRefusal::WrongDirection);
    // There is no such shard.
    let hello = PeerHello { to: ONE, ..hello_of(&simple(2, 3), Lane::Shard(ShardId(2))) };
    let (_, (_, payload), _) = greet(&mut net, &hello);
    assert_eq!(PeerRefused::parse(&payload).unwrap().code, PeerRefusal::BadMessage);
}

/// Two addresses in `federation.replicas` are swapped.
#[test]
fn another_replica_than_the_one_meant_is_refused() {
    let mut net = Net::new(vec![simple(0, 3)]);
    let hello = PeerHello { to: ONE, ..hello_of(&simple(2, 3), SHARD) };
    let (_, (_, payload), _) = greet(&mut net, &hello);
    let refused = PeerRefused::parse(&payload).unwrap();
    assert!(refused.code == PeerRefusal::OtherReplica && refused.text.contains("wrong place"), "{refused:?}");
    // And the other way round: the acceptor does not look, the dialer does.
    let mut net = Net::new(vec![simple(2, 3)]);
    let (dial, now) = (net.federation(0).poll_dial().unwrap(), net.now);
    assert_eq!(dial.peer, ZERO);
    let link = net.federation(0).handle_dialed(dial.peer, dial.lane, now);
    let mut identity = simple(1, 3).identity;
    identity.replica = ONE;
    let proof = PeerProof([0; 32]);
    let welcome = PeerWelcome { identity, incarnation: Incarnation(1), nonce: [1; 32], proof };
    let mut payload = Vec::new();
    welcome.encode(&mut payload);
    net.federation(0).handle_received(link, &framed(PeerKind::Welcome, &payload), now);
    net.settle();
    assert!(net.refusals(0)[0].2.starts_with("OtherReplica"));
}

/// OldDiskRefused (R3): a disk that another one has replaced, and one that was formatted as if it were the first.
#[test]
fn r3_a_disk_that_may_have_forgotten_something_is_refused_with_what_to_do() {
    let (first, rejoined) = (Generation::first, Generation::rejoined);
    for (known, found, part) in [
        (first(5), first(9), "knows another disk of replica 1"),
        (rejoined(5), first(9), "knows another disk of replica 1"),
        (Generation::CONTRADICTED, first(9), "knows another disk of replica 1"),
        (rejoined(9), first(5), "replica 1 was given a new disk; this is an old one"),
        (rejoined(9), rejoined(5), "its clock was behind"),
    ] {
        let (mut here, mut there) = (simple(0, 3), simple(1, 3));
        here.generations.learn(ONE, known);
        there.identity.generation = found;
        let mut net = Net::new(vec![here, there]);
        net.settle();
        let told = [net.refusals(0), net.refusals(1)];
        assert!(net.serving().is_empty(), "a connection stays open");
        both_say(&told, 1, PeerRefusal::OtherDisk, part);
        both_say(&told, 1, PeerRefusal::OtherDisk, "`assize format --rejoin`");
    }
}

/// LaneEstablished, ReplacedDiskClosed (R3): a disk in place of the one that was met is taken; and where it is heard of
/// later, connections to the old one end.
#[test]
fn r3_a_disk_in_place_of_a_lost_one_is_taken_and_the_lost_one_is_dropped() {
    let (mut here, mut there) = (simple(0, 3), simple(1, 3));
    here.generations.learn(ONE, Generation::first(5));
    there.identity.generation = Generation::rejoined(9);
    let mut net = Net::new(vec![here, there]);
    net.settle();
    assert!(net.nodes[0].federation.is_connected(ONE, SHARD));

    let mut next = Generations::default();
    next.learn(ONE, Generation::rejoined(11));
    let now = net.now;
    net.nodes[0].federation.handle_generations(&next, now);
    assert!(!net.nodes[0].federation.is_connected(ONE, SHARD));
    net.settle();
    assert!(net.serving().is_empty(), "a connection stays open");
    assert!(net.refusals(0).is_empty(), "what lingers is nobody's fault");
}
