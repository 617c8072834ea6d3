//! What people and other systems see of a replica by HTTP.
//!
//! | file | is |
//! |---|---|
//! | `routes.rs` | which path is what |
//! | `events.rs` | `POST /v1/events` |
//! | `entities.rs` | `GET /v1/entities/{domain}/{entity}` |
//! | `whole.rs` | objects whose members have names |
//! | `notation.rs` | domains, entities, events and states as JSON names them |
//! | `gateway.rs` | the way from there into the engine, wherever it is led |
//! | `local.rs` | reads of this replica, leading or not |
//! | `outcomes/` | `GET /v1/outcomes`: what was published, in order, from any place that is kept |
//! | `status.rs` | `GET /v1/status`: what the replica is at, as JSON |
//! | `cluster.rs` | `GET /v1/cluster`: all replicas, as this one sees them |
//! | `leadership.rs` | `POST /v1/leadership`: has the leader hand over |
//! | `bulletin.rs` | where the others are, and what went wrong |
//! | `process.rs` | what the system says of the process, for `GET /metrics` |
//! | `openapi.rs` | `GET /v1/openapi.json`: all of this, for programs, in `openapi.json` |
//! | `dashboard.rs` | `GET /`: the live dashboard, whose files are in `assets/` |
//! | `problem.rs` | errors, as RFC 9457 has them |
//! | `limits.rs`, `bounded.rs` | how much of anybody's asking is put up with |
//! | `server.rs` | the thread that serves them |
//!
//! Everything here runs on threads of its own. What is read is what the cores wrote on their [`Board`]: nothing is
//! asked of a core. What is submitted goes the way of any client's events. To hand leadership over takes one message to
//! the control core.

mod bounded;
mod bulletin;
mod cluster;
mod dashboard;
mod entities;
mod events;
mod gateway;
mod leadership;
mod limits;
mod local;
mod notation;
mod openapi;
mod outcomes;
mod problem;
mod process;
mod routes;
mod server;
mod status;
mod whole;

use std::sync::Arc;
use std::time::Instant;

use assize_domain::DomainRegistry;
use assize_metrics::Board;

pub use assize_domain::notation::DomainName;
pub use bulletin::{ALARMS_MAX, Alarm, Bulletin, News, Place};
pub use cluster::{ClusterStatus, Neighbours, ReplicaSeen};
pub use entities::{EntityAnswer, ReadConsistency, ReadQuery};
pub use events::{AcceptedAnswer, Body, EventAnswer, EventBody, SubmitQuery, Wait};
pub use gateway::{Accepted, Gateway, GatewayError, Submitted};
pub use leadership::{Leadership, LeadershipAnswer, LeadershipBody, LeadershipProblem};
pub use limits::HttpLimits;
pub use local::{LocalError, LocalReader};
pub use outcomes::{After, NoPosition, OUTCOME_SUBSCRIBERS_MAX, OutcomeLine, Outcomes, OutcomesStart};
pub use problem::Problem;
pub use routes::ROUTES;
pub use server::Bound;
pub use status::Status;

/// What is served.
#[derive(Clone)]
pub struct Faces {
    /// What the cores are at.
    pub board: Arc<Board>,
    /// Who they are.
    pub about: Arc<About>,
    /// What there is to say that is no number.
    pub bulletin: Arc<Bulletin>,
    /// What is known of the others.
    pub neighbours: Neighbours,
    /// The domains of the program.
    pub domains: Arc<DomainRegistry>,
    /// Where events and linearizable reads go.
    pub gateway: Gateway,
    /// Where the control core is asked to hand over.
    pub leadership: Leadership,
    /// Where local reads go.
    pub local: LocalReader,
    /// Where what was published is read; none if it is not given out.
    pub outcomes: Option<Outcomes>,
    /// How much is put up with.
    pub limits: HttpLimits,
}

/// What does not change while a replica runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The cluster, in hexadecimal.
    pub cluster: String,
    /// Which of its replicas this is, from 0.
    pub replica: u8,
    /// How many there are.
    pub replicas: u8,
    /// How many must have computed the same before it is published.
    pub copies: u8,
    /// The program's version.
    pub version: &'static str,
    /// When the program began.
    pub began: Instant,
}
