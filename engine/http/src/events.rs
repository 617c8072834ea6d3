//! `POST /v1/events`: submits one event or several, and answers with what was published.
//!
//! The event's payload is its domain's bytes, in base64: what HTTP carries is what the wire carries. One event takes
//! its idempotency key from the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), each of several
//! from its member `key`. Whoever sends the same key with the same event again gets the first outcome, and the event
//! takes effect once.

use assize_tools::client::NewEvent;
use assize_wire::outcome::Status;
use assize_wire::{DomainId, EventKey, Hash, StreamTime};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::gateway::{Accepted, Submitted};
use crate::{Faces, Problem};

/// An event as it comes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBody {
    /// Of one of several: its idempotency key, any text. Drawn at random if it is not given, here and in the header.
    key: Option<String>,
    /// Until when, in nanoseconds of stream time, it may be evaluated. Whoever sends a key again after longer than keys
    /// live gives the first deadline again (W1), which the answer has.
    deadline_ns: Option<u64>,
    /// The domain's number.
    domain: u16,
    /// The version of the domain's layouts.
    version: u16,
    /// The domain's bytes, in base64.
    payload: String,
}

/// One event, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// In the order in which they are answered.
    Several(Vec<EventBody>),
    /// One.
    One(EventBody),
}

/// How the answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitQuery {
    #[serde(default)]
    wait: Wait,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// The published outcome.
    #[default]
    Outcome,
    /// Nothing: this replica goes on submitting until the event is decided or its deadline passes, if it lives that
    /// long. Only the same key again, with the same deadline, tells what became of it.
    Accepted,
}

/// An event that was taken in, and is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedAnswer {
    /// The key as the engine has it, in hexadecimal.
    key: String,
    /// The deadline that it goes with.
    deadline_ns: u64,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventAnswer {
    /// The key as the engine has it, in hexadecimal: of a text, the first half of its blake3.
    key: String,
    /// The deadline that it went with.
    deadline_ns: u64,
    /// How it ended; `unknown` if its deadline passed without an answer, so that it will not take effect any more.
    status: String,
    /// Whether it was there before: then all else is of the first submission.
    duplicate: bool,
    /// The domain's reason, if it was rejected, or for which it is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u16>,
    /// Where the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u64>,
    /// What the domain returned, in base64.
    response: String,
}

/// Submits, and waits for the outcome. What a domain decided is an answer, whatever it was; what was not evaluated is a
/// problem, if it was alone.
pub(crate) async fn submit(
    State(faces): State<Faces>,
    headers: HeaderMap,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let Query(SubmitQuery { wait }) = match query {
        Ok(query) => query,
        Err(error) => return Problem::malformed(error.body_text()).into_response(),
    };
    let body = match body {
        Ok(Json(body)) => body,
        Err(JsonRejection::MissingJsonContentType(_)) => return Problem::not_json().into_response(),
        Err(error) => return Problem::malformed(error.body_text()).into_response(),
    };
    let key = match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) => Some(unquoted(key).to_owned()),
        Some(Err(_)) => {
            return Problem::malformed("Idempotency-Key is not plain text".to_owned()).into_response();
        }
    };
    let (bodies, alone) = match body {
        Body::One(one) => (Vec::from([EventBody { key: key.or(one.key.clone()), ..one }]), true),
        Body::Several(_) if key.is_some() => {
            let detail =
                "several events have a key each, as their member `key`, and no header Idempotency-Key";
            return Problem::malformed(detail.to_owned()).into_response();
        }
        Body::Several(several) => (several, false),
    };
    let mut events = Vec::with_capacity(bodies.len());
    for (at, body) in bodies.iter().enumerate() {
        match STANDARD.decode(&body.payload) {
            Ok(payload) => events.push(event(body, payload)),
            Err(error) => {
                return Problem::malformed(format!("event {at}: the payload is not base64: {error}"))
                    .into_response();
            }
        }
    }
    let within = faces.limits.request_timeout;
    if wait == Wait::Accepted {
        return match timeout(within, faces.gateway.accept(events)).await {
            Ok(Ok(accepted)) => accepted_as(&accepted, alone),
            Ok(Err(error)) => Problem::of_gateway(error).into_response(),
            Err(_) => Problem::undecided(within).into_response(),
        };
    }
    let submitted = match timeout(within, faces.gateway.submit(events)).await {
        Ok(Ok(submitted)) => submitted,
        Ok(Err(error)) => return Problem::of_gateway(error).into_response(),
        Err(_) => return Problem::undecided(within).into_response(),
    };
    match (alone, &submitted[..]) {
        (true, [one]) => {
            Problem::of(one).map_or_else(|| Json(answer(one)).into_response(), Problem::into_response)
        }
        _ => Json(submitted.iter().map(answer).collect::<Vec<EventAnswer>>()).into_response(),
    }
}

fn accepted_as(accepted: &[Accepted], alone: bool) -> Response {
    let shown = |Accepted { key, deadline }: &Accepted| AcceptedAnswer {
        key: format!("{:032x}", key.0),
        deadline_ns: deadline.0,
    };
    match (alone, accepted) {
        (true, [one]) => (StatusCode::ACCEPTED, Json(shown(one))).into_response(),
        _ => (StatusCode::ACCEPTED, Json(accepted.iter().map(shown).collect::<Vec<AcceptedAnswer>>()))
            .into_response(),
    }
}

fn event(body: &EventBody, payload: Vec<u8>) -> NewEvent {
    NewEvent {
        key: body.key.as_deref().map(key_of),
        deadline: body.deadline_ns.map(StreamTime),
        domain: DomainId(body.domain),
        version: body.version,
        payload,
    }
}

/// Any text is a key: half of its hash is as good as 128 random bits where the texts differ.
fn key_of(text: &str) -> EventKey {
    let hash = Hash::of(text.as_bytes());
    let (half, _) = hash.0.split_first_chunk().expect("a hash has 32 bytes");
    EventKey(u128::from_le_bytes(*half))
}

/// The header is a string of RFC 8941, in quotes; many send it without.
fn unquoted(header: &str) -> &str {
    let inner = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(header)
}

fn answer(submitted: &Submitted) -> EventAnswer {
    let Submitted { accepted: Accepted { key, deadline }, answer } = submitted;
    let status = answer.as_ref().map(|answer| answer.first_status);
    EventAnswer {
        key: format!("{:032x}", key.0),
        deadline_ns: deadline.0,
        status: status.map_or_else(|| "unknown".to_owned(), |status| status.to_string()),
        duplicate: answer.as_ref().is_some_and(|answer| answer.status == Status::Duplicate),
        reason: answer.as_ref().map(|answer| answer.reason).filter(|reason| *reason > 0),
        slot: answer.as_ref().map(|answer| answer.position.slot.0).filter(|slot| *slot > 0),
        response: answer.as_ref().map_or_else(String::new, |answer| STANDARD.encode(&answer.response)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_any_text_in_quotes_or_without() {
        assert_eq!(key_of(unquoted("\"abc\"")), key_of(unquoted("abc")));
        assert_ne!(key_of("abc"), key_of("abd"));
        assert_eq!(unquoted("\""), "\"");
    }

    #[test]
    fn a_body_is_one_event_or_several_and_nothing_else_is_in_it() {
        let one = r#"{"domain":1,"version":1,"payload":"AA=="}"#;
        assert!(matches!(serde_json::from_str::<Body>(one), Ok(Body::One(_))));
        assert!(
            matches!(serde_json::from_str::<Body>(&format!("[{one},{one}]")), Ok(Body::Several(two)) if two.len() == 2)
        );
        assert!(serde_json::from_str::<Body>(&one.replace("domain", "domian")).is_err());
    }
}
