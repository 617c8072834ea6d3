//! One socket of a core, a client's or a peer's: its buffers, and what is in flight on it.

use std::os::fd::{AsRawFd, OwnedFd};

use assize_node::federation::LinkId;
use assize_node::{ConnectionId, Core};
use io_uring::{opcode, squeue, types};
use socket2::SockRef;

use super::ring::{TAG_RECEIVE, TAG_SEND};

/// What a socket is to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Client(ConnectionId),
    Peer(LinkId),
}

impl Owner {
    pub(super) fn received(self, core: &mut Core, bytes: &[u8]) -> (usize, usize) {
        match self {
            Owner::Client(id) => core.handle_received(id, bytes),
            Owner::Peer(id) => core.handle_peer_received(id, bytes),
        }
    }

    pub(super) fn take_bytes(self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        match self {
            Owner::Client(id) => core.take_bytes(id, out),
            Owner::Peer(id) => core.take_peer_bytes(id, out),
        }
    }

    pub(super) fn is_given_up(self, core: &mut Core) -> bool {
        match self {
            Owner::Client(id) => core.is_given_up(id),
            Owner::Peer(id) => core.is_peer_given_up(id),
        }
    }

    pub(super) fn closed(self, core: &mut Core) {
        match self {
            Owner::Client(id) => core.handle_closed(id),
            Owner::Peer(id) => core.handle_peer_closed(id),
        }
    }
}

/// One socket. Its buffers' addresses are the kernel's while something is in flight.
pub(super) struct Socket {
    pub(super) descriptor: OwnedFd,
    pub(super) owner: Owner,
    /// Received and not consumed: `input[consumed..filled]`.
    input: Vec<u8>,
    filled: usize,
    /// Bytes that must be there before the core can use them.
    needed: usize,
    pub(super) receiving: bool,
    /// What is being sent: `output[sent..]`.
    output: Vec<u8>,
    sent: usize,
    pub(super) sending: bool,
    /// Nothing more is received; it goes once everything is sent.
    pub(super) closing: bool,
    /// It is broken or the other side is gone; it goes once nothing is in flight.
    pub(super) dead: bool,
}

impl Socket {
    pub(super) fn new(descriptor: OwnedFd, owner: Owner) -> Socket {
        Socket {
            descriptor,
            owner,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            needed: 1,
            receiving: false,
            output: Vec::new(),
            sent: 0,
            sending: false,
            closing: false,
            dead: false,
        }
    }

    /// Whether the kernel holds addresses of its buffers.
    pub(super) fn is_busy(&self) -> bool {
        self.receiving || self.sending
    }

    /// Takes in bytes that came, and gives them to the core if there are enough.
    pub(super) fn take(&mut self, bytes: usize, core: &mut Core) {
        self.filled += bytes;
        if self.filled >= self.needed {
            let (consumed, needed) = self.owner.received(core, &self.input[..self.filled]);
            self.input.copy_within(consumed..self.filled, 0);
            self.filled -= consumed;
            self.needed = needed.max(1);
        }
    }

    /// The entry that receives what comes next.
    pub(super) fn receive_entry(&mut self, place: u32) -> squeue::Entry {
        if self.input.len() < self.needed {
            self.input.resize(self.needed, 0);
        }
        // A frame whose length is known is waited for whole: one completion instead of one for each segment. The
        // stretch behind it is left to the next receive.
        let missing = self.needed.saturating_sub(self.filled);
        let (room, flags) = if missing > WHOLE_FROM_BYTES {
            (missing, libc::MSG_WAITALL)
        } else {
            (self.input.len() - self.filled, 0)
        };
        let pointer = self.input[self.filled..].as_mut_ptr();
        self.receiving = true;
        opcode::Recv::new(types::Fd(self.descriptor.as_raw_fd()), pointer, room as u32)
            .flags(flags)
            .build()
            .user_data(u64::from(TAG_RECEIVE) << 56 | u64::from(place))
    }

    /// Takes in bytes that went.
    pub(super) fn went(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// The entry that sends what is there, if anything is: what was left over, or what the core has now.
    pub(super) fn send_entry(&mut self, place: u32, core: &mut Core) -> Option<squeue::Entry> {
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
            self.closing |= self.owner.take_bytes(core, &mut self.output);
        }
        if self.output.is_empty() {
            return None;
        }
        let rest = &self.output[self.sent..];
        let descriptor = types::Fd(self.descriptor.as_raw_fd());
        let entry = opcode::Send::new(descriptor, rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(u64::from(TAG_SEND) << 56 | u64::from(place));
        self.sending = true;
        Some(entry)
    }

    /// It is of no more use: ends an operation in flight, if there is one.
    pub(super) fn shut_down(&mut self) {
        self.dead = true;
        // An error says that it is down already.
        let _ = SockRef::from(&self.descriptor).shutdown(std::net::Shutdown::Both);
    }
}

/// What one connection may receive at once before a larger frame is announced.
const INPUT_BYTES: usize = 16 << 10;

/// Frames missing more than this are received whole.
const WHOLE_FROM_BYTES: usize = 64 << 10;
