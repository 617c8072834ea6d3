//! Files of events, replayed end to end against a model of an engine that misbehaves.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;
use assize_telemetry::TelemetryDomain;
use assize_tools::load::replay::{
    BadScript, Order, ReplayPlan, ReplayReport, Script, Speed, print_replay, replay,
};
use assize_tools::load::{LoadError, Quiet, RunKind};
use serde_json::{Value, json};
use support::{Faults, Model, documented_members, within_a_minute};

/// The command that the sample was made with, as `tools/README.md` says it.
const SAMPLE_COMMAND: &str = "sample-day --events 1000 --seed 7";

#[test]
fn the_sample_is_what_the_documented_command_gives() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(page.contains(&format!("assize-load {SAMPLE_COMMAND} > tools/samples/retail-day.ndjson")));
    let output = assize_load(&SAMPLE_COMMAND.split(' ').collect::<Vec<_>>());
    let sample = fs::read(sample()).unwrap();
    assert!(output.status.success() && output.stdout == sample, "{}", text(&output));
    assert!(sample.len() <= 200 << 10, "{} bytes", sample.len());
}

/// FileAccepted. The first time everything is as expected; the second time everything that was recorded is a duplicate
/// of it.
#[test]
fn the_sample_replays_as_expected_once_and_as_duplicates_from_then_on() {
    for speed in ["max", "1e9"] {
        let model = Model::start(3, Faults::default());
        let (address, sample) = (model.address(), sample());
        let arguments = ["replay", sample.to_str().unwrap(), &address, "--speed", speed, "--json", "-"];
        let first = assize_load(&arguments);
        let found = json(&first);
        assert_eq!((first.status.code(), &found["unexpected"]), (Some(0), &json!(0)), "{}", text(&first));
        let members: BTreeSet<String> = found.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, documented_members("replay"));
        let wanted = expected_by_outcome();
        let outcomes = |found: &Value| -> BTreeMap<String, u64> {
            serde_json::from_value(found["outcomes"].clone()).expect("counts")
        };
        assert_eq!(outcomes(&found), wanted);
        for (outcome, member) in [
            ("applied", "applied"),
            ("rejected", "rejected"),
            ("duplicate", "duplicates"),
            ("conflict", "conflicts"),
        ] {
            assert_eq!(found[member], wanted[outcome], "{member}");
        }
        let by_reason: u64 =
            found["reasons"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
        assert_eq!(by_reason, wanted["rejected"]);
        assert!(found["reasons"].as_array().unwrap().iter().any(|row| {
            row["domain"] == "inventory" && row["reason"] == 1 && row["reason_text"].as_str().is_some()
        }));

        let again: Vec<&str> = arguments.into_iter().chain(["--again"]).collect();
        let second = assize_load(&again);
        let found = json(&second);
        assert_eq!((second.status.code(), &found["unexpected"]), (Some(0), &json!(0)), "{}", text(&second));
        let duplicates = wanted.values().sum::<u64>() - wanted["conflict"];
        assert_eq!(outcomes(&found)["duplicate"], duplicates);
        assert_eq!(outcomes(&found).len(), 2, "duplicates, and what was a mistake stays one");

        // Who does not say that it was replayed before is told that it was.
        let asked = assize_load(&arguments[..5]);
        assert!(text(&asked).contains("Then say --again"), "{}", text(&asked));
        let surprised = assize_load(&arguments);
        assert_eq!(surprised.status.code(), Some(11), "{}", text(&surprised));
        let found = json(&surprised);
        assert_eq!(found["unexpected"], wanted["applied"] + wanted["rejected"]);
        let told: Vec<u64> = found["first_unexpected"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["line"].as_u64().unwrap())
            .collect();
        assert_eq!(
            told,
            (1..=10).collect::<Vec<u64>>(),
            "the first of the file, whichever were answered first"
        );
        assert_eq!(found["first_unexpected"][0]["found"], "duplicate of applied");
    }
}

/// OutcomeTaken, OwnSubmissionRecognised: whatever becomes of requests, outcomes are those of the file's order.
#[test]
fn busy_refused_split_and_lost_answers_change_no_outcome() {
    let kinds = [
        Faults { busy_every: Some(7), refuse_every: Some(5), split: Some(2), ..Faults::default() },
        Faults { drop_after: Some(20), ..Faults::default() },
        Faults { credit: Some(3), ..Faults::default() },
    ];
    for (at, faults) in kinds.into_iter().enumerate() {
        for (batch, connections) in [(1, 4), (50, 2)] {
            let model = Model::start(3, faults.clone());
            let mut plan = plan(&model);
            (plan.batch, plan.connections, plan.speed) = (batch, connections, Speed::Max);
            let report = run(sample_script(), plan).unwrap();
            assert_eq!(report.unexpected, 0, "{}", print_replay(&report));
            assert_eq!(report.outcomes, expected_by_outcome(), "fault {at}");
            assert!(at == 2 || report.run.resubmitted > 0, "fault {at} was none");
        }
    }
}

/// A leader dies in the middle, nobody leads for a while, then another one does.
#[test]
fn a_change_of_leader_changes_no_outcome() {
    let (mut models, cluster) = Model::cluster(3, 2, &Faults::default());
    let mut plan = plan(&models[0]);
    plan.addresses = models.iter().map(Model::address).collect();
    let first = models.remove(0);
    let killer = std::thread::spawn(move || cluster.replace_in_the_middle(first));
    let report = run(sample_script(), plan).unwrap();
    killer.join().unwrap();
    assert_eq!((report.unexpected, report.run.leader_changes), (0, 1), "{}", print_replay(&report));
    assert!(report.run.retried_calls > 0 && report.run.failed_calls == 0);
}

/// LineFallsDue: all of an open loop counts from when it was due, also what had to wait for earlier lines.
#[test]
fn latency_counts_from_the_intended_time_but_at_the_highest_speed() {
    let lines: Vec<Value> = (0..200).map(|at| line(at / 2, None, &adjust(1, 1))).collect();
    let model = Model::start(2, Faults::default());
    let mut paced = plan(&model);
    paced.speed = Speed::Times(10.0);
    let report = run(script(&lines), paced).unwrap();
    assert_eq!((report.run.kind, report.run.measured.latency_ns.len()), (RunKind::Replay, 200));
    // The last line is due after 9.9 ms.
    assert!(report.run.seconds >= 0.0099, "{}", report.run.seconds);

    // All due at once, and one after the other: the last one took as long as all of them.
    let at_once: Vec<Value> = (0..200).map(|_| line(0, None, &adjust(1, 1))).collect();
    let replay_at = |speed| {
        let mut plan = plan(&model);
        plan.speed = speed;
        let report = run(script(&at_once), plan).unwrap().run;
        (report.latency_us.max / 1e6, report.latency_us.p50 / 1e6, report.seconds)
    };
    let (slowest_s, _, seconds) = replay_at(Speed::Times(1.0));
    assert!((slowest_s / seconds - 1.0).abs() < 0.01, "{slowest_s} s of {seconds} s");
    // One after the other half of them take at least half as often the median.
    let (_, median_s, seconds) = replay_at(Speed::Max);
    assert!(median_s < seconds / 50.0, "{median_s} s of {seconds} s");
}

/// DifferenceCounted.
#[test]
fn outcomes_that_differ_are_counted_and_the_first_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let mut lines = vec![
        expecting(line(0, Some("a"), &adjust(1, 5)), "rejected", None),
        expecting(line(1, Some("b"), &adjust(1, -6)), "rejected", Some(2)),
        expecting(line(1, Some("c"), &adjust(1, -6)), "rejected", Some(1)),
        line(2, Some("d"), &adjust(1, -1)),
    ];
    lines.extend((0..20).map(|at| expecting(line(3 + at, None, &adjust(1, 1)), "duplicate", None)));
    fs::write(&file, text_of(&lines)).unwrap();
    let model = Model::start(1, Faults::default());
    let output = assize_load(&["replay", file.to_str().unwrap(), &model.address(), "--speed", "max"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(11), "{said}");
    for words in [
        "22 of 23 outcomes are NOT what their lines expect",
        "line 1, key a: expected rejected, found applied",
        "line 2, key b: expected rejected (2), found rejected (1)",
        "line 5: expected duplicate, found applied",
        "and 12 more",
        "inventory 1: less stock is available than the event takes",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// Lines without a key are events of their own each time; those with one are the events of the HTTP interface's keys.
#[test]
fn a_line_without_a_key_is_a_new_event_each_time() {
    let lines =
        [line(0, None, &adjust(1, 1)), line(0, Some("k"), &adjust(2, 1)), line(0, Some("k"), &adjust(2, 1))];
    let model = Model::start(1, Faults::default());
    let counts = |again| {
        let mut plan = plan(&model);
        plan.again = again;
        let report = run(script(&lines), plan).unwrap();
        assert_eq!((report.expected, report.unexpected), (0, 0));
        let counts = report.run.counts;
        (counts.applied, counts.duplicates)
    };
    assert_eq!((counts(false), counts(true)), ((2, 1), (1, 2)));
    assert_eq!(model.keys(), 3);
}

#[test]
fn events_of_both_domains_can_be_in_one_file() {
    let text = "\
        {\"at_ms\": 0, \"domain\": \"telemetry\", \"event\": {\"configure\": {\"sensor\": \"sensor:9:1\", \
         \"window_ns\": 1000000000, \"silence_ns\": null, \"raise_at\": 900, \"clear_at\": 700}}, \"expect\": \"applied\"}\r\n\
        \n\
        {\"at_ms\": 0.25, \"domain\": 1, \"event\": {\"adjust\": {\"item\": \"item:9:1\", \"delta\": \"0x10\", \"reason\": 0}}, \
         \"expect\": \"applied\"}\n\
        {\"at_ms\": 0.5, \"domain\": \"2\", \"event\": {\"report\": {\"lines\": [{\"sensor\": \"sensor:9:1\", \
         \"sequence\": 1, \"reading\": 5}]}}, \"expect\": \"applied\"}";
    let script = Script::parse("both".into(), text.as_bytes(), &domains());
    let script = script.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(script.lines().iter().map(|line| line.number).collect::<Vec<_>>(), [1, 3, 4]);
    let model = Model::start(2, Faults::default());
    let report = run(script, plan(&model)).unwrap();
    assert_eq!((report.expected, report.unexpected), (3, 0), "{}", print_replay(&report));
}

/// BadLineRefused, NothingIsSentOfABadFile.
#[test]
fn a_bad_line_is_refused_with_its_number_before_anything_is_sent() {
    let good = line(5, Some("good"), &adjust(1, 1)).to_string();
    let event = "\"event\": {\"adjust\": {\"item\": \"item:1:1\", \"delta\": 1, \"reason\": 0}}";
    let cases = [
        ("{\"at_ms\": 6, \"domain\": \"inventory\"".to_owned(), "ends in the middle of its JSON object"),
        ("[6]".into(), "it is no JSON object; accepted is {\"at_ms\": 0"),
        (format!("{{\"domain\": \"inventory\", {event}}}"), "missing field `at_ms`"),
        (format!("{{\"at_ms\": 6, \"domain\": \"inventory\", {event}, \"note\": 1}}"), "unknown field `note`"),
        (format!("{{\"at_ms\": 6, \"at_ms\": 7, \"domain\": \"inventory\", {event}}}"), "duplicate field `at_ms`"),
        (format!("{{\"at_ms\": 6, \"domain\": \"inventory\", {event}}} {good}"), "trailing characters"),
        (format!("{{\"at_ms\": -1, \"domain\": \"inventory\", {event}}}"), "\"at_ms\" is -1; accepted are 0 to"),
        (format!("{{\"at_ms\": \"6\", \"domain\": \"inventory\", {event}}}"), "invalid type"),
        (format!("{{\"at_ms\": 4, \"domain\": \"inventory\", {event}}}"), "before that of line 1: sort the lines"),
        (format!("{{\"at_ms\": 6, \"key\": \"\", \"domain\": \"inventory\", {event}}}"), "\"key\" is empty"),
        (format!("{{\"at_ms\": 6, \"domain\": \"stocks\", {event}}}"), "there are: inventory (1), telemetry (2)"),
        (
            "{\"at_ms\": 6, \"domain\": 1, \"event\": {\"adjust\": {\"item\": \"item:1:1\", \"delta\": 1.5, \"reason\": 0}}}".into(),
            "\"event\": adjust.delta: 1.5 is not a whole number",
        ),
        (
            "{\"at_ms\": 6, \"domain\": \"inventory\", \"event\": {\"adjust\": {\"item\": \"item:1:1\", \"item\": \"item:1:2\"}}}".into(),
            "the member 'item' is there twice",
        ),
        (format!("{{\"at_ms\": 6, \"domain\": \"inventory\", {event}, \"expect\": \"done\"}}"), "accepted are applied"),
        (format!("{{\"at_ms\": 6, \"domain\": \"inventory\", {event}, \"reason\": 1}}"), "no \"expect\""),
    ];
    let model = Model::start(1, Faults::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let refused = |bytes: &[u8], words: &str| {
        fs::write(&file, bytes).unwrap();
        let output = assize_load(&["replay", file.to_str().unwrap(), &model.address(), "--speed", "max"]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains(words) && said.contains("Nothing was sent"), "{words}: {said}");
        assert_eq!(model.keys(), 0);
        said
    };
    for (bad, words) in cases {
        let said = refused(format!("{good}\n{bad}\n{good}\n").as_bytes(), words);
        assert!(said.contains("events.ndjson, line 2: "), "{said}");
    }
    refused(b"", "there is no event in it");
    refused(b"\n \n", "there is no event in it");
    let said = refused(b"{}\n\xff\n", "line 1: ");
    assert!(said.contains("missing field"), "{said}");
    refused(&[good.as_bytes(), b"\n\xff\n"].concat(), "line 2: it is not UTF-8");
    let output = assize_load(&["replay", "nowhere.ndjson", &model.address()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("nowhere.ndjson: it cannot be read"), "{}", text(&output));
    let error = Script::parse("x".into(), b"{", &domains()).unwrap_err();
    assert!(matches!((error.line, &error.what), (1, BadScript::NotALine(_))), "{error}");
}

/// SilenceEndsTheReplay.
#[test]
fn an_engine_that_never_answers_is_an_error_within_the_limit() {
    let model = Model::start(1, Faults { mute: true, ..Faults::default() });
    let mut plan = plan(&model);
    (plan.drain_limit, plan.connections, plan.speed) = (Duration::from_millis(300), 1, Speed::Max);
    let error = run(sample_script(), plan).unwrap_err();
    assert!(matches!(error, LoadError::Unanswered { events: 1000, .. }), "{error}");
}

/// A line that is not due is no silence: nothing is waited for meanwhile.
#[test]
fn a_pause_in_the_file_is_no_silence() {
    let lines = [line(0, None, &adjust(1, 1)), line(400, None, &adjust(1, 1))];
    let model = Model::start(1, Faults::default());
    let mut plan = plan(&model);
    (plan.drain_limit, plan.speed) = (Duration::from_millis(100), Speed::Times(1.0));
    assert_eq!(run(script(&lines), plan).unwrap().run.counts.applied, 2);
}

#[test]
fn in_no_order_everything_is_sent_when_it_is_due() {
    let model = Model::start(2, Faults::default());
    let mut plan = plan(&model);
    (plan.order, plan.connections) = (Order::None, 8);
    let report = run(sample_script(), plan).unwrap();
    assert_eq!(report.run.counts.events_answered, 1000);
    // Outcomes that depend on the order may differ, and are counted then; those of the keys alone cannot.
    let once: u64 = ["applied", "rejected"].iter().filter_map(|name| report.outcomes.get(*name)).sum();
    let wanted = expected_by_outcome();
    assert_eq!(once, wanted["applied"] + wanted["rejected"], "a key is evaluated once");
}

#[test]
fn a_plan_that_cannot_be_is_refused_with_what_is_accepted() {
    for (options, words) in [
        (["--speed", "fast"], "'max'"),
        (["--batch", "0"], "accepted: 1 to 8190"),
        (["--connections", "0"], "accepted: 1 to 65535"),
        (["--drain", "-1"], "accepted: seconds"),
        (["--order", "any"], "entities"),
    ] {
        let [option, value] = options;
        let sample = sample();
        let output = assize_load(&["replay", sample.to_str().unwrap(), &format!("{option}={value}")]);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", text(&output));
        assert!(text(&output).contains(words), "{options:?}: {}", text(&output));
    }
}

fn plan(model: &Model) -> ReplayPlan {
    let mut plan = ReplayPlan::new(vec![model.address()]);
    plan.connections = 4;
    plan.speed = Speed::Max;
    plan.drain_limit = Duration::from_secs(20);
    plan
}

fn run(script: Script, plan: ReplayPlan) -> Result<ReplayReport, LoadError> {
    within_a_minute(move || replay(script, &plan, &domains(), &mut Quiet))
}

fn domains() -> DomainRegistry {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).unwrap();
    domains.register(TelemetryDomain).unwrap();
    domains
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/retail-day.ndjson")
}

fn sample_script() -> Script {
    Script::read(&sample(), &domains()).unwrap()
}

/// How many lines of the sample expect what.
fn expected_by_outcome() -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in sample_script().lines() {
        *counts.entry(line.expected.expect("all do").status.to_string()).or_default() += 1;
    }
    counts
}

fn script(lines: &[Value]) -> Script {
    Script::parse("lines".into(), text_of(lines).as_bytes(), &domains()).unwrap()
}

fn text_of(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn line(at_ms: u64, key: Option<&str>, event: &Value) -> Value {
    json!({"at_ms": at_ms, "key": key, "domain": "inventory", "event": event})
}

fn expecting(mut line: Value, expect: &str, reason: Option<u16>) -> Value {
    line["expect"] = expect.into();
    line["reason"] = reason.into();
    line
}

fn adjust(sku: u64, delta: i64) -> Value {
    json!({"adjust": {"item": format!("item:1:{sku}"), "delta": delta, "reason": 0}})
}

fn assize_load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assize-load")).args(arguments).output().expect("running assize-load")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
