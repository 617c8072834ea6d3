//! The state of a sensor, and everything that may become of it.
//!
//! Invariants, held by every state that [`SensorState::parse`] accepts and every operation returns:
//! 1. Before its first reading a sensor's windows have none, and its alarm was never raised.
//! 2. The alarm follows the latest reading: raised, the reading is above the clear threshold; clear, it is below the
//!    raise threshold. So new thresholds judge the latest reading at once.
//! 3. `alarm.changed_at <= heard_at`: an alarm changes only with a reading or a configuration.
//! 4. A silent sensor has a silence limit.
//! 5. `commands_open <= COMMANDS_OPEN_MAX`, and it is how many commands for this sensor exist that no device has
//!    acknowledged.
//! 6. Both tallies hold, and no more windows are behind the sensor than there were ([`Windows`]).

use assize_domain::StreamTime;
use zerocopy::little_endian::{I32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::alarm::Alarm;
use crate::reason::Reason;
use crate::settings::{NO_SILENCE_LIMIT, Settings};
use crate::tally::TallyBytes;
use crate::windows::{Windows, window_number};

/// A channel of a device that reports readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorState {
    /// What an operator set.
    pub settings: Settings,
    /// The latest reading, if there was one.
    pub latest: Option<Latest>,
    /// When its silence began to count: with its latest reading or configuration, whichever came later. Says which
    /// window is the current one.
    pub heard_at: StreamTime,
    /// Whether it was found silent since.
    pub silent: bool,
    /// What its readings come to.
    pub windows: Windows,
    /// Its alarm.
    pub alarm: Alarm,
    /// Commands for it that no device has acknowledged, expired ones included until they are collected.
    pub commands_open: u8,
}

/// A reading under the number that its device gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The device numbers its readings upward from 1; it may leave numbers out. Never 0.
    pub sequence: u64,
    /// The reading, in the sensor's smallest unit.
    pub reading: i32,
}

impl SensorState {
    /// A sensor that was just configured for the first time.
    #[must_use]
    pub fn new(settings: Settings, now: StreamTime) -> SensorState {
        SensorState {
            settings,
            latest: None,
            heard_at: now,
            silent: false,
            windows: Windows::BEGIN,
            alarm: Alarm::CLEAR,
            commands_open: 0,
        }
    }

    /// Under new settings: silence counts anew, windows begin anew if they have another length, and the latest reading
    /// is judged by the new thresholds.
    ///
    /// # Panics
    /// As [`SensorState::silence_ns`].
    #[must_use]
    pub fn configured(self, settings: Settings, now: StreamTime) -> SensorState {
        self.check_time(now);
        let windows = match settings.window_ns == self.settings.window_ns {
            true => self.windows_at(now),
            false => Windows::BEGIN,
        };
        let alarm = match self.latest {
            Some(latest) => self.alarm.judged(latest.reading, settings.thresholds, now),
            None => self.alarm,
        };
        SensorState { settings, heard_at: now, silent: false, windows, alarm, ..self }
    }

    /// After a reading.
    ///
    /// # Errors
    /// [`Reason::OutOfOrder`], [`Reason::WindowFull`]
    ///
    /// # Panics
    /// As [`SensorState::silence_ns`].
    #[inline]
    pub fn reported(self, sequence: u64, reading: i32, now: StreamTime) -> Result<SensorState, Reason> {
        self.check_time(now);
        if sequence <= self.latest.map_or(0, |latest| latest.sequence) {
            return Err(Reason::OutOfOrder);
        }
        Ok(SensorState {
            latest: Some(Latest { sequence, reading }),
            heard_at: now,
            silent: false,
            windows: self.windows_at(now).with(reading)?,
            alarm: self.alarm.judged(reading, self.settings.thresholds, now),
            ..self
        })
    }

    /// Known to be silent, if stream time says so: no reading for as long as its silence limit.
    ///
    /// # Errors
    /// [`Reason::NoSilenceLimit`], [`Reason::AlreadySilent`], [`Reason::NotSilent`]
    ///
    /// # Panics
    /// As [`SensorState::silence_ns`].
    pub fn found_silent(self, now: StreamTime) -> Result<SensorState, Reason> {
        let limit_ns = self.settings.silence_ns.ok_or(Reason::NoSilenceLimit)?;
        if self.silent {
            return Err(Reason::AlreadySilent);
        }
        if self.silence_ns(now) < limit_ns.get() {
            return Err(Reason::NotSilent);
        }
        Ok(SensorState { silent: true, ..self })
    }

    /// How long it was not heard.
    ///
    /// # Panics
    /// When `now` lies before it was heard: stream time never moves back.
    #[inline]
    #[must_use]
    pub fn silence_ns(&self, now: StreamTime) -> u64 {
        self.check_time(now);
        now.0 - self.heard_at.0
    }

    /// With one more open command.
    ///
    /// # Errors
    /// [`Reason::TooManyCommands`]
    pub fn with_command(self) -> Result<SensorState, Reason> {
        if self.commands_open == COMMANDS_OPEN_MAX {
            return Err(Reason::TooManyCommands);
        }
        Ok(SensorState { commands_open: self.commands_open + 1, ..self })
    }

    /// With one open command less: it was acknowledged, or collected.
    ///
    /// # Panics
    /// When it has none: a command that is open was counted as it was issued.
    #[must_use]
    pub fn without_command(self) -> SensorState {
        assert!(self.commands_open > 0, "an open command that its sensor does not count: {self:?}");
        SensorState { commands_open: self.commands_open - 1, ..self }
    }

    /// The number of its current window.
    #[inline]
    #[must_use]
    pub fn window_number(&self) -> u64 {
        window_number(self.heard_at, self.settings.window_ns)
    }

    /// Its windows, the one of `now` being the current one. `now` is not before it was heard.
    #[inline]
    fn windows_at(&self, now: StreamTime) -> Windows {
        self.windows.later(window_number(now, self.settings.window_ns) - self.window_number())
    }

    #[inline]
    fn check_time(&self, now: StreamTime) {
        assert!(now >= self.heard_at, "stream time moved back from {} to {now}", self.heard_at);
    }

    /// Reads a sensor's state as a read of the entity returns it. Nothing if the bytes are not one.
    #[inline]
    #[must_use]
    pub fn parse(state: &[u8]) -> Option<SensorState> {
        let bytes = SensorBytes::ref_from_bytes(state).ok()?;
        let (raise_at, clear_at) = (bytes.raise_at.get(), bytes.clear_at.get());
        let latest = Latest { sequence: bytes.sequence.get(), reading: bytes.reading.get() };
        let sensor = SensorState {
            settings: Settings::new(bytes.window_ns.get(), bytes.silence_ns.get(), raise_at, clear_at)
                .ok()?,
            latest: (latest.sequence > 0).then_some(latest),
            heard_at: StreamTime(bytes.heard_at.get()),
            silent: flag(bytes.silent)?,
            windows: Windows {
                current: bytes.current.into(),
                last: bytes.last.into(),
                empty: bytes.windows_empty.get(),
            },
            alarm: Alarm {
                raised: flag(bytes.alarm_raised)?,
                raises: bytes.alarm_raises.get(),
                changed_at: StreamTime(bytes.alarm_changed_at.get()),
            },
            commands_open: bytes.commands_open,
        };
        let has_one_encoding = bytes.reserved == 0 && (sensor.latest.is_some() || latest.reading == 0);
        (has_one_encoding && sensor.holds()).then_some(sensor)
    }

    /// The state's bytes.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> [u8; SENSOR_STATE_BYTES] {
        assert!(self.holds(), "a sensor's invariants are broken: {self:?}");
        let Settings { window_ns, silence_ns, thresholds } = self.settings;
        let (sequence, reading) = self.latest.map_or((0, 0), |latest| (latest.sequence, latest.reading));
        zerocopy::transmute!(SensorBytes {
            window_ns: U64::new(window_ns.get()),
            silence_ns: U64::new(silence_ns.map_or(NO_SILENCE_LIMIT, |limit| limit.get())),
            raise_at: I32::new(thresholds.raise_at()),
            clear_at: I32::new(thresholds.clear_at()),
            sequence: U64::new(sequence),
            heard_at: U64::new(self.heard_at.0),
            windows_empty: U64::new(self.windows.empty),
            alarm_changed_at: U64::new(self.alarm.changed_at.0),
            alarm_raises: U64::new(self.alarm.raises),
            reading: I32::new(reading),
            alarm_raised: u8::from(self.alarm.raised),
            silent: u8::from(self.silent),
            commands_open: self.commands_open,
            reserved: 0,
            current: TallyBytes::from(self.windows.current),
            last: TallyBytes::from(self.windows.last),
        })
    }

    /// The invariants at the head of this file.
    #[inline]
    fn holds(&self) -> bool {
        let Windows { current, last, .. } = self.windows;
        let reading = self.latest.map(|latest| latest.reading);
        (self.latest.is_some() || (current.is_empty() && last.is_empty()))
            && self.alarm.holds(reading, self.settings.thresholds)
            && self.alarm.changed_at <= self.heard_at
            && (!self.silent || self.settings.silence_ns.is_some())
            && self.commands_open <= COMMANDS_OPEN_MAX
            && self.windows.holds_in(self.window_number())
    }
}

#[inline]
fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The layout of a state. Offsets: window 0, silence 8, raise 16, clear 20, sequence 24, heard 32, empty windows 40,
/// alarm's change 48, its raises 56, reading 64, alarm 68, silent 69, commands 70, zero 71, current window 72, last
/// window 92.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SensorBytes {
    window_ns: U64,
    silence_ns: U64,
    raise_at: I32,
    clear_at: I32,
    sequence: U64,
    heard_at: U64,
    windows_empty: U64,
    alarm_changed_at: U64,
    alarm_raises: U64,
    reading: I32,
    alarm_raised: u8,
    silent: u8,
    commands_open: u8,
    reserved: u8,
    current: TallyBytes,
    last: TallyBytes,
}

/// Open commands that one sensor may have: what a device is asked at once is bounded.
pub const COMMANDS_OPEN_MAX: u8 = 16;

/// Bytes of a sensor's state.
pub const SENSOR_STATE_BYTES: usize = size_of::<SensorBytes>();

const _: () = assert!(SENSOR_STATE_BYTES == 112);
const _: () = assert!(SENSOR_STATE_BYTES <= assize_domain::ENTITY_STATE_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    fn settings() -> Settings {
        Settings::new(10, 30, 100, 50).unwrap()
    }

    /// In window 4, with all that a sensor may have.
    fn sensor() -> SensorState {
        let sensor = SensorState::new(settings(), StreamTime(20));
        let sensor = sensor.reported(1, 110, StreamTime(35)).unwrap();
        sensor.reported(2, 60, StreamTime(41)).unwrap().found_silent(StreamTime(71)).unwrap()
    }

    #[test]
    fn a_state_reads_back_and_a_broken_one_is_refused() {
        let sensor = sensor().with_command().unwrap();
        let encoded = sensor.encode();
        assert_eq!(SensorState::parse(&encoded), Some(sensor));
        assert_eq!(SensorState::parse(&encoded[1..]), None);
        for (at, value, what) in [
            (0, 0, "windows of no length"),
            (8, 0, "silent without a limit"),
            (16, 50, "thresholds that meet"),
            (20, 60, "raised at or below the clear threshold"),
            (24, 0, "a reading without a number"),
            (32, 34, "an alarm that changed after the sensor was heard"),
            (40, 4, "more empty windows than there were"),
            (56, 0, "raised, and never raised"),
            (68, 2, "neither raised nor clear"),
            (69, 2, "neither silent nor heard"),
            (70, 17, "more open commands than there may be"),
            (71, 1, "a reserved byte"),
            (72, 61, "a sum that its bounds do not allow"),
            (92, 109, "the same of the last window"),
        ] {
            let mut bytes = encoded;
            bytes[at] = value;
            assert_eq!(SensorState::parse(&bytes), None, "{what}");
        }
    }

    #[test]
    fn before_its_first_reading_a_sensor_has_none() {
        let fresh = SensorState::new(settings(), StreamTime(20));
        let encoded = fresh.encode();
        assert_eq!(SensorState::parse(&encoded), Some(fresh));
        let mut with_reading = encoded;
        with_reading[64] = 1;
        assert_eq!(SensorState::parse(&with_reading), None);
        let tally = Tally::EMPTY.with(7).unwrap();
        let windows = Windows { current: tally, ..Windows::BEGIN };
        assert!(!SensorState { windows, ..fresh }.holds());
        assert!(!SensorState { windows: Windows { last: tally, ..Windows::BEGIN }, ..fresh }.holds());
    }

    #[test]
    #[should_panic(expected = "stream time moved back from 41 to 40")]
    fn a_time_that_moved_back_is_not_computed_with() {
        let _ = sensor().reported(3, 60, StreamTime(40));
    }

    #[test]
    #[should_panic(expected = "an open command that its sensor does not count")]
    fn a_command_that_was_not_counted_is_not_taken_off() {
        let _ = sensor().without_command();
    }
}
