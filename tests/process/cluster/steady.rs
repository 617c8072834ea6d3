//! Steady load by the load generator's library, through whatever happens to the replicas; and what must hold when it is
//! over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use assize_inventory::{INVENTORY, ItemState, item_id};
use assize_tools::load::{LoadPlan, LoadReport, Mix, Phase, Progress, ProgressLine, Rate, run};
use assize_wire::EntityId;

use super::model::Model;
use super::replicas::{Cluster, Running};
use crate::engine::DEADLINE;
use crate::load::check_journal;
use crate::rng::Rng;

/// Events that a scenario sends if nothing else is asked for by `ASSIZE_PROCESS_EVENTS`.
pub fn events(default: u64) -> u64 {
    match std::env::var(EVENTS) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{EVENTS} is {text:?}; accepted is a number")),
        Err(_) => default,
    }
}

/// A load under way, on a thread of its own.
pub struct Steady {
    shared: Arc<Shared>,
    thread: JoinHandle<LoadReport>,
    events: u64,
}

#[derive(Default)]
struct Shared {
    /// Events answered, as of the last second that is over.
    answered: Mutex<Answered>,
    more: Condvar,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Answered {
    events: f64,
    /// Nothing more is done to the replicas: the load may end when it has sent enough.
    may_end: bool,
    /// The load has ended, well or not.
    ended: bool,
}

impl Steady {
    /// Sends `events` events, 64 in a request, at a rate; and more while something is done to the replicas.
    pub fn start(cluster: &Cluster, events: u64) -> Steady {
        Steady::of(cluster, events, Rate::PerSecond(RATE_PER_S), 64)
    }

    /// Each as soon as another one is answered, one in a request: all that the replicas can take, in many slots of few
    /// events.
    pub fn one_by_one(cluster: &Cluster, events: u64) -> Steady {
        Steady::of(cluster, events, Rate::Max, 1)
    }

    fn of(cluster: &Cluster, events: u64, rate: Rate, batch: usize) -> Steady {
        let shared = Arc::new(Shared::default());
        let plan = LoadPlan {
            rate,
            batch,
            connections: 8,
            // What was late is made up for, without drowning in it whoever has just begun to lead.
            depth: Some(2),
            accounts: ITEMS,
            stock: STOCK,
            mix: Mix::Mixed,
            duplicates: 5.0,
            duration: Duration::from_secs(24 * 3600),
            warehouse: Some(WAREHOUSE),
            drain_limit: DEADLINE,
            journal: true,
            stop: Some(Arc::clone(&shared.stop)),
            ..LoadPlan::new(cluster.addresses())
        };
        let mut follower = Follower { shared: Arc::clone(&shared), events: events as f64, until_s: 0.0 };
        let thread = std::thread::spawn(move || {
            run(&plan, &mut follower).unwrap_or_else(|error| panic!("the load generator: {error}"))
        });
        Steady { shared, thread, events }
    }

    /// Waits until that part of the events was answered from now on, and then for a moment by chance.
    pub fn wait_for(&self, percent: u64, rng: &mut Rng) {
        let answered = self.answered();
        let target = answered.events + (self.events * percent / 100) as f64;
        let waits = |answered: &mut Answered| answered.events < target && !answered.ended;
        let waited = self.shared.more.wait_timeout_while(answered, self.patience(), waits);
        let (answered, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!answered.ended, "the load ended before {target} events were answered");
        assert!(!timeout.timed_out(), "{} events answered, waiting for {target}", answered.events);
        drop(answered);
        self.wait_a_moment(rng);
    }

    /// Lets the load go on for a moment by chance: when a fault begins or ends is part of it.
    pub fn wait_a_moment(&self, rng: &mut Rng) {
        std::thread::park_timeout(Duration::from_millis(rng.below(900)));
    }

    /// Waits for the end of the load: all that was sent is answered, nothing with what nobody wants, and the books
    /// balance.
    pub fn finish(self) -> LoadReport {
        let mut answered = self.answered();
        answered.may_end = true;
        let waited =
            self.shared.more.wait_timeout_while(answered, self.patience(), |answered| !answered.ended);
        let (answered, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{} of {} events answered", answered.events, self.events);
        drop(answered);
        let report = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let counts = report.run.counts;
        println!("{counts:?}, {} retried calls, gaps {:?}", report.run.retried_calls, report.run.gaps);
        assert!(report.books.ok, "{}", report.books);
        assert_eq!(counts.events_sent, counts.events_answered, "{counts:?}");
        assert_eq!((counts.errors, counts.conflicts, report.run.failed_calls), (0, 0, 0), "{counts:?}");
        assert!(counts.events_answered >= self.events && counts.duplicates > 0, "{counts:?}");
        assert!(counts.applied > 0 && counts.rejected > 0, "the load shows too little: {counts:?}");
        report
    }

    /// No scenario stands still for so long.
    fn patience(&self) -> Duration {
        2 * DEADLINE + Duration::from_secs(self.events / 1000)
    }

    fn answered(&self) -> std::sync::MutexGuard<'_, Answered> {
        self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What must hold of replicas that all run, and of which nobody is owed anything: the model's outcomes and items, the
/// first answer for every key that is sent again, and one state on all of them.
pub fn check_all(mut running: Running<'_>, report: &LoadReport) {
    let items = (0..ITEMS as u64).map(|item| (item_id(WAREHOUSE, item).0, STOCK)).collect();
    let model = Model::check(items, &report.journal);
    let mut client = running.cluster.client();
    check_journal(&mut client, &report.journal);
    let ids: Vec<EntityId> = model.held.keys().map(|id| EntityId(*id)).collect();
    let states = client.read(INVENTORY, &ids).unwrap_or_else(|error| panic!("reading the items: {error}"));
    let quantity =
        |state: Option<Vec<u8>>| ItemState::parse(&state.expect("it exists")).expect("an item").quantity;
    let found: BTreeMap<u128, u64> =
        ids.iter().map(|id| id.0).zip(states.into_iter().map(quantity)).collect();
    assert_eq!(found, model.held, "the items are not what the model says");
    drop(client);
    running.wait_until_serving();
    running.settle();
}

/// Hands on how many events were answered, and ends the load when they are enough.
struct Follower {
    shared: Arc<Shared>,
    events: f64,
    until_s: f64,
}

impl Progress for Follower {
    fn phase(&mut self, _: Phase) {}

    fn line(&mut self, line: &ProgressLine) {
        let mut answered = self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.events += line.rate_per_s * (line.elapsed_s - self.until_s);
        self.until_s = line.elapsed_s;
        if answered.may_end && answered.events >= self.events {
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        drop(answered);
        self.shared.more.notify_all();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.shared.more.notify_all();
    }
}

/// What a busy machine with two cores takes beside three replicas that are not optimised.
const RATE_PER_S: f64 = 20_000.0;
const ITEMS: usize = 500;
/// Little, so that some events are rejected.
const STOCK: u64 = 400;
const WAREHOUSE: u64 = 8;
const EVENTS: &str = "ASSIZE_PROCESS_EVENTS";
