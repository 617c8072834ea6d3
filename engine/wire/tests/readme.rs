//! The protocol's page and the code say the same: its worked example is what the code encodes, and its tables have the
//! code's numbers.

use std::collections::BTreeSet;
use std::fmt::Debug;

use assize_wire::event::{Event, encode_event};
use assize_wire::frame::{Frame, FrameKind, FrameWriter, PROTOCOL_VERSION, Parsed};
use assize_wire::limits;
use assize_wire::message::{Answer, Answers, Hello, Refused, RefusedCode, Submit};
use assize_wire::outcome::Status;
use assize_wire::peer::{PEER_PROTOCOL_VERSION, PeerKind, PeerRefusal};
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, DomainId, EventKey, Position, ShardId, Slot, StreamTime};

const README: &str = include_str!("../README.md");

#[test]
fn the_worked_example_is_what_the_code_encodes() {
    for (name, bytes) in [("hello", hello()), ("submit", submit()), ("answers", answers())] {
        let found = example(name);
        assert_eq!(found, bytes, "the example '{name}' should be:\n{}", hex(&bytes));
        assert!(matches!(Frame::parse(&found), Ok(Parsed::Whole { bytes, .. }) if bytes == found.len()));
    }
}

/// Both ways: the page has no number that the code does not read.
#[test]
fn the_tables_have_the_numbers_of_the_code() {
    let [clients, replicas] = parts();
    let named = |number: u16, name: &dyn Debug| format!("{number} `{name:?}`");
    let kinds = FrameKind::ALL.iter().map(|kind| named(*kind as u16, kind));
    assert_eq!(numbered(clients, "kind"), kinds.collect());
    let statuses = Status::ALL.iter().map(|status| format!("{} {status}", *status as u8));
    assert_eq!(numbered(clients, "status"), statuses.collect());
    assert_eq!(numbered(clients, "code"), refused_codes());
    let kinds = PeerKind::ALL.iter().map(|kind| named(*kind as u16, kind));
    assert_eq!(numbered(replicas, "kind"), kinds.collect());
    let codes = PeerRefusal::ALL.iter().map(|code| named(*code as u16, code));
    assert_eq!(numbered(replicas, "code"), codes.collect());
}

/// The codes that are read, whatever number comes.
fn refused_codes() -> BTreeSet<String> {
    let mut payload = Vec::new();
    let code = RefusedCode::NotLeader { leader: None };
    Refused { code, retry_after_us: 0, text: String::new() }.encode(&mut payload);
    let mut codes = BTreeSet::new();
    for number in 0..=u16::MAX {
        payload[..2].copy_from_slice(&number.to_le_bytes());
        let Ok(Refused { code, .. }) = Refused::parse(&payload) else { continue };
        assert_eq!(code.number(), number);
        let shown = format!("{code:?}");
        codes.insert(format!("{number} `{}`", shown.split(' ').next().unwrap_or_default()));
    }
    codes
}

/// What clients need, and what replicas say to each other.
fn parts() -> [&'static str; 2] {
    let (clients, replicas) =
        README.split_once("\n## Between replicas\n").expect("the part between replicas");
    [clients, replicas]
}

/// Number and name of each row of the tables with these two columns first.
fn numbered(part: &str, column: &str) -> BTreeSet<String> {
    let heading = format!("| {column} | name |");
    let tables = part.split(&heading).skip(1).map(|table| table.split("\n\n").next().unwrap_or_default());
    let rows = tables.flat_map(|table| table.lines().skip(2));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        format!("{} {}", cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    })
    .collect()
}

#[test]
fn the_limits_between_replicas_are_those_of_the_code() {
    has(&format!("protocol version: {PEER_PROTOCOL_VERSION} |"));
    let (most, short) = (limits::PEER_PAYLOAD_BYTES_MAX, limits::PEER_HANDSHAKE_BYTES_MAX);
    has(&format!("a multiple of 16, at most {most}, and at most {short} where"));
    has(&format!("length (16), at most {}", limits::STRIPE_BYTES_MAX));
    has(&format!("count *n* (16), at most {}", limits::PEER_COPIES_MAX));
    has(&format!("entries *n*, at most {}", limits::PEER_SLOTS_MAX));
    has(&format!("length of the text, at most {}", limits::PEER_DOMAINS_BYTES_MAX));
}

#[test]
fn the_limits_are_those_of_the_code() {
    has(&format!("protocol version: {PROTOCOL_VERSION} |"));
    has(&format!("a multiple of 16, at most {}", limits::FRAME_PAYLOAD_BYTES_MAX));
    has(&format!("events *n*, 1 to {}", limits::STRIPE_EVENTS_MAX));
    has(&format!("entities *n*, 1 to {}", limits::READ_ENTITIES_MAX));
    has(&format!("payload length, at most {}", limits::EVENT_PAYLOAD_BYTES_MAX));
    has(&format!("response length, at most {}", limits::RESPONSE_BYTES_MAX));
    has(&format!("state length, at most {}", limits::ENTITY_STATE_BYTES_MAX));
    has(&format!("shards *S*, 1 to {}", limits::SHARDS_MAX));
    has(&format!("or more than {}", limits::EVENT_ENTITIES_MAX));
}

#[test]
fn the_routing_examples_are_where_the_code_routes() {
    let routing = Routing { seed: 1, shards: 64 };
    for (words, key) in [("0", 0), ("1", 1), ("2^127", 1 << 127)] {
        let shard = routing.shard_of_key(EventKey(key));
        has(&format!("| 1 | 64 | {words} | {shard} |"));
    }
}

fn has(text: &str) {
    assert!(README.contains(text), "the page should say: {text}");
}

fn hello() -> Vec<u8> {
    frame(FrameKind::Hello, 1, |out| Hello { cluster: ClusterId(0) }.encode(out))
}

fn submit() -> Vec<u8> {
    frame(FrameKind::Submit, 7, |out| {
        out.extend_from_slice(&Submit::header(1));
        let key = EventKey(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
        let deadline = StreamTime(1_800_000_000_000_000_000);
        encode_event(out, key, deadline, DomainId(1), 1, &transfer()).unwrap();
    })
}

/// The inventory's own tests read the example as the event it is; this crate knows no domain.
fn transfer() -> Vec<u8> {
    let item = |warehouse: u128| (warehouse << 64 | 1001).to_le_bytes();
    [[3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0], item(1), item(2)].concat()
}

fn answers() -> Vec<u8> {
    frame(FrameKind::Answers, 7, |out| {
        out.extend_from_slice(&Answers::header(1, StreamTime(1_799_999_999_000_000_000)));
        Answer {
            index: 0,
            status: Status::Applied,
            first_status: Status::Applied,
            reason: 0,
            position: Position { slot: Slot(42), shard: ShardId(3), index: 0 },
            retry_after_us: 0,
            response: &[95u64.to_le_bytes(), 25u64.to_le_bytes()].concat(),
        }
        .encode(out);
    })
}

fn frame(kind: FrameKind, request: u64, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let writer = FrameWriter::begin(&mut out, kind, request);
    payload(&mut out);
    writer.finish(&mut out);
    out
}

/// The bytes of a fenced block of the page: pairs of hex digits, up to a `|` in each line.
fn example(name: &str) -> Vec<u8> {
    let (_, rest) = README.split_once(&format!("```hex {name}\n")).expect("an example of this name");
    let (block, _) = rest.split_once("```").expect("its end");
    block
        .lines()
        .flat_map(|line| line.split('|').next().unwrap_or_default().split_whitespace())
        .map(|pair| u8::from_str_radix(pair, 16).expect("two hex digits"))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
    bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_event_is_read_as_the_page_describes_it() {
    let bytes = example("submit");
    let Ok(Parsed::Whole { frame, .. }) = Frame::parse(&bytes) else { panic!("not a frame") };
    let submit = Submit::parse(frame.payload).unwrap();
    let (event, rest) = Event::parse(submit.events).unwrap();
    assert_eq!((submit.count, rest.len(), event.payload().len()), (1, 0, 48));
}
