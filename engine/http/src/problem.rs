//! Errors as problem documents (RFC 9457): what happened, and what to do.

use std::time::Duration;

use assize_wire::Slot;
use assize_wire::outcome::Status;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::gateway::{GatewayError, Submitted};
use crate::leadership::LeadershipProblem;
use crate::local::LocalError;

/// A problem document. Its `type` is `about:blank`: the status and the texts say all that there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// What kind of problem it is.
    pub title: &'static str,
    /// What it is about here, and what to do.
    pub detail: String,
    /// Of an entity that was read: a published slot at which this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// Of leadership that was not handed over: who leads, if anybody is known to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<u8>,
    /// Where outcomes are gone: the position from which on all are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
}

impl Problem {
    fn new(status: u16, title: &'static str, detail: String) -> Problem {
        Problem { status, title, detail, slot: None, leader: None, oldest: None }
    }

    /// Nothing is at this path.
    #[must_use]
    pub fn no_such_path(path: &str) -> Problem {
        Problem::new(404, "No such path", format!("nothing is at {path}; /v1/openapi.json has what is"))
    }

    /// The path is there, and this cannot be done with it.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Problem {
        Problem::new(405, "Method not allowed", format!("{path} does not take {method}"))
    }

    /// The replica does not stand where the cluster does (R2), or is quarantined (C5).
    #[must_use]
    pub fn not_ready(quarantined: bool) -> Problem {
        let detail = if quarantined {
            "this replica is quarantined: it answers nobody until it is rebuilt from the others"
        } else {
            "this replica has not yet executed what the cluster calls chosen; ask another one, or wait"
        };
        Problem::new(503, "Not ready", detail.to_owned())
    }

    /// What came is not what is taken.
    #[must_use]
    pub fn malformed(detail: String) -> Problem {
        Problem::new(400, "Malformed request", detail)
    }

    /// The body is of another kind than the one that is taken.
    #[must_use]
    pub fn not_json() -> Problem {
        let detail = "send JSON, and say so: Content-Type: application/json";
        Problem::new(415, "Unsupported media type", detail.to_owned())
    }

    /// The body is longer than the configuration allows.
    #[must_use]
    pub fn body_too_long(bytes_max: usize) -> Problem {
        let detail =
            format!("a body has at most {bytes_max} bytes here ([http] body_bytes_max): send less at once");
        Problem::new(413, "Body too long", detail)
    }

    /// The body did not come in time.
    #[must_use]
    pub fn body_too_slow(within: Duration) -> Problem {
        Problem::new(408, "Request timeout", format!("the body did not come within {within:?}"))
    }

    /// No outcome came in time.
    #[must_use]
    pub fn undecided(after: Duration) -> Problem {
        let detail = format!("no outcome was published within {after:?}: ask again, under the same key");
        Problem::new(504, "Undecided", detail)
    }

    /// No replica answered a read in time.
    #[must_use]
    pub fn unanswered(after: Duration) -> Problem {
        let detail = format!(
            "no replica answered within {after:?}: no leader is found, or none that serves; try again"
        );
        Problem::new(504, "Unanswered", detail)
    }

    /// This replica cannot be read.
    #[must_use]
    pub fn no_local_read(error: &LocalError) -> Problem {
        Problem::new(503, "No local read", format!("{error}; try again, or ask another replica"))
    }

    /// The domain has no event that reads.
    #[must_use]
    pub fn no_verified_read(domain: &str) -> Problem {
        let detail = format!("{domain} has no event that reads an entity: ask for a linearizable read");
        Problem::new(400, "No verified read", detail)
    }

    /// An entity that is absent.
    #[must_use]
    pub fn no_such_entity(domain: &str, entity: &str, slot: Slot) -> Problem {
        let detail = format!("{domain} has no {entity} at slot {slot}");
        Problem { slot: Some(slot.0), ..Problem::new(404, "No such entity", detail) }
    }

    /// There are as many connections as the configuration allows.
    #[must_use]
    pub fn too_many_connections(connections_max: usize) -> Problem {
        let detail =
            format!("{connections_max} connections are open ([http] connections_max): try again later");
        Problem::new(503, "Too many connections", detail)
    }

    /// Nothing was taken in.
    #[must_use]
    pub fn of_gateway(error: GatewayError) -> Problem {
        match error {
            GatewayError::Event(error) => Problem::malformed(error.to_string()),
            GatewayError::Full { max } => {
                let detail = format!(
                    "{max} events and reads are waited for already ([http] waiting_max): send less at once, or try again \
                     later, under the same keys"
                );
                Problem::new(503, "Too much under way", detail)
            }
        }
    }

    /// Outcomes that are wanted are not kept any more.
    #[must_use]
    pub fn outcomes_gone(oldest: String) -> Problem {
        let detail = format!(
            "outcomes behind this position are not kept any more: ask from={oldest}, or from=oldest, and take what lies \
             between from elsewhere"
        );
        Problem { oldest: Some(oldest), ..Problem::new(410, "Outcomes gone", detail) }
    }

    /// The stored outcomes cannot be read.
    #[must_use]
    pub fn outcomes_unreadable(error: &str) -> Problem {
        let detail = format!("the stored outcomes cannot be read here, ask another replica: {error}");
        Problem::new(500, "Outcomes unreadable", detail)
    }

    /// As many follow the outcomes as may.
    #[must_use]
    pub fn too_many_subscribers(max: usize) -> Problem {
        let detail =
            format!("{max} callers follow the outcomes of this replica, and no more may: ask another one");
        Problem::new(503, "Too many subscribers", detail)
    }

    /// Leadership was not handed over as it was to be.
    #[must_use]
    pub fn leadership(kind: LeadershipProblem, detail: String) -> Problem {
        let (status, title, leader) = kind.parts();
        Problem { leader, ..Problem::new(status, title, detail) }
    }

    /// The same, of a part of what came.
    #[must_use]
    pub fn within(mut self, part: &str) -> Problem {
        self.detail = format!("{part}: {}", self.detail);
        self
    }

    /// Of an event that was not evaluated, with its reason in words; none of one that was.
    #[must_use]
    pub fn of(submitted: &Submitted, reason: Option<&str>) -> Option<Problem> {
        let Some(answer) = &submitted.answer else {
            let detail =
                "its deadline passed without an answer: it may have taken effect, and will not from now on";
            return Some(Problem::new(504, "Outcome unknown", detail.to_owned()));
        };
        let (status, title, detail) = match answer.first_status {
            Status::Applied | Status::Rejected | Status::Duplicate => return None,
            Status::Conflict => (422, "Key in use", "this key is live with another event: draw a new one"),
            Status::Full => {
                let detail = "as many keys are live as may be, each for one TTL after its event (`assizectl agreed` \
                    tells it): try again when some have run out, under the same key";
                (503, "No room for keys", detail)
            }
            Status::Expired => {
                (422, "Deadline passed", "the deadline has passed, or lies further ahead than keys live")
            }
            Status::Invalid => (422, "Invalid event", "its domain cannot read the payload"),
            Status::Fault => {
                (500, "Domain fault", "the domain's logic failed on this event, which changed nothing")
            }
            Status::Busy | Status::NotLeader => (503, "Not admitted", "try again, under the same key"),
        };
        let reason = match (answer.reason, reason) {
            (0, _) => String::new(),
            (number, None) => format!(" (reason {number})"),
            (number, Some(words)) => format!(": {words} (reason {number})"),
        };
        Some(Problem::new(status, title, format!("{detail}{reason}")))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self)).into_response()
    }
}
