//! The command line of `assizectl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit;

/// Asks a running cluster, looks into a stopped replica's directory, which it never writes to, or formats an empty one
/// for a replica whose disk was lost.
#[derive(Clone, Debug, Parser)]
#[command(name = "assizectl", version, arg_required_else_help = true, after_help = exit::TABLE)]
pub struct Cli {
    /// Answer programs: one JSON document to a line
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Ask all replicas how they are
    Status(StatusCommand),
    /// Submit events, each once however often this is repeated under its key
    Submit(SubmitCommand),
    /// Read an entity's state
    Get(GetCommand),
    /// Follow what is published
    Tail(TailCommand),
    /// Have another replica lead: the one that is named, or the first that could
    TransferLeadership(TransferLeadershipCommand),
    /// Latencies of each stage, as the replica that leads measured them
    Latency(LatencyCommand),
    /// A stopped replica's logs: their records, and whether all of them are whole
    Wal(WalCommand),
    /// A stopped replica's active checkpoint, and whether it is what its digests say
    Checkpoint(CheckpointCommand),
    /// Evaluate a stopped replica's slots again, and tell what the states are after one
    Replay(ReplayCommand),
    /// Every event that changed an entity, with its state before and after
    History(HistoryCommand),
    /// What a stopped replica's entities come to: equal on all replicas at the same slot
    Digest(DigestCommand),
    /// What a cluster agreed on, as the options of `assize format` that mean it: by a replica's directory
    Agreed(AgreedCommand),
    /// Format an empty disk for a replica whose disk was lost, so that it comes back when it is started
    Rejoin(RejoinCommand),
    /// Which replicas computed something else than the others, and what an operator was told of it
    Divergence(DivergenceCommand),
    /// Copies of a running replica that a cluster can begin from again
    Backup(BackupCommand),
    /// Make a replica of a new cluster from a backup
    Restore(RestoreCommand),
    /// Print completions for a shell
    Completions(CompletionsCommand),
}

/// Which cluster is asked.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// Where replicas are asked by HTTP, one or more; the first that answers is enough
    #[arg(long, value_name = "HOST:PORT,...", default_value = "localhost:7600", value_delimiter = ',')]
    pub http: Vec<String>,

    /// How long each of them may leave unanswered what it knows by itself, before the next one is asked
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
}

/// `assizectl status`.
#[derive(Clone, Debug, Args)]
pub struct StatusCommand {
    /// Which cluster.
    #[command(flatten)]
    pub at: Where,

    /// Ask again and again, until interrupted: every second, or as often as is said
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    pub watch: Option<Duration>,
}

/// `assizectl submit`.
#[derive(Clone, Debug, Args)]
pub struct SubmitCommand {
    /// Which cluster.
    #[command(flatten)]
    pub at: Where,

    /// An event or an array of events as POST /v1/events takes them, or an event a line; - reads standard input
    #[arg(value_name = "FILE|JSON|-")]
    pub events: String,

    /// The idempotency key of an event that is given alone and has none
    #[arg(long, value_name = "TEXT")]
    pub key: Option<String>,

    /// Return once the events are taken in, before anything became of them
    #[arg(long)]
    pub accepted: bool,
}

/// `assizectl get`.
#[derive(Clone, Debug, Args)]
pub struct GetCommand {
    /// Which cluster.
    #[command(flatten)]
    pub at: Where,

    /// The domain's name or number
    #[arg(value_name = "DOMAIN")]
    pub domain: String,

    /// The entity's name, such as item:1:1001, or its id in hexadecimal
    #[arg(value_name = "ENTITY")]
    pub entity: String,

    /// How it is read
    #[arg(long, value_enum, default_value = "linearizable")]
    pub consistency: Consistency,
}

/// How a state is read (C8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consistency {
    /// Of the leader: every event that was answered before is seen
    Linearizable,
    /// Of the replica that is asked, as of a slot that it has published
    Local,
    /// By an event in the log, whose outcome enough replicas computed alike
    Verified,
}

/// `assizectl tail`.
#[derive(Clone, Debug, Args)]
pub struct TailCommand {
    /// Which cluster.
    #[command(flatten)]
    pub at: Where,

    /// Behind which place: SLOT.SHARD.INDEX, SLOT, oldest or now
    #[arg(long, value_name = "PLACE", default_value = "now")]
    pub from: String,

    /// End after so many outcomes
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// End at what is published by now
    #[arg(long)]
    pub no_follow: bool,
}

/// `assizectl transfer-leadership`.
#[derive(Clone, Debug, Args)]
pub struct TransferLeadershipCommand {
    /// Which cluster.
    #[command(flatten)]
    pub at: Where,

    /// The replica that is to lead [default: the first that could and has everything]
    #[arg(long, value_name = "REPLICA", value_parser = replica)]
    pub to: Option<u8>,
}

/// `assizectl latency`.
#[derive(Clone, Debug, Args)]
pub struct LatencyCommand {
    /// Which cluster.
    #[command(flatten)]
    pub at: Where,

    /// Write the distribution of each stage as HdrHistogram's tools read it: DIR/STAGE.hgrm
    #[arg(long, value_name = "DIR")]
    pub hgrm: Option<PathBuf>,

    /// Of what happens within so many seconds from now, instead of since the replica's start
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub over: Option<Duration>,
}

/// Which stopped replica is looked into.
#[derive(Clone, Debug, Args)]
pub struct Data {
    /// The data directory of a replica that does not run
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `assizectl wal`.
#[derive(Clone, Debug, Args)]
pub struct WalCommand {
    /// What about them.
    #[command(subcommand)]
    pub what: Wal,
}

/// What about the logs.
#[derive(Clone, Debug, Subcommand)]
pub enum Wal {
    /// List every whole record
    Dump {
        /// Which replica.
        #[command(flatten)]
        at: Data,
        /// Of this log alone
        #[arg(long, value_name = "N")]
        log: Option<u16>,
    },
    /// Read all logs as a start would, and say what it would make of them
    Verify {
        /// Which replica.
        #[command(flatten)]
        at: Data,
    },
}

/// `assizectl checkpoint`.
#[derive(Clone, Debug, Args)]
pub struct CheckpointCommand {
    /// What about it.
    #[command(subcommand)]
    pub what: Checkpoint,
}

/// What about the checkpoint.
#[derive(Clone, Debug, Subcommand)]
pub enum Checkpoint {
    /// Tell what it holds, shard by shard
    List(Data),
    /// Read every entity and key of it and compare them with its digests
    Verify(Data),
}

/// `assizectl replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayCommand {
    /// Which replica.
    #[command(flatten)]
    pub at: Data,

    /// Through this slot [default: the last that is known to be chosen]
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub to: Option<u64>,

    /// Tell an entity's state there, too: its domain and its name
    #[arg(long, value_name = "DOMAIN/ENTITY")]
    pub entity: Vec<String>,
}

/// `assizectl history`.
#[derive(Clone, Debug, Args)]
pub struct HistoryCommand {
    /// Which replica.
    #[command(flatten)]
    pub at: Data,

    /// Its domain and its name, such as inventory/item:1:1001
    #[arg(value_name = "DOMAIN/ENTITY")]
    pub entity: String,

    /// Through this slot [default: the last that is known to be chosen]
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub to: Option<u64>,
}

/// `assizectl digest`.
#[derive(Clone, Debug, Args)]
pub struct DigestCommand {
    /// Which replica.
    #[command(flatten)]
    pub at: Data,

    /// After this slot [default: the last that is known to be chosen]
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub to: Option<u64>,
}

/// `assizectl agreed`.
#[derive(Clone, Debug, Args)]
pub struct AgreedCommand {
    /// The data directory of any replica of the cluster, whether it runs or not
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `assizectl rejoin`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["from", "agreed"]))]
pub struct RejoinCommand {
    /// The configuration of the replica that comes back, with the number that it had; its data directory holds no
    /// replica, or is not there
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// What was agreed is taken from the data directory of another replica, which may run
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,

    /// What was agreed is taken from a file that `assizectl agreed --json` wrote
    #[arg(long, value_name = "FILE")]
    pub agreed: Option<PathBuf>,

    /// Where the other replicas are asked by HTTP first: of which cluster they are, and whether the replica is gone
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub http: Vec<String>,

    /// Then wait until it was started, has its vote, and stands where the others do
    #[arg(long, requires = "http")]
    pub watch: bool,
}

/// `assizectl divergence`.
#[derive(Clone, Debug, Args)]
pub struct DivergenceCommand {
    /// What about it.
    #[command(subcommand)]
    pub what: Divergence,
}

/// What about a divergence.
#[derive(Clone, Debug, Subcommand)]
pub enum Divergence {
    /// Tell whether there is one: of a running cluster, or of a stopped replica
    Show {
        /// Which cluster.
        #[command(flatten)]
        at: Where,
        /// The data directory of a replica that does not run, instead of a cluster
        #[arg(long, value_name = "DIR", conflicts_with = "http")]
        data: Option<PathBuf>,
    },
}

/// `assizectl backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupCommand {
    /// What about backups.
    #[command(subcommand)]
    pub what: Backup,
}

/// What about backups.
#[derive(Clone, Debug, Subcommand)]
pub enum Backup {
    /// Copy the directory of a replica, running or not, evaluate the copy and keep it
    Take(BackupTake),
    /// List the backups of a folder
    List(BackupList),
}

/// `assizectl backup take`.
#[derive(Clone, Debug, Args)]
pub struct BackupTake {
    /// The folder that backups of this cluster are kept in
    #[arg(value_name = "BACKUPS")]
    pub backups: PathBuf,

    /// The replica's data directory
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `assizectl backup list`.
#[derive(Clone, Debug, Args)]
pub struct BackupList {
    /// The folder
    #[arg(value_name = "BACKUPS")]
    pub backups: PathBuf,
}

/// `assizectl restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreCommand {
    /// A backup, or a folder of them
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,

    /// The data directory to be made
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Which replica it becomes
    #[arg(long, value_name = "N")]
    pub replica: u8,

    /// The new cluster's id, as restoring its first replica told it, 32 hexadecimal digits [default: drawn at random]
    #[arg(long, value_name = "HEX", value_parser = cluster_id)]
    pub cluster: Option<u128>,

    /// With everything through this slot, and nothing after it [default: the last of the last backup]
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub to: Option<u64>,
}

/// `assizectl completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsCommand {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

fn cluster_id(text: &str) -> Result<u128, String> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    id.ok_or_else(|| "accepted are 32 hexadecimal digits".to_owned())
}

fn replica(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| "accepted is a replica's number, such as 2".to_owned())
}

fn slot(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "accepted is the number of a slot, such as 4711".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let accepted = || "accepted are seconds from 0.1 to 86400".to_owned();
    let seconds: f64 = text.parse().map_err(|_| accepted())?;
    if (0.1..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(accepted()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_description_of_the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_no_number_is_answered_with_what_is_accepted() {
        let refused = |arguments: &[&str]| Cli::try_parse_from(arguments).expect_err("refused").to_string();
        let said = refused(&["assizectl", "transfer-leadership", "--to", "x"]);
        assert!(said.contains("accepted is a replica's number"), "{said}");
        let said = refused(&["assizectl", "replay", "--data", "d", "--to", "x"]);
        assert!(said.contains("accepted is the number of a slot"), "{said}");
        let said = refused(&["assizectl", "status", "--timeout", "x"]);
        assert!(said.contains("accepted are seconds"), "{said}");
    }

    #[test]
    fn a_watch_may_say_how_often() {
        let watch = |arguments: &[&str]| match Cli::parse_from(arguments).command {
            Command::Status(command) => command.watch,
            other => panic!("{other:?}"),
        };
        assert_eq!(watch(&["assizectl", "status"]), None);
        assert_eq!(watch(&["assizectl", "status", "--watch"]), Some(Duration::from_secs(1)));
        assert_eq!(watch(&["assizectl", "status", "--watch", "0.5"]), Some(Duration::from_millis(500)));
        assert!(Cli::try_parse_from(["assizectl", "status", "--watch", "0"]).is_err());
    }
}
