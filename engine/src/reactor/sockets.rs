//! All sockets of one core: clients' and peers'.
//!
//! Invariant: a socket and its buffers live until no operation on it is in flight; the kernel holds their addresses.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use assize_node::federation::LinkId;
use assize_node::{ConnectionId, Core};
use socket2::SockRef;

use super::listener::{Acceptor, Audience, Listener};
use super::ring::Ring;
use super::socket::{Owner, Socket};

/// All sockets of a core.
pub(super) struct Sockets {
    clients: Acceptor,
    peers: Acceptor,
    places: Vec<Option<Socket>>,
    free: Vec<u32>,
    /// By the index of a connection: its place here.
    by_connection: Vec<u32>,
    /// By the index of a link: its place here.
    by_link: Vec<u32>,
    /// Sends in flight.
    sending: usize,
}

impl Sockets {
    pub(super) fn new(clients: Listener, peers: Option<Listener>) -> Sockets {
        Sockets {
            clients: Acceptor::new(Audience::Clients, Some(clients)),
            peers: Acceptor::new(Audience::Peers, peers),
            places: Vec::new(),
            free: Vec::new(),
            by_connection: Vec::new(),
            by_link: Vec::new(),
            sending: 0,
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending > 0
    }

    pub(super) fn listen(&mut self, audience: Audience, ring: &mut Ring) -> io::Result<()> {
        self.acceptor(audience).listen(ring)
    }

    pub(super) fn stop_accepting(&mut self) {
        self.clients.stop();
        self.peers.stop();
    }

    pub(super) fn accepted(
        &mut self,
        audience: Audience,
        (result, flags): (i32, u32),
        now: u64,
        core: &mut Core,
        ring: &mut Ring,
    ) -> io::Result<()> {
        if result >= 0 {
            // SAFETY: the kernel has just given this descriptor to us.
            let descriptor = unsafe { OwnedFd::from_raw_fd(result) };
            let owner = match audience {
                Audience::Clients => Owner::Client(core.handle_opened()),
                Audience::Peers => Owner::Peer(core.handle_peer_accepted()),
            };
            self.open(descriptor, owner, ring)?;
        }
        self.acceptor(audience).accepted(result, flags, now, ring)
    }

    /// When to call [`Sockets::handle_time`].
    pub(super) fn next_due(&self) -> Option<u64> {
        [self.clients.due(), self.peers.due()].into_iter().flatten().min()
    }

    /// Accepts again after a shortage.
    pub(super) fn handle_time(&mut self, now: u64, ring: &mut Ring) -> io::Result<()> {
        self.clients.handle_time(now, ring)?;
        self.peers.handle_time(now, ring)
    }

    pub(super) fn received(
        &mut self,
        place: u32,
        result: i32,
        core: &mut Core,
        ring: &mut Ring,
    ) -> io::Result<()> {
        let socket = self.socket(place);
        socket.receiving = false;
        if socket.dead || result == 0 || (result < 0 && !is_retry(result)) {
            // Bytes may still come after the socket was shut down: a receive of a whole frame ends with its part.
            return self.end(place, core);
        }
        if result > 0 {
            socket.take(result as usize, core);
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
        let socket = self.socket(place);
        socket.sending = false;
        if socket.dead || (result < 0 && !is_retry(result)) {
            return self.end(place, core);
        }
        socket.went(result.max(0) as usize);
        self.send(place, core, ring)
    }

    /// Sends what the core has for a client.
    pub(super) fn flush(&mut self, id: ConnectionId, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        self.flush_place(self.by_connection[id.index as usize], Owner::Client(id), core, ring)
    }

    /// Sends what the core has for a peer.
    pub(super) fn flush_link(&mut self, id: LinkId, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        self.flush_place(self.by_link[id.index as usize], Owner::Peer(id), core, ring)
    }

    /// Takes a connected socket in.
    pub(super) fn open(&mut self, descriptor: OwnedFd, owner: Owner, ring: &mut Ring) -> io::Result<()> {
        let options = SockRef::from(&descriptor);
        // Both are advice: a socket without them still works, and a dead one shows at its first use.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_keepalive(true);
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[place as usize] = Some(Socket::new(descriptor, owner));
        let (places, index) = match owner {
            Owner::Client(id) => (&mut self.by_connection, id.index as usize),
            Owner::Peer(id) => (&mut self.by_link, id.index as usize),
        };
        if places.len() <= index {
            places.resize(index + 1, u32::MAX);
        }
        places[index] = place;
        self.receive(place, ring)
    }

    fn flush_place(&mut self, place: u32, owner: Owner, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        let socket = self.socket(place);
        assert_eq!(socket.owner, owner, "place {place} is another's");
        if socket.dead {
            return Ok(());
        }
        if owner.is_given_up(core) {
            return self.end(place, core);
        }
        if socket.sending {
            return Ok(());
        }
        self.send(place, core, ring)
    }

    fn receive(&mut self, place: u32, ring: &mut Ring) -> io::Result<()> {
        let socket = self.socket(place);
        if socket.closing || socket.dead {
            return Ok(());
        }
        let entry = socket.receive_entry(place);
        ring.make_room(1)?;
        ring.push(entry);
        Ok(())
    }

    fn send(&mut self, place: u32, core: &mut Core, ring: &mut Ring) -> io::Result<()> {
        let socket = self.socket(place);
        let Some(entry) = socket.send_entry(place, core) else {
            return if socket.closing { self.end(place, core) } else { Ok(()) };
        };
        self.sending += 1;
        ring.make_room(1)?;
        ring.push(entry);
        Ok(())
    }

    /// Shuts a socket down, and frees it once nothing is in flight on it.
    fn end(&mut self, place: u32, core: &mut Core) -> io::Result<()> {
        let socket = self.socket(place);
        socket.shut_down();
        if !socket.is_busy() {
            socket.owner.closed(core);
            self.places[place as usize] = None;
            self.free.push(place);
        }
        Ok(())
    }

    fn socket(&mut self, place: u32) -> &mut Socket {
        match &mut self.places[place as usize] {
            Some(socket) => socket,
            None => panic!("an operation on place {place}, where no socket is"),
        }
    }

    fn acceptor(&mut self, audience: Audience) -> &mut Acceptor {
        match audience {
            Audience::Clients => &mut self.clients,
            Audience::Peers => &mut self.peers,
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in self.places.drain(..).flatten() {
            if socket.is_busy() {
                // The kernel may still use its buffers.
                std::mem::forget(socket);
            }
        }
    }
}

fn is_retry(result: i32) -> bool {
    matches!(-result, libc::EINTR | libc::EAGAIN)
}
