//! A histogram as a report keeps it: HdrHistogram's V2 form, deflated, in base64, as its interval logs have it. So what
//! is read back is what was measured, and a curve can be drawn of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{
    Deserializer, Serializer as _, V2DeflateSerializeError, V2DeflateSerializer,
};
use serde::Serializer;
use serde::ser::Error as _;

use super::stats::Measured;

/// Serializes the whole run's histogram.
pub(super) fn histogram_in_base64<S: Serializer>(measured: &Measured, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&to_base64(&measured.latency_ns).map_err(S::Error::custom)?)
}

/// The histogram as text.
pub(super) fn to_base64(histogram: &Histogram<u64>) -> Result<String, V2DeflateSerializeError> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes)?;
    Ok(STANDARD.encode(bytes))
}

/// Reads it back; the error says in words what is wrong with the text.
pub(super) fn histogram_from_base64(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("it is not base64: {error}"))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("it is not an HdrHistogram: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::stats::new_histogram;
    use super::*;

    #[derive(serde::Serialize)]
    struct Report {
        #[serde(serialize_with = "histogram_in_base64")]
        histogram: Measured,
    }

    #[test]
    fn what_is_read_back_is_what_was_measured() {
        let mut latency_ns = new_histogram();
        (1..=5000u64).for_each(|n| latency_ns.record(n * n).unwrap());
        for latency_ns in [latency_ns, new_histogram()] {
            let began = std::time::UNIX_EPOCH;
            let measured = Measured { latency_ns: latency_ns.clone(), intervals: Vec::new(), began };
            let json = serde_json::to_value(Report { histogram: measured }).unwrap();
            assert_eq!(histogram_from_base64(json["histogram"].as_str().unwrap()).unwrap(), latency_ns);
        }
    }

    #[test]
    fn what_is_none_is_said() {
        assert!(histogram_from_base64("*").unwrap_err().contains("not base64"));
        assert!(histogram_from_base64("AAAA").unwrap_err().contains("not an HdrHistogram"));
    }
}
