//! Malformed input over TCP: a typed refusal and the connection's end, or `invalid` for one event among others.
//! Nothing of it reaches the log, and everyone else is served on.

use assize_inventory::{INVENTORY, VERSION};
use assize_wire::event::encode_event;
use assize_wire::frame::FrameKind;
use assize_wire::message::RefusedCode::{self, BadFrame, BadMessage, HelloExpected, OtherCluster};
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, DomainId, EventKey, StreamTime};

use crate::load::adjust;
use crate::raw::{Raw, frame, hello, submit};
use crate::site::{Settings, Site};

/// A client with manners: each of its events takes one slot of the log, so it sees what else went in.
struct Good {
    raw: Raw,
    deadline: StreamTime,
    slot: u64,
    key: u128,
}

impl Good {
    fn new(address: &str) -> Good {
        let mut raw = Raw::connect(address);
        raw.send(&hello(ClusterId(0)));
        let deadline = StreamTime(raw.read_welcome().stream_time.0 + 3_600_000_000_000);
        Good { raw, deadline, slot: 0, key: 1 << 100 }
    }

    fn event(&mut self) -> Vec<u8> {
        self.key += 1;
        event(self.key, self.deadline, INVENTORY, &adjust(1, 1).payload)
    }

    /// Nothing was ordered since the last time but this.
    fn is_served(&mut self, what: &str) {
        let event = self.event();
        let answer = self.raw.submit_admitted(1, &[event])[0];
        assert_eq!(answer.status, Status::Applied, "{what}");
        assert!(self.slot == 0 || answer.slot == self.slot + 1, "{what}: something of it reached the log");
        self.slot = answer.slot;
    }
}

fn event(key: u128, deadline: StreamTime, domain: DomainId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(&mut bytes, EventKey(key), deadline, domain, VERSION, payload).expect("it fits");
    bytes
}

fn with(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// Where a frame's header keeps what.
const MAGIC: usize = 0;
const FRAME_VERSION: usize = 4;
const KIND: usize = 6;
const LENGTH: usize = 8;
const CHECKSUM: usize = 12;
const PAYLOAD: usize = 32;

#[test]
fn what_is_not_the_protocol_is_refused_before_a_hello() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut good = Good::new(engine.address());
    let event = good.event();
    let any = || hello(ClusterId(0));
    let cases: Vec<(&str, Vec<u8>, RefusedCode)> = vec![
        ("HTTP", b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec(), BadFrame),
        ("one wrong byte", vec![0], BadFrame),
        ("the magic", with(any(), MAGIC, &[0xff]), BadFrame),
        ("the version", with(any(), FRAME_VERSION, &[0x63, 0]), BadFrame),
        ("an unknown kind", with(any(), KIND, &[0x63, 0]), BadFrame),
        ("a length of 4 GiB", with(any(), LENGTH, &[0xff; 4]), BadFrame),
        ("a length above the bound", with(any(), LENGTH, &((4u32 << 20) + 16).to_le_bytes()), BadFrame),
        ("a length that is no multiple of 16", with(any(), LENGTH, &[15, 0, 0, 0]), BadFrame),
        ("the checksum", with(any(), CHECKSUM, &[1, 2, 3, 4]), BadFrame),
        ("a changed payload", with(any(), PAYLOAD, &[9]), BadFrame),
        ("no Hello before a Submit", submit(1, 1, &event), HelloExpected),
        ("no Hello before a Ping", frame(FrameKind::Ping, 1, &[]), HelloExpected),
        ("an empty Hello", frame(FrameKind::Hello, 0, &[]), BadMessage),
        ("a long Hello", frame(FrameKind::Hello, 0, &[0; 32]), BadMessage),
        ("another cluster", hello(ClusterId(77)), OtherCluster),
    ];
    for (what, bytes, code) in cases {
        good.is_served(what);
        let mut raw = Raw::connect(engine.address());
        raw.send(&bytes);
        assert_eq!(raw.read_refusal(), code, "{what}");
        good.is_served(what);
    }
    engine.stop();
}

#[test]
fn a_malformed_request_is_refused_and_the_connection_closed() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut good = Good::new(engine.address());
    let event = good.event();
    let read = |count: u32, consistency: u8, entities: usize| {
        let mut payload = vec![0; 16 + entities * 32];
        payload[..4].copy_from_slice(&count.to_le_bytes());
        payload[4] = consistency;
        frame(FrameKind::Read, 2, &payload)
    };
    // Of an event's header: the payload's length at 28; the pad begins where the payload ends.
    let odd = self::event(5, StreamTime(1), INVENTORY, &[1; 20]);
    let mut cases: Vec<(String, Vec<u8>, RefusedCode)> = [
        ("no event", submit(2, 0, &[])),
        ("a count of 0 and an event", submit(2, 0, &event)),
        ("a count above the bound", submit(2, 8_191, &event)),
        ("an absurd count", submit(2, u32::MAX, &event)),
        ("more events than came", submit(2, 2, &event)),
        ("fewer events than came", submit(2, 1, &event.repeat(2))),
        ("16 bytes after the event", submit(2, 1, &[event.clone(), vec![0; 16]].concat())),
        ("half an event", submit(2, 1, &event[..32])),
        ("an event's absurd length", submit(2, 1, &with(event.clone(), 28, &[0xff; 4]))),
        ("dirt in an event's pad", submit(2, 1, &with(odd, 52, &[1]))),
        ("a Submit without a header", frame(FrameKind::Submit, 2, &[])),
        ("no entity", read(0, 2, 0)),
        ("an absurd count of entities", read(u32::MAX, 2, 1)),
        ("more entities than came", read(2, 2, 1)),
        ("fewer entities than came", read(1, 2, 2)),
        ("no such consistency", read(1, 9, 1)),
        ("a Read without a header", frame(FrameKind::Read, 2, &[])),
    ]
    .map(|(what, bytes)| (what.to_owned(), bytes, BadMessage))
    .into();
    for kind in
        [FrameKind::Welcome, FrameKind::Answers, FrameKind::States, FrameKind::Refused, FrameKind::Pong]
    {
        cases.push((format!("{kind:?} from a client"), frame(kind, 2, &[0; 32]), BadMessage));
    }
    cases.push(("a changed event".to_owned(), with(submit(2, 1, &event), 60, &[0xff]), BadFrame));
    for (what, bytes, code) in cases {
        let mut raw = Raw::welcomed(engine.address());
        raw.send(&bytes);
        assert_eq!(raw.read_refusal(), code, "{what}");
        good.is_served(&what);
    }
    engine.stop();
}

#[test]
fn an_event_that_no_domain_can_read_is_invalid_and_its_neighbours_are_not() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut good = Good::new(engine.address());
    let payload = adjust(1, 1).payload;
    let deadline = good.deadline;
    let strange = |key, domain, payload: &[u8]| event(key, deadline, domain, payload);
    let cases = [
        ("an unknown domain", strange(11, DomainId(999), &payload)),
        ("no payload", strange(12, INVENTORY, &[])),
        ("half a payload", strange(13, INVENTORY, &payload[..20])),
        ("bytes after the payload", strange(14, INVENTORY, &[payload.clone(), vec![0; 16]].concat())),
        ("an unknown kind of event", strange(15, INVENTORY, &with(payload.clone(), 0, &[0xee]))),
        ("a payload above the agreed bound", strange(16, INVENTORY, &[1; 2_000])),
    ];
    good.is_served("before");
    for (what, bad) in cases {
        let events = [good.event(), bad, good.event()];
        let answers = good.raw.submit(3, &events);
        assert_eq!(
            answers.iter().map(|answer| answer.status).collect::<Vec<_>>(),
            [Status::Applied, Status::Invalid, Status::Applied]
        );
        assert!(answers[1].reason != 0 && answers[1].slot == 0, "{what}: {:?}", answers[1]);
        good.slot = answers[2].slot;
        good.is_served(what);
    }
    // Alone it makes no slot.
    for key in 20..40 {
        let bad = strange(key, DomainId(999), &payload);
        assert_eq!(good.raw.submit(4, &[bad])[0].status, Status::Invalid);
    }
    good.is_served("after");
    engine.stop();
}
