//! What an inspection found: what the entity is, and its state.

use assize_domain::EntityId;

use crate::command::CommandState;
use crate::ids::is_sensor;
use crate::sensor::SensorState;

/// The state of an entity, or that it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspected<'a> {
    /// It does not exist.
    Absent,
    /// The bytes of a sensor's state, as a read of the entity returns them: [`SensorState::parse`].
    Sensor(&'a [u8]),
    /// The bytes of a command's state: [`CommandState::parse`].
    Command(&'a [u8]),
}

impl<'a> Inspected<'a> {
    /// This entity's state.
    #[must_use]
    pub fn of(entity: EntityId, state: Option<&'a [u8]>) -> Inspected<'a> {
        match state {
            None => Inspected::Absent,
            Some(state) if is_sensor(entity) => Inspected::Sensor(state),
            Some(state) => Inspected::Command(state),
        }
    }

    /// The state's bytes, or nothing if the entity is absent.
    #[must_use]
    pub fn state(&self) -> Option<&'a [u8]> {
        match *self {
            Inspected::Absent => None,
            Inspected::Sensor(state) | Inspected::Command(state) => Some(state),
        }
    }

    /// What it is, and the bytes of its state.
    pub(crate) fn parts(&self) -> (u8, &'a [u8]) {
        match *self {
            Inspected::Absent => (ABSENT, &[]),
            Inspected::Sensor(state) => (SENSOR, state),
            Inspected::Command(state) => (COMMAND, state),
        }
    }

    /// From its parts. Nothing if the bytes are not such a state.
    pub(crate) fn from_parts(what: u8, state: &'a [u8]) -> Option<Inspected<'a>> {
        match what {
            ABSENT => state.is_empty().then_some(Inspected::Absent),
            SENSOR => SensorState::parse(state).map(|_| Inspected::Sensor(state)),
            COMMAND => CommandState::parse(state).map(|_| Inspected::Command(state)),
            _ => None,
        }
    }
}

const ABSENT: u8 = 0;
const SENSOR: u8 = 1;
const COMMAND: u8 = 2;
