//! The events of the domain, and their bytes. Every layout begins with its kind, every reserved byte is zero, so each
//! event has exactly one encoding.

use alloc::vec::Vec;

use assize_domain::{Entities, EntityId};
use zerocopy::little_endian::{I32, U16, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::is_sensor;
use crate::line::Line;
use crate::reason::Malformed;

/// What devices, operators and anybody else ask. What each returns is a [`crate::TelemetryAnswer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryEvent<'a> {
    /// Sets up a sensor, which need not exist yet. Silence counts anew, and windows begin anew if they have another
    /// length; the latest reading is judged by the new thresholds.
    Configure {
        /// The sensor.
        sensor: EntityId,
        /// How long each window is, in stream time.
        window_ns: u64,
        /// How long it may go without a reading; [`crate::NO_SILENCE_LIMIT`] is as long as it likes.
        silence_ns: u64,
        /// A reading of this and above raises the alarm.
        raise_at: i32,
        /// A reading of this and below clears it.
        clear_at: i32,
    },
    /// Readings, 1 to [`LINES_MAX`], each of another sensor. Each is taken or refused by itself; the event is rejected
    /// if all are refused.
    Report {
        /// The readings.
        lines: &'a [Line],
    },
    /// Gives a new command to a sensor's device.
    Issue {
        /// The sensor; it must exist.
        sensor: EntityId,
        /// The command, not in use.
        command: EntityId,
        /// What to do, in the device's own numbering.
        instruction: u64,
        /// How long the device may take, in stream time.
        time_to_live_ns: u64,
    },
    /// The device has a command.
    Deliver {
        /// The command.
        command: EntityId,
    },
    /// The device carried a command out, or could not.
    Acknowledge {
        /// The command's sensor.
        sensor: EntityId,
        /// The command.
        command: EntityId,
        /// How it went, in the device's own numbering.
        result: u16,
    },
    /// Removes a command that has expired, whatever became of it. Anybody may ask.
    Collect {
        /// The command's sensor.
        sensor: EntityId,
        /// The command.
        command: EntityId,
    },
    /// Marks a sensor that was not heard for its silence limit. Anybody may ask.
    CheckSilence {
        /// The sensor.
        sensor: EntityId,
    },
    /// Reads a sensor or a command at the event's place in the log, and changes nothing: a read whose answer is
    /// compared between replicas like any other (C8).
    Inspect {
        /// Which, whether it exists or not.
        entity: EntityId,
    },
}

impl<'a> TelemetryEvent<'a> {
    /// Appends the payload.
    ///
    /// # Panics
    /// When a `Report` has no lines or more than [`LINES_MAX`].
    pub fn encode_payload(&self, out: &mut Vec<u8>) {
        match *self {
            TelemetryEvent::Configure { sensor, window_ns, silence_ns, raise_at, clear_at } => {
                push_head(out, CONFIGURE, 0, window_ns);
                push_id(out, sensor);
                let limits = Limits {
                    silence_ns: U64::new(silence_ns),
                    raise_at: I32::new(raise_at),
                    clear_at: I32::new(clear_at),
                };
                out.extend_from_slice(limits.as_bytes());
            }
            TelemetryEvent::Report { lines } => {
                assert!(
                    (1..=LINES_MAX).contains(&lines.len()),
                    "a report of {} lines; accepted are 1 to {LINES_MAX}",
                    lines.len()
                );
                push_head(out, REPORT, lines.len() as u16, 0);
                out.extend_from_slice(lines.as_bytes());
            }
            TelemetryEvent::Issue { sensor, command, instruction, time_to_live_ns } => {
                push_head(out, ISSUE, 0, time_to_live_ns);
                push_id(out, sensor);
                push_id(out, command);
                let task = Task { instruction: U64::new(instruction), reserved: U64::new(0) };
                out.extend_from_slice(task.as_bytes());
            }
            TelemetryEvent::Deliver { command } => {
                push_head(out, DELIVER, 0, 0);
                push_id(out, command);
            }
            TelemetryEvent::Acknowledge { sensor, command, result } => {
                push_head(out, ACKNOWLEDGE, result, 0);
                push_id(out, sensor);
                push_id(out, command);
            }
            TelemetryEvent::Collect { sensor, command } => {
                push_head(out, COLLECT, 0, 0);
                push_id(out, sensor);
                push_id(out, command);
            }
            TelemetryEvent::CheckSilence { sensor } => {
                push_head(out, CHECK_SILENCE, 0, 0);
                push_id(out, sensor);
            }
            TelemetryEvent::Inspect { entity } => {
                push_head(out, INSPECT, 0, 0);
                push_id(out, entity);
            }
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not exactly what [`TelemetryEvent::encode_payload`] writes.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<TelemetryEvent<'a>, Malformed> {
        let (head, rest) = Head::ref_from_prefix(payload).map_err(|_| Malformed::WrongLength)?;
        let (kind, detail, value) = (head.kind.get(), head.detail.get(), head.value.get());
        if !(CONFIGURE..=INSPECT).contains(&kind) {
            return Err(Malformed::UnknownKind);
        }
        let has_detail = matches!(kind, REPORT | ACKNOWLEDGE);
        let has_value = matches!(kind, CONFIGURE | ISSUE);
        if head.reserved != [0; 4] || (detail != 0 && !has_detail) || (value != 0 && !has_value) {
            return Err(Malformed::ReservedNotZero);
        }
        match kind {
            REPORT => parse_lines(detail.into(), rest),
            CONFIGURE => parse_configure(value, rest),
            ISSUE => parse_issue(value, rest),
            DELIVER => Ok(TelemetryEvent::Deliver { command: command(id(rest)?)? }),
            CHECK_SILENCE => Ok(TelemetryEvent::CheckSilence { sensor: sensor(id(rest)?)? }),
            INSPECT => Ok(TelemetryEvent::Inspect { entity: id(rest)? }),
            _ => {
                let ids = <[U128; 2]>::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
                let (sensor, command) = (sensor(EntityId(ids[0].get()))?, command(EntityId(ids[1].get()))?);
                Ok(match kind {
                    ACKNOWLEDGE => TelemetryEvent::Acknowledge { sensor, command, result: detail },
                    _ => TelemetryEvent::Collect { sensor, command },
                })
            }
        }
    }

    /// Adds the entities that the event touches, each once: a report's sensors in the order of its lines, a sensor
    /// before its command.
    #[inline]
    pub fn entities(&self, entities: &mut Entities) {
        match *self {
            TelemetryEvent::Report { lines } => {
                for line in lines {
                    entities.push(line.sensor());
                }
            }
            TelemetryEvent::Configure { sensor, .. } | TelemetryEvent::CheckSilence { sensor } => {
                entities.push(sensor);
            }
            TelemetryEvent::Issue { sensor, command, .. }
            | TelemetryEvent::Acknowledge { sensor, command, .. }
            | TelemetryEvent::Collect { sensor, command } => {
                entities.push(sensor);
                entities.push(command);
            }
            TelemetryEvent::Deliver { command } => entities.push(command),
            TelemetryEvent::Inspect { entity } => entities.push(entity),
        }
    }
}

#[inline]
fn parse_lines(count: usize, rest: &[u8]) -> Result<TelemetryEvent<'_>, Malformed> {
    if !(1..=LINES_MAX).contains(&count) {
        return Err(Malformed::BadLineCount);
    }
    let lines = <[Line]>::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
    if lines.len() != count {
        return Err(Malformed::WrongLength);
    }
    for (at, line) in lines.iter().enumerate() {
        if !line.is_plain() {
            return Err(Malformed::ReservedNotZero);
        }
        let sensor = sensor(line.sensor())?;
        if lines[..at].iter().any(|other| other.sensor() == sensor) {
            return Err(Malformed::SensorTwice);
        }
    }
    Ok(TelemetryEvent::Report { lines })
}

fn parse_configure(window_ns: u64, rest: &[u8]) -> Result<TelemetryEvent<'_>, Malformed> {
    let tail = ConfigureTail::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
    Ok(TelemetryEvent::Configure {
        sensor: sensor(EntityId(tail.sensor.get()))?,
        window_ns,
        silence_ns: tail.limits.silence_ns.get(),
        raise_at: tail.limits.raise_at.get(),
        clear_at: tail.limits.clear_at.get(),
    })
}

fn parse_issue(time_to_live_ns: u64, rest: &[u8]) -> Result<TelemetryEvent<'_>, Malformed> {
    let tail = IssueTail::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
    if tail.task.reserved.get() != 0 {
        return Err(Malformed::ReservedNotZero);
    }
    Ok(TelemetryEvent::Issue {
        sensor: sensor(EntityId(tail.sensor.get()))?,
        command: command(EntityId(tail.command.get()))?,
        instruction: tail.task.instruction.get(),
        time_to_live_ns,
    })
}

fn id(rest: &[u8]) -> Result<EntityId, Malformed> {
    let id = U128::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
    Ok(EntityId(id.get()))
}

#[inline]
fn sensor(id: EntityId) -> Result<EntityId, Malformed> {
    if is_sensor(id) { Ok(id) } else { Err(Malformed::NotASensor) }
}

fn command(id: EntityId) -> Result<EntityId, Malformed> {
    if is_sensor(id) { Err(Malformed::NotACommand) } else { Ok(id) }
}

fn push_head(out: &mut Vec<u8>, kind: u16, detail: u16, value: u64) {
    let (kind, detail, value) = (U16::new(kind), U16::new(detail), U64::new(value));
    out.extend_from_slice(Head { kind, detail, reserved: [0; 4], value }.as_bytes());
}

fn push_id(out: &mut Vec<u8>, id: EntityId) {
    out.extend_from_slice(&id.0.to_le_bytes());
}

/// How every payload begins. Offsets: kind 0, detail 2, zeros 4, value 8.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    kind: U16,
    detail: U16,
    reserved: [u8; 4],
    value: U64,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ConfigureTail {
    sensor: U128,
    limits: Limits,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Limits {
    silence_ns: U64,
    raise_at: I32,
    clear_at: I32,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct IssueTail {
    sensor: U128,
    command: U128,
    task: Task,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Task {
    instruction: U64,
    reserved: U64,
}

/// Lines that one `Report` may have: each is an entity that the event touches.
pub const LINES_MAX: usize = 16;

pub(crate) const CONFIGURE: u16 = 1;
pub(crate) const REPORT: u16 = 2;
pub(crate) const ISSUE: u16 = 3;
pub(crate) const DELIVER: u16 = 4;
pub(crate) const ACKNOWLEDGE: u16 = 5;
pub(crate) const COLLECT: u16 = 6;
pub(crate) const CHECK_SILENCE: u16 = 7;
pub(crate) const INSPECT: u16 = 8;

const _: () = assert!(LINES_MAX <= assize_domain::EVENT_ENTITIES_MAX);
const _: () = assert!(size_of::<Head>() == 16);
