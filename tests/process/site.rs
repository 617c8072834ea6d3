//! A data directory on a disk, the configuration file beside it, and the commands that are run on them.

use std::cell::Cell;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::engine::Engine;

/// What a configuration says; everything else is the same in all tests.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shards of each core.
    pub cores: Vec<Vec<u16>>,
    /// Whether the control thread is one of its own.
    pub control_apart: bool,
    /// Where clients connect, and the first core's port; 0 takes a free one at each start.
    pub host: String,
    pub port: u16,
    /// Where it is asked by HTTP; 0 takes a free port at each start.
    pub http_port: u16,
    pub segment_bytes: &'static str,
    pub bytes_max: &'static str,
    pub checkpoint_bytes: &'static str,
    pub segments_ahead: u32,
    pub connections_max: u32,
    pub credit_events: u32,
    /// The network namespace that it lives in, if not everybody's.
    pub network: Option<String>,
    /// Its place among others; none in a cluster of one.
    pub peers: Option<Peers>,
    /// Whether it may be wrong on purpose.
    pub allow_faults: bool,
    /// Lines of its section of that name.
    pub http: String,
}

/// A replica's place among others.
#[derive(Clone, Debug)]
pub struct Peers {
    pub replica: usize,
    /// Where its first core listens for peers.
    pub listen: String,
    /// Of each replica where this one reaches its first core.
    pub addresses: Vec<String>,
    pub secret: PathBuf,
}

impl Settings {
    /// One shard on a port of the system's choice.
    pub fn small() -> Settings {
        Settings {
            cores: vec![vec![0]],
            control_apart: false,
            host: LOOPBACK.to_owned(),
            port: 0,
            http_port: 0,
            segment_bytes: "4MiB",
            bytes_max: "1GiB",
            checkpoint_bytes: "4MiB",
            segments_ahead: 3,
            connections_max: 64,
            credit_events: 32_760,
            network: None,
            peers: None,
            allow_faults: false,
            http: String::new(),
        }
    }

    /// On ports that stay the same through restarts.
    pub fn on_fixed_ports(cores: Vec<Vec<u16>>) -> Settings {
        // The control thread may have a port, too.
        let port = free_ports(cores.len() as u16 + 1);
        Settings { cores, port, ..Settings::small() }
    }

    /// The same with the smallest segments there are, and a checkpoint after each of them.
    pub fn with_checkpoints(cores: Vec<Vec<u16>>) -> Settings {
        let (segment_bytes, checkpoint_bytes) = ("1MiB", "1MiB");
        Settings { segment_bytes, checkpoint_bytes, ..Settings::on_fixed_ports(cores) }
    }

    /// The same two shards on four core maps: two cores, one, two that have changed places, one and the control apart.
    pub fn on_each_core_map() -> [Settings; 4] {
        let widest = Settings::with_checkpoints(vec![vec![0], vec![1]]);
        let on = |cores, control_apart| Settings { cores, control_apart, ..widest.clone() };
        [
            widest.clone(),
            on(vec![vec![0, 1]], false),
            on(vec![vec![1], vec![0]], false),
            on(vec![vec![1, 0]], true),
        ]
    }
}

/// A replica's place on the disk. Removed in the end.
pub struct Site {
    folder: TempDir,
    pub settings: Settings,
    /// Whether it is started with the program that has the next version of the inventory's logic.
    pub next_logic: Cell<bool>,
}

impl Site {
    /// An empty one.
    pub fn new(settings: Settings) -> Site {
        let folder = tempfile::Builder::new()
            .prefix("process-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory for test data");
        Site { folder, settings, next_logic: Cell::new(false) }
    }

    /// One that is formatted with small tables.
    pub fn formatted(settings: Settings) -> Site {
        let site = Site::new(settings);
        site.format(&["--warden-capacity", "256Ki", "--entity-capacity", "16Ki"]);
        site
    }

    /// Formats it, which must work.
    pub fn format(&self, options: &[&str]) {
        let output = self.run("format", options);
        assert!(output.status.success(), "format: {}", text(&output));
    }

    /// Runs a command of `assize` with this site's configuration to its end.
    pub fn run(&self, command: &str, options: &[&str]) -> Output {
        self.command(command).args(options).output().expect("running assize")
    }

    /// Starts the engine and waits until it serves.
    pub fn start(&self) -> Engine {
        Engine::start(self.command("serve"))
    }

    /// Starts the engine and waits for nothing.
    pub fn spawn(&self) -> Engine {
        Engine::spawn(self.command("serve"))
    }

    /// A command of `assize` with this site's configuration.
    pub fn command(&self, command: &str) -> Command {
        std::fs::write(self.config(), self.config_text()).expect("writing the configuration");
        let program = match self.next_logic.get() {
            true => program_with_next_logic(),
            false => PathBuf::from(env!("CARGO_BIN_EXE_assize")),
        };
        let mut line = run_in(self.settings.network.as_deref(), &program);
        line.arg(command).arg("--config").arg(self.config());
        line
    }

    /// Where clients connect, if the port is a fixed one.
    pub fn address(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("replica.toml")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The configuration's text.
    pub fn config_text(&self) -> String {
        let Settings {
            cores,
            control_apart,
            host,
            port,
            http_port,
            segment_bytes,
            bytes_max,
            checkpoint_bytes,
            segments_ahead,
            connections_max,
            credit_events,
            network: _,
            peers,
            allow_faults,
            http,
        } = &self.settings;
        let assignments: Vec<String> = cores
            .iter()
            .enumerate()
            .map(|(cpu, shards)| format!("{{ cpu = {cpu}, shards = {shards:?} }}"))
            .collect();
        let control = if *control_apart { "control = 99\n" } else { "" };
        let logic = if self.next_logic.get() { "[logic]\ninventory = 2\n" } else { "" };
        let replica =
            peers.as_ref().map_or_else(String::new, |peers| format!("replica = {}\n", peers.replica));
        let (listen, federation) = peers.as_ref().map_or_else(Default::default, Peers::config_text);
        format!(
            "{replica}data_directory = {data:?}\n\
             [cores]\nassignments = [{assignments}]\npin = false\n{control}\
             [listen]\nclient = \"{host}:{port}\"\nhttp = \"{host}:{http_port}\"\n{listen}{federation}\
             [limits]\nstripe_bytes = \"128KiB\"\nstripe_events = 512\nwindow = 4\n\
             connections_max = {connections_max}\ncredit_events = {credit_events}\n\
             [log]\nsegment_bytes = {segment_bytes:?}\nbytes_max = {bytes_max:?}\nsegments_ahead = {segments_ahead}\n\
             checkpoint_bytes = {checkpoint_bytes:?}\n\
             [rehearsal]\nallow_faults = {allow_faults}\n{logic}[http]\n{http}\n",
            data = self.data(),
            assignments = assignments.join(", "),
        )
    }
}

impl Peers {
    /// Its line of `[listen]`, and its section.
    fn config_text(&self) -> (String, String) {
        (
            format!("federation = {:?}\n", self.listen),
            format!("[federation]\nreplicas = {:?}\nsecret_file = {:?}\n", self.addresses, self.secret),
        )
    }
}

/// Where everything listens that needs no network of its own.
pub const LOOPBACK: &str = "127.0.0.1";

/// The binary under test.
pub fn assize() -> Command {
    run_in(None, Path::new(env!("CARGO_BIN_EXE_assize")))
}

/// The same in a network namespace, which does not change whose child it is.
fn run_in(network: Option<&str>, binary: &Path) -> Command {
    let mut command = match network {
        Some(network) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", network]).arg(binary);
            command
        }
        None => Command::new(binary),
    };
    // What it says is read here, not looked at.
    command.env_remove("ASSIZE_LOG").env_remove("NO_COLOR");
    command
}

/// The example that has the next version of the inventory's logic.
pub fn program_with_next_logic() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    built(&BUILT, ["assize", "--example", "inventory_next"], "examples/inventory_next")
}

/// `assizectl`, to be run.
pub fn assizectl() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Command::new(built(&BUILT, ["assize-ctl", "--bin", "assizectl"], "assizectl"))
}

/// `assize-load`, to be run.
pub fn assize_load() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Command::new(built(&BUILT, ["assize-tools", "--bin", "assize-load"], "assize-load"))
}

/// Builds what a test of the engine does not build by itself, once; `path` is where it then lies.
fn built(once: &OnceLock<PathBuf>, what: [&str; 3], path: &str) -> PathBuf {
    let build = || {
        let assize = Path::new(env!("CARGO_BIN_EXE_assize"));
        let built = assize.parent().expect("programs lie in a folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package"]).args(what);
        cargo.arg("--target-dir").arg(built.parent().expect("one for each profile"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("running cargo");
        assert!(status.success(), "building {what:?}: {status}");
        built.join(path)
    };
    once.get_or_init(build).clone()
}

/// Both outputs and how it ended, for messages.
pub fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The first of `count` neighbouring ports on which nothing listens, and which no other test takes. Below the ports
/// that the system gives to outgoing connections, since a client that tries again while the engine is down would else
/// connect to itself; and below those that a demo takes.
pub fn free_ports(count: u16) -> u16 {
    static BLOCK: Mutex<Option<PortBlock>> = Mutex::new(None);
    let mut block = BLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let first = block.as_mut().and_then(|block| block.take(count));
        let Some(first) = first else {
            *block = Some(PortBlock::claim());
            continue;
        };
        let listeners: Result<Vec<_>, _> =
            (first..first + count).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if listeners.is_ok() {
            return first;
        }
    }
}

/// Neighbouring ports that belong to this process for as long as it lives. A replica that is down for a while listens
/// nowhere, so that its ports look free to tests of another run on the same machine.
struct PortBlock {
    next: u16,
    end: u16,
    _claim: File,
}

impl PortBlock {
    fn claim() -> PortBlock {
        for first in (12_000..22_000).step_by(PORTS_OF_BLOCK.into()) {
            let path = std::env::temp_dir().join(format!("assize-test-ports-{first}"));
            let Ok(claim) = File::options().create(true).truncate(false).write(true).open(path) else {
                continue;
            };
            if claim.try_lock().is_ok() {
                // It stays locked until the process ends, whatever block comes next.
                let kept = claim.try_clone().expect("a second handle of the claim");
                std::mem::forget(kept);
                return PortBlock { next: first, end: first + PORTS_OF_BLOCK, _claim: claim };
            }
        }
        panic!("other processes have claimed all ports that tests may take");
    }

    fn take(&mut self, count: u16) -> Option<u16> {
        let first = self.next;
        self.next += count;
        (self.next <= self.end).then_some(first)
    }
}

const PORTS_OF_BLOCK: u16 = 100;
