//! A request's body is taken in whole before anything is done with it: so many bytes at most, within so long.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{HttpLimits, Problem};

pub(crate) async fn bounded(State(limits): State<HttpLimits>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let bytes = match timeout(limits.request_timeout, take_in(body, limits.body_bytes_max)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(problem)) => return problem.into_response(),
        Err(_) => return Problem::body_too_slow(limits.request_timeout).into_response(),
    };
    next.run(Request::from_parts(head, Body::from(bytes))).await
}

/// All of a body. What is too long is read on for a while and dropped: a connection that is closed with bytes unread
/// takes the answer with it.
async fn take_in(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Problem::malformed(format!("the body does not come whole: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        bytes += data.len();
        if bytes <= bytes_max {
            taken.extend_from_slice(data);
        } else if bytes > bytes_max.saturating_add(DROPPED_BYTES_MAX) {
            break;
        }
    }
    if bytes > bytes_max {
        return Err(Problem::body_too_long(bytes_max));
    }
    Ok(taken.into())
}

/// How much is read of a body beyond what it may have.
const DROPPED_BYTES_MAX: usize = 64 << 20;
