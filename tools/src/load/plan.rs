//! What load is to be made: every knob of the load generator, with its accepted values.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use assize_wire::limits::STRIPE_EVENTS_MAX;
use serde::Serialize;

use super::error::PlanError;
use super::workload::Workload;

/// A load to be run.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Where the replicas of one cluster listen, `host:port`; one or more of them.
    pub addresses: Vec<String>,
    /// Open loop at a rate, or closed loop.
    pub rate: Rate,
    /// Events in one request, 1 to 8,190.
    pub batch: usize,
    /// Connections, spread over the shards.
    pub connections: usize,
    /// Requests under way on one connection; by default 1 in closed loop and 1,024 at a rate.
    pub depth: Option<usize>,
    /// Threads that drive the connections.
    pub client_cores: usize,
    /// Cores to pin those threads to, in turn; none leaves them to the scheduler.
    pub pin: Vec<usize>,
    /// Whose events are sent.
    pub workload: Workload,
    /// Stock items, and about as many sensors: a whole number for each lane of the load.
    pub accounts: usize,
    /// What every item that does not exist yet is given.
    pub stock: u64,
    /// Which items the events touch.
    pub skew: Skew,
    /// What the inventory's events are.
    pub mix: Mix,
    /// Percentage of events that are resubmissions of answered ones, on purpose.
    pub duplicates: f64,
    /// How long to measure.
    pub duration: Duration,
    /// How long to load before measuring.
    pub warmup: Duration,
    /// The warehouse whose items, and the device whose sensors are used; by default a random one, so that runs do not
    /// meet.
    pub warehouse: Option<u64>,
    /// Seed of the random choices; by default a random one. Keys are drawn from it, too: under the same seed and
    /// against the same engine a run's events are conflicts or duplicates.
    pub seed: Option<u64>,
    /// How long what is unanswered at the end may take.
    pub drain_limit: Duration,
    /// How long the leader may leave everything on a connection unanswered until the others are asked who leads.
    pub request_timeout: Duration,
    /// A connection that owes answers and does not even answer pings for so long is made anew.
    pub silence_timeout: Duration,
    /// One that owes answers and answers nothing but pings for so long is made anew, too.
    pub answer_timeout: Duration,
    /// How far ahead the keys' deadlines lie, at most 7/8 of the TTL.
    pub key_lifetime: Duration,
    /// Keep every event and its first answer for [`super::verify_journal`]. Costs memory per event.
    pub journal: bool,
    /// Set by someone to end the load early, in good order.
    pub stop: Option<Arc<AtomicBool>>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Open loop: this many events a second, whatever the engine does. Latency counts from the intended time.
    PerSecond(f64),
    /// Closed loop: the next request when an earlier one is answered.
    Max,
}

/// What the events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// Transfers between two items.
    Transfer,
    /// Adjustments of one item, up and down.
    Adjust,
    /// Transfers of 2 to 4 lines.
    Lines,
    /// 70 % transfers, 20 % adjustments, 10 % lines.
    Mixed,
}

/// Which items the events touch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// All alike.
    Uniform,
    /// Zipf: the item of rank r with weight 1 / r^theta.
    Zipf(f64),
}

impl LoadPlan {
    /// The default load against these addresses: closed loop, transfers of the inventory, uniform.
    #[must_use]
    pub fn new(addresses: Vec<String>) -> LoadPlan {
        LoadPlan {
            addresses,
            rate: Rate::Max,
            batch: 1,
            connections: 1,
            depth: None,
            client_cores: 1,
            pin: Vec::new(),
            workload: Workload::Inventory,
            accounts: 10_000,
            stock: 1_000_000,
            skew: Skew::Uniform,
            mix: Mix::Transfer,
            duplicates: 0.0,
            duration: Duration::from_secs(10),
            warmup: Duration::ZERO,
            warehouse: None,
            seed: None,
            drain_limit: Duration::from_secs(60),
            request_timeout: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
            key_lifetime: Duration::from_secs(3600),
            journal: false,
            stop: None,
        }
    }

    /// Refuses a plan that cannot be run.
    ///
    /// # Errors
    /// [`PlanError`] names the value and what is accepted.
    pub fn check(&self) -> Result<(), PlanError> {
        let refuse = |what, found: String, accepted| Err(PlanError { what, found, accepted });
        if self.batch == 0 || self.batch > STRIPE_EVENTS_MAX {
            return refuse("batch", self.batch.to_string(), "1 to 8190");
        }
        if self.connections == 0 || self.connections > CONNECTIONS_MAX {
            return refuse("connections", self.connections.to_string(), "1 to 65535");
        }
        if self.client_cores == 0 || self.client_cores > self.connections {
            return refuse("client-cores", self.client_cores.to_string(), "1 to the number of connections");
        }
        if self.depth == Some(0) {
            return refuse("depth", "0".into(), "1 or more");
        }
        if self.accounts < 2 || self.accounts > u32::MAX as usize {
            return refuse("accounts", self.accounts.to_string(), "2 to 4294967295");
        }
        if self.stock == 0 || self.stock > STOCK_MAX {
            return refuse("stock", self.stock.to_string(), "1 to 1000000000");
        }
        if !(0.0..=95.0).contains(&self.duplicates) {
            return refuse("duplicates", self.duplicates.to_string(), "0 to 95 percent");
        }
        if let Rate::PerSecond(rate) = self.rate
            && !(rate > 0.0 && rate <= 1e9)
        {
            return refuse("rate", rate.to_string(), "'max' or above 0 and up to 1e9 events/s");
        }
        if let Skew::Zipf(theta) = self.skew
            && !(theta > 0.0 && theta <= 5.0)
        {
            return refuse("skew", theta.to_string(), "'uniform' or a theta above 0 and up to 5");
        }
        if self.warehouse.is_some_and(|warehouse| warehouse >= 1 << 63) {
            return refuse("warehouse", format!("{:?}", self.warehouse), "below 2^63");
        }
        if self.duration.is_zero() {
            return refuse("seconds", "0".into(), "above 0");
        }
        Ok(())
    }

    /// Requests that may be under way on one connection.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth.unwrap_or(match self.rate {
            Rate::Max => 1,
            Rate::PerSecond(_) => 1024,
        })
    }
}

const CONNECTIONS_MAX: usize = 65_535;

/// Small enough that the total of any number of items fits an `i64`.
const STOCK_MAX: u64 = 1_000_000_000;

const _: () = assert!((u32::MAX as u64) * STOCK_MAX < i64::MAX as u64);
