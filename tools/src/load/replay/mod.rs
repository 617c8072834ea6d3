//! Replays a file of events against a cluster: each line when it was recorded to be sent, or faster; under its key, so
//! that a retry in the file is a retry; and compares what became of it with what the line expects.
//!
//! `replay.allium` says the rules in words.
//!
//! | file | is |
//! |---|---|
//! | `line.rs` | a line of the file |
//! | `expected.rs` | what a line expects, and whether that is what was found |
//! | `script.rs` | the whole file, read and checked before anything is sent |
//! | `schedule.rs` | which lines may be sent now |
//! | `speed.rs` | how fast |
//! | `player.rs` | the source of a thread's requests |
//! | `play.rs` | how a thread sends them |
//! | `tally.rs`, `report.rs` | what became of them |

mod expected;
mod line;
mod play;
mod player;
mod report;
mod schedule;
mod script;
mod speed;
mod tally;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use assize_domain::DomainRegistry;
use assize_wire::routing::Routing;

pub use self::expected::{Expected, Found};
pub use self::line::{LINE_MEMBERS, Line};
pub(super) use self::player::Player;
pub use self::report::{ReplayReport, print_replay};
pub use self::schedule::Order;
pub use self::script::{BadScript, Script, ScriptError};
pub use self::speed::Speed;
pub use self::tally::{ReasonCount, Unexpected};
use super::error::{LoadError, PlanError};
use super::plan::LoadPlan;
use super::progress::Progress;
use super::report::RunKind;
use super::source::Source;
use super::threads::{connect, drive};

/// A replay to be run.
#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// Where the replicas of one cluster listen, `host:port`; one or more of them.
    pub addresses: Vec<String>,
    /// How fast.
    pub speed: Speed,
    /// In which order.
    pub order: Order,
    /// An earlier run has recorded all events that have a key: they must be duplicates now.
    pub again: bool,
    /// Events in one request at most, 1 to 8,190: those that may be sent to one shard at the same time.
    pub batch: usize,
    /// Connections, spread over the shards.
    pub connections: usize,
    /// Requests under way on one connection; by default 1 at the highest speed and else 1,024.
    pub depth: Option<usize>,
    /// How long what is unanswered may take.
    pub drain_limit: Duration,
    /// Set by someone to end the replay early.
    pub stop: Option<Arc<AtomicBool>>,
}

impl ReplayPlan {
    /// The default replay against these addresses: as recorded, in the file's order where it matters.
    #[must_use]
    pub fn new(addresses: Vec<String>) -> ReplayPlan {
        ReplayPlan {
            addresses,
            speed: Speed::Times(1.0),
            order: Order::Entities,
            again: false,
            batch: 1,
            connections: 64,
            depth: None,
            drain_limit: Duration::from_secs(60),
            stop: None,
        }
    }

    /// Refuses a plan that cannot be run.
    ///
    /// # Errors
    /// [`PlanError`] names the value and what is accepted.
    pub fn check(&self) -> Result<(), PlanError> {
        self.load_plan().check()
    }

    /// As the threads know it.
    fn load_plan(&self) -> LoadPlan {
        let mut plan = LoadPlan::new(self.addresses.clone());
        plan.batch = self.batch;
        plan.connections = self.connections;
        plan.depth = self.depth.or((self.speed != Speed::Max).then_some(PACED_DEPTH));
        plan.drain_limit = self.drain_limit;
        plan.stop.clone_from(&self.stop);
        plan
    }
}

/// Replays a script to its end. A report with `unexpected` outcomes is a result, not an error.
///
/// # Errors
/// [`LoadError`] when it could not be run, or something stayed unanswered beyond `plan.drain_limit`.
pub fn replay(
    script: Script,
    plan: &ReplayPlan,
    domains: &DomainRegistry,
    progress: &mut dyn Progress,
) -> Result<ReplayReport, LoadError> {
    let (script, load_plan) = (Arc::new(script), plan.load_plan());
    load_plan.check()?;
    let client = connect(&load_plan)?;
    let welcome = client.welcome().clone();
    let routing = Routing { seed: welcome.routing_seed, shards: welcome.ports.len() as u16 };
    let player = Player::new(&script, plan.speed, plan.order, plan.again, routing);
    let length = match plan.speed {
        Speed::Max => None,
        speed => Some(Duration::from_nanos(speed.after(script.length_ns()))),
    };
    let mut ran = drive(&load_plan, &client, &welcome, vec![Source::Recorded(player)], length, progress)?;
    let tally = match ran.sources.pop() {
        Some(Source::Recorded(player)) => player.into_tally(),
        _ => unreachable!("it was the only source"),
    };
    let seconds = ran.answered_for_ns as f64 / 1e9;
    Ok(ReplayReport {
        run: ran.report(RunKind::Replay, &load_plan, &client, &welcome, seconds),
        file: script.file.clone(),
        file_hash: script.hash.to_string(),
        lines: script.lines().len() as u64,
        speed: plan.speed,
        order: plan.order,
        again: plan.again,
        outcomes: tally.outcomes(),
        reasons: tally.reasons(domains),
        expected: tally.expected(),
        unexpected: tally.unexpected(),
        first_unexpected: tally.first_unexpected(),
    })
}

/// Requests under way on a connection of an open loop, so that it is one.
const PACED_DEPTH: usize = 1024;
