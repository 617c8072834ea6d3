//! Connections to peers, made off the cores: finding the address of a host name may block, and so may connecting.
//!
//! One thread for each peer that this replica dials, so that one that is gone holds up nobody else's. It hands a core
//! connected sockets and wakes it.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use assize_node::federation::Dial;
use assize_wire::{CoreId, ReplicaId};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::config::Address;

/// How a dial ended.
#[derive(Debug)]
pub struct Dialed {
    /// What was asked for.
    pub dial: Dial,
    /// The connected socket; or nobody is there, which the thread has said if it is news.
    pub socket: Option<OwnedFd>,
}

/// Where a core takes in its dials, and how it is woken for them.
pub struct DialEnd {
    sender: Sender<Dialed>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl DialEnd {
    /// The end that the threads have, and the one that the core has.
    #[must_use]
    pub fn new(wake: Arc<dyn Fn() + Send + Sync>) -> (DialEnd, Receiver<Dialed>) {
        let (sender, receiver) = unbounded();
        (DialEnd { sender, wake }, receiver)
    }
}

/// Asks the threads that dial; each core has one.
#[derive(Clone, Default)]
pub struct Dialer {
    /// By peer; none where the peer dials.
    peers: Vec<Option<Sender<(CoreId, Dial)>>>,
}

impl Dialer {
    /// Starts a thread for each replica below `own`. They end when nobody can ask them any more.
    ///
    /// # Errors
    /// The host has no thread left.
    pub fn start(own: ReplicaId, replicas: &[Address], ends: Vec<DialEnd>) -> io::Result<Dialer> {
        let ends = Arc::new(ends);
        let peer = |(index, address): (usize, &Address)| {
            let peer = ReplicaId(index as u8);
            if peer >= own {
                return Ok(None);
            }
            let (sender, requests) = unbounded();
            let (address, ends) = (address.clone(), Arc::clone(&ends));
            let thread = thread::Builder::new().name(format!("dial-{peer}"));
            thread.spawn(move || dial_all(peer, &address, &requests, &ends)).map(|_| Some(sender))
        };
        Ok(Dialer { peers: replicas.iter().enumerate().map(peer).collect::<io::Result<_>>()? })
    }

    /// Asks for a connection. The answer comes to the core's [`DialEnd`].
    ///
    /// # Panics
    /// When this replica does not dial that peer: the caller's own broken promise.
    pub fn dial(&self, core: CoreId, dial: Dial) {
        match self.peers.get(usize::from(dial.peer.0)) {
            // The threads live as long as this does.
            Some(Some(thread)) => drop(thread.send((core, dial))),
            _ => panic!("{dial:?} is nothing that this replica dials"),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialer({} peers)", self.peers.iter().flatten().count())
    }
}

fn dial_all(peer: ReplicaId, address: &Address, requests: &Receiver<(CoreId, Dial)>, ends: &[DialEnd]) {
    // An operator is told when it begins and when it ends, not at each try.
    let mut unreachable = false;
    for (core, dial) in requests {
        let connected = connect(address, dial.core_offset);
        match &connected {
            Ok(_) if unreachable => {
                tracing::info!(peer = peer.0, %address, "the replica can be reached again")
            }
            Err(error) if !unreachable => {
                tracing::warn!(peer = peer.0, %address, %error, "a replica cannot be reached: it is tried until it can");
            }
            _ => {}
        }
        unreachable = connected.is_err();
        let end = &ends[usize::from(core.0)];
        // A core that is gone needs no connection.
        let _ = end.sender.send(Dialed { dial, socket: connected.ok() });
        (end.wake)();
    }
}

/// Connects to any address of the host: the name may mean another than last time.
fn connect(address: &Address, core_offset: u16) -> io::Result<OwnedFd> {
    let address = address.of_core(core_offset.into());
    let address = address.ok_or_else(|| io::Error::other("the core's port is above 65535"))?;
    let mut last = io::Error::other("the name has no address");
    for resolved in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, CONNECT_TIMEOUT) {
            // While nobody listens there, a port that the system gives out itself may be met by its own connection.
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                last = io::Error::from(io::ErrorKind::ConnectionRefused);
            }
            Ok(stream) => return Ok(stream.into()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How long one address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
