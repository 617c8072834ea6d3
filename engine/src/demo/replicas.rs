//! The demo's replicas: formatted as one cluster, started, killed in the middle if asked for, stopped.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use assize_domain::DomainRegistry;
use assize_shards::Rehearsal;
use assize_tools::client::{Client, Options};
use assize_wire::ReplicaId;

use super::Ended;
use super::child::{Child, StateDigest, state_digests};
use super::sizing::Sizing;
use super::status::{Status, ask_all, wait_until_caught_up};
use crate::boot;
use crate::config::{self, Address, Config, ConfigFile, Entropy, FormatArgs, create_secret};
use crate::exit::Exit;

/// All of them, by id.
pub(super) struct Replicas {
    children: Vec<Child>,
    /// For each its configuration and the file for its latencies.
    files: Vec<(PathBuf, PathBuf)>,
    addresses: Vec<String>,
    /// Where each says over HTTP how far it is.
    http: Vec<Address>,
}

impl Replicas {
    /// Formats them under one identity, starts them, and waits until all serve. They find each other by themselves.
    /// The last one commits the fault.
    pub(super) fn start(
        sizing: &Sizing,
        domains: &DomainRegistry,
        fault: Option<Rehearsal>,
    ) -> Result<Replicas, Ended> {
        let files = format(sizing, domains, fault.is_some())?;
        let mut children = Vec::new();
        for (at, (config, stages)) in files.iter().enumerate() {
            let of_this = fault.filter(|_| at + 1 == files.len());
            children.push(Child::spawn(config, stages, of_this)?);
        }
        let addresses = wait_until_serving(&mut children)?;
        let http = sizing.configs.iter().filter_map(|config| config.listen.http.clone()).collect();
        Ok(Replicas { children, files, addresses, http })
    }

    /// Where they serve.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where they are asked by HTTP.
    pub(super) fn http(&self) -> &[Address] {
        &self.http
    }

    /// Nothing is wrong as long as all processes run.
    pub(super) fn check_running(&mut self) -> Result<(), Ended> {
        self.children.iter_mut().try_for_each(Child::check_running)
    }

    /// Waits until all are as far as any.
    pub(super) fn settle(&self) {
        wait_until_caught_up(&self.http, CAUGHT_UP_WITHIN);
    }

    /// What each says of itself, once all are as far as any, or after a while if one does not get there.
    pub(super) fn statuses(&self) -> Vec<Option<Status>> {
        wait_until_caught_up(&self.http, FOUND_OUT_WITHIN);
        ask_all(&self.http)
    }

    /// Begins their latencies anew.
    pub(super) fn measure(&mut self) {
        self.children.iter_mut().for_each(Child::measure);
    }

    /// Who leads, as the client library finds it.
    pub(super) fn leader(&self) -> Result<ReplicaId, Ended> {
        let fail = |error: &dyn std::fmt::Display| (format!("asking who leads: {error}"), Exit::Internal);
        let options = Options { connect_timeout: LEADER_WITHIN, ..Options::default() };
        let mut client = Client::connect(&self.addresses, options).map_err(|error| fail(&error))?;
        let until = Instant::now() + LEADER_WITHIN;
        while Instant::now() < until {
            if let Some(leader) = client.leader() {
                return Ok(leader);
            }
            client.poll(Duration::from_millis(5)).map_err(|error| fail(&error))?;
        }
        Err(fail(&format!("no replica leads within {LEADER_WITHIN:?}")))
    }

    /// kill -9 of one.
    pub(super) fn kill(&mut self, replica: ReplicaId) -> Result<(), Ended> {
        self.children[usize::from(replica.0)].kill()
    }

    /// Starts one again that was killed.
    pub(super) fn restart(&mut self, replica: ReplicaId) -> Result<(), Ended> {
        let at = usize::from(replica.0);
        let (config, stages) = &self.files[at];
        self.children[at] = Child::spawn(config, stages, None)?;
        Ok(())
    }

    /// Stops all in good order: `leader` first, which hands over to those that are still there, and `restarted` last,
    /// which may have something to catch up with.
    pub(super) fn stop(
        &mut self,
        leader: Option<ReplicaId>,
        restarted: Option<ReplicaId>,
    ) -> Result<Vec<Option<StateDigest>>, Ended> {
        // One that was started again may still be reading its log, and is stopped when it has done so.
        wait_until_serving(&mut self.children)?;
        if restarted.is_some() {
            self.settle();
        }
        let mut order: Vec<usize> = (0..self.children.len()).collect();
        order.sort_by_key(|at| {
            let replica = Some(ReplicaId(*at as u8));
            if replica == leader { 0 } else { 1 + u8::from(replica == restarted) }
        });
        for at in order {
            self.children[at].stop()?;
        }
        Ok(state_digests(&mut self.children))
    }

    /// Where a stopped replica left its latencies.
    pub(super) fn stages(&self, replica: ReplicaId) -> &PathBuf {
        &self.files[usize::from(replica.0)].1
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }
}

/// Waits until all serve, and returns where; one that ends before is why the others wait.
fn wait_until_serving(children: &mut [Child]) -> Result<Vec<String>, Ended> {
    let until = Instant::now() + SERVING_WITHIN;
    loop {
        let mut addresses = Vec::new();
        for child in children.iter_mut() {
            addresses.extend(child.serving(SERVING_ASKED)?.map(str::to_owned));
        }
        if addresses.len() == children.len() {
            return Ok(addresses);
        }
        if Instant::now() >= until {
            let missing = children.len() - addresses.len();
            let why = format!("{missing} replicas do not serve after {SERVING_WITHIN:?}");
            return Err((why, Exit::Internal));
        }
    }
}

/// Writes the configurations and formats the data directories: one cluster, one secret.
fn format(
    sizing: &Sizing,
    domains: &DomainRegistry,
    allow_faults: bool,
) -> Result<Vec<(PathBuf, PathBuf)>, Ended> {
    let entropy = Entropy::draw();
    let entropy = entropy.map_err(|error| (format!("drawing random seeds: {error}"), Exit::Host))?;
    let mut files = Vec::new();
    if sizing.configs.len() > 1 {
        let path = sizing.secret_file();
        create_secret(&path).map_err(|error| (format!("{}: {error}", path.display()), Exit::Host))?;
    }
    for config in &sizing.configs {
        let path = sizing.directory.join(format!("replica-{}.toml", config.replica));
        let config = &Config { rehearsal: config::Rehearsal { allow_faults }, ..config.clone() };
        let text = toml::to_string(config).map_err(|error| (error.to_string(), Exit::Internal))?;
        fs::write(&path, &text).map_err(|error| (format!("{}: {error}", path.display()), Exit::Host))?;
        let file = ConfigFile::parse(&text, &path.display().to_string());
        let file = file.map_err(|error| (error.to_string(), Exit::Internal))?;
        let agreed = FormatArgs {
            replicas: sizing.configs.len() as u8,
            warden_capacity: sizing.warden_capacity,
            shards: Some(config.cores.shard_count() as u16),
            cluster: Some(entropy.cluster.0),
            routing_seed: Some(entropy.routing_seed),
            body_seed: Some(entropy.body_seed),
            ..FormatArgs::default()
        };
        boot::format(&file, &agreed, boot::NewDisk::First, domains)
            .map_err(|error| (error.to_string(), error.exit()))?;
        files.push((path, sizing.directory.join(format!("stages-{}.json", config.replica))));
    }
    Ok(files)
}

const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);
/// A replica that hangs is never level with the others.
const FOUND_OUT_WITHIN: Duration = Duration::from_secs(3);
const SERVING_WITHIN: Duration = Duration::from_secs(60);
const SERVING_ASKED: Duration = Duration::from_millis(20);
const LEADER_WITHIN: Duration = Duration::from_secs(5);
