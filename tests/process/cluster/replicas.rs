//! The data directories of a cluster, and its processes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use assize_tools::client::{Client, Options};
use tempfile::TempDir;

use crate::engine::{DEADLINE, Engine};
use crate::rng::Rng;
use crate::site::{LOOPBACK, Peers, Settings, Site, assize, free_ports, text};

/// Three formatted replicas of four shards.
pub struct Cluster {
    pub sites: Vec<Site>,
    pub secret: PathBuf,
    /// What all were formatted with.
    agreed: Vec<String>,
    _folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Each has a core map of its own.
    pub fn formatted() -> Cluster {
        Cluster::of(&Settings::small(), 16 << 10, |_| {})
    }

    /// The same with room for so many events, which one checkpoint covers.
    pub fn for_events(events: u64) -> Cluster {
        Cluster::of(&roomy(), keys_for(events), |_| {})
    }

    /// The same on disks that are made for its data directories.
    pub fn on_disks(events: u64, make: impl FnMut(&Path)) -> Cluster {
        Cluster::of(&roomy(), keys_for(events), make)
    }

    /// With these settings, as far as they are not those of each replica.
    pub fn of(settings: &Settings, warden_capacity: u64, mut prepare: impl FnMut(&Path)) -> Cluster {
        let alone = one_cluster_at_a_time();
        let folder = tempfile::Builder::new()
            .prefix("cluster-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory for the secret");
        let secret = folder.path().join("secret");
        make_secret(&secret);
        let listen: Vec<u16> = (0..REPLICAS).map(|_| free_ports(PORTS)).collect();
        let sites = CORE_MAPS.into_iter().enumerate().map(|(replica, (cores, control_apart))| {
            let at = |port: &u16| format!("{LOOPBACK}:{port}");
            let peers = Peers {
                replica,
                listen: at(&listen[replica]),
                addresses: listen.iter().map(at).collect(),
                secret: secret.clone(),
            };
            let cores = cores.iter().map(|shards| shards.to_vec()).collect();
            let port = free_ports(PORTS);
            let site =
                Site::new(Settings { cores, control_apart, port, peers: Some(peers), ..settings.clone() });
            prepare(&site.data());
            site
        });
        let sites: Vec<Site> = sites.collect();
        let agreed = format!(
            "--cluster c1 --routing-seed 5 --body-seed 6 --replicas 3 --warden-capacity {warden_capacity} \
             --entity-capacity 4Ki"
        );
        let agreed = agreed.split_whitespace().map(str::to_owned).collect();
        let cluster = Cluster { sites, secret, agreed, _folder: folder, _alone: alone };
        (0..REPLICAS).for_each(|replica| cluster.format(replica, &[]));
        cluster
    }

    /// Formats a replica as all are, with these options beside.
    pub fn format(&self, replica: usize, options: &[&str]) {
        let agreed = self.agreed.iter().map(String::as_str);
        self.sites[replica].format(&agreed.chain(options.iter().copied()).collect::<Vec<_>>());
    }

    /// Where clients connect.
    pub fn addresses(&self) -> Vec<String> {
        self.sites.iter().map(Site::address).collect()
    }

    /// A client of whoever leads.
    pub fn client(&self) -> Client {
        let options = Options { connect_timeout: DEADLINE, call_timeout: DEADLINE, ..Options::default() };
        Client::connect(&self.addresses(), options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Who leads, as the client library finds it.
    pub fn leader(&self) -> usize {
        let (mut client, until) = (self.client(), Instant::now() + DEADLINE);
        loop {
            if let Some(leader) = client.leader() {
                return leader.0.into();
            }
            assert!(Instant::now() < until, "no replica leads for {DEADLINE:?}");
            client.poll(Duration::from_millis(5)).expect("polling sockets");
        }
    }
}

fn roomy() -> Settings {
    Settings { bytes_max: "4GiB", checkpoint_bytes: "1GiB", ..Settings::small() }
}

/// Of each shard: the load goes on for as long as a scenario takes, and keys are not spread evenly.
fn keys_for(events: u64) -> u64 {
    events / 2 + (512 << 10)
}

/// Clusters run one after the other. Two under load on one disk make each other wait for seconds, and then it is the
/// machine that is tested.
pub fn one_cluster_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn make_secret(path: &Path) {
    let made = assize().arg("secret").arg(path).output().expect("running assize");
    assert!(made.status.success(), "{}", text(&made));
}

/// The processes of a cluster, by replica; none where one is down.
pub struct Running<'a> {
    pub cluster: &'a Cluster,
    pub engines: Vec<Option<Engine>>,
}

impl<'a> Running<'a> {
    /// Starts all, and waits until all stand where the cluster does.
    pub fn start(cluster: &'a Cluster) -> Running<'a> {
        let mut running =
            Running { cluster, engines: cluster.sites.iter().map(|site| Some(site.spawn())).collect() };
        running.wait_until_serving();
        running
    }

    /// kill -9 of one.
    pub fn kill(&mut self, replica: usize) {
        self.engines[replica].take().expect("it runs").kill();
    }

    /// kill -9 of one that was just started: while it recovers, replays or catches up, or just after.
    pub fn kill_in_recovery(&mut self, replica: usize, rng: &mut Rng) {
        let engine = self.engine(replica);
        engine.wait_for_lines(rng.below(4));
        for _ in 0..rng.below(2_000) {
            thread::yield_now();
        }
        assert!(engine.is_running(), "replica {replica} does not start again:\n{}", engine.said());
        self.kill(replica);
    }

    /// Stops one in good order, and starts it again until it stands where the others do.
    pub fn restart(&mut self, replica: usize) {
        self.engines[replica].take().expect("it runs").stop();
        self.spawn(replica);
        self.wait_until_serving();
    }

    /// One has ended by itself.
    pub fn forget(&mut self, replica: usize) {
        let engine = self.engines[replica].take().expect("it ran");
        let (status, said) = engine.wait();
        println!("replica {replica} ended by itself, {status}:\n{said}");
    }

    /// Starts one that is down, and waits for nothing.
    pub fn spawn(&mut self, replica: usize) {
        assert!(self.engines[replica].is_none(), "replica {replica} runs");
        self.engines[replica] = Some(self.cluster.sites[replica].spawn());
    }

    /// Starts all that are down.
    pub fn spawn_all(&mut self) {
        let down: Vec<usize> = (0..REPLICAS).filter(|replica| self.engines[*replica].is_none()).collect();
        down.into_iter().for_each(|replica| self.spawn(replica));
    }

    /// Waits until each that runs stands where the cluster does.
    pub fn wait_until_serving(&mut self) {
        self.engines.iter_mut().flatten().for_each(Engine::wait_until_serving);
    }

    /// One that runs.
    pub fn engine(&mut self, replica: usize) -> &mut Engine {
        self.engines[replica].as_mut().expect("it runs")
    }

    /// Stops all in good order: each must tell the same state after the same slot. A follower that was stopped before
    /// it had executed everything is started again, with the others, until none was. Nobody may be loading them. What
    /// they tell is returned.
    pub fn settle(mut self) -> (u64, String) {
        let until = Instant::now() + 2 * DEADLINE;
        loop {
            self.engines.iter().flatten().for_each(Engine::terminate);
            let digests: Vec<(u64, String)> =
                self.engines.drain(..).flatten().map(Engine::wait_for_digest).collect();
            assert_eq!(digests.len(), REPLICAS, "somebody was not running");
            let (slot, digest) = &digests[0];
            if digests.iter().all(|(other, _)| other == slot) {
                assert!(digests.iter().all(|(_, other)| other == digest), "states differ: {digests:?}");
                return digests[0].clone();
            }
            assert!(Instant::now() < until, "they do not come to the same slot: {digests:?}");
            self = Running::start(self.cluster);
        }
    }
}

/// How many replicas there are.
pub const REPLICAS: usize = CORE_MAPS.len();

/// For each replica the shards of its cores, and whether its control thread is one of its own.
const CORE_MAPS: [(&[&[u16]], bool); 3] =
    [(&[&[0, 1, 2, 3]], true), (&[&[0, 1], &[2, 3]], false), (&[&[3, 1], &[0, 2]], true)];

/// Of each replica, for clients and for peers: its cores and the control thread.
pub const PORTS: u16 = 4;
