//! `POST /v1/leadership`: has the replica that leads hand over to another one.
//!
//! The control core is sent one message, and says how it ended: in time, whatever becomes of it. One caller at a time
//! is waited for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::whole::{Named, Whole};
use crate::{Faces, Problem};

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeadershipBody {
    /// Which replica is to lead; the first that could and has everything if none is named.
    to: Option<u8>,
}

impl Named for LeadershipBody {
    const NAME: &'static str = "an object, such as {\"to\": 1}";
}

/// Leadership was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LeadershipAnswer {
    /// Who led.
    led_before: u8,
    /// Who leads.
    leader: u8,
}

/// Where the control core is asked, and who waits for its answer.
#[derive(Clone)]
pub struct Leadership(Arc<Asks>);

struct Asks {
    post: Box<dyn Fn(u64, Option<u8>) + Send + Sync>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    asked: u64,
    open: Option<(u64, oneshot::Sender<Result<u8, Problem>>)>,
}

impl Leadership {
    /// `post` gets a question to the control core: its number, and who is to lead. It does not wait.
    #[must_use]
    pub fn new(post: impl Fn(u64, Option<u8>) + Send + Sync + 'static) -> Leadership {
        Leadership(Arc::new(Asks { post: Box::new(post), waiting: Mutex::default() }))
    }

    /// The core has answered a question: who leads now, or why not the one that was to.
    pub fn answer(&self, number: u64, answer: Result<u8, Problem>) {
        let asked = self.waiting().open.take_if(|(asked, _)| *asked == number);
        if let Some((_, caller)) = asked {
            // A caller that is gone does not want to know.
            let _ = caller.send(answer);
        }
    }

    /// Asks the core, unless somebody else waits for it.
    fn ask(&self, to: Option<u8>) -> Option<oneshot::Receiver<Result<u8, Problem>>> {
        let mut waiting = self.waiting();
        if waiting.open.is_some() {
            return None;
        }
        let (caller, answer) = oneshot::channel();
        waiting.asked += 1;
        let number = waiting.asked;
        waiting.open = Some((number, caller));
        drop(waiting);
        (self.0.post)(number, to);
        Some(answer)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").finish_non_exhaustive()
    }
}

pub(crate) async fn hand_over(
    State(faces): State<Faces>,
    body: Result<Json<Whole<LeadershipBody>>, JsonRejection>,
) -> Response {
    let to = match body {
        Ok(Json(Whole(LeadershipBody { to }))) => to,
        Err(JsonRejection::MissingJsonContentType(_)) => return Problem::not_json().into_response(),
        Err(error) => return Problem::malformed(error.body_text()).into_response(),
    };
    let Some(answer) = faces.leadership.ask(to) else {
        let detail = "leadership is being handed over already: see how that ends";
        return Problem::leadership(LeadershipProblem::UnderWay, detail.to_owned()).into_response();
    };
    match timeout(faces.limits.request_timeout, answer).await {
        Ok(Ok(Ok(leader))) => {
            Json(LeadershipAnswer { led_before: faces.about.replica, leader }).into_response()
        }
        Ok(Ok(Err(problem))) => problem.into_response(),
        Ok(Err(_)) | Err(_) => {
            let detail = "the replica does not say how it ended: /v1/status says who leads";
            Problem::leadership(LeadershipProblem::NobodyLeads, detail.to_owned()).into_response()
        }
    }
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadershipProblem {
    /// There is no such replica.
    NoSuchReplica,
    /// Another replica leads, or none.
    NotLeading {
        /// Who does.
        leader: Option<u8>,
    },
    /// The one that is to lead does.
    LeadsAlready {
        /// Which one.
        leader: u8,
    },
    /// There is no connection to the one that is to lead.
    NotConnected,
    /// It does not answer the leader.
    NotAnswering,
    /// It lacks too much.
    TooFarBehind,
    /// It says that it could not lead.
    NotAble,
    /// None was named, and none could.
    NobodyAble,
    /// It is being handed over already.
    UnderWay,
    /// This replica stops.
    Stopping,
    /// The one that was to lead was not ready in time.
    Kept {
        /// This replica.
        leader: u8,
    },
    /// This replica lost leadership before.
    Lost,
    /// Another one leads than was told to.
    AnotherLeads {
        /// Which one.
        leader: u8,
    },
    /// Nobody is heard to lead yet.
    NobodyLeads,
}

impl LeadershipProblem {
    /// Its status, its title, and who leads.
    pub(crate) fn parts(self) -> (u16, &'static str, Option<u8>) {
        match self {
            LeadershipProblem::NoSuchReplica => (400, "No such replica", None),
            LeadershipProblem::NotLeading { leader } => (409, "Not leading", leader),
            LeadershipProblem::LeadsAlready { leader } => (409, "Leads already", Some(leader)),
            LeadershipProblem::NotConnected => (409, "Not connected", None),
            LeadershipProblem::NotAnswering => (409, "Not answering", None),
            LeadershipProblem::TooFarBehind => (409, "Too far behind", None),
            LeadershipProblem::NotAble => (409, "Not able to lead", None),
            LeadershipProblem::NobodyAble => (409, "Nobody able to lead", None),
            LeadershipProblem::UnderWay => (409, "Under way already", None),
            LeadershipProblem::Stopping => (409, "Stopping", None),
            LeadershipProblem::Kept { leader } => (503, "Leadership kept", Some(leader)),
            LeadershipProblem::Lost => (503, "Leadership lost", None),
            LeadershipProblem::AnotherLeads { leader } => (503, "Another one leads", Some(leader)),
            LeadershipProblem::NobodyLeads => (504, "Nobody leads yet", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_caller_at_a_time_is_answered_once() {
        let (posted, asked) = mpsc::channel();
        let leadership =
            Leadership::new(move |number, to| posted.send((number, to)).expect("the test listens"));
        let mut first = leadership.ask(Some(2)).expect("nobody waits");
        assert!(leadership.ask(None).is_none(), "somebody does");
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [(1, Some(2))], "the core is asked once");
        leadership.answer(7, Ok(0));
        assert!(first.try_recv().is_err(), "that is of another question");
        leadership.answer(1, Ok(2));
        assert_eq!(first.try_recv().expect("an answer"), Ok(2));
        leadership.answer(1, Ok(1));
        drop(leadership.ask(None).expect("nobody waits any more"));
        leadership.answer(2, Ok(1));
        assert!(leadership.ask(None).is_some(), "who went away is not waited for");
    }

    #[test]
    fn a_body_names_a_replica_or_none_and_nothing_else() {
        let read =
            |text: &str| serde_json::from_str::<Whole<LeadershipBody>>(text).map(|Whole(body)| body.to);
        assert_eq!(read("{}").expect("an object"), None);
        assert_eq!(read("{\"to\": 2}").expect("an object"), Some(2));
        for wrong in ["[2]", "2", "{\"to\": 256}", "{\"to\": -1}", "{\"whom\": 2}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
