//! One connection's state machine: bytes torn and merged at every place, bad frames, credit, requests out of order.

use assize_tools::client::{Session, SessionError, SessionEvent};
use assize_wire::frame::{Frame, FrameError, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{
    Answer, Answers, Consistency, EntityRef, Refused, RefusedCode, States, Submit, Welcome,
};
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, DomainId, EntityId, Position, ReplicaId, Slot, StreamTime};

fn frame(kind: FrameKind, request: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let writer = FrameWriter::begin(&mut out, kind, request);
    out.extend_from_slice(payload);
    writer.finish(&mut out);
    out
}

fn welcome(credit_events: u32) -> Vec<u8> {
    let welcome = Welcome {
        cluster: ClusterId(1),
        replica: ReplicaId(0),
        leader: Some(ReplicaId(0)),
        routing_seed: 3,
        stream_time: StreamTime(1000),
        warden_ttl_ns: 1_000_000,
        credit_events,
        replicas: 1,
        copies: 1,
        durable: true,
        ports: vec![1, 2],
    };
    let mut payload = Vec::new();
    welcome.encode(&mut payload);
    frame(FrameKind::Welcome, 0, &payload)
}

fn answers(request: u64, indices: &[u32]) -> Vec<u8> {
    let mut payload = Answers::header(indices.len() as u32, StreamTime(2000)).to_vec();
    for index in indices {
        let answer = Answer {
            index: *index,
            status: Status::Applied,
            first_status: Status::Applied,
            reason: 0,
            position: Position::default(),
            retry_after_us: 0,
            response: &[7; 8],
        };
        answer.encode(&mut payload);
    }
    frame(FrameKind::Answers, request, &payload)
}

fn refused(request: u64, code: RefusedCode) -> Vec<u8> {
    let mut payload = Vec::new();
    let refused = Refused { code, retry_after_us: 9, text: "no".into() };
    refused.encode(&mut payload);
    frame(FrameKind::Refused, request, &payload)
}

fn receive(session: &mut Session, mut bytes: &[u8], step: usize) -> Result<Vec<String>, SessionError> {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let space = session.space();
        let count = step.min(bytes.len()).min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        session.handle_received(count);
        bytes = &bytes[count..];
        while let Some(event) = session.poll_event()? {
            seen.push(match event {
                SessionEvent::Welcome(_) => "welcome".into(),
                SessionEvent::Answers { tag, whole, answers } => {
                    let indices: Vec<u32> = answers.map(|answer| answer.unwrap().index).collect();
                    format!("{tag}: {indices:?} {whole}")
                }
                SessionEvent::States { tag, whole, states } => {
                    format!("{tag}: {} states {whole}", states.count())
                }
                SessionEvent::Refused { tag, .. } => format!("{tag}: refused"),
                SessionEvent::Pong => "pong".into(),
            });
        }
    }
    Ok(seen)
}

fn open(credit: u32) -> Session {
    let mut session = Session::new(ClusterId(0));
    session.handle_written(session.output().len());
    assert_eq!(receive(&mut session, &welcome(credit), 1 << 20).unwrap(), ["welcome"]);
    session
}

#[test]
fn hello_is_sent_first_and_requests_are_whole_frames() {
    let mut session = Session::new(ClusterId(5));
    assert!(!session.is_welcomed() && session.is_waiting() && session.credit_left() == 0);
    let Parsed::Whole { frame, bytes } = Frame::parse(session.output()).unwrap() else {
        panic!("no whole frame");
    };
    assert_eq!((frame.kind, bytes), (FrameKind::Hello, session.output().len()));
    // Written in two pieces.
    session.handle_written(10);
    session.handle_written(session.output().len());
    receive(&mut session, &welcome(4), 1).unwrap();
    session.submit(9, 2, [&[1u8; 48][..], &[2u8; 48][..]].into_iter());
    let Parsed::Whole { frame, .. } = Frame::parse(session.output()).unwrap() else {
        panic!("no whole frame");
    };
    let submit = Submit::parse(frame.payload).unwrap();
    assert_eq!((frame.kind, frame.request, submit.count, submit.events.len()), (FrameKind::Submit, 1, 2, 96));
}

#[test]
fn torn_and_merged_bytes_give_the_same_events() {
    let stream: Vec<u8> = [
        answers(2, &[1]),
        answers(1, &[0, 1, 2]),
        frame(FrameKind::Pong, 0, &[]),
        refused(3, RefusedCode::Busy),
        answers(2, &[0]),
    ]
    .concat();
    for step in [1, 2, 31, 32, 33, 100, stream.len()] {
        let mut session = open(100);
        for (tag, count) in [(11, 3), (12, 2), (13, 5)] {
            session.submit(tag, count, std::iter::empty());
        }
        let seen = receive(&mut session, &stream, step).unwrap();
        assert_eq!(seen, ["12: [1] false", "11: [0, 1, 2] true", "pong", "13: refused", "12: [0] true"]);
        assert!(!session.is_waiting());
        assert_eq!(session.credit_left(), 100);
    }
}

/// CreditIsNeverExceeded
#[test]
fn credit_is_taken_by_events_and_given_back_by_answers() {
    let mut session = open(5);
    session.submit(1, 3, std::iter::empty());
    assert_eq!(session.credit_left(), 2);
    session.submit(2, 2, std::iter::empty());
    assert_eq!(session.credit_left(), 0);
    receive(&mut session, &answers(1, &[0]), 64).unwrap();
    assert_eq!(session.credit_left(), 1);
    receive(&mut session, &refused(2, RefusedCode::NotServing), 64).unwrap();
    assert_eq!(session.credit_left(), 3);
    let over = std::panic::catch_unwind(move || session.submit(3, 4, std::iter::empty()));
    assert!(over.is_err(), "a submit over the credit must not be sent");
}

#[test]
fn what_no_replica_sends_ends_the_session() {
    let mut flipped = answers(1, &[0]);
    *flipped.last_mut().unwrap() ^= 1;
    let cases: [(&str, Vec<u8>); 9] = [
        ("not frames", b"HTTP/1.1 400 Bad Request".to_vec()),
        ("a flipped byte", flipped),
        ("a request never sent", answers(7, &[0])),
        ("more answers than events", answers(1, &[0, 1, 2])),
        ("answered twice", [answers(1, &[0, 1]), answers(1, &[0])].concat()),
        ("a second welcome", welcome(3)),
        ("a client's frame", frame(FrameKind::Submit, 1, &[0; 16])),
        ("states for a submit", frame(FrameKind::States, 1, &States::header(1, Slot(1)))),
        ("a refusal of the connection", refused(0, RefusedCode::TooManyConnections)),
    ];
    for (name, bytes) in cases {
        let mut session = open(10);
        session.submit(1, 2, std::iter::empty());
        assert!(receive(&mut session, &bytes, 1 << 20).is_err(), "{name}");
    }
    let mut session = Session::new(ClusterId(0));
    let early = receive(&mut session, &answers(1, &[0]), 64).unwrap_err();
    assert!(matches!(early, SessionError::UnexpectedFrame { kind: FrameKind::Answers }));
    let mut session = open(10);
    assert!(matches!(receive(&mut session, b"x", 1), Err(SessionError::Frame(FrameError::BadMagic))));
}

#[test]
fn a_read_is_answered_in_parts() {
    let mut session = open(1);
    let entities = [1, 2, 3].map(|id| EntityRef::new(DomainId(1), EntityId(id)));
    session.read(4, Consistency::Linearizable, &entities);
    let part = |indices: &[u32]| {
        let mut payload = States::header(indices.len() as u32, Slot(8)).to_vec();
        for index in indices {
            assize_wire::message::EntityState { index: *index, state: None }.encode(&mut payload);
        }
        frame(FrameKind::States, 1, &payload)
    };
    let stream = [part(&[2]), part(&[0, 1])].concat();
    assert_eq!(receive(&mut session, &stream, 50).unwrap(), ["4: 1 states false", "4: 2 states true"]);
    assert_eq!(session.credit_left(), 1);
}
