//! How fast a script is played.

use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How many times faster than it was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times faster, in open loop: latency counts from when a line was meant to be sent.
    Times(f64),
    /// As fast as answers come, in closed loop: latency counts from sending.
    Max,
}

impl Speed {
    /// When a line is due, in nanoseconds after the beginning, that was so long after it when it was recorded.
    pub(super) fn after(self, recorded_ns: u64) -> u64 {
        match self {
            Speed::Max => 0,
            Speed::Times(times) => (recorded_ns as f64 / times) as u64,
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        match text.parse() {
            _ if text == "max" => Ok(Speed::Max),
            Ok(0.0) => Ok(Speed::Max),
            Ok(times) if (TIMES_MIN..=TIMES_MAX).contains(&times) => Ok(Speed::Times(times)),
            _ => Err(format!(
                "accepted are {TIMES_MIN} to {TIMES_MAX}, 1 being as recorded, and 0 or 'max' for as fast as answers come"
            )),
        }
    }
}

impl Serialize for Speed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Speed::Max => to.serialize_str("max"),
            Speed::Times(times) => to.serialize_f64(*times),
        }
    }
}

/// Slower, and the times of a year would not fit a clock; faster, and all of a year is due at once.
const TIMES_MIN: f64 = 0.01;
const TIMES_MAX: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_divides_times_and_none_is_none() {
        assert_eq!("60".parse::<Speed>().unwrap().after(120_000), 2_000);
        assert_eq!("0.5".parse::<Speed>().unwrap().after(1_000), 2_000);
        for text in ["max", "0", "0.0"] {
            assert_eq!(text.parse::<Speed>().unwrap().after(120_000), 0, "{text}");
        }
        for text in ["", "fast", "-1", "1e-9", "inf", "NaN", "1e10", "MAX"] {
            assert!(text.parse::<Speed>().unwrap_err().contains("'max'"), "{text}");
        }
    }
}
