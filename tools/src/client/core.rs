//! The client without I/O: splits events by owning shard over lanes, keeps what is unanswered, retries, gives up at
//! the deadline (W4).
//!
//! Call order, by the shell: [`Core::handle_timeout`]; for each lane [`Core::poll_lane`] and do what it says
//! (connect → [`Core::handle_connected`] or [`Core::handle_lost`]); send [`Core::output`]; receive into
//! [`Core::space`] and call [`Core::handle_received`]; take results with [`Core::poll_completion`] and
//! [`Core::poll_read`]. Time is an argument everywhere.

use std::collections::VecDeque;
use std::time::Duration;

use assize_wire::event::{EventError, encode_event};
use assize_wire::limits::STRIPE_EVENTS_MAX;
use assize_wire::message::{Consistency, EntityRef, Refused, Welcome};
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, EventKey};

use super::clock::{StreamClock, Tick};
use super::error::SessionError;
use super::event::{AnswerOwned, Completion, NewEvent, Outcome, Ticket};
use super::lane::{ANSWERED, InFlight, Lane};
use super::options::Options;
use super::pending::{Job, Pending, PendingEvent, PendingRead};
use super::session::{Session, SessionEvent};

/// One of a client's connections, up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(pub usize);

/// What the shell must do for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneAction {
    /// Nothing.
    None,
    /// Connect to this port at the replica's host, or to the address as given.
    Connect(Option<u16>),
    /// Close the connection: it owes something and has been silent for too long. Then [`Core::handle_lost`].
    Close,
}

/// The state of one client.
#[derive(Debug)]
pub struct Core {
    options: Options,
    cluster: ClusterId,
    clock: StreamClock,
    welcome: Option<Welcome>,
    routing: Option<Routing>,
    lanes: Vec<Lane>,
    /// For each shard the lane to its owner.
    lane_of_shard: Vec<usize>,
    pending: Pending,
    reads: VecDeque<u64>,
    next_id: u64,
    completions: VecDeque<Completion>,
    reads_done: VecDeque<(u64, Vec<Option<Vec<u8>>>)>,
    told_not_leader: bool,
}

impl Core {
    /// A client that knows one address, as lane 0.
    #[must_use]
    pub fn new(options: Options) -> Core {
        Core {
            cluster: options.cluster,
            options,
            clock: StreamClock::default(),
            welcome: None,
            routing: None,
            lanes: vec![Lane::new(None, Tick::default())],
            lane_of_shard: Vec::new(),
            pending: Pending::default(),
            reads: VecDeque::new(),
            next_id: 0,
            completions: VecDeque::new(),
            reads_done: VecDeque::new(),
            told_not_leader: false,
        }
    }

    /// What the replica last said of itself.
    #[must_use]
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Stream time, as told and aged.
    #[must_use]
    pub fn clock(&self) -> &StreamClock {
        &self.clock
    }

    /// Lanes there are: one for the address as given, one for each further port.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Takes an event in. Only after the first welcome: a deadline needs stream time.
    ///
    /// # Errors
    /// [`EventError`] when it cannot be encoded.
    ///
    /// # Panics
    /// Before the first welcome.
    pub fn enqueue(&mut self, event: &NewEvent, key: EventKey, now: Tick) -> Result<Ticket, EventError> {
        let (Some(routing), Some(welcome)) = (self.routing, &self.welcome) else {
            panic!("an event before the first welcome");
        };
        let deadline = event
            .deadline
            .unwrap_or_else(|| self.clock.deadline(now, self.options.key_lifetime, welcome.warden_ttl_ns));
        let mut bytes = Vec::new();
        encode_event(&mut bytes, key, deadline, event.domain, event.version, &event.payload)?;
        let shard = routing.shard_of_key(key);
        let ticket = self.draw_id();
        let pending = PendingEvent { key, deadline, shard, bytes, attempts: 0 };
        self.pending.insert_event(ticket, pending);
        self.lanes[self.lane_of_shard[usize::from(shard.0)]].queue.push_back(ticket);
        Ok(Ticket(ticket))
    }

    /// Takes a read in; its states come from [`Core::poll_read`] under the number returned.
    pub fn enqueue_read(&mut self, entities: Vec<EntityRef>) -> u64 {
        let number = self.draw_id();
        self.pending.reads.insert(number, PendingRead::new(entities));
        self.reads.push_back(number);
        number
    }

    /// Gives an event up without learning its fate.
    pub fn forget(&mut self, ticket: Ticket) {
        self.pending.remove_event(ticket.0);
    }

    /// Gives a read up.
    pub fn forget_read(&mut self, number: u64) {
        self.pending.reads.remove(&number);
    }

    /// Events that are not done with.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.pending.events.len()
    }

    /// Time passed: deadlines are kept, waits end, and what is ready is written to the lanes.
    pub fn handle_timeout(&mut self, now: Tick) {
        while let Some((ticket, event)) = self.pending.pop_expired(self.clock.now(now)) {
            self.completions.push_back(Completion {
                ticket: Ticket(ticket),
                key: event.key,
                deadline: event.deadline,
                outcome: Outcome::Unknown,
            });
        }
        while let Some(job) = self.pending.pop_retry(now) {
            self.requeue(job);
        }
        for lane in 0..self.lanes.len() {
            self.flush_events(lane, now);
        }
        self.flush_reads(now);
    }

    /// When to call [`Core::handle_timeout`] again if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Tick {
        let (retry, deadline) = self.pending.next();
        let deadline = deadline.map_or(Tick::NEVER, |deadline| self.clock.tick_of(deadline));
        let lanes = self.lanes.iter().map(|lane| lane.next_timeout(&self.options)).min();
        retry.min(deadline).min(lanes.unwrap_or(Tick::NEVER))
    }

    /// What is to be done for a lane.
    pub fn poll_lane(&mut self, lane: LaneId, now: Tick) -> LaneAction {
        let due = self.lanes[lane.0].next_timeout(&self.options) <= now;
        let lane = &mut self.lanes[lane.0];
        match (due, &lane.session) {
            (false, _) => LaneAction::None,
            (true, Some(_)) => LaneAction::Close,
            (true, None) => {
                lane.connecting = true;
                LaneAction::Connect(lane.port)
            }
        }
    }

    /// A lane's connection is being made or was made; its `Hello` is in [`Core::output`].
    pub fn handle_connected(&mut self, lane: LaneId, now: Tick) {
        let lane = &mut self.lanes[lane.0];
        lane.session = Some(Session::new(self.cluster));
        lane.connecting = false;
        lane.last_heard = now;
    }

    /// A lane's connection could not be made or is gone. What was under way on it goes again, same keys, same bytes.
    pub fn handle_lost(&mut self, lane: LaneId, now: Tick) {
        for job in self.lanes[lane.0].handle_lost(now, &self.options) {
            self.requeue(job);
        }
    }

    /// Every lane is to be closed by the shell and made anew: another replica is tried.
    pub fn handle_moved(&mut self, now: Tick) {
        for lane in 0..self.lanes.len() {
            self.handle_lost(LaneId(lane), now);
        }
    }

    /// Whether the replica said since the last call that it does not lead.
    pub fn take_not_leader(&mut self) -> bool {
        std::mem::take(&mut self.told_not_leader)
    }

    /// Bytes to be sent on a lane.
    #[must_use]
    pub fn output(&self, lane: LaneId) -> &[u8] {
        self.lanes[lane.0].session.as_ref().map_or(&[], Session::output)
    }

    /// The first `count` bytes of [`Core::output`] were sent.
    pub fn handle_written(&mut self, lane: LaneId, count: usize) {
        if let Some(session) = &mut self.lanes[lane.0].session {
            session.handle_written(count);
        }
    }

    /// Where to receive a lane's bytes; empty if it is down.
    pub fn space(&mut self, lane: LaneId) -> &mut [u8] {
        self.lanes[lane.0].session.as_mut().map_or(&mut [], Session::space)
    }

    /// `count` bytes were received on a lane.
    ///
    /// # Errors
    /// [`SessionError`]: the shell must close the connection and call [`Core::handle_lost`].
    pub fn handle_received(&mut self, lane: LaneId, count: usize, now: Tick) -> Result<(), SessionError> {
        let at = lane.0;
        self.lanes[at].last_heard = now;
        // The session leaves the lane while it is read, so that its events can change the rest of this.
        let Some(mut session) = self.lanes[at].session.take() else {
            return Ok(());
        };
        session.handle_received(count);
        let result = self.read_events(at, &mut session, now);
        self.lanes[at].session = Some(session);
        result
    }

    /// The next event that is done with.
    pub fn poll_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    /// Puts completions back for a later [`Core::poll_completion`].
    pub fn return_completions(&mut self, completions: Vec<Completion>) {
        self.completions.extend(completions);
    }

    /// The next read that is whole: its number, and its states in the order of its entities.
    pub fn poll_read(&mut self) -> Option<(u64, Vec<Option<Vec<u8>>>)> {
        self.reads_done.pop_front()
    }

    fn read_events(&mut self, lane: usize, session: &mut Session, now: Tick) -> Result<(), SessionError> {
        while let Some(event) = session.poll_event()? {
            if let Some(told) = event.stream_time() {
                self.clock.handle_told(told, now);
            }
            match event {
                SessionEvent::Welcome(welcome) => self.handle_welcome(lane, welcome, now)?,
                SessionEvent::Answers { tag, whole, answers } => {
                    for answer in answers {
                        let answer = answer.map_err(SessionError::Message)?;
                        self.handle_answer(lane, tag, &answer, now)?;
                    }
                    if whole {
                        self.lanes[lane].finish(tag);
                    }
                }
                SessionEvent::States { tag, states, .. } => self.handle_states(lane, tag, states)?,
                SessionEvent::Refused { tag, refused } => self.handle_refused(lane, tag, &refused, now),
                SessionEvent::Pong => {}
            }
        }
        Ok(())
    }

    fn handle_welcome(&mut self, lane: usize, welcome: Welcome, now: Tick) -> Result<(), SessionError> {
        if self.cluster != ClusterId(0) && self.cluster != welcome.cluster {
            return Err(SessionError::OtherCluster);
        }
        self.cluster = welcome.cluster;
        self.lanes[lane].backoff = Duration::ZERO;
        let changed = self.welcome.as_ref().is_none_or(|known| known.ports != welcome.ports);
        if changed {
            self.map_shards(&welcome, now);
        }
        self.welcome = Some(welcome);
        Ok(())
    }

    /// Gives every port a lane. Lanes are never taken away, so that their ids stay; one without a shard just idles.
    fn map_shards(&mut self, welcome: &Welcome, now: Tick) {
        let routing = Routing { seed: welcome.routing_seed, shards: welcome.ports.len() as u16 };
        self.routing = Some(routing);
        self.lane_of_shard.clear();
        for port in &welcome.ports {
            let known = self.lanes.iter().position(|lane| lane.port == Some(*port));
            let at = known.unwrap_or_else(|| {
                self.lanes.push(Lane::new(Some(*port), now));
                self.lanes.len() - 1
            });
            self.lane_of_shard.push(at);
        }
        let queued: Vec<u64> = self.lanes.iter_mut().flat_map(|lane| lane.queue.drain(..)).collect();
        for ticket in queued {
            if let Some(event) = self.pending.events.get_mut(&ticket) {
                event.shard = routing.shard_of_key(event.key);
                self.requeue(Job::Event(ticket));
            }
        }
    }

    fn handle_answer(
        &mut self,
        lane: usize,
        tag: u64,
        answer: &assize_wire::message::Answer<'_>,
        now: Tick,
    ) -> Result<(), SessionError> {
        let slot = match &mut self.lanes[lane].in_flight[tag as usize] {
            Some(InFlight::Events(tickets)) => tickets.get_mut(answer.index as usize),
            _ => None,
        };
        let ticket = match slot {
            Some(ticket) if *ticket != ANSWERED => std::mem::replace(ticket, ANSWERED),
            _ => return Err(SessionError::TooManyAnswers { number: tag }),
        };
        if !answer.status.is_final() {
            self.told_not_leader |= answer.status == Status::NotLeader;
            let hint = Duration::from_micros(answer.retry_after_us.into());
            self.retry(Job::Event(ticket), now, hint);
        } else if let Some(event) = self.pending.remove_event(ticket) {
            self.completions.push_back(Completion {
                ticket: Ticket(ticket),
                key: event.key,
                deadline: event.deadline,
                outcome: Outcome::Answered(AnswerOwned::from_wire(answer)),
            });
        }
        Ok(())
    }

    fn handle_states(
        &mut self,
        lane: usize,
        tag: u64,
        states: assize_wire::message::States<'_>,
    ) -> Result<(), SessionError> {
        let Some(InFlight::Read(number)) = self.lanes[lane].in_flight[tag as usize] else {
            return Err(SessionError::UnknownRequest { number: tag });
        };
        let Some(read) = self.pending.reads.get_mut(&number) else {
            return Ok(());
        };
        for state in states {
            let state = state.map_err(SessionError::Message)?;
            let at = state.index as usize;
            if read.seen.get(at).copied() != Some(false) {
                return Err(SessionError::TooManyAnswers { number: tag });
            }
            read.seen[at] = true;
            read.states[at] = state.state.map(<[u8]>::to_vec);
            read.missing -= 1;
        }
        if read.missing == 0 {
            let states = std::mem::take(&mut read.states);
            self.pending.reads.remove(&number);
            self.lanes[lane].finish(tag);
            self.reads_done.push_back((number, states));
        }
        Ok(())
    }

    /// Nothing of the request was admitted.
    fn handle_refused(&mut self, lane: usize, tag: u64, refused: &Refused, now: Tick) {
        let hint = Duration::from_micros(refused.retry_after_us.into());
        match self.lanes[lane].finish(tag) {
            Some(InFlight::Events(tickets)) => {
                for ticket in tickets.into_iter().filter(|ticket| *ticket != ANSWERED) {
                    self.retry(Job::Event(ticket), now, hint);
                }
            }
            Some(InFlight::Read(number)) => self.retry(Job::Read(number), now, hint),
            None => {}
        }
    }

    fn retry(&mut self, job: Job, now: Tick, hint: Duration) {
        let (min, max) = (self.options.backoff_min, self.options.backoff_max);
        self.pending.retry_later(job, now, hint, min, max);
    }

    fn requeue(&mut self, job: Job) {
        match job {
            Job::Event(ticket) => {
                if let Some(event) = self.pending.events.get(&ticket) {
                    let lane = self.lane_of_shard[usize::from(event.shard.0)];
                    self.lanes[lane].queue.push_back(ticket);
                }
            }
            Job::Read(number) => {
                if let Some(read) = self.pending.reads.get_mut(&number) {
                    read.restart();
                    self.reads.push_back(number);
                }
            }
        }
    }

    /// Sends what waits for a lane, as far as its credit goes.
    fn flush_events(&mut self, at: usize, now: Tick) {
        let lane = &mut self.lanes[at];
        while !lane.queue.is_empty() {
            let Some(credit) = lane.ready().map(|session| session.credit_left()) else {
                return;
            };
            let room = (credit as usize).min(STRIPE_EVENTS_MAX);
            let (mut tickets, mut bytes) = (Vec::new(), 0);
            while tickets.len() < room && bytes < REQUEST_BYTES {
                let Some(ticket) = lane.queue.pop_front() else {
                    break;
                };
                if let Some(event) = self.pending.events.get(&ticket) {
                    bytes += event.bytes.len();
                    tickets.push(ticket);
                }
            }
            if tickets.is_empty() {
                return;
            }
            let events: Vec<&[u8]> =
                tickets.iter().map(|ticket| self.pending.events[ticket].bytes.as_slice()).collect();
            let tag = lane.track(InFlight::Events(tickets));
            let session = lane.session.as_mut().expect("the lane is ready");
            if !session.is_waiting() {
                lane.last_heard = now;
            }
            session.submit(tag, events.len() as u32, events.into_iter());
        }
    }

    /// Sends reads on the first lane that is up: any port reads every shard.
    fn flush_reads(&mut self, now: Tick) {
        while !self.reads.is_empty() {
            let Some(lane) = self.lanes.iter_mut().find_map(|lane| lane.ready().is_some().then_some(lane))
            else {
                return;
            };
            let number = self.reads.pop_front().expect("one is there");
            let Some(read) = self.pending.reads.get(&number) else {
                continue;
            };
            let tag = lane.track(InFlight::Read(number));
            let session = lane.session.as_mut().expect("the lane is ready");
            if !session.is_waiting() {
                lane.last_heard = now;
            }
            session.read(tag, Consistency::Linearizable, &read.entities);
        }
    }

    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// A request is closed when it has this many bytes, well under the frame's limit whatever the last event adds.
const REQUEST_BYTES: usize = 1 << 20;
