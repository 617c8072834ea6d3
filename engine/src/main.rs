//! `assize`, with the bundled domains.

use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;
use assize_telemetry::TelemetryDomain;

fn main() -> std::process::ExitCode {
    let mut domains = DomainRegistry::new();
    let registered = domains.register(InventoryDomain).and_then(|()| domains.register(TelemetryDomain));
    if let Err(error) = registered {
        panic!("each of two domains is registered once: {error}");
    }
    assize::run(domains)
}
