//! Errors as problem documents (RFC 9457): what happened, and what to do.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

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
            detail: format!("nothing is at {path}; see the paths in /v1/openapi.json"),
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
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self)).into_response()
    }
}
