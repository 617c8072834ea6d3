//! The command line of `assize`.

use crate::config::{self, FormatArgs};
use crate::exit;
use assize_shards::Rehearsal;
use assize_wire::Slot;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Version and commit, as `--version` prints them.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("ASSIZE_COMMIT"), ")");

/// Events that one request may carry; the wire protocol's bound.
const BATCH_MAX: i64 = assize_wire::limits::STRIPE_EVENTS_MAX as i64;
/// Of a demo's request, where nothing is said of it.
const BATCH: u32 = 1024;
/// Of a demo at a rate, where nothing is said of the events in each.
const REQUESTS_PER_S: u64 = 100;

/// An event engine for state that must never be wrong.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "assize", version = VERSION, arg_required_else_help = true, after_help = exit::TABLE)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Prepare a replica's data directory and fix the agreed parameters
    Format(FormatCommand),
    /// Have a replica's state replaced by that of the others: of one that is quarantined, or lost what it evaluated
    Rebuild(RebuildCommand),
    /// Run a replica until SIGTERM
    Serve(ServeCommand),
    /// Format, serve and load a cluster in one go, check its books, report latencies
    Demo(DemoCommand),
    /// Check this host: what would keep a replica from serving, or slow it down, and what mends it
    Doctor(DoctorCommand),
    /// Print a commented configuration
    Config(ConfigCommand),
    /// Draw the secret that the replicas of a cluster share
    Secret(SecretCommand),
}

/// `assize format`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct FormatCommand {
    /// The replica's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// The replica's disk was lost, and this is the next one: without a vote until the other replicas have told it
    /// what it may have promised and accepted. Takes what the first format printed for the other replicas
    #[arg(long)]
    pub rejoin: bool,

    /// What all replicas agree on.
    #[command(flatten)]
    pub agreed: FormatArgs,
}

/// `assize rebuild`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct RebuildCommand {
    /// The replica's configuration. It must not be running
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// `assize serve`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ServeCommand {
    /// The replica's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Write the latencies of each stage to this file at the end, as JSON
    #[arg(long, value_name = "FILE")]
    pub stages: Option<PathBuf>,

    /// Commit a fault at a slot, to see what the cluster makes of it: wrong-outcome@SLOT, flip-bit@SLOT or stall@SLOT.
    /// Refused unless the configuration has rehearsal.allow_faults
    #[arg(long, value_name = "FAULT@SLOT", value_parser = fault)]
    pub fault: Option<Rehearsal>,

    /// Stop, as on SIGTERM, when standard input closes: for a process that must not outlive the one that started it
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// `assize demo`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct DemoCommand {
    /// Replicas, each a process of its own: 1, 3 or 5
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = replicas)]
    pub replicas: u8,

    /// Kill a replica (kill -9) in the middle of the load, and start it again a second later
    #[arg(long, value_enum, value_name = "WHICH")]
    pub kill: Option<Kill>,

    /// Let the last replica commit a fault at a slot, as `assize serve --fault` does: it is found out and quarantined,
    /// and the others go on
    #[arg(long, value_name = "FAULT@SLOT", value_parser = fault, conflicts_with = "kill")]
    pub fault: Option<Rehearsal>,

    /// Shards of each replica [default: chosen for this host]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,

    /// How long to apply load, or without a workload to serve [default: 10; without a workload until it is stopped]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,

    /// Events per second, open loop, or "max": closed loop, each connection sends when it is answered
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub rate: Rate,

    /// Events of one request [default: 1024; at a rate less, for a hundred requests a second]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=BATCH_MAX))]
    pub batch: Option<u32>,

    /// Client connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,

    /// Whose events are sent [default: inventory; none of a program without that domain]
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub workload: Option<DemoWorkload>,

    /// Zipf exponent of the choice of entities; 0 chooses uniformly
    #[arg(long, value_name = "EXPONENT", default_value_t = 0.0, value_parser = skew)]
    pub skew: f64,

    /// Share of events that are sent again on purpose under the same key
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub duplicates: u8,

    /// Write the result as one JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// The port on which replica 0 serves HTTP; the others take the next ones [default: free ones]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=i64::from(u16::MAX) - 4))]
    pub http: Option<u16>,

    /// Where to put the data directories [default: a directory of its own on a disk]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Keep the data directories afterwards
    #[arg(long)]
    pub keep: bool,
}

impl DemoCommand {
    /// Events of one request: at a rate not so many that hardly any request is left.
    pub(crate) fn batch(&self) -> u32 {
        let of_rate = match self.rate {
            Rate::Max => BATCH,
            Rate::PerSecond(rate) => (rate / REQUESTS_PER_S).clamp(1, BATCH.into()) as u32,
        };
        self.batch.unwrap_or(of_rate)
    }
}

/// `assize doctor`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct DoctorCommand {
    /// Check the data directory and the cores of this configuration
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    pub config: Option<PathBuf>,

    /// Check this directory's filesystem and disk [default: the working directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Print the findings as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `assize config`.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(arg_required_else_help = true)]
pub struct ConfigCommand {
    /// Print every key with its default and what it does
    #[arg(long)]
    pub example: bool,
}

/// `assize secret`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct SecretCommand {
    /// The file to make, readable by its owner only; one that is there is left alone. Copy it to every replica
    pub file: PathBuf,
}

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Closed loop: as fast as answers come.
    Max,
    /// Open loop: this many events a second, whether answered or not.
    PerSecond(u64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        match text {
            "max" => Ok(Rate::Max),
            _ => match config::count(text) {
                Ok(0) | Err(_) => Err(format!(
                    "found \"{text}\", accepted is \"max\" or events per second such as 10000 or 10k"
                )),
                Ok(rate) => Ok(Rate::PerSecond(rate)),
            },
        }
    }
}

/// Whose events the demo sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoWorkload {
    /// Stock that is moved
    Inventory,
    /// Devices that report and take commands
    Telemetry,
    /// Both, one event in two
    Both,
    /// Nobody's: the replicas serve until they are stopped, and say where events can be submitted
    None,
}

/// Which replica the demo kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kill {
    /// The one that leads.
    Leader,
    /// One that does not.
    Follower,
}

/// A fault and the slot at which it is committed.
fn fault(text: &str) -> Result<Rehearsal, String> {
    let parsed = text.split_once('@').and_then(|(fault, slot)| {
        let slot = Slot(config::count(slot).ok()?);
        match fault {
            "wrong-outcome" => Some(Rehearsal::WrongOutcome(slot)),
            "flip-bit" => Some(Rehearsal::FlipBit(slot)),
            "stall" => Some(Rehearsal::Stall(slot)),
            _ => None,
        }
    });
    parsed.ok_or_else(|| "accepted are wrong-outcome@SLOT, flip-bit@SLOT and stall@SLOT".to_owned())
}

fn replicas(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(count @ (1 | 3 | 5)) => Ok(count),
        _ => Err("accepted are 1, 3 and 5".to_owned()),
    }
}

fn skew(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // As the load generator takes it.
        _ if text == "uniform" => Ok(0.0),
        Ok(exponent) if (0.0..=5.0).contains(&exponent) => Ok(exponent),
        _ => {
            Err("accepted are uniform and an exponent from 0, which is the same, to 5; 0.99 is usual"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
    }

    fn demo(line: &str) -> DemoCommand {
        match parse(line) {
            Ok(Command::Demo(demo)) => demo,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_bare_command_and_help_print_help_with_the_exit_codes() {
        let kind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        assert_eq!(parse("assize").unwrap_err().kind(), kind);
        let help = parse("assize --help").unwrap_err();
        assert!(help.to_string().contains("books not balanced"), "{help}");
    }

    #[test]
    fn the_version_names_the_commit() {
        let version = parse("assize --version").unwrap_err();
        assert_eq!(version.kind(), ErrorKind::DisplayVersion);
        assert!(version.to_string().contains("commit "), "{version}");
    }

    #[test]
    fn demo_has_all_its_options() {
        let given = demo(
            "assize demo --replicas 3 --shards 2 --seconds 5 --rate 10k --batch 1 --connections 64 --skew 0.99 \
             --duplicates 5 --json out.json --dir /d --keep --kill leader",
        );
        assert_eq!((given.replicas, given.shards, given.seconds), (3, Some(2), Some(5)));
        assert_eq!((given.rate, given.batch(), given.connections), (Rate::PerSecond(10_000), 1, 64));
        assert_eq!((given.skew, given.duplicates, given.keep), (0.99, 5, true));
        assert_eq!(given.kill, Some(Kill::Leader));
        let batch = |rate| demo(&format!("assize demo --rate {rate}")).batch();
        assert_eq!((batch("max"), batch("1"), batch("5k"), batch("1M")), (1024, 1, 50, 1024));
        let default = demo("assize demo");
        assert_eq!((default.rate, default.replicas, default.kill), (Rate::Max, 3, None));
    }

    #[test]
    fn a_fault_names_its_slot() {
        let fault = |fault: &str| match parse(&format!("assize serve --config a --fault {fault}")) {
            Ok(Command::Serve(serve)) => serve.fault,
            _ => None,
        };
        assert_eq!(fault("wrong-outcome@100"), Some(Rehearsal::WrongOutcome(Slot(100))));
        assert_eq!(fault("flip-bit@1k"), Some(Rehearsal::FlipBit(Slot(1000))));
        assert_eq!(fault("stall@0"), Some(Rehearsal::Stall(Slot(0))));
        for refused in ["stall", "stall@", "stall@x", "fire@3", "@3"] {
            assert_eq!(fault(refused), None, "{refused}");
        }
    }

    #[test]
    fn values_out_of_bounds_are_usage_errors() {
        for options in [
            "--replicas 2",
            "--replicas 6",
            "--kill nobody",
            "--batch 8191",
            "--batch 0",
            "--rate 0",
            "--rate fast",
            "--skew -1",
            "--skew NaN",
            "--seconds 0",
        ] {
            assert_eq!(parse(&format!("assize demo {options}")).unwrap_err().exit_code(), 2, "{options}");
        }
        assert!(parse("assize serve").is_err());
        assert!(parse("assize doctor --config a --dir b").is_err());
        assert!(parse("assize config").is_err());
    }

    #[test]
    fn a_rejoining_disk_is_asked_for_by_name() {
        let rejoins = |line: &str| match parse(line) {
            Ok(Command::Format(format)) => format.rejoin,
            other => panic!("{other:?}"),
        };
        assert!(!rejoins("assize format --config r0.toml"));
        assert!(rejoins("assize format --config r0.toml --rejoin --replicas 3"));
    }

    #[test]
    fn format_takes_the_agreed_parameters() {
        let Ok(Command::Format(format)) = parse("assize format --config r0.toml --shards 4 --warden-ttl 1h")
        else {
            panic!("format refused");
        };
        assert_eq!((format.agreed.shards, format.agreed.warden_ttl), (Some(4), 3_600_000_000_000));
    }
}
