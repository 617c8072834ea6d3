//! One thread of the load: it drives its connections through one poll and keeps its own numbers; nothing is shared
//! with other threads while events flow, but for the time of the last answer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assize_wire::message::Answer;
use assize_wire::outcome::Status;
use crossbeam_channel::Sender;
use mio::{Events, Poll, Token};

use super::batch::{Batch, First};
use super::connection::Connection;
use super::journal::JournalEntry;
use super::pace::Pace;
use super::plan::LoadPlan;
use super::report::Gap;
use super::scouts::Scouts;
use super::source::Source;
use super::stats::{Interval, Stats};
use super::timer::Timer;
use crate::client::{AnswerOwned, Finder, FinderCounts, StreamClock, Tick};

/// What the threads of a run share.
pub(super) struct Shared {
    pub base: Instant,
    pub barrier: Barrier,
    /// When the load began, on `base`'s clock; set between the barrier's two uses.
    pub begin: AtomicU64,
    last_answer: AtomicU64,
    /// The longest time without an answer in microseconds, above its begin in milliseconds after the load's: 32 bits
    /// each, so that the two change together.
    longest_gap: AtomicU64,
    /// Those that are worth a line of their own; there are few, or a lock would be too much.
    gaps: Mutex<Vec<Gap>>,
}

impl Shared {
    pub(super) fn new(base: Instant, threads: usize) -> Shared {
        Shared {
            base,
            barrier: Barrier::new(threads + 1),
            begin: AtomicU64::new(0),
            last_answer: AtomicU64::new(0),
            longest_gap: AtomicU64::new(0),
            gaps: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    /// The load begins now.
    pub(super) fn start(&self) {
        let now = self.now();
        self.begin.store(now, Ordering::Release);
        self.last_answer.store(now, Ordering::Release);
    }

    pub(super) fn handle_answers(&self, now: u64) {
        // Only a measurement: no other memory is published by it.
        let before = self.last_answer.swap(now, Ordering::Relaxed);
        let gap = now.saturating_sub(before);
        if gap / 1000 > self.longest_gap.load(Ordering::Relaxed) >> 32 {
            self.longest_gap.fetch_max(self.pack(gap, before), Ordering::Relaxed);
        }
        if gap >= GAP_NOTED_NS {
            let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
            if gaps.len() < GAPS_NOTED {
                gaps.push(unpack(self.pack(gap, before)));
            }
        }
    }

    /// The longest gap so far, one under way included.
    pub(super) fn longest_gap(&self) -> Gap {
        let last = self.last_answer.load(Ordering::Relaxed);
        let open = self.pack(self.now().saturating_sub(last), last);
        unpack(open.max(self.longest_gap.load(Ordering::Relaxed)))
    }

    /// The gaps of a tenth of a second and more, in their order.
    pub(super) fn noted_gaps(&self) -> Vec<Gap> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When somebody was last answered, or the load began.
    pub(super) fn last_answer(&self) -> u64 {
        self.last_answer.load(Ordering::Relaxed)
    }

    /// The longest gap between two answers.
    pub(super) fn longest_closed_gap(&self) -> Gap {
        unpack(self.longest_gap.load(Ordering::Relaxed))
    }

    fn pack(&self, gap_ns: u64, began_ns: u64) -> u64 {
        let began_ms = began_ns.saturating_sub(self.begin.load(Ordering::Relaxed)) / 1_000_000;
        (gap_ns / 1000).min(u32::MAX.into()) << 32 | began_ms.min(u32::MAX.into())
    }
}

fn unpack(gap: u64) -> Gap {
    let (length_us, began_ms) = (gap >> 32, gap & u64::from(u32::MAX));
    Gap { length_ms: length_us as f64 / 1e3, began_s: began_ms as f64 / 1e3 }
}

/// What a connection needs from its thread.
pub(super) struct Context<'a> {
    pub plan: &'a LoadPlan,
    pub shared: &'a Shared,
    pub depth: usize,
    pub source: Source,
    pub finder: Finder,
    pub clock: StreamClock,
    pub ttl_ns: u64,
    pub stats: Stats,
    pub journal: Vec<JournalEntry>,
    /// Some connection is down or has something to send again.
    pub attention: bool,
    /// The event under way says that the peer closed: read to the end.
    pub closing: bool,
    /// Measured are requests that were to be sent in this span.
    pub measure_from: u64,
    pub measure_to: u64,
}

impl Context<'_> {
    pub(super) fn fill(&mut self, batch: &mut Batch, now: u64) {
        let time = self.clock.now(Tick(now));
        let deadline = self.clock.deadline(Tick(now), self.plan.key_lifetime, self.ttl_ns);
        self.source.fill(batch, self.plan.batch, time, deadline);
        self.stats.counts.events_sent += batch.len() as u64;
    }

    pub(super) fn record(&mut self, intended: u64, now: u64) {
        if intended >= self.measure_from && intended < self.measure_to {
            self.stats.record(now.saturating_sub(intended), 1);
        }
    }

    /// Books the log's decision on an event.
    pub(super) fn settle(&mut self, batch: &Batch, event: usize, answer: &Answer<'_>, now: u64) {
        let counts = &mut self.stats.counts;
        counts.events_answered += 1;
        if now >= self.measure_from && now < self.measure_to {
            self.stats.answered_measured += 1;
        }
        let generator = match &mut self.source {
            Source::Drawn(generator) => generator,
            Source::Recorded(player) => return player.settle(batch, event, answer, counts),
        };
        if let Some(first) = batch.duplicate_of(event) {
            if answer.status == Status::Duplicate && First::of(answer) == first {
                counts.duplicates += 1;
            } else {
                counts.errors += 1;
                self.stats.contradictions += 1;
            }
            return;
        }
        if answer.status == Status::Duplicate && !batch.resubmitted {
            // A fresh 128-bit key that the engine says it has seen.
            self.stats.contradictions += 1;
        }
        match answer.first_status {
            Status::Applied => counts.applied += 1,
            Status::Rejected => counts.rejected += 1,
            Status::Conflict => counts.conflicts += 1,
            _ => counts.errors += 1,
        }
        generator.settle(batch, event, answer);
        if answer.first_status.is_recorded() {
            generator.handle_answered(batch, event, First::of(answer));
            if self.plan.journal {
                self.journal.push(JournalEntry {
                    event: batch.event(event).to_vec(),
                    answer: AnswerOwned::from_wire(answer),
                });
            }
        }
    }
}

/// What a thread found.
pub(super) struct WorkerReport {
    pub stats: Stats,
    pub source: Source,
    pub journal: Vec<JournalEntry>,
    pub unanswered: u64,
    pub requests_unsent: u64,
    pub never_welcomed: usize,
    pub last: String,
    pub finder: FinderCounts,
    /// When it stopped sending, in nanoseconds after the begin.
    pub sent_for_ns: u64,
}

/// One thread's connections and clockwork.
pub(super) struct Worker<'a> {
    pub context: Context<'a>,
    pub connections: Vec<Connection>,
    scouts: Scouts,
    /// The finder's term that the connections follow.
    term: u64,
    /// They were led elsewhere: in closed loop those that have nothing to do are to be given something.
    moved: bool,
    /// When to look next for connections that are silent.
    watch_at: u64,
    pub thread: usize,
    pub intervals: Sender<(u64, Interval)>,
    poll: Poll,
    events: Events,
    timer: Timer,
    /// When the timer next wakes us; in the past if it is not armed.
    armed_for: u64,
    next_connection: usize,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        context: Context<'a>,
        connections: Vec<Connection>,
        scouts: Scouts,
        thread: usize,
        intervals: Sender<(u64, Interval)>,
    ) -> io::Result<Worker<'a>> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        Ok(Worker {
            context,
            connections,
            scouts,
            term: 0,
            moved: false,
            watch_at: 0,
            thread,
            intervals,
            poll,
            events: Events::with_capacity(1024),
            timer,
            armed_for: 0,
            next_connection: 0,
        })
    }

    /// Connects, waits for the others, loads, and waits for what is unanswered.
    pub(super) fn run(mut self) -> io::Result<WorkerReport> {
        let connected = self.connect_all();
        // Both waits, whatever happened, or the others would wait for ever.
        self.context.shared.barrier.wait();
        self.context.shared.barrier.wait();
        connected?;
        let begin = self.context.shared.begin.load(Ordering::Acquire);
        let plan = self.context.plan;
        self.context.measure_from = begin + plan.warmup.as_nanos() as u64;
        self.context.stats = Stats::new(begin);
        let (stopped, requests_unsent) = match self.context.source {
            Source::Drawn(_) => {
                self.context.measure_to = self.context.measure_from + plan.duration.as_nanos() as u64;
                let mut pace = Pace::new(plan, self.thread, begin);
                let stopped = self.load(&mut pace)?;
                (stopped, self.record_unsent(pace, stopped))
            }
            Source::Recorded(_) => {
                self.context.measure_to = u64::MAX;
                (self.play(begin)?, 0)
            }
        };
        self.drain(stopped)?;
        let last_interval = self.context.stats.end_interval(self.context.shared.now());
        // The receiver is gone only when the run was given up.
        let _ = self.intervals.send(last_interval);
        let lost = self.connections.iter().filter(|connection| !connection.last.is_empty());
        Ok(WorkerReport {
            unanswered: self.connections.iter().map(Connection::unanswered).sum::<u64>()
                + self.context.source.left(),
            requests_unsent,
            never_welcomed: self.connections.iter().filter(|connection| !connection.welcomed_once).count(),
            last: lost.last().map_or(self.scouts.last, |connection| connection.last.clone()),
            finder: self.context.finder.counts(),
            sent_for_ns: stopped - begin,
            stats: self.context.stats,
            source: self.context.source,
            journal: self.context.journal,
        })
    }

    fn connect_all(&mut self) -> io::Result<()> {
        self.context.attention = true;
        let limit = self.context.shared.now() + CONNECT_LIMIT_NS;
        while !self.connections.iter().all(|connection| connection.welcomed_once) {
            let now = self.context.shared.now();
            if now >= limit {
                break;
            }
            let next = self.attend(now).min(limit);
            self.wait(next, false)?;
        }
        Ok(())
    }

    /// Sends until the load's time is over or someone stops it; returns when that was.
    fn load(&mut self, pace: &mut Option<Pace>) -> io::Result<u64> {
        let closed = pace.is_none();
        if closed {
            for at in 0..self.connections.len() {
                self.refill(at);
            }
        }
        loop {
            let now = self.context.shared.now();
            let stop = self.context.plan.stop.as_ref();
            if now >= self.context.measure_to || stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                let stopped = self.context.measure_to.min(now);
                if let Some(pace) = pace {
                    // What fell due while this thread was busy or asleep is sent, if there is room.
                    self.send_due(pace, stopped.saturating_sub(1));
                }
                self.context.measure_to = stopped;
                return Ok(stopped);
            }
            self.end_intervals(now);
            let next = self.attend(now);
            if closed && std::mem::take(&mut self.moved) {
                (0..self.connections.len()).for_each(|at| self.refill(at));
            }
            let due = match pace {
                Some(pace) => self.send_due(pace, now),
                None => u64::MAX,
            };
            let wake = next.min(due).min(self.context.measure_to).min(self.context.stats.interval_end());
            self.wait(wake, closed)?;
        }
    }

    fn drain(&mut self, stopped: u64) -> io::Result<()> {
        let limit = stopped + self.context.plan.drain_limit.as_nanos() as u64;
        while self.connections.iter().any(|connection| connection.outstanding() > 0) {
            let now = self.context.shared.now();
            if now >= limit {
                break;
            }
            self.end_intervals(now);
            let next = self.attend(now);
            self.wait(next.min(limit).min(self.context.stats.interval_end()), false)?;
        }
        Ok(())
    }

    /// Sends the open loop's due requests where there is room; returns when the next is due, or never if there is no
    /// room: then an answer makes some.
    fn send_due(&mut self, pace: &mut Pace, now: u64) -> u64 {
        while pace.due() <= now {
            let count = self.connections.len();
            let found = (0..count)
                .map(|step| (self.next_connection + step) % count)
                .find(|at| self.connections[*at].has_room(&self.context));
            let Some(at) = found else {
                return u64::MAX;
            };
            self.next_connection = (at + 1) % count;
            self.connections[at].start(&mut self.context, pace.due(), now);
            pace.advance();
        }
        pace.due()
    }

    /// Requests that were due and never sent took at least until now. Leaving them out would be coordinated omission.
    fn record_unsent(&mut self, pace: Option<Pace>, stopped: u64) -> u64 {
        let Some(mut pace) = pace else { return 0 };
        let mut unsent = 0;
        while pace.due() < stopped && unsent < UNSENT_MAX {
            self.context.record(pace.due(), stopped);
            pace.advance();
            unsent += 1;
        }
        unsent
    }

    fn refill(&mut self, at: usize) {
        while self.connections[at].has_room(&self.context) {
            let now = self.context.shared.now();
            self.connections[at].start(&mut self.context, now, now);
        }
    }

    /// Does what is due; returns when something is due again.
    pub(super) fn attend(&mut self, now: u64) -> u64 {
        if now >= self.watch_at {
            self.watch_at = now + WATCH_NS;
            for connection in &mut self.connections {
                connection.check_silence(&mut self.context, now);
            }
        }
        self.context.finder.handle_timeout(Tick(now));
        self.scouts.attend(self.poll.registry(), &mut self.context.finder, Tick(now));
        self.follow_leader(now);
        let mut next = self.watch_at.min(self.context.finder.next_timeout(Tick(now)).0);
        if !self.context.attention {
            return next;
        }
        self.context.attention = false;
        for connection in &mut self.connections {
            if connection.needs_attention() {
                next = next.min(connection.attend(self.poll.registry(), &mut self.context, now));
                self.context.attention |= connection.needs_attention();
            }
        }
        next
    }

    /// Leads every connection to the leader, if that is another than before.
    fn follow_leader(&mut self, now: u64) {
        if self.term == self.context.finder.term() {
            return;
        }
        self.term = self.context.finder.term();
        self.moved = true;
        let found = self.context.finder.leader().cloned();
        for connection in &mut self.connections {
            let to = found.as_ref().and_then(|found| {
                let port = found.welcome.ports.get(connection.shard()).copied();
                Some((found.site, self.scouts.sites.address(found.site, port).ok()?))
            });
            connection.follow(self.term, to, &mut self.context, now);
        }
    }

    pub(super) fn end_intervals(&mut self, now: u64) {
        while now >= self.context.stats.interval_end() {
            let interval = self.context.stats.end_interval(now);
            let _ = self.intervals.send(interval);
        }
    }

    /// Waits until `wake` at most and takes in what happened. In closed loop (`refill`) answers make new requests.
    pub(super) fn wait(&mut self, wake: u64, refill: bool) -> io::Result<()> {
        let now = self.context.shared.now();
        let wait = Duration::from_nanos(wake.saturating_sub(now)).min(WAIT_MAX);
        let timeout = if wait < FINE_WAIT && !wait.is_zero() {
            // One that wakes us no later needs no second call.
            if self.armed_for <= now || self.armed_for > wake {
                self.timer.arm(wait)?;
                self.armed_for = wake;
            }
            WAIT_MAX
        } else {
            wait
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in events.iter().filter(|event| event.token() != TIMER) {
            let at = event.token().0;
            let now = self.context.shared.now();
            if let Some(site) = Scouts::site_of(event.token()) {
                let told = self.scouts.handle_ready(&mut self.context.finder, site, Tick(now));
                told.into_iter().for_each(|told| self.context.clock.handle_told(told, Tick(now)));
                continue;
            }
            self.context.closing = event.is_read_closed() || event.is_error();
            self.connections[at].handle_ready(&mut self.context, now);
            if refill && now < self.context.measure_to {
                self.refill(at);
            }
        }
        std::mem::swap(&mut self.events, &mut events);
        Ok(())
    }
}

const TIMER: Token = Token(usize::MAX);

/// Shorter waits go by the timer, longer ones by epoll's milliseconds.
const FINE_WAIT: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A gap that is noted by itself, and how many are.
const GAP_NOTED_NS: u64 = 100_000_000;
const GAPS_NOTED: usize = 1000;

/// How often connections are looked at that owe something.
const WATCH_NS: u64 = 50_000_000;

/// How long the connections may take before the load begins without them.
const CONNECT_LIMIT_NS: u64 = 10_000_000_000;

/// Beyond this many the count of unsent requests says nothing more.
const UNSENT_MAX: u64 = 10_000_000;
