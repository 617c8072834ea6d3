//! Two reports side by side, as `assize-load compare` puts them, and what it says of files that are no reports.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use assize_tools::load::{LoadPlan, LoadReport, Quiet, Workload, run};
use serde_json::{Value, json};
use support::{Faults, Model, within_a_minute};

#[test]
fn two_runs_are_compared_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, svg) =
        (folder.path().join("a.json"), folder.path().join("b.json"), folder.path().join("both.svg"));
    let first = report(|_| {});
    let second = report(|plan| (plan.batch, plan.workload) = (64, Workload::Both));
    fs::write(&a, serde_json::to_vec(&first).unwrap()).unwrap();
    fs::write(&b, serde_json::to_vec_pretty(&second).unwrap()).unwrap();

    let output = compare(&[&a, &b], &["--svg", svg.to_str().unwrap()]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for words in ["events answered", "99.999%", "The set-ups differ", "workload"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let row = |name: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        row("applied")[..2],
        [first.run.counts.applied, second.run.counts.applied].map(|n| n.to_string())
    );
    assert_eq!(row("batch"), ["16", "64"]);
    assert_eq!(row("workload"), ["inventory", "both"]);
    assert!(!said.contains("connections "), "they are the same: {said}");
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("a.json") && drawn.contains("b.json") && drawn.ends_with("</svg>\n"));

    // The standard output is for one thing at a time.
    let output = compare(&[&a, &b], &["--svg", "-"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), drawn);
    let output = compare(&[&a, &a], &[]);
    assert!(text(&output).contains("The set-ups are the same"), "{}", text(&output));
}

#[test]
fn what_is_no_report_is_said_with_the_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let good = serde_json::to_value(report(|_| {})).unwrap();
    let good_path = folder.path().join("good.json");
    fs::write(&good_path, good.to_string()).unwrap();
    let with = |member: &str, value: Value| {
        let mut changed = good.clone();
        changed[member] = value;
        changed.to_string()
    };
    let without = |member: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(member);
        changed.to_string()
    };
    let whole = good.to_string();
    let cases: [(String, &str); 12] = [
        (String::new(), "ends in the middle, after 0 bytes"),
        (whole[..whole.len() / 2].to_owned(), "it was cut off, or is still being written"),
        ("applied 5".into(), "not one JSON document"),
        (format!("{whole}\n{whole}"), "not one JSON document"),
        ("[]".into(), "it is no report"),
        (json!({"applied": 5, "rate_per_s": 1.0}).to_string(), "it has no \"schema\""),
        (with("schema", json!("something")), "it is no report"),
        (with("schema_version", json!(2)), "a report of version 2, and this program knows version 1"),
        (with("schema_version", json!("1")), "\"schema_version\" cannot be used"),
        (without("rate_per_s"), "\"rate_per_s\" cannot be used: it is missing"),
        (without("latency_histogram"), "\"latency_histogram\" cannot be used: it is missing"),
        (
            with("latency_histogram", json!("AAAA")),
            "\"latency_histogram\" cannot be used: it is not an HdrHistogram",
        ),
    ];
    for (content, words) in cases {
        let path = folder.path().join("bad.json");
        fs::write(&path, &content).unwrap();
        for order in [[&good_path, &path], [&path, &good_path]] {
            let output = compare(&order, &[]);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(2), "{words}: {said}");
            assert!(said.contains("bad.json: ") && said.contains(words), "{words}: {said}");
            assert!(output.stdout.is_empty(), "{said}");
        }
    }
    let nowhere = folder.path().join("nowhere.json");
    let output = compare(&[&good_path, &nowhere], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("nowhere.json: it cannot be read"), "{}", text(&output));
}

fn report(change: impl FnOnce(&mut LoadPlan)) -> LoadReport {
    let model = Model::start(1, Faults::default());
    let mut plan = LoadPlan::new(vec![model.address()]);
    plan.accounts = 100;
    plan.connections = 2;
    plan.batch = 16;
    plan.duration = Duration::from_millis(100);
    change(&mut plan);
    within_a_minute(move || run(&plan, &mut Quiet)).unwrap()
}

fn compare(reports: &[&impl AsRef<Path>], options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize-load"));
    command.arg("compare").args(reports.iter().map(|path| path.as_ref())).args(options);
    command.output().expect("running assize-load")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
