//! The client library: submits events under idempotency keys and reads entities.
//!
//! [`Core`] and [`Session`] are state machines without I/O: bytes and the time go in, bytes and completions come out.
//! [`Client`] is the thin shell around them: non-blocking sockets and a clock. What it never does: send a key with
//! other bytes, or keep retrying a key whose deadline passed (W4). [`Finder`] knows which replica leads.
//! `client.allium` says the rules in words.

mod blocking;
mod clock;
mod core;
mod error;
mod event;
mod finder;
mod inbox;
mod lane;
mod options;
mod pending;
mod session;
mod shell;
mod sites;

pub use blocking::Client;
pub use clock::{StreamClock, Tick};
pub use core::{Core, LaneAction, LaneId};
pub use error::{ClientError, SessionError};
pub use event::{AnswerOwned, Completion, EntityRead, NewEvent, Outcome, Ticket};
pub use finder::{Finder, FinderCounts, Found, SiteAction, SiteId};
pub use options::Options;
pub use session::{Session, SessionEvent};
pub use shell::Waker;
pub(crate) use sites::Sites;
