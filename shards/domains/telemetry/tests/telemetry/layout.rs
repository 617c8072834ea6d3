//! The bytes of every event: pinned, refused where they are not an event, and equal to the rkyv archive of a plain
//! struct.

use assize_domain::{Domain, DomainId, Entities, EntityId, Event, InvalidEvent};
use assize_telemetry::{
    Line, Malformed, Reason, TELEMETRY, TelemetryDomain, TelemetryEvent, VERSION, command_id, sensor_id,
};

use crate::answers::{a_command, a_sensor};
use crate::books::{encoded, event_bytes};

#[derive(rkyv::Archive, rkyv::Serialize)]
struct ReportMirror {
    kind: u16,
    count: u16,
    reserved: [u8; 4],
    value: u64,
    line: LineMirror,
}

#[derive(rkyv::Archive, rkyv::Serialize)]
struct LineMirror {
    sensor: u128,
    sequence: u64,
    reading: i32,
    reserved: [u8; 4],
}

const SENSOR: EntityId = sensor_id(1, 2);
const COMMAND: EntityId = command_id(5);

fn two_lines() -> [Line; 2] {
    [Line::new(SENSOR, 3, -4), Line::new(sensor_id(5, 6), 7, 8)]
}

fn every_kind(lines: &[Line]) -> [TelemetryEvent<'_>; 8] {
    let (sensor, command) = (SENSOR, COMMAND);
    [
        TelemetryEvent::Configure { sensor, window_ns: 6, silence_ns: 7, raise_at: -8, clear_at: -9 },
        TelemetryEvent::Report { lines },
        TelemetryEvent::Issue { sensor, command, instruction: 10, time_to_live_ns: 11 },
        TelemetryEvent::Deliver { command },
        TelemetryEvent::Acknowledge { sensor, command, result: 12 },
        TelemetryEvent::Collect { sensor, command },
        TelemetryEvent::CheckSilence { sensor },
        TelemetryEvent::Inspect { entity: command },
    ]
}

fn entities_of(event: &TelemetryEvent<'_>) -> Vec<EntityId> {
    let mut entities = Entities::new();
    event.entities(&mut entities);
    assert!(entities.is_valid());
    entities.as_slice().to_vec()
}

#[test]
fn the_archive_of_a_report_is_exactly_its_payload() {
    let sensor = sensor_id(1 << 62, u64::MAX);
    let line =
        LineMirror { sensor: sensor.0, sequence: 1 << 60 | 5, reading: i32::MIN + 1, reserved: [0; 4] };
    let mirror = ReportMirror { kind: 2, count: 1, reserved: [0; 4], value: 0, line };
    let archive = rkyv::to_bytes::<rkyv::rancor::Panic>(&mirror).unwrap();
    let lines = [Line::new(sensor, 1 << 60 | 5, i32::MIN + 1)];
    let payload = encoded(&TelemetryEvent::Report { lines: &lines });
    assert_eq!(archive.as_slice(), payload);
    assert_eq!(event_bytes(TELEMETRY, VERSION, &payload).len(), 32 + 48);
}

#[test]
fn every_kind_reads_back_has_its_length_and_names_its_entities() {
    let lines = two_lines();
    let events = every_kind(&lines);
    let lengths = events.map(|event| {
        let payload = encoded(&event);
        assert_eq!(TelemetryEvent::parse(&payload), Ok(event));
        payload.len()
    });
    assert_eq!(lengths, [48, 16 + 2 * 32, 64, 32, 48, 48, 32, 32]);
    let both = vec![SENSOR, COMMAND];
    let (sensor, command) = (vec![SENSOR], vec![COMMAND]);
    let entities = events.map(|event| entities_of(&event));
    let of_lines = vec![SENSOR, sensor_id(5, 6)];
    assert_eq!(
        entities,
        [sensor.clone(), of_lines, both.clone(), command.clone(), both.clone(), both, sensor, command]
    );
}

#[test]
fn another_length_or_a_flipped_bit_is_refused_or_another_event() {
    let lines = two_lines();
    for event in every_kind(&lines) {
        let payload = encoded(&event);
        for length in 0..payload.len() {
            assert!(TelemetryEvent::parse(&payload[..length]).is_err(), "{event:?} {length}");
        }
        assert!(TelemetryEvent::parse(&[&payload[..], &[0; 16]].concat()).is_err(), "{event:?} and more");
        for at in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = TelemetryEvent::parse(&flipped) {
                assert_ne!(read, event, "bit {at}");
                assert_eq!(encoded(&read), flipped, "an event has one encoding");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_the_bytes_has_a_number() {
    let lines = two_lines();
    let [configure, report, issue, deliver, acknowledge, collect, check, inspect] =
        every_kind(&lines).map(|event| encoded(&event));
    let with = |payload: &[u8], at: usize, value: u8| {
        let mut bytes = payload.to_vec();
        bytes[at] = value;
        TelemetryEvent::parse(&bytes).unwrap_err()
    };
    for kind in [0, 9] {
        assert_eq!(with(&report, 0, kind), Malformed::UnknownKind);
    }
    for (payload, at) in [
        (&configure, 2),
        (&configure, 7),
        (&report, 8),
        (&report, 16 + 28),
        (&issue, 2),
        (&issue, 63),
        (&deliver, 2),
        (&deliver, 8),
        (&acknowledge, 8),
        (&collect, 2),
        (&collect, 8),
        (&check, 15),
        (&inspect, 2),
        (&inspect, 8),
    ] {
        assert_eq!(with(payload, at, 1), Malformed::ReservedNotZero, "{payload:?} {at}");
    }
    for (payload, at) in [(&configure, 31), (&report, 63), (&issue, 31), (&acknowledge, 31), (&check, 31)] {
        assert_eq!(with(payload, at, 0x80), Malformed::NotASensor, "{payload:?} {at}");
    }
    for (payload, at) in [(&issue, 47), (&deliver, 31), (&collect, 47)] {
        assert_eq!(with(payload, at, 0), Malformed::NotACommand, "{payload:?} {at}");
    }
    for count in [0, 17] {
        assert_eq!(with(&report, 2, count), Malformed::BadLineCount);
    }
    for count in [1, 3] {
        assert_eq!(with(&report, 2, count), Malformed::WrongLength);
    }
    assert_eq!(with(&check, 0, 6), Malformed::WrongLength);
    assert_eq!(TelemetryEvent::parse(&[]), Err(Malformed::WrongLength));
    let twice = [Line::new(SENSOR, 1, 1), Line::new(sensor_id(5, 6), 1, 1), Line::new(SENSOR, 2, 1)];
    let twice = encoded(&TelemetryEvent::Report { lines: &twice });
    assert_eq!(TelemetryEvent::parse(&twice), Err(Malformed::SensorTwice));
}

#[test]
fn another_version_of_the_layout_is_invalid() {
    let bytes = event_bytes(TELEMETRY, VERSION + 1, &[]);
    let (event, _) = Event::parse(&bytes).unwrap();
    let invalid = TelemetryDomain.entities(&event, &mut Entities::new());
    assert_eq!(invalid, Err(InvalidEvent { reason: 256 }));
    assert_eq!(TelemetryDomain.reason(256), Some(Malformed::UnknownVersion.words()));
    assert_eq!(TelemetryDomain.reason(1), Some(Reason::UnknownSensor.words()));
    assert_eq!(TelemetryDomain.reason(19), None);
    assert_eq!((TelemetryDomain.id(), TelemetryDomain.name()), (DomainId(2), "telemetry"));
    assert_eq!((TelemetryDomain.version(), TelemetryDomain.reads(2)), (1, false));
}

#[test]
fn the_longest_state_is_as_long_as_the_domain_says() {
    let longest = a_sensor().encode().len().max(a_command().encode().len());
    assert_eq!(TelemetryDomain.state_bytes_max(), longest);
}

#[test]
#[should_panic(expected = "a report of 17 lines; accepted are 1 to 16")]
fn more_lines_than_fit_are_not_encoded() {
    encoded(&TelemetryEvent::Report { lines: &[Line::new(SENSOR, 1, 1); 17] });
}

#[test]
#[should_panic(expected = "a report of 0 lines")]
fn a_report_without_lines_is_not_encoded() {
    encoded(&TelemetryEvent::Report { lines: &[] });
}

#[test]
fn the_readme_names_every_reason_by_its_number() {
    let readme = include_str!("../../README.md");
    for (number, words) in Reason::ALL.iter().map(|reason| (reason.number(), reason.words())) {
        assert!(readme.contains(&format!("| {number} | {words} |")), "{number} {words}");
    }
    for (number, words) in Malformed::ALL.iter().map(|malformed| (malformed.number(), malformed.words())) {
        assert!(readme.contains(&format!("| {number} | {words} |")), "{number} {words}");
    }
}
