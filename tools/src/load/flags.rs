//! The command line's flags, which `assize-load` and `assize demo` share, and the plan that they make.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::error::PlanError;
use super::plan::{LoadPlan, Mix, Rate, Skew};
use super::workload::Workload;

/// Flags that describe a load.
#[derive(Args, Clone, Debug)]
pub struct LoadFlags {
    /// Seconds to measure
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub seconds: f64,
    /// Seconds of load before measuring
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub warmup: f64,
    /// Events a second in open loop, or `max` for a closed loop
    #[arg(long, default_value = "max", value_name = "N|max", value_parser = parse_rate)]
    pub rate: Rate,
    /// Events in one request, 1 to 8190
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub batch: usize,
    /// Connections, spread over the shards
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub connections: usize,
    /// Requests under way on one connection [default: 1 in closed loop, 1024 at a rate]
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Threads that drive the connections
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub client_cores: usize,
    /// Cores to pin those threads to, as 2,3 [default: not pinned]
    #[arg(long, value_delimiter = ',', value_name = "CORE,...")]
    pub pin: Vec<usize>,
    /// Whose events are sent
    #[arg(long, value_enum, default_value_t = WorkloadFlag::Inventory)]
    pub workload: WorkloadFlag,
    /// Stock items, and about as many sensors
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub accounts: usize,
    /// Initial stock of each item
    #[arg(long, default_value_t = 1_000_000, value_name = "UNITS")]
    pub stock: u64,
    /// Which items events touch: `uniform`, or the theta of a Zipf distribution, as 0.99
    #[arg(long, default_value = "uniform", value_name = "THETA|uniform", value_parser = parse_skew)]
    pub skew: Skew,
    /// What the inventory's events are
    #[arg(long, value_enum, default_value_t = MixFlag::Transfer)]
    pub mix: MixFlag,
    /// Percentage of events resubmitted on purpose
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub duplicates: f64,
    /// Seed of the random choices [default: random]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The warehouse whose items, and the device whose sensors are used [default: random, so that runs do not meet]
    #[arg(long, value_name = "N")]
    pub warehouse: Option<u64>,
    /// Seconds that what is unanswered at the end may take
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub drain: f64,
}

/// [`Workload`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkloadFlag {
    /// Stock that is moved
    Inventory,
    /// Devices that report and take commands
    Telemetry,
    /// Both, one event in two
    Both,
}

impl From<WorkloadFlag> for Workload {
    fn from(flag: WorkloadFlag) -> Workload {
        match flag {
            WorkloadFlag::Inventory => Workload::Inventory,
            WorkloadFlag::Telemetry => Workload::Telemetry,
            WorkloadFlag::Both => Workload::Both,
        }
    }
}

/// [`Mix`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MixFlag {
    /// Transfers between two items
    Transfer,
    /// Adjustments of one item, up and down
    Adjust,
    /// Transfers of 2 to 4 lines
    Lines,
    /// 70 % transfers, 20 % adjustments, 10 % lines
    Mixed,
}

impl LoadFlags {
    /// The plan they make against these addresses.
    ///
    /// # Errors
    /// [`PlanError`] names the value and what is accepted.
    pub fn plan(&self, addresses: Vec<String>) -> Result<LoadPlan, PlanError> {
        let mut plan = LoadPlan::new(addresses);
        plan.duration = seconds("seconds", self.seconds)?;
        plan.warmup = seconds("warmup", self.warmup)?;
        plan.drain_limit = seconds("drain", self.drain)?;
        plan.rate = self.rate;
        plan.batch = self.batch;
        plan.connections = self.connections;
        plan.depth = self.depth;
        plan.client_cores = self.client_cores;
        plan.pin.clone_from(&self.pin);
        plan.workload = self.workload.into();
        plan.accounts = self.accounts;
        plan.stock = self.stock;
        plan.skew = self.skew;
        plan.mix = match self.mix {
            MixFlag::Transfer => Mix::Transfer,
            MixFlag::Adjust => Mix::Adjust,
            MixFlag::Lines => Mix::Lines,
            MixFlag::Mixed => Mix::Mixed,
        };
        plan.duplicates = self.duplicates;
        plan.seed = self.seed;
        plan.warehouse = self.warehouse;
        plan.check()?;
        Ok(plan)
    }
}

pub(super) fn seconds(what: &'static str, found: f64) -> Result<Duration, PlanError> {
    Duration::try_from_secs_f64(found).map_err(|_| PlanError {
        what,
        found: found.to_string(),
        accepted: "seconds, 0 or more",
    })
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate::Max),
        _ => parse_count(text)
            .map(Rate::PerSecond)
            .ok_or_else(|| "accepted are 'max' or events a second, such as 10000, 10k or 1.5M".into()),
    }
}

/// A number, in thousands with `k` and in millions with `M`.
fn parse_count(text: &str) -> Option<f64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number * unit)
}

fn parse_skew(text: &str) -> Result<Skew, String> {
    match text {
        "uniform" => Ok(Skew::Uniform),
        _ => text.parse().map(Skew::Zipf).map_err(|_| "accepted are 'uniform' or a theta, as 0.99".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Command {
        #[command(flatten)]
        load: LoadFlags,
    }

    fn plan(line: &str) -> Result<LoadPlan, String> {
        let command = Command::try_parse_from(format!("test {line}").split_whitespace());
        let load = command.map_err(|error| error.to_string())?.load;
        load.plan(vec!["localhost:1".into()]).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_the_plan() {
        let plan = plan(
            "--seconds 2.5 --warmup 1 --rate 10k --batch 8190 --connections 8 --client-cores 2 --pin 0,1 --accounts 50 \
             --skew 0.99 --mix mixed --duplicates 3 --depth 4 --workload both",
        )
        .unwrap();
        assert_eq!((plan.duration, plan.warmup), (Duration::from_millis(2500), Duration::from_secs(1)));
        assert_eq!(
            (plan.rate, plan.skew, plan.mix),
            (Rate::PerSecond(10_000.0), Skew::Zipf(0.99), Mix::Mixed)
        );
        assert_eq!((plan.batch, plan.connections, plan.depth()), (8190, 8, 4));
        assert_eq!((plan.client_cores, plan.pin, plan.accounts), (2, vec![0, 1], 50));
        assert_eq!(plan.workload, Workload::Both);
    }

    #[test]
    fn bad_flags_say_what_is_accepted() {
        for (line, words) in [
            ("--rate fast", "accepted are 'max'"),
            ("--rate 0", "accepted: 'max'"),
            ("--skew=-3", "accepted: 'uniform'"),
            ("--batch 9000", "accepted: 1 to 8190"),
            ("--mix all", "possible values"),
            ("--seconds=-1", "accepted: seconds"),
            ("--seconds 0", "accepted: above 0"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
