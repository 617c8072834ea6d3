//! Two reports side by side: what was found, each percentile, and what the two set-ups do not have in common.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use super::plot::{Curve, write_curves};
use super::report::{PERCENTILES, human_ns};
use super::saved::SavedReport;

/// The comparison for people. Ratios are B's number divided by A's.
#[must_use]
pub fn print_comparison(a: &SavedReport, b: &SavedReport) -> String {
    let mut out = String::new();
    let mut lines = || -> std::fmt::Result {
        writeln!(out, "A  {}\nB  {}\n", a.file, b.file)?;
        row(&mut out, "", "A", "B", "B/A")?;
        for (name, member, unit) in FOUND {
            let (left, right) = (number(a, member), number(b, member));
            if left.is_some() || right.is_some() {
                let shown = |number: Option<f64>| number.map_or("-".into(), |number| with_unit(number, unit));
                row(&mut out, name, &shown(left), &shown(right), &ratio(left, right))?;
            }
        }
        writeln!(out, "\nLatency of a request\n")?;
        let (left, right) = (&a.latency_ns, &b.latency_ns);
        row(&mut out, "percentile", "A", "B", "B/A")?;
        for percentile in PERCENTILES {
            let at = |report: &SavedReport| match report.latency_ns.is_empty() {
                true => None,
                false => Some(report.latency_ns.value_at_percentile(percentile)),
            };
            let shown = |nanos: Option<u64>| nanos.map_or("-".into(), human_ns);
            let ratio = ratio(at(a).map(|nanos| nanos as f64), at(b).map(|nanos| nanos as f64));
            row(&mut out, &format!("{percentile:>9}%"), &shown(at(a)), &shown(at(b)), &ratio)?;
        }
        row(&mut out, "requests", &left.len().to_string(), &right.len().to_string(), "")?;
        let different = differences(a, b);
        if different.is_empty() {
            return writeln!(out, "\nThe set-ups are the same in all that the reports record.");
        }
        writeln!(out, "\nThe set-ups differ, so not all of this need come from what was to be compared\n")?;
        for (name, left, right) in different {
            row(&mut out, name, &left, &right, "")?;
        }
        Ok(())
    };
    lines().expect("writing to a string cannot fail");
    out
}

/// Both latency curves in one plot.
///
/// # Errors
/// What `out` says.
pub fn write_comparison_svg(a: &SavedReport, b: &SavedReport, out: &mut dyn Write) -> io::Result<()> {
    let curves = [("A", a), ("B", b)].map(|(letter, report)| Curve {
        name: format!("{letter}: {}", report.file),
        latency_ns: &report.latency_ns,
    });
    write_curves(&curves, "Latency of a request, A and B", out)
}

/// What the two set-ups do not have in common: what it is, A's, B's.
fn differences(a: &SavedReport, b: &SavedReport) -> Vec<(&'static str, String, String)> {
    let shown = |value: Option<&Value>| match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let differs = |(name, member): &(&'static str, &str)| {
        let (left, right) = (a.get(member), b.get(member));
        (left != right).then(|| (*name, shown(left), shown(right)))
    };
    SET_UP.iter().filter_map(differs).collect()
}

fn row(out: &mut String, name: &str, a: &str, b: &str, ratio: &str) -> std::fmt::Result {
    let line = format!("  {name:<20}  {a:>18}  {b:>18}  {ratio:>8}");
    writeln!(out, "{}", line.trim_end())
}

fn number(report: &SavedReport, member: &str) -> Option<f64> {
    report.get(member)?.as_f64()
}

fn with_unit(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{number:.0}"),
        Unit::PerSecond => format!("{number:.0}/s"),
        Unit::Seconds => format!("{number:.1} s"),
        Unit::Milliseconds => format!("{number:.1} ms"),
    }
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => format!("{:.2}", b / a),
        _ => "-".into(),
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Count,
    PerSecond,
    Seconds,
    Milliseconds,
}

/// What was found: what people call it, the member, its unit.
const FOUND: [(&str, &str, Unit); 17] = [
    ("rate", "rate_per_s", Unit::PerSecond),
    ("measured", "seconds", Unit::Seconds),
    ("events answered", "events_answered", Unit::Count),
    ("applied", "applied", Unit::Count),
    ("rejected", "rejected", Unit::Count),
    ("duplicates", "duplicates", Unit::Count),
    ("conflicts", "conflicts", Unit::Count),
    ("errors", "errors", Unit::Count),
    ("unexpected outcomes", "unexpected", Unit::Count),
    ("told to come back", "busy", Unit::Count),
    ("failed calls", "failed_calls", Unit::Count),
    ("retried calls", "retried_calls", Unit::Count),
    ("reconnects", "reconnects", Unit::Count),
    ("redirects", "redirects", Unit::Count),
    ("changes of leader", "leader_changes", Unit::Count),
    ("requests unsent", "requests_unsent", Unit::Count),
    ("longest gap", "longest_gap_ms", Unit::Milliseconds),
];

/// What was set up: what people call it, the member. Not what is drawn afresh for each run.
const SET_UP: [(&str, &str); 23] = [
    ("run", "kind"),
    ("program version", "program_version"),
    ("replicas", "replicas"),
    ("copies", "copies"),
    ("shards", "shards"),
    ("durable", "durable"),
    ("batch", "batch"),
    ("connections", "connections"),
    ("depth", "depth"),
    ("client cores", "client_cores"),
    ("workload", "workload"),
    ("mix", "mix"),
    ("seconds to measure", "duration_s"),
    ("seconds of warm-up", "warmup_s"),
    ("rate asked for", "rate_target_per_s"),
    ("duplicates, percent", "duplicates_percent"),
    ("skew", "skew"),
    ("items", "accounts"),
    ("stock of an item", "stock"),
    ("file", "file_hash"),
    ("lines", "lines"),
    ("speed", "speed"),
    ("order", "order"),
];

#[cfg(test)]
mod tests {
    use super::super::report::SCHEMA;
    use super::*;

    fn saved(change: impl Fn(&mut Value)) -> SavedReport {
        let mut latency_ns = super::super::stats::new_histogram();
        (1..=1000u64).for_each(|n| latency_ns.record(n * 1000).unwrap());
        let mut report = serde_json::json!({
            "schema": SCHEMA, "schema_version": 1, "kind": "load", "events_answered": 1000, "rate_per_s": 100.0,
            "seconds": 10.0, "applied": 900, "rejected": 100, "duplicates": 0, "conflicts": 0, "busy": 0, "errors": 0,
            "failed_calls": 0, "retried_calls": 0, "reconnects": 0, "requests_unsent": 0, "longest_gap_ms": 1.5,
            "batch": 1, "connections": 64, "workload": "inventory",
            "latency_histogram": super::super::encoded::to_base64(&latency_ns).unwrap(),
        });
        change(&mut report);
        SavedReport::parse("a.json".into(), report.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn numbers_stand_beside_each_other_with_their_ratio() {
        let (a, b) = (saved(|_| {}), saved(|report| report["rate_per_s"] = 150.into()));
        let text = print_comparison(&a, &b);
        let line = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let words = |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words("rate"), ["rate", "100/s", "150/s", "1.50"]);
        assert_eq!(words("conflicts"), ["conflicts", "0", "0", "-"]);
        assert_eq!(words("50%"), ["50%", "500.2", "µs", "500.2", "µs", "1.00"]);
        for percentile in PERCENTILES {
            assert!(text.contains(&format!(" {percentile}%")), "{percentile}: {text}");
        }
        assert!(text.contains("The set-ups are the same"), "{text}");
    }

    #[test]
    fn what_differs_in_the_set_ups_is_told_and_what_only_one_has() {
        let replay = saved(|report| {
            report["batch"] = 8190.into();
            report["kind"] = "replay".into();
            report["workload"] = Value::Null;
            report["speed"] = 60.into();
            report["unexpected"] = 3.into();
        });
        let text = print_comparison(&saved(|_| {}), &replay);
        let (found, set_up) = text.split_once("The set-ups differ").unwrap();
        assert!(found.lines().any(|line| {
            line.split_whitespace().collect::<Vec<_>>() == ["unexpected", "outcomes", "-", "3", "-"]
        }));
        let rows: Vec<Vec<&str>> =
            set_up.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [
                vec!["run", "load", "replay"],
                vec!["batch", "1", "8190"],
                vec!["workload", "inventory", "-"],
                vec!["speed", "-", "60"]
            ]
        );
    }

    #[test]
    fn a_run_without_requests_has_no_percentiles() {
        let nothing = super::super::encoded::to_base64(&super::super::stats::new_histogram()).unwrap();
        let empty = saved(|report| report["latency_histogram"] = nothing.clone().into());
        let text = print_comparison(&empty, &saved(|_| {}));
        assert!(text.lines().any(|line| line.split_whitespace().next_back() == Some("-")), "{text}");
        let mut svg = Vec::new();
        write_comparison_svg(&empty, &empty, &mut svg).unwrap();
        assert!(String::from_utf8(svg).unwrap().ends_with("</svg>\n"));
    }
}
