//! One line of a report: a reading of a sensor.

use assize_domain::EntityId;
use zerocopy::little_endian::{I32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A reading: 32 bytes. Offsets: sensor 0, sequence 16, reading 24, zeros 28.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
pub struct Line {
    sensor: U128,
    sequence: U64,
    reading: I32,
    reserved: [u8; 4],
}

impl Line {
    /// The device's reading number `sequence` of `sensor`, in the sensor's smallest unit.
    #[must_use]
    pub fn new(sensor: EntityId, sequence: u64, reading: i32) -> Line {
        Line {
            sensor: U128::new(sensor.0),
            sequence: U64::new(sequence),
            reading: I32::new(reading),
            reserved: [0; 4],
        }
    }

    /// Of this sensor.
    #[inline]
    #[must_use]
    pub fn sensor(&self) -> EntityId {
        EntityId(self.sensor.get())
    }

    /// The device's own number for it. One that is not above the sensor's latest is refused; the first is 1 or more.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.get()
    }

    /// What was read.
    #[inline]
    #[must_use]
    pub fn reading(&self) -> i32 {
        self.reading.get()
    }

    /// Whether its reserved bytes are zero.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.reserved == [0; 4]
    }
}

const _: () = assert!(size_of::<Line>() == 32);
