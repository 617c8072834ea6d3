//! **Arbiter**: what a stripe's events do, in order.
//!
//! In two steps. [`examine`](self) reads a stripe, asks the Warden and the domains, and yields a plan: what happens to
//! each event, and which entities it needs. That depends on the log alone, so it is done as soon as the slot is chosen.
//! [`evaluate`](self) runs the plan's events as their entities come, those that share one in index order, and yields
//! outcomes and their digest.
//!
//! It never does I/O and sees no clock, randomness or float. A domain that panics is a `fault` that changes nothing
//! (D4).

mod evaluate;
mod examine;
mod loans;
mod pieces;
mod plan;
mod uses;

pub(crate) use evaluate::{Arbiter, Executed, Stock};
pub(crate) use loans::Loans;
use plan::Decision;
pub(crate) use plan::{EntityRef, Plan, Step};

use alloc::sync::Arc;

use assize_domain::{Domain, DomainRegistry};
use assize_wire::routing::Routing;
use assize_wire::{DomainId, LogicVersion, LogicVersions, ShardId};

/// Catches panics of a domain; the shell has it, because catching needs `std` (D4).
pub trait PanicGuard: Send + Sync {
    /// Calls `body` once. True when it came back, false when it panicked.
    fn run(&self, body: &mut dyn FnMut()) -> bool;
}

/// What examination and evaluation share and never change.
pub(crate) struct Rules {
    pub(crate) shard: ShardId,
    pub(crate) routing: Routing,
    pub(crate) body_seed: u64,
    pub(crate) domains: Arc<DomainRegistry>,
    pub(crate) guard: Arc<dyn PanicGuard>,
    /// Whether what each event came to is kept, for a peer that differs (C6).
    pub(crate) keeps_pieces: bool,
}

impl Rules {
    /// What evaluates a domain's events. None for a domain that the cluster does not have.
    fn domain(&self, logic: &LogicVersions, domain: DomainId) -> Option<&dyn Domain> {
        let logic = LogicVersion { domain, version: logic.get(domain)? };
        let found = self.domains.get(logic);
        assert!(
            found.is_some(),
            "a slot is to be evaluated by {logic}, which this program does not have (R5)"
        );
        found
    }
}
