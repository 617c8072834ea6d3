//! The state of a command to a device: it is acknowledged before its expiry, or not at all.
//!
//! Invariants, held by every state that [`CommandState::parse`] accepts and every operation returns:
//! 1. `issued_at <= changed_at < expires_at`: nothing happens to a command that has expired.
//! 2. A pending command has not changed since it was issued.
//! 3. Only an acknowledged command has a result other than 0.
//! 4. It is for a sensor.
//!
//! Expiry needs no event: at `expires_at` and after, a command is over, whoever looks. Then anybody may have it
//! collected, which makes room; until then an acknowledged command tells a second acknowledgement from the first.

use assize_domain::{EntityId, StreamTime};
use zerocopy::little_endian::{U16, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::is_sensor;
use crate::reason::Reason;

/// How far a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It waits for its device to fetch it.
    Pending = 1,
    /// Its device has it.
    Delivered = 2,
    /// Its device answered.
    Acknowledged = 3,
}

impl Status {
    /// The one with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Status> {
        match number {
            1 => Some(Status::Pending),
            2 => Some(Status::Delivered),
            3 => Some(Status::Acknowledged),
            _ => None,
        }
    }

    /// Whether a device has still to answer.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Status::Acknowledged)
    }
}

/// What a device shall do, until when, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandState {
    /// The sensor that it is for.
    pub sensor: EntityId,
    /// What to do, in the device's own numbering.
    pub instruction: u64,
    /// When it was issued.
    pub issued_at: StreamTime,
    /// From when on it is over, `> changed_at`.
    pub expires_at: StreamTime,
    /// When it came to its status, `>= issued_at`.
    pub changed_at: StreamTime,
    /// How far it has come.
    pub status: Status,
    /// The device's own number for how it went; 0 until it is acknowledged.
    pub result: u16,
}

impl CommandState {
    /// A new command.
    ///
    /// # Errors
    /// [`Reason::ExpiryTooFar`]
    ///
    /// # Panics
    /// When `time_to_live_ns` is 0: such a command is refused before.
    pub fn issued(
        sensor: EntityId,
        instruction: u64,
        time_to_live_ns: u64,
        now: StreamTime,
    ) -> Result<CommandState, Reason> {
        assert!(time_to_live_ns > 0, "a command that expires as it is issued");
        let expires_at = now.0.checked_add(time_to_live_ns).ok_or(Reason::ExpiryTooFar)?;
        Ok(CommandState {
            sensor,
            instruction,
            issued_at: now,
            expires_at: StreamTime(expires_at),
            changed_at: now,
            status: Status::Pending,
            result: 0,
        })
    }

    /// In its device's hands.
    ///
    /// # Errors
    /// [`Reason::AlreadyAcknowledged`], [`Reason::AlreadyDelivered`], [`Reason::CommandExpired`]
    pub fn delivered(self, now: StreamTime) -> Result<CommandState, Reason> {
        match self.status {
            Status::Acknowledged => Err(Reason::AlreadyAcknowledged),
            Status::Delivered => Err(Reason::AlreadyDelivered),
            Status::Pending => self.changed(Status::Delivered, 0, now),
        }
    }

    /// Answered by its device, which need not have said before that it has it.
    ///
    /// # Errors
    /// [`Reason::AlreadyAcknowledged`], [`Reason::CommandExpired`]
    pub fn acknowledged(self, result: u16, now: StreamTime) -> Result<CommandState, Reason> {
        match self.status {
            Status::Acknowledged => Err(Reason::AlreadyAcknowledged),
            Status::Pending | Status::Delivered => self.changed(Status::Acknowledged, result, now),
        }
    }

    /// Whether it is over at this time. A command lives for times before its expiry, as an event does for times before
    /// its deadline.
    #[must_use]
    pub fn is_expired(&self, now: StreamTime) -> bool {
        now >= self.expires_at
    }

    fn changed(self, status: Status, result: u16, now: StreamTime) -> Result<CommandState, Reason> {
        if self.is_expired(now) {
            return Err(Reason::CommandExpired);
        }
        Ok(CommandState { status, result, changed_at: now, ..self })
    }

    /// Reads a command's state as a read of the entity returns it. Nothing if the bytes are not one.
    #[must_use]
    pub fn parse(state: &[u8]) -> Option<CommandState> {
        let bytes = CommandBytes::ref_from_bytes(state).ok()?;
        let command = CommandState {
            sensor: EntityId(bytes.sensor.get()),
            instruction: bytes.instruction.get(),
            issued_at: StreamTime(bytes.issued_at.get()),
            expires_at: StreamTime(bytes.expires_at.get()),
            changed_at: StreamTime(bytes.changed_at.get()),
            status: Status::from_number(bytes.status)?,
            result: bytes.result.get(),
        };
        (bytes.reserved == [0; 5] && command.holds()).then_some(command)
    }

    /// The state's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; COMMAND_STATE_BYTES] {
        assert!(self.holds(), "a command's invariants are broken: {self:?}");
        zerocopy::transmute!(CommandBytes {
            sensor: U128::new(self.sensor.0),
            instruction: U64::new(self.instruction),
            issued_at: U64::new(self.issued_at.0),
            expires_at: U64::new(self.expires_at.0),
            changed_at: U64::new(self.changed_at.0),
            result: U16::new(self.result),
            status: self.status as u8,
            reserved: [0; 5],
        })
    }

    /// The invariants at the head of this file.
    fn holds(&self) -> bool {
        is_sensor(self.sensor)
            && self.issued_at <= self.changed_at
            && self.changed_at < self.expires_at
            && (self.status != Status::Pending || self.changed_at == self.issued_at)
            && (self.result == 0 || self.status == Status::Acknowledged)
    }
}

/// The layout of a state. Offsets: sensor 0, instruction 16, issued 24, expires 32, changed 40, result 48, status 50,
/// zeros 51.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CommandBytes {
    sensor: U128,
    instruction: U64,
    issued_at: U64,
    expires_at: U64,
    changed_at: U64,
    result: U16,
    status: u8,
    reserved: [u8; 5],
}

/// Bytes of a command's state.
pub const COMMAND_STATE_BYTES: usize = size_of::<CommandBytes>();

const _: () = assert!(COMMAND_STATE_BYTES == 56);
const _: () = assert!(COMMAND_STATE_BYTES <= assize_domain::ENTITY_STATE_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::sensor_id;

    fn issued() -> CommandState {
        CommandState::issued(sensor_id(1, 2), 7, 10, StreamTime(20)).unwrap()
    }

    #[test]
    fn a_state_reads_back_and_a_broken_one_is_refused() {
        let pending = issued();
        let acknowledged =
            issued().delivered(StreamTime(21)).unwrap().acknowledged(5, StreamTime(22)).unwrap();
        for command in [pending, acknowledged] {
            assert_eq!(CommandState::parse(&command.encode()), Some(command));
            assert_eq!(CommandState::parse(&command.encode()[1..]), None);
        }
        for (command, at, value, what) in [
            (pending, 15, 0x80, "for a command"),
            (pending, 40, 21, "pending, and changed"),
            (pending, 48, 1, "a result without an acknowledgement"),
            (pending, 50, 0, "no status"),
            (pending, 50, 4, "a status beyond the last"),
            (pending, 51, 1, "a reserved byte"),
            (acknowledged, 24, 23, "changed before it was issued"),
            (acknowledged, 32, 22, "changed as it expired"),
        ] {
            let mut bytes = command.encode();
            bytes[at] = value;
            assert_eq!(CommandState::parse(&bytes), None, "{what}");
        }
    }

    #[test]
    fn a_command_is_over_from_its_expiry_on() {
        let command = issued();
        assert!(!command.is_expired(StreamTime(29)) && command.is_expired(StreamTime(30)));
        assert!(command.delivered(StreamTime(29)).is_ok());
        assert_eq!(command.delivered(StreamTime(30)), Err(Reason::CommandExpired));
        assert_eq!(command.acknowledged(1, StreamTime(30)), Err(Reason::CommandExpired));
    }

    #[test]
    #[should_panic(expected = "expires as it is issued")]
    fn a_command_without_a_time_to_live_is_none() {
        let _ = CommandState::issued(sensor_id(1, 2), 7, 0, StreamTime(20));
    }
}
