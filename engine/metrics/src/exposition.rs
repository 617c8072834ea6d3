//! A board as OpenMetrics text, which Prometheus reads. Names and units are by its conventions: seconds, `_total` on
//! what only rises.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::{BUCKET_BOUNDS_NS, CoreNumbers, Readings, STAGES, ShardNumbers, StageReadings};

/// The content type of [`exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which replica of which cluster, for the `assize_replica` metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, in hexadecimal.
    pub cluster: String,
    /// The replica's number.
    pub replica: u8,
    /// The program's version.
    pub version: &'static str,
}

/// What a board said, as text.
///
/// # Errors
/// None: text that is kept in memory can always be written.
pub fn exposition(identity: &Identity, readings: Readings) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("assize");
    let info = Info::new([
        ("cluster", identity.cluster.clone()),
        ("replica", identity.replica.to_string()),
        ("version", identity.version.to_owned()),
    ]);
    registry.register("replica", "Which replica of which cluster this is, and its program's version", info);
    registry.register_collector(Box::new(Of(readings)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Of(Readings);

impl Collector for Of {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Readings { control, cores, shards, stages } = &self.0;
        let ready = u64::from(self.0.is_ready());
        let quarantined = cores.iter().map(|core| core.quarantined).max().unwrap_or_default();
        for (name, help, value) in [
            ("ready", "1 if this replica stands where the cluster does and may be asked", ready),
            (
                "quarantined",
                "1 if this replica publishes and answers nothing until it is rebuilt",
                quarantined,
            ),
            ("leads", "1 if this replica leads the cluster and admits events", control.leads),
            ("leader_known", "1 if this replica knows who leads", u64::from(control.leader > 0)),
            ("ballot_round", "Round of the highest ballot that this replica promised", control.ballot_round),
        ] {
            to.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&gauge(value))?;
        }
        let mut slots =
            to.encode_descriptor("slot", "How far the log has come here, by mark", None, MetricType::Gauge)?;
        for (mark, slot) in [
            ("formed", control.formed),
            ("accepted", control.accepted),
            ("chosen", control.chosen),
            ("published", control.published),
            ("checkpoint", control.checkpoint),
        ] {
            slots.encode_family(&[("mark", mark)])?.encode_gauge(&gauge(slot))?;
        }
        of_cores(&mut to, cores)?;
        of_shards(&mut to, shards)?;
        of_stages(&mut to, stages)
    }
}

fn of_cores(to: &mut DescriptorEncoder<'_>, cores: &[CoreNumbers]) -> Result<(), fmt::Error> {
    type Field = (&'static str, &'static str, fn(&CoreNumbers) -> u64);
    let fields: [Field; 2] = [
        ("connections", "Connections of clients, by core", |core| core.connections),
        ("unanswered_events", "Events of clients that wait for their answers, by core", |core| {
            core.unanswered_events
        }),
    ];
    for (name, help, value) in fields {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (core, numbers) in cores.iter().enumerate() {
            family.encode_family(&[("core", core as u64)])?.encode_gauge(&gauge(value(numbers)))?;
        }
    }
    Ok(())
}

fn of_shards(to: &mut DescriptorEncoder<'_>, shards: &[ShardNumbers]) -> Result<(), fmt::Error> {
    type Field = (&'static str, &'static str, MetricType, fn(&ShardNumbers) -> u64);
    let fields: [Field; 8] = [
        ("shard_executed_slot", "The last slot that a shard executed", MetricType::Gauge, |shard| {
            shard.executed
        }),
        ("shard_live_keys", "Live idempotency keys", MetricType::Gauge, |shard| shard.live_keys),
        ("shard_entities", "Entities that exist", MetricType::Gauge, |shard| shard.entities),
        ("shard_events", "Events that ran", MetricType::Counter, |shard| shard.events),
        ("shard_duplicates", "Events that ran and were duplicates", MetricType::Counter, |shard| {
            shard.duplicates
        }),
        ("shard_stripes", "Stripes that ran", MetricType::Counter, |shard| shard.stripes),
        ("shard_entities_borrowed", "Entities borrowed from other shards", MetricType::Counter, |shard| {
            shard.entities_borrowed
        }),
        ("shard_entities_lent", "Entities lent to other shards", MetricType::Counter, |shard| {
            shard.entities_lent
        }),
    ];
    for (name, help, kind, value) in fields {
        let mut family = to.encode_descriptor(name, help, None, kind)?;
        for (shard, numbers) in shards.iter().enumerate() {
            let labels = [("shard", shard as u64)];
            let mut one = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => one.encode_counter::<NoLabelSet, u64, f64>(&value(numbers), None)?,
                _ => one.encode_gauge(&gauge(value(numbers)))?,
            }
        }
    }
    Ok(())
}

fn of_stages(
    to: &mut DescriptorEncoder<'_>,
    stages: &[StageReadings; STAGES.len()],
) -> Result<(), fmt::Error> {
    let help = "How long events took to reach a stage from the one before; the last is the whole way";
    let mut family = to.encode_descriptor("stage", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    let seconds = |ns: u64| ns as f64 / 1e9;
    let bounds: Vec<f64> = BUCKET_BOUNDS_NS.iter().map(|ns| seconds(*ns)).chain([f64::INFINITY]).collect();
    for (name, stage) in STAGES.iter().zip(stages) {
        let buckets: Vec<(f64, u64)> = bounds.iter().copied().zip(stage.buckets).collect();
        let labels = [("stage", *name)];
        let mut one = family.encode_family(&labels)?;
        one.encode_histogram::<NoLabelSet>(seconds(stage.sum_ns), stage.events(), &buckets, None)?;
    }
    Ok(())
}

/// Gauges are signed there; no number here comes near the bound.
fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Board, ControlNumbers};

    #[test]
    fn what_was_written_is_in_the_text() {
        let board = Board::new(2, 2);
        board.write_control(&ControlNumbers { leads: 1, chosen: 7, ..ControlNumbers::default() });
        for core in 0..2 {
            board.write_core(core, &CoreNumbers { ready: 1, connections: 3, ..CoreNumbers::default() });
        }
        board.write_shard(1, &ShardNumbers { events: 12, ..ShardNumbers::default() });
        board.record_stages(1, 5, [20_000, 0, 0, 0, 0, 1_000_000_000]);
        let identity = Identity { cluster: "c1".to_owned(), replica: 2, version: "0.1.0" };
        let text = exposition(&identity, board.read()).unwrap();
        for line in [
            "assize_replica_info{cluster=\"c1\",replica=\"2\",version=\"0.1.0\"} 1",
            "assize_ready 1",
            "assize_leads 1",
            "assize_slot{mark=\"chosen\"} 7",
            "assize_connections{core=\"1\"} 3",
            "assize_shard_events_total{shard=\"1\"} 12",
            "assize_stage_seconds_bucket{le=\"0.00002\",stage=\"sealed\"} 5",
            "assize_stage_seconds_count{stage=\"accepted_to_published\"} 5",
            "assize_stage_seconds_sum{stage=\"accepted_to_published\"} 5.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
