//! Numbers as people write them: `64MiB`, `10M`, `24h`.
//!
//! `k`, `M`, `G`, `T` are powers of 1000 and `Ki`, `Mi`, `Gi`, `Ti` powers of 1024, both with an optional `B`
//! for bytes; `_` separates digits. A duration always has a unit, since a bare number would leave it to a guess.

use serde::Serializer;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// Accepted form of [`count`] and [`bytes`], for messages.
pub const COUNT_FORM: &str = "a whole number, with an optional suffix k, M, G, T (thousands) or Ki, Mi, Gi, Ti \
    (of 1024), such as 1048576, \"1MiB\" or \"10M\"";

/// Accepted form of [`duration_ns`], for messages.
pub const DURATION_FORM: &str = "a whole number with a unit: ns, us, ms, s, m, h or d, such as 500ms or 24h";

/// A number that does not read as a count, a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// What was given.
    pub found: String,
    /// What would have been accepted.
    pub accepted: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found \"{}\", accepted is {}", self.found, self.accepted)
    }
}

impl std::error::Error for UnitError {}

/// Reads a count such as `8190`, `1_000`, `10M` or `1Mi`.
///
/// # Errors
/// Not a number, an unknown suffix, or more than 64 bits.
pub fn count(text: &str) -> Result<u64, UnitError> {
    scaled(text, |suffix| {
        Some(match suffix {
            "" => 1,
            "k" | "K" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            _ => return None,
        })
    })
    .ok_or_else(|| UnitError { found: text.to_owned(), accepted: COUNT_FORM })
}

/// Reads a number of bytes such as `4096`, `64MiB` or `2GB`.
///
/// # Errors
/// As [`count`].
pub fn bytes(text: &str) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    let number = trimmed.strip_suffix(['B', 'b']).unwrap_or(trimmed);
    count(number).map_err(|error| UnitError { found: text.to_owned(), ..error })
}

/// Reads a duration such as `24h`, `500ms` or `50us`, in nanoseconds.
///
/// # Errors
/// Not a number, no unit or an unknown one, or more than 64 bits of nanoseconds (584 years).
pub fn duration_ns(text: &str) -> Result<u64, UnitError> {
    const SECOND: u64 = 1_000_000_000;
    scaled(text, |suffix| {
        Some(match suffix {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" | "min" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            "d" => 86_400 * SECOND,
            _ => return None,
        })
    })
    .ok_or_else(|| UnitError { found: text.to_owned(), accepted: DURATION_FORM })
}

/// A number of bytes for people: the largest binary unit that divides it, or one decimal of the nearest.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, name) in units {
        if bytes >= size {
            return if bytes.is_multiple_of(size) {
                format!("{}{name}", bytes / size)
            } else {
                format!("{:.1}{name}", bytes as f64 / size as f64)
            };
        }
    }
    format!("{bytes}B")
}

/// A duration for people: the largest unit that divides it.
#[must_use]
pub fn show_duration_ns(ns: u64) -> String {
    let units = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    for (size, name) in units {
        if ns >= size && ns.is_multiple_of(size) {
            return format!("{}{name}", ns / size);
        }
    }
    format!("{ns}ns")
}

/// For `#[serde(deserialize_with)]`: bytes as an integer or as text with a unit.
pub(super) fn deserialize_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(COUNT_FORM)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number).map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            bytes(text).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }
    from.deserialize_any(Bytes)
}

/// For `#[serde(deserialize_with)]`: a duration as text with a unit, in nanoseconds.
pub(super) fn deserialize_duration_ns<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    duration_ns(&text).map_err(Error::custom)
}

/// For `#[serde(serialize_with)]`: as it is read.
pub(super) fn serialize_duration_ns<S: Serializer>(ns: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&show_duration_ns(*ns))
}

/// Splits digits from suffix and multiplies.
fn scaled(text: &str, factor: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let number: u64 = digits.replace('_', "").parse().ok()?;
    number.checked_mul(factor(suffix.trim())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_bytes_read_as_people_write_them() {
        assert_eq!(count("8190"), Ok(8190));
        assert_eq!(count(" 1_000 "), Ok(1000));
        assert_eq!(count("10M"), Ok(10_000_000));
        assert_eq!(count("1Mi"), Ok(1 << 20));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("64 MB"), Ok(64_000_000));
        assert_eq!(bytes("512B"), Ok(512));
        assert_eq!(bytes("512"), Ok(512));
    }

    #[test]
    fn what_is_no_number_is_refused_with_what_is_accepted() {
        for bad in ["", "M", "-1", "1.5M", "10X", "99999999T", "1 2", "0x10", "_"] {
            let error = count(bad).unwrap_err();
            assert_eq!(error, UnitError { found: bad.to_owned(), accepted: COUNT_FORM }, "{bad}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration_ns("24h"), Ok(86_400_000_000_000));
        assert_eq!(duration_ns("500ms"), Ok(500_000_000));
        assert_eq!(duration_ns("50us"), Ok(50_000));
        assert_eq!(duration_ns("1d"), duration_ns("24h"));
        assert!(duration_ns("24").is_err());
        assert!(duration_ns("300000d").is_err());
    }

    #[test]
    fn showing_picks_the_largest_unit_that_divides() {
        assert_eq!(show_bytes(64 << 20), "64MiB");
        assert_eq!(show_bytes(1_500_000), "1.4MiB");
        assert_eq!(show_bytes(12), "12B");
        assert_eq!(show_duration_ns(86_400_000_000_000), "1d");
        assert_eq!(show_duration_ns(1_500_000_000), "1500ms");
        assert_eq!(show_duration_ns(7), "7ns");
    }
}
