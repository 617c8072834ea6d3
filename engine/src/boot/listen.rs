//! Where the replica listens: for clients and peers a port for each core, for HTTP one.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use assize_http::Bound;

use super::BootError;
use crate::config::Address;
use crate::reactor::Listener;

/// A listener for each core, on the ports from the address's on.
pub(super) fn bind(key: &'static str, address: &Address, cores: usize) -> Result<Vec<Listener>, BootError> {
    let of_core = |index| {
        let too_high = || io::Error::other("the port of the last core is above 65535");
        let of_core = address.of_core(index).ok_or_else(too_high);
        bind_one(key, &of_core.map_err(|error| refused(key, address, error))?, Listener::bind)
    };
    (0..cores).map(of_core).collect()
}

/// Where people and other systems ask.
pub(super) fn bind_http(address: &Address) -> Result<Bound, BootError> {
    bind_one("[listen] http", address, Bound::listen)
}

fn bind_one<T>(
    key: &'static str,
    address: &Address,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<T, BootError> {
    let resolved = resolve(address).map_err(|error| refused(key, address, error))?;
    bind_patiently(resolved, bind).map_err(|error| refused(key, &resolved, error))
}

fn refused(key: &'static str, address: &dyn ToString, error: io::Error) -> BootError {
    BootError::Listen { key, address: address.to_string(), error }
}

/// A process that was killed keeps its ports for a moment after its end: the kernel takes its rings apart later, and
/// they hold the sockets. Whoever starts it again at once, as a supervisor does, need not know.
fn bind_patiently<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let until = Instant::now() + PORT_RELEASED_WITHIN;
    loop {
        match bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                // Nobody tells when it is released: whoever wants it tries.
                thread::sleep(PORT_LOOKED_AT_EVERY);
            }
            bound => return bound,
        }
    }
}

/// How long a port in use is taken for one that is about to be released.
const PORT_RELEASED_WITHIN: Duration = Duration::from_secs(3);

const PORT_LOOKED_AT_EVERY: Duration = Duration::from_millis(10);

/// Where to listen. A name with both kinds of address is listened on by the older kind, which every client reaches.
fn resolve(address: &Address) -> io::Result<SocketAddr> {
    let mut resolved: Vec<SocketAddr> = (address.host.as_str(), address.port).to_socket_addrs()?.collect();
    resolved.sort_by_key(SocketAddr::is_ipv6);
    resolved.first().copied().ok_or_else(|| io::Error::other("the name has no address"))
}
