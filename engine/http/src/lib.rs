//! What people and other systems see of a replica by HTTP.
//!
//! | file | is |
//! |---|---|
//! | `routes.rs` | which path is what |
//! | `events.rs`, `gateway.rs` | `POST /v1/events`, and the way from there into the engine |
//! | `status.rs` | `GET /v1/status`: what the replica is at, as JSON |
//! | `problem.rs` | errors, as RFC 9457 has them |
//! | `server.rs` | the thread that serves them |
//!
//! Everything here runs on threads of its own. What is read is what the cores wrote on their [`Board`]: nothing is
//! asked of a core. What is submitted goes the way of any client's events.

mod events;
mod gateway;
mod problem;
mod routes;
mod server;
mod status;

use std::sync::Arc;

use assize_metrics::Board;

pub use events::{Body, EventAnswer, EventBody};
pub use gateway::{Gateway, Submitted};
pub use problem::Problem;
pub use routes::ROUTES;
pub use server::{Bound, ServerError};
pub use status::Status;

/// What is served.
#[derive(Clone, Debug)]
pub struct Faces {
    /// What the cores are at.
    pub board: Arc<Board>,
    /// Who they are.
    pub about: Arc<About>,
    /// Where events go; none if none are taken.
    pub gateway: Option<Gateway>,
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
}
