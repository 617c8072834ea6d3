//! The telemetry's parsers on any bytes: they return, and what they accept has that one encoding.

use assize_domain::{Domain, Entities, Response};
use assize_telemetry::{
    CommandState, SensorState, TelemetryAnswer, TelemetryDomain, TelemetryEvent, VERSION,
};

/// A payload, and the same bytes as states and as a response.
pub fn telemetry(data: &[u8]) {
    if let Ok(event) = TelemetryEvent::parse(data) {
        let mut again = Vec::new();
        event.encode_payload(&mut again);
        assert_eq!(again, data);
        let mut entities = Entities::new();
        event.entities(&mut entities);
        assert!(entities.is_valid());
        let notation = TelemetryDomain.notation().expect("it has one");
        let json = notation.event_to_json(VERSION, data).expect("an event");
        assert_eq!(notation.event_from_json(&json).expect("as it was written").bytes, data);
    }
    if let Some(sensor) = SensorState::parse(data) {
        assert_eq!(sensor.encode()[..], *data);
    }
    if let Some(command) = CommandState::parse(data) {
        assert_eq!(command.encode()[..], *data);
    }
    if let Some(answer) = TelemetryAnswer::parse(data) {
        let mut response = Response::new();
        answer.push(&mut response);
        assert_eq!(response.as_slice(), data);
    }
}
