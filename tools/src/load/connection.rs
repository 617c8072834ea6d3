//! One connection of the load: its socket and session, the batches under way on it and those to be sent again.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use assize_wire::ClusterId;
use assize_wire::message::{Answer, RefusedCode};
use assize_wire::outcome::Status;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::batch::{Batch, BatchState};
use super::worker::Context;
use crate::client::{Session, SessionError, SessionEvent, SiteId, Tick};

/// One connection to the leader, up or down.
pub(super) struct Connection {
    token: Token,
    /// The finder's term in which `to` led; what is sent in another is not for it.
    term: u64,
    /// The leader's site, and there the port of the shard's owner; none while nobody leads.
    to: Option<(SiteId, SocketAddr)>,
    attempts: usize,
    lost_at: Tick,
    cluster: ClusterId,
    /// The shards whose keys this connection carries, in turn, each with the lane that they make.
    shards: Vec<(u16, usize)>,
    next_shard: usize,
    stream: Option<TcpStream>,
    session: Option<Session>,
    batches: Vec<Batch>,
    free: Vec<usize>,
    /// Batches to be sent, again or because there was no credit for them.
    waiting: VecDeque<usize>,
    connect_at: u64,
    last_heard: u64,
    /// When an answer came, or it began to owe some.
    answered_at: u64,
    /// The same, or when its silence was last found strange.
    progress_at: u64,
    pub welcomed_once: bool,
    /// What the last lost connection met, for people.
    pub last: String,
}

impl Connection {
    pub(super) fn new(token: Token, cluster: ClusterId, shards: Vec<(u16, usize)>) -> Connection {
        Connection {
            token,
            term: 0,
            to: None,
            attempts: 0,
            lost_at: Tick::default(),
            cluster,
            shards,
            next_shard: 0,
            stream: None,
            session: None,
            batches: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            connect_at: 0,
            last_heard: 0,
            answered_at: 0,
            progress_at: 0,
            welcomed_once: false,
            last: String::new(),
        }
    }

    /// Whether [`Connection::attend`] has something to do, now or later.
    pub(super) fn needs_attention(&self) -> bool {
        self.stream.is_none() || !self.waiting.is_empty()
    }

    /// Batches that are not answered in full.
    pub(super) fn outstanding(&self) -> usize {
        self.batches.len() - self.free.len()
    }

    /// Events that are not answered.
    pub(super) fn unanswered(&self) -> u64 {
        let open = self.batches.iter().filter(|batch| batch.state != BatchState::Free);
        open.map(|batch| u64::from(batch.missing)).sum()
    }

    /// The shard for whose owner this is.
    pub(super) fn shard(&self) -> usize {
        usize::from(self.shards[0].0)
    }

    /// Another replica leads, at this address for this connection, or none does. What was under way goes again.
    pub(super) fn follow(
        &mut self,
        term: u64,
        to: Option<(SiteId, SocketAddr)>,
        context: &mut Context<'_>,
        now: u64,
    ) {
        let is_owed = self.session.as_ref().is_some_and(Session::is_waiting);
        // While nobody leads the old connection stays: what is under way may still be answered.
        if to.is_some() && self.stream.is_some() && (self.to != to || is_owed) {
            self.close(context, "another replica leads".into());
        }
        // One that is down was perhaps lost after the leader was last heard of, and before this thread took that in.
        if to.is_some() && self.stream.is_none() {
            self.attempts = 0;
            self.connect_at = now;
            self.lost_at = Tick::default();
        }
        if to.is_some() {
            self.to = to;
        }
        self.term = term;
        context.attention = true;
    }

    /// Connects and sends again what is due. Returns when it next needs attention.
    pub(super) fn attend(&mut self, registry: &Registry, context: &mut Context<'_>, now: u64) -> u64 {
        if self.stream.is_none() {
            // A lost one is made again only after the leader was heard of: it may be gone.
            let confirmed = context.finder.leader().is_some_and(|found| found.confirmed_at >= self.lost_at);
            return match self.to {
                Some((_, address)) if confirmed && self.connect_at <= now => {
                    self.connect(registry, address, context, now);
                    if self.stream.is_none() { self.connect_at } else { u64::MAX }
                }
                Some(_) if confirmed => self.connect_at,
                _ => u64::MAX,
            };
        }
        let mut next = u64::MAX;
        for _ in 0..self.waiting.len() {
            let Some(at) = self.waiting.pop_front() else { break };
            let due = self.batches[at].retry_at;
            if due > now {
                next = next.min(due);
                self.waiting.push_back(at);
            } else if !self.send(at, context, now) {
                self.waiting.push_back(at);
            }
        }
        next
    }

    /// Whether a new batch may be started.
    pub(super) fn has_room(&self, context: &Context<'_>) -> bool {
        if !self.is_current(context) {
            return false;
        }
        let session = self.session.as_ref().filter(|session| session.is_welcomed());
        session.is_some_and(|session| {
            self.waiting.is_empty()
                && self.outstanding() < context.depth
                && session.credit_left() >= (context.plan.batch as u32).min(session.credit())
        })
    }

    /// Whether it leads to the leader.
    fn is_current(&self, context: &Context<'_>) -> bool {
        self.term == context.finder.term() && context.finder.leader().is_some()
    }

    /// Whether a shard's events go over it.
    pub(super) fn carries(&self, shard: u16) -> bool {
        self.shards.iter().any(|(carried, _)| *carried == shard)
    }

    /// Makes a new batch for the shard whose turn it is, and sends it.
    pub(super) fn start(&mut self, context: &mut Context<'_>, intended: u64, now: u64) {
        let (shard, lane) = self.shards[self.next_shard];
        self.next_shard = (self.next_shard + 1) % self.shards.len();
        self.begin((shard, lane), intended, context, now);
    }

    /// Makes a new batch for this shard, and sends it.
    pub(super) fn start_for(&mut self, shard: u16, context: &mut Context<'_>, now: u64) {
        let of_shard = self.shards.iter().find(|(carried, _)| *carried == shard);
        let (shard, lane) = *of_shard.expect("it carries the shard");
        self.begin((shard, lane), now, context, now);
    }

    fn begin(&mut self, (shard, lane): (u16, usize), intended: u64, context: &mut Context<'_>, now: u64) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.batches.push(Batch::default());
            self.batches.len() - 1
        });
        let batch = &mut self.batches[at];
        batch.clear(shard, lane, intended);
        context.fill(batch, now);
        if !self.send(at, context, now) {
            self.waiting.push_back(at);
            context.attention = true;
        }
    }

    /// Sends the open events of a batch, as far as the credit goes; false if it must wait.
    fn send(&mut self, at: usize, context: &mut Context<'_>, now: u64) -> bool {
        if !self.is_current(context) {
            return false;
        }
        let Some(session) = self.session.as_mut().filter(|session| session.is_welcomed()) else {
            return false;
        };
        let batch = &mut self.batches[at];
        // Credit for most of the rest is waited for, or a rest would go out in ever smaller pieces.
        if session.credit_left() < batch.missing.min(session.credit().div_ceil(2)) {
            return false;
        }
        let count = batch.choose(session.credit_left());
        if batch.resubmitted {
            context.stats.resubmitted += u64::from(count);
        }
        if !session.is_waiting() {
            self.last_heard = now;
            self.answered_at = now;
            self.progress_at = now;
        }
        batch.state = BatchState::Sent;
        batch.hint_us = None;
        session.submit(at as u64, count, batch.chosen());
        self.flush(context, now);
        true
    }

    fn connect(&mut self, registry: &Registry, address: SocketAddr, context: &mut Context<'_>, now: u64) {
        self.attempts += 1;
        let connected = TcpStream::connect(address).and_then(|mut stream| {
            registry.register(&mut stream, self.token, Interest::READABLE | Interest::WRITABLE)?;
            // Without it a small request waits for the acknowledgement of the one before.
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => {
                self.stream = Some(stream);
                self.session = Some(Session::new(self.cluster));
                self.last_heard = now;
                self.answered_at = now;
                self.progress_at = now;
            }
            Err(error) => self.lose(context, now, format!("{address}: {error}")),
        }
    }

    /// Looks after a connection that owes something: is the replica there, and does it lead? Closes one that does not
    /// even answer pings.
    pub(super) fn check_silence(&mut self, context: &mut Context<'_>, now: u64) {
        let Some(session) = self.session.as_mut().filter(|session| session.is_waiting()) else {
            return;
        };
        let is_over = |since: u64, limit: Duration| now.saturating_sub(since) > limit.as_nanos() as u64;
        if is_over(self.last_heard, context.plan.silence_timeout)
            || is_over(self.answered_at, context.plan.answer_timeout)
        {
            return self.lose(context, now, "the connection fell silent".into());
        }
        if is_over(self.progress_at, context.plan.request_timeout) {
            self.progress_at = now;
            if session.is_welcomed() {
                session.ping();
            }
            if self.is_current(context) {
                context.finder.handle_stalled(Tick(now));
            }
            self.flush(context, now);
        }
    }

    /// The socket is ready for something.
    pub(super) fn handle_ready(&mut self, context: &mut Context<'_>, now: u64) {
        self.flush(context, now);
        if let Err(why) = self.receive(context, now) {
            self.lose(context, now, why);
        }
    }

    fn receive(&mut self, context: &mut Context<'_>, now: u64) -> Result<(), String> {
        loop {
            let (Some(stream), Some(session)) = (&mut self.stream, &mut self.session) else {
                return Ok(());
            };
            let space = session.space();
            let room = space.len();
            let count = match stream.read(space) {
                Ok(0) => return Err("the engine closed the connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            };
            session.handle_received(count);
            self.last_heard = now;
            self.read_events(context, now).map_err(|error| error.to_string())?;
            // A short read emptied the socket; what comes later, an end included, is a new edge.
            if count < room && !context.closing {
                return Ok(());
            }
        }
    }

    fn read_events(&mut self, context: &mut Context<'_>, now: u64) -> Result<(), SessionError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while let Some(event) = session.poll_event()? {
            if let Some(told) = event.stream_time() {
                context.clock.handle_told(told, Tick(now));
            }
            match event {
                SessionEvent::Answers { tag, whole, answers } => {
                    let at = tag as usize;
                    let (batch, site) = (&mut self.batches[at], self.to.map(|(site, _)| site));
                    let mut leads = false;
                    for answer in answers {
                        let answer = answer.map_err(SessionError::Message)?;
                        leads |= answer.status != Status::NotLeader;
                        settle(batch, &answer, site, context, now)?;
                    }
                    if leads {
                        self.progress_at = now;
                        self.answered_at = now;
                        context.shared.handle_answers(now);
                        context.finder.handle_progress();
                    }
                    if whole && batch.missing == 0 {
                        context.record(batch.intended, now);
                        context.stats.calls_failed += u64::from(batch.failed);
                        context.stats.calls_retried += u64::from(batch.resubmitted && !batch.failed);
                        batch.state = BatchState::Free;
                        self.free.push(at);
                    } else if whole {
                        come_back(batch, context, now);
                        self.waiting.push_back(at);
                    }
                }
                SessionEvent::Refused { tag, refused } => {
                    let batch = &mut self.batches[tag as usize];
                    match (refused.code, self.to) {
                        (RefusedCode::NotLeader { leader }, Some((site, _))) => {
                            // It waits for a leader, and not for a time.
                            batch.resubmitted = true;
                            context.finder.handle_not_leader(site, leader, Tick(now));
                        }
                        (code, _) => {
                            context.stats.counts.busy += u64::from(batch.missing);
                            batch.hint_us = Some(refused.retry_after_us);
                            if code == RefusedCode::NotServing {
                                context.finder.handle_doubt(Tick(now));
                            }
                        }
                    }
                    come_back(batch, context, now);
                    self.waiting.push_back(tag as usize);
                }
                SessionEvent::Welcome(_) => {
                    self.welcomed_once = true;
                    self.attempts = 0;
                }
                SessionEvent::States { .. } | SessionEvent::Pong => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self, context: &mut Context<'_>, now: u64) {
        while let (Some(stream), Some(session)) = (&mut self.stream, &mut self.session) {
            if session.output().is_empty() {
                return;
            }
            match stream.write(session.output()) {
                Ok(count) => session.handle_written(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                {
                    return;
                }
                Err(error) => return self.lose(context, now, error.to_string()),
            }
        }
    }

    /// The connection is gone, and perhaps the leader.
    fn lose(&mut self, context: &mut Context<'_>, now: u64, why: String) {
        if self.is_current(context) {
            context.finder.handle_doubt(Tick(now));
        }
        self.close(context, why);
        self.lost_at = Tick(now);
        self.connect_at = now + (BACKOFF_MIN_NS << self.attempts.min(CONNECT_DOUBLINGS));
    }

    /// Closes the connection: everything under way goes again, same keys, same bytes.
    fn close(&mut self, context: &mut Context<'_>, why: String) {
        if self.session.as_ref().is_some_and(Session::is_welcomed) {
            context.stats.reconnects += 1;
        }
        self.stream = None;
        self.session = None;
        self.last = why;
        for (at, batch) in self.batches.iter_mut().enumerate() {
            if batch.state == BatchState::Sent {
                batch.state = BatchState::Waiting;
                batch.retry_at = 0;
                batch.resubmitted = true;
                self.waiting.push_back(at);
            }
        }
        context.attention = true;
    }
}

/// Takes an answer to an event of the batch.
fn settle(
    batch: &mut Batch,
    answer: &Answer<'_>,
    site: Option<SiteId>,
    context: &mut Context<'_>,
    now: u64,
) -> Result<(), SessionError> {
    let Some(event) = batch.open_event(answer.index) else {
        return Err(SessionError::TooManyAnswers { number: 0 });
    };
    if answer.status.is_final() {
        let errors = context.stats.counts.errors;
        context.settle(batch, event, answer, now);
        if context.stats.counts.errors > errors {
            context.stats.note_error(answer.status, answer.first_status);
            batch.failed = true;
        }
        batch.close(event);
    } else if let (Status::NotLeader, Some(site)) = (answer.status, site) {
        batch.resubmitted = true;
        context.finder.handle_not_leader(site, None, Tick(now));
    } else {
        context.stats.counts.busy += 1;
        batch.hint_us = Some(batch.hint_us.unwrap_or(0).max(answer.retry_after_us));
    }
    Ok(())
}

/// The request is over and some of its events are open: told to come back, or never sent for want of credit.
fn come_back(batch: &mut Batch, context: &mut Context<'_>, now: u64) {
    batch.state = BatchState::Waiting;
    batch.retry_at = 0;
    if let Some(hint_us) = batch.hint_us {
        let backoff = BACKOFF_MIN_NS << batch.attempts.min(BACKOFF_DOUBLINGS);
        batch.attempts += 1;
        batch.resubmitted = true;
        batch.retry_at = now + backoff.max(u64::from(hint_us) * 1000);
    }
    context.attention = true;
}

const BACKOFF_MIN_NS: u64 = 1_000_000;

/// Busy: up to about half a second.
const BACKOFF_DOUBLINGS: u32 = 9;

/// Connecting: up to 64 ms, so that the gap of a restart is the engine's and not this wait.
const CONNECT_DOUBLINGS: usize = 6;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use assize_wire::ReplicaId;
    use assize_wire::frame::{FrameKind, FrameWriter};
    use assize_wire::message::Welcome;
    use assize_wire::routing::Routing;
    use mio::Poll;

    use super::super::generator::Generator;
    use super::super::plan::LoadPlan;
    use super::super::source::Source;
    use super::super::stats::Stats;
    use super::super::worker::Shared;
    use super::super::workload::{Scene, Told};
    use super::*;
    use crate::client::{Finder, Options, SiteAction, StreamClock};

    const SITE: SiteId = SiteId(0);

    /// The only replica is asked, and says that it leads.
    fn adopt(finder: &mut Finder, now: u64) {
        finder.handle_timeout(Tick(now));
        assert_eq!(finder.poll_site(SITE, Tick(now)), SiteAction::Connect);
        finder.handle_connected(SITE);
        let mut bytes = Vec::new();
        let writer = FrameWriter::begin(&mut bytes, FrameKind::Welcome, 0);
        let welcome = Welcome {
            cluster: ClusterId(1),
            replica: ReplicaId(0),
            leader: Some(ReplicaId(0)),
            routing_seed: 3,
            stream_time: assize_wire::StreamTime(1),
            warden_ttl_ns: 1,
            credit_events: 4,
            replicas: 1,
            copies: 1,
            durable: true,
            ports: vec![7],
        };
        welcome.encode(&mut bytes);
        writer.finish(&mut bytes);
        finder.space(SITE)[..bytes.len()].copy_from_slice(&bytes);
        finder.handle_received(SITE, bytes.len(), Tick(now)).unwrap();
        finder.handle_lost(SITE, Tick(now));
    }

    /// Nobody asks who leads any more then: it must not wait for that.
    #[test]
    fn a_connection_lost_before_the_thread_follows_a_leader_that_leads_again_is_made_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Some((SITE, listener.local_addr().unwrap()));
        let plan = LoadPlan::new(Vec::new());
        let shared = Shared::new(Instant::now(), 1);
        let routing = Routing { seed: 3, shards: 1 };
        let nothing = Told::default();
        let drawer = Scene::new(&plan, 1, 1).drawer(&plan, &nothing);
        let mut context = Context {
            plan: &plan,
            shared: &shared,
            depth: 1,
            source: Source::Drawn(Generator::new(&plan, drawer, nothing, routing, 1)),
            finder: Finder::new(1, &Options::default()),
            clock: StreamClock::default(),
            ttl_ns: 1,
            stats: Stats::new(0),
            journal: Vec::new(),
            attention: false,
            closing: false,
            measure_from: 0,
            measure_to: 0,
        };
        let poll = Poll::new().unwrap();
        let mut connection = Connection::new(Token(0), ClusterId(1), vec![(0, 0)]);
        adopt(&mut context.finder, 10);
        connection.follow(context.finder.term(), to, &mut context, 20);
        connection.attend(poll.registry(), &mut context, 20);
        assert!(connection.stream.is_some());
        // It ceases to lead, which this thread takes in; it leads again, and the connection breaks, which it takes in
        // in this order, in one turn.
        context.finder.handle_not_leader(SITE, None, Tick(1_000_000_000));
        connection.follow(context.finder.term(), None, &mut context, 1_000_000_000);
        adopt(&mut context.finder, 2_000_000_000);
        connection.lose(&mut context, 2_000_000_001, "it broke".into());
        connection.follow(context.finder.term(), to, &mut context, 2_000_000_002);
        connection.attend(poll.registry(), &mut context, 2_000_000_002);
        assert!(connection.stream.is_some(), "it waits for a leader that nobody asks");
    }
}
