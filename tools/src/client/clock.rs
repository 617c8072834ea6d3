//! The two clocks of a client: its own monotonic one, and stream time as the engine last told it.

use std::time::Duration;

use assize_wire::StreamTime;

/// Monotonic nanoseconds since some start that the caller chose. The cores take it as an argument and never ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// Never.
    pub const NEVER: Tick = Tick(u64::MAX);

    /// This much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_add(nanos(wait)))
    }

    /// How long from `earlier` to this; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Stream time, as last told and aged by the local monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamClock {
    told: StreamTime,
    at: Tick,
}

impl StreamClock {
    /// Takes what a `Welcome` or an `Answers` frame says. Stream time never moves back, and neither does this.
    pub fn handle_told(&mut self, told: StreamTime, now: Tick) {
        if told > self.now(now) {
            *self = StreamClock { told, at: now };
        }
    }

    /// Stream time now, as far as this client can know.
    #[must_use]
    pub fn now(&self, now: Tick) -> StreamTime {
        StreamTime(self.told.0.saturating_add(now.0.saturating_sub(self.at.0)))
    }

    /// When the local clock will show that stream time reached `time`.
    #[must_use]
    pub fn tick_of(&self, time: StreamTime) -> Tick {
        Tick(self.at.0.saturating_add(time.0.saturating_sub(self.told.0)))
    }

    /// The deadline of a key first sent now (W1): `lifetime` ahead, but at most 7/8 of the TTL, so that a local clock
    /// that runs ahead of stream time does not put it beyond what the Warden accepts.
    #[must_use]
    pub fn deadline(&self, now: Tick, lifetime: Duration, ttl_ns: u64) -> StreamTime {
        let ahead = nanos(lifetime).min(ttl_ns - ttl_ns / 8);
        StreamTime(self.now(now).0.saturating_add(ahead))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_time_ages_and_never_moves_back() {
        let mut clock = StreamClock::default();
        clock.handle_told(StreamTime(1000), Tick(10));
        assert_eq!(clock.now(Tick(15)), StreamTime(1005));
        clock.handle_told(StreamTime(900), Tick(20));
        assert_eq!(clock.now(Tick(20)), StreamTime(1010));
        clock.handle_told(StreamTime(2000), Tick(21));
        assert_eq!(clock.now(Tick(22)), StreamTime(2001));
        assert_eq!(clock.tick_of(StreamTime(2001)), Tick(22));
    }

    #[test]
    fn a_deadline_stays_within_the_ttl() {
        let mut clock = StreamClock::default();
        clock.handle_told(StreamTime(1000), Tick(0));
        assert_eq!(clock.deadline(Tick(0), Duration::from_nanos(100), 800), StreamTime(1100));
        assert_eq!(clock.deadline(Tick(0), Duration::from_secs(9), 800), StreamTime(1700));
    }
}
