//! What a line of a report, or a configuration, did to its sensor: 4 bytes of an answer.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::reason::Reason;
use crate::sensor::SensorState;

/// What changed in a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Whether the alarm is raised now.
    pub alarm_raised: bool,
    /// Whether it was raised or cleared by this.
    pub alarm_changed: bool,
    /// Whether the sensor was known to be silent until now.
    pub silence_ended: bool,
    /// Whether the current window is another than before; always for a new sensor.
    pub window_began: bool,
}

impl Effect {
    /// The difference between a sensor, if it was there, and what became of it.
    #[inline]
    #[must_use]
    pub fn between(before: Option<&SensorState>, after: &SensorState) -> Effect {
        let window = |sensor: &SensorState| (sensor.settings.window_ns, sensor.window_number());
        Effect {
            alarm_raised: after.alarm.raised,
            alarm_changed: before.is_some_and(|before| before.alarm.raised != after.alarm.raised),
            silence_ended: before.is_some_and(|before| before.silent && !after.silent),
            window_began: before.is_none_or(|before| window(before) != window(after)),
        }
    }
}

/// An effect, or why there was none, as an answer holds it. Offsets: reason 0 (0 for an effect), alarm 2 (1 clear, 2
/// raised; 0 with a reason), flags 3 (0 with a reason).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
pub struct EffectBytes {
    reason: U16,
    alarm: u8,
    flags: u8,
}

impl EffectBytes {
    /// Of an effect, or of a refusal.
    #[inline]
    #[must_use]
    pub fn new(outcome: Result<Effect, Reason>) -> EffectBytes {
        match outcome {
            Ok(effect) => EffectBytes {
                reason: U16::new(0),
                alarm: if effect.alarm_raised { RAISED } else { CLEAR },
                flags: bit(effect.alarm_changed, ALARM_CHANGED)
                    | bit(effect.silence_ended, SILENCE_ENDED)
                    | bit(effect.window_began, WINDOW_BEGAN),
            },
            Err(reason) => EffectBytes { reason: U16::new(reason.number()), alarm: 0, flags: 0 },
        }
    }

    /// What they say. Nothing if [`EffectBytes::new`] never writes them.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<Effect, Reason>> {
        let outcome = match Reason::from_number(self.reason.get()) {
            Some(reason) => Err(reason),
            None => Ok(Effect {
                alarm_raised: self.alarm == RAISED,
                alarm_changed: self.flags & ALARM_CHANGED != 0,
                silence_ended: self.flags & SILENCE_ENDED != 0,
                window_began: self.flags & WINDOW_BEGAN != 0,
            }),
        };
        (EffectBytes::new(outcome) == *self).then_some(outcome)
    }
}

#[inline]
fn bit(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

const CLEAR: u8 = 1;
const RAISED: u8 = 2;

const ALARM_CHANGED: u8 = 1;
const SILENCE_ENDED: u8 = 2;
const WINDOW_BEGAN: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use assize_domain::StreamTime;

    #[test]
    fn an_effect_is_what_differs() {
        let sensor = SensorState::new(Settings::new(10, 30, 5, 3).unwrap(), StreamTime(9));
        let none =
            Effect { alarm_raised: false, alarm_changed: false, silence_ended: false, window_began: false };
        assert_eq!(Effect::between(None, &sensor), Effect { window_began: true, ..none });
        assert_eq!(Effect::between(Some(&sensor), &sensor), none);
        let silent = SensorState { silent: true, ..sensor };
        assert_eq!(Effect::between(Some(&sensor), &silent), none, "a silence that begins has not ended");
        assert_eq!(Effect::between(Some(&silent), &silent), none, "nor one that goes on");
        assert_eq!(Effect::between(Some(&silent), &sensor), Effect { silence_ended: true, ..none });
        let later = sensor.reported(1, 5, StreamTime(10)).unwrap();
        let raised =
            Effect { alarm_raised: true, alarm_changed: true, silence_ended: false, window_began: true };
        assert_eq!(Effect::between(Some(&sensor), &later), raised);
        assert_eq!(Effect::between(Some(&later), &later), Effect { alarm_raised: true, ..none });
    }

    #[test]
    fn bytes_say_one_thing_or_nothing() {
        let mut said = 0;
        for number in 0..=u32::from(u16::MAX) * 4 {
            // Every reason there is and some that are not, with every alarm and every flag and some more.
            let (reason, alarm, flags) = (number / 40 % 25, number / 10 % 4, number % 10);
            let bytes =
                EffectBytes { reason: U16::new(reason as u16), alarm: alarm as u8, flags: flags as u8 };
            if let Some(outcome) = bytes.outcome() {
                assert_eq!(EffectBytes::new(outcome), bytes);
                said += u32::from(number < 1000);
            }
        }
        assert_eq!(said, 2 * 8 + Reason::ALL.len() as u32);
    }
}
