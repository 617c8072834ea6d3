//! The load generator end to end against a model of an engine that misbehaves.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use assize_tools::client::{Client, Options};
use assize_tools::load::{
    LoadError, LoadPlan, LoadReport, Mix, Quiet, Rate, Skew, Workload, print_report, run, verify_journal,
};
use support::{Faults, Model, documented_members, within_a_minute};

fn plan(model: &Model) -> LoadPlan {
    let mut plan = LoadPlan::new(vec![model.address()]);
    plan.accounts = 200;
    plan.connections = 4;
    plan.batch = 16;
    plan.duration = Duration::from_millis(300);
    plan.drain_limit = Duration::from_secs(20);
    plan
}

fn run_plan(plan: LoadPlan) -> Result<LoadReport, LoadError> {
    within_a_minute(move || run(&plan, &mut Quiet))
}

fn balanced(plan: LoadPlan) -> LoadReport {
    let report = run_plan(plan).unwrap();
    let counts = report.run.counts;
    assert!(report.books.ok, "{:?}", report.books);
    assert_eq!(counts.events_sent, counts.events_answered);
    let sum = counts.applied + counts.rejected + counts.duplicates + counts.conflicts + counts.errors;
    assert_eq!(counts.events_answered, sum, "{counts:?}");
    assert!(counts.applied > 0 && counts.errors == 0 && counts.conflicts == 0, "{counts:?}");
    report
}

#[test]
fn a_closed_loop_balances_and_fills_the_report() {
    let model = Model::start(2, Faults::default());
    let mut plan = plan(&model);
    plan.client_cores = 2;
    plan.warmup = Duration::from_millis(50);
    let report = balanced(plan);
    assert_eq!(
        (report.run.shards, report.run.replicas, report.run.copies, report.run.durable),
        (2, 1, 1, false)
    );
    assert!(report.run.rate_per_s > 0.0 && report.run.latency_us.max >= report.run.latency_us.p50);
    assert!(report.run.latency_us.p50 > 0.0 && report.books.expected_total == 200_000_000);
    assert!(print_report(&report).contains("balanced"));
}

#[test]
fn the_json_object_has_exactly_the_promised_fields() {
    let model = Model::start(1, Faults::default());
    let report = balanced(plan(&model));
    let json = serde_json::to_value(&report).unwrap();
    let names =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let set = |words: &str| words.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let promised =
        set("events_sent events_answered applied rejected duplicates conflicts busy errors seconds \
        rate_per_s latency_us books replicas copies shards batch connections durable");
    let more = set(
        "rate_target_per_s requests_unsent gaps longest_gap_ms longest_gap_at_s reconnects resubmitted failed_calls \
        retried_calls redirects leader_changes leader skew accounts warehouse schema schema_version kind \
        program_version unix_time depth client_cores workload mix duration_s warmup_s duplicates_percent stock \
        latency_histogram",
    );
    assert_eq!(names(&json), promised.union(&more).cloned().collect());
    assert_eq!(names(&json), documented_members("load"));
    assert_eq!(names(&json["latency_us"]), set("p50 p90 p99 p99_9 p99_99 max"));
    let books = names(&json["books"]);
    assert!(set("ok expected_total found_total negative_entities").is_subset(&books));
}

#[test]
fn every_mix_balances_under_skew_and_with_duplicates() {
    for mix in [Mix::Transfer, Mix::Adjust, Mix::Lines, Mix::Mixed] {
        let model = Model::start(3, Faults::default());
        let mut plan = plan(&model);
        plan.mix = mix;
        plan.skew = Skew::Zipf(0.99);
        plan.duplicates = 20.0;
        // Little stock, so that rejections happen.
        plan.stock = 300;
        let counts = balanced(plan).run.counts;
        assert!(counts.duplicates > 0 && counts.rejected > 0, "{mix:?} {counts:?}");
        let share = counts.duplicates as f64 / counts.events_answered as f64;
        assert!((0.05..0.25).contains(&share), "{share}");
    }
}

#[test]
fn fewer_connections_than_shards_reach_every_shard() {
    let model = Model::start(5, Faults::default());
    let mut plan = plan(&model);
    plan.connections = 2;
    plan.batch = 8190;
    plan.depth = Some(3);
    balanced(plan);
}

#[test]
fn an_open_loop_keeps_its_rate_and_counts_from_the_intended_time() {
    let model = Model::start(1, Faults::default());
    let mut plan = plan(&model);
    plan.rate = Rate::PerSecond(2000.0);
    plan.batch = 1;
    plan.duration = Duration::from_millis(500);
    let report = balanced(plan);
    let requests = report.run.measured.latency_ns.len();
    assert!((990..=1000).contains(&requests), "{requests} requests in half a second at 2,000/s");
}

#[test]
fn a_rate_that_the_engine_cannot_keep_shows_as_latency() {
    let model = Model::start(1, Faults::default());
    let mut plan = plan(&model);
    plan.rate = Rate::PerSecond(50_000_000.0);
    plan.depth = Some(1);
    let report = balanced(plan);
    assert!(report.run.requests_unsent > 1000);
    // Half of the requests were due in the first half of the run and are not sent at its end.
    assert!(report.run.latency_us.p50 > 100_000.0, "{:?}", report.run.latency_us);
}

#[test]
fn busy_refused_and_split_answers_end_in_balanced_books() {
    let faults = Faults { busy_every: Some(7), refuse_every: Some(5), split: Some(3), ..Faults::default() };
    let model = Model::start(2, faults);
    let mut plan = plan(&model);
    plan.duplicates = 10.0;
    let report = balanced(plan);
    assert!(report.run.counts.busy > 0 && report.run.resubmitted > 0);
}

#[test]
fn a_credit_below_the_batch_still_gets_everything_through() {
    let faults = Faults { credit: Some(10), ..Faults::default() };
    let model = Model::start(1, faults);
    let mut plan = plan(&model);
    plan.batch = 64;
    balanced(plan);
}

#[test]
fn connections_dropped_after_evaluation_neither_lose_nor_double_an_event() {
    let faults = Faults { drop_after: Some(20), ..Faults::default() };
    let model = Model::start(2, faults);
    let mut plan = plan(&model);
    plan.duplicates = 5.0;
    plan.journal = true;
    let report = balanced(plan);
    assert!(report.run.reconnects > 0 && report.run.resubmitted > 0);
    let mut client = Client::connect(&[model.address()], Options::default()).unwrap();
    let check = verify_journal(&mut client, &report.journal).unwrap();
    assert_eq!(check.mismatches, []);
    assert_eq!(check.checked as u64, report.run.counts.applied + report.run.counts.rejected);
    let mut forged = report.journal[0].clone();
    forged.answer.position.index += 1;
    assert_eq!(verify_journal(&mut client, &[forged]).unwrap().mismatches.len(), 1);
}

/// A leader dies under load, nobody leads for a while, then another one does.
#[test]
fn a_change_of_leader_fails_no_call_and_shows_as_the_longest_gap() {
    for (rate, batch, depth) in
        [(Rate::Max, 16, None), (Rate::PerSecond(2000.0), 1, None), (Rate::Max, 4, Some(8))]
    {
        let (mut models, cluster) = Model::cluster(3, 2, &Faults::default());
        let mut plan = plan(&models[0]);
        plan.addresses = models.iter().map(Model::address).collect();
        (plan.rate, plan.batch, plan.depth, plan.client_cores) = (rate, batch, depth, 2);
        plan.duration = Duration::from_millis(800);
        plan.duplicates = 5.0;
        let first = models.remove(0);
        // When so much is evaluated, the items are there.
        let killer = std::thread::spawn(move || cluster.replace_in_the_middle(first));
        let report = balanced(plan);
        killer.join().unwrap();
        assert_eq!((report.run.failed_calls, report.run.leader_changes, report.run.replicas), (0, 1, 3));
        assert!(report.run.reconnects > 0, "{rate:?}");
        let (retried, resubmitted) = (report.run.retried_calls, report.run.resubmitted);
        assert!(retried > 0 && resubmitted > 0, "{retried} {resubmitted}");
        let (gap, at) = (report.run.longest_gap_ms, report.run.longest_gap_at_s);
        assert!(gap > 0.0 && (0.0..0.8).contains(&at), "{gap} ms at {at} s");
        // Requests that were meant to be sent in the gap count from then: the slowest took about as long.
        assert!(
            rate == Rate::Max || report.run.latency_us.max >= gap * 900.0,
            "{gap} {:?}",
            report.run.latency_us
        );
    }
}

/// The leader hands over: whatever it refuses goes to the next one, and no connection breaks.
#[test]
fn a_leader_that_hands_over_redirects_the_load() {
    let (models, cluster) = Model::cluster(3, 1, &Faults::default());
    let mut plan = plan(&models[0]);
    plan.addresses = models.iter().map(Model::address).collect();
    cluster.elect_after(&[(300, 1), (1500, 2), (3000, 0)]);
    let report = balanced(plan);
    assert_eq!(report.run.failed_calls, 0);
    let (changes, redirects) = (report.run.leader_changes, report.run.redirects);
    assert!(changes >= 3 && redirects >= 3, "{changes} {redirects}");
}

#[test]
fn the_books_find_an_event_that_was_applied_twice() {
    let faults = Faults { double_every: Some(300), ..Faults::default() };
    let model = Model::start(1, faults);
    let mut plan = plan(&model);
    plan.batch = 500;
    let report = run_plan(plan).unwrap();
    assert!(!report.books.ok && report.books.wrong_entities > 0);
    // A transfer made twice keeps the total: only the comparison by item sees it.
    assert_eq!(report.books.expected_total, report.books.found_total);
}

#[test]
fn the_books_find_one_missing_unit() {
    let faults = Faults { lose_unit_after: Some(300), ..Faults::default() };
    let model = Model::start(1, faults);
    let report = run_plan(plan(&model)).unwrap();
    assert!(!report.books.ok && report.books.wrong_entities == 1);
    assert_eq!(report.books.expected_total - report.books.found_total, 1);
}

#[test]
fn a_second_run_takes_the_items_as_the_first_left_them() {
    let model = Model::start(1, Faults::default());
    let mut plan = plan(&model);
    plan.warehouse = Some(9);
    plan.mix = Mix::Adjust;
    let first = balanced(plan.clone());
    assert_ne!(first.books.found_total, 200_000_000);
    balanced(plan);
}

/// Answers are lost, late, partial and in another order, requests are sent again: no reading is counted twice or lost.
#[test]
fn a_fleet_balances_whatever_becomes_of_its_requests() {
    let kinds = [
        Faults::default(),
        Faults { busy_every: Some(7), refuse_every: Some(5), split: Some(3), ..Faults::default() },
        Faults { drop_after: Some(20), ..Faults::default() },
    ];
    for (at, faults) in kinds.into_iter().enumerate() {
        let model = Model::start(2, faults);
        let mut plan = plan(&model);
        plan.workload = if at == 0 { Workload::Telemetry } else { Workload::Both };
        plan.client_cores = 2;
        plan.duplicates = 10.0;
        let report = balanced(plan);
        let sensors = report.books.telemetry.as_ref().expect("sensors");
        assert!(
            report.run.counts.duplicates > 0 && report.run.counts.rejected > 0,
            "{:?}",
            report.run.counts
        );
        assert!(sensors.sensors == 200 && sensors.found_readings > 0, "{sensors:?}");
        assert_eq!(sensors.found_readings, sensors.expected_readings);
        assert_eq!(report.books.found_total > 0, at > 0, "items are the inventory's alone");
        assert!(print_report(&report).contains("counted once"), "{}", report.books);
    }
}

/// Fewer connections than shards, fewer sensors than lanes, and a second run over the sensors of the first.
#[test]
fn a_fleet_goes_on_as_the_one_before_left_it() {
    let model = Model::start(3, Faults::default());
    let mut plan = plan(&model);
    (plan.workload, plan.warehouse) = (Workload::Telemetry, Some(9));
    (plan.accounts, plan.connections, plan.depth) = (2, 2, Some(3));
    let readings = |report: &LoadReport| report.books.telemetry.as_ref().expect("sensors").found_readings;
    let first = balanced(plan.clone());
    let second = balanced(plan);
    assert_eq!(second.books.telemetry.as_ref().expect("sensors").sensors, 3);
    assert!(readings(&first) > 0 && readings(&second) > readings(&first));
}

#[test]
fn the_books_find_a_reading_that_was_taken_and_forgotten() {
    let model = Model::start(1, Faults { forget_every: Some(100), ..Faults::default() });
    let mut plan = plan(&model);
    plan.workload = Workload::Telemetry;
    let report = run_plan(plan).unwrap();
    let sensors = report.books.telemetry.as_ref().expect("sensors");
    assert!(!report.books.ok && sensors.wrong_sensors > 0, "{sensors:?}");
    assert!(sensors.found_readings < sensors.expected_readings, "{sensors:?}");
    assert!(print_report(&report).contains("sensors differ"), "{}", report.books);
}

#[test]
fn an_engine_that_never_answers_is_an_error_within_the_limit() {
    let model = Model::start(1, Faults { mute: true, ..Faults::default() });
    let mut plan = plan(&model);
    plan.drain_limit = Duration::from_millis(500);
    let error = run_plan(plan).unwrap_err();
    assert!(matches!(error, LoadError::Client { doing: "creating the items", .. }), "{error}");
}

#[test]
fn a_plan_that_cannot_be_is_refused_with_what_is_accepted() {
    type Change = fn(&mut LoadPlan);
    let change: [(&str, Change); 7] = [
        ("batch", |plan| plan.batch = 8191),
        ("batch", |plan| plan.batch = 0),
        ("connections", |plan| plan.connections = 0),
        ("client-cores", |plan| plan.client_cores = 9),
        ("accounts", |plan| plan.accounts = 1),
        ("duplicates", |plan| plan.duplicates = -1.0),
        ("rate", |plan| plan.rate = Rate::PerSecond(f64::NAN)),
    ];
    for (what, change) in change {
        let mut plan = LoadPlan::new(vec!["localhost:1".into()]);
        change(&mut plan);
        assert_eq!(plan.check().unwrap_err().what, what);
    }
}
