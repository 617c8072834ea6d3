//! Free ports for a demo's replicas.

use std::net::TcpListener;

/// The first of `count` neighbouring ports on which nothing listens, if there are any. Below the ports that the system
/// gives to outgoing connections: a client that tries again while a replica is down would else connect to itself.
pub(super) fn free_ports(count: u16) -> Option<u16> {
    // Two that begin together find the same ports free: they begin in different places.
    let spread = (std::process::id() % u32::from(SPAN / APART)) as u16 * APART;
    (0..SPAN / count).map(|step| FIRST + (spread + step * count) % (SPAN - count)).find(|first| {
        let listeners: Result<Vec<_>, _> =
            (*first..first + count).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        listeners.is_ok()
    })
}

// Above the ports that this repository's own tests take for replicas which may be down for a while.
const FIRST: u16 = 22_000;
const SPAN: u16 = 10_000;
/// More than most demos need.
const APART: u16 = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_passed_over() {
        let first = free_ports(4).unwrap();
        assert!((FIRST..FIRST + SPAN - 4).contains(&first));
        let _taken = TcpListener::bind(("127.0.0.1", first + 3)).unwrap();
        let next = free_ports(4).unwrap();
        assert!(next > first + 3 || next + 3 < first + 3, "{first} {next}");
    }
}
