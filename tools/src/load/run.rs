//! A run from its beginning to its report: set-up, load, books.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use assize_wire::message::Welcome;
use assize_wire::routing::Routing;
use crossbeam_channel::{Receiver, unbounded};

use super::connection::Connection;
use super::error::LoadError;
use super::generator::Generator;
use super::plan::{LoadPlan, Rate, Skew};
use super::progress::{Phase, Progress, ProgressLine};
use super::report::{Counts, Gap, LatencyUs, LoadReport};
use super::scouts::Scouts;
use super::stats::{Interval, Measured, Stats, new_histogram};
use super::worker::{Context, Shared, Worker, WorkerReport};
use super::workload::{Scene, Told};
use crate::client::{Client, Finder, Options, Sites, StreamClock, Tick};

/// Runs a load to its end and closes the books. A report whose books are not `ok` is a result, not an error.
///
/// # Errors
/// [`LoadError`] when the load could not be run, or something stayed unanswered beyond `plan.drain_limit`.
pub fn run(plan: &LoadPlan, progress: &mut dyn Progress) -> Result<LoadReport, LoadError> {
    plan.check()?;
    let mut client = connect(plan)?;
    let (seed, warehouse) = (choice(plan.seed)?, choice(plan.warehouse)? >> plan.warehouse.map_or(1, |_| 0));
    progress.phase(Phase::SetUp);
    let welcome = client.welcome().clone();
    let scene = Scene::new(plan, warehouse, welcome.ports.len());
    let mut told = scene.set_up(&mut client, plan)?;
    let began = SystemTime::now();
    let (reports, intervals, longest_gap, gaps) =
        load(plan, &client, &welcome, (&scene, &told), seed, progress)?;

    let mut total = Total::default();
    let mut latency_ns = new_histogram();
    for report in reports {
        latency_ns.add(&report.stats.latency_ns).expect("equal bounds");
        total.add(report, &mut told);
    }
    if total.never_welcomed > 0 {
        return Err(LoadError::NotConnected { connections: total.never_welcomed, last: total.last });
    }
    if total.unanswered > 0 {
        return Err(LoadError::Unanswered {
            events: total.unanswered,
            waited_s: plan.drain_limit.as_secs_f64(),
            last: total.last,
        });
    }
    progress.phase(Phase::Books);
    let books = scene.close(&mut client, plan, &told, total.contradictions)?;
    let seconds = (total.sent_for_ns as f64 / 1e9 - plan.warmup.as_secs_f64()).max(0.0);
    Ok(LoadReport {
        counts: total.counts,
        seconds,
        rate_per_s: if seconds > 0.0 { total.answered_measured as f64 / seconds } else { 0.0 },
        latency_us: LatencyUs::of(&latency_ns),
        books,
        replicas: welcome.replicas,
        copies: welcome.copies,
        shards: welcome.ports.len() as u16,
        batch: plan.batch,
        connections: plan.connections,
        durable: welcome.durable,
        rate_target_per_s: match plan.rate {
            Rate::PerSecond(rate) => Some(rate),
            Rate::Max => None,
        },
        requests_unsent: total.requests_unsent,
        gaps,
        longest_gap_ms: longest_gap.length_ms,
        longest_gap_at_s: longest_gap.began_s,
        failed_calls: total.calls_failed,
        retried_calls: total.calls_retried,
        redirects: total.redirects,
        leader_changes: total.leader_changes,
        leader: client.leader().map(|leader| leader.0),
        reconnects: total.reconnects,
        resubmitted: total.resubmitted,
        skew: match plan.skew {
            Skew::Uniform => 0.0,
            Skew::Zipf(theta) => theta,
        },
        accounts: plan.accounts,
        warehouse,
        measured: Measured { latency_ns, intervals, began },
        journal: total.journal,
    })
}

fn connect(plan: &LoadPlan) -> Result<Client, LoadError> {
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

/// The threads' sums.
#[derive(Default)]
struct Total {
    counts: Counts,
    answered_measured: u64,
    contradictions: u64,
    reconnects: u64,
    resubmitted: u64,
    calls_failed: u64,
    calls_retried: u64,
    redirects: u64,
    leader_changes: u64,
    unanswered: u64,
    requests_unsent: u64,
    never_welcomed: usize,
    sent_for_ns: u64,
    last: String,
    journal: Vec<super::journal::JournalEntry>,
}

impl Total {
    fn add(&mut self, report: WorkerReport, told: &mut Told) {
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
        told.add(&report.told);
    }
}

type Loaded = (Vec<WorkerReport>, Vec<Interval>, Gap, Vec<Gap>);

/// Runs the threads to their end.
fn load(
    plan: &LoadPlan,
    client: &Client,
    welcome: &Welcome,
    (scene, begun): (&Scene, &Told),
    seed: u64,
    progress: &mut dyn Progress,
) -> Result<Loaded, LoadError> {
    let routing = Routing { seed: welcome.routing_seed, shards: welcome.ports.len() as u16 };
    let shared = Shared::new(Instant::now(), plan.client_cores);
    let sites =
        Sites::new(&plan.addresses).map_err(|source| LoadError::Client { doing: "connecting", source })?;
    let options =
        Options { cluster: welcome.cluster, request_timeout: plan.request_timeout, ..Options::default() };
    let (sender, receiver) = unbounded();
    // All are built before any is spawned: a spawned one waits for all the others.
    let mut workers = Vec::new();
    for thread in 0..plan.client_cores {
        let mut clock = StreamClock::default();
        clock.handle_told(client.stream_time(), Tick(shared.now()));
        let context = Context {
            plan,
            shared: &shared,
            depth: plan.depth(),
            finder: Finder::new(sites.len(), &options),
            generator: Generator::new(plan, scene.drawer(plan, begun), routing, mix(seed, thread)),
            clock,
            ttl_ns: welcome.warden_ttl_ns,
            stats: Stats::new(0),
            told: scene.nothing_told(begun),
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
    thread::scope(|scope| {
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
        let intervals = follow(plan, &shared, &receiver, progress);
        let mut reports = Vec::new();
        for thread in threads {
            let report = thread.join().map_err(|_| LoadError::Panicked)?;
            reports.push(report.map_err(io_error("waiting for sockets"))?);
        }
        Ok((reports, intervals, shared.longest_closed_gap(), shared.noted_gaps()))
    })
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
    plan: &LoadPlan,
    shared: &Shared,
    receiver: &Receiver<(u64, Interval)>,
    progress: &mut dyn Progress,
) -> Vec<Interval> {
    let mut seconds: BTreeMap<u64, (usize, Interval)> = BTreeMap::new();
    let mut phase = None;
    let total = plan.warmup + plan.duration;
    let mut enter = |progress: &mut dyn Progress, at| {
        let now = match at {
            _ if at < plan.warmup => Phase::WarmUp,
            _ if at < total => Phase::Measure,
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
                total_s: total.as_secs_f64(),
                rate_per_s: merged.answered as f64 / merged.length.as_secs_f64(),
                p50_ns: merged.latency_ns.value_at_quantile(0.5),
                p99_ns: merged.latency_ns.value_at_quantile(0.99),
                errors: merged.errors,
                longest_gap_ms: gap.length_ms,
                longest_gap_at_s: gap.began_s,
            });
        }
    }
    seconds.into_values().map(|(_, interval)| interval).collect()
}

const SHOWN_MIN: Duration = Duration::from_millis(200);

fn choice(given: Option<u64>) -> Result<u64, LoadError> {
    match given {
        Some(given) => Ok(given),
        None => getrandom::u64().map_err(LoadError::Random),
    }
}

/// A seed for each thread that has nothing to do with the others'.
fn mix(seed: u64, thread: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&(thread as u64).to_le_bytes(), seed)
}

fn io_error(doing: &'static str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::Io { doing, source }
}
