//! Bounded, repeatable fuzzing: the parsers on arbitrary bytes, and on whole values with bytes changed, cut or grown.
//! `tests/fuzz` runs the same functions without bounds.

#[path = "../../../tests/fuzz/src/wire.rs"]
mod wire;

use assize_wire::accept::Accept;
use assize_wire::event::encode_event;
use assize_wire::frame::{FrameKind, FrameWriter};
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::message::{
    Answer, Answers, Consistency, EntityRef, EntityState, Read, States, Submit, Welcome,
};
use assize_wire::message::{Refused, RefusedCode};
use assize_wire::outcome::{Outcome, Status};
use assize_wire::published::PublishedStripe;
use assize_wire::stripe::StripeHead;
use assize_wire::{
    Ballot, ClusterId, DomainId, EntityId, EventKey, Hash, Position, ReplicaId, ShardId, Slot, StreamTime,
    StripeId,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

const CASES: u32 = 20_000;

/// The same cases in every run, so that a failure is a failure for everyone.
fn runner() -> TestRunner {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn arbitrary_bytes_never_panic() {
    let bytes = prop::collection::vec(any::<u8>(), 0..400);
    let run = |data: Vec<u8>| {
        wire::TARGETS.iter().for_each(|(_, target)| target(&data));
        Ok(())
    };
    runner().run(&bytes, run).unwrap();
}

#[test]
fn whole_values_with_bytes_changed_cut_or_grown_never_panic() {
    let seeds = seeds();
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    let strategy =
        (0..seeds.len(), changes, any::<Index>(), prop::collection::vec(any::<u8>(), 0..40), 0u8..3);
    let run = |(seed, changes, cut, tail, shape): (usize, Vec<(Index, u8)>, Index, Vec<u8>, u8)| {
        let mut data: Vec<u8> = seeds[seed].clone();
        for (at, byte) in changes {
            let at = at.index(data.len());
            data[at] = byte;
        }
        match shape {
            0 => {}
            1 => data.truncate(cut.index(data.len() + 1)),
            _ => data.extend(tail),
        }
        wire::TARGETS.iter().for_each(|(_, target)| target(&data));
        Ok(())
    };
    runner().run(&strategy, run).unwrap();
}

/// One whole value of each layout.
fn seeds() -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for key in 0..3 {
        encode_event(&mut events, EventKey(key), StreamTime(9), DomainId(1), 1, &[key as u8; 20]).unwrap();
    }
    let head = StripeHead {
        shard: ShardId(1),
        ballot: Ballot::new(2, ReplicaId(0)),
        counter: 1,
        home_mask: 3,
        events: 3,
        events_bytes: events.len() as u32,
    };
    let stripe = [head.encode().as_slice(), &events].concat();
    let manifest = Manifest {
        slot: Slot(4),
        time: StreamTime(9),
        previous: Hash::of(b"previous"),
        checkpoint: false,
        controls: Vec::new(),
        stripes: vec![StripeRef {
            id: StripeId { shard: ShardId(1), hash: Hash::of(&stripe) },
            home_mask: 3,
            events: 3,
            bytes: stripe.len() as u32,
        }],
    }
    .encode();
    let mut outcomes = Vec::new();
    Outcome {
        key: EventKey(1),
        domain: DomainId(1),
        status: Status::Applied,
        first_status: Status::Applied,
        reason: 0,
        index: 0,
        original_slot: Slot(4),
        original_index: 0,
        response: &[7; 16],
    }
    .encode(&mut outcomes);
    let entry = PublishedStripe {
        slot: Slot(4),
        time: StreamTime(9),
        digest: Hash::of(b"digest"),
        events: 1,
        outcomes: &outcomes,
    };
    let submit = [Submit::header(3).as_slice(), &events].concat();
    let mut seeds = vec![
        Accept::encode(Ballot::new(2, ReplicaId(0)), true, Slot(3), &manifest),
        [entry.header().as_slice(), &outcomes].concat(),
        in_frame(FrameKind::Submit, &submit),
        events,
        stripe,
        manifest,
        outcomes,
        submit,
    ];
    seeds.extend(messages());
    seeds
}

fn messages() -> Vec<Vec<u8>> {
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
    vec![welcome, answers, read, states, refused]
}

fn in_frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let writer = FrameWriter::begin(&mut frame, kind, 1);
    frame.extend_from_slice(payload);
    writer.finish(&mut frame);
    frame
}
