//! From a configuration and a data directory to running cores: what happens once, before anything is served.
//!
//! | file | holds |
//! |---|---|
//! | `format.rs` | `assize format`: the superblock with the agreed parameters |
//! | `start.rs` | superblock, recovery, addresses, the threads |
//! | `core_thread.rs` | one core's thread, and its logs as recovery left them |
//! | `replay.rs` | the thread that reads recovered slots back and gives them to the Docket |
//! | `guard.rs` | a domain's panic becomes an outcome (D4) |
//! | `error.rs` | why a replica does not start, with its exit code |

mod core_thread;
mod error;
mod format;
mod guard;
mod replay;
mod start;

pub use error::BootError;
pub use format::{FormatReport, format, format_on};
pub use replay::ReplayError;
pub use start::{Replica, start, start_on};

use assize_domain::DomainRegistry;
use assize_wire::LogId;

use crate::config::DomainVersion;

/// The log of the core at this place of the core map (L1).
pub(crate) fn log_of_core(index: usize) -> LogId {
    LogId(2 * index as u16)
}

/// The outcome stream's log of the core at this place.
pub(crate) fn outcome_log_of_core(index: usize) -> LogId {
    LogId(2 * index as u16 + 1)
}

/// The domains that this program was started with, as they are agreed.
pub(crate) fn domain_versions(domains: &DomainRegistry) -> Vec<DomainVersion> {
    domains
        .iter()
        .map(|domain| DomainVersion {
            id: domain.id(),
            version: domain.version(),
            name: domain.name().to_owned(),
        })
        .collect()
}
