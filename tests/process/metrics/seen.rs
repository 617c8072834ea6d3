//! What scrapes have shown: of every series all the values that it had.

use std::collections::{BTreeMap, BTreeSet};

use assize_metrics::{Kind, METRICS, Metric};

use super::openmetrics::{self, Family};
use crate::engine::Engine;
use crate::faces::ask_until;

/// One scrape.
pub struct Scrape {
    families: Vec<Family>,
}

/// All scrapes. A series is a metric with those of its labels whose values are always the same ones: a state, a log, a
/// stage, but not a core or a shard.
#[derive(Default)]
pub struct Seen {
    /// By series, and by what is left of its labels.
    values: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Scrape {
    /// What it says now. Every metric must be there, described as the list has it.
    pub fn of(engine: &Engine) -> Scrape {
        let answer = ask_until(engine, "/metrics", |answer| answer.status == 200);
        let families =
            openmetrics::parse(&answer.body).unwrap_or_else(|error| panic!("{error}\nin\n{}", answer.body));
        let described: Vec<_> = families
            .iter()
            .map(|Family { name, kind, unit, help, .. }| (&**name, &**kind, &**unit, &**help))
            .collect();
        let listed: Vec<_> = METRICS
            .iter()
            .map(|metric| (family_of(metric), kind_of(metric), metric.unit, metric.help))
            .collect();
        assert_eq!(described, listed, "what is exposed is not what is listed");
        for (family, metric) in families.iter().zip(METRICS) {
            let labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
            for sample in &family.samples {
                let found = sample.labels.keys().map(String::as_str).filter(|label| *label != "le");
                assert_eq!(found.collect::<BTreeSet<_>>(), labels, "{}", metric.name);
            }
        }
        Scrape { families }
    }

    /// What a metric's samples with these labels come to.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.families.iter().flat_map(|family| &family.samples);
        let wanted = samples.filter(|sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        });
        wanted.map(|sample| sample.value).sum()
    }

    /// The state that it says it is in.
    pub fn state(&self) -> String {
        let samples = self.families.iter().flat_map(|family| &family.samples);
        let mut on = samples.filter(|sample| sample.name == "assize_state" && sample.value == 1.0);
        let state = on.next().map(|sample| sample.labels["state"].clone());
        assert!(on.next().is_none(), "it is in two states");
        state.expect("it is in some state")
    }
}

impl Seen {
    /// Scrapes until it is so, and keeps all that was seen on the way.
    pub fn until(&mut self, engine: &Engine, what: &str, so: impl Fn(&Scrape) -> bool) -> Scrape {
        let until = std::time::Instant::now() + crate::engine::DEADLINE;
        loop {
            let scrape = self.scrape(engine);
            if so(&scrape) {
                return scrape;
            }
            assert!(std::time::Instant::now() < until, "{what}: it never was, in\n{}", engine.said());
        }
    }

    /// Scrapes once.
    pub fn scrape(&mut self, engine: &Engine) -> Scrape {
        let scrape = Scrape::of(engine);
        for family in &scrape.families {
            for sample in &family.samples {
                let mut series = sample.name.clone();
                let (fixed, free): (Vec<_>, Vec<_>) =
                    sample.labels.iter().partition(|(label, _)| FIXED.contains(&label.as_str()));
                fixed.iter().for_each(|(label, value)| series.push_str(&format!(" {label}={value}")));
                // An info says what it says in its labels.
                let (free, value) = match family.kind.as_str() {
                    "info" => (String::new(), format!("{free:?}")),
                    _ => (format!("{free:?}"), sample.value.to_string()),
                };
                self.values.entry(series).or_default().entry(free).or_default().insert(value);
            }
        }
        scrape
    }

    /// Series that never had two values, of metrics that are in the list.
    pub fn unmoved(&self) -> Vec<String> {
        let missing = METRICS.iter().map(|metric| match metric.kind {
            Kind::Histogram => format!("{}_count", metric.name),
            _ => metric.name.to_owned(),
        });
        let missing = missing.filter(|name| !self.values.keys().any(|series| of_metric(series, name)));
        let stuck = self.values.iter().filter(|(_, by_free)| by_free.values().all(|values| values.len() < 2));
        // One bucket or the other may stay empty.
        let stuck = stuck.map(|(series, _)| series.clone()).filter(|series| !series.contains("_bucket"));
        missing.chain(stuck).collect()
    }
}

fn of_metric(series: &str, name: &str) -> bool {
    series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn family_of(metric: &Metric) -> &'static str {
    metric.name.trim_end_matches("_total").trim_end_matches("_info")
}

fn kind_of(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
    }
}

/// Labels whose values do not depend on how a replica is laid out.
const FIXED: [&str; 5] = ["state", "mark", "log", "status", "stage"];
