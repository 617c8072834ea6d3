//! States and answers in JSON.

use alloc::vec::Vec;

use assize_domain::Verdict;
use assize_domain::notation::number_to_json;
use serde_json::{Value, json};

use crate::answer::TelemetryAnswer;
use crate::command::{CommandState, Status};
use crate::effect::Effect;
use crate::event::TelemetryEvent;
use crate::ids::is_sensor;
use crate::inspected::Inspected;
use crate::reason::Reason;
use crate::sensor::SensorState;
use crate::tally::Tally;

/// A sensor's state. Nothing if the bytes are not one.
pub fn sensor(state: &[u8]) -> Option<Value> {
    let sensor = SensorState::parse(state)?;
    let SensorState { settings, latest, heard_at, silent, windows, alarm, commands_open } = sensor;
    let latest =
        latest.map(|latest| json!({"sequence": number_to_json(latest.sequence), "reading": latest.reading}));
    Some(json!({
        "window_ns": number_to_json(settings.window_ns.get()),
        "silence_ns": settings.silence_ns.map(|limit| number_to_json(limit.get())),
        "raise_at": settings.thresholds.raise_at(),
        "clear_at": settings.thresholds.clear_at(),
        "latest": latest,
        "heard_at": number_to_json(heard_at.0),
        "silent": silent,
        "windows": {
            "current": tally(windows.current),
            "last": tally(windows.last),
            "empty": number_to_json(windows.empty),
        },
        "alarm": {
            "raised": alarm.raised,
            "raises": number_to_json(alarm.raises),
            "changed_at": number_to_json(alarm.changed_at.0),
        },
        "commands_open": commands_open,
    }))
}

/// A command's state. Nothing if the bytes are not one.
pub fn command(state: &[u8]) -> Option<Value> {
    let command = CommandState::parse(state)?;
    Some(json!({
        "sensor": super::name(command.sensor),
        "instruction": number_to_json(command.instruction),
        "issued_at": number_to_json(command.issued_at.0),
        "expires_at": number_to_json(command.expires_at.0),
        "changed_at": number_to_json(command.changed_at.0),
        "status": status(command.status),
        "result": command.result,
    }))
}

/// An answer. Nothing if it holds a state that is none.
pub fn answer(answer: &TelemetryAnswer<'_>) -> Option<Value> {
    Some(match *answer {
        TelemetryAnswer::Configured(effect) => json!({"configured": effect_members(effect)}),
        TelemetryAnswer::Reported(lines) => json!({"lines": lines.iter().map(line).collect::<Vec<_>>()}),
        TelemetryAnswer::Issued { expires_at } => json!({"expires_at": number_to_json(expires_at.0)}),
        TelemetryAnswer::Delivered { instruction } => json!({"instruction": number_to_json(instruction)}),
        TelemetryAnswer::Acknowledged { commands_open } => json!({"commands_open": commands_open}),
        TelemetryAnswer::Collected { ended, commands_open } => {
            json!({"ended": status(ended), "commands_open": commands_open})
        }
        TelemetryAnswer::Silent { silence_ns } => json!({"silence_ns": number_to_json(silence_ns)}),
        TelemetryAnswer::Inspected(inspected) => {
            let state = match inspected {
                Inspected::Absent => Value::Null,
                Inspected::Sensor(state) => sensor(state)?,
                Inspected::Command(state) => command(state)?,
            };
            json!({"state": state})
        }
    })
}

/// Whether an event of this verdict may have returned it: only a report is answered when it is rejected, for what its
/// first line was refused for, as they all were.
pub fn fits_verdict(answer: &TelemetryAnswer<'_>, verdict: Verdict) -> bool {
    match (answer, verdict) {
        (TelemetryAnswer::Reported(lines), Verdict::Applied) => lines.iter().any(|line| line.is_ok()),
        (TelemetryAnswer::Reported(lines), Verdict::Rejected(number)) => {
            let first = lines.iter().next().and_then(Result::err).map(Reason::number);
            first == Some(number) && lines.iter().all(|line| line.is_err())
        }
        (_, verdict) => verdict == Verdict::Applied,
    }
}

/// Whether this event may have returned it.
pub fn fits_event(answer: &TelemetryAnswer<'_>, event: &TelemetryEvent<'_>) -> bool {
    match (event, answer) {
        (TelemetryEvent::Report { lines }, TelemetryAnswer::Reported(answers)) => {
            lines.len() == answers.iter().len()
        }
        (TelemetryEvent::Inspect { entity }, TelemetryAnswer::Inspected(inspected)) => match inspected {
            Inspected::Absent => true,
            Inspected::Sensor(_) => is_sensor(*entity),
            Inspected::Command(_) => !is_sensor(*entity),
        },
        (TelemetryEvent::Configure { .. }, TelemetryAnswer::Configured(_))
        | (TelemetryEvent::Issue { .. }, TelemetryAnswer::Issued { .. })
        | (TelemetryEvent::Deliver { .. }, TelemetryAnswer::Delivered { .. })
        | (TelemetryEvent::Acknowledge { .. }, TelemetryAnswer::Acknowledged { .. })
        | (TelemetryEvent::Collect { .. }, TelemetryAnswer::Collected { .. })
        | (TelemetryEvent::CheckSilence { .. }, TelemetryAnswer::Silent { .. }) => true,
        _ => false,
    }
}

fn line(outcome: Result<Effect, Reason>) -> Value {
    match outcome {
        Ok(effect) => effect_members(effect),
        Err(reason) => json!({"refused": reason.number(), "reason": reason.words()}),
    }
}

fn effect_members(effect: Effect) -> Value {
    json!({
        "alarm_raised": effect.alarm_raised,
        "alarm_changed": effect.alarm_changed,
        "silence_ended": effect.silence_ended,
        "window_began": effect.window_began,
    })
}

fn tally(tally: Tally) -> Value {
    let bound = |bound: i32| (!tally.is_empty()).then_some(bound);
    json!({
        "count": tally.count,
        "sum": number_to_json(tally.sum),
        "min": bound(tally.min),
        "max": bound(tally.max),
    })
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Delivered => "delivered",
        Status::Acknowledged => "acknowledged",
    }
}
