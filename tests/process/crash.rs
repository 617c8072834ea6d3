//! kill -9 at random moments under load: every answered event is there exactly once, with the same answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use assize_tools::load::{LoadPlan, LoadReport, Mix, Quiet, Rate, run, verify_journal};

use crate::engine::{DEADLINE, client_of};
use crate::load::Load;
use crate::rng::Rng;
use crate::site::{Settings, Site};

/// Kills under load in each of the three layouts: together ninety, with one more in recovery after every fourth.
const KILLS: u64 = 30;
/// At most this many answers between a restart and the next kill.
const ANSWERS_MAX: u64 = 1_500;

#[test]
fn one_shard_survives_kills_at_any_moment() {
    survive("one shard", vec![vec![0]]);
}

#[test]
fn two_shards_on_one_core_survive_kills_at_any_moment() {
    survive("two shards, one core", vec![vec![0, 1]]);
}

#[test]
fn two_shards_on_two_cores_with_two_logs_survive_kills_at_any_moment() {
    survive("two shards, two cores", vec![vec![0], vec![1]]);
}

fn survive(what: &str, cores: Vec<Vec<u16>>) {
    let mut rng = Rng::announced(what);
    let site = Site::formatted(Settings::on_fixed_ports(cores));
    let mut engine = site.start();
    let address = engine.address().to_owned();
    let generated = Generated::start(&address);
    let load = Load::start(&address, 3, &mut rng);
    for kill in 0..KILLS {
        load.wait_for_answers(1 + rng.below(ANSWERS_MAX));
        engine.kill();
        if kill % 4 == 3 {
            kill_in_recovery(&site, &mut rng);
        }
        engine = site.start();
        load.check_some(&mut rng);
    }
    let report = generated.finish();
    let ledger = load.finish();
    println!(
        "{what}: {KILLS} kills, {} keys, {} repeated on purpose; generated: {} answered, {} reconnects",
        ledger.journal.len(),
        ledger.repeated,
        report.run.counts.events_answered,
        report.run.reconnects
    );
    assert!(ledger.repeated > 0, "no key was repeated: the test shows too little");
    assert!(ledger.journal.iter().any(|entry| entry.answer.response.len() > 16), "no long response");
    // What holds after the last kill holds after a stop in good order.
    engine.stop();
    let _engine = site.start();
    let check = verify_journal(&mut client_of(&address), &report.journal).expect("resubmitting");
    assert!(check.mismatches.is_empty(), "{:#?}", check.mismatches[0]);
}

/// Starts the engine and kills it while it recovers or replays, or just after.
pub fn kill_in_recovery(site: &Site, rng: &mut Rng) {
    let mut engine = site.spawn();
    engine.wait_for_lines(rng.below(4));
    for _ in 0..rng.below(2_000) {
        thread::yield_now();
    }
    assert!(engine.is_running(), "it does not start again:\n{}", engine.said());
    engine.kill();
}

/// The load generator's library, with its own books and journal, through all restarts.
struct Generated {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<LoadReport>,
}

impl Generated {
    fn start(address: &str) -> Generated {
        let stop = Arc::new(AtomicBool::new(false));
        let mut plan = LoadPlan::new(vec![address.to_owned()]);
        plan.rate = Rate::PerSecond(2_000.0);
        plan.batch = 8;
        plan.connections = 4;
        plan.accounts = 300;
        plan.stock = 500;
        plan.mix = Mix::Mixed;
        plan.duplicates = 10.0;
        plan.duration = Duration::from_secs(600);
        plan.drain_limit = DEADLINE;
        plan.journal = true;
        plan.stop = Some(Arc::clone(&stop));
        let run =
            move || run(&plan, &mut Quiet).unwrap_or_else(|error| panic!("the load generator: {error}"));
        Generated { stop, thread: thread::spawn(run) }
    }

    fn finish(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        let report = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(report.books.ok, "{}", report.books);
        let counts = report.run.counts;
        assert_eq!(counts.events_sent, counts.events_answered, "{counts:?}");
        assert!(counts.errors == 0 && counts.conflicts == 0 && counts.duplicates > 0, "{counts:?}");
        report
    }
}
