//! `POST /v1/events`: submits one event or several, and answers with what was published.
//!
//! An event is what its domain calls it in JSON, or its domain's bytes, in base64, as the wire carries them. One takes
//! its idempotency key from the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), each of several
//! from its member `key`. Whoever sends the same key with the same event again gets the first outcome, and the event
//! takes effect once.

use std::fmt;

use assize_domain::notation::{DomainName, ExactJson};
use assize_domain::{DomainRegistry, Payload};
use assize_tools::client::NewEvent;
use assize_wire::outcome::Status;
use assize_wire::{EventKey, StreamTime};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::gateway::{Accepted, Submitted};
use crate::notation::{base64, domain_of, event_of, response_shown};
use crate::whole::{Named, Whole};
use crate::{Faces, Problem};

/// An event as it comes: `event`, if its domain has a form in JSON, or `version` and `payload`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBody {
    /// Of one of several: its idempotency key, any text. Drawn at random if it is not given, here and in the header.
    key: Option<String>,
    /// Until when, in nanoseconds of stream time, it may be evaluated. Whoever sends a key again after longer than keys
    /// live gives the first deadline again (W1), which the answer has.
    deadline_ns: Option<u64>,
    /// The domain.
    domain: DomainName,
    /// The event, in its domain's own words.
    event: Option<ExactJson>,
    /// The version of the domain's layouts.
    version: Option<u16>,
    /// The domain's bytes, in base64.
    payload: Option<String>,
}

/// One event, or several.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// In the order in which they are answered.
    Several(Vec<EventBody>),
    /// One.
    One(Box<EventBody>),
}

/// Decides by the first character, so that an error says what is wrong with the event and not that it is no list.
impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Body, D::Error> {
        struct BodyVisitor;
        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event or a list of events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Body, A::Error> {
                let several = Vec::<Whole<EventBody>>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Body::Several(several.into_iter().map(|Whole(event)| event).collect()))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Body, A::Error> {
                EventBody::deserialize(MapAccessDeserializer::new(members))
                    .map(|one| Body::One(Box::new(one)))
            }
        }
        from.deserialize_any(BodyVisitor)
    }
}

impl Named for EventBody {
    const NAME: &'static str = "an event";
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
    /// Why it was rejected, or is invalid: the domain's number for it, or the engine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u16>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_text: Option<&'static str>,
    /// Where the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u64>,
    /// What the domain returned, in its own words; `null` if it returned nothing, or has no form in JSON.
    response: Value,
    /// The same in bytes, in base64.
    response_bytes: String,
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
    let key = match key_of(&headers) {
        Ok(key) => key,
        Err(problem) => return problem.into_response(),
    };
    let (bodies, alone) = match body {
        Body::One(mut one) => {
            // An empty one is refused, whatever the header says.
            if one.key.as_deref() != Some("") {
                one.key = key.or(one.key);
            }
            (Vec::from([*one]), true)
        }
        Body::Several(_) if key.is_some() => {
            let detail =
                "several events have a key each, as their member `key`, and no header Idempotency-Key";
            return Problem::malformed(detail.to_owned()).into_response();
        }
        Body::Several(several) => (several, false),
    };
    let mut events = Vec::with_capacity(bodies.len());
    for (at, body) in bodies.iter().enumerate() {
        match event(&faces.domains, body) {
            Ok(event) => events.push(event),
            Err(problem) if alone => return problem.into_response(),
            Err(problem) => return problem.within(&format!("event {at}")).into_response(),
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
    let submitted = match timeout(within, faces.gateway.submit(events.clone())).await {
        Ok(Ok(submitted)) => submitted,
        Ok(Err(error)) => return Problem::of_gateway(error).into_response(),
        Err(_) => return Problem::undecided(within).into_response(),
    };
    if let (true, [one], [event]) = (alone, &submitted[..], &events[..]) {
        let reason = one.answer.as_ref().and_then(|answer| faces.domains.reason(event.domain, answer.reason));
        return match Problem::of(one, reason) {
            Some(problem) => problem.into_response(),
            None => Json(answer(&faces.domains, event, one)).into_response(),
        };
    }
    let answers = events.iter().zip(&submitted).map(|(event, one)| answer(&faces.domains, event, one));
    Json(answers.collect::<Vec<EventAnswer>>()).into_response()
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

fn event(domains: &DomainRegistry, body: &EventBody) -> Result<NewEvent, Problem> {
    if body.key.as_deref() == Some("") {
        // Two callers that forgot to fill theirs in would share it, and the second hear of the first one's event.
        let detail =
            "the idempotency key is empty: give one of its own to each event, or none to have it drawn";
        return Err(Problem::malformed(detail.to_owned()));
    }
    let domain = domain_of(domains, &body.domain)?;
    let Payload { version, bytes } = match (&body.event, body.version, &body.payload) {
        (Some(ExactJson(event)), None, None) => event_of(domains, domain, event)?,
        (None, Some(version), Some(payload)) => match STANDARD.decode(payload) {
            Ok(bytes) => Payload { version, bytes },
            Err(error) => return Err(Problem::malformed(format!("the payload is not base64: {error}"))),
        },
        _ => {
            let detail = "an event has either `event`, in JSON, or `version` and `payload`, in base64";
            return Err(Problem::malformed(detail.to_owned()));
        }
    };
    Ok(NewEvent {
        key: body.key.as_deref().map(EventKey::of_text),
        deadline: body.deadline_ns.map(StreamTime),
        domain,
        version,
        payload: bytes,
    })
}

/// The key that the header names.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut named = headers.get_all("idempotency-key").iter();
    let (Some(key), other) = (named.next(), named.next()) else { return Ok(None) };
    if other.is_some() {
        return Err(Problem::malformed("Idempotency-Key is there twice: one event has one key".to_owned()));
    }
    match str::from_utf8(key.as_bytes()) {
        Ok(key) => Ok(Some(unquoted(key).to_owned())),
        Err(_) => Err(Problem::malformed("Idempotency-Key is no text in UTF-8".to_owned())),
    }
}

/// The header is a string of RFC 8941, in quotes; many send it without.
fn unquoted(header: &str) -> &str {
    let inner = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(header)
}

fn answer(domains: &DomainRegistry, event: &NewEvent, submitted: &Submitted) -> EventAnswer {
    let Submitted { accepted: Accepted { key, deadline }, answer } = submitted;
    let (key, deadline_ns) = (format!("{:032x}", key.0), deadline.0);
    let Some(answer) = answer else {
        return EventAnswer {
            key,
            deadline_ns,
            status: "unknown".to_owned(),
            duplicate: false,
            reason: None,
            reason_text: None,
            slot: None,
            response: Value::Null,
            response_bytes: String::new(),
        };
    };
    let of = Some((event.version, &event.payload[..]));
    let verdict = (answer.first_status, answer.reason);
    let response = response_shown(domains, event.domain, verdict, of, &answer.response);
    EventAnswer {
        key,
        deadline_ns,
        status: answer.first_status.to_string(),
        duplicate: answer.status == Status::Duplicate,
        reason: (answer.reason > 0).then_some(answer.reason),
        reason_text: domains.reason(event.domain, answer.reason),
        slot: (answer.position.slot.0 > 0).then_some(answer.position.slot.0),
        response: response.unwrap_or_default(),
        response_bytes: base64(&answer.response),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_header_names_one_key_in_any_script() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_bytes(value).expect("a value"));
            }
            key_of(&headers)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["\"käse\"".as_bytes()]), Ok(Some("käse".to_owned())));
        assert!(of(&[b"\xff"]).is_err() && of(&[b"a", b"a"]).is_err());
    }

    #[test]
    fn a_key_is_any_text_in_quotes_or_without() {
        assert_eq!(EventKey::of_text(unquoted("\"abc\"")), EventKey::of_text(unquoted("abc")));
        assert_ne!(EventKey::of_text("abc"), EventKey::of_text("abd"));
        assert_eq!(unquoted("\""), "\"");
    }

    #[test]
    fn a_body_is_one_event_or_several_and_nothing_else_is_in_it() {
        let one = r#"{"domain":1,"version":1,"payload":"AA=="}"#;
        assert!(matches!(serde_json::from_str::<Body>(one), Ok(Body::One(_))));
        assert!(
            matches!(serde_json::from_str::<Body>(&format!("[{one},{one}]")), Ok(Body::Several(two)) if two.len() == 2)
        );
        let nameless = serde_json::from_str::<Body>(r#"[[null,null,1,null,1,"AA=="]]"#);
        assert!(nameless.unwrap_err().to_string().contains("expected an event"));
        let misspelt = serde_json::from_str::<Body>(&one.replace("version", "versoin"));
        assert!(misspelt.unwrap_err().to_string().contains("versoin"));
        let named = r#"{"domain":"inventory","event":{"adjust":{"a":1,"a":2}}}"#;
        assert!(serde_json::from_str::<Body>(named).unwrap_err().to_string().contains("'a'"));
    }
}
