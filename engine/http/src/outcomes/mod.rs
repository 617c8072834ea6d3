//! `GET /v1/outcomes`: what was published, in its total order, from any place that is kept (L9).
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | what a request may say, and what it is answered |
//! | `after.rs` | positions as text |
//! | `line.rs` | an outcome as JSON, on a line or as a server-sent event |
//! | `keeper.rs` | the thread that reads for all subscribers |
//! | `archive.rs` | where the chunks lie, how far the stream is complete, from where on it is kept |
//! | `merge.rs` | the shards' streams, merged in order |
//! | `outcomes.allium` | the rules |
//!
//! What is in the stream was agreed on by `copies` replicas, so every replica gives the same, and a subscriber may go
//! on at another one. No core is asked: the logs' files are read, as far as the board says that they are durable. A
//! position is behind one outcome, so whoever asks from the position of the last outcome that it took in gets each
//! outcome exactly once.

mod after;
mod archive;
mod keeper;
mod line;
mod merge;

use std::convert::Infallible;

use assize_metrics::Board;
use assize_wire::Slot;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

pub use after::{After, NoPosition};
pub use archive::OutcomesStart;
pub use keeper::Outcomes;
pub use line::OutcomeLine;

use crate::{Faces, Problem};
use keeper::{Begin, Wanted};
use line::Form;

/// What a request may say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomesQuery {
    /// `oldest`, `now`, or a position; now if nothing is said.
    from: Option<String>,
    /// So many outcomes, then the end.
    limit: Option<String>,
    /// Whether what is published later comes, too.
    follow: Option<String>,
}

impl OutcomesQuery {
    fn limit(&self) -> Result<u64, Problem> {
        self.limit.as_ref().map_or(Ok(u64::MAX), |limit| {
            let problem =
                || Problem::malformed(format!("limit is {limit:?}; accepted is a number of outcomes"));
            limit.parse().map_err(|_| problem())
        })
    }

    fn follows(&self) -> Result<bool, Problem> {
        match self.follow.as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => {
                Err(Problem::malformed(format!("follow is {other:?}; accepted are `true` and `false`")))
            }
        }
    }
}

/// Why a subscriber is given nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What is wanted is not kept any more; from here on everything is.
    Gone {
        /// The place.
        oldest: After,
    },
    /// The replica publishes nothing (C5).
    Quarantined,
    /// The stored stream cannot be read.
    Unreadable(String),
}

impl Ended {
    fn problem(&self) -> Problem {
        match self {
            Ended::Gone { oldest } => Problem::outcomes_gone(oldest.to_string()),
            Ended::Quarantined => Problem::not_ready(true),
            Ended::Unreadable(text) => Problem::outcomes_unreadable(text),
        }
    }
}

/// Follows the stream until the caller goes, or as far as it wanted.
pub(crate) async fn follow(
    State(faces): State<Faces>,
    query: Result<Query<OutcomesQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    subscribe(faces.outcomes.as_ref(), &faces.board, query, &headers)
        .await
        .unwrap_or_else(Problem::into_response)
}

async fn subscribe(
    outcomes: Option<&Outcomes>,
    board: &Board,
    query: Result<Query<OutcomesQuery>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Some(outcomes) = outcomes else { return Err(Problem::no_such_path("/v1/outcomes")) };
    let Query(query) = query.map_err(|error| Problem::malformed(error.body_text()))?;
    let (from, limit, follows) = (from(&query, headers)?, query.limit()?, query.follows()?);
    let readings = board.read();
    if !readings.is_ready() {
        return Err(Problem::not_ready(readings.cores.iter().any(|core| core.quarantined == 1)));
    }
    let place = outcomes.places.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::too_many_subscribers(OUTCOME_SUBSCRIBERS_MAX))?;
    let opened = outcomes.open(from).await.map_err(|ended| ended.problem())?;
    let form = form(headers);
    let through = if follows { Slot(u64::MAX) } else { opened.published };
    let subscriber = Subscriber {
        outcomes: outcomes.clone(),
        after: opened.after,
        through,
        left: limit,
        form,
        // Where it begins is told at once: whoever is cut off before the first outcome can go on there.
        told: Vec::from([form.still(opened.after)]),
        over: false,
        _place: place,
    };
    let body = Body::from_stream(unfold(subscriber, |mut subscriber| async move {
        let bytes = subscriber.next().await?;
        Some((Ok::<_, Infallible>(bytes), subscriber))
    }));
    let kinds = [(header::CONTENT_TYPE, form.content_type()), (header::CACHE_CONTROL, "no-store")];
    Ok((kinds, body).into_response())
}

/// Where a caller wants to begin. A browser that comes back says where it was, whatever its address said at first.
fn from(query: &OutcomesQuery, headers: &HeaderMap) -> Result<Begin, Problem> {
    let (what, text) = match headers.get("last-event-id") {
        Some(id) => ("Last-Event-ID", id.to_str().unwrap_or("?")),
        None => ("from", query.from.as_deref().unwrap_or("now")),
    };
    match text {
        "now" => Ok(Begin::Now),
        "oldest" => Ok(Begin::Oldest),
        text => text.parse().map(Begin::After).map_err(|NoPosition| {
            Problem::malformed(format!(
                "{what} is {text:?}; accepted are a position as an outcome has it (SLOT.SHARD.INDEX), a SLOT, `oldest` and \
                 `now`"
            ))
        }),
    }
}

fn form(headers: &HeaderMap) -> Form {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
    let events = accepted.flat_map(|accepted| accepted.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(Form::Events.content_type())
    });
    if events { Form::Events } else { Form::Lines }
}

/// Somebody who follows. What is asked for next is asked for when what came before was taken.
struct Subscriber {
    outcomes: Outcomes,
    after: After,
    through: Slot,
    left: u64,
    form: Form,
    told: Vec<Vec<u8>>,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Subscriber {
    /// What is sent next; none at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(told) = self.told.pop().filter(|told| !told.is_empty()) {
            return Some(told);
        }
        while !self.over && self.left > 0 && self.after.whole_slot() < self.through {
            let Subscriber { after, through, left, form, .. } = *self;
            match self.outcomes.next(Wanted { after, through, limit: left, form }).await {
                Ok(batch) => {
                    (self.after, self.left) = (batch.after, left - batch.outcomes);
                    if batch.outcomes > 0 {
                        return Some(batch.bytes);
                    }
                    let told = form.still(batch.after);
                    if !told.is_empty() {
                        return Some(told);
                    }
                }
                Err(ended) => {
                    self.over = true;
                    return Some(form.problem(&ended.problem()));
                }
            }
        }
        None
    }
}

/// Subscribers at once. Each holds a batch at most, and what its connection has buffered.
pub const OUTCOME_SUBSCRIBERS_MAX: usize = 64;

/// A batch is full with so many bytes; one outcome goes beyond at most.
const BATCH_BYTES: usize = 256 << 10;

/// Chunks that are kept for whoever wants the same: some of each shard's newest.
const CHUNKS_CACHED_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
