//! A program with two versions of one domain's logic: what a running cluster is upgraded with (rule R5).
//!
//! The next version of the inventory turns down adjustments of more than a million units, which are typing errors,
//! and does everything else as before. The program has the cluster's other domain as well. To bring a cluster to it:
//!
//! 1. Stop and start one replica after the other with this program and `[logic] inventory = 2` in its configuration.
//! 2. When the last of them has it, the leader orders the switch, in one slot of the log: what comes before that slot
//!    is evaluated by version 1 on every replica, what comes after it by version 2.
//! 3. A later program may leave version 1 out, once every replica has a checkpoint above that slot.

use assize_domain::{
    Domain, DomainId, DomainRegistry, Entities, Event, InvalidEvent, Notation, Response, States, StreamTime,
    Verdict,
};
use assize_inventory::{InventoryDomain, InventoryEvent, VERSION};
use assize_telemetry::TelemetryDomain;

/// Version 2, by way of version 1.
struct NextInventory;

/// Why an adjustment of more than [`UNITS_MAX`] units is rejected.
const TOO_MANY_UNITS: u16 = 900;

const UNITS_MAX: u64 = 1_000_000;

impl Domain for NextInventory {
    fn id(&self) -> DomainId {
        InventoryDomain.id()
    }

    fn name(&self) -> &'static str {
        InventoryDomain.name()
    }

    fn version(&self) -> u16 {
        VERSION + 1
    }

    /// Clients need not know of it: events keep their form.
    fn reads(&self, version: u16) -> bool {
        version == VERSION
    }

    fn state_bytes_max(&self) -> usize {
        InventoryDomain.state_bytes_max()
    }

    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        InventoryDomain.entities(event, entities)
    }

    fn evaluate(
        &self,
        event: &Event<'_>,
        now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        match InventoryEvent::parse(event.payload()) {
            Ok(InventoryEvent::Adjust { delta, .. }) if delta.unsigned_abs() > UNITS_MAX => {
                Verdict::Rejected(TOO_MANY_UNITS)
            }
            _ => InventoryDomain.evaluate(event, now, states, response),
        }
    }

    fn reason(&self, reason: u16) -> Option<&'static str> {
        match reason {
            TOO_MANY_UNITS => Some("more than a million units at once"),
            _ => InventoryDomain.reason(reason),
        }
    }

    /// In JSON they keep it as well.
    fn notation(&self) -> Option<&dyn Notation> {
        InventoryDomain.notation()
    }
}

fn main() -> std::process::ExitCode {
    let mut domains = DomainRegistry::new();
    let registered = domains
        .register(InventoryDomain)
        .and_then(|()| domains.register(NextInventory))
        .and_then(|()| domains.register(TelemetryDomain));
    if let Err(error) = registered {
        panic!("two versions of one domain, and another domain: {error}");
    }
    assize::run(domains)
}
