//! One outcome as JSON.

use assize_domain::DomainRegistry;
use assize_wire::Position;
use assize_wire::outcome::{Outcome, Status};
use assize_wire::published::PublishedStripe;
use serde::Serialize;
use serde_json::Value;

use super::After;
use crate::notation::{base64, domain_name, response_shown};

/// An outcome, on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeLine {
    /// Where it is: what is asked for from there begins with the next one.
    position: String,
    slot: u64,
    shard: u16,
    index: u32,
    /// Stream time of its slot, in nanoseconds.
    time_ns: u64,
    /// The event's key, in hexadecimal.
    key: String,
    /// The event's domain, by its name if this program knows one; none of an event that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    /// How it ended.
    status: String,
    /// Of a duplicate: how the first submission ended, and where it is. Its response is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<String>,
    /// The domain's reason, if it was rejected, or for which it is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u16>,
    /// The reason in words, if there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_text: Option<&'static str>,
    /// What the domain returned, as its notation has it without the event; `null` if it has none.
    response: Value,
    /// The same in bytes, in base64.
    response_bytes: String,
}

impl OutcomeLine {
    pub(super) fn new(
        domains: &DomainRegistry,
        stripe: &PublishedStripe<'_>,
        at: Position,
        outcome: &Outcome<'_>,
    ) -> OutcomeLine {
        let Position { slot, shard, index } = at;
        let Outcome { domain, reason, response, .. } = *outcome;
        let duplicate = (outcome.status == Status::Duplicate).then(|| {
            let (slot, index) = (outcome.original_slot, outcome.original_index);
            After::Outcome(Position { slot, shard, index }).to_string()
        });
        OutcomeLine {
            position: After::Outcome(at).to_string(),
            slot: slot.0,
            shard: shard.0,
            index,
            time_ns: stripe.time.0,
            key: format!("{:032x}", outcome.key.0),
            domain: (domain.0 > 0).then(|| domain_name(domains, domain)),
            status: outcome.status.to_string(),
            first_status: duplicate.as_ref().map(|_| outcome.first_status.to_string()),
            original: duplicate,
            reason: Some(reason).filter(|reason| *reason > 0),
            reason_text: domains.reason(domain, reason),
            response: response_shown(domains, domain, (outcome.status, reason), None, response)
                .unwrap_or_default(),
            response_bytes: base64(response),
        }
    }
}

/// What the outcomes come as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events: the position is each event's id, which a browser sends when it comes back.
    Events,
    /// One JSON value a line.
    Lines,
}

impl Form {
    /// The media type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Form::Events => "text/event-stream",
            Form::Lines => "application/x-ndjson",
        }
    }

    /// An outcome.
    pub(super) fn outcome(self, line: &OutcomeLine, out: &mut Vec<u8>) {
        match self {
            Form::Events => {
                out.extend_from_slice(format!("id: {}\ndata: ", line.position).as_bytes());
                json(line, out);
                out.extend_from_slice(b"\n\n");
            }
            Form::Lines => {
                json(line, out);
                out.push(b'\n');
            }
        }
    }

    /// Nothing has come for a while, or yet: the place is told, so that whoever comes back goes on there.
    pub(super) fn still(self, after: After) -> Vec<u8> {
        match self {
            Form::Events => format!(": nothing new\nid: {after}\n\n").into_bytes(),
            Form::Lines => Vec::new(),
        }
    }

    /// Why nothing more comes.
    pub(super) fn problem(self, problem: &impl Serialize) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a, P> {
            problem: &'a P,
        }
        let mut out = Vec::new();
        match self {
            Form::Events => {
                out.extend_from_slice(b"event: problem\ndata: ");
                json(problem, &mut out);
                out.extend_from_slice(b"\n\n");
            }
            Form::Lines => {
                json(&Line { problem }, &mut out);
                out.push(b'\n');
            }
        }
        out
    }
}

/// # Panics
/// Never: plain structs of texts and numbers can be written into memory.
fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(out, value) {
        panic!("a line cannot be written into memory: {error}");
    }
}
