//! P13: stream time follows the clocks of a majority: no slot is chosen with a time that is further ahead of the true
//! one than clocks may be apart. That holds only while a majority of clocks is right.

use super::hold;
use crate::left::LoggedSlot;
use crate::shape::EPOCH_NS;

#[derive(Default)]
pub(super) struct Clock {
    /// The true time.
    pub(super) now_ns: u64,
    /// How far clocks may be apart; nothing is checked without it.
    pub(super) skew_ns: Option<u64>,
}

impl Clock {
    pub(super) fn chosen(&self, slot: &LoggedSlot) {
        let Some(skew_ns) = self.skew_ns else { return };
        let manifest = &slot.ordered.manifest;
        // A right clock is off by a tenth of the bound, runs up to 200 ppm fast since the beginning, and jumps a
        // little.
        let gained = self.now_ns.saturating_sub(EPOCH_NS) / 5_000;
        let most = self.now_ns + skew_ns + skew_ns / 10 + gained + SLACK_NS;
        hold!(
            "clock",
            manifest.time.0 <= most,
            "P13: slot {} has the time {}, {} ns ahead of the true one; {skew_ns} are allowed",
            manifest.slot,
            manifest.time,
            manifest.time.0 - self.now_ns
        );
    }
}

/// Jumps of a clock, and the time that messages with clocks are under way.
const SLACK_NS: u64 = 20_000_000;
