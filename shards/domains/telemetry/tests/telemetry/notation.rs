//! The domain in JSON: the examples of the crate's page, both ways back for every kind of event, and what errors say.

use assize_domain::{Domain, DomainRegistry, EntityId, Notation, NotationError, Verdict};
use assize_telemetry::{
    LINES_MAX, Line, Malformed, Reason, TELEMETRY, TelemetryDomain, TelemetryEvent, VERSION, command_id,
    sensor_id,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::answers::{a_command, a_sensor};
use crate::asks::any_ask;
use crate::books::encoded;

const PAGE: &str = include_str!("../../README.md");

fn notation() -> &'static dyn Notation {
    TelemetryDomain.notation().expect("the telemetry has one")
}

/// The lines of an example of the page.
fn lines(language: &str, name: &str) -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once(&format!("```{language} {name}\n")).expect("an example of this name");
    let (block, _) = rest.split_once("\n```").expect("its end");
    block.lines().collect()
}

/// An example and its bytes, line by line.
fn examples(name: &str) -> Vec<(Value, Vec<u8>)> {
    let json = lines("json", name).into_iter().map(|line| serde_json::from_str(line).expect("JSON"));
    let bytes = lines("hex", name).into_iter().map(|line| {
        let digits: Vec<u8> = line.bytes().filter(|byte| *byte != b' ').collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two hex digits")).collect::<Vec<u8>>()
    });
    let (json, bytes): (Vec<_>, Vec<_>) = (json.collect(), bytes.collect());
    assert_eq!(json.len(), bytes.len(), "each of the {name} has its bytes");
    json.into_iter().zip(bytes).collect()
}

#[test]
fn the_page_shows_every_event_and_its_bytes() {
    let mut kinds = Vec::new();
    for (json, bytes) in examples("events") {
        let payload = notation().event_from_json(&json).unwrap();
        assert_eq!((payload.version, &payload.bytes), (VERSION, &bytes), "{json}");
        assert_eq!(notation().event_to_json(VERSION, &bytes), Some(json));
        kinds.push(bytes[0]);
    }
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8], "each kind has its example");
    let mut beyond = examples("events").pop().unwrap().1;
    beyond[0] = 9;
    assert_eq!(TelemetryEvent::parse(&beyond), Err(Malformed::UnknownKind), "there is no ninth");
}

#[test]
fn the_page_shows_states_and_their_bytes() {
    let entities = [sensor_id(7, 1), sensor_id(7, 2), command_id(77)];
    let examples = examples("states");
    assert_eq!(examples.len(), entities.len());
    for ((json, bytes), entity) in examples.into_iter().zip(entities) {
        assert_eq!(notation().state_to_json(entity, &bytes), Some(json));
        assert_eq!(notation().state_to_json(entity, &bytes[1..]), None);
        let other = if entity == command_id(77) { sensor_id(7, 1) } else { command_id(77) };
        assert_eq!(notation().state_to_json(other, &bytes), None);
    }
}

#[test]
fn the_page_shows_responses_and_their_bytes() {
    let events = examples("events");
    let responses = examples("responses");
    let sensor = notation().inspection(sensor_id(7, 1)).unwrap();
    let refused = Verdict::Rejected(Reason::OutOfOrder.number());
    for (at, (json, bytes)) in responses.iter().enumerate() {
        let (payload, verdict) = match at {
            8 | 9 => (&sensor.bytes, Verdict::Applied),
            10 => (&events[1].1, refused),
            _ => (&events[at].1, Verdict::Applied),
        };
        let event = Some((VERSION, payload.as_slice()));
        assert_eq!(notation().response_to_json(verdict, event, bytes).as_ref(), Some(json), "{at}");
        let alone = notation().response_to_json(verdict, None, bytes);
        assert_eq!(alone.as_ref(), Some(json), "{at}, without its event");
        assert_eq!(notation().response_to_json(refused, event, &[]), Some(Value::Null));
    }
    assert_eq!(responses.len(), 11);
}

#[test]
fn a_response_that_is_not_this_events_is_not_shown_as_if_it_were() {
    let (events, responses) = (examples("events"), examples("responses"));
    let of = |verdict, event: usize, response: usize| {
        notation().response_to_json(verdict, Some((VERSION, &events[event].1)), &responses[response].1)
    };
    for event in 0..events.len() {
        for response in 0..responses.len() {
            // Each its own; and an inspection of a command the command's state or none.
            let fits = event == response && event < 8 || (event, response) == (7, 9);
            assert_eq!(of(Verdict::Applied, event, response).is_some(), fits, "{event} {response}");
            // Rejected, only a report answers, and for the reason that its first line was refused for.
            let fits = (event, response) == (1, 10);
            assert_eq!(of(Verdict::Rejected(2), event, response).is_some(), fits, "{event} {response}");
        }
    }
    assert_eq!(of(Verdict::Rejected(1), 1, 10), None);
    assert_eq!(of(Verdict::Applied, 1, 10), None);
    let one_line = TelemetryEvent::Report { lines: &[Line::new(sensor_id(7, 1), 1, 1)] };
    let event = encoded(&one_line);
    let two_lines = &responses[1].1;
    assert_eq!(notation().response_to_json(Verdict::Applied, Some((VERSION, &event)), two_lines), None);

    let (deliver, answer) = (&events[3].1, &responses[3].1);
    for (version, payload) in [(VERSION + 1, &deliver[..]), (VERSION, &deliver[1..])] {
        assert_eq!(notation().response_to_json(Verdict::Applied, Some((version, payload)), answer), None);
        assert_eq!(notation().event_to_json(version, payload), None);
    }
    assert_eq!(notation().response_to_json(Verdict::Applied, None, &[7; 9]), None);
}

#[test]
fn an_error_says_where_it_is_and_what_is_accepted() {
    let says = |json: Value, words: &str| {
        let error = notation().event_from_json(&json).unwrap_err().to_string();
        assert_eq!(error, words, "{json}");
    };
    let kinds = "configure, report, issue, deliver, acknowledge, collect, check_silence, inspect";
    says(json!({"reprot": {}}), &format!("'reprot' is not known here; accepted is one of {kinds}"));
    says(
        json!("report"),
        &format!("\"report\" is not an object with one member; accepted is one of {kinds}"),
    );
    says(
        json!({"acknowledge": {"sensor": "sensor:7:1", "command": "command:77"}}),
        "acknowledge: the member 'result' is missing; there must be sensor, command, result",
    );
    let number = "; a large one is a text of decimal digits, or of 0x and hexadecimal ones";
    let line = |sensor: &str, reading: Value| json!({"sensor": sensor, "sequence": 1, "reading": reading});
    says(
        json!({"report": {"lines": [line("sensor:7:1", json!(21.5))]}}),
        &format!(
            "report.lines[0].reading: 21.5 is not a whole number from -2147483648 to 2147483647{number}"
        ),
    );
    says(
        json!({"report": {"lines": [line("sensor:7:1", json!(1)), line("command:7", json!(1))]}}),
        "report.lines[1].sensor: command:7 is not a sensor; accepted is sensor:DEVICE:CHANNEL, such as sensor:7:1",
    );
    let twice = ["sensor:7:0", "sensor:7:1", "sensor:7:0x1"].map(|sensor| line(sensor, json!(1)));
    says(
        json!({"report": {"lines": twice}}),
        "report.lines[2].sensor: sensor:7:1 is in line [1] already; accepted are lines of different sensors",
    );
    says(json!({"report": {"lines": []}}), "report.lines: 0 lines; accepted is a list of 1 to 16 lines");
    let many: Vec<_> = (0..=LINES_MAX).map(|at| line(&format!("sensor:7:{at}"), json!(1))).collect();
    says(json!({"report": {"lines": many}}), "report.lines: 17 lines; accepted is a list of 1 to 16 lines");
    says(json!({"report": {"lines": 5}}), "report.lines: no list; accepted is a list of 1 to 16 lines");
    says(
        json!({"deliver": {"command": "sensor:7:1"}}),
        "deliver.command: sensor:7:1 is not a command; accepted is command:NUMBER, such as command:77",
    );
    says(json!({"inspect": {"entity": 5}}), "inspect.entity: 5 is not a text");
    says(
        json!({"configure": {
            "sensor": "sensor:7:1", "window_ns": null, "silence_ns": null, "raise_at": 1, "clear_at": 0,
        }}),
        &format!("configure.window_ns: null is not a whole number from 0 to {}{number}", u64::MAX),
    );
}

#[test]
fn a_text_that_names_no_entity_is_refused_and_any_id_has_one_text() {
    let error = |text: &str| notation().entity_from_text(text).unwrap_err().to_string();
    let forms =
        "accepted are sensor:DEVICE:CHANNEL, such as sensor:7:1 and command:NUMBER, such as command:77";
    for text in ["", "sensor", "sensor:1", "sensor:1:2:3", "Sensor:1:2", "command", "command:1:2", "17"] {
        assert_eq!(error(text), format!("'{text}' names no entity of the telemetry; {forms}"));
    }
    assert_eq!(error("sensor:9223372036854775808:1"), "device: 9223372036854775808 is not below 2^63");
    assert!(error("sensor:1:18446744073709551616").starts_with("channel: "));
    assert!(error("sensor::1").starts_with("device: ") && error("sensor:1: 2").starts_with("channel: "));
    let large = format!("command:{}", 1u128 << 127);
    assert_eq!(error(&large), format!("number: {} is not below 2^127", 1u128 << 127));
    let read = |text: &str| -> Result<EntityId, NotationError> { notation().entity_from_text(text) };
    assert_eq!(read("sensor:0x7:0x10"), Ok(sensor_id(7, 16)));
    for id in [sensor_id((1 << 63) - 1, u64::MAX), command_id((1 << 127) - 1), sensor_id(0, 0), command_id(0)]
    {
        assert_eq!(read(&notation().entity_to_text(id)), Ok(id));
    }
    assert_eq!(notation().entity_to_text(command_id(77)), "command:77");
}

#[test]
fn the_registry_leads_to_the_notation_by_name() {
    let mut domains = DomainRegistry::new();
    domains.register(TelemetryDomain).unwrap();
    let id = domains.named("telemetry").unwrap();
    assert_eq!(id, TELEMETRY);
    let inspection = domains.notation(id).unwrap().inspection(sensor_id(1, 2)).unwrap();
    assert_eq!(inspection.version, VERSION);
    let event = TelemetryEvent::Inspect { entity: sensor_id(1, 2) };
    assert_eq!(TelemetryEvent::parse(&inspection.bytes), Ok(event));
    assert_eq!(domains.reason(id, 12), Some(Reason::CommandExpired.words()));

    assert_eq!(notation().inspected(&[8, 0, 0, 0]), Some(None));
    let (sensor, command) = (a_sensor().encode(), a_command().encode());
    assert_eq!(notation().inspected(&[&[8, 1, 0, 0][..], &sensor].concat()), Some(Some(&sensor[..])));
    assert_eq!(notation().inspected(&[&[8, 2, 0, 0][..], &command].concat()), Some(Some(&command[..])));
    assert_eq!(notation().inspected(&[5, 0, 0, 0]), None);
}

/// A number as a client may write it.
fn written(number: i128, how: u8) -> Value {
    let sign = if number < 0 { "-" } else { "" };
    match how % 4 {
        0 => json!(number.to_string()),
        1 => json!(format!("{sign}0x{:x}", number.unsigned_abs())),
        _ => serde_json::from_str(&number.to_string()).expect("a number"),
    }
}

/// The event in JSON, written apart from the domain; numbers as `how` says.
fn by_hand(event: &TelemetryEvent<'_>, how: u8) -> Value {
    let name = |id: EntityId| match id.0 >> 127 {
        0 => format!("sensor:{}:{}", id.0 >> 64, id.0 as u64),
        _ => format!("command:{}", id.0 - (1 << 127)),
    };
    let number = |number: u64| written(number.into(), how);
    let small = |number: i32| written(number.into(), how);
    match *event {
        TelemetryEvent::Configure { sensor, window_ns, silence_ns, raise_at, clear_at } => {
            json!({"configure": {
                "sensor": name(sensor), "window_ns": number(window_ns),
                "silence_ns": if silence_ns == 0 && how < 128 { Value::Null } else { number(silence_ns) },
                "raise_at": small(raise_at), "clear_at": small(clear_at),
            }})
        }
        TelemetryEvent::Report { lines } => {
            let line = |line: &Line| {
                let (sequence, reading) = (number(line.sequence()), small(line.reading()));
                json!({"sensor": name(line.sensor()), "sequence": sequence, "reading": reading})
            };
            json!({"report": {"lines": lines.iter().map(line).collect::<Vec<_>>()}})
        }
        TelemetryEvent::Issue { sensor, command, instruction, time_to_live_ns } => json!({"issue": {
            "sensor": name(sensor), "command": name(command),
            "instruction": number(instruction), "time_to_live_ns": number(time_to_live_ns),
        }}),
        TelemetryEvent::Deliver { command } => json!({"deliver": {"command": name(command)}}),
        TelemetryEvent::Acknowledge { sensor, command, result } => json!({"acknowledge": {
            "sensor": name(sensor), "command": name(command), "result": number(result.into()),
        }}),
        TelemetryEvent::Collect { sensor, command } => {
            json!({"collect": {"sensor": name(sensor), "command": name(command)}})
        }
        TelemetryEvent::CheckSilence { sensor } => json!({"check_silence": {"sensor": name(sensor)}}),
        TelemetryEvent::Inspect { entity } => json!({"inspect": {"entity": name(entity)}}),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn an_event_written_by_hand_is_read_and_every_event_is_written_and_read_back(ask in any_ask(), how: u8) {
        let event = ask.event();
        let payload = encoded(&event);
        let read = notation().event_from_json(&by_hand(&event, how)).unwrap();
        prop_assert_eq!((read.version, &read.bytes), (VERSION, &payload), "{:?}", event);

        let json = notation().event_to_json(VERSION, &payload).unwrap();
        prop_assert_eq!(&notation().event_from_json(&json).unwrap().bytes, &payload, "{}", json);
        // Through text, as it travels; and by a program that keeps every number as a double.
        let text: Value = serde_json::from_str(&json.to_string()).unwrap();
        prop_assert_eq!(&text, &json);
        prop_assert_eq!(&through_doubles(&json), &json);
        let again = notation().event_to_json(VERSION, &notation().event_from_json(&json).unwrap().bytes);
        prop_assert_eq!(again, Some(json));
    }

    /// One member more, or one less, anywhere.
    #[test]
    fn a_member_that_is_not_expected_or_is_missing_is_an_error_that_names_it(ask in any_ask(), at: usize) {
        let json = by_hand(&ask.event(), 3);
        let objects = objects_in(&json).len();
        let mut more = json.clone();
        objects_in_mut(&mut more, at % objects).insert("surplus".to_owned(), Value::Null);
        let error = notation().event_from_json(&more).unwrap_err().to_string();
        prop_assert!(error.contains("'surplus'") || error.contains("with one member"), "{}", error);
        let mut less = json.clone();
        let members = objects_in_mut(&mut less, at % objects);
        let name = members.keys().nth(at / objects % members.len()).unwrap().clone();
        members.remove(&name);
        let error = notation().event_from_json(&less).unwrap_err().to_string();
        prop_assert!(error.contains(&format!("'{name}' is missing")) || error.contains("with one member"), "{}", error);
    }

    #[test]
    fn any_bytes_are_shown_or_nothing_is_and_none_panics(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        kind in 0u8..10,
        entity: u128,
        text in ".{0,40}",
    ) {
        let entity = EntityId(entity);
        let shown = notation().entity_to_text(entity);
        prop_assert_eq!(notation().entity_from_text(&shown), Ok(entity));
        let _ = notation().entity_from_text(&text);
        let _ = notation().event_from_json(&json!({"inspect": {"entity": text}}));
        if bytes.len() > 16 {
            bytes[0] = kind;
            bytes[1..8].fill(0);
        }
        let _ = notation().event_to_json(VERSION, &bytes);
        let _ = notation().state_to_json(entity, &bytes);
        for verdict in [Verdict::Applied, Verdict::Rejected(1)] {
            let _ = notation().response_to_json(verdict, None, &bytes);
            let _ = notation().response_to_json(verdict, Some((VERSION, &bytes)), &bytes);
        }
        let inspected = notation().inspected(&bytes);
        prop_assert!(inspected.flatten().is_none_or(|state| state.len() + 4 == bytes.len()));
    }
}

/// What is left of JSON in a program that keeps every number as a double.
fn through_doubles(json: &Value) -> Value {
    match json {
        Value::Number(number) => {
            let double = number.as_f64().expect("a number");
            json!(double as i64)
        }
        Value::Array(list) => list.iter().map(through_doubles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), through_doubles(member))).collect()
        }
        other => other.clone(),
    }
}

/// Every object, the outermost first.
fn objects_in(json: &Value) -> Vec<&Value> {
    let inner: Vec<&Value> = match json {
        Value::Object(members) => members.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    let itself = json.is_object().then_some(json);
    itself.into_iter().chain(inner.into_iter().flat_map(objects_in)).collect()
}

fn objects_in_mut(json: &mut Value, at: usize) -> &mut serde_json::Map<String, Value> {
    fn find<'a>(json: &'a mut Value, left: &mut usize) -> Option<&'a mut serde_json::Map<String, Value>> {
        if json.is_object() {
            if *left == 0 {
                return json.as_object_mut();
            }
            *left -= 1;
        }
        match json {
            Value::Object(members) => members.values_mut().find_map(|inner| find(inner, left)),
            Value::Array(list) => list.iter_mut().find_map(|inner| find(inner, left)),
            _ => None,
        }
    }
    let mut left = at;
    find(json, &mut left).expect("so many objects were counted")
}
