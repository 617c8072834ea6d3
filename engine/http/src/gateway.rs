//! The way from HTTP into the engine: a thread that submits what came as any client does, over the wire protocol, under
//! the caller's keys, and hears of what was published. A shard's core sees one connection more, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use assize_tools::client::{
    AnswerOwned, Client, ClientError, Completion, NewEvent, Options, Outcome, Ticket, Waker,
};
use assize_wire::StreamTime;
use assize_wire::event::EventError;
use assize_wire::limits::EVENT_PAYLOAD_BYTES_MAX;
use tokio::sync::oneshot;

/// Where events go that came by HTTP.
#[derive(Clone, Debug)]
pub struct Gateway {
    requests: Sender<Request>,
    /// There once the thread has found the replica, which it looks for when the first events come.
    waker: Arc<OnceLock<Waker>>,
}

/// Events that one caller waits for.
#[derive(Debug)]
struct Request {
    events: Vec<NewEvent>,
    answer: oneshot::Sender<Result<Vec<Submitted>, EventError>>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its key: the caller's, or the one that was drawn.
    pub key: u128,
    /// The deadline that it went with.
    pub deadline: StreamTime,
    /// What the log decided; none if its deadline passed without an answer (W4).
    pub answer: Option<AnswerOwned>,
}

impl Gateway {
    /// Starts the thread, which looks for the replica at `addresses` once there is something to submit.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(addresses: Vec<String>) -> io::Result<Gateway> {
        let (requests, received) = channel();
        let waker = Arc::new(OnceLock::new());
        let of_thread = Arc::clone(&waker);
        let run = move || {
            // A replica to which nobody submits by HTTP has no connection of this, and no question who leads.
            let Ok(first) = received.recv() else { return };
            let client = connect(&addresses);
            match client.waker() {
                Ok(waker) => drop(of_thread.set(waker)),
                Err(error) => panic!("the gateway cannot be woken: {error}"),
            }
            let mut state =
                Loop { client, received, open: BTreeMap::new(), of_tickets: BTreeMap::new(), requests: 0 };
            state.take(first);
            state.run();
        };
        thread::Builder::new().name("gateway".to_owned()).spawn(run)?;
        Ok(Gateway { requests, waker })
    }

    /// Submits events and waits until all of them are decided. Dropping the future leaves them to their fate.
    ///
    /// # Errors
    /// [`EventError`]: an event is larger than the protocol allows; none of them was submitted.
    pub async fn submit(&self, events: Vec<NewEvent>) -> Result<Vec<Submitted>, EventError> {
        let (answer, decided) = oneshot::channel();
        // The thread ends with the process only.
        let _ = self.requests.send(Request { events, answer });
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
        decided.await.unwrap_or_else(|_| panic!("the gateway's thread has ended"))
    }
}

/// The thread's state.
struct Loop {
    client: Client,
    received: Receiver<Request>,
    /// By number: what is not decided as a whole.
    open: BTreeMap<u64, Open>,
    of_tickets: BTreeMap<Ticket, (u64, usize)>,
    requests: u64,
}

struct Open {
    done: Vec<Option<Submitted>>,
    left: usize,
    answer: oneshot::Sender<Result<Vec<Submitted>, EventError>>,
}

impl Loop {
    fn run(mut self) {
        loop {
            if self.open.is_empty() {
                // Its client looks for a leader as long as it is asked to wait: not for nobody.
                let Ok(request) = self.received.recv() else { return };
                self.take(request);
            }
            while let Ok(request) = self.received.try_recv() {
                self.take(request);
            }
            match self.client.poll(TURN) {
                Ok(done) => done.into_iter().for_each(|completion| self.complete(completion)),
                Err(error) => panic!("the gateway cannot wait for sockets: {error}"),
            }
        }
    }

    fn take(&mut self, Request { events, answer }: Request) {
        let number = self.requests;
        self.requests += 1;
        let too_long = events.iter().find(|event| event.payload.len() > EVENT_PAYLOAD_BYTES_MAX);
        if let Some(event) = too_long {
            // Whoever asked may be gone: then nobody wants to know.
            let _ = answer.send(Err(EventError::PayloadTooLong { bytes: event.payload.len() }));
            return;
        }
        if events.is_empty() {
            let _ = answer.send(Ok(Vec::new()));
            return;
        }
        for (at, event) in events.iter().enumerate() {
            match self.client.enqueue(event) {
                Ok(ticket) => drop(self.of_tickets.insert(ticket, (number, at))),
                Err(error) => panic!("an event that was looked at cannot be submitted: {error}"),
            }
        }
        self.open.insert(number, Open { done: vec![None; events.len()], left: events.len(), answer });
    }

    fn complete(&mut self, completion: Completion) {
        let Completion { ticket, key, deadline, outcome } = completion;
        let Some((number, at)) = self.of_tickets.remove(&ticket) else {
            panic!("nobody submitted what completes as {ticket}");
        };
        let Some(open) = self.open.get_mut(&number) else {
            panic!("request {number} is decided as a whole, and {ticket} belongs to it");
        };
        let answer = match outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Unknown => None,
        };
        open.done[at] = Some(Submitted { key: key.0, deadline, answer });
        open.left -= 1;
        if open.left == 0
            && let Some(open) = self.open.remove(&number)
        {
            // Whoever asked may be gone.
            let _ = open.answer.send(Ok(open.done.into_iter().flatten().collect()));
        }
    }
}

/// Tries until the replica welcomes it: it may be recovering for long, or have no place for another client.
fn connect(addresses: &[String]) -> Client {
    loop {
        match Client::connect(addresses, Options::default()) {
            Ok(client) => return client,
            Err(ClientError::NotConnected { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "events that come by HTTP find no way into this replica: trying again");
                thread::sleep(TRIED_AGAIN_AFTER);
            }
        }
    }
}

/// Its places become free as clients leave, and nothing tells when.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A wake that came to nothing is made up for after so long.
const TURN: Duration = Duration::from_millis(100);
