//! `assize`, with the bundled domains.

use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;

fn main() -> std::process::ExitCode {
    let mut domains = DomainRegistry::new();
    if let Err(error) = domains.register(InventoryDomain) {
        panic!("the only domain is registered once: {error}");
    }
    assize::run(domains)
}
