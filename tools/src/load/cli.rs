//! The command line of `assize-load`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::day::DAY_EVENTS_MAX;
use super::error::PlanError;
use super::flags::{LoadFlags, seconds};
use super::replay::{Order, ReplayPlan, Speed};

/// Drives an Assize engine with events of its bundled domains, measures, and checks the books
#[derive(Clone, Debug, Parser)]
#[command(name = "assize-load", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of a load.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The load.
    #[command(flatten)]
    pub load: LoadCommand,
}

/// What to do instead of a load.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Put two reports side by side: what was found, every percentile, and what the set-ups do not have in common
    Compare(CompareCommand),
    /// Replay a file of events against a cluster, and hold what becomes of them against what their lines expect
    Replay(ReplayCommand),
    /// Write a retailer's day to the standard output, as a file for `replay`: the same for the same numbers
    SampleDay(SampleDayCommand),
}

/// `assize-load` without a command.
#[derive(Args, Clone, Debug)]
pub struct LoadCommand {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// What load.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputFlags,
}

/// `assize-load compare`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct CompareCommand {
    /// A report, as --json writes it
    #[arg(value_name = "A.json")]
    pub a: PathBuf,
    /// The report that is held against it: ratios are its numbers divided by A's
    #[arg(value_name = "B.json")]
    pub b: PathBuf,
    /// Write both latency curves here, in one plot, as SVG; `-` is the standard output, and then the only thing there
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// `assize-load replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct ReplayCommand {
    /// The events, a JSON object a line; `-` is the standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// How many times faster than recorded, in open loop; 0 or `max` is as fast as answers come, in closed loop
    #[arg(long, default_value = "1", value_name = "TIMES|max")]
    pub speed: Speed,
    /// In which order lines are sent
    #[arg(long, value_enum, default_value_t = Order::Entities)]
    pub order: Order,
    /// The file was replayed before: every event that has a key must be a duplicate of what its line expects
    #[arg(long)]
    pub again: bool,
    /// Events in one request at most, 1 to 8190: those that may be sent to one shard at the same time
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub batch: usize,
    /// Connections, spread over the shards
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub connections: usize,
    /// Requests under way on one connection [default: 1 in closed loop, else 1024]
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Seconds that what is unanswered may take
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub drain: f64,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputFlags,
}

impl ReplayCommand {
    /// The plan that it makes.
    ///
    /// # Errors
    /// [`PlanError`] names the value and what is accepted.
    pub fn plan(&self) -> Result<ReplayPlan, PlanError> {
        let mut plan = ReplayPlan::new(self.cluster.addresses.clone());
        plan.speed = self.speed;
        plan.order = self.order;
        plan.again = self.again;
        plan.batch = self.batch;
        plan.connections = self.connections;
        plan.depth = self.depth;
        plan.drain_limit = seconds("drain", self.drain)?;
        plan.check()?;
        Ok(plan)
    }
}

/// `assize-load sample-day`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct SampleDayCommand {
    /// Lines of the file
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(DAY_EVENTS_MAX)))]
    pub events: u32,
    /// Seed of all that is drawn; a day of another seed, or of another length, has other items and other keys
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
}

/// Which cluster.
#[derive(Args, Clone, Debug)]
pub struct ClusterArguments {
    /// Where the replicas of a cluster listen, host:port, one or more; the leader is found among them
    #[arg(default_value = "localhost:7400", value_name = "ADDRESS,...", value_delimiter = ',', value_parser = address)]
    pub addresses: Vec<String>,
}

/// Where a report goes, besides the standard output.
#[derive(Args, Clone, Debug)]
pub struct OutputFlags {
    /// Write the JSON object here, for programs and for `compare`; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the percentile distribution here, as HdrHistogram's tools read it
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write the HdrHistogram interval log here
    #[arg(long, value_name = "FILE")]
    pub interval_log: Option<PathBuf>,
    /// Write the latency plot here, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err(
            "accepted is HOST:PORT, such as localhost:7400, or a command that --help lists, before all else"
                .to_owned(),
        ),
    }
}

/// How the process ends, as `--help` lists it. Codes that `assize` or `assizectl` have mean the same here.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  done, and what was checked holds
   1  a run could not be brought to its end, or a file not be written; the message says why
   2  command line wrong, or a file that was given; the message says where, and what is accepted
   5  books not balanced: an answered event is missing or counted twice
  11  outcomes of a replay are not what their lines expect";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, String> {
        let words = format!("assize-load {line}");
        Cli::try_parse_from(words.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_load_needs_no_command_and_a_command_no_load() {
        let load = parsed("a:1,b:2 --seconds 5").unwrap();
        assert!(load.command.is_none());
        assert_eq!(load.load.cluster.addresses, ["a:1", "b:2"]);
        assert_eq!(load.load.load.seconds, 5.0);
        let Some(Command::Compare(compare)) = parsed("compare x.json y.json").unwrap().command else {
            panic!("a comparison")
        };
        assert_eq!((compare.a, compare.b, compare.svg), ("x.json".into(), "y.json".into(), None));
    }

    #[test]
    fn what_is_neither_an_address_nor_a_command_is_refused_in_words() {
        for (line, words) in [
            ("compair a b", "a command that --help lists"),
            ("localhost", "HOST:PORT"),
            ("compare a.json", "B.json"),
            ("--seconds 5 compare a b", "before all else"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
