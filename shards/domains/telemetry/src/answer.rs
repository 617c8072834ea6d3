//! What an event returns. Every answer begins with its event's kind, so that it can be read without the event: a stream
//! of outcomes holds answers alone. The answer to one reading has 8 bytes.

use assize_domain::{RESPONSE_BYTES_MAX, Response, StreamTime};
use zerocopy::{FromBytes, IntoBytes};

use crate::command::{COMMAND_STATE_BYTES, Status};
use crate::effect::{Effect, EffectBytes};
use crate::event::{
    ACKNOWLEDGE, CHECK_SILENCE, COLLECT, CONFIGURE, DELIVER, INSPECT, ISSUE, LINES_MAX, REPORT,
};
use crate::inspected::Inspected;
use crate::reason::Reason;
use crate::sensor::{COMMANDS_OPEN_MAX, SENSOR_STATE_BYTES};

/// The answer to an applied event, or to a report whose lines were all refused. Any other rejected event returns
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryAnswer<'a> {
    /// To a `Configure`: what it did to the sensor.
    Configured(Effect),
    /// To a `Report`: what became of each line.
    Reported(Lines<'a>),
    /// To an `Issue`.
    Issued {
        /// When the command expires.
        expires_at: StreamTime,
    },
    /// To a `Deliver`.
    Delivered {
        /// What the device shall do.
        instruction: u64,
    },
    /// To an `Acknowledge`.
    Acknowledged {
        /// Open commands that the sensor has left.
        commands_open: u8,
    },
    /// To a `Collect`.
    Collected {
        /// How far the command came before it expired.
        ended: Status,
        /// Open commands that the sensor has left.
        commands_open: u8,
    },
    /// To a `CheckSilence` that found the sensor silent.
    Silent {
        /// For how long it was not heard.
        silence_ns: u64,
    },
    /// To an `Inspect`.
    Inspected(Inspected<'a>),
}

impl<'a> TelemetryAnswer<'a> {
    /// Appends its bytes to a response.
    #[inline]
    pub fn push(&self, response: &mut Response) {
        match *self {
            TelemetryAnswer::Configured(effect) => {
                push_head(response, CONFIGURE, 0, 0);
                response.extend_from_slice(EffectBytes::new(Ok(effect)).as_bytes());
            }
            TelemetryAnswer::Reported(Lines { lines }) => {
                push_head(response, REPORT, lines.len() as u8, 0);
                response.extend_from_slice(lines.as_bytes());
            }
            TelemetryAnswer::Issued { expires_at } => {
                push_head(response, ISSUE, 0, 0);
                response.extend_from_slice(&expires_at.0.to_le_bytes());
            }
            TelemetryAnswer::Delivered { instruction } => {
                push_head(response, DELIVER, 0, 0);
                response.extend_from_slice(&instruction.to_le_bytes());
            }
            TelemetryAnswer::Acknowledged { commands_open } => {
                push_head(response, ACKNOWLEDGE, commands_open, 0);
            }
            TelemetryAnswer::Collected { ended, commands_open } => {
                push_head(response, COLLECT, commands_open, ended as u8);
            }
            TelemetryAnswer::Silent { silence_ns } => {
                push_head(response, CHECK_SILENCE, 0, 0);
                response.extend_from_slice(&silence_ns.to_le_bytes());
            }
            TelemetryAnswer::Inspected(inspected) => {
                let (what, state) = inspected.parts();
                push_head(response, INSPECT, what, 0);
                response.extend_from_slice(state);
            }
        }
    }

    /// Reads a response. Nothing if it is not exactly what [`TelemetryAnswer::push`] writes.
    #[must_use]
    pub fn parse(response: &'a [u8]) -> Option<TelemetryAnswer<'a>> {
        let (&[kind, first, second, reserved], rest) = response.split_first_chunk::<HEAD_BYTES>()?;
        let kind = u16::from(kind);
        let has_first = matches!(kind, REPORT | ACKNOWLEDGE | COLLECT | INSPECT);
        if reserved != 0 || (first != 0 && !has_first) || (second != 0 && kind != COLLECT) {
            return None;
        }
        match kind {
            CONFIGURE => {
                let effect = EffectBytes::ref_from_bytes(rest).ok()?.outcome()?.ok()?;
                Some(TelemetryAnswer::Configured(effect))
            }
            REPORT => {
                let lines = Lines::parse(rest).filter(|lines| lines.iter().len() == usize::from(first))?;
                Some(TelemetryAnswer::Reported(lines))
            }
            ISSUE => Some(TelemetryAnswer::Issued { expires_at: StreamTime(number(rest)?) }),
            DELIVER => Some(TelemetryAnswer::Delivered { instruction: number(rest)? }),
            ACKNOWLEDGE => {
                let commands_open = commands_open(first, rest)?;
                Some(TelemetryAnswer::Acknowledged { commands_open })
            }
            COLLECT => {
                let (ended, commands_open) = (Status::from_number(second)?, commands_open(first, rest)?);
                Some(TelemetryAnswer::Collected { ended, commands_open })
            }
            CHECK_SILENCE => Some(TelemetryAnswer::Silent { silence_ns: number(rest)? }),
            INSPECT => Inspected::from_parts(first, rest).map(TelemetryAnswer::Inspected),
            _ => None,
        }
    }
}

/// What became of each line of a report, in their order; 1 to [`LINES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines<'a> {
    lines: &'a [EffectBytes],
}

impl<'a> Lines<'a> {
    /// Of these, which all came from [`EffectBytes::new`].
    #[inline]
    pub(crate) fn of(lines: &'a [EffectBytes]) -> Lines<'a> {
        Lines { lines }
    }

    /// Of these bytes. Nothing if they are none, too many or not lines.
    fn parse(bytes: &'a [u8]) -> Option<Lines<'a>> {
        let lines = <[EffectBytes]>::ref_from_bytes(bytes).ok()?;
        let is_whole = (1..=LINES_MAX).contains(&lines.len());
        (is_whole && lines.iter().all(|line| line.outcome().is_some())).then_some(Lines { lines })
    }

    /// What each did to its sensor, or why it was refused.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Effect, Reason>> + 'a {
        self.lines.iter().map(|line| line.outcome().expect("lines were read, or written, as such"))
    }
}

fn number(rest: &[u8]) -> Option<u64> {
    rest.try_into().ok().map(u64::from_le_bytes)
}

/// A sensor's open commands, with nothing after them.
fn commands_open(count: u8, rest: &[u8]) -> Option<u8> {
    (count <= COMMANDS_OPEN_MAX && rest.is_empty()).then_some(count)
}

/// How every answer begins: the event's kind, two numbers, a zero.
#[inline]
fn push_head(response: &mut Response, kind: u16, first: u8, second: u8) {
    response.extend_from_slice(&[kind as u8, first, second, 0]);
}

const HEAD_BYTES: usize = 4;

const _: () = assert!(INSPECT <= u8::MAX as u16, "every kind of event fits a byte");
const _: () = assert!(HEAD_BYTES + LINES_MAX * size_of::<EffectBytes>() <= RESPONSE_BYTES_MAX);
const _: () = assert!(HEAD_BYTES + SENSOR_STATE_BYTES <= RESPONSE_BYTES_MAX);
const _: () = assert!(HEAD_BYTES + COMMAND_STATE_BYTES <= RESPONSE_BYTES_MAX);
