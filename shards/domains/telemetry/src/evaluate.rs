//! The domain: which entities an event touches, and what becomes of them.

use assize_domain::{
    Domain, DomainId, Entities, EntityId, Event, InvalidEvent, Notation, Response, States, StreamTime,
    Verdict,
};

use crate::answer::{Lines, TelemetryAnswer};
use crate::command::{COMMAND_STATE_BYTES, CommandState};
use crate::effect::{Effect, EffectBytes};
use crate::event::{LINES_MAX, TelemetryEvent};
use crate::inspected::Inspected;
use crate::line::Line;
use crate::reason::{Malformed, Reason};
use crate::sensor::{SENSOR_STATE_BYTES, SensorState};
use crate::settings::Settings;

/// Devices that report readings and take commands.
#[derive(Clone, Copy, Debug, Default)]
pub struct TelemetryDomain;

impl Domain for TelemetryDomain {
    fn id(&self) -> DomainId {
        TELEMETRY
    }

    fn name(&self) -> &'static str {
        "telemetry"
    }

    fn version(&self) -> u16 {
        VERSION
    }

    fn state_bytes_max(&self) -> usize {
        SENSOR_STATE_BYTES.max(COMMAND_STATE_BYTES)
    }

    #[inline]
    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        read(event)?.entities(entities);
        Ok(())
    }

    #[inline]
    fn evaluate(
        &self,
        event: &Event<'_>,
        now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        let event = read(event).expect("evaluated only after its entities were read from the same bytes");
        match apply(&event, now, states, response) {
            Ok(()) => Verdict::Applied,
            Err(reason) => Verdict::Rejected(reason.number()),
        }
    }

    fn reason(&self, reason: u16) -> Option<&'static str> {
        Reason::from_number(reason)
            .map(Reason::words)
            .or_else(|| Malformed::from_number(reason).map(Malformed::words))
    }

    fn notation(&self) -> Option<&dyn Notation> {
        Some(self)
    }
}

/// Either changes `states` and says what came of it, or changes nothing.
#[inline]
fn apply(
    event: &TelemetryEvent<'_>,
    now: StreamTime,
    states: &mut States<'_>,
    response: &mut Response,
) -> Result<(), Reason> {
    let answer = match *event {
        // Its answer borrows lines that do not outlive their evaluation.
        TelemetryEvent::Report { lines } => return report(lines, now, states, response),
        TelemetryEvent::Inspect { entity } => {
            // Nothing is set, so nothing is stored, digested as a change or counted, absent or not.
            TelemetryAnswer::Inspected(Inspected::of(entity, states.get(FIRST))).push(response);
            return Ok(());
        }
        TelemetryEvent::Configure { window_ns, silence_ns, raise_at, clear_at, .. } => {
            configure(Settings::new(window_ns, silence_ns, raise_at, clear_at)?, now, states)
        }
        TelemetryEvent::Issue { sensor, instruction, time_to_live_ns, .. } => {
            issue(sensor, instruction, time_to_live_ns, now, states)?
        }
        TelemetryEvent::Deliver { .. } => {
            let command = load_command(states, FIRST)?.delivered(now)?;
            states.set(FIRST, &command.encode());
            TelemetryAnswer::Delivered { instruction: command.instruction }
        }
        TelemetryEvent::Acknowledge { sensor, result, .. } => acknowledge(sensor, result, now, states)?,
        TelemetryEvent::Collect { sensor, .. } => collect(sensor, now, states)?,
        TelemetryEvent::CheckSilence { .. } => {
            let sensor = load_sensor(states, FIRST)?.found_silent(now)?;
            states.set(FIRST, &sensor.encode());
            TelemetryAnswer::Silent { silence_ns: sensor.silence_ns(now) }
        }
    };
    answer.push(response);
    Ok(())
}

#[inline]
fn report(
    lines: &[Line],
    now: StreamTime,
    states: &mut States<'_>,
    response: &mut Response,
) -> Result<(), Reason> {
    // A gateway sends again what it does not know to have arrived: one line that did must not hold back the others.
    let mut outcomes = [EffectBytes::new(Err(Reason::UnknownSensor)); LINES_MAX];
    let mut first_refusal = None;
    let mut taken = 0;
    for (index, (line, outcome)) in lines.iter().zip(&mut outcomes).enumerate() {
        // The event's entities are its lines' sensors, one each and in this order.
        let effect = take(line, index, now, states);
        match effect {
            Ok(_) => taken += 1,
            Err(reason) => first_refusal = first_refusal.or(Some(reason)),
        }
        *outcome = EffectBytes::new(effect);
    }
    TelemetryAnswer::Reported(Lines::of(&outcomes[..lines.len()])).push(response);
    match first_refusal {
        Some(reason) if taken == 0 => Err(reason),
        _ => Ok(()),
    }
}

#[inline]
fn take(line: &Line, index: usize, now: StreamTime, states: &mut States<'_>) -> Result<Effect, Reason> {
    let before = load_sensor(states, index)?;
    let after = before.reported(line.sequence(), line.reading(), now)?;
    states.set(index, &after.encode());
    Ok(Effect::between(Some(&before), &after))
}

fn configure(settings: Settings, now: StreamTime, states: &mut States<'_>) -> TelemetryAnswer<'static> {
    let before = load_sensor(states, FIRST).ok();
    let after = match before {
        Some(before) => before.configured(settings, now),
        None => SensorState::new(settings, now),
    };
    states.set(FIRST, &after.encode());
    TelemetryAnswer::Configured(Effect::between(before.as_ref(), &after))
}

fn issue(
    id: EntityId,
    instruction: u64,
    time_to_live_ns: u64,
    now: StreamTime,
    states: &mut States<'_>,
) -> Result<TelemetryAnswer<'static>, Reason> {
    if time_to_live_ns == 0 {
        return Err(Reason::ZeroTimeToLive);
    }
    let sensor = load_sensor(states, FIRST)?;
    if states.get(SECOND).is_some() {
        return Err(Reason::CommandExists);
    }
    let command = CommandState::issued(id, instruction, time_to_live_ns, now)?;
    let sensor = sensor.with_command()?;
    states.set(FIRST, &sensor.encode());
    states.set(SECOND, &command.encode());
    Ok(TelemetryAnswer::Issued { expires_at: command.expires_at })
}

fn acknowledge(
    id: EntityId,
    result: u16,
    now: StreamTime,
    states: &mut States<'_>,
) -> Result<TelemetryAnswer<'static>, Reason> {
    let command = load_command_of(id, states)?.acknowledged(result, now)?;
    let sensor = load_sensor(states, FIRST)?.without_command();
    states.set(FIRST, &sensor.encode());
    states.set(SECOND, &command.encode());
    Ok(TelemetryAnswer::Acknowledged { commands_open: sensor.commands_open })
}

fn collect(
    id: EntityId,
    now: StreamTime,
    states: &mut States<'_>,
) -> Result<TelemetryAnswer<'static>, Reason> {
    let command = load_command_of(id, states)?;
    if !command.is_expired(now) {
        return Err(Reason::NotExpired);
    }
    let mut sensor = load_sensor(states, FIRST)?;
    if command.status.is_open() {
        sensor = sensor.without_command();
        states.set(FIRST, &sensor.encode());
    }
    states.remove(SECOND);
    Ok(TelemetryAnswer::Collected { ended: command.status, commands_open: sensor.commands_open })
}

#[inline]
fn load_sensor(states: &States<'_>, index: usize) -> Result<SensorState, Reason> {
    let bytes = states.get(index).ok_or(Reason::UnknownSensor)?;
    Ok(SensorState::parse(bytes).expect("the state is a sensor's, and its invariants hold"))
}

fn load_command(states: &States<'_>, index: usize) -> Result<CommandState, Reason> {
    let bytes = states.get(index).ok_or(Reason::UnknownCommand)?;
    Ok(CommandState::parse(bytes).expect("the state is a command's, and its invariants hold"))
}

/// The event's command, which must be for its sensor. A sensor that has a command exists: none is ever removed.
fn load_command_of(sensor: EntityId, states: &States<'_>) -> Result<CommandState, Reason> {
    let command = load_command(states, SECOND)?;
    if command.sensor != sensor {
        return Err(Reason::OtherSensor);
    }
    Ok(command)
}

#[inline]
fn read<'a>(event: &Event<'a>) -> Result<TelemetryEvent<'a>, Malformed> {
    if event.version() != VERSION {
        return Err(Malformed::UnknownVersion);
    }
    TelemetryEvent::parse(event.payload())
}

/// The domain's number.
pub const TELEMETRY: DomainId = DomainId(2);

/// The version of its logic and of its event layouts.
pub const VERSION: u16 = 1;

/// Where an event's first entity stands in its states, and its second.
const FIRST: usize = 0;
const SECOND: usize = 1;
