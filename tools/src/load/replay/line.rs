//! One line of a file of events: a JSON object with its time, its key, its event and what is expected of it.

use assize_domain::notation::{DomainName, ExactJson};
use assize_domain::{Domain, DomainRegistry, Entities};
use assize_wire::event::{Event, encode_event};
use assize_wire::{DomainId, EntityId, EventKey, StreamTime};
use serde::Deserialize;

use super::expected::Expected;

/// A line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// When it is sent, in nanoseconds since the file begins.
    pub at_ns: u64,
    /// Its key as the file has it; none if one is to be drawn.
    pub key_text: Option<String>,
    /// The key.
    pub key: EventKey,
    /// The domain that evaluates it.
    pub domain: DomainId,
    /// The version of the domain's event layout.
    pub version: u16,
    /// The domain's own bytes.
    pub payload: Vec<u8>,
    /// What it touches.
    pub entities: Vec<EntityId>,
    /// What is expected to become of it.
    pub expected: Option<Expected>,
}

/// The members of a line, as they come.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    at_ms: f64,
    key: Option<String>,
    domain: DomainName,
    event: ExactJson,
    expect: Option<String>,
    reason: Option<u16>,
}

/// What the members of a line are called.
pub const LINE_MEMBERS: [&str; 6] = ["at_ms", "key", "domain", "event", "expect", "reason"];

impl Line {
    /// Reads a line. The key is that of its text, or the one that was drawn; the error says what is wrong, and what is
    /// accepted.
    pub(super) fn parse(
        text: &str,
        number: u64,
        drawn: EventKey,
        domains: &DomainRegistry,
    ) -> Result<Line, String> {
        if !text.trim_start().starts_with('{') {
            return Err(format!("it is no JSON object; accepted is {EXAMPLE}"));
        }
        let Members { at_ms, key: key_text, domain, event: ExactJson(event), expect, reason } =
            serde_json::from_str(text).map_err(|error| match error.is_eof() {
                true => {
                    "it ends in the middle of its JSON object; an event is one line, and a line is one event"
                        .into()
                }
                // All of it is on one line.
                false => error.to_string().replace("line 1 column", "column"),
            })?;
        if !(0.0..=AT_MS_MAX).contains(&at_ms) {
            return Err(format!("\"at_ms\" is {at_ms}; accepted are 0 to {AT_MS_MAX} milliseconds"));
        }
        if key_text.as_deref() == Some("") {
            return Err(
                "\"key\" is empty: give it a text of its own, or leave it out to have one drawn".into()
            );
        }
        let domain = domain.find(domains).map_err(|error| format!("\"domain\": {error}"))?;
        // What the oldest version reads, every version that may be in force reads.
        let notation = domains.iter().filter(|known| known.id() == domain).find_map(Domain::notation);
        let notation = notation.ok_or_else(|| {
            format!("\"domain\": events of {domain} have no form in JSON; accepted are domains that have one")
        })?;
        let event = notation.event_from_json(&event).map_err(|error| format!("\"event\": {error}"))?;
        let key = key_text.as_deref().map_or(drawn, EventKey::of_text);
        let mut line = Line {
            number,
            at_ns: (at_ms * NS_PER_MS).round() as u64,
            key_text,
            key,
            domain,
            version: event.version,
            payload: event.bytes,
            entities: Vec::new(),
            expected: Expected::parse(expect.as_deref(), reason)?,
        };
        line.entities = line.touched(domains)?;
        Ok(line)
    }

    /// Appends the event as a client submits it. It was found to fit when it was read.
    pub(super) fn encode(&self, deadline: StreamTime, out: &mut Vec<u8>) {
        encode_event(out, self.key, deadline, self.domain, self.version, &self.payload)
            .expect("it was encoded when it was read");
    }

    /// What it touches; nothing if its domain cannot read it, which the engine's answer will say.
    fn touched(&self, domains: &DomainRegistry) -> Result<Vec<EntityId>, String> {
        let mut bytes = Vec::new();
        encode_event(&mut bytes, self.key, StreamTime(0), self.domain, self.version, &self.payload)
            .map_err(|error| format!("\"event\": {error}"))?;
        let (event, _) = Event::parse(&bytes).expect("it was encoded here");
        let mut reading =
            domains.iter().filter(|known| known.id() == self.domain && known.reads(self.version));
        let mut entities = Entities::new();
        let read = reading.next().is_some_and(|domain| domain.entities(&event, &mut entities).is_ok());
        Ok(if read { entities.as_slice().to_vec() } else { Vec::new() })
    }
}

const NS_PER_MS: f64 = 1e6;

/// A leap year.
const AT_MS_MAX: f64 = 366.0 * 24.0 * 3600.0 * 1000.0;

/// What a line looks like.
const EXAMPLE: &str = "{\"at_ms\": 0, \"key\": \"order-1\", \"domain\": \"inventory\", \"event\": {...}, \"expect\": \"applied\"}";
