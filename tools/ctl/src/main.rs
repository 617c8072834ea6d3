//! `assizectl`, with the bundled domains.

use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;
use assize_telemetry::TelemetryDomain;

fn main() -> std::process::ExitCode {
    let mut domains = DomainRegistry::new();
    let registered = domains.register(InventoryDomain).and_then(|()| domains.register(TelemetryDomain));
    if let Err(error) = registered {
        panic!("the bundled domains are registered once: {error}");
    }
    assize_ctl::run(domains)
}
