//! `GET /v1/status`: what the replica is at.

use assize_metrics::{DomainReadings, LOGS, LogNumbers, Readings, STAGES, ShardNumbers, StageReadings};
use serde::Serialize;

use crate::bulletin::{Alarm, News};
use crate::{About, Faces};

/// What a replica says of itself. Slots are those of the replicated log; what is counted is counted since this start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    cluster: String,
    replica: u8,
    replicas: u8,
    copies: u8,
    version: &'static str,
    uptime_s: f64,
    /// In a word: see [`assize_metrics::State`].
    state: &'static str,
    ready: bool,
    quarantined: bool,
    leads: bool,
    /// Who leads; none if nobody is heard.
    leader: Option<u64>,
    /// The other replicas that it is connected to, by number.
    connected: Vec<u8>,
    ballot_round: u64,
    slots: Slots,
    /// The highest published one.
    stream_time_ns: u64,
    /// Results found to differ that ought to be the same, of this replica or of another.
    divergences: u64,
    checkpoints: Checkpoints,
    /// Why it is quarantined, in words.
    quarantine: Option<String>,
    /// What an operator was told last, the newest last.
    alarms: Vec<Alarm>,
    cores: Vec<CoreStatus>,
    shards: Vec<ShardStatus>,
    domains: Vec<DomainStatus>,
    stages: Vec<StageStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Slots {
    formed: u64,
    accepted: u64,
    chosen: u64,
    published: u64,
    checkpoint: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Checkpoints {
    taken: u64,
    failed: u64,
    running: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CoreStatus {
    core: usize,
    ready: bool,
    connections: u64,
    unanswered_events: u64,
    log: LogStatus,
    outcomes: LogStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LogStatus {
    bytes_written: u64,
    writes: u64,
    flushes: u64,
    bytes_used: u64,
    bytes_max: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ShardStatus {
    shard: usize,
    executed_slot: u64,
    live_keys: u64,
    keys_capacity: u64,
    entities: u64,
    entities_capacity: u64,
    events: u64,
    applied: u64,
    rejected: u64,
    duplicates: u64,
    stripes: u64,
    entities_borrowed: u64,
    entities_lent: u64,
    /// Stripes that were published because enough replicas had computed the same.
    copies_matched: u64,
    /// Stripes that ran here and wait for that.
    outcomes_held: u64,
}

/// Over all shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct DomainStatus {
    id: u16,
    name: String,
    /// The newest version of its logic that is in force in some shard.
    version: u64,
    applied: u64,
    rejected: u64,
}

/// Percentiles are over the life of the process. Whoever polls takes those of the time in between from how much the
/// counts have risen.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct StageStatus {
    stage: &'static str,
    events: u64,
    mean_us: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    /// Of the buckets that have events: the highest time in nanoseconds, and how many.
    counts: Vec<(u64, u64)>,
}

impl Status {
    /// From what the cores wrote, and what is on the bulletin.
    #[must_use]
    pub fn of(faces: &Faces) -> Status {
        Status::new(&faces.about, &faces.board.read(), faces.bulletin.read())
    }

    fn new(about: &About, readings: &Readings, news: News) -> Status {
        let About { cluster, replica, replicas, copies, version, began } = about.clone();
        let control = &readings.control;
        let [log, outcomes] = ["stripes", "outcomes"].map(place_of);
        let cores = readings.cores.iter().zip(&readings.logs).enumerate();
        let cores = cores.map(|(core, (numbers, logs))| CoreStatus {
            core,
            ready: numbers.ready == 1,
            connections: numbers.connections,
            unanswered_events: numbers.unanswered_events,
            log: LogStatus::new(&logs[log]),
            outcomes: LogStatus::new(&logs[outcomes]),
        });
        Status {
            cluster,
            replica,
            replicas,
            copies,
            version,
            uptime_s: began.elapsed().as_secs_f64(),
            state: readings.state().name(),
            ready: readings.is_ready(),
            quarantined: readings.is_quarantined(),
            leads: control.leads == 1,
            leader: control.leader.checked_sub(1),
            connected: (0..64).filter(|replica| control.connected >> replica & 1 == 1).collect(),
            ballot_round: control.ballot_round,
            quarantine: news.quarantine,
            alarms: news.alarms.into(),
            slots: Slots {
                formed: control.formed,
                accepted: control.accepted,
                chosen: control.chosen,
                published: control.published,
                checkpoint: control.checkpoint,
            },
            stream_time_ns: readings.stream_time_ns(),
            divergences: readings.divergences(),
            checkpoints: Checkpoints {
                taken: control.checkpoints_taken,
                failed: control.checkpoints_failed,
                running: control.checkpoint_runs == 1,
            },
            cores: cores.collect(),
            shards: readings.shards.iter().enumerate().map(ShardStatus::new).collect(),
            domains: readings.domains.iter().map(DomainStatus::new).collect(),
            stages: STAGES.iter().zip(&readings.stages).map(StageStatus::new).collect(),
        }
    }
}

fn place_of(log: &str) -> usize {
    match LOGS.iter().position(|name| *name == log) {
        Some(at) => at,
        None => panic!("{log} is none of a core's logs {LOGS:?}"),
    }
}

impl LogStatus {
    fn new(numbers: &LogNumbers) -> LogStatus {
        let LogNumbers { bytes_written, writes, flushes, bytes_used, bytes_max } = *numbers;
        LogStatus { bytes_written, writes, flushes, bytes_used, bytes_max }
    }
}

impl ShardStatus {
    fn new((shard, numbers): (usize, &ShardNumbers)) -> ShardStatus {
        ShardStatus {
            shard,
            executed_slot: numbers.executed,
            live_keys: numbers.live_keys,
            keys_capacity: numbers.keys_capacity,
            entities: numbers.entities,
            entities_capacity: numbers.entities_capacity,
            events: numbers.events(),
            applied: numbers.applied,
            rejected: numbers.rejected,
            duplicates: numbers.duplicates,
            stripes: numbers.stripes,
            entities_borrowed: numbers.entities_borrowed,
            entities_lent: numbers.entities_lent,
            copies_matched: numbers.copies_matched,
            outcomes_held: numbers.outcomes_held,
        }
    }
}

impl DomainStatus {
    fn new(readings: &DomainReadings) -> DomainStatus {
        let DomainReadings { domain, numbers } = readings;
        DomainStatus {
            id: domain.id,
            name: domain.name.clone(),
            version: numbers.version,
            applied: numbers.applied,
            rejected: numbers.rejected,
        }
    }
}

impl StageStatus {
    fn new((stage, readings): (&&'static str, &StageReadings)) -> StageStatus {
        let us = |ns: u64| ns as f64 / 1000.0;
        let events = readings.events();
        StageStatus {
            stage,
            events,
            mean_us: readings.sum_ns / 1000.0 / events.max(1) as f64,
            p50_us: us(readings.quantile_ns(0.5)),
            p99_us: us(readings.quantile_ns(0.99)),
            p999_us: us(readings.quantile_ns(0.999)),
            max_us: us(readings.max_ns),
            counts: readings.occupied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use assize_metrics::{Board, ControlNumbers, CoreNumbers, DomainName, DomainNumbers};
    use serde_json::{Value, json};

    use super::*;

    fn status_of(board: &Board) -> Value {
        let about = About {
            cluster: "c1".to_owned(),
            replica: 1,
            replicas: 3,
            copies: 2,
            version: "0.1.0",
            began: Instant::now(),
        };
        serde_json::to_value(Status::new(&about, &board.read(), News::default())).expect("a status is JSON")
    }

    #[test]
    fn what_a_dashboard_reads_has_these_names() {
        let domain = DomainName { id: 7, name: "devices".to_owned() };
        let board = Board::new(1, 1).with_domains(vec![domain]);
        board.write_domain(0, 0, &DomainNumbers { version: 2, applied: 3, rejected: 2 });
        board.write_control(&ControlNumbers {
            leader: 3,
            connected: 0b101,
            ballot_round: 4,
            chosen: 9,
            ..ControlNumbers::default()
        });
        board.write_core(0, &CoreNumbers { ready: 1, stream_time_ns: 5, ..CoreNumbers::default() });
        let log =
            LogNumbers { bytes_written: 8192, writes: 2, flushes: 1, bytes_used: 4096, bytes_max: 1 << 20 };
        board.write_log(0, 1, &log);
        board.write_shard(
            0,
            &ShardNumbers { applied: 3, rejected: 2, duplicates: 1, ..ShardNumbers::default() },
        );
        board.record_stages(0, 2, [1_000, 0, 0, 0, 0, 10_000]);
        let mut status = status_of(&board);
        assert!(status["uptime_s"].as_f64().is_some_and(|uptime| uptime >= 0.0), "{status}");
        status["uptime_s"] = json!(12.5);
        let none = json!({ "bytes_written": 0, "writes": 0, "flushes": 0, "bytes_used": 0, "bytes_max": 0 });
        let stages = status["stages"].take();
        let expected = json!({
            "cluster": "c1", "replica": 1, "replicas": 3, "copies": 2, "version": "0.1.0", "uptime_s": 12.5,
            "state": "following", "ready": true, "quarantined": false, "leads": false, "leader": 2,
            "connected": [0, 2], "ballot_round": 4,
            "slots": { "formed": 0, "accepted": 0, "chosen": 9, "published": 0, "checkpoint": 0 },
            "quarantine": null, "alarms": [], "stream_time_ns": 5, "divergences": 0,
            "checkpoints": { "taken": 0, "failed": 0, "running": false },
            "cores": [{ "core": 0, "ready": true, "connections": 0, "unanswered_events": 0, "log": none, "outcomes": {
                "bytes_written": 8192, "writes": 2, "flushes": 1, "bytes_used": 4096, "bytes_max": 1 << 20
            }}],
            "shards": [{
                "shard": 0, "executed_slot": 0, "live_keys": 0, "keys_capacity": 0, "entities": 0,
                "entities_capacity": 0, "events": 6, "applied": 3, "rejected": 2, "duplicates": 1, "stripes": 0,
                "entities_borrowed": 0, "entities_lent": 0, "copies_matched": 0, "outcomes_held": 0
            }],
            "domains": [{ "id": 7, "name": "devices", "version": 2, "applied": 3, "rejected": 2 }],
            "stages": null,
        });
        assert_eq!(status, expected);
        let whole_way = json!({
            "stage": "accepted_to_published", "events": 2, "mean_us": 10.0, "p50_us": 10.0, "p99_us": 10.0,
            "p999_us": 10.0, "max_us": 10.0, "counts": [[10_000, 2]]
        });
        assert_eq!(stages[5], whole_way);
        assert_eq!(stages.as_array().map(Vec::len), Some(6));
    }
}
