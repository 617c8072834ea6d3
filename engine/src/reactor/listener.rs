//! Where a core accepts connections: of clients once it serves, of peers from the start.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use io_uring::{cqueue, opcode, types};
use socket2::{Domain, Protocol, Socket, Type};

use super::ring::{Ring, TAG_ACCEPT};

/// A bound socket on which nothing listens yet: its port is known, and whoever connects is refused.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: SocketAddr,
}

impl Listener {
    /// Binds. Port 0 takes a free one.
    ///
    /// # Errors
    /// The address is in use or not of this host.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Listener { socket, address })
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Who connects to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Clients,
    Peers,
}

impl Audience {
    /// As the user data of an accept names it.
    pub(super) fn from_slot(slot: u32) -> Audience {
        if slot == Audience::Clients as u32 { Audience::Clients } else { Audience::Peers }
    }
}

/// A listener that accepts, or will.
pub(super) struct Acceptor {
    listener: Option<Listener>,
    audience: Audience,
    /// When to accept again: the host had no descriptor or memory for another connection.
    due: Option<u64>,
}

impl Acceptor {
    pub(super) fn new(audience: Audience, listener: Option<Listener>) -> Acceptor {
        Acceptor { listener, audience, due: None }
    }

    pub(super) fn listen(&mut self, ring: &mut Ring) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        listener.socket.listen(BACKLOG)?;
        self.arm(ring)
    }

    pub(super) fn stop(&mut self) {
        if let Some(listener) = self.listener.take() {
            // The accept in flight ends with an error, which is expected then.
            let _ = listener.socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Takes in how an accept ended: goes on, or pauses after a shortage.
    pub(super) fn accepted(&mut self, result: i32, flags: u32, now: u64, ring: &mut Ring) -> io::Result<()> {
        if cqueue::more(flags) || self.listener.is_none() {
            return Ok(());
        }
        if is_shortage(result) {
            // It would end again at once, and again: others wait in the backlog until something is free.
            let (error, whose) = (io::Error::from_raw_os_error(-result), self.audience);
            tracing::warn!(%error, ?whose, "no more connections can be accepted: raise the limit on open files (ulimit -n)");
            self.due = Some(now + ACCEPT_PAUSE_NS);
            return Ok(());
        }
        self.arm(ring)
    }

    /// When to call [`Acceptor::handle_time`].
    pub(super) fn due(&self) -> Option<u64> {
        self.due
    }

    /// Accepts again after a shortage.
    pub(super) fn handle_time(&mut self, now: u64, ring: &mut Ring) -> io::Result<()> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.arm(ring)?;
        }
        Ok(())
    }

    fn arm(&mut self, ring: &mut Ring) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let entry = opcode::AcceptMulti::new(types::Fd(listener.socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(u64::from(TAG_ACCEPT) << 56 | self.audience as u64);
        ring.make_room(1)?;
        ring.push(entry);
        Ok(())
    }
}

/// Whether an accept failed for want of something that other connections may give back.
fn is_shortage(result: i32) -> bool {
    matches!(-result, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

const BACKLOG: i32 = 4096;

/// How long a core accepts nobody after a shortage.
const ACCEPT_PAUSE_NS: u64 = 250_000_000;
