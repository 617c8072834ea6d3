//! The threads of a run: built, started together, followed while they run, and added up.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use assize_wire::message::Welcome;
use crossbeam_channel::{Receiver, unbounded};

use super::connection::Connection;
use super::error::LoadError;
use super::journal::JournalEntry;
use super::plan::LoadPlan;
use super::progress::{Phase, Progress, ProgressLine};
use super::report::{Counts, Gap, LatencyUs, RunKind, RunReport, SCHEMA, SCHEMA_VERSION};
use super::scouts::Scouts;
use super::source::Source;
use super::stats::{Interval, Measured, Stats, new_histogram};
use super::worker::{Context, Shared, Worker, WorkerReport};
use crate::client::{Client, Finder, Options, Sites, StreamClock, Tick};

/// A client of the plan's cluster, for what is asked before and after the load.
pub(super) fn connect(plan: &LoadPlan) -> Result<Client, LoadError> {
    let options = Options {
        request_timeout: plan.request_timeout,
        silence_timeout: plan.silence_timeout,
        answer_timeout: plan.answer_timeout,
        call_timeout: plan.drain_limit,
        ..Options::default()
    };
    Client::connect(&plan.addresses, options)
        .map_err(|source| LoadError::Client { doing: "connecting", source })
}

/// What the threads found, together.
pub(super) struct Ran {
    /// One of each thread.
    pub sources: Vec<Source>,
    pub contradictions: u64,
    pub journal: Vec<JournalEntry>,
    /// When sending ended, in nanoseconds after the begin.
    pub sent_for_ns: u64,
    /// When the last answer came, in nanoseconds after the begin.
    pub answered_for_ns: u64,
    counts: Counts,
    answered_measured: u64,
    reconnects: u64,
    resubmitted: u64,
    calls_failed: u64,
    calls_retried: u64,
    redirects: u64,
    leader_changes: u64,
    unanswered: u64,
    requests_unsent: u64,
    never_welcomed: usize,
    last: String,
    measured: Measured,
    longest_gap: Gap,
    gaps: Vec<Gap>,
}

impl Ran {
    fn nothing(began: SystemTime) -> Ran {
        Ran {
            sources: Vec::new(),
            contradictions: 0,
            journal: Vec::new(),
            sent_for_ns: 0,
            answered_for_ns: 0,
            counts: Counts::default(),
            answered_measured: 0,
            reconnects: 0,
            resubmitted: 0,
            calls_failed: 0,
            calls_retried: 0,
            redirects: 0,
            leader_changes: 0,
            unanswered: 0,
            requests_unsent: 0,
            never_welcomed: 0,
            last: String::new(),
            measured: Measured { latency_ns: new_histogram(), intervals: Vec::new(), began },
            longest_gap: Gap { began_s: 0.0, length_ms: 0.0 },
            gaps: Vec::new(),
        }
    }

    fn add(&mut self, report: WorkerReport) {
        self.counts.add(&report.stats.counts);
        self.answered_measured += report.stats.answered_measured;
        self.contradictions += report.stats.contradictions;
        self.reconnects += report.stats.reconnects;
        self.resubmitted += report.stats.resubmitted;
        self.calls_failed += report.stats.calls_failed;
        self.calls_retried += report.stats.calls_retried;
        self.redirects += report.finder.redirects;
        // All threads see the same changes, if they see them.
        self.leader_changes = self.leader_changes.max(report.finder.leader_changes);
        self.unanswered += report.unanswered;
        self.requests_unsent += report.requests_unsent;
        self.never_welcomed += report.never_welcomed;
        self.sent_for_ns = self.sent_for_ns.max(report.sent_for_ns);
        if !report.last.is_empty() {
            self.last = report.last;
        }
        self.journal.extend(report.journal);
        self.measured.latency_ns.add(&report.stats.latency_ns).expect("equal bounds");
        self.sources.push(report.source);
    }

    /// Whether every event was answered.
    fn check(&self, plan: &LoadPlan) -> Result<(), LoadError> {
        let last = || self.last.clone();
        if self.never_welcomed > 0 {
            return Err(LoadError::NotConnected { connections: self.never_welcomed, last: last() });
        }
        if self.unanswered > 0 {
            let waited_s = plan.drain_limit.as_secs_f64();
            return Err(LoadError::Unanswered { events: self.unanswered, waited_s, last: last() });
        }
        Ok(())
    }

    /// What is told of it, after so many seconds that were measured.
    pub(super) fn report(
        self,
        kind: RunKind,
        plan: &LoadPlan,
        client: &Client,
        welcome: &Welcome,
        seconds: f64,
    ) -> RunReport {
        let unix_time = self.measured.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        RunReport {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            kind,
            program_version: env!("CARGO_PKG_VERSION"),
            unix_time,
            counts: self.counts,
            seconds,
            rate_per_s: if seconds > 0.0 { self.answered_measured as f64 / seconds } else { 0.0 },
            latency_us: LatencyUs::of(&self.measured.latency_ns),
            replicas: welcome.replicas,
            copies: welcome.copies,
            shards: welcome.ports.len() as u16,
            durable: welcome.durable,
            batch: plan.batch,
            connections: plan.connections,
            depth: plan.depth(),
            client_cores: plan.client_cores,
            requests_unsent: self.requests_unsent,
            gaps: self.gaps,
            longest_gap_ms: self.longest_gap.length_ms,
            longest_gap_at_s: self.longest_gap.began_s,
            failed_calls: self.calls_failed,
            retried_calls: self.calls_retried,
            redirects: self.redirects,
            leader_changes: self.leader_changes,
            leader: client.leader().map(|leader| leader.0),
            reconnects: self.reconnects,
            resubmitted: self.resubmitted,
            measured: self.measured,
        }
    }
}

/// Runs the threads to their end, each with a source of its own. Every event is answered then. `total` is how long the
/// load lasts, if that is known.
pub(super) fn drive(
    plan: &LoadPlan,
    client: &Client,
    welcome: &Welcome,
    sources: Vec<Source>,
    total: Option<Duration>,
    progress: &mut dyn Progress,
) -> Result<Ran, LoadError> {
    let began = SystemTime::now();
    let shared = Shared::new(Instant::now(), plan.client_cores);
    let sites =
        Sites::new(&plan.addresses).map_err(|source| LoadError::Client { doing: "connecting", source })?;
    let options =
        Options { cluster: welcome.cluster, request_timeout: plan.request_timeout, ..Options::default() };
    let (sender, receiver) = unbounded();
    // All are built before any is spawned: a spawned one waits for all the others.
    let mut workers = Vec::new();
    for (thread, source) in sources.into_iter().enumerate() {
        let mut clock = StreamClock::default();
        clock.handle_told(client.stream_time(), Tick(shared.now()));
        let context = Context {
            plan,
            shared: &shared,
            depth: plan.depth(),
            finder: Finder::new(sites.len(), &options),
            source,
            clock,
            ttl_ns: welcome.warden_ttl_ns,
            stats: Stats::new(0),
            journal: Vec::new(),
            attention: true,
            closing: false,
            measure_from: 0,
            measure_to: 0,
        };
        let connections = connections_of(plan, welcome, thread);
        let scouts = Scouts::new(sites.clone());
        let worker = Worker::new(context, connections, scouts, thread, sender.clone())
            .map_err(io_error("setting up epoll and a timer"))?;
        workers.push(worker);
    }
    drop(sender);
    let mut ran = Ran::nothing(began);
    let ended: Result<(), LoadError> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (thread, worker) in workers.into_iter().enumerate() {
            let pin = plan.pin.get(thread % plan.pin.len().max(1)).copied();
            threads.push(scope.spawn(move || {
                if let Some(id) = pin {
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                }
                worker.run()
            }));
        }
        shared.barrier.wait();
        shared.start();
        shared.barrier.wait();
        ran.measured.intervals = follow((plan, total), &shared, &receiver, progress);
        for thread in threads {
            let report = thread.join().map_err(|_| LoadError::Panicked)?;
            ran.add(report.map_err(io_error("waiting for sockets"))?);
        }
        Ok(())
    });
    ended?;
    ran.answered_for_ns = shared.last_answer() - shared.begin.load(Ordering::Relaxed);
    (ran.longest_gap, ran.gaps) = (shared.longest_closed_gap(), shared.noted_gaps());
    ran.check(plan)?;
    Ok(ran)
}

/// The connections of a thread: number `n` of all is for shard `n` modulo the shards, and lane `n`; with fewer
/// connections than shards each carries several, and each shard is a lane.
fn connections_of(plan: &LoadPlan, welcome: &Welcome, thread: usize) -> Vec<Connection> {
    let shards = welcome.ports.len();
    let own = (thread..plan.connections).step_by(plan.client_cores);
    own.enumerate()
        .map(|(token, number)| {
            let carried: Vec<(u16, usize)> = match plan.connections < shards {
                true => (number..shards).step_by(plan.connections).map(|s| (s as u16, s)).collect(),
                false => vec![((number % shards) as u16, number)],
            };
            Connection::new(mio::Token(token), welcome.cluster, carried)
        })
        .collect()
}

/// Merges the threads' seconds and shows them as they become whole.
fn follow(
    (plan, total): (&LoadPlan, Option<Duration>),
    shared: &Shared,
    receiver: &Receiver<(u64, Interval)>,
    progress: &mut dyn Progress,
) -> Vec<Interval> {
    let mut seconds: BTreeMap<u64, (usize, Interval)> = BTreeMap::new();
    let mut phase = None;
    let mut enter = |progress: &mut dyn Progress, at| {
        let now = match at {
            _ if at < plan.warmup => Phase::WarmUp,
            _ if total.is_none_or(|total| at < total) => Phase::Measure,
            _ => Phase::Drain,
        };
        if phase.replace(now) != Some(now) {
            progress.phase(now);
        }
        now
    };
    enter(progress, Duration::ZERO);
    for (index, interval) in receiver {
        let (threads, merged) = match seconds.get_mut(&index) {
            Some((threads, merged)) => {
                merged.merge(&interval);
                *threads += 1;
                (*threads, &*merged)
            }
            None => (1, &seconds.entry(index).or_insert((1, interval)).1),
        };
        let end = merged.start + merged.length;
        // The rest of a second at the end would show as a rate what is chance.
        if threads == plan.client_cores && merged.length >= SHOWN_MIN {
            let phase = enter(progress, merged.start);
            let gap = shared.longest_gap();
            progress.line(&ProgressLine {
                phase,
                elapsed_s: end.as_secs_f64(),
                total_s: total.map(|total| total.as_secs_f64()),
                rate_per_s: merged.answered as f64 / merged.length.as_secs_f64(),
                p50_ns: merged.latency_ns.value_at_quantile(0.5),
                p99_ns: merged.latency_ns.value_at_quantile(0.99),
                errors: merged.errors,
                most_errors: merged.most_errors(),
                longest_gap_ms: gap.length_ms,
                longest_gap_at_s: gap.began_s,
            });
        }
    }
    seconds.into_values().map(|(_, interval)| interval).collect()
}

const SHOWN_MIN: Duration = Duration::from_millis(200);

fn io_error(doing: &'static str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::Io { doing, source }
}
