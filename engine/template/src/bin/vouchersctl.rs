//! `vouchersctl`: asks a running cluster, and looks into a stopped replica, in the words of the vouchers.

fn main() -> std::process::ExitCode {
    let mut domains = assize_domain::DomainRegistry::new();
    match domains.register(vouchers::Vouchers) {
        Ok(()) => assize_ctl::run(domains),
        Err(error) => panic!("{error}"),
    }
}
