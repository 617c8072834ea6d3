//! The clients' sockets of one core.
//!
//! Invariant: a socket and its buffers live until no operation on it is in flight; the kernel holds their addresses.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use assize_node::{ConnectionId, Core};
use io_uring::{cqueue, opcode, types};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::ring::{Ring, TAG_ACCEPT, TAG_RECEIVE, TAG_SEND};

/// A bound socket on which nothing listens yet: its port is known, and clients are refused until the core serves.
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

/// All sockets of a core.
pub(super) struct Sockets {
    listener: Option<Listener>,
    places: Vec<Option<Client>>,
    free: Vec<u32>,
    /// By the index of a connection: its place here.
    by_connection: Vec<u32>,
    /// Sends in flight.
    sending: usize,
    /// When to accept again: the host had no descriptor or memory for another client.
    accept_due: Option<u64>,
}

struct Client {
    socket: OwnedFd,
    id: ConnectionId,
    /// Received and not consumed: `input[consumed..filled]`.
    input: Vec<u8>,
    filled: usize,
    /// Bytes that must be there before the core can use them.
    needed: usize,
    receiving: bool,
    /// What is being sent: `output[sent..]`.
    output: Vec<u8>,
    sent: usize,
    sending: bool,
    /// Nothing more is received; it goes once everything is sent.
    closing: bool,
    /// It is broken or its client is gone; it goes once nothing is in flight.
    dead: bool,
}

impl Sockets {
    pub(super) fn new(listener: Listener) -> Sockets {
        Sockets {
            listener: Some(listener),
            places: Vec::new(),
            free: Vec::new(),
            by_connection: Vec::new(),
            sending: 0,
            accept_due: None,
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending > 0
    }

    pub(super) fn listen(&mut self, ring: &mut Ring) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        listener.socket.listen(BACKLOG)?;
        self.arm_accept(ring)
    }

    pub(super) fn stop_accepting(&mut self) {
        if let Some(listener) = self.listener.take() {
            // The accept in flight ends with an error, which is expected then.
            let _ = listener.socket.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(super) fn accepted(
        &mut self,
        result: i32,
        flags: u32,
        now: u64,
        core: &mut Core,
        ring: &mut Ring,
    ) -> io::Result<()> {
        if result >= 0 {
            // SAFETY: the kernel has just given this descriptor to us.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            let options = SockRef::from(&socket);
            // Both are advice: a socket without them still works, and a dead one shows at its first use.
            let _ = options.set_tcp_nodelay(true);
            let _ = options.set_keepalive(true);
            self.open(socket, core, ring)?;
        }
        if !cqueue::more(flags) && self.listener.is_some() {
            if is_shortage(result) {
                // It would end again at once, and again: clients wait in the backlog until something is free.
                let error = io::Error::from_raw_os_error(-result);
                tracing::warn!(%error, "no more clients can be accepted: raise the limit on open files (ulimit -n)");
                self.accept_due = Some(now + ACCEPT_PAUSE_NS);
            } else {
                self.arm_accept(ring)?;
            }
        }
        Ok(())
    }

    /// When to call [`Sockets::handle_time`].
    pub(super) fn next_due(&self) -> Option<u64> {
        self.accept_due
    }

    /// Accepts again after a shortage.
    pub(super) fn handle_time(&mut self, now: u64, ring: &mut Ring) -> io::Result<()> {
        if self.accept_due.is_some_and(|due| due <= now) {
            self.accept_due = None;
            self.arm_accept(ring)?;
        }
        Ok(())
    }

    pub(super) fn received(
        &mut self,
        place: u32,
        result: i32,
        core: &mut Core,
        ring: &mut Ring,
    ) -> io::Result<()> {
        let client = self.client(place);
        client.receiving = false;
        client.dead |= result == 0 || (result < 0 && !is_retry(result));
        if client.dead {
            // Bytes may still come after the socket was shut down: a receive of a whole frame ends with its part.
            client.shut_down();
            return self.reap_dead(place, core);
        }
        if result < 0 {
            return self.receive(place, ring);
        }
        client.filled += result as usize;
        if client.filled >= client.needed {
            let (consumed, needed) = core.handle_received(client.id, &client.input[..client.filled]);
            client.input.copy_within(consumed..client.filled, 0);
            client.filled -= consumed;
            client.needed = needed.max(1);
        }
        self.receive(place, ring)
    }

    pub(super) fn sent(
        &mut self,
        place: u32,
        result: i32,
        core: &mut Core,
        ring: &mut Ring,
    ) -> io::Result<()> {
        self.sending -= 1;
        let client = self.client(place);
        client.sending = false;
        if result < 0 && !is_retry(result) {
            client.dead = true;
        } else {
            client.sent += result.max(0) as usize;
        }
        if client.dead {
            client.shut_down();
            return self.reap_dead(place, core);
        }
        self.send(place, core, ring)
    }

    /// Sends what the core has for a connection.
    pub(super) fn flush(&mut self, id: ConnectionId, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        let place = self.by_connection[id.index as usize];
        let client = self.client(place);
        if !client.dead && core.is_given_up(id) {
            client.dead = true;
            client.shut_down();
            return self.reap_dead(place, core);
        }
        if client.sending || client.dead {
            return Ok(());
        }
        self.send(place, core, ring)
    }

    fn open(&mut self, socket: OwnedFd, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        let id = core.handle_opened();
        let client = Client {
            socket,
            id,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            needed: 1,
            receiving: false,
            output: Vec::new(),
            sent: 0,
            sending: false,
            closing: false,
            dead: false,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[place as usize] = Some(client);
        let index = id.index as usize;
        if self.by_connection.len() <= index {
            self.by_connection.resize(index + 1, u32::MAX);
        }
        self.by_connection[index] = place;
        self.receive(place, ring)
    }

    fn receive(&mut self, place: u32, ring: &mut Ring) -> io::Result<()> {
        let client = self.client(place);
        if client.closing || client.dead {
            return Ok(());
        }
        if client.input.len() < client.needed {
            client.input.resize(client.needed, 0);
        }
        // A frame whose length is known is waited for whole: one completion instead of one for each segment. The
        // stretch behind it is left to the next receive.
        let missing = client.needed.saturating_sub(client.filled);
        let (room, flags) = if missing > WHOLE_FROM_BYTES {
            (missing, libc::MSG_WAITALL)
        } else {
            (client.input.len() - client.filled, 0)
        };
        let pointer = client.input[client.filled..].as_mut_ptr();
        let entry = opcode::Recv::new(types::Fd(client.socket.as_raw_fd()), pointer, room as u32)
            .flags(flags)
            .build()
            .user_data(u64::from(TAG_RECEIVE) << 56 | u64::from(place));
        client.receiving = true;
        ring.make_room(1)?;
        ring.push(entry);
        Ok(())
    }

    fn send(&mut self, place: u32, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        let client = self.client(place);
        if client.sent == client.output.len() {
            client.output.clear();
            client.sent = 0;
            client.closing |= core.take_bytes(client.id, &mut client.output);
        }
        if client.output.is_empty() {
            if client.closing {
                client.dead = true;
                client.shut_down();
                return self.reap_dead(place, core);
            }
            return Ok(());
        }
        let rest = &client.output[client.sent..];
        let entry = opcode::Send::new(types::Fd(client.socket.as_raw_fd()), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(u64::from(TAG_SEND) << 56 | u64::from(place));
        client.sending = true;
        self.sending += 1;
        ring.make_room(1)?;
        ring.push(entry);
        Ok(())
    }

    /// Frees a dead socket once nothing is in flight on it.
    fn reap_dead(&mut self, place: u32, core: &mut Core) -> io::Result<()> {
        let client = self.client(place);
        if !client.receiving && !client.sending {
            core.handle_closed(client.id);
            self.places[place as usize] = None;
            self.free.push(place);
        }
        Ok(())
    }

    fn client(&mut self, place: u32) -> &mut Client {
        match &mut self.places[place as usize] {
            Some(client) => client,
            None => panic!("an operation on place {place}, where no socket is"),
        }
    }

    fn arm_accept(&mut self, ring: &mut Ring) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let entry = opcode::AcceptMulti::new(types::Fd(listener.socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(u64::from(TAG_ACCEPT) << 56);
        ring.make_room(1)?;
        ring.push(entry);
        Ok(())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for client in self.places.drain(..).flatten() {
            if client.receiving || client.sending {
                // The kernel may still use its buffers.
                std::mem::forget(client);
            }
        }
    }
}

impl Client {
    /// Ends an operation in flight, if there is one.
    fn shut_down(&self) {
        // An error says that it is down already.
        let _ = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both);
    }
}

fn is_retry(result: i32) -> bool {
    matches!(-result, libc::EINTR | libc::EAGAIN)
}

/// Whether an accept failed for want of something that other clients may give back.
fn is_shortage(result: i32) -> bool {
    matches!(-result, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

const BACKLOG: i32 = 4096;

/// How long a core accepts nobody after a shortage.
const ACCEPT_PAUSE_NS: u64 = 250_000_000;

/// What one connection may receive at once before a larger frame is announced.
const INPUT_BYTES: usize = 16 << 10;

/// Frames missing more than this are received whole.
const WHOLE_FROM_BYTES: usize = 64 << 10;
