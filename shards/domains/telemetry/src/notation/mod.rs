//! The domain in JSON: its events and entities. Examples of each are in the crate's `README.md`.

mod shown;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use assize_domain::notation::{
    Members, number_from_json, number_from_text, number_to_json, only_member, text_from_json,
};
use assize_domain::{EntityId, Notation, NotationError, Payload, Verdict};
use serde_json::{Value, json};

use crate::answer::TelemetryAnswer;
use crate::evaluate::{TelemetryDomain, VERSION};
use crate::event::{LINES_MAX, TelemetryEvent};
use crate::ids::{COMMAND_TAG, DEVICES, command_id, is_sensor, sensor_id};
use crate::line::Line;
use crate::settings::NO_SILENCE_LIMIT;

impl Notation for TelemetryDomain {
    fn event_from_json(&self, json: &Value) -> Result<Payload, NotationError> {
        let (kind, members) = only_member(json, &KINDS)?;
        let mut bytes = Vec::new();
        read_event(kind, members, &mut bytes).map_err(|error| error.within(kind))?;
        Ok(Payload { version: VERSION, bytes })
    }

    fn event_to_json(&self, version: u16, payload: &[u8]) -> Option<Value> {
        Some(match read(version, payload)? {
            TelemetryEvent::Configure { sensor, window_ns, silence_ns, raise_at, clear_at } => {
                let silence_ns = if silence_ns == NO_SILENCE_LIMIT { None } else { Some(silence_ns) };
                json!({"configure": {
                    "sensor": name(sensor),
                    "window_ns": number_to_json(window_ns),
                    "silence_ns": silence_ns.map(number_to_json),
                    "raise_at": raise_at,
                    "clear_at": clear_at,
                }})
            }
            TelemetryEvent::Report { lines } => {
                json!({"report": {"lines": lines.iter().map(line_to_json).collect::<Vec<_>>()}})
            }
            TelemetryEvent::Issue { sensor, command, instruction, time_to_live_ns } => json!({"issue": {
                "sensor": name(sensor),
                "command": name(command),
                "instruction": number_to_json(instruction),
                "time_to_live_ns": number_to_json(time_to_live_ns),
            }}),
            TelemetryEvent::Deliver { command } => json!({"deliver": {"command": name(command)}}),
            TelemetryEvent::Acknowledge { sensor, command, result } => {
                json!({"acknowledge": {"sensor": name(sensor), "command": name(command), "result": result}})
            }
            TelemetryEvent::Collect { sensor, command } => {
                json!({"collect": {"sensor": name(sensor), "command": name(command)}})
            }
            TelemetryEvent::CheckSilence { sensor } => json!({"check_silence": {"sensor": name(sensor)}}),
            TelemetryEvent::Inspect { entity } => json!({"inspect": {"entity": name(entity)}}),
        })
    }

    fn entity_from_text(&self, text: &str) -> Result<EntityId, NotationError> {
        let parts: Vec<_> = text.split(':').collect();
        match parts[..] {
            ["sensor", device, channel] => {
                let device: u64 = number_from_text(device).map_err(|error| error.within("device"))?;
                let channel = number_from_text(channel).map_err(|error| error.within("channel"))?;
                if device >= DEVICES {
                    return Err(NotationError::new(format!("{device} is not below 2^63")).within("device"));
                }
                Ok(sensor_id(device, channel))
            }
            ["command", number] => {
                let number: u128 = number_from_text(number).map_err(|error| error.within("number"))?;
                if number >= COMMAND_TAG {
                    return Err(NotationError::new(format!("{number} is not below 2^127")).within("number"));
                }
                Ok(command_id(number))
            }
            _ => {
                let shown: String = text.chars().take(NAME_CHARACTERS_MAX).collect();
                Err(NotationError::new(format!(
                    "'{shown}' names no entity of the telemetry; accepted are {SENSOR_FORM} and {COMMAND_FORM}"
                )))
            }
        }
    }

    fn entity_to_text(&self, entity: EntityId) -> String {
        name(entity)
    }

    fn state_to_json(&self, entity: EntityId, state: &[u8]) -> Option<Value> {
        if is_sensor(entity) { shown::sensor(state) } else { shown::command(state) }
    }

    fn response_to_json(
        &self,
        verdict: Verdict,
        event: Option<(u16, &[u8])>,
        response: &[u8],
    ) -> Option<Value> {
        if response.is_empty() {
            return Some(Value::Null);
        }
        let event = match event {
            Some((version, payload)) => Some(read(version, payload)?),
            None => None,
        };
        let answer = TelemetryAnswer::parse(response)?;
        let fits = shown::fits_verdict(&answer, verdict)
            && event.is_none_or(|event| shown::fits_event(&answer, &event));
        if fits { shown::answer(&answer) } else { None }
    }

    fn inspection(&self, entity: EntityId) -> Option<Payload> {
        let mut bytes = Vec::new();
        TelemetryEvent::Inspect { entity }.encode_payload(&mut bytes);
        Some(Payload { version: VERSION, bytes })
    }

    fn inspected<'a>(&self, response: &'a [u8]) -> Option<Option<&'a [u8]>> {
        match TelemetryAnswer::parse(response)? {
            TelemetryAnswer::Inspected(inspected) => Some(inspected.state()),
            _ => None,
        }
    }
}

/// Appends the event of this kind.
fn read_event(kind: &str, json: &Value, out: &mut Vec<u8>) -> Result<(), NotationError> {
    let event = match kind {
        "configure" => {
            let members = Members::of(json, &["sensor", "window_ns", "silence_ns", "raise_at", "clear_at"])?;
            TelemetryEvent::Configure {
                sensor: members.read("sensor", sensor)?,
                window_ns: members.number("window_ns")?,
                silence_ns: members.read("silence_ns", silence_limit)?,
                raise_at: members.number("raise_at")?,
                clear_at: members.number("clear_at")?,
            }
        }
        "report" => {
            let lines = Members::of(json, &["lines"])?.read("lines", lines)?;
            TelemetryEvent::Report { lines: &lines }.encode_payload(out);
            return Ok(());
        }
        "issue" => {
            let members = Members::of(json, &["sensor", "command", "instruction", "time_to_live_ns"])?;
            TelemetryEvent::Issue {
                sensor: members.read("sensor", sensor)?,
                command: members.read("command", command)?,
                instruction: members.number("instruction")?,
                time_to_live_ns: members.number("time_to_live_ns")?,
            }
        }
        "deliver" => {
            TelemetryEvent::Deliver { command: Members::of(json, &["command"])?.read("command", command)? }
        }
        "acknowledge" => {
            let members = Members::of(json, &["sensor", "command", "result"])?;
            TelemetryEvent::Acknowledge {
                sensor: members.read("sensor", sensor)?,
                command: members.read("command", command)?,
                result: members.number("result")?,
            }
        }
        "collect" => {
            let members = Members::of(json, &["sensor", "command"])?;
            TelemetryEvent::Collect {
                sensor: members.read("sensor", sensor)?,
                command: members.read("command", command)?,
            }
        }
        "check_silence" => {
            TelemetryEvent::CheckSilence { sensor: Members::of(json, &["sensor"])?.read("sensor", sensor)? }
        }
        "inspect" => {
            TelemetryEvent::Inspect { entity: Members::of(json, &["entity"])?.read("entity", entity)? }
        }
        other => panic!("'{other}' is among the kinds that are accepted, and nothing reads it"),
    };
    event.encode_payload(out);
    Ok(())
}

fn lines(json: &Value) -> Result<Vec<Line>, NotationError> {
    let found = json.as_array().map_or(0, Vec::len);
    let Some(elements) = json.as_array().filter(|_| (1..=LINES_MAX).contains(&found)) else {
        let found = if json.is_array() { format!("{found} lines") } else { "no list".into() };
        return Err(NotationError::new(format!("{found}; accepted is a list of 1 to {LINES_MAX} lines")));
    };
    let mut lines: Vec<Line> = Vec::new();
    for (at, element) in elements.iter().enumerate() {
        let line = line(element).map_err(|error| error.within_element(at))?;
        if let Some(first) = lines.iter().position(|other| other.sensor() == line.sensor()) {
            let detail = format!(
                "{} is in line [{first}] already; accepted are lines of different sensors",
                name(line.sensor())
            );
            return Err(NotationError::new(detail).within("sensor").within_element(at));
        }
        lines.push(line);
    }
    Ok(lines)
}

fn line(json: &Value) -> Result<Line, NotationError> {
    let members = Members::of(json, &["sensor", "sequence", "reading"])?;
    let sensor = members.read("sensor", sensor)?;
    Ok(Line::new(sensor, members.number("sequence")?, members.number("reading")?))
}

fn line_to_json(line: &Line) -> Value {
    json!({
        "sensor": name(line.sensor()),
        "sequence": number_to_json(line.sequence()),
        "reading": line.reading(),
    })
}

fn entity(json: &Value) -> Result<EntityId, NotationError> {
    TelemetryDomain.entity_from_text(text_from_json(json)?)
}

fn sensor(json: &Value) -> Result<EntityId, NotationError> {
    let id = entity(json)?;
    if is_sensor(id) {
        return Ok(id);
    }
    Err(NotationError::new(format!("{} is not a sensor; accepted is {SENSOR_FORM}", name(id))))
}

fn command(json: &Value) -> Result<EntityId, NotationError> {
    let id = entity(json)?;
    if !is_sensor(id) {
        return Ok(id);
    }
    Err(NotationError::new(format!("{} is not a command; accepted is {COMMAND_FORM}", name(id))))
}

fn silence_limit(json: &Value) -> Result<u64, NotationError> {
    if json.is_null() { Ok(NO_SILENCE_LIMIT) } else { number_from_json(json) }
}

fn read(version: u16, payload: &[u8]) -> Option<TelemetryEvent<'_>> {
    (version == VERSION).then(|| TelemetryEvent::parse(payload).ok()).flatten()
}

fn name(entity: EntityId) -> String {
    let (high, low) = ((entity.0 >> 64) as u64, entity.0 as u64);
    if is_sensor(entity) {
        return format!("sensor:{high}:{low}");
    }
    format!("command:{}", entity.0 & !COMMAND_TAG)
}

/// What an event is called, in the order of the numbers of their kinds.
const KINDS: [&str; 8] =
    ["configure", "report", "issue", "deliver", "acknowledge", "collect", "check_silence", "inspect"];

const SENSOR_FORM: &str = "sensor:DEVICE:CHANNEL, such as sensor:7:1";
const COMMAND_FORM: &str = "command:NUMBER, such as command:77";

/// Characters of a foreign name in a message.
const NAME_CHARACTERS_MAX: usize = 60;
