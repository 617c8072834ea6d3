//! What a demo uses of this host, and why: cores, directory, capacities.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use assize_wire::limits::STRIPE_EVENTS_MAX;

use super::cpus;
use super::ports::free_ports;
use super::workload::Part;
use crate::cli::{DemoCommand, Rate};
use crate::config::{
    Address, Config, Cores, FederationSection, Level, Limits, Listen, Log, Logging, show_bytes,
};
use crate::doctor;
use crate::exit::Exit;

/// The demo's choices.
pub(super) struct Sizing {
    /// Where everything is.
    pub(super) directory: PathBuf,
    /// Whether that survives a power cut.
    pub(super) durable: bool,
    filesystem: String,
    /// The replicas' configurations, by id.
    pub(super) configs: Vec<Config>,
    /// Keys that one shard remembers.
    pub(super) warden_capacity: u64,
    /// CPUs for the load generator, none if there is none to spare.
    pub(super) client_cpus: Vec<usize>,
    /// For how many events there is room, and where the number comes from.
    room: String,
    part: Part,
    /// What limited the Warden, if the run's own need did not.
    short_of: Option<String>,
}

impl Sizing {
    pub(super) fn of(command: &DemoCommand, part: Part) -> Result<Sizing, (String, Exit)> {
        let directory = directory(command.dir.as_deref())?;
        let host = doctor::collect(&directory, false);
        let filesystem = host.disk.filesystem.clone();
        let replicas = u64::from(command.replicas);
        let suggested = doctor::suggest_cores(&host.cpus, command.shards);
        let used: Vec<u32> = suggested
            .assignments
            .iter()
            .map(|assignment| assignment.cpu.0)
            .chain([suggested.control.0])
            .collect();
        let shares = cpus::share(&suggested, command.replicas, command.shards);
        let cores = &shares[0];
        // Beside threads that are not pinned, the load generator's need not be either.
        let spare = host.cpus.allowed.iter().filter(|cpu| cores.pin && !used.contains(&cpu.0));
        let client_cpus: Vec<usize> = spare.map(|cpu| cpu.0 as usize).collect();

        // The default TTL is a day, longer than most runs: every key of the run stays live. A little more than its
        // share for each shard, since keys are not spread evenly, and for the accounts that are set up first.
        let (events, room) = events(command, part);
        let shards = cores.shard_count() as u64;
        let wanted = events / shards * 11 / 10 + SPARE_KEYS;
        let memory = host.memory_available_bytes / 2 / replicas;
        let affordable = (memory / WARDEN_ENTRY_BYTES / shards).min(u32::MAX.into());
        let warden_capacity = wanted.min(affordable.max(SPARE_KEYS));
        let short_of = (warden_capacity < wanted).then(|| {
            "half of the memory that is free holds no more; events beyond it would be answered `full`"
                .to_owned()
        });

        let logs = cores.assignments.len() as u64;
        let free = host.disk.free_bytes / replicas;
        let needed = events * LOG_BYTES_PER_EVENT / logs + LOG_SPARE_BYTES;
        let segment_bytes = Log::default().segment_bytes;
        // One log and one outcome stream a core, of whole segments; a tenth of the disk is left alone.
        let bytes_max = needed.min(free / 10 * 9 / logs / 2) / segment_bytes * segment_bytes;
        if bytes_max < segment_bytes * 4 {
            let found = format!(
                "{} has {} free, and the demo needs {}: name another place with --dir",
                directory.display(),
                show_bytes(host.disk.free_bytes),
                show_bytes(segment_bytes * 8 * logs * replicas)
            );
            return Err((found, Exit::Host));
        }
        let credit_events = (command.batch() * 2).max(Limits::default().credit_events);
        let of_all = Config {
            limits: Limits {
                credit_events: credit_events.max(STRIPE_EVENTS_MAX as u32),
                connections_max: (command.connections + 16).max(Limits::default().connections_max),
                ..Limits::default()
            },
            log: Log {
                bytes_max,
                checkpoint_bytes: Log::default().checkpoint_bytes.min(bytes_max / 4),
                ..Log::default()
            },
            // Replicas warn of each other when one is killed, and when all are stopped.
            logging: Logging {
                level: if replicas == 1 { Level::Warn } else { Level::Error },
                ..Logging::default()
            },
            ..Config::default()
        };
        let configs = cluster(of_all, &shares, &directory, command.http)?;
        Ok(Sizing {
            durable: !filesystem.is_memory,
            filesystem: filesystem.name,
            directory,
            configs,
            warden_capacity,
            client_cpus,
            room,
            part,
            short_of,
        })
    }
}

impl Sizing {
    /// Where the secret is that the replicas share.
    pub(super) fn secret_file(&self) -> PathBuf {
        secret_file(&self.directory)
    }
}

fn secret_file(directory: &Path) -> PathBuf {
    directory.join("secret")
}

/// For how many events a run needs room, and where that comes from.
fn events(command: &DemoCommand, part: Part) -> (u64, String) {
    let Part::Load(_, seconds) = part else {
        return (SERVED_EVENTS, format!("for {SERVED_EVENTS} events in a day, whoever submits them"));
    };
    let (rate, guess) = match command.rate {
        Rate::PerSecond(rate) => (rate, "as asked for"),
        Rate::Max if command.replicas == 1 => (RATE_BOUND, "at most, as assumed"),
        Rate::Max => (RATE_BOUND_OF_SEVERAL, "at most, as assumed"),
    };
    let room = format!("{rate} events/s {guess}, for the run, which is shorter than the TTL");
    (rate * (u64::from(seconds) + 1), room)
}

/// The configurations of all replicas: what differs is who they are, where they are, and on which CPUs. Their ports
/// are chosen here, so that a replica that is started again is where its clients and peers look for it.
fn cluster(
    of_all: Config,
    shares: &[Cores],
    directory: &Path,
    http: Option<u16>,
) -> Result<Vec<Config>, (String, Exit)> {
    // A control thread of its own has a port, too.
    let of_replica = shares[0].assignments.len() as u16 + 1;
    let first = free_ports(of_replica * 3 * shares.len() as u16);
    let first = first.ok_or_else(|| ("no free ports for the replicas".to_owned(), Exit::Host))?;
    let at = |port: u16| Address { host: "127.0.0.1".to_owned(), port };
    let address = |block: usize| at(first + of_replica * block as u16);
    let http = |replica: usize| match http {
        Some(port) => at(port + replica as u16),
        None => address(2 * shares.len() + replica),
    };
    let (mut configs, count) = (Vec::new(), shares.len());
    let peers: Vec<Address> = (count..2 * count).map(address).collect();
    for (replica, cores) in shares.iter().enumerate() {
        configs.push(Config {
            replica: replica as u8,
            data_directory: directory.join(format!("replica-{replica}")),
            failure_domain: format!("demo-replica-{replica}"),
            cores: cores.clone(),
            listen: Listen {
                client: address(replica),
                federation: address(count + replica),
                http: Some(http(replica)),
            },
            federation: FederationSection {
                replicas: if count > 1 { peers.clone() } else { Vec::new() },
                secret_file: secret_file(directory),
                ..of_all.federation.clone()
            },
            ..of_all.clone()
        });
    }
    Ok(configs)
}

impl fmt::Display for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cores, replicas) = (&self.configs[0].cores, self.configs.len());
        let processes = if replicas == 1 { "one replica".to_owned() } else { format!("{replicas} replicas") };
        let shards = match cores.shard_count() {
            1 => "1 shard".to_owned(),
            count => format!("{count} shards"),
        };
        let long = match self.part {
            Part::Load(_, seconds) | Part::Serve(Some(seconds)) => format!("for {seconds} seconds"),
            Part::Serve(None) => "until it is stopped".to_owned(),
        };
        writeln!(f, "Assize demo: {processes}, {shards}, {long}\n")?;
        for config in self.configs.iter().filter(|_| cores.pin) {
            let Config { replica, cores, .. } = config;
            for assignment in &cores.assignments {
                let shards: Vec<String> = assignment.shards.iter().map(ToString::to_string).collect();
                let control = if cores.control == assignment.cpu { ", control" } else { "" };
                let shards = shards.join(", ");
                writeln!(f, "  CPU {:<3} replica {replica}, shards {shards}{control}", assignment.cpu.0)?;
            }
        }
        match &self.client_cpus[..] {
            [] if !cores.pin => {
                writeln!(f, "  CPUs    too few for all: replicas and clients share them, not pinned")?;
            }
            _ if matches!(self.part, Part::Serve(_)) => {}
            [] => writeln!(f, "  no CPU is left for the load generator, which shares those of the shards")?,
            cpus => writeln!(f, "  CPU {} the load generator", list(cpus))?,
        }
        let kind = if self.durable { "on disk" } else { "in memory: a power cut loses it" };
        writeln!(f, "  data    {} ({}, {kind})", self.directory.display(), self.filesystem)?;
        writeln!(
            f,
            "  Warden  {} keys a shard, up to {}: {}",
            self.warden_capacity,
            show_bytes(self.warden_capacity * WARDEN_ENTRY_BYTES * cores.shard_count() as u64),
            self.room,
        )?;
        if let Some(short_of) = &self.short_of {
            writeln!(f, "          {short_of}")?;
        }
        let bytes_max = show_bytes(self.configs[0].log.bytes_max);
        writeln!(f, "  logs    up to {bytes_max} each; a full log answers `busy`")?;
        for config in &self.configs {
            writeln!(
                f,
                "  replica {} at {}, {}",
                config.replica, config.listen.client, config.failure_domain
            )?;
            if let Some(http) = &config.listen.http {
                writeln!(f, "            dashboard while it runs: http://{http}/")?;
            }
        }
        Ok(())
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

/// The same for several replicas on one machine, which do everything as many times over.
const RATE_BOUND_OF_SEVERAL: u64 = 1_000_000;

/// Events that there is room for where nobody says how many will come.
const SERVED_EVENTS: u64 = 1_000_000;

/// Design section 11: at most this, all in.
const WARDEN_ENTRY_BYTES: u64 = 64;

/// Keys beyond those of the run: setting up the accounts.
const SPARE_KEYS: u64 = 100_000;

/// A transfer's 80 bytes and its share of headers, blocks and accept records in large stripes.
const LOG_BYTES_PER_EVENT: u64 = 120;

/// Small stripes take whole blocks: this is room for as many of them as a run at batch 1 makes.
const LOG_SPARE_BYTES: u64 = 4 << 30;
