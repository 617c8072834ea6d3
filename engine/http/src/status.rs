//! `GET /v1/status`: what the replica is at.

use assize_metrics::{ControlNumbers, Readings, STAGES};
use serde::Serialize;

use crate::bulletin::{Alarm, News};
use crate::{About, Faces};

/// What a replica says of itself. Slots are those of the replicated log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    cluster: String,
    replica: u8,
    replicas: u8,
    copies: u8,
    version: &'static str,
    ready: bool,
    quarantined: bool,
    leads: bool,
    /// Who leads; none if nobody is heard.
    leader: Option<u64>,
    ballot_round: u64,
    slots: Slots,
    /// Why it is quarantined, in words.
    quarantine: Option<String>,
    /// What an operator was told last, the newest last.
    alarms: Vec<Alarm>,
    cores: Vec<CoreStatus>,
    shards: Vec<ShardStatus>,
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
struct CoreStatus {
    core: usize,
    ready: bool,
    connections: u64,
    unanswered_events: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ShardStatus {
    shard: usize,
    executed_slot: u64,
    live_keys: u64,
    entities: u64,
    events: u64,
    duplicates: u64,
    stripes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct StageStatus {
    stage: &'static str,
    events: u64,
    mean_us: f64,
}

impl Status {
    /// From what the cores wrote, and what is on the bulletin.
    #[must_use]
    pub fn of(faces: &Faces) -> Status {
        Status::new(&faces.about, &faces.board.read(), faces.bulletin.read())
    }

    fn new(about: &About, readings: &Readings, news: News) -> Status {
        let About { cluster, replica, replicas, copies, version } = about.clone();
        let ControlNumbers { leads, leader, ballot_round, formed, accepted, chosen, published, checkpoint } =
            readings.control;
        let cores = readings.cores.iter().enumerate().map(|(core, numbers)| CoreStatus {
            core,
            ready: numbers.ready == 1,
            connections: numbers.connections,
            unanswered_events: numbers.unanswered_events,
        });
        let shards = readings.shards.iter().enumerate().map(|(shard, numbers)| ShardStatus {
            shard,
            executed_slot: numbers.executed,
            live_keys: numbers.live_keys,
            entities: numbers.entities,
            events: numbers.events,
            duplicates: numbers.duplicates,
            stripes: numbers.stripes,
        });
        let stages = STAGES.iter().zip(&readings.stages).map(|(stage, readings)| StageStatus {
            stage,
            events: readings.events(),
            mean_us: readings.sum_ns as f64 / 1000.0 / readings.events().max(1) as f64,
        });
        Status {
            cluster,
            replica,
            replicas,
            copies,
            version,
            ready: readings.is_ready(),
            quarantined: readings.cores.iter().any(|core| core.quarantined == 1),
            leads: leads == 1,
            leader: leader.checked_sub(1),
            ballot_round,
            quarantine: news.quarantine,
            alarms: news.alarms.into(),
            slots: Slots { formed, accepted, chosen, published, checkpoint },
            cores: cores.collect(),
            shards: shards.collect(),
            stages: stages.collect(),
        }
    }
}
