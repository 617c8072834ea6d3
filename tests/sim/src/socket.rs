//! Clients' connections: how many of the bytes that were sent have come is drawn.

use std::collections::VecDeque;

use assize_node::ConnectionId;

use crate::replica::Replica;

/// A client's connection, seen from both sides.
pub(crate) struct Socket {
    pub(crate) core: usize,
    pub(crate) id: ConnectionId,
    /// Sent by the client, not arrived.
    pub(crate) sent: VecDeque<u8>,
    /// Arrived, not consumed.
    pub(crate) arrived: Vec<u8>,
    pub(crate) needed: usize,
    /// For the client.
    pub(crate) answered: Vec<u8>,
    /// The core wants it closed.
    pub(crate) closing: bool,
    pub(crate) open: bool,
}

impl Replica {
    /// A client connects to a core.
    pub fn connect(&mut self, core: usize) -> usize {
        self.touch(core);
        let id = self.cores[core].handle_opened();
        self.sockets.push(Socket {
            core,
            id,
            sent: VecDeque::new(),
            arrived: Vec::new(),
            needed: 1,
            answered: Vec::new(),
            closing: false,
            open: true,
        });
        self.run_core(core);
        self.sockets.len() - 1
    }

    /// The client sends.
    pub fn send(&mut self, socket: usize, bytes: &[u8]) {
        let socket = &mut self.sockets[socket];
        if socket.open && !socket.closing {
            socket.sent.extend(bytes);
        }
    }

    /// What the replica sent on this connection since it was asked last.
    pub fn receive(&mut self, socket: usize) -> Vec<u8> {
        std::mem::take(&mut self.sockets[socket].answered)
    }

    /// Whether the connection is there and the replica does not want to close it.
    pub fn is_open(&self, socket: usize) -> bool {
        self.sockets[socket].open && !self.sockets[socket].closing
    }

    /// Whether the replica wants a connection closed that is not closed yet.
    pub fn is_closing(&self) -> bool {
        self.sockets.iter().any(|socket| socket.open && socket.closing)
    }

    /// Whether all that the client sent is with the core.
    pub fn has_arrived(&self, socket: usize) -> bool {
        self.sockets[socket].sent.is_empty()
    }

    /// The client goes, or what the replica closes is closed.
    pub fn close(&mut self, socket: usize) {
        let (core, id) = (self.sockets[socket].core, self.sockets[socket].id);
        if std::mem::replace(&mut self.sockets[socket].open, false) {
            self.touch(core);
            self.cores[core].handle_closed(id);
            self.run_core(core);
        }
    }

    pub(crate) fn arrive(&mut self, socket: usize) {
        let most = self.sockets[socket].sent.len() as u64;
        let count = if self.random.below(2) == 0 { most } else { 1 + self.random.below(most) } as usize;
        let state = &mut self.sockets[socket];
        state.arrived.extend(state.sent.drain(..count));
        if state.arrived.len() < state.needed {
            return;
        }
        let (core, id) = (state.core, state.id);
        self.touch(core);
        let state = &mut self.sockets[socket];
        let (consumed, needed) = self.cores[core].handle_received(id, &state.arrived);
        state.arrived.drain(..consumed);
        state.needed = needed.max(1);
        self.run_core(core);
    }
}
