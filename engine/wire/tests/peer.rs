//! The protocol between replicas: everything reads back as it was written, no flipped bit is read, and no beginning of
//! a message is taken for a whole one.

use std::sync::Arc;

use assize_wire::limits::{
    EVENT_PIECE_BYTES_MAX, PEER_COPIES_MAX, PEER_PAYLOAD_BYTES_MAX, PEER_SLOTS_MAX, STRIPE_BYTES_MAX,
    STRIPE_EVENTS_MAX,
};
use assize_wire::manifest::{Manifest, Ordered, StripeRef};
use assize_wire::peer::{
    CheckpointOffer, CheckpointRecord, CheckpointTold, Chosen, DocketMessage, Generation, Generations, Lane,
    PEER_FRAME_HEADER_BYTES, PartItem, PeerFrame, PeerFrameError, PeerHello, PeerIdentity, PeerKind,
    PeerMessage, PeerMessageError, PeerParsed, PeerPorts, PeerProof, PeerRedirect, PeerRefusal, PeerRefused,
    PeerWelcome, Promised, write_peer_frame,
};
use assize_wire::{
    Ballot, ClusterId, CoreId, DomainId, Hash, Incarnation, LogicVersion, ReplicaId, ShardId, Slot,
    StreamTime, StripeId,
};

fn parse(bytes: &[u8]) -> Result<PeerParsed<'_>, PeerFrameError> {
    PeerFrame::parse(bytes, PEER_PAYLOAD_BYTES_MAX)
}

fn whole(bytes: &[u8]) -> PeerFrame<'_> {
    match parse(bytes) {
        Ok(PeerParsed::Whole { frame, bytes: read }) if read == bytes.len() => frame,
        other => panic!("{other:?}"),
    }
}

fn ordered(slot: u64) -> Arc<Ordered> {
    let entry = |shard| StripeRef {
        id: StripeId { shard: ShardId(shard), hash: Hash([shard as u8; 32]) },
        home_mask: 3,
        events: 10,
        bytes: 1000,
    };
    let manifest = Manifest {
        slot: Slot(slot),
        time: StreamTime(77),
        previous: Hash([8; 32]),
        checkpoint: slot.is_multiple_of(2),
        controls: Vec::new(),
        stripes: vec![entry(0), entry(2)],
    };
    let hash = Hash::of(&manifest.encode());
    Arc::new(Ordered { manifest, hash })
}

/// One of each message of the Docket, and more where entries differ.
fn docket_messages() -> Vec<DocketMessage> {
    let ballot = Ballot::new(7, ReplicaId(2));
    let promised = Ballot::new(9, ReplicaId(1));
    let chosen = Chosen { slot: Slot(4), hash: Hash([4; 32]) };
    let entries = vec![
        Promised::Chosen { ordered: ordered(5) },
        Promised::Accepted { ballot: promised, ordered: ordered(6) },
        Promised::Damaged { slot: Slot(7), hash: Some(Hash([7; 32])) },
        Promised::Damaged { slot: Slot(8), hash: None },
        Promised::Doubtful { slot: Slot(6), through: Slot(9), ballot: Ballot::new(3, ReplicaId(1)) },
    ];
    vec![
        DocketMessage::Canvass { ballot, chosen: Slot(3) },
        DocketMessage::CanvassAnswer { ballot, granted: true, promised, chosen },
        DocketMessage::CanvassAnswer { ballot, granted: false, promised, chosen },
        DocketMessage::Prepare { ballot, from: Slot(5), released: promised },
        DocketMessage::Promise { ballot, chosen, entries },
        DocketMessage::Promise { ballot, chosen, entries: Vec::new() },
        DocketMessage::Accept { ballot, fresh: true, ordered: ordered(5), chosen },
        DocketMessage::Accept { ballot, fresh: false, ordered: ordered(6), chosen },
        DocketMessage::Accepted { ballot, slot: Slot(5) },
        DocketMessage::Refused { ballot, promised },
        DocketMessage::Heartbeat { ballot, sequence: 11, chosen, formed: Slot(9) },
        DocketMessage::HeartbeatAnswer {
            ballot,
            sequence: 11,
            accepted: Slot(8),
            lease_ns: 12,
            could_lead: false,
        },
        DocketMessage::HeartbeatAnswer {
            ballot,
            sequence: 12,
            accepted: Slot(8),
            lease_ns: 0,
            could_lead: true,
        },
        DocketMessage::Fetch { from: Slot(2) },
        DocketMessage::Fetched { ballot, slots: vec![ordered(2), ordered(3)], chosen },
        DocketMessage::Fetched { ballot, slots: Vec::new(), chosen },
        DocketMessage::Handover { ballot },
        DocketMessage::Rejoin { generation: Generation::rejoined(55) },
        DocketMessage::Told { generation: Generation::rejoined(55), promised, accepted: Slot(5), chosen },
        DocketMessage::Voteless { ballot },
    ]
}

fn messages() -> Vec<PeerMessage<'static>> {
    let mut generations = Generations::default();
    generations.learn(ReplicaId(1), Generation::rejoined(55));
    let docket = |message| PeerMessage::Docket { clock_ns: 1234, generations, message };
    let mut messages: Vec<_> = docket_messages().into_iter().map(docket).collect();
    messages.extend([
        PeerMessage::Checkpoint(CheckpointTold {
            slot: Slot(9),
            digest: Some(Hash([9; 32])),
            active: Some(CheckpointOffer {
                slot: Slot(3),
                time: StreamTime(44),
                manifest: Hash([11; 32]),
                digest: Hash([12; 32]),
                ballot: Ballot::new(7, ReplicaId(2)),
            }),
        }),
        PeerMessage::Checkpoint(CheckpointTold { slot: Slot(9), digest: None, active: None }),
        PeerMessage::PartWanted { slot: Slot(9), index: 3 },
        part(PartItem::Gone, &[]),
        part(PartItem::Outcomes { first: Slot(3), last: Slot(7), time: StreamTime(8) }, &[7; 33]),
        part(PartItem::Keys { first: 5, next: 8 }, &[8; 56 * 3]),
        part(PartItem::Entities { number: 2 }, &[6; 40]),
        part(PartItem::Head { records: 3 }, &[5; 112]),
        PeerMessage::CheckpointWanted(Slot(1 << 40)),
        PeerMessage::ShortOfRoom,
        PeerMessage::Stripe { bytes: &[9; 100] },
        PeerMessage::StripeWanted(Hash([1; 32])),
        PeerMessage::StripeMissing(Hash([2; 32])),
        PeerMessage::Copies(vec![
            (Slot(3), Hash([3; 32])),
            (Slot(4), Hash([4; 32])),
            (Slot(6), Hash([6; 32])),
        ]),
        PeerMessage::Copies(Vec::new()),
        PeerMessage::CopiesWanted { from: Slot(3), through: Slot(1 << 40) },
        PeerMessage::CopiesGone { below: Slot(1 << 41) },
        PeerMessage::EventDigests { slot: Slot(5), digests: vec![Hash([5; 32]), Hash([6; 32])] },
        PeerMessage::EventDigests { slot: Slot(5), digests: Vec::new() },
        PeerMessage::EventDiffers { slot: Slot(5), index: 1, piece: vec![7; 65] },
    ]);
    messages
}

fn part(item: PartItem, bytes: &'static [u8]) -> PeerMessage<'static> {
    PeerMessage::Part(CheckpointRecord { slot: Slot(9), index: 4, item, bytes })
}

fn identity() -> PeerIdentity {
    PeerIdentity {
        cluster: ClusterId(3),
        replica: ReplicaId(2),
        replicas: 3,
        shards: 4,
        agreed: Hash([5; 32]),
        generation: Generation::first(54),
        failure_domain: PeerIdentity::failure_domain_of("rack 7"),
        ports: PeerPorts { client: 7400, http: 7600 },
        domains: "inventory v1".into(),
        logic: vec![
            LogicVersion { domain: DomainId(1), version: 1 },
            LogicVersion { domain: DomainId(1), version: 2 },
        ],
    }
}

fn hello() -> PeerHello {
    PeerHello {
        identity: identity(),
        incarnation: Incarnation(6),
        to: ReplicaId(0),
        lane: Lane::Shard(ShardId(3)),
        nonce: [7; 32],
    }
}

fn welcome() -> PeerWelcome {
    let identity = PeerIdentity { replica: ReplicaId(0), ..identity() };
    PeerWelcome { identity, incarnation: Incarnation(8), nonce: [9; 32], proof: PeerProof([10; 32]) }
}

/// Payloads of the handshake, each with a reader that gives the bytes back.
type Reread = fn(&[u8]) -> Result<Vec<u8>, PeerMessageError>;
fn handshake() -> Vec<(PeerKind, Vec<u8>, Reread)> {
    let encoded = |encode: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        encode(&mut out);
        out.resize(out.len().next_multiple_of(16), 0);
        out
    };
    let refused = PeerRefused { code: PeerRefusal::OtherCluster, text: "another cluster".into() };
    fn again(encode: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out.resize(out.len().next_multiple_of(16), 0);
        out
    }
    vec![
        (PeerKind::Hello, encoded(&|out| hello().encode(out)), |bytes| {
            PeerHello::parse(bytes).map(|read| again(|out| read.encode(out)))
        }),
        (PeerKind::Welcome, encoded(&|out| welcome().encode(out)), |bytes| {
            PeerWelcome::parse(bytes).map(|read| again(|out| read.encode(out)))
        }),
        (PeerKind::Proof, encoded(&|out| PeerProof([3; 32]).encode(out)), |bytes| {
            PeerProof::parse(bytes).map(|read| again(|out| read.encode(out)))
        }),
        (PeerKind::Refused, encoded(&|out| refused.encode(out)), |bytes| {
            PeerRefused::parse(bytes).map(|read| again(|out| read.encode(out)))
        }),
        (PeerKind::Redirect, encoded(&|out| PeerRedirect { core: CoreId(513) }.encode(out)), |bytes| {
            PeerRedirect::parse(bytes).map(|read| again(|out| read.encode(out)))
        }),
    ]
}

#[test]
fn messages_between_replicas_read_back_as_they_were_written() {
    for message in messages() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(bytes.len(), message.frame_bytes(), "{message:?}");
        assert_eq!(PeerMessage::parse(&whole(&bytes)).as_ref(), Ok(&message));
    }
    assert_eq!(PeerHello::parse(&handshake()[0].1), Ok(hello()));
    assert_eq!(PeerWelcome::parse(&handshake()[1].1), Ok(welcome()));
    for (kind, payload, reread) in handshake() {
        assert_eq!(reread(&payload).as_ref(), Ok(&payload), "{kind:?}");
    }
}

#[test]
fn no_flipped_bit_of_a_frame_between_replicas_is_read() {
    let mut frames: Vec<Vec<u8>> = handshake()
        .into_iter()
        .map(|(kind, payload, _)| {
            let mut bytes = Vec::new();
            write_peer_frame(&mut bytes, kind, |out| out.extend_from_slice(&payload));
            bytes
        })
        .collect();
    for message in messages() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        frames.push(bytes);
    }
    for bytes in frames {
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let read = parse(&flipped);
            assert!(!matches!(read, Ok(PeerParsed::Whole { .. })), "bit {at}: {read:?}");
            // More comes behind it until what it now claims to need is there.
            let more = [flipped, bytes.repeat(3)].concat();
            let read = parse(&more);
            assert!(!matches!(read, Ok(PeerParsed::Whole { .. })), "bit {at}, more behind: {read:?}");
        }
    }
}

/// Behind the checksum: whatever is accepted is the same bytes again, so that nothing is read as nothing.
#[test]
fn every_accepted_bit_of_a_payload_between_replicas_is_part_of_the_value() {
    for (kind, payload, reread) in handshake() {
        for at in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(again) = reread(&flipped) {
                assert_eq!(again, flipped, "{kind:?} bit {at}");
            }
        }
    }
    for message in messages() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let frame = whole(&bytes);
        for at in 0..frame.payload.len() * 8 {
            let mut payload = frame.payload.to_vec();
            payload[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = PeerMessage::parse(&PeerFrame { kind: frame.kind, payload: &payload }) {
                let mut again = Vec::new();
                read.encode(&mut again);
                assert_eq!(again[PEER_FRAME_HEADER_BYTES..], payload, "{message:?} bit {at}");
            }
        }
    }
}

#[test]
fn the_beginning_of_a_message_between_replicas_is_not_taken_for_a_whole_one() {
    for (kind, payload, reread) in handshake() {
        for length in (0..payload.len()).filter(|length| length.is_multiple_of(16)) {
            assert!(reread(&payload[..length]).is_err(), "{length} bytes of {kind:?}");
        }
    }
    for message in messages() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        for length in 0..bytes.len() {
            let needs = if length < PEER_FRAME_HEADER_BYTES { PEER_FRAME_HEADER_BYTES } else { bytes.len() };
            assert_eq!(parse(&bytes[..length]), Ok(PeerParsed::Needs(needs)));
        }
        let frame = whole(&bytes);
        for length in 0..frame.payload.len() {
            let part = PeerFrame { kind: frame.kind, payload: &frame.payload[..length] };
            assert!(PeerMessage::parse(&part).is_err(), "{length} payload bytes of {message:?}");
        }
    }
}

#[test]
fn whoever_proved_nothing_makes_nobody_wait_for_a_long_frame() {
    let mut bytes = Vec::new();
    PeerMessage::Stripe { bytes: &[1; 4096] }.encode(&mut bytes);
    let read = PeerFrame::parse(&bytes[..PEER_FRAME_HEADER_BYTES], 512);
    assert!(matches!(read, Err(PeerFrameError::BadLength { bytes: 4112, most: 512, .. })), "{read:?}");
    assert_eq!(parse(b"ASZ1"), Err(PeerFrameError::BadMagic));
    // A length is refused before it is waited for.
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(parse(&bytes), Err(PeerFrameError::BadLength { .. })));
}

#[test]
fn the_largest_messages_between_replicas_fit_a_frame() {
    let largest = vec![3; STRIPE_BYTES_MAX];
    let copies = vec![(Slot(1), Hash([1; 32])); PEER_COPIES_MAX];
    let stripes = (0..64).map(|shard| StripeRef {
        id: StripeId { shard: ShardId(shard), hash: Hash([1; 32]) },
        home_mask: 1,
        events: 1,
        bytes: 1,
    });
    let manifest = Manifest { stripes: stripes.collect(), ..ordered(1).manifest.clone() };
    let hash = Hash::of(&manifest.encode());
    let chosen = Chosen { slot: Slot(1), hash };
    let ordered = Arc::new(Ordered { manifest, hash });
    let slots = (0..PEER_SLOTS_MAX).map(|_| Arc::clone(&ordered)).collect();
    let ballot = Ballot::NONE;
    for message in [
        PeerMessage::Stripe { bytes: &largest },
        PeerMessage::Copies(copies),
        PeerMessage::EventDigests { slot: Slot(1), digests: vec![Hash([1; 32]); STRIPE_EVENTS_MAX] },
        PeerMessage::EventDiffers { slot: Slot(1), index: 0, piece: vec![1; EVENT_PIECE_BYTES_MAX] },
        PeerMessage::Docket {
            clock_ns: 0,
            generations: Generations::default(),
            message: DocketMessage::Fetched { ballot, slots, chosen },
        },
    ] {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(PeerMessage::parse(&whole(&bytes)), Ok(message));
    }
}

#[test]
fn absurd_counts_between_replicas_are_refused_before_anything_is_allocated() {
    let mut payload = vec![0; 16];
    payload[..16].copy_from_slice(&u128::MAX.to_le_bytes());
    for kind in [PeerKind::Stripe, PeerKind::Copies, PeerKind::EventDigests, PeerKind::EventDiffers] {
        let read = PeerMessage::parse(&PeerFrame { kind, payload: &payload });
        assert!(matches!(read, Err(PeerMessageError::BadCount { .. })), "{read:?}");
    }
    let mut bytes = Vec::new();
    let message = DocketMessage::Promise {
        ballot: Ballot::NONE,
        chosen: Chosen { slot: Slot(0), hash: Hash::ZERO },
        entries: Vec::new(),
    };
    PeerMessage::Docket { clock_ns: 0, generations: Generations::default(), message }.encode(&mut bytes);
    for (count, refused) in [(512_u32, "Length"), (513, "BadCount"), (u32::MAX, "BadCount")] {
        let mut payload = whole(&bytes).payload.to_vec();
        payload[12..16].copy_from_slice(&count.to_le_bytes());
        let read = PeerMessage::parse(&PeerFrame { kind: PeerKind::Docket, payload: &payload });
        assert!(format!("{read:?}").contains(refused), "{count}: {read:?}");
    }
}

#[test]
fn a_proof_is_bound_to_secret_role_and_everything_that_was_said() {
    let (secret, other) = ([1; 32], [2; 32]);
    let proof = PeerProof::of_acceptor(&secret, &hello(), &welcome());
    assert!(proof.matches(&PeerProof::of_acceptor(&secret, &hello(), &welcome())));
    let others = [
        PeerProof::of_acceptor(&other, &hello(), &welcome()),
        PeerProof::of_dialer(&secret, &hello(), &welcome()),
        PeerProof::of_acceptor(&secret, &PeerHello { nonce: [0; 32], ..hello() }, &welcome()),
        PeerProof::of_acceptor(&secret, &PeerHello { lane: Lane::Control, ..hello() }, &welcome()),
        PeerProof::of_acceptor(&secret, &hello(), &PeerWelcome { nonce: [0; 32], ..welcome() }),
        PeerProof::of_acceptor(&secret, &hello(), &PeerWelcome { identity: identity(), ..welcome() }),
    ];
    for other in others {
        assert!(!proof.matches(&other));
    }
    // It does not stand under itself.
    let unproved = PeerWelcome { proof: PeerProof([0; 32]), ..welcome() };
    assert!(proof.matches(&PeerProof::of_acceptor(&secret, &hello(), &unproved)));
}
