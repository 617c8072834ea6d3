//! The run's seconds as an HdrHistogram interval log, version 1.3, as its tools in any language read it.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};

use super::stats::Measured;

/// Writes the intervals. Histograms are in nanoseconds; the column of maxima is in milliseconds, as is usual.
///
/// # Errors
/// What `out` says.
pub fn write_interval_log(measured: &Measured, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#[Histogram log format version 1.3]")?;
    let mut serializer = V2DeflateSerializer::new();
    let mut out = out;
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Latency of requests in nanoseconds; Interval_Max in milliseconds]")
        .with_start_time(measured.began)
        .with_base_time(measured.began)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut out, &mut serializer)?;
    for interval in measured.intervals.iter().filter(|interval| interval.length > Duration::ZERO) {
        log.write_histogram(&interval.latency_ns, interval.start, interval.length, None).map_err(
            |error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error.to_string()),
            },
        )?;
    }
    Ok(())
}

const NS_PER_MS: f64 = 1e6;

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::super::stats::{Interval, new_histogram};
    use super::*;

    #[test]
    fn a_written_log_reads_back() {
        let intervals: Vec<Interval> = (0..3u64)
            .map(|second| {
                let mut latency_ns = new_histogram();
                (1..=1000).for_each(|n| latency_ns.record(n * 1000 * (second + 1)).unwrap());
                Interval {
                    start: Duration::from_secs(second),
                    length: Duration::from_secs(1),
                    answered: 1000,
                    errors: 0,
                    errors_by: Default::default(),
                    latency_ns,
                }
            })
            .collect();
        let measured = Measured {
            latency_ns: new_histogram(),
            intervals,
            began: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        assert!(measured.began < SystemTime::now());
        let mut out = Vec::new();
        write_interval_log(&measured, &mut out).unwrap();
        assert!(out.starts_with(b"#[Histogram log format version 1.3]\n"));
        let mut found = Vec::new();
        for entry in IntervalLogIterator::new(&out) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = decode_base64(interval.encoded_histogram());
                let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                found.push((interval.start_timestamp(), interval.duration(), read));
            }
        }
        assert_eq!(found.len(), 3);
        for (interval, (start, length, read)) in measured.intervals.iter().zip(found) {
            assert_eq!((interval.start, interval.length), (start, length));
            assert_eq!(interval.latency_ns, read);
        }
    }

    fn decode_base64(text: &str) -> Vec<u8> {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut held, mut out) = (0u32, 0, Vec::new());
        for byte in text.bytes().filter(|byte| *byte != b'=') {
            let digit = digits.iter().position(|known| *known == byte).unwrap();
            bits = bits << 6 | digit as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        out
    }
}
