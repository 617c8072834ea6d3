//! An alarm with hysteresis: what raises it is not what clears it, so a reading that wavers about one threshold does
//! not raise it again and again.

use assize_domain::StreamTime;

use crate::reason::Reason;

/// Where an alarm is raised, and where it is cleared. `clear_at < raise_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    raise_at: i32,
    clear_at: i32,
}

impl Thresholds {
    /// Both.
    ///
    /// # Errors
    /// [`Reason::ThresholdsMeet`]
    #[inline]
    pub fn new(raise_at: i32, clear_at: i32) -> Result<Thresholds, Reason> {
        if clear_at >= raise_at {
            return Err(Reason::ThresholdsMeet);
        }
        Ok(Thresholds { raise_at, clear_at })
    }

    /// A reading of this and above raises.
    #[inline]
    #[must_use]
    pub fn raise_at(&self) -> i32 {
        self.raise_at
    }

    /// A reading of this and below clears.
    #[inline]
    #[must_use]
    pub fn clear_at(&self) -> i32 {
        self.clear_at
    }
}

/// Whether it is raised, and its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Whether it is raised.
    pub raised: bool,
    /// How often it was; above 0 if it is.
    pub raises: u64,
    /// When it was last raised or cleared; 0 if it never was.
    pub changed_at: StreamTime,
}

impl Alarm {
    /// Never raised.
    pub const CLEAR: Alarm = Alarm { raised: false, raises: 0, changed_at: StreamTime(0) };

    /// After this reading. Between the thresholds it stays as it is.
    #[inline]
    #[must_use]
    pub fn judged(self, reading: i32, thresholds: Thresholds, now: StreamTime) -> Alarm {
        match self.raised {
            // The count stays where it cannot go on: one a nanosecond would take it 584 years to come there.
            false if reading >= thresholds.raise_at => {
                Alarm { raised: true, raises: self.raises.saturating_add(1), changed_at: now }
            }
            true if reading <= thresholds.clear_at => Alarm { raised: false, changed_at: now, ..self },
            _ => self,
        }
    }

    /// Whether it can stand so under these thresholds after this reading, the latest, or before any.
    #[inline]
    pub(crate) fn holds(&self, latest: Option<i32>, thresholds: Thresholds) -> bool {
        let follows = match (latest, self.raised) {
            (None, _) => *self == Alarm::CLEAR,
            (Some(reading), true) => reading > thresholds.clear_at,
            (Some(reading), false) => reading < thresholds.raise_at,
        };
        let was_raised = self.raises > 0;
        follows && (was_raised || (!self.raised && self.changed_at == StreamTime(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn between_the_thresholds_nothing_changes() {
        let thresholds = Thresholds::new(10, 5).unwrap();
        let mut alarm = Alarm::CLEAR;
        let mut raised = Vec::new();
        for (at, reading) in [9, 10, 9, 6, 5, 6, 9, 11, 5].into_iter().enumerate() {
            alarm = alarm.judged(reading, thresholds, StreamTime(at as u64));
            assert!(alarm.holds(Some(reading), thresholds));
            raised.push(alarm.raised);
        }
        assert_eq!(raised, [false, true, true, true, false, false, false, true, false]);
        assert_eq!(alarm, Alarm { raised: false, raises: 2, changed_at: StreamTime(8) });
    }

    #[test]
    fn thresholds_that_meet_are_refused() {
        assert_eq!(Thresholds::new(5, 5), Err(Reason::ThresholdsMeet));
        assert_eq!(Thresholds::new(i32::MIN, i32::MAX), Err(Reason::ThresholdsMeet));
        assert!(Thresholds::new(i32::MIN + 1, i32::MIN).is_ok());
    }

    #[test]
    fn an_alarm_that_no_reading_leaves_behind_does_not_hold() {
        let thresholds = Thresholds::new(10, 5).unwrap();
        let raised = Alarm { raised: true, raises: 1, changed_at: StreamTime(3) };
        assert!(raised.holds(Some(6), thresholds) && !raised.holds(Some(5), thresholds));
        assert!(Alarm::CLEAR.holds(Some(9), thresholds) && !Alarm::CLEAR.holds(Some(10), thresholds));
        assert!(Alarm::CLEAR.holds(None, thresholds) && !raised.holds(None, thresholds));
        assert!(!Alarm { raises: 0, ..raised }.holds(Some(6), thresholds));
        assert!(!Alarm { changed_at: StreamTime(3), ..Alarm::CLEAR }.holds(Some(6), thresholds));
    }

    #[test]
    fn the_count_of_raises_never_begins_anew() {
        let thresholds = Thresholds::new(10, 5).unwrap();
        let worn = Alarm { raises: u64::MAX, ..Alarm::CLEAR };
        assert_eq!(worn.judged(10, thresholds, StreamTime(1)).raises, u64::MAX);
    }
}
