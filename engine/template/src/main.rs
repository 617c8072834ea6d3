//! `vouchers`: the engine with the vouchers in it.

fn main() -> std::process::ExitCode {
    let mut domains = assize_domain::DomainRegistry::new();
    match domains.register(vouchers::Vouchers) {
        Ok(()) => assize::run(domains),
        Err(error) => panic!("{error}"),
    }
}
