//! The thread that reads the stored stream for all subscribers: one batch for each at a time, in turn, so that one that
//! reads everything from the beginning delays the others by no more than that. What it holds does not grow with their
//! number; what they have not taken yet they hold themselves, a batch each.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use assize_metrics::Board;
use assize_wire::Slot;
use tokio::sync::{Semaphore, oneshot};

use super::archive::{Archive, Batch, OutcomesStart};
use super::line::Form;
use super::{After, Ended, OUTCOME_SUBSCRIBERS_MAX};

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Outcomes {
    requests: Sender<Request>,
    /// A place for each subscriber.
    pub(super) places: Arc<Semaphore>,
}

/// Where somebody wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Behind what is published now.
    Now,
    /// With the oldest outcome that is kept.
    Oldest,
    /// Behind a position.
    After(After),
}

/// Where somebody does begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) after: After,
    /// What is published now.
    pub(super) published: Slot,
}

/// What somebody wants next.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) after: After,
    /// Outcomes of higher slots are not wanted.
    pub(super) through: Slot,
    /// So many at most.
    pub(super) limit: u64,
    pub(super) form: Form,
}

#[derive(Debug)]
enum Request {
    Open(Begin, oneshot::Sender<Result<Opened, Ended>>),
    Next(Wanted, oneshot::Sender<Result<Batch, Ended>>),
}

impl Outcomes {
    /// Starts the thread. `board` is where the cores say how far they are.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(start: OutcomesStart, board: Arc<Board>) -> io::Result<Outcomes> {
        let (requests, received) = channel();
        let run =
            move || Keeper { archive: Archive::open(start), board, received, waiting: Vec::new() }.run();
        thread::Builder::new().name("outcomes".to_owned()).spawn(run)?;
        Ok(Outcomes { requests, places: Arc::new(Semaphore::new(OUTCOME_SUBSCRIBERS_MAX)) })
    }

    /// Where a subscriber begins who wants to begin there.
    pub(super) async fn open(&self, from: Begin) -> Result<Opened, Ended> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Open(from, answer), answered).await
    }

    /// The next outcomes, once there are any; a batch of none once nothing has come for [`STILL_AFTER`], or when
    /// nothing more is wanted.
    pub(super) async fn next(&self, wanted: Wanted) -> Result<Batch, Ended> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Next(wanted, answer), answered).await
    }

    async fn ask<T>(
        &self,
        request: Request,
        answered: oneshot::Receiver<Result<T, Ended>>,
    ) -> Result<T, Ended> {
        // The thread ends when the last of these does.
        let _ = self.requests.send(request);
        answered.await.unwrap_or_else(|_| panic!("the thread that reads the outcome stream has ended"))
    }
}

struct Keeper {
    /// Or why it cannot be read, for everybody who asks from now on.
    archive: Result<Archive, Ended>,
    board: Arc<Board>,
    received: Receiver<Request>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    wanted: Wanted,
    since: Instant,
    answer: oneshot::Sender<Result<Batch, Ended>>,
}

impl Keeper {
    fn run(mut self) {
        self.tell_if_unreadable();
        loop {
            // What is written is looked at all the time: what nobody noted before its segment is given up is lost here.
            let turn = if self.waiting.is_empty() { IDLE_TURN } else { TURN };
            match self.received.recv_timeout(turn) {
                Ok(request) => self.take(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(request) = self.received.try_recv() {
                self.take(request);
            }
            self.advance();
            for waiting in std::mem::take(&mut self.waiting) {
                self.serve(waiting);
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Open(from, answer) => {
                self.advance();
                // Whoever asked may be gone, here and below.
                let _ = answer.send(self.open(from));
            }
            Request::Next(wanted, answer) => {
                self.waiting.push(Waiting { wanted, since: Instant::now(), answer });
            }
        }
    }

    fn advance(&mut self) {
        let Ok(archive) = &mut self.archive else { return };
        let (written, durable) = self.board.outcomes();
        if let Err(ended) = archive.advance(&written, &durable) {
            self.archive = Err(ended);
            self.tell_if_unreadable();
        }
    }

    fn tell_if_unreadable(&self) {
        if let Err(error) = &self.archive {
            tracing::error!(
                ?error,
                "the stored outcomes cannot be read: nobody can follow them until the next start"
            );
        }
    }

    fn open(&mut self, from: Begin) -> Result<Opened, Ended> {
        self.check_quarantine()?;
        let archive = self.archive.as_mut().map_err(|ended| ended.clone())?;
        let published = archive.complete();
        // What was given up meanwhile is noticed first.
        archive.check(After::Slot(published))?;
        let after = match from {
            Begin::Now => After::Slot(published),
            Begin::Oldest => archive.oldest(),
            Begin::After(after) => after,
        };
        archive.check(after)?;
        Ok(Opened { after, published })
    }

    fn serve(&mut self, waiting: Waiting) {
        if waiting.answer.is_closed() {
            return;
        }
        let Wanted { after, through, limit, form } = waiting.wanted;
        let quarantine = self.check_quarantine();
        let archive = self.archive.as_mut().map_err(|ended| ended.clone());
        let batch = quarantine.and(archive).and_then(|archive| archive.batch(after, through, limit, form));
        let over = |batch: &Batch| batch.after.whole_slot() >= through;
        let still = waiting.since.elapsed() >= STILL_AFTER;
        match batch {
            Ok(batch) if batch.outcomes == 0 && !over(&batch) && !still => {
                // What holds nothing need not be looked through again.
                let wanted = Wanted { after: batch.after, ..waiting.wanted };
                self.waiting.push(Waiting { wanted, ..waiting });
            }
            answer => drop(waiting.answer.send(answer)),
        }
    }

    fn check_quarantine(&self) -> Result<(), Ended> {
        let quarantined = self.board.read().cores.iter().any(|core| core.quarantined == 1);
        if quarantined { Err(Ended::Quarantined) } else { Ok(()) }
    }
}

/// How often what is written is looked at while somebody waits for it, and while nobody does.
const TURN: Duration = Duration::from_millis(10);
const IDLE_TURN: Duration = Duration::from_millis(250);

/// Whoever has heard nothing for so long is told so: a proxy would else close the connection.
const STILL_AFTER: Duration = Duration::from_secs(15);
