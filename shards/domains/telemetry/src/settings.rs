//! What an operator sets for a sensor.

use core::num::NonZeroU64;

use crate::alarm::Thresholds;
use crate::reason::Reason;

/// A sensor's settings. Times are in nanoseconds of stream time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long each of its windows is.
    pub window_ns: NonZeroU64,
    /// How long it may go without a reading until it counts as silent; as long as it likes if there is none.
    pub silence_ns: Option<NonZeroU64>,
    /// When its alarm is raised, and when it is cleared.
    pub thresholds: Thresholds,
}

impl Settings {
    /// As an event or a state has them; a silence limit of 0 is none.
    ///
    /// # Errors
    /// [`Reason::ZeroWindow`], [`Reason::ThresholdsMeet`]
    #[inline]
    pub fn new(window_ns: u64, silence_ns: u64, raise_at: i32, clear_at: i32) -> Result<Settings, Reason> {
        let window_ns = NonZeroU64::new(window_ns).ok_or(Reason::ZeroWindow)?;
        let thresholds = Thresholds::new(raise_at, clear_at)?;
        Ok(Settings { window_ns, silence_ns: NonZeroU64::new(silence_ns), thresholds })
    }
}

/// A silence limit that is none.
pub const NO_SILENCE_LIMIT: u64 = 0;
