//! The way from HTTP into the engine: a thread that submits what came as any client does, over the wire protocol, under
//! the caller's keys, to whichever replica leads. A shard's core sees one connection more, and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use assize_tools::client::{
    AnswerOwned, Client, Completion, EntityRead, NewEvent, Options, Outcome, Ticket, Waker,
};
use assize_wire::event::EventError;
use assize_wire::limits::EVENT_PAYLOAD_BYTES_MAX;
use assize_wire::{ClusterId, DomainId, EntityId, EventKey, StreamTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::bulletin::{Bulletin, Place};

/// Where events and reads go that came by HTTP.
#[derive(Clone, Debug)]
pub struct Gateway {
    requests: Sender<Request>,
    /// There once the thread has a client, which it makes when the first request comes.
    waker: Arc<OnceLock<Waker>>,
    /// A permit for each event and read that is not decided.
    room: Arc<Semaphore>,
    waiting_max: usize,
}

/// What one caller wants.
#[derive(Debug)]
enum Request {
    Submit(Submission),
    Read {
        domain: DomainId,
        entity: EntityId,
        answer: oneshot::Sender<EntityRead>,
        room: OwnedSemaphorePermit,
    },
}

#[derive(Debug)]
struct Submission {
    events: Vec<NewEvent>,
    /// Told as soon as the events have keys and deadlines.
    accepted: oneshot::Sender<Vec<Accepted>>,
    /// Told once all of them are decided; none if nobody waits for that.
    decided: Option<oneshot::Sender<Vec<Submitted>>>,
    room: OwnedSemaphorePermit,
}

/// An event that was taken in, to be submitted until its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its key: the caller's, or the one that was drawn.
    pub key: EventKey,
    /// Its deadline: the caller's, or the one that it was given.
    pub deadline: StreamTime,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// What it was submitted as.
    pub accepted: Accepted,
    /// What the log decided; none if its deadline passed without an answer (W4).
    pub answer: Option<AnswerOwned>,
}

/// Why nothing was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// An event is larger than the protocol allows. None of them was submitted.
    Event(EventError),
    /// Too much is waited for already.
    Full {
        /// Events and reads that may be waited for.
        max: usize,
    },
}

impl Gateway {
    /// Starts the thread, which looks for the cluster's replicas, as the bulletin says where they are, once there is
    /// something to submit.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(cluster: ClusterId, bulletin: Arc<Bulletin>, waiting_max: usize) -> io::Result<Gateway> {
        let (requests, received) = channel();
        let waker = Arc::new(OnceLock::new());
        let of_thread = Arc::clone(&waker);
        let run = move || {
            // A replica to which nobody submits by HTTP has no connection of this, and no question who leads.
            let Ok(first) = received.recv() else { return };
            let mut state = Loop::new(cluster, bulletin, received);
            match state.client.waker() {
                Ok(waker) => drop(of_thread.set(waker)),
                Err(error) => panic!("the gateway cannot be woken: {error}"),
            }
            state.early.push_back(first);
            state.run();
        };
        thread::Builder::new().name("gateway".to_owned()).spawn(run)?;
        Ok(Gateway { requests, waker, room: Arc::new(Semaphore::new(waiting_max)), waiting_max })
    }

    /// Submits events and waits until all of them are decided. Dropping the future gives them up: what is under way may
    /// take effect, and nothing is sent again.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub async fn submit(&self, events: Vec<NewEvent>) -> Result<Vec<Submitted>, GatewayError> {
        let (decided, outcomes) = oneshot::channel();
        let accepted = self.take(events, Some(decided))?;
        // The thread ends with the process only; and it says so much before it says what became of them.
        drop(accepted);
        Ok(outcomes.await.unwrap_or_else(|_| panic!("the gateway's thread has ended")))
    }

    /// Takes events in, to be submitted until they are decided, or until their deadlines: as long as this process runs.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub async fn accept(&self, events: Vec<NewEvent>) -> Result<Vec<Accepted>, GatewayError> {
        let accepted = self.take(events, None)?;
        Ok(accepted.await.unwrap_or_else(|_| panic!("the gateway's thread has ended")))
    }

    /// Reads an entity linearizably, from whichever replica leads.
    ///
    /// # Errors
    /// [`GatewayError::Full`]
    pub async fn read(&self, domain: DomainId, entity: EntityId) -> Result<EntityRead, GatewayError> {
        let room = self.room_for(1)?;
        let (answer, read) = oneshot::channel();
        self.send(Request::Read { domain, entity, answer, room });
        Ok(read.await.unwrap_or_else(|_| panic!("the gateway's thread has ended")))
    }

    fn take(
        &self,
        events: Vec<NewEvent>,
        decided: Option<oneshot::Sender<Vec<Submitted>>>,
    ) -> Result<oneshot::Receiver<Vec<Accepted>>, GatewayError> {
        if let Some(event) = events.iter().find(|event| event.payload.len() > EVENT_PAYLOAD_BYTES_MAX) {
            return Err(GatewayError::Event(EventError::PayloadTooLong { bytes: event.payload.len() }));
        }
        let room = self.room_for(events.len())?;
        let (accepted, told) = oneshot::channel();
        self.send(Request::Submit(Submission { events, accepted, decided, room }));
        Ok(told)
    }

    fn room_for(&self, count: usize) -> Result<OwnedSemaphorePermit, GatewayError> {
        let full = GatewayError::Full { max: self.waiting_max };
        let permits = u32::try_from(count).map_err(|_| full)?;
        Arc::clone(&self.room).try_acquire_many_owned(permits).map_err(|_| full)
    }

    fn send(&self, request: Request) {
        // The thread ends with the process only.
        let _ = self.requests.send(request);
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }
}

/// The thread's state.
struct Loop {
    client: Client,
    bulletin: Arc<Bulletin>,
    /// Where the client was told that the replicas are.
    places: Vec<Place>,
    received: Receiver<Request>,
    /// What came before any replica had welcomed the client: a deadline needs stream time.
    early: VecDeque<Request>,
    /// By number: what is not decided as a whole.
    open: BTreeMap<u64, Open>,
    of_tickets: BTreeMap<Ticket, (u64, usize)>,
    /// By the client's number for it.
    reads: BTreeMap<u64, (oneshot::Sender<EntityRead>, OwnedSemaphorePermit)>,
    submissions: u64,
}

struct Open {
    tickets: Vec<Ticket>,
    done: Vec<Option<Submitted>>,
    left: usize,
    decided: Option<oneshot::Sender<Vec<Submitted>>>,
    _room: OwnedSemaphorePermit,
}

impl Loop {
    fn new(cluster: ClusterId, bulletin: Arc<Bulletin>, received: Receiver<Request>) -> Loop {
        let options = Options { cluster, ..Options::default() };
        let nowhere = vec![None; bulletin.read().places.len()];
        let client = Client::of_replicas(&nowhere, options);
        Loop {
            client: client.unwrap_or_else(|error| panic!("the gateway cannot wait for sockets: {error}")),
            bulletin,
            places: Vec::new(),
            received,
            early: VecDeque::new(),
            open: BTreeMap::new(),
            of_tickets: BTreeMap::new(),
            reads: BTreeMap::new(),
            submissions: 0,
        }
    }

    fn run(mut self) {
        loop {
            if self.open.is_empty() && self.reads.is_empty() && self.early.is_empty() {
                // Its client looks for a leader as long as it is asked to wait: not for nobody.
                let Ok(request) = self.received.recv() else { return };
                self.early.push_back(request);
            }
            self.early.extend(self.received.try_iter());
            self.follow_places();
            if self.client.is_welcomed() {
                while let Some(request) = self.early.pop_front() {
                    self.take(request);
                }
            }
            match self.client.poll(TURN) {
                Ok(done) => done.into_iter().for_each(|completion| self.complete(completion)),
                Err(error) => panic!("the gateway cannot wait for sockets: {error}"),
            }
            while let Some((number, states)) = self.client.poll_read() {
                let (Some((answer, _)), Some(state)) =
                    (self.reads.remove(&number), states.into_iter().next())
                else {
                    continue;
                };
                // Whoever asked may be gone.
                let _ = answer.send(state);
            }
            self.forget_abandoned();
        }
    }

    /// Tells the client where replicas are that have said so, or that are elsewhere now.
    fn follow_places(&mut self) {
        let places = self.bulletin.read().places;
        if places == self.places {
            return;
        }
        for (replica, place) in places.iter().enumerate() {
            if self.places.get(replica) == Some(place) {
                continue;
            }
            match place.client() {
                Some(Ok(address)) => self.client.set_address(replica, address),
                Some(Err(error)) => {
                    tracing::warn!(replica, host = place.host, %error, "events that come by HTTP cannot be sent there");
                }
                None => {}
            }
        }
        self.places = places;
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Submit(submission) => self.submit(submission),
            Request::Read { answer, .. } if answer.is_closed() => {}
            Request::Read { domain, entity, answer, room } => {
                let number = self.client.enqueue_read(domain, entity);
                self.reads.insert(number, (answer, room));
            }
        }
    }

    fn submit(&mut self, Submission { events, accepted, decided, room }: Submission) {
        if decided.as_ref().is_some_and(oneshot::Sender::is_closed) {
            return;
        }
        let number = self.submissions;
        self.submissions += 1;
        let mut told = Vec::with_capacity(events.len());
        let mut tickets = Vec::with_capacity(events.len());
        for (at, event) in events.iter().enumerate() {
            let ticket = match self.client.enqueue(event) {
                Ok(ticket) => ticket,
                Err(error) => panic!("an event that was looked at cannot be submitted: {error}"),
            };
            let Some((key, deadline)) = self.client.pending(ticket) else {
                panic!("{ticket} was enqueued and is not pending");
            };
            told.push(Accepted { key, deadline });
            tickets.push(ticket);
            self.of_tickets.insert(ticket, (number, at));
        }
        // Whoever waits for the outcomes only does not listen.
        let _ = accepted.send(told);
        if events.is_empty() {
            let _ = decided.map(|decided| decided.send(Vec::new()));
            return;
        }
        let (done, left) = (vec![None; events.len()], events.len());
        self.open.insert(number, Open { tickets, done, left, decided, _room: room });
    }

    fn complete(&mut self, Completion { ticket, key, deadline, outcome }: Completion) {
        let Some((number, at)) = self.of_tickets.remove(&ticket) else {
            panic!("nobody submitted what completes as {ticket}");
        };
        let Some(open) = self.open.get_mut(&number) else {
            panic!("submission {number} is decided as a whole, and {ticket} belongs to it");
        };
        let answer = match outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Unknown => None,
        };
        open.done[at] = Some(Submitted { accepted: Accepted { key, deadline }, answer });
        open.left -= 1;
        if open.left == 0
            && let Some(open) = self.open.remove(&number)
        {
            // Whoever asked may be gone.
            let _ = open.decided.map(|decided| decided.send(open.done.into_iter().flatten().collect()));
        }
    }

    /// What nobody waits for any more is not sent again.
    fn forget_abandoned(&mut self) {
        let is_gone = |open: &Open| open.decided.as_ref().is_some_and(oneshot::Sender::is_closed);
        for (_, open) in self.open.extract_if(.., |_, open| is_gone(open)) {
            for ticket in open.tickets {
                if self.of_tickets.remove(&ticket).is_some() {
                    self.client.forget(ticket);
                }
            }
        }
        for (number, _) in self.reads.extract_if(.., |_, (answer, _)| answer.is_closed()) {
            self.client.forget_read(number);
        }
        self.early.retain(|request| match request {
            Request::Submit(Submission { decided, .. }) => {
                !decided.as_ref().is_some_and(oneshot::Sender::is_closed)
            }
            Request::Read { answer, .. } => !answer.is_closed(),
        });
    }
}

/// A wake that came to nothing is made up for after so long; so is a caller that went.
const TURN: Duration = Duration::from_millis(100);
