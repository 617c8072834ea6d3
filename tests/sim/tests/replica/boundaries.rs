//! What stands at the edge: connections that are too many, too eager or stalled, and events that are turned away there.

use assize_domain::EngineReason;
use assize_wire::event::encode_event;
use assize_wire::frame::FrameKind;
use assize_wire::message::{RefusedCode, Submit};
use assize_wire::outcome::Status;
use assize_wire::{DomainId, EventKey, Slot, StreamTime};

use assize_sim::bank::{Op, UNREADABLE, VERSION};
use assize_sim::frames::{Said, event, frame, hello, parse_frames, submit};
use assize_sim::model::Ended;
use assize_sim::replica::Replica;
use assize_sim::shape::{EPOCH_NS, Shape, TTL_NS};

const DEADLINE: u64 = EPOCH_NS + TTL_NS / 2;

fn deposit(key: u128) -> Vec<u8> {
    event(key, DEADLINE, &Op::Deposit { account: 1, amount: 1, extra: 0 })
}

/// What a replica says on a connection until all is quiet.
fn said(replica: &mut Replica, socket: usize) -> Vec<Said> {
    replica.settle();
    parse_frames(&mut replica.receive(socket))
}

fn greeted(replica: &mut Replica) -> usize {
    let socket = replica.connect(0);
    replica.send(socket, &hello());
    assert!(matches!(said(replica, socket)[..], [Said::Welcome]));
    socket
}

fn refused_with(said: &[Said], wanted: RefusedCode) -> bool {
    matches!(said.last(), Some(Said::Refused { code, .. }) if *code == wanted)
}

/// ClientGreeted, MalformedTurned, AdmittedWasReadable: each of these is answered, and the log stays empty.
#[test]
fn what_no_domain_can_read_is_turned_without_reaching_the_log() {
    let mut replica = Replica::serving(Shape::smallest(), 1);
    let socket = greeted(&mut replica);
    let other = |domain: u16, payload: &[u8]| {
        let mut bytes = Vec::new();
        let (key, deadline) = (EventKey(1), StreamTime(DEADLINE));
        encode_event(&mut bytes, key, deadline, DomainId(domain), VERSION, payload).unwrap();
        bytes
    };
    let same_twice = event(4, DEADLINE, &Op::Transfer { from: 2, to: 2, amount: 0, extra: 0 });
    let unknown_domain = (other(99, b"?"), EngineReason::UnknownDomain as u16);
    let unreadable = (other(3, b"?"), UNREADABLE);
    let twice = (same_twice, EngineReason::BadEntities as u16);
    let wrong = [unknown_domain, unreadable, twice];
    let events = wrong.clone().map(|(bytes, _)| bytes);
    replica.send(socket, &submit(1, &events));
    let answers = said(&mut replica, socket);
    let [Said::Answers { request: 1, answers }] = &answers[..] else { panic!("{answers:?}") };
    for ((index, ended), (_, reason)) in answers.iter().zip(&wrong) {
        let Ended { status, reason: found, position, .. } = ended;
        assert_eq!((*status, *found, position.slot), (Status::Invalid, *reason, Slot::ZERO), "event {index}");
    }
    assert_eq!(answers.len(), 3);
    // Good ones between them are admitted, each answered under its own index.
    replica.send(socket, &submit(2, &[deposit(8), wrong[0].0.clone(), deposit(9)]));
    let mut statuses: Vec<(u32, Status)> = Vec::new();
    for said in said(&mut replica, socket) {
        let Said::Answers { request: 2, answers } = said else { panic!("{said:?}") };
        statuses.extend(answers.iter().map(|(index, ended)| (*index, ended.status)));
    }
    statuses.sort();
    assert_eq!(statuses, [(0, Status::Applied), (1, Status::Invalid), (2, Status::Applied)]);
    let log = replica.log_after_crash(0);
    let events: u32 =
        log.iter().flat_map(|slot| &slot.ordered.manifest.stripes).map(|stripe| stripe.events).sum();
    assert_eq!(events, 2);
}

/// Frames and messages that are not of the protocol close the connection, with a reason, and nothing else.
#[test]
fn a_malformed_frame_closes_its_connection_only() {
    let deposit = deposit(1);
    let count_too_high = frame(FrameKind::Submit, 1, |out| {
        out.extend_from_slice(&Submit::header(2));
        out.extend_from_slice(&deposit);
    });
    let bytes_left = frame(FrameKind::Submit, 1, |out| {
        out.extend_from_slice(&Submit::header(1));
        out.extend_from_slice(&deposit);
        out.extend_from_slice(&[0; 16]);
    });
    let mut flipped = submit(1, std::slice::from_ref(&deposit));
    *flipped.last_mut().unwrap() ^= 1;
    let empty = frame(FrameKind::Submit, 1, |out| out.extend_from_slice(&Submit::header(0)));
    let wrong_way = frame(FrameKind::Answers, 1, |_| ());
    let cases = [
        (count_too_high, RefusedCode::BadMessage),
        (bytes_left, RefusedCode::BadMessage),
        (flipped, RefusedCode::BadFrame),
        (empty, RefusedCode::BadMessage),
        (wrong_way, RefusedCode::BadMessage),
        (b"GET / HTTP/1.1\r\n".to_vec(), RefusedCode::BadFrame),
    ];
    let mut replica = Replica::serving(Shape::smallest(), 2);
    let bystander = greeted(&mut replica);
    for (bytes, code) in cases {
        let socket = greeted(&mut replica);
        replica.send(socket, &bytes);
        let said = said(&mut replica, socket);
        assert!(refused_with(&said, code) && !replica.is_open(socket), "{code:?}: {said:?}");
    }
    let socket = replica.connect(0);
    replica.send(socket, &submit(1, std::slice::from_ref(&deposit)));
    assert!(refused_with(&said(&mut replica, socket), RefusedCode::HelloExpected));
    replica.send(bystander, &submit(1, &[deposit]));
    assert!(matches!(said(&mut replica, bystander)[..], [Said::Answers { request: 1, .. }]));
}

/// ConnectionsBounded: one too many is told so; when another has gone there is a place, and its number is not mixed up
/// with that of the one before.
#[test]
fn one_connection_too_many_is_told_so() {
    let mut replica = Replica::serving(Shape { connections_max: 2, ..Shape::smallest() }, 3);
    let first = greeted(&mut replica);
    let _second = greeted(&mut replica);
    let third = replica.connect(0);
    assert!(refused_with(&said(&mut replica, third), RefusedCode::TooManyConnections));
    replica.close(third);
    // The first goes while its event is under way; whoever gets its place is not answered for it.
    replica.send(first, &submit(5, &[deposit(1)]));
    replica.run_until("the event has arrived", |replica| replica.has_arrived(first));
    replica.close(first);
    let next = replica.connect(0);
    replica.send(next, &hello());
    assert!(matches!(said(&mut replica, next)[..], [Said::Welcome]));
    assert_eq!(replica.log_after_crash(0).len(), 1, "the event was ordered all the same");
}

/// CreditKept: a request above the credit is refused whole and costs nothing; answers give credit back.
#[test]
fn a_request_above_the_credit_is_refused_whole() {
    let mut replica = Replica::serving(Shape { credit_events: 4, ..Shape::smallest() }, 4);
    let socket = greeted(&mut replica);
    let five: Vec<_> = (0..5).map(deposit).collect();
    replica.send(socket, &submit(1, &five));
    assert!(refused_with(&said(&mut replica, socket), RefusedCode::Busy));
    assert!(replica.is_open(socket) && replica.log_after_crash(0).is_empty());
    for round in 0..3 {
        // All of it under way at once, then answered.
        replica.send(socket, &submit(2 + round, &five[..4]));
        replica.send(socket, &submit(100 + round, &five[4..]));
        let said = said(&mut replica, socket);
        let refused = said.iter().any(|said| matches!(said, Said::Refused { code: RefusedCode::Busy, .. }));
        let answered =
            said.iter().map(|said| if let Said::Answers { answers, .. } = said { answers.len() } else { 0 });
        assert!(answered.sum::<usize>() >= 4, "{said:?}");
        assert_eq!(refused, said.iter().all(|said| !matches!(said, Said::Answers { request: 100.., .. })));
    }
}

/// StalledClosed: who owes the rest of a frame, or its Hello, for ten seconds is closed; who is slow but sends whole
/// frames is not, though a part of the next one is always there.
#[test]
fn a_stalled_connection_is_closed_and_a_busy_one_is_not() {
    let mut replica = Replica::serving(Shape::smallest(), 5);
    let silent = replica.connect(0);
    let stalled = greeted(&mut replica);
    let busy = greeted(&mut replica);
    let idle = greeted(&mut replica);
    let ping = frame(FrameKind::Ping, 1, |_| ());
    replica.send(stalled, &ping[..10]);
    replica.send(busy, &ping[..10]);
    for _ in 0..12 {
        replica.settle();
        replica.pass(1_000_000_000);
        replica.send(busy, &ping[10..]);
        replica.send(busy, &ping[..10]);
    }
    replica.settle();
    assert!(refused_with(&parse_frames(&mut replica.receive(silent)), RefusedCode::TimedOut));
    assert!(refused_with(&parse_frames(&mut replica.receive(stalled)), RefusedCode::TimedOut));
    assert!(!replica.is_open(silent) && !replica.is_open(stalled));
    assert!(replica.is_open(idle), "owes nothing");
    assert!(replica.is_open(busy), "whole frames came all the time");
}
