//! The rules between the values of a configuration, the CPUs of the host and the agreed parameters.

use super::error::ConfigError;
use super::units::show_bytes;
use super::{Config, ConfigFile, Cores, Cpu, Log};
use assize_node::agreed::Agreed;
use assize_wire::ShardId;
use assize_wire::limits::SHARDS_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// The log is written in blocks of this size.
const BLOCK_BYTES: u64 = 4096;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 4 << 30;
const SEGMENTS_AHEAD_MAX: u64 = 64;
/// A log has room for what comes between so many checkpoints.
const CHECKPOINTS_IN_LOG: u64 = 4;

impl ConfigFile {
    /// Checks the configuration against itself, the CPUs that this process may use, and, where the data directory
    /// is or is about to be formatted, the agreed parameters. Pure.
    ///
    /// # Errors
    /// The first value that does not hold, with its line.
    pub fn validate(&self, host: &BTreeSet<Cpu>, agreed: Option<&Agreed>) -> Result<(), ConfigError> {
        self.check_identity(agreed)?;
        self.check_cpus(host)?;
        self.check_shards(agreed)?;
        self.check_listen()?;
        self.check_federation(agreed)?;
        self.check_ports_apart()?;
        self.check_http()?;
        self.check_limits(agreed)?;
        self.check_log(agreed)
    }

    fn check_identity(&self, agreed: Option<&Agreed>) -> Result<(), ConfigError> {
        let config = &self.config;
        if let Some(agreed) = agreed
            && config.replica >= agreed.replicas
        {
            let accepted = match agreed.replicas {
                1 => "0, as the cluster was formatted for one replica".to_owned(),
                n => format!("0 to {}, as the cluster was formatted for {n} replicas", n - 1),
            };
            return Err(self.source.refuse("replica", config.replica.to_string(), accepted));
        }
        if agreed.is_none() && config.replica > 4 {
            let accepted = "0 to 4: a cluster has at most 5 replicas".to_owned();
            return Err(self.source.refuse("replica", config.replica.to_string(), accepted));
        }
        if config.data_directory.as_os_str().is_empty() {
            let accepted = "the path of a directory on a disk".to_owned();
            return Err(self.source.refuse("data_directory", "an empty path".to_owned(), accepted));
        }
        if !config.failure_domain.is_empty() && config.failure_domain.trim().is_empty() {
            let accepted =
                "the name of what this replica shares with others when it fails, or \"\"".to_owned();
            return Err(self.source.refuse("failure_domain", "a blank name".to_owned(), accepted));
        }
        Ok(())
    }

    /// Checks the CPUs alone: before the host is examined, which would find the same without naming the line.
    ///
    /// # Errors
    /// An assignment names a CPU that is not there.
    pub fn check_cpus(&self, host: &BTreeSet<Cpu>) -> Result<(), ConfigError> {
        let cores = &self.config.cores;
        let mut seen = BTreeMap::new();
        for (index, assignment) in cores.assignments.iter().enumerate() {
            let key = format!("cores.assignments[{index}].cpu");
            self.check_cpu(&key, assignment.cpu, host)?;
            if let Some(first) = seen.insert(assignment.cpu, index) {
                let found = format!("CPU {} again, which assignment {first} has", assignment.cpu);
                let accepted = "each CPU once: give all its shards to one assignment".to_owned();
                return Err(self.source.refuse(&key, found, accepted));
            }
        }
        self.check_cpu("cores.control", cores.control, host)?;
        self.within("cores.spin_us", u64::from(cores.spin_us), 0, 1_000_000)
    }

    fn check_cpu(&self, key: &str, cpu: Cpu, host: &BTreeSet<Cpu>) -> Result<(), ConfigError> {
        if !self.config.cores.pin || host.contains(&cpu) {
            return Ok(());
        }
        let found = format!("CPU {cpu}, which does not exist here or which this process may not use");
        let accepted = format!("a CPU of {} (or pin = false)", ranges(host));
        Err(self.source.refuse(key, found, accepted))
    }

    fn check_shards(&self, agreed: Option<&Agreed>) -> Result<(), ConfigError> {
        let cores = &self.config.cores;
        if cores.assignments.is_empty() {
            let accepted = "at least one { cpu = N, shards = [...] }".to_owned();
            return Err(self.source.refuse("cores.assignments", "no assignment".to_owned(), accepted));
        }
        // Without agreed parameters (doctor, format) the shards must be 0 .. as many as are assigned.
        let assigned = cores.shard_count();
        let count = agreed.map_or(assigned, |agreed| usize::from(agreed.shard_count));
        let why = if agreed.is_some() { "as formatted" } else { "as many as are assigned" };
        let mut owners: BTreeMap<ShardId, usize> = BTreeMap::new();
        for (index, assignment) in cores.assignments.iter().enumerate() {
            if assignment.shards.is_empty() {
                let key = format!("cores.assignments[{index}].shards");
                let accepted = "at least one shard, or no such assignment".to_owned();
                return Err(self.source.refuse(&key, "no shard".to_owned(), accepted));
            }
            for (place, shard) in assignment.shards.iter().enumerate() {
                let key = format!("cores.assignments[{index}].shards[{place}]");
                if let Some(first) = owners.insert(*shard, index) {
                    let owner = cores.assignments[first].cpu;
                    let found = format!("shard {shard}, which CPU {owner} owns already");
                    return Err(self.source.refuse(&key, found, "one owner for each shard".to_owned()));
                }
                if usize::from(shard.0) >= count.min(SHARDS_MAX) {
                    let accepted = format!("shards 0 to {}, {why}", count.min(SHARDS_MAX) - 1);
                    return Err(self.source.refuse(&key, format!("shard {shard}"), accepted));
                }
            }
        }
        self.check_unowned(cores, count, why, &owners)
    }

    fn check_unowned(
        &self,
        cores: &Cores,
        count: usize,
        why: &str,
        owners: &BTreeMap<ShardId, usize>,
    ) -> Result<(), ConfigError> {
        let ids = 0..u16::try_from(count).unwrap_or(u16::MAX);
        let missing: Vec<String> = ids
            .map(ShardId)
            .filter(|shard| !owners.contains_key(shard))
            .map(|shard| shard.to_string())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let last = cores.assignments.len() - 1;
        let found = format!("no owner for shard {}", missing.join(", "));
        let accepted = format!("one owner for each of the shards 0 to {}, {why}", count - 1);
        Err(self.source.refuse(&format!("cores.assignments[{last}].shards"), found, accepted))
    }

    fn check_listen(&self) -> Result<(), ConfigError> {
        let client = &self.config.listen.client;
        let last = self.config.cores.assignments.len() - 1;
        if client.of_core(last).is_some() {
            return Ok(());
        }
        let found = format!("port {} for core 0, so core {last} would have none", client.port);
        let accepted = format!("a port up to {}, as each core listens on its own, or 0", 65_535 - last);
        Err(self.source.refuse("listen.client", found, accepted))
    }

    /// No port is listened on twice: whoever comes second would fail with a word of neither.
    fn check_ports_apart(&self) -> Result<(), ConfigError> {
        let Config { listen, cores, federation, .. } = &self.config;
        let cores = cores.assignments.len() as u16 + u16::from(cores.control_core().is_none());
        let mut taken = vec![("listen.client", &listen.client, cores)];
        if federation.replicas.len() > 1 {
            taken.push(("listen.federation", &listen.federation, cores));
        }
        taken.extend(listen.http.iter().map(|http| ("listen.http", http, 1)));
        for (at, (key, address, count)) in taken.iter().enumerate() {
            for (other, before, of) in &taken[..at] {
                let apart = address.port == 0
                    || before.port == 0
                    || address.port >= before.port.saturating_add(*of)
                    || before.port >= address.port.saturating_add(*count)
                    || !may_be_one_host(&address.host, &before.host);
                if !apart {
                    let last = before.port.saturating_add(of - 1);
                    let found = format!("port {}, and {other} has {} to {last}", address.port, before.port);
                    let accepted = "ports of its own: one for each core, and one for HTTP".to_owned();
                    return Err(self.source.refuse(key, found, accepted));
                }
            }
        }
        Ok(())
    }

    fn check_limits(&self, agreed: Option<&Agreed>) -> Result<(), ConfigError> {
        use assize_wire::limits::{STRIPE_BYTES_MAX, STRIPE_EVENTS_MAX};
        let limits = &self.config.limits;
        let stripe_bytes_max = agreed.map_or(STRIPE_BYTES_MAX as u64, |agreed| agreed.stripe_bytes_max);
        let stripe_events_max = agreed.map_or(STRIPE_EVENTS_MAX as u64, |a| u64::from(a.stripe_events_max));
        let window_max = agreed.map_or(256, |agreed| u64::from(agreed.window_max));
        // A stripe must have room for the largest event, or that event could never be sealed.
        let event_bytes = agreed.map_or(4096, |agreed| u64::from(agreed.event_payload_bytes_max));
        let stripe_bytes_min = 64 + 32 + event_bytes.next_multiple_of(16);
        self.within("limits.stripe_bytes", limits.stripe_bytes, stripe_bytes_min, stripe_bytes_max)?;
        self.within("limits.stripe_events", u64::from(limits.stripe_events), 1, stripe_events_max)?;
        self.within("limits.window", u64::from(limits.window), 1, window_max)?;
        self.within("limits.connections_max", u64::from(limits.connections_max), 1, 1_000_000)?;
        self.within("limits.credit_events", u64::from(limits.credit_events), 1, 1 << 24)
    }

    fn check_log(&self, agreed: Option<&Agreed>) -> Result<(), ConfigError> {
        let log = &self.config.log;
        let segment = log.segment_bytes;
        self.within("log.segment_bytes", segment, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        if !segment.is_multiple_of(BLOCK_BYTES) {
            let accepted = format!("a multiple of {BLOCK_BYTES}, the size of a log block");
            return Err(self.source.refuse("log.segment_bytes", segment.to_string(), accepted));
        }
        // A record never crosses segments, and a flush may hold a stripe of each shard beside smaller records.
        // And of peers: their own limits may be as high as all have agreed.
        let of_peers = agreed.filter(|agreed| agreed.replicas > 1).map(|agreed| agreed.stripe_bytes_max);
        let stripe = of_peers.unwrap_or_default().max(self.config.limits.stripe_bytes);
        let stripes = stripe.saturating_mul(2);
        if segment < stripes {
            let which =
                if of_peers.is_some() { "the agreed stripe-bytes-max" } else { "limits.stripe_bytes" };
            let accepted = format!("at least {}, twice {which}", show_bytes(stripes));
            return Err(self.source.refuse("log.segment_bytes", show_bytes(segment), accepted));
        }
        self.within("log.segments_ahead", u64::from(log.segments_ahead), 1, SEGMENTS_AHEAD_MAX)?;
        self.within("log.writes_in_flight", u64::from(log.writes_in_flight), 1, 64)?;
        self.check_segments_ahead()?;
        let least = segment.saturating_mul((u64::from(log.segments_ahead) + 1).max(CHECKPOINTS_IN_LOG));
        if log.bytes_max < least {
            let accepted = format!(
                "at least {}: the segment in use and those prepared ahead, and {CHECKPOINTS_IN_LOG} in all",
                show_bytes(least)
            );
            return Err(self.source.refuse("log.bytes_max", show_bytes(log.bytes_max), accepted));
        }
        // A log grows while a checkpoint is taken, and keeps what one that failed did not make superfluous.
        let most = log.bytes_max / CHECKPOINTS_IN_LOG;
        self.within("log.checkpoint_bytes", log.checkpoint_bytes, segment, most)
    }

    /// A core takes only events for which its logs have room, whatever comes: with too few segments prepared ahead, or
    /// too small ones, it would say `busy` for ever.
    fn check_segments_ahead(&self) -> Result<(), ConfigError> {
        let Config { cores, limits, log, .. } = &self.config;
        let (ahead, all_shards) = (u64::from(log.segments_ahead), cores.shard_count() as u16);
        let control = cores.control_core().is_none().then_some((0, true));
        let owned = cores
            .assignments
            .iter()
            .map(|assignment| (assignment.shards.len(), assignment.cpu == cores.control));
        for (own_shards, runs_docket) in owned.chain(control) {
            let least = |segment_bytes| {
                let log = Log { segment_bytes, ..log.clone() };
                let reserve = log.reserve_bytes();
                let usher = limits.of_usher();
                assize_node::segments_ahead_min(
                    &usher,
                    own_shards,
                    all_shards,
                    runs_docket,
                    segment_bytes,
                    reserve,
                )
            };
            match least(log.segment_bytes) {
                Some(least) if least <= ahead => {}
                Some(least) if least <= SEGMENTS_AHEAD_MAX => {
                    let accepted = format!(
                        "{least} to {SEGMENTS_AHEAD_MAX}: fewer segments of {} do not surely hold what limits.window, \
                         limits.stripe_bytes and limits.stripe_events let a core promise",
                        show_bytes(log.segment_bytes)
                    );
                    return Err(self.source.refuse("log.segments_ahead", ahead.to_string(), accepted));
                }
                _ => {
                    let doubled =
                        (1..).map(|times| log.segment_bytes << times).take_while(|b| *b <= SEGMENT_BYTES_MAX);
                    let enough = { doubled }.find(|bytes| least(*bytes).is_some_and(|least| least <= ahead));
                    let accepted = format!(
                        "for example {}, or smaller limits: one segment does not surely hold what limits.window, \
                         limits.stripe_bytes and limits.stripe_events let a core promise",
                        enough.map_or("none with so few log.segments_ahead".to_owned(), show_bytes)
                    );
                    return Err(self.source.refuse(
                        "log.segment_bytes",
                        show_bytes(log.segment_bytes),
                        accepted,
                    ));
                }
            }
        }
        Ok(())
    }

    fn within(&self, key: &str, found: u64, least: u64, most: u64) -> Result<(), ConfigError> {
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let accepted = if key.ends_with("bytes") || key.ends_with("bytes_max") {
            format!("{least} to {most} bytes")
        } else {
            format!("{least} to {most}")
        };
        Err(self.source.refuse(key, found.to_string(), accepted))
    }
}

/// Whether two hosts to listen on are, or have in them, the same address, as far as their names tell.
fn may_be_one_host(one: &str, other: &str) -> bool {
    let everywhere = |host: &str| host == "0.0.0.0" || host == "::";
    one == other || everywhere(one) || everywhere(other)
}

/// CPUs as people write them: `0-3, 8`.
#[must_use]
pub(crate) fn ranges(cpus: &BTreeSet<Cpu>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == cpu.0 => *last = cpu.0,
            _ => parts.push((cpu.0, cpu.0)),
        }
    }
    let show = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(show).collect::<Vec<_>>().join(", ")
}
