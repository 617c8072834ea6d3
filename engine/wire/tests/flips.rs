//! Every bit of every layout, flipped in turn: refused, or another value that its hash tells apart; never the same
//! value read from other bytes, never a panic. Everything that is hashed has one way to be written, so that whoever
//! compares the hash of the bytes with the one that names them misses nothing.

use assize_wire::accept::Accept;
use assize_wire::event::encode_event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::message::{
    Answer, Answers, Consistency, EntityRef, EntityState, Hello, Read, States, Submit,
};
use assize_wire::message::{Refused, RefusedCode, Welcome};
use assize_wire::outcome::{Outcome, Status};
use assize_wire::published::PublishedStripe;
use assize_wire::stripe::{STRIPE_HEADER_BYTES, Stripe, StripeHead};
use assize_wire::{
    Ballot, ClusterId, DomainId, EntityId, EventKey, Hash, Position, ReplicaId, ShardId, Slot, StreamTime,
    StripeId,
};

/// Calls `look` with `bytes` once for each of their bits, that bit flipped.
fn flip_each(bytes: &[u8], mut look: impl FnMut(&[u8], usize)) {
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[at / 8] ^= 1 << (at % 8);
        look(&flipped, at);
    }
}

/// Every kind of message in its frame: the checksum, or what is checked before it, refuses each flipped bit. A length
/// that became larger waits for bytes that the next frame's cannot satisfy.
#[test]
fn no_flipped_bit_of_any_message_is_read() {
    for (kind, payload) in messages() {
        let mut bytes = Vec::new();
        let writer = FrameWriter::begin(&mut bytes, kind, 77);
        bytes.extend_from_slice(&payload);
        writer.finish(&mut bytes);
        assert!(matches!(Frame::parse(&bytes), Ok(Parsed::Whole { frame, .. }) if frame.kind == kind));
        flip_each(&bytes, |flipped, at| {
            let read = Frame::parse(flipped);
            assert!(!matches!(read, Ok(Parsed::Whole { .. })), "{kind:?} bit {at}: {read:?}");
            // More comes behind it until what it now claims to need is there.
            let more = [flipped, &bytes.repeat(3)].concat();
            let read = Frame::parse(&more);
            assert!(!matches!(read, Ok(Parsed::Whole { .. })), "{kind:?} bit {at}, more behind: {read:?}");
        });
    }
}

#[test]
fn every_accepted_bit_of_a_manifest_and_of_an_accept_is_part_of_the_value() {
    let manifest = manifest();
    flip_each(&manifest, |flipped, at| {
        if let Ok(read) = Manifest::parse(flipped) {
            assert_eq!(read.encode(), flipped, "manifest bit {at}");
            assert_ne!(Hash::of(&read.encode()), Hash::of(&manifest));
        }
    });
    let accept = Accept::encode(Ballot::new(2, ReplicaId(0)), true, Slot(3), &manifest);
    flip_each(&accept, |flipped, at| {
        if let Ok(read) = Accept::parse(flipped) {
            let again = Accept::encode(read.ballot, read.fresh, read.chosen, &read.manifest.encode());
            assert_eq!(again, flipped, "accept bit {at}");
        }
    });
}

/// D4: what is wrong inside a stripe is found before evaluation; its identity is the hash of its bytes.
#[test]
fn every_flipped_bit_of_a_stripe_gives_another_identity_and_no_panic() {
    let stripe = stripe();
    let id = Hash::of(&stripe);
    flip_each(&stripe, |flipped, at| {
        assert_ne!(Hash::of(flipped), id, "bit {at}");
        if let Ok(read) = Stripe::parse(flipped) {
            assert_eq!(read.head.encode(), flipped[..STRIPE_HEADER_BYTES], "bit {at}");
            assert_eq!(read.events().count(), read.head.events as usize, "bit {at}");
        }
    });
}

/// C4: published outcomes are compared by their digest with what a replay computes.
#[test]
fn every_accepted_bit_of_outcomes_is_part_of_the_value() {
    let outcomes = outcomes();
    flip_each(&outcomes, |flipped, at| {
        let (mut rest, mut again) = (flipped, Vec::new());
        while let Ok((outcome, after)) = Outcome::parse(rest) {
            outcome.encode(&mut again);
            rest = after;
        }
        assert_eq!(again, flipped[..flipped.len() - rest.len()], "bit {at}");
    });
    let entry = PublishedStripe {
        slot: Slot(4),
        time: StreamTime(9),
        digest: Hash::of(b"digest"),
        events: 2,
        outcomes: &outcomes,
    };
    let bytes = [entry.header().as_slice(), &outcomes].concat();
    let (whole, _) = PublishedStripe::parse(&bytes).unwrap();
    flip_each(&bytes, |flipped, at| {
        if let Ok((read, _)) = PublishedStripe::parse(flipped) {
            assert_ne!(read, whole, "bit {at} is read as nothing");
            for index in 0..read.events.min(64) {
                let _ = read.outcome(index);
            }
        }
    });
}

fn events() -> Vec<u8> {
    let mut events = Vec::new();
    for key in 0..3 {
        encode_event(&mut events, EventKey(key), StreamTime(9), DomainId(1), 1, &[key as u8; 20]).unwrap();
    }
    events
}

fn stripe() -> Vec<u8> {
    let events = events();
    let head = StripeHead {
        shard: ShardId(1),
        ballot: Ballot::new(2, ReplicaId(0)),
        counter: 1,
        home_mask: 3,
        events: 3,
        events_bytes: events.len() as u32,
    };
    [head.encode().as_slice(), &events].concat()
}

fn manifest() -> Vec<u8> {
    let entry = |shard| StripeRef {
        id: StripeId { shard: ShardId(shard), hash: Hash::of(&stripe()) },
        home_mask: 3,
        events: 3,
        bytes: stripe().len() as u32,
    };
    let stripes = vec![entry(0), entry(2)];
    let previous = Hash::of(b"previous");
    Manifest {
        slot: Slot(4),
        time: StreamTime(9),
        previous,
        checkpoint: false,
        controls: Vec::new(),
        stripes,
    }
    .encode()
}

fn outcomes() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, response) in [&[7; 16][..], &[8; 40]].into_iter().enumerate() {
        let outcome = Outcome {
            key: EventKey(1),
            domain: DomainId(1),
            status: Status::Applied,
            first_status: Status::Applied,
            reason: 0,
            index: index as u32,
            original_slot: Slot(4),
            original_index: index as u32,
            response,
        };
        outcome.encode(&mut bytes);
    }
    bytes
}

/// One message of each kind.
fn messages() -> Vec<(FrameKind, Vec<u8>)> {
    let mut hello = Vec::new();
    Hello { cluster: ClusterId(3) }.encode(&mut hello);
    let mut welcome = Vec::new();
    Welcome {
        cluster: ClusterId(3),
        replica: ReplicaId(0),
        leader: Some(ReplicaId(0)),
        routing_seed: 9,
        stream_time: StreamTime(8),
        warden_ttl_ns: 7,
        credit_events: 6,
        replicas: 1,
        copies: 1,
        durable: true,
        ports: vec![7400; 8],
    }
    .encode(&mut welcome);
    let submit = [Submit::header(3).as_slice(), &events()].concat();
    let mut answers = Answers::header(1, StreamTime(9)).to_vec();
    Answer {
        index: 0,
        status: Status::Applied,
        first_status: Status::Applied,
        reason: 0,
        position: Position::default(),
        retry_after_us: 0,
        response: &[1; 16],
    }
    .encode(&mut answers);
    let mut read = Vec::new();
    let entities = [EntityRef::new(DomainId(1), EntityId(2))];
    Read { consistency: Consistency::Local, entities: &entities }.encode(&mut read);
    let mut states = States::header(1, Slot(3)).to_vec();
    EntityState { index: 0, state: Some(&[5; 32]) }.encode(&mut states);
    let mut refused = Vec::new();
    Refused { code: RefusedCode::Busy, retry_after_us: 5, text: "later".into() }.encode(&mut refused);
    vec![
        (FrameKind::Hello, hello),
        (FrameKind::Welcome, welcome),
        (FrameKind::Submit, submit),
        (FrameKind::Answers, answers),
        (FrameKind::Read, read),
        (FrameKind::States, states),
        (FrameKind::Refused, refused),
        (FrameKind::Ping, Vec::new()),
        (FrameKind::Pong, Vec::new()),
    ]
}
