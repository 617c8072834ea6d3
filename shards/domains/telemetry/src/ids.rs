//! Ids of sensors and commands. The highest bit tells them apart, so that an event can never treat the state of one as
//! that of the other.

use assize_domain::EntityId;

/// The sensor on `channel` of `device`: bit 127 is 0, the device in bits 64 to 126, the channel below.
///
/// # Panics
/// When `device` is 2^63 or more: cutting it would make two sensors one.
#[must_use]
pub const fn sensor_id(device: u64, channel: u64) -> EntityId {
    assert!(device < DEVICES, "a device number is below 2^63");
    EntityId((device as u128) << 64 | channel as u128)
}

/// The command that its client numbers `number`: bit 127 is 1, the number below.
///
/// # Panics
/// When `number` is 2^127 or more.
#[must_use]
pub const fn command_id(number: u128) -> EntityId {
    assert!(number < COMMAND_TAG, "a command's number is below 2^127");
    EntityId(COMMAND_TAG | number)
}

/// Whether this is the id of a sensor, not of a command.
#[must_use]
pub const fn is_sensor(id: EntityId) -> bool {
    id.0 & COMMAND_TAG == 0
}

/// Device numbers are below this.
pub const DEVICES: u64 = 1 << 63;

/// What tells a command's id from a sensor's; numbers of commands are below it.
pub const COMMAND_TAG: u128 = 1 << 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sensor_is_a_command() {
        assert!(is_sensor(sensor_id(DEVICES - 1, u64::MAX)));
        assert!(!is_sensor(command_id(0)) && !is_sensor(command_id(COMMAND_TAG - 1)));
        assert_eq!(sensor_id(2, 3).0, 2 << 64 | 3);
    }

    #[test]
    #[should_panic(expected = "a device number is below 2^63")]
    fn a_device_that_would_set_the_tag_is_refused() {
        let _ = sensor_id(1 << 63, 0);
    }

    #[test]
    #[should_panic(expected = "a command's number is below 2^127")]
    fn a_command_number_with_the_tag_is_refused() {
        let _ = command_id(1 << 127);
    }
}
