//! A board as OpenMetrics text, which Prometheus reads.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{Kind, METRICS, Metric, Scrape, Value};
use crate::{LOGS, STAGES, StageReadings};

/// The content type of [`exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which replica of which cluster, and what it was told when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, in hexadecimal.
    pub cluster: String,
    /// The replica's number.
    pub replica: u8,
    /// How many there are.
    pub replicas: u8,
    /// How many must have computed the same before it is published.
    pub copies: u8,
    /// The program's version.
    pub version: &'static str,
}

/// Every one of [`METRICS`] as text.
///
/// # Errors
/// None: text that is kept in memory can always be written.
pub fn exposition(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Scrape {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        METRICS.iter().try_for_each(|metric| metric.encode(self, &mut to))
    }
}

impl Metric {
    fn encode(&self, scrape: &Scrape, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let kind = match self.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Histogram => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        };
        // The encoder appends what follows from unit and kind.
        let name = self.name.trim_end_matches("_total").trim_end_matches("_info");
        let unit = (!self.unit.is_empty()).then(|| Unit::Other(self.unit.to_owned()));
        let name = match self.unit {
            "" => name,
            unit => name.trim_end_matches(unit).trim_end_matches('_'),
        };
        let readings = &scrape.readings;
        let mut family = to.encode_descriptor(name, self.help, unit.as_ref(), kind)?;
        let cores = || readings.cores.iter().enumerate();
        match self.value {
            Value::Identity => {
                let identity = &scrape.identity;
                family.encode_info(&[
                    ("cluster", identity.cluster.as_str()),
                    ("replica", &identity.replica.to_string()),
                    ("version", identity.version),
                ])
            }
            Value::Replica(value) => self.one(&mut family, value(scrape)),
            Value::Process(value) => match value(&scrape.process) {
                Some(value) => self.real(&mut family, value),
                None => Ok(()),
            },
            Value::StreamTime => self.real(&mut family, readings.stream_time_ns() as f64 / 1e9),
            Value::By(values) => values(scrape)
                .into_iter()
                .try_for_each(|(of, value)| self.labelled(&mut family, &[(self.labels[0], of)], value)),
            Value::Core(value) => {
                cores().try_for_each(|(core, of)| self.labelled(&mut family, &[("core", core)], value(of)))
            }
            Value::Log(value) => readings.logs.iter().enumerate().try_for_each(|(core, logs)| {
                let known = LOGS.iter().zip(logs).filter(|(_, log)| self.is_known(log.bytes_max));
                known.into_iter().try_for_each(|(name, log)| {
                    self.labelled(&mut family, &[("core", &*core.to_string()), ("log", name)], value(log))
                })
            }),
            Value::Shard(value) => readings
                .shards
                .iter()
                .enumerate()
                .try_for_each(|(shard, of)| self.labelled(&mut family, &[("shard", shard)], value(of))),
            Value::Endings => readings.shards.iter().enumerate().try_for_each(|(shard, of)| {
                of.endings().into_iter().try_for_each(|(status, events)| {
                    let shard = shard.to_string();
                    self.labelled(&mut family, &[("shard", shard.as_str()), ("status", status)], events)
                })
            }),
            Value::Domains => readings.domains.iter().try_for_each(|of| {
                let decided = [("applied", of.numbers.applied), ("rejected", of.numbers.rejected)];
                decided.into_iter().try_for_each(|(status, events)| {
                    let domain = of.domain.name.as_str();
                    self.labelled(&mut family, &[("domain", domain), ("status", status)], events)
                })
            }),
            Value::Stages => of_stages(&mut family, &readings.stages),
        }
    }

    /// What has no limit has no sample that says one.
    fn is_known(&self, bytes_max: u64) -> bool {
        self.name != "assize_log_max_bytes" || bytes_max > 0
    }

    fn labelled(
        &self,
        family: &mut MetricEncoder<'_>,
        labels: &impl EncodeLabelSet,
        value: u64,
    ) -> Result<(), fmt::Error> {
        self.one(&mut family.encode_family(labels)?, value)
    }

    fn one(&self, to: &mut MetricEncoder<'_>, value: u64) -> Result<(), fmt::Error> {
        match self.kind {
            Kind::Counter => to.encode_counter::<NoLabelSet, u64, f64>(&value, None),
            // Gauges are signed there; no number here comes near the bound.
            _ => to.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX)),
        }
    }

    fn real(&self, to: &mut MetricEncoder<'_>, value: f64) -> Result<(), fmt::Error> {
        match self.kind {
            Kind::Counter => to.encode_counter::<NoLabelSet, f64, f64>(&value, None),
            _ => to.encode_gauge(&value),
        }
    }
}

fn of_stages(
    family: &mut MetricEncoder<'_>,
    stages: &[StageReadings; STAGES.len()],
) -> Result<(), fmt::Error> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    for (name, stage) in STAGES.iter().zip(stages) {
        let (coarse, above) = stage.coarse();
        let bounded = coarse.iter().map(|(bound, events)| (seconds(*bound), *events));
        let buckets: Vec<(f64, u64)> = bounded.chain([(f64::INFINITY, above)]).collect();
        let labels = [("stage", *name)];
        let mut one = family.encode_family(&labels)?;
        one.encode_histogram::<NoLabelSet>(stage.sum_ns / 1e9, stage.events(), &buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Board, ControlNumbers, CoreNumbers, DomainName, DomainNumbers};
    use crate::{LogNumbers, ProcessNumbers, ShardNumbers};

    fn scrape(board: &Board) -> Scrape {
        let identity =
            Identity { cluster: "c1".to_owned(), replica: 2, replicas: 3, copies: 2, version: "0.1.0" };
        let process =
            ProcessNumbers { start_seconds: 7.5, open_fds: Some(12.0), ..ProcessNumbers::default() };
        Scrape { identity, process, readings: board.read() }
    }

    #[test]
    fn what_was_written_is_in_the_text() {
        let name = |id, name: &str| DomainName { id, name: name.to_owned() };
        let board = Board::new(2, 2).with_domains(vec![name(1, "stock"), name(7, "devices")]);
        board.write_control(&ControlNumbers { leads: 1, chosen: 7, ..ControlNumbers::default() });
        for core in 0..2 {
            let stream_time_ns = 1_500_000_000 * core as u64;
            board.write_core(
                core,
                &CoreNumbers { ready: 1, connections: 3, stream_time_ns, ..CoreNumbers::default() },
            );
        }
        board.write_log(
            1,
            0,
            &LogNumbers { bytes_written: 4096, bytes_max: 1 << 30, ..LogNumbers::default() },
        );
        board.write_shard(1, &ShardNumbers { applied: 12, ..ShardNumbers::default() });
        for shard in 0..2 {
            let numbers = DomainNumbers { version: 1, applied: 20, rejected: 1 + shard as u64 };
            board.write_domain(shard, 1, &numbers);
        }
        board.record_stages(1, 5, [20_000, 0, 0, 0, 0, 1_000_000_000]);
        let text = exposition(scrape(&board)).unwrap();
        for line in [
            "assize_replica_info{cluster=\"c1\",replica=\"2\",version=\"0.1.0\"} 1",
            "assize_ready 1",
            "assize_leads 1",
            "assize_state{state=\"leading\"} 1",
            "assize_state{state=\"following\"} 0",
            "assize_slot{mark=\"chosen\"} 7",
            "assize_stream_time_seconds 1.5",
            "assize_connections{core=\"1\"} 3",
            "assize_log_written_bytes_total{core=\"1\",log=\"stripes\"} 4096",
            "assize_log_max_bytes{core=\"1\",log=\"stripes\"} 1073741824",
            "assize_shard_events_total{shard=\"1\",status=\"applied\"} 12",
            "assize_domain_events_total{domain=\"devices\",status=\"applied\"} 40",
            "assize_domain_events_total{domain=\"devices\",status=\"rejected\"} 3",
            "assize_domain_events_total{domain=\"stock\",status=\"applied\"} 0",
            "assize_stage_seconds_bucket{le=\"0.000032\",stage=\"sealed\"} 5",
            "assize_stage_seconds_count{stage=\"accepted_to_published\"} 5",
            "assize_stage_seconds_sum{stage=\"accepted_to_published\"} 5.0",
            "process_open_fds 12.0",
            "process_start_time_seconds 7.5",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("assize_log_max_bytes{core=\"1\",log=\"keys\"}"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("process_cpu_seconds_total")), "{text}");
    }

    #[test]
    fn every_metric_is_named_once_and_by_the_conventions() {
        for (at, metric) in METRICS.iter().enumerate() {
            let Metric { name, kind, unit, help, .. } = *metric;
            assert!(METRICS[..at].iter().all(|other| other.name != name), "{name} is there twice");
            assert!(name.starts_with("assize_") || name.starts_with("process_"), "{name}");
            assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(kind == Kind::Info, name.ends_with("_info"), "{name}");
            assert!(
                unit.is_empty() || name.trim_end_matches("_total").ends_with(&format!("_{unit}")),
                "{name}"
            );
            assert!(["", "seconds", "bytes"].contains(&unit), "{name} is in {unit}");
            assert!(help.len() > 15 && !help.ends_with('.'), "{name}: {help}");
        }
        let text = exposition(scrape(&Board::new(1, 1))).unwrap();
        let families = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(families, METRICS.len());
    }
}
