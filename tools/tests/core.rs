//! The client's core without sockets: time and bytes are arguments, so every wait and every retry is exact.

use std::time::Duration;

use assize_tools::client::{Core, LaneAction, LaneId, NewEvent, Options, Outcome, SiteId, Tick};
use assize_wire::event::Event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{Answer, Answers, Submit, Welcome};
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, DomainId, EventKey, Position, ReplicaId, StreamTime};

const ENTRY: LaneId = LaneId(0);
const MS: u64 = 1_000_000;

/// A core and the replica's side of its connections, with the time in milliseconds.
struct Pair {
    core: Core,
}

impl Pair {
    /// Welcomed on the entry lane, which is closed then, and on the lane of the only shard.
    fn open(options: Options) -> Pair {
        let mut pair = Pair { core: Core::new(1, options) };
        pair.ask(0);
        pair.connect(0);
        pair
    }

    /// The replica is asked whether it leads, and says that it does.
    fn ask(&mut self, ms: u64) {
        self.core.handle_timeout(Tick(ms * MS));
        assert_eq!(self.core.poll_lane(ENTRY, Tick(ms * MS)), LaneAction::Connect(SiteId(0), None));
        self.welcome(ENTRY, ms);
        assert_eq!(self.core.poll_lane(ENTRY, Tick(ms * MS)), LaneAction::Close);
        self.core.handle_lost(ENTRY, Tick(ms * MS));
    }

    /// The lane of the only shard is made.
    fn connect(&mut self, ms: u64) {
        let connect = LaneAction::Connect(SiteId(0), Some(7));
        assert_eq!(self.core.poll_lane(LaneId(1), Tick(ms * MS)), connect);
        self.welcome(LaneId(1), ms);
    }

    fn welcome(&mut self, lane: LaneId, ms: u64) {
        self.core.handle_connected(lane, Tick(ms * MS));
        assert_eq!(self.sent(lane), [(FrameKind::Hello, 0, Vec::new())]);
        let welcome = Welcome {
            cluster: ClusterId(1),
            replica: ReplicaId(0),
            leader: Some(ReplicaId(0)),
            routing_seed: 3,
            stream_time: StreamTime(1_000_000 * MS + ms * MS),
            warden_ttl_ns: 80_000 * MS,
            credit_events: 4,
            replicas: 1,
            copies: 1,
            durable: true,
            ports: vec![7],
        };
        let mut payload = Vec::new();
        welcome.encode(&mut payload);
        self.receive(lane, FrameKind::Welcome, 0, &payload, ms);
    }

    fn receive(&mut self, lane: LaneId, kind: FrameKind, request: u64, payload: &[u8], ms: u64) {
        let mut bytes = Vec::new();
        let writer = FrameWriter::begin(&mut bytes, kind, request);
        bytes.extend_from_slice(payload);
        writer.finish(&mut bytes);
        let space = self.core.space(lane);
        space[..bytes.len()].copy_from_slice(&bytes);
        self.core.handle_received(lane, bytes.len(), Tick(ms * MS)).unwrap();
    }

    fn answer(&mut self, request: u64, statuses: &[Status], retry_after_us: u32, ms: u64) {
        let time = StreamTime(1_000_000 * MS + ms * MS);
        let mut payload = Answers::header(statuses.len() as u32, time).to_vec();
        for (index, status) in statuses.iter().enumerate() {
            let answer = Answer {
                index: index as u32,
                status: *status,
                first_status: *status,
                reason: 0,
                position: Position::default(),
                retry_after_us,
                response: &[],
            };
            answer.encode(&mut payload);
        }
        self.receive(LaneId(1), FrameKind::Answers, request, &payload, ms);
    }

    /// Takes the frames sent on a lane: kind, request, and the events of a submission.
    fn sent(&mut self, lane: LaneId) -> Vec<(FrameKind, u64, Vec<Vec<u8>>)> {
        let (mut frames, mut at) = (Vec::new(), 0);
        let output = self.core.output(lane).to_vec();
        while at < output.len() {
            let Parsed::Whole { frame, bytes } = Frame::parse(&output[at..]).unwrap() else {
                panic!("a frame is not whole");
            };
            let mut events = Vec::new();
            if frame.kind == FrameKind::Submit {
                let submit = Submit::parse(frame.payload).unwrap();
                let mut rest = submit.events;
                while events.len() < submit.count as usize {
                    let (event, after) = Event::parse(rest).unwrap();
                    events.push(event.bytes().to_vec());
                    rest = after;
                }
            }
            frames.push((frame.kind, frame.request, events));
            at += bytes;
        }
        self.core.handle_written(lane, at);
        frames
    }

    fn enqueue(&mut self, key: u128, ms: u64) {
        let event = NewEvent::new(DomainId(1), 1, vec![key as u8; 40]);
        self.core.enqueue(&event, EventKey(key), Tick(ms * MS)).unwrap();
    }

    fn turn(&mut self, ms: u64) -> Vec<(FrameKind, u64, Vec<Vec<u8>>)> {
        self.core.handle_timeout(Tick(ms * MS));
        self.sent(LaneId(1))
    }

    fn outcomes(&mut self) -> Vec<(u128, bool)> {
        std::iter::from_fn(|| self.core.poll_completion())
            .map(|done| (done.key.0, done.outcome != Outcome::Unknown))
            .collect()
    }
}

/// ComeBackLater, TakeTheDecision
#[test]
fn busy_goes_again_after_the_hint_with_the_same_bytes_and_later_each_time() {
    let mut pair = Pair::open(Options::default());
    pair.enqueue(1, 0);
    let first = pair.turn(0);
    pair.answer(first[0].1, &[Status::Busy], 5_000, 10);
    assert_eq!(pair.turn(14), []);
    assert_eq!(pair.core.next_timeout(Tick(0)), Tick(15 * MS));
    let second = pair.turn(15);
    assert_eq!(second[0].2, first[0].2);
    // Without a hint the wait is the library's own, twice the first.
    pair.answer(second[0].1, &[Status::Busy], 0, 20);
    assert_eq!(pair.turn(23), []);
    let third = pair.turn(24);
    assert_eq!(third[0].2, first[0].2);
    pair.answer(third[0].1, &[Status::Applied], 0, 30);
    assert_eq!(pair.outcomes(), [(1, true)]);
    assert_eq!((pair.core.unanswered(), pair.turn(1000)), (0, Vec::new()));
}

/// SendWithinCredit, CreditIsNeverExceeded
#[test]
fn events_beyond_the_credit_wait_for_answers() {
    let mut pair = Pair::open(Options::default());
    (1..=6).for_each(|key| pair.enqueue(key, 0));
    let first = pair.turn(0);
    assert_eq!(first.iter().map(|(_, _, events)| events.len()).collect::<Vec<_>>(), [4]);
    assert_eq!(pair.turn(1), []);
    pair.answer(first[0].1, &[Status::Applied, Status::Rejected], 0, 2);
    let second = pair.turn(2);
    assert_eq!(second[0].2.len(), 2);
    assert_eq!(pair.outcomes(), [(1, true), (2, true)]);
}

/// ResubmitAfterLoss
#[test]
fn what_a_lost_connection_owes_goes_again_on_the_next() {
    let mut pair = Pair::open(Options::default());
    (1..=3).for_each(|key| pair.enqueue(key, 0));
    let first = pair.turn(0);
    pair.answer(first[0].1, &[Status::Applied], 0, 1);
    pair.core.handle_lost(LaneId(1), Tick(2 * MS));
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(2 * MS)), LaneAction::None);
    // The replica is asked first: it may be gone, or have been replaced.
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(10 * MS)), LaneAction::None);
    pair.ask(10);
    pair.connect(10);
    assert_eq!(pair.turn(10)[0].2, first[0].2[1..]);
}

#[test]
fn a_connection_that_owes_answers_and_says_nothing_is_closed() {
    let mut pair = Pair::open(Options::default());
    // One that owes nothing may be silent.
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(60_000 * MS)), LaneAction::None);
    pair.enqueue(1, 60_000);
    pair.turn(60_000);
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(64_999 * MS)), LaneAction::None);
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(65_000 * MS)), LaneAction::Close);
}

/// AskAtSilence
#[test]
fn a_connection_that_answers_pings_but_no_request_is_kept_for_a_while_and_the_replica_is_asked_who_leads() {
    let mut pair = Pair::open(Options::default());
    pair.enqueue(1, 0);
    pair.turn(0);
    assert_eq!(pair.turn(999), []);
    assert_eq!(pair.core.poll_lane(ENTRY, Tick(999 * MS)), LaneAction::None);
    for round in 1..10 {
        let ms = round * 1000;
        let ping = pair.turn(ms);
        assert_eq!(ping.len(), 1);
        assert_eq!(ping[0].0, FrameKind::Ping);
        pair.ask(ms);
        pair.receive(LaneId(1), FrameKind::Pong, ping[0].1, &[], ms + 1);
        assert_eq!(pair.core.poll_lane(LaneId(1), Tick((ms + 1) * MS)), LaneAction::None);
    }
    // What is under way may have been lost.
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(9_999 * MS)), LaneAction::None);
    assert_eq!(pair.core.poll_lane(LaneId(1), Tick(10_000 * MS)), LaneAction::Close);
    pair.core.handle_lost(LaneId(1), Tick(10_000 * MS));
    pair.ask(10_000);
    pair.connect(10_010);
    assert_eq!(pair.turn(10_010)[0].2.len(), 1);
    pair.answer(1, &[Status::Applied], 0, 20_000);
    assert_eq!(pair.outcomes(), [(1, true)]);
    // Nothing is left to do but to forget the deadline of what is answered.
    assert_eq!(pair.core.next_timeout(Tick(20_000 * MS)), Tick(70_000 * MS));
}

/// OutcomeUnknownAtDeadline, DeadlineIsSetOnce
#[test]
fn at_its_deadline_an_event_is_given_up_sent_or_not() {
    let (key_lifetime, request_timeout) = (Duration::from_secs(10), Duration::from_secs(3600));
    let options = Options { key_lifetime, request_timeout, ..Options::default() };
    let mut pair = Pair::open(options);
    pair.enqueue(1, 0);
    let sent = pair.turn(0);
    let (event, _) = Event::parse(&sent[0].2[0]).unwrap();
    assert_eq!(event.deadline(), StreamTime(1_010_000 * MS));
    pair.answer(sent[0].1, &[Status::Busy], 3_000_000_000, 1);
    pair.enqueue(2, 5_000);
    let sent = pair.turn(5_000);
    pair.core.handle_timeout(Tick(9_999 * MS));
    assert_eq!(pair.outcomes(), []);
    assert_eq!(pair.core.next_timeout(Tick(0)), Tick(10_000 * MS));
    assert_eq!(pair.turn(10_000), []);
    assert_eq!(pair.outcomes(), [(1, false)]);
    pair.core.handle_timeout(Tick(15_000 * MS));
    assert_eq!(pair.outcomes(), [(2, false)]);
    // An answer that comes too late changes nothing.
    pair.answer(sent[0].1, &[Status::Applied], 0, 15_001);
    assert_eq!((pair.outcomes(), pair.core.unanswered()), (Vec::new(), 0));
}

/// AskAfterDeadline
#[test]
fn who_submits_after_the_deadline_is_told_what_became_of_the_key() {
    let (key_lifetime, request_timeout) = (Duration::from_secs(10), Duration::from_secs(3600));
    let options = Options { key_lifetime, request_timeout, ..Options::default() };
    let mut pair = Pair::open(options);
    for key in [1, 2] {
        let event = NewEvent::new(DomainId(1), 1, vec![0; 40]).with_deadline(StreamTime(900_000 * MS));
        pair.core.enqueue(&event, EventKey(key), Tick(0)).expect("an event that fits");
    }
    let sent = pair.turn(0);
    let (event, _) = Event::parse(&sent[0].2[0]).unwrap();
    assert_eq!(event.deadline(), StreamTime(900_000 * MS), "the log must see the deadline that the key has");
    pair.answer(sent[0].1, &[Status::Duplicate, Status::Busy], 0, 1);
    assert_eq!(pair.outcomes(), [(1, true)]);
    // Not for ever either.
    pair.core.handle_timeout(Tick(9_999 * MS));
    assert_eq!(pair.outcomes(), []);
    pair.core.handle_timeout(Tick(10_000 * MS));
    assert_eq!(pair.outcomes(), [(2, false)]);
}
