//! From a configuration and a data directory to running cores: what happens once, before anything is served.
//!
//! | file | holds |
//! |---|---|
//! | `format.rs` | `assize format`: what the options say all replicas agree on |
//! | `rebuild.rs` | `assize rebuild`: the next start takes the state of the others (R3) |
//! | `recover.rs` | reads all logs, each in a thread of its own |
//! | `start.rs` | superblock, recovery, the threads |
//! | `listen.rs` | the ports: for clients, peers and HTTP |
//! | `core_thread.rs` | one core's thread, and its logs as recovery left them |
//! | `peers.rs` | secret, port and identity for the other replicas |
//! | `replay.rs` | the thread that reads recovered slots back and gives them to the Docket |
//! | `guard.rs` | a domain's panic becomes an outcome (D4) |
//! | `error.rs` | why a replica does not start, with its exit code |

mod core_thread;
mod error;
mod format;
mod guard;
mod listen;
mod logic;
mod peers;
mod rebuild;
mod recover;
mod replay;
mod start;

pub use assize_setup::NewDisk;
pub use error::BootError;
pub use format::{FormatReport, format, format_on};
pub use rebuild::rebuild;
pub use start::{Replica, start, start_on};

use assize_domain::DomainRegistry;

use crate::config::DomainVersion;

/// The domains that this program was started with, each in its newest version: what a new cluster agrees on.
pub(crate) fn domain_versions(domains: &DomainRegistry) -> Vec<DomainVersion> {
    let newest = domains.newest();
    let newest = newest.iter().filter_map(|logic| domains.get(logic));
    newest
        .map(|domain| DomainVersion {
            id: domain.id(),
            version: domain.version(),
            name: domain.name().to_owned(),
        })
        .collect()
}
