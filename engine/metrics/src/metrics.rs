//! Every metric there is, by Prometheus' conventions: base units, `_total` on what only rises.

use crate::{CoreNumbers, Identity, LogNumbers, ProcessNumbers, Readings, ShardNumbers};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// By what it is asked for: for a counter with `_total`, for a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// `seconds`, `bytes`, or nothing for a count.
    pub unit: &'static str,
    /// What tells its samples apart.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    pub(crate) value: Value,
}

/// What a metric is, as OpenMetrics has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It rises and falls.
    Gauge,
    /// It rises from 0 as long as the process lives.
    Counter,
    /// Counts by how long something took.
    Histogram,
    /// Always 1; its labels are what it says.
    Info,
}

/// All that can be said at once.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// Who says it.
    pub identity: Identity,
    /// What the system says of the process.
    pub process: ProcessNumbers,
    /// What the cores wrote.
    pub readings: Readings,
}

/// From where a metric has its samples.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Identity,
    /// One sample for the replica.
    Replica(fn(&Scrape) -> u64),
    /// One sample, if the system says.
    Process(fn(&ProcessNumbers) -> Option<f64>),
    /// One for each value of a label.
    By(fn(&Scrape) -> Vec<(&'static str, u64)>),
    Core(fn(&CoreNumbers) -> u64),
    /// Where 0 means that there is none, it is left out.
    Log(fn(&LogNumbers) -> u64),
    Shard(fn(&ShardNumbers) -> u64),
    /// By shard and how events ended.
    Endings,
    /// By domain and what it decided.
    Domains,
    StreamTime,
    Stages,
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    value: Value,
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: "", labels, help, value }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    value: Value,
    help: &'static str,
) -> Metric {
    Metric { kind: Kind::Counter, ..gauge(name, labels, value, help) }
}

const fn in_unit(unit: &'static str, metric: Metric) -> Metric {
    Metric { unit, ..metric }
}

const ONE: &[&str] = &[];
const BY_CORE: &[&str] = &["core"];
const BY_LOG: &[&str] = &["core", "log"];
const BY_SHARD: &[&str] = &["shard"];

/// Every metric, in the order in which they are exposed.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "assize_replica_info",
        kind: Kind::Info,
        unit: "",
        labels: &["cluster", "replica", "version"],
        help: "Which replica of which cluster this is, and its program's version",
        value: Value::Identity,
    },
    gauge(
        "assize_replicas",
        ONE,
        Value::Replica(|all| all.identity.replicas.into()),
        "Replicas of the cluster",
    ),
    gauge(
        "assize_copies",
        ONE,
        Value::Replica(|all| all.identity.copies.into()),
        "Replicas that must have computed the same before an outcome is published",
    ),
    gauge(
        "assize_state",
        &["state"],
        Value::By(|all| {
            let now = all.readings.state();
            crate::State::ALL.map(|state| (state.name(), u64::from(state == now))).into()
        }),
        "1 for what the replica is doing now, 0 for everything else that it might do",
    ),
    gauge(
        "assize_ready",
        ONE,
        Value::Replica(|all| all.readings.is_ready().into()),
        "1 if this replica stands where the cluster does and may be asked",
    ),
    gauge(
        "assize_quarantined",
        ONE,
        Value::Replica(|all| all.readings.is_quarantined().into()),
        "1 if this replica publishes and answers nothing until it is rebuilt",
    ),
    gauge(
        "assize_leads",
        ONE,
        Value::Replica(|all| all.readings.control.leads),
        "1 if this replica leads the cluster and admits events",
    ),
    gauge(
        "assize_leader_known",
        ONE,
        Value::Replica(|all| u64::from(all.readings.control.leader > 0)),
        "1 if this replica knows who leads",
    ),
    gauge(
        "assize_ballot_round",
        ONE,
        Value::Replica(|all| all.readings.control.ballot_round),
        "Round of the highest ballot that this replica promised: it rises with every election",
    ),
    gauge(
        "assize_slot",
        &["mark"],
        Value::By(|all| {
            let control = &all.readings.control;
            Vec::from([
                ("formed", control.formed),
                ("accepted", control.accepted),
                ("chosen", control.chosen),
                ("published", control.published),
                ("checkpoint", control.checkpoint),
            ])
        }),
        "How far the log has come here, by mark; checkpoint is the slot of the active one",
    ),
    in_unit(
        "seconds",
        gauge(
            "assize_stream_time_seconds",
            ONE,
            Value::StreamTime,
            "The highest published stream time, which is the time that events are evaluated at, since the Unix epoch",
        ),
    ),
    counter(
        "assize_divergences_total",
        ONE,
        Value::Replica(|all| all.readings.divergences()),
        "Results found to differ that ought to be the same, of this replica or of another: any is an alarm",
    ),
    counter(
        "assize_checkpoints_taken_total",
        ONE,
        Value::Replica(|all| all.readings.control.checkpoints_taken),
        "Checkpoints that became active",
    ),
    counter(
        "assize_checkpoints_failed_total",
        ONE,
        Value::Replica(|all| all.readings.control.checkpoints_failed),
        "Checkpoints that came to nothing, so that the one before stayed active",
    ),
    gauge(
        "assize_checkpoint_running",
        ONE,
        Value::Replica(|all| all.readings.control.checkpoint_runs),
        "1 while a checkpoint is taken, compared with those of others, written, or taken over from another replica",
    ),
    gauge(
        "assize_core_ready",
        BY_CORE,
        Value::Core(|core| core.ready),
        "1 if a core stands where the cluster does and may be asked",
    ),
    gauge(
        "assize_connections",
        BY_CORE,
        Value::Core(|core| core.connections),
        "Connections of clients to a core",
    ),
    gauge(
        "assize_unanswered_events",
        BY_CORE,
        Value::Core(|core| core.unanswered_events),
        "Events that a core took from clients who wait for their answers",
    ),
    in_unit(
        "bytes",
        counter(
            "assize_log_written_bytes_total",
            BY_LOG,
            Value::Log(|log| log.bytes_written),
            "What a core wrote to one of its logs, headers and padding included",
        ),
    ),
    counter(
        "assize_log_writes_total",
        BY_LOG,
        Value::Log(|log| log.writes),
        "Writes to a log, each with all the records that were there by then",
    ),
    counter(
        "assize_log_flushes_total",
        BY_LOG,
        Value::Log(|log| log.flushes),
        "Flushes of a log to the disk, with a write or by themselves",
    ),
    in_unit(
        "bytes",
        gauge(
            "assize_log_used_bytes",
            BY_LOG,
            Value::Log(|log| log.bytes_used),
            "What a log keeps: checkpoints let it give up the oldest part",
        ),
    ),
    in_unit(
        "bytes",
        gauge(
            "assize_log_max_bytes",
            BY_LOG,
            Value::Log(|log| log.bytes_max),
            "What a log may keep by [log] bytes_max; events are refused as busy before it is reached",
        ),
    ),
    gauge(
        "assize_shard_executed_slot",
        BY_SHARD,
        Value::Shard(|shard| shard.executed),
        "The last slot that a shard executed",
    ),
    gauge(
        "assize_shard_live_keys",
        BY_SHARD,
        Value::Shard(|shard| shard.live_keys),
        "Idempotency keys in a shard's Warden that are younger than the time they live",
    ),
    gauge(
        "assize_shard_keys_capacity",
        BY_SHARD,
        Value::Shard(|shard| shard.keys_capacity),
        "Live keys that a shard's Warden takes; beyond them events are answered as full",
    ),
    gauge(
        "assize_shard_entities",
        BY_SHARD,
        Value::Shard(|shard| shard.entities),
        "Entities at home in a shard",
    ),
    gauge(
        "assize_shard_entities_capacity",
        BY_SHARD,
        Value::Shard(|shard| shard.entities_capacity),
        "Entities at which a shard takes no new ones",
    ),
    counter(
        "assize_shard_events_total",
        &["shard", "status"],
        Value::Endings,
        "Events that a shard evaluated, by how they ended",
    ),
    counter(
        "assize_domain_events_total",
        &["domain", "status"],
        Value::Domains,
        "Events that a domain decided, by what it decided",
    ),
    counter(
        "assize_shard_stripes_total",
        BY_SHARD,
        Value::Shard(|shard| shard.stripes),
        "Stripes, which are batches of events, that a shard evaluated",
    ),
    counter(
        "assize_shard_entities_borrowed_total",
        BY_SHARD,
        Value::Shard(|shard| shard.entities_borrowed),
        "Entities of other shards that a shard's events needed",
    ),
    counter(
        "assize_shard_entities_lent_total",
        BY_SHARD,
        Value::Shard(|shard| shard.entities_lent),
        "Entities of a shard that events of other shards needed",
    ),
    counter(
        "assize_shard_copies_matched_total",
        BY_SHARD,
        Value::Shard(|shard| shard.copies_matched),
        "Stripes of a shard that were published because enough replicas had computed the same",
    ),
    gauge(
        "assize_shard_outcomes_held",
        BY_SHARD,
        Value::Shard(|shard| shard.outcomes_held),
        "Stripes of a shard that were evaluated here and wait until enough replicas have computed the same",
    ),
    Metric {
        kind: Kind::Histogram,
        ..in_unit(
            "seconds",
            gauge(
                "assize_stage_seconds",
                &["stage"],
                Value::Stages,
                "How long events took to reach a stage from the one before; accepted_to_published is the whole way",
            ),
        )
    },
    in_unit(
        "seconds",
        gauge(
            "process_start_time_seconds",
            ONE,
            Value::Process(|process| Some(process.start_seconds)),
            "When this program began, since the Unix epoch",
        ),
    ),
    in_unit(
        "seconds",
        counter(
            "process_cpu_seconds_total",
            ONE,
            Value::Process(|process| process.cpu_seconds),
            "CPU time of all threads, in user and kernel mode",
        ),
    ),
    in_unit(
        "bytes",
        gauge(
            "process_resident_memory_bytes",
            ONE,
            Value::Process(|process| process.resident_bytes),
            "Memory that the process has in RAM",
        ),
    ),
    in_unit(
        "bytes",
        gauge(
            "process_virtual_memory_bytes",
            ONE,
            Value::Process(|process| process.virtual_bytes),
            "Address space of the process",
        ),
    ),
    gauge(
        "process_open_fds",
        ONE,
        Value::Process(|process| process.open_fds),
        "Open file descriptors of the process",
    ),
    gauge(
        "process_max_fds",
        ONE,
        Value::Process(|process| process.max_fds),
        "File descriptors that the process may open",
    ),
];
