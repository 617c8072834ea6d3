//! Tumbling windows over stream time: window `n` of length `l` is every time `t` with `t / l = n`, whole division. All
//! sensors of one window length change windows at the same time, whenever they were configured.

use core::num::NonZeroU64;

use assize_domain::StreamTime;

use crate::reason::Reason;
use crate::tally::Tally;

/// The current window's readings, and what went before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of the window in which the sensor was last heard or configured.
    pub current: Tally,
    /// Of the window before it, which is complete.
    pub last: Tally,
    /// How many complete windows had no reading, since windows of this length began. With `last`, if that has some, at
    /// most as many as there are windows before the current one.
    pub empty: u64,
}

impl Windows {
    /// In their first window.
    pub const BEGIN: Windows = Windows { current: Tally::EMPTY, last: Tally::EMPTY, empty: 0 };

    /// With a reading in the current window.
    ///
    /// # Errors
    /// [`Reason::WindowFull`]
    #[inline]
    pub fn with(self, reading: i32) -> Result<Windows, Reason> {
        Ok(Windows { current: self.current.with(reading)?, ..self })
    }

    /// So many windows later. Those between are complete at once, and empty.
    #[inline]
    #[must_use]
    pub fn later(self, windows: u64) -> Windows {
        let Some(between) = windows.checked_sub(1) else {
            return self;
        };
        Windows {
            current: Tally::EMPTY,
            last: if between == 0 { self.current } else { Tally::EMPTY },
            empty: self.empty + u64::from(self.current.is_empty()) + between,
        }
    }

    /// Whether they can be those of a sensor that is in window `number`: then no sum of [`Windows::later`] overflows,
    /// as windows that lie before another have numbers.
    #[inline]
    pub(crate) fn holds_in(&self, number: u64) -> bool {
        let before = self.empty.checked_add(u64::from(!self.last.is_empty()));
        self.current.holds() && self.last.holds() && before.is_some_and(|before| before <= number)
    }
}

/// The number of the window that a time is in.
#[inline]
#[must_use]
pub fn window_number(time: StreamTime, length_ns: NonZeroU64) -> u64 {
    time.0 / length_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVEN: Tally = Tally { count: 1, sum: 7, min: 7, max: 7 };

    #[test]
    fn a_window_begins_where_the_one_before_ends() {
        let length = NonZeroU64::new(10).unwrap();
        let numbers = [0, 9, 10, 19, 20].map(|time| window_number(StreamTime(time), length));
        assert_eq!(numbers, [0, 0, 1, 1, 2]);
        assert_eq!(window_number(StreamTime(u64::MAX), NonZeroU64::MIN), u64::MAX);
    }

    #[test]
    fn windows_between_are_empty_however_many() {
        let windows = Windows { current: SEVEN, ..Windows::BEGIN };
        assert_eq!(windows.later(0), windows);
        assert_eq!(windows.later(1), Windows { current: Tally::EMPTY, last: SEVEN, empty: 0 });
        assert_eq!(windows.later(2), Windows { empty: 1, ..Windows::BEGIN });
        assert_eq!(windows.later(u64::MAX), Windows { empty: u64::MAX - 1, ..Windows::BEGIN });
        assert_eq!(Windows::BEGIN.later(u64::MAX), Windows { empty: u64::MAX, ..Windows::BEGIN });
        assert_eq!(windows.later(1).later(1), Windows { empty: 1, ..Windows::BEGIN });
    }

    #[test]
    fn more_windows_than_there_were_do_not_hold() {
        let windows = Windows { current: SEVEN, last: SEVEN, empty: 3 };
        assert!(windows.holds_in(4) && !windows.holds_in(3));
        assert!(Windows { last: Tally::EMPTY, ..windows }.holds_in(3));
        assert!(!Windows { empty: u64::MAX, ..windows }.holds_in(u64::MAX));
        let broken = Tally { sum: 8, ..SEVEN };
        assert!(!Windows { current: broken, ..windows }.holds_in(9));
        assert!(!Windows { last: broken, ..windows }.holds_in(9));
    }
}
