//! Errors as problem documents (RFC 9457): what happened, and what to do.

use std::time::Duration;

use assize_wire::outcome::Status;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::gateway::Submitted;

/// A problem document. Its `type` is `about:blank`: the status and the texts say all that there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// What kind of problem it is.
    pub title: &'static str,
    /// What it is about here, and what to do.
    pub detail: String,
}

impl Problem {
    /// Nothing is at this path.
    #[must_use]
    pub fn no_such_path(path: &str) -> Problem {
        Problem {
            status: 404,
            title: "No such path",
            detail: format!("nothing is at {path}; the README has what is"),
        }
    }

    /// The path is there, and this cannot be done with it.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Problem {
        Problem { status: 405, title: "Method not allowed", detail: format!("{path} does not take {method}") }
    }

    /// The replica does not stand where the cluster does (R2), or is quarantined (C5).
    #[must_use]
    pub fn not_ready(quarantined: bool) -> Problem {
        let detail = if quarantined {
            "this replica is quarantined: it answers nobody until it is rebuilt from the others"
        } else {
            "this replica has not yet executed what the cluster calls chosen; ask another one, or wait"
        };
        Problem { status: 503, title: "Not ready", detail: detail.to_owned() }
    }

    /// What came is not what is taken.
    #[must_use]
    pub fn malformed(detail: String) -> Problem {
        Problem { status: 400, title: "Malformed request", detail }
    }

    /// Only the leader takes events.
    #[must_use]
    pub fn not_leader(leader: Option<u64>) -> Problem {
        let detail = match leader {
            Some(leader) => format!("replica {leader} leads: submit there, under the same key"),
            None => "nobody is known to lead now: try again, under the same key".to_owned(),
        };
        Problem { status: 503, title: "Not the leader", detail }
    }

    /// No outcome came in time.
    #[must_use]
    pub fn undecided(after: Duration) -> Problem {
        let detail = format!("no outcome was published within {after:?}: ask again, under the same key");
        Problem { status: 504, title: "Undecided", detail }
    }

    /// Of an event that was not evaluated; none of one that was.
    #[must_use]
    pub fn of(submitted: &Submitted) -> Option<Problem> {
        let Some(answer) = &submitted.answer else {
            let detail =
                "its deadline passed without an answer: it may have taken effect, and will not from now on";
            return Some(Problem { status: 504, title: "Outcome unknown", detail: detail.to_owned() });
        };
        let (status, title, detail) = match answer.first_status {
            Status::Applied | Status::Rejected | Status::Duplicate => return None,
            Status::Conflict => (422, "Key in use", "this key is live with another event: draw a new one"),
            Status::Full => {
                (503, "No room for keys", "the table of keys is full: try again later, under the same key")
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
        let reason = if answer.reason > 0 { format!(" (reason {})", answer.reason) } else { String::new() };
        Some(Problem { status, title, detail: format!("{detail}{reason}") })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self)).into_response()
    }
}
