//! `assizectl`, with the bundled domains.

use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;

fn main() -> std::process::ExitCode {
    let mut domains = DomainRegistry::new();
    if let Err(error) = domains.register(InventoryDomain) {
        panic!("the bundled domains are registered once: {error}");
    }
    assize_ctl::run(domains)
}
