//! A replica's configuration: one TOML file with everything that cannot change an outcome (design D2).
//!
//! What can change an outcome is agreed between replicas, given to `format` and stored: [`Agreed`].
//! Reading is a pure function of (text, file name) and validation of (configuration, CPUs of the host, agreed
//! parameters); only [`ConfigFile::load`] touches a file.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the sections and their defaults |
//! | `validate.rs` | the rules between values, the host and the agreed parameters |
//! | `error.rs` | the refusal: line, found, accepted |
//! | `format_args.rs` | the options of `format` that make the agreed parameters (`engine/node/src/agreed.rs`) |
//! | `federation.rs` | the other replicas, and the secret that all share |
//! | `http.rs` | bounds of the HTTP server |
//! | `address.rs`, `units.rs` | listen addresses, sizes and durations |
//! | `example.toml` | every key with its default, as `assize config --example` prints it |

mod address;
mod error;
mod federation;
mod format_args;
mod http;
mod units;
mod validate;

pub use address::{Address, AddressError};
pub use assize_node::agreed::{Agreed, AgreedError, DomainVersion, default_copies};
pub use error::{ConfigError, Source};
pub use federation::{FederationSection, SecretError, create_secret};
pub use format_args::{Entropy, FormatArgs};
pub use http::HttpSection;
pub use units::{UnitError, bytes, count, duration_ns, show_bytes, show_duration_ns};

use assize_node::UsherLimits;
use assize_wire::ids::{CoreId, ReplicaId, ShardId};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A complete configuration with a comment for each key; its values are the defaults.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A configuration with its text, so that later findings name the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// The values.
    pub config: Config,
    /// Where they were read.
    pub source: Source,
}

impl ConfigFile {
    /// Reads a configuration from its text. Pure.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown key, a value of another type.
    pub fn parse(text: &str, file: &str) -> Result<ConfigFile, ConfigError> {
        let source = Source { file: file.to_owned(), text: text.to_owned() };
        match toml::from_str(text) {
            Ok(config) => Ok(ConfigFile { config, source }),
            Err(error) => Err(source.refuse_toml(&error)),
        }
    }

    /// Reads a configuration from a file. A relative `data_directory` stays relative to the working directory.
    ///
    /// # Errors
    /// The file cannot be read, or as [`ConfigFile::parse`].
    pub fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let accepted = "a readable TOML file; `assize config --example > FILE` writes one to start from";
            ConfigError::of_file(&file, error.to_string(), accepted)
        })?;
        ConfigFile::parse(&text, &file)
    }
}

/// One replica's configuration. Every key has a default; `example.toml` documents them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which replica of the cluster this is, from 0.
    pub replica: u8,
    /// The directory with this replica's logs, superblock and outcome stream.
    pub data_directory: PathBuf,
    /// What this replica shares with others when it fails: a machine, a rack, a power feed (rule C1). Empty where it
    /// shares nothing: see [`Config::failure_domain_name`].
    pub failure_domain: String,
    /// Threads and CPUs.
    pub cores: Cores,
    /// Addresses.
    pub listen: Listen,
    /// The other replicas.
    pub federation: FederationSection,
    /// Bounds of the HTTP server.
    pub http: HttpSection,
    /// Bounds of this replica, at most the agreed ones.
    pub limits: Limits,
    /// The logs.
    pub log: Log,
    /// What is written to standard error.
    pub logging: Logging,
    /// Faults on purpose.
    pub rehearsal: Rehearsal,
    /// By domain: the version of its logic that the cluster is to switch to, once every replica has it (rule R5).
    pub logic: BTreeMap<String, u16>,
}

impl Config {
    /// The name of its failure domain; one of its own if none is configured.
    #[must_use]
    pub fn failure_domain_name(&self) -> String {
        match self.failure_domain.as_str() {
            "" => format!("replica {}", self.replica),
            name => name.to_owned(),
        }
    }

    /// The configured identity.
    #[must_use]
    pub fn replica_id(&self) -> ReplicaId {
        ReplicaId(self.replica)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            replica: 0,
            data_directory: PathBuf::from("assize-data"),
            failure_domain: String::new(),
            cores: Cores::default(),
            listen: Listen::default(),
            federation: FederationSection::default(),
            http: HttpSection::default(),
            limits: Limits::default(),
            log: Log::default(),
            logging: Logging::default(),
            rehearsal: Rehearsal::default(),
            logic: BTreeMap::new(),
        }
    }
}

/// `[cores]`: which CPU runs which shards.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cores {
    /// One entry for each pinned thread. The index in this list is the thread's [`CoreId`].
    pub assignments: Vec<Assignment>,
    /// The CPU of the control thread (the Docket, timers). If it is the CPU of an assignment, that thread
    /// has the control role, too; otherwise a thread of its own is pinned there.
    pub control: Cpu,
    /// What a thread without work does.
    pub idle: Idle,
    /// With `idle = "spin"`: how long a thread looks for work before it parks, in microseconds.
    pub spin_us: u32,
    /// Whether threads are pinned. Without pinning a CPU number is only a label and need not exist.
    pub pin: bool,
}

impl Cores {
    /// How many shards are assigned; after validation the shards are `0 .. shard_count`.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.assignments.iter().map(|assignment| assignment.shards.len()).sum()
    }

    /// The core that owns `shard`, if one does.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> Option<CoreId> {
        let index = self.assignments.iter().position(|assignment| assignment.shards.contains(&shard))?;
        u16::try_from(index).ok().map(CoreId)
    }

    /// The core that has the control role as well; `None` if the control thread is one of its own.
    #[must_use]
    pub fn control_core(&self) -> Option<CoreId> {
        let index = self.assignments.iter().position(|assignment| assignment.cpu == self.control)?;
        u16::try_from(index).ok().map(CoreId)
    }
}

impl Default for Cores {
    fn default() -> Cores {
        Cores {
            assignments: vec![Assignment { cpu: Cpu(0), shards: vec![ShardId(0)] }],
            control: Cpu(0),
            idle: Idle::Park,
            spin_us: 50,
            pin: true,
        }
    }
}

/// One pinned thread: its CPU and the shards it owns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The CPU the thread is pinned to.
    pub cpu: Cpu,
    /// The shards it owns: at least one.
    #[serde(deserialize_with = "shards_from", serialize_with = "shards_to")]
    pub shards: Vec<ShardId>,
}

/// A CPU by the number that the kernel gives it (`/proc/cpuinfo`: `processor`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Cpu(pub u32);

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a thread without work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// Sleeps in the kernel at once: for machines that are shared.
    #[default]
    Park,
    /// Looks for work for `spin_us` before it sleeps: lower latency, for CPUs of its own.
    Spin,
}

/// `[listen]`: where clients and peers connect.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Core `i` of the assignment listens on this port + i ([`Address::of_core`]).
    pub client: Address,
    /// Where the other replicas connect: core `i` on this port + i. Not opened in a cluster of one.
    pub federation: Address,
    /// Where people and other systems ask by HTTP; nowhere if it is empty.
    #[serde(deserialize_with = "http_from", serialize_with = "http_to")]
    pub http: Option<Address>,
}

impl Default for Listen {
    fn default() -> Listen {
        let local = |port| Address { host: "localhost".to_owned(), port };
        Listen { client: local(7400), federation: local(7500), http: None }
    }
}

/// `[limits]`: bounds of this replica. None may exceed the agreed bound of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A stripe is full at this many bytes, even if few events.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub stripe_bytes: u64,
    /// A stripe is full at this many events.
    pub stripe_events: u32,
    /// Slots between formed and published on the leader; also stripes of one shard not yet published.
    pub window: u32,
    /// Client connections that one core accepts; cores share nothing, so the bound is per core.
    pub connections_max: u32,
    /// Events that one connection may have unanswered before it must wait for credit.
    pub credit_events: u32,
}

impl Limits {
    /// As the Usher takes them; what is agreed of an event is as wide as can be.
    #[must_use]
    pub fn of_usher(&self) -> UsherLimits {
        UsherLimits {
            stripe_bytes: self.stripe_bytes as usize,
            stripe_events: self.stripe_events,
            window: self.window as usize,
            credit_events: self.credit_events,
            connections_max: self.connections_max as usize,
            event_payload_bytes_max: usize::MAX,
            event_entities_max: usize::MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            stripe_bytes: 2 << 20,
            stripe_events: 8_190,
            window: 8,
            connections_max: 4_096,
            credit_events: 32_760,
        }
    }
}

/// `[log]`: the logs of this replica, one for each core.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Size of one segment, preallocated and pre-written.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub segment_bytes: u64,
    /// Size of one log. A full log answers `busy` until a checkpoint has made room.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub bytes_max: u64,
    /// Segments prepared ahead of the one being written.
    pub segments_ahead: u32,
    /// Writes of one log that may be under way together.
    pub writes_in_flight: u32,
    /// Log bytes, of all cores together, after which the leader flags a checkpoint: at most a quarter of `bytes_max`.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub checkpoint_bytes: u64,
}

impl Log {
    /// Kept free at a log's end for accept records and marks of what is under way.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        (4 << 20).min(self.segment_bytes / 4)
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            segment_bytes: 64 << 20,
            bytes_max: 8 << 30,
            segments_ahead: 2,
            writes_in_flight: 4,
            checkpoint_bytes: 1 << 30,
        }
    }
}

/// `[rehearsal]`: faults on purpose, to see what a cluster makes of a machine that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rehearsal {
    /// Whether `assize serve --fault` may commit one.
    pub allow_faults: bool,
}

/// `[logging]`: what is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// The least severe message that is written. The environment variable `ASSIZE_LOG` overrides it.
    pub level: Level,
    /// Lines for people or JSON objects for machines.
    pub format: LogFormat,
}

/// Severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed; an operator has to act.
    Error,
    /// Something is not as it should be, but the replica serves.
    Warn,
    /// Life of the replica: start, recovery, leadership, stop.
    #[default]
    Info,
    /// What a developer asks about.
    Debug,
    /// Each step.
    Trace,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text.
    #[default]
    Text,
    /// A line with a JSON object.
    Json,
}

fn shards_from<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ShardId>, D::Error> {
    Ok(Vec::<u16>::deserialize(from)?.into_iter().map(ShardId).collect())
}

fn shards_to<S: serde::Serializer>(shards: &[ShardId], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(shards.iter().map(|shard| shard.0))
}

fn http_from<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}

fn http_to<S: serde::Serializer>(http: &Option<Address>, to: S) -> Result<S::Ok, S::Error> {
    match http {
        Some(address) => to.collect_str(address),
        None => to.serialize_str(""),
    }
}

#[cfg(test)]
mod tests;
