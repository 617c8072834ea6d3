//! The client without I/O: splits events by owning shard over lanes to the leader, keeps what is unanswered, sends it
//! again to whoever leads next, gives up at the deadline (W4).
//!
//! The first lanes are those of the [`Finder`], one for each address; the others lead to the leader's ports, or to
//! those of a former leader, whose late answers are as good as any. An event's fate is the first decision that comes,
//! from whichever replica: enough of them computed the same.
//!
//! Call order, by the shell: [`Core::handle_timeout`]; for each lane [`Core::poll_lane`] and do what it says
//! (connect → [`Core::handle_connected`] or [`Core::handle_lost`]); send [`Core::output`]; receive into
//! [`Core::space`] and call [`Core::handle_received`]; take results with [`Core::poll_completion`] and
//! [`Core::poll_read`]. Time is an argument everywhere.

mod answers;

use std::collections::VecDeque;
use std::time::Duration;

use assize_wire::event::{EventError, encode_event};
use assize_wire::limits::STRIPE_EVENTS_MAX;
use assize_wire::message::{Consistency, EntityRef, Welcome};
use assize_wire::routing::Routing;
use assize_wire::{EventKey, ReplicaId, StreamTime};

use super::clock::{StreamClock, Tick};
use super::error::SessionError;
use super::event::{Completion, EntityRead, NewEvent, Outcome, Ticket};
use super::finder::{Finder, FinderCounts, Found, SiteAction, SiteId};
use super::lane::{InFlight, Lane, Part};
use super::options::Options;
use super::pending::{Job, Pending, PendingEvent, PendingRead};
use super::session::Session;

/// One of a client's connections, up or down; the first ones are those that look for the leader, by site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(pub usize);

/// What the shell must do for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneAction {
    /// Nothing.
    None,
    /// Connect to this port at the site's host, or to the site's address as given.
    Connect(SiteId, Option<u16>),
    /// Close the connection: it is not needed, or has been silent for too long. Then [`Core::handle_lost`].
    Close,
}

/// The state of one client.
#[derive(Debug)]
pub struct Core {
    options: Options,
    finder: Finder,
    /// The finder's term for which `lanes` are made.
    term: u64,
    clock: StreamClock,
    /// Of the leader, or of whoever welcomed us last if none is known yet.
    welcome: Option<Welcome>,
    routing: Option<Routing>,
    lanes: Vec<Lane>,
    /// For each shard the lane to its owner; empty while there is no leader.
    lane_of_shard: Vec<usize>,
    pending: Pending,
    /// Events that wait for a leader, in the order in which they are to be sent.
    homeless: VecDeque<u64>,
    reads: VecDeque<u64>,
    next_id: u64,
    completions: VecDeque<Completion>,
    reads_done: VecDeque<(u64, Vec<EntityRead>)>,
}

impl Core {
    /// A client that knows this many addresses, each of a replica of one cluster.
    #[must_use]
    pub fn new(sites: usize, options: Options) -> Core {
        Core {
            finder: Finder::new(sites, &options),
            term: 0,
            options,
            clock: StreamClock::default(),
            welcome: None,
            routing: None,
            lanes: Vec::new(),
            lane_of_shard: Vec::new(),
            pending: Pending::default(),
            homeless: VecDeque::new(),
            reads: VecDeque::new(),
            next_id: 0,
            completions: VecDeque::new(),
            reads_done: VecDeque::new(),
        }
    }

    /// What the leader last said of itself, or another replica if none leads yet.
    #[must_use]
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Stream time, as told and aged.
    #[must_use]
    pub fn clock(&self) -> &StreamClock {
        &self.clock
    }

    /// Lanes there are; never fewer than before.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.finder.sites() + self.lanes.len()
    }

    /// Who leads, as far as this client knows.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaId> {
        self.finder.leader().map(|found| found.welcome.replica)
    }

    /// Redirects and changes of leader so far.
    #[must_use]
    pub fn finder_counts(&self) -> FinderCounts {
        self.finder.counts()
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
        let fresh = self.clock.deadline(now, self.options.key_lifetime, welcome.warden_ttl_ns);
        let deadline = event.deadline.unwrap_or(fresh);
        // Who submits after the deadline asks what became of the key: it can have no effect any more, but the log
        // knows.
        let give_up_at = if deadline > self.clock.now(now) { deadline } else { fresh };
        let mut bytes = Vec::new();
        encode_event(&mut bytes, key, deadline, event.domain, event.version, &event.payload)?;
        let shard = routing.shard_of_key(key);
        let ticket = self.draw_id();
        let pending = PendingEvent { key, deadline, give_up_at, shard, bytes, attempts: 0 };
        self.pending.insert_event(ticket, pending);
        self.requeue(Job::Event(ticket));
        Ok(Ticket(ticket))
    }

    /// Takes a read in; its states come from [`Core::poll_read`] under the number returned.
    pub fn enqueue_read(&mut self, entities: Vec<EntityRef>) -> u64 {
        let number = self.draw_id();
        self.pending.reads.insert(number, PendingRead::new(entities));
        self.reads.push_back(number);
        number
    }

    /// Key and deadline of an event that is not done with.
    #[must_use]
    pub fn pending(&self, ticket: Ticket) -> Option<(EventKey, StreamTime)> {
        self.pending.events.get(&ticket.0).map(|event| (event.key, event.deadline))
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
        while let Some((ticket, event)) = self.pending.pop_given_up(self.clock.now(now)) {
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
        self.watch_lanes(now);
        self.finder.handle_timeout(now);
        self.follow_leader(now);
        for lane in 0..self.lanes.len() {
            self.flush_events(lane, now);
        }
        self.flush_reads(now);
        self.check_invariants();
    }

    /// What must always hold: a lane that waits to hear of the leader waits for an answer to a question.
    pub fn check_invariants(&self) {
        let Some(found) = self.finder.leader() else { return };
        for lane in &self.lanes {
            let waits = lane.is_down() && found.confirmed_at < lane.lost_at;
            let Lane { port, lost_at, .. } = lane;
            assert!(
                !waits || self.finder.is_searching(),
                "the connection to port {port} was lost at {lost_at:?}, and the leader, last heard of at {:?}, is not asked",
                found.confirmed_at
            );
        }
    }

    /// When to call [`Core::handle_timeout`] again if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self, now: Tick) -> Tick {
        let (retry, give_up) = self.pending.next();
        let give_up = give_up.map_or(Tick::NEVER, |at| self.clock.tick_of(at));
        let of_lane = |lane: &Lane| {
            let closes = lane.close_at(&self.options).min(lane.stalled_at(&self.options));
            closes.min(self.connect_at(lane).unwrap_or(Tick::NEVER))
        };
        let lanes = self.lanes.iter().map(of_lane).min().unwrap_or(Tick::NEVER);
        retry.min(give_up).min(lanes).min(self.finder.next_timeout(now))
    }

    /// What is to be done for a lane.
    pub fn poll_lane(&mut self, lane: LaneId, now: Tick) -> LaneAction {
        let at = match self.place(lane) {
            Place::Site(site) => {
                return match self.finder.poll_site(site, now) {
                    SiteAction::None => LaneAction::None,
                    SiteAction::Connect => LaneAction::Connect(site, None),
                    SiteAction::Close => LaneAction::Close,
                };
            }
            Place::Lane(at) => at,
        };
        if self.lanes[at].close_at(&self.options) <= now {
            return LaneAction::Close;
        }
        if self.connect_at(&self.lanes[at]).is_some_and(|due| due <= now) {
            let lane = &mut self.lanes[at];
            lane.connecting = true;
            return LaneAction::Connect(lane.site, Some(lane.port));
        }
        LaneAction::None
    }

    /// Whether a lane that is to be closed owes something that will not be had elsewhere.
    #[must_use]
    pub fn is_silent(&self, lane: LaneId) -> bool {
        match self.place(lane) {
            Place::Site(_) => self.welcome.is_none(),
            Place::Lane(at) => self.lanes[at].part == Part::Current,
        }
    }

    /// A lane's connection is being made or was made; its `Hello` is in [`Core::output`].
    pub fn handle_connected(&mut self, lane: LaneId, now: Tick) {
        match self.place(lane) {
            Place::Site(site) => self.finder.handle_connected(site),
            Place::Lane(at) => {
                let lane = &mut self.lanes[at];
                lane.session = Some(Session::new(self.finder.cluster()));
                lane.connecting = false;
                lane.handle_owed(now);
            }
        }
    }

    /// A lane's connection could not be made or is gone. What was under way on it goes again, same keys, same bytes.
    pub fn handle_lost(&mut self, lane: LaneId, now: Tick) {
        match self.place(lane) {
            Place::Site(site) => self.finder.handle_lost(site, now),
            Place::Lane(at) => {
                let lane = &mut self.lanes[at];
                if lane.part == Part::Current {
                    self.finder.handle_doubt(now);
                }
                let jobs = lane.jobs();
                lane.handle_lost(now, &self.options);
                jobs.into_iter().for_each(|job| self.requeue(job));
            }
        }
        self.follow_leader(now);
    }

    /// Bytes to be sent on a lane.
    #[must_use]
    pub fn output(&self, lane: LaneId) -> &[u8] {
        match self.place(lane) {
            Place::Site(site) => self.finder.output(site),
            Place::Lane(at) => self.lanes[at].session.as_ref().map_or(&[], Session::output),
        }
    }

    /// The first `count` bytes of [`Core::output`] were sent.
    pub fn handle_written(&mut self, lane: LaneId, count: usize) {
        match self.place(lane) {
            Place::Site(site) => self.finder.handle_written(site, count),
            Place::Lane(at) => {
                if let Some(session) = &mut self.lanes[at].session {
                    session.handle_written(count);
                }
            }
        }
    }

    /// Where to receive a lane's bytes; empty if it is down.
    pub fn space(&mut self, lane: LaneId) -> &mut [u8] {
        match self.place(lane) {
            Place::Site(site) => self.finder.space(site),
            Place::Lane(at) => self.lanes[at].session.as_mut().map_or(&mut [], Session::space),
        }
    }

    /// `count` bytes were received on a lane.
    ///
    /// # Errors
    /// [`SessionError`]: the shell must close the connection and call [`Core::handle_lost`].
    pub fn handle_received(&mut self, lane: LaneId, count: usize, now: Tick) -> Result<(), SessionError> {
        let at = match self.place(lane) {
            Place::Site(site) => {
                if let Some(welcome) = self.finder.handle_received(site, count, now)? {
                    self.clock.handle_told(welcome.stream_time, now);
                    self.handle_welcome(welcome)?;
                }
                self.follow_leader(now);
                return Ok(());
            }
            Place::Lane(at) => at,
        };
        self.lanes[at].last_heard = now;
        // The session leaves the lane while it is read, so that its events can change the rest of this.
        let Some(mut session) = self.lanes[at].session.take() else {
            return Ok(());
        };
        session.handle_received(count);
        let result = self.read_events(at, &mut session, now);
        self.lanes[at].session = Some(session);
        self.follow_leader(now);
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
    pub fn poll_read(&mut self) -> Option<(u64, Vec<EntityRead>)> {
        self.reads_done.pop_front()
    }

    /// Whether [`Core::poll_read`] has one.
    #[must_use]
    pub fn has_read(&self) -> bool {
        !self.reads_done.is_empty()
    }

    /// Makes the lanes those of the present leader, if that is another than before. What waited for the one before, or
    /// was under way there, goes to the new one in the order in which it was enqueued.
    fn follow_leader(&mut self, now: Tick) {
        if self.term == self.finder.term() {
            return;
        }
        self.term = self.finder.term();
        self.lane_of_shard.clear();
        let mut jobs: Vec<Job> = self.homeless.drain(..).map(Job::Event).collect();
        for lane in &mut self.lanes {
            jobs.extend(lane.jobs());
            lane.retire(now);
        }
        jobs.sort_unstable();
        if let Some(Found { site, welcome, .. }) = self.finder.leader() {
            for port in &welcome.ports {
                let known = self.lanes.iter().position(|lane| (lane.site, lane.port) == (*site, *port));
                let at = known.unwrap_or_else(|| {
                    self.lanes.push(Lane::new(*site, *port, now));
                    self.lanes.len() - 1
                });
                self.lanes[at].revive(now);
                self.lane_of_shard.push(at);
            }
        }
        jobs.into_iter().for_each(|job| self.requeue(job));
    }

    /// Lanes on which the leader leaves everything unanswered for too long: is it there, and does it lead?
    fn watch_lanes(&mut self, now: Tick) {
        for lane in &mut self.lanes {
            if lane.stalled_at(&self.options) <= now {
                lane.progress_at = now;
                if let Some(session) = lane.ready() {
                    session.ping();
                }
                self.finder.handle_stalled(now);
            }
        }
    }

    /// When a lane that is down may be connected; never before the leader was heard of since it was lost.
    fn connect_at(&self, lane: &Lane) -> Option<Tick> {
        let confirmed = self.finder.leader()?.confirmed_at >= lane.lost_at;
        (lane.is_down() && confirmed).then_some(lane.connect_at)
    }

    fn place(&self, lane: LaneId) -> Place {
        match lane.0.checked_sub(self.finder.sites()) {
            None => Place::Site(SiteId(lane.0)),
            Some(at) => Place::Lane(at),
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
                    match self.lane_of_shard.get(usize::from(event.shard.0)) {
                        Some(lane) => self.lanes[*lane].queue.push_back(ticket),
                        None => self.homeless.push_back(ticket),
                    }
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
            let tag = lane.track(InFlight::Events(tickets), now);
            let session = lane.session.as_mut().expect("the lane is ready");
            session.submit(tag, events.len() as u32, events.into_iter());
        }
    }

    /// Sends reads on the leader's first lane that is up: any port reads every shard.
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
            let tag = lane.track(InFlight::Read(number), now);
            let session = lane.session.as_mut().expect("the lane is ready");
            session.read(tag, Consistency::Linearizable, &read.entities);
        }
    }

    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Where a lane's state is.
enum Place {
    Site(SiteId),
    Lane(usize),
}

/// A request is closed when it has this many bytes, well under the frame's limit whatever the last event adds.
const REQUEST_BYTES: usize = 1 << 20;
