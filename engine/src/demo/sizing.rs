//! What a demo uses of this host, and why: cores, directory, capacities.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use assize_wire::limits::STRIPE_EVENTS_MAX;

use crate::cli::{DemoCommand, Rate};
use crate::config::{Address, Config, Limits, Listen, Log, Logging, show_bytes};
use crate::doctor;
use crate::exit::Exit;

/// The demo's choices.
pub(super) struct Sizing {
    /// Where everything is.
    pub(super) directory: PathBuf,
    /// Whether that survives a power cut.
    pub(super) durable: bool,
    filesystem: String,
    /// The replica's configuration.
    pub(super) config: Config,
    /// Keys that one shard remembers.
    pub(super) warden_capacity: u64,
    /// CPUs for the load generator, none if there is none to spare.
    pub(super) client_cpus: Vec<usize>,
    rate_bound: u64,
    rate_is_guess: bool,
    seconds: u64,
    /// What limited the Warden, if the run's own need did not.
    short_of: Option<String>,
}

impl Sizing {
    pub(super) fn of(command: &DemoCommand) -> Result<Sizing, (String, Exit)> {
        let directory = directory(command.dir.as_deref())?;
        let host = doctor::collect(&directory, false);
        let filesystem = host.disk.filesystem.clone();
        let cores = doctor::suggest_cores(&host.cpus, command.shards);
        let used: Vec<u32> =
            cores.assignments.iter().map(|assignment| assignment.cpu.0).chain([cores.control.0]).collect();
        let client_cpus: Vec<usize> =
            host.cpus.allowed.iter().filter(|cpu| !used.contains(&cpu.0)).map(|cpu| cpu.0 as usize).collect();

        let (rate_bound, rate_is_guess) = match command.rate {
            Rate::PerSecond(rate) => (rate, false),
            Rate::Max => (RATE_BOUND, true),
        };
        // The default TTL is a day, longer than most runs: every key of the run stays live. A little more than its
        // share for each shard, since keys are not spread evenly, and for the accounts that are set up first.
        let seconds = u64::from(command.seconds).min(24 * 3600);
        let shards = cores.shard_count() as u64;
        let wanted = rate_bound * (seconds + 1) / shards * 11 / 10 + SPARE_KEYS;
        let affordable = (host.memory_available_bytes / 2 / WARDEN_ENTRY_BYTES / shards).min(u32::MAX.into());
        let warden_capacity = wanted.min(affordable.max(SPARE_KEYS));
        let short_of = (warden_capacity < wanted).then(|| {
            "half of the memory that is free holds no more; events beyond it would be answered `full`"
                .to_owned()
        });

        let logs = cores.assignments.len() as u64;
        let free = host.disk.free_bytes;
        let needed = rate_bound * (seconds + 1) * LOG_BYTES_PER_EVENT / logs + LOG_SPARE_BYTES;
        // One log and one outcome stream a core; a tenth of the disk is left alone.
        let bytes_max = needed.min(free / 10 * 9 / logs / 2);
        let segment_bytes = Log::default().segment_bytes;
        if bytes_max < segment_bytes * 4 {
            let found = format!(
                "{} has {} free, and the demo needs {}: name another place with --dir",
                directory.display(),
                show_bytes(free),
                show_bytes(segment_bytes * 8 * logs)
            );
            return Err((found, Exit::Host));
        }
        let credit_events = (command.batch * 2).max(Limits::default().credit_events);
        let config = Config {
            data_directory: directory.join("replica-0"),
            failure_domain: "demo-replica-0".to_owned(),
            cores,
            listen: Listen { client: Address { host: "127.0.0.1".to_owned(), port: 0 }, ..Listen::default() },
            limits: Limits {
                credit_events: credit_events.max(STRIPE_EVENTS_MAX as u32),
                connections_max: (command.connections + 16).max(Limits::default().connections_max),
                ..Limits::default()
            },
            log: Log {
                bytes_max: bytes_max / segment_bytes * segment_bytes,
                checkpoint_bytes: Log::default().checkpoint_bytes.min(bytes_max / 4),
                ..Log::default()
            },
            logging: Logging { level: crate::config::Level::Warn, ..Logging::default() },
            ..Config::default()
        };
        Ok(Sizing {
            durable: !filesystem.is_memory,
            filesystem: filesystem.name,
            directory,
            config,
            warden_capacity,
            client_cpus,
            rate_bound,
            rate_is_guess,
            seconds,
            short_of,
        })
    }
}

impl fmt::Display for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = &self.config.cores;
        writeln!(
            f,
            "Assize demo: one replica, {} shards, for {} seconds\n",
            cores.shard_count(),
            self.seconds
        )?;
        for assignment in &cores.assignments {
            let shards: Vec<String> = assignment.shards.iter().map(ToString::to_string).collect();
            let control = if cores.control == assignment.cpu { ", control" } else { "" };
            writeln!(f, "  CPU {:<3} shards {}{control}", assignment.cpu.0, shards.join(", "))?;
        }
        match &self.client_cpus[..] {
            [] => writeln!(f, "  no CPU is left for the load generator, which shares those of the shards")?,
            cpus => writeln!(f, "  CPU {} the load generator", list(cpus))?,
        }
        let kind = if self.durable { "on disk" } else { "in memory: a power cut loses it" };
        writeln!(f, "  data    {} ({}, {kind})", self.directory.display(), self.filesystem)?;
        let guess = if self.rate_is_guess { "at most, as assumed" } else { "as asked for" };
        writeln!(
            f,
            "  Warden  {} keys a shard, up to {}: {} events/s {guess}, for the run, which is shorter than the TTL",
            self.warden_capacity,
            show_bytes(self.warden_capacity * WARDEN_ENTRY_BYTES * cores.shard_count() as u64),
            self.rate_bound,
        )?;
        if let Some(short_of) = &self.short_of {
            writeln!(f, "          {short_of}")?;
        }
        writeln!(
            f,
            "  logs    up to {} each; a full log answers `busy`",
            show_bytes(self.config.log.bytes_max)
        )
    }
}

/// A directory of the demo's own: under `--dir`, or on the first of the usual places that is a disk.
fn directory(asked: Option<&Path>) -> Result<PathBuf, (String, Exit)> {
    let usual = || {
        let places =
            [Some(PathBuf::from("/var/tmp")), std::env::current_dir().ok(), Some(std::env::temp_dir())];
        let mut writable = places.into_iter().flatten().filter(|place| can_write(place));
        let first = writable.next();
        let is_disk = |place: &PathBuf| !doctor::filesystem(place).is_memory;
        first.iter().cloned().chain(writable).find(is_disk).or(first)
    };
    let parent = asked.map(Path::to_owned).or_else(usual);
    let Some(parent) = parent else {
        return Err(("no directory can be written: name one with --dir".to_owned(), Exit::Host));
    };
    let directory = parent.join(format!("assize-demo-{}", std::process::id()));
    fs::create_dir_all(&directory).map_err(|error| {
        (format!("{}: {error}: name another place with --dir", directory.display()), Exit::Usage)
    })?;
    directory.canonicalize().map_err(|error| (format!("{}: {error}", directory.display()), Exit::Host))
}

fn can_write(place: &Path) -> bool {
    let probe = place.join(format!(".assize-probe-{}", std::process::id()));
    let written = fs::File::create(&probe).is_ok();
    // Nothing is left behind, and there is nothing to remove if it was not written.
    let _ = fs::remove_file(&probe);
    written
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Events a second that a closed loop is not expected to pass: what the Warden and the logs are sized for.
const RATE_BOUND: u64 = 2_000_000;

/// Design section 11: at most this, all in.
const WARDEN_ENTRY_BYTES: u64 = 64;

/// Keys beyond those of the run: setting up the accounts.
const SPARE_KEYS: u64 = 100_000;

/// A transfer's 80 bytes and its share of headers, blocks and accept records in large stripes.
const LOG_BYTES_PER_EVENT: u64 = 120;

/// Small stripes take whole blocks: this is room for as many of them as a run at batch 1 makes.
const LOG_SPARE_BYTES: u64 = 4 << 30;
