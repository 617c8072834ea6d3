//! What the readings of one window come to.
//!
//! A reading is a whole number of its sensor's smallest unit (thousandths of a degree, pascals, watts), in 32 bits. So
//! the largest sum of a window fits 64 bits, and no reading is ever refused, cut or wrapped for its size.

use zerocopy::little_endian::{I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::reason::Reason;

/// Count, sum and bounds of some readings.
///
/// Invariants, held by every tally that a state's bytes are accepted with:
/// 1. Without readings all of it is 0.
/// 2. With readings `min <= max`, and both are among them: `sum` lies between what the others can add to that, all
///    being `min` or all being `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u32,
    /// Their sum.
    pub sum: i64,
    /// The least of them, `<= max`.
    pub min: i32,
    /// The greatest of them.
    pub max: i32,
}

impl Tally {
    /// Of no readings.
    pub const EMPTY: Tally = Tally { count: 0, sum: 0, min: 0, max: 0 };

    /// With one more reading.
    ///
    /// # Errors
    /// [`Reason::WindowFull`]
    #[inline]
    pub fn with(self, reading: i32) -> Result<Tally, Reason> {
        let count = self.count.checked_add(1).ok_or(Reason::WindowFull)?;
        if self.is_empty() {
            return Ok(Tally { count, sum: reading.into(), min: reading, max: reading });
        }
        let sum = self.sum + i64::from(reading);
        Ok(Tally { count, sum, min: self.min.min(reading), max: self.max.max(reading) })
    }

    /// Whether there are no readings.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The invariants of the type.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        let Some(others) = self.count.checked_sub(1) else {
            return *self == Tally::EMPTY;
        };
        let (others, min, max) = (i64::from(others), i64::from(self.min), i64::from(self.max));
        min <= max && self.sum >= others * min + max && self.sum <= others * max + min
    }
}

/// The layout of a tally. Offsets: sum 0, count 8, min 12, max 16.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TallyBytes {
    sum: I64,
    count: U32,
    min: I32,
    max: I32,
}

impl From<Tally> for TallyBytes {
    fn from(tally: Tally) -> TallyBytes {
        TallyBytes {
            sum: I64::new(tally.sum),
            count: U32::new(tally.count),
            min: I32::new(tally.min),
            max: I32::new(tally.max),
        }
    }
}

impl From<TallyBytes> for Tally {
    fn from(bytes: TallyBytes) -> Tally {
        Tally { count: bytes.count.get(), sum: bytes.sum.get(), min: bytes.min.get(), max: bytes.max.get() }
    }
}

const _: () = assert!(
    u32::MAX as i128 * i32::MIN as i128 >= i64::MIN as i128
        && u32::MAX as i128 * i32::MAX as i128 <= i64::MAX as i128,
    "as many readings as are counted, each as large as they come, have a sum of 64 bits"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(readings: &[i32]) -> Tally {
        readings.iter().fold(Tally::EMPTY, |tally, reading| tally.with(*reading).unwrap())
    }

    #[test]
    fn readings_are_counted_summed_and_bounded() {
        assert_eq!(of(&[-3]), Tally { count: 1, sum: -3, min: -3, max: -3 });
        assert_eq!(of(&[5, -3, 4]), Tally { count: 3, sum: 6, min: -3, max: 5 });
        let extremes = of(&[i32::MAX, i32::MAX, i32::MIN]);
        assert_eq!(extremes.sum, i64::from(i32::MAX) - 1);
    }

    #[test]
    fn a_window_is_full_when_it_cannot_count_further() {
        let sum = i64::from(u32::MAX) * i64::from(i32::MIN);
        let full = Tally { count: u32::MAX, sum, min: i32::MIN, max: i32::MIN };
        assert!(full.holds());
        assert_eq!(full.with(i32::MIN), Err(Reason::WindowFull));
        let almost = Tally { count: u32::MAX - 1, sum: sum - i64::from(i32::MIN), ..full };
        assert_eq!(almost.with(i32::MIN), Ok(full));
    }

    #[test]
    fn a_tally_that_no_readings_come_to_does_not_hold() {
        assert!(Tally::EMPTY.holds() && of(&[7]).holds() && of(&[1, 5]).holds() && of(&[1, 1, 5]).holds());
        for impossible in [
            Tally { min: 1, max: 1, ..Tally::EMPTY },
            Tally { sum: 1, ..Tally::EMPTY },
            Tally { count: 1, sum: 2, min: 1, max: 2 },
            Tally { count: 2, sum: 5, min: 1, max: 5 },
            Tally { count: 2, sum: 7, min: 1, max: 5 },
            Tally { count: 3, sum: 6, min: 1, max: 5 },
            Tally { count: 3, sum: 12, min: 1, max: 5 },
            Tally { count: 2, sum: 3, min: 2, max: 1 },
        ] {
            assert!(!impossible.holds(), "{impossible:?}");
        }
    }
}
