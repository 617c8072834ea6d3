//! An echo server on one io_uring, shaped as the engine's reactor: a multishot accept, a receive armed on every
//! connection, completions run when the thread enters the kernel, and one system call a turn for everything.
//!
//! Invariant: connections and their buffers live until the process ends; the kernel holds the buffers' addresses, and
//! no buffer is touched or moved while an operation on it is in flight.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

/// Serves until an operation fails.
pub(super) fn serve(listener: &TcpListener) -> io::Result<()> {
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(ENTRIES * 4)
        .build(ENTRIES)?;
    let mut server = Server { ring, connections: Vec::new(), to_send: Vec::new() };
    let result = server.run(listener);
    // The kernel may still use the buffers.
    std::mem::forget(server);
    result
}

struct Server {
    ring: IoUring,
    connections: Vec<Connection>,
    /// Connections that have something to send and are not sending.
    to_send: Vec<usize>,
}

struct Connection {
    socket: OwnedFd,
    /// The kernel's while a receive is in flight.
    input: Vec<u8>,
    /// The kernel's while a send is in flight.
    output: Vec<u8>,
    /// What waits for the send in flight.
    next: Vec<u8>,
    sending: bool,
}

impl Server {
    fn run(&mut self, listener: &TcpListener) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        self.push(accept.build().user_data(ACCEPT << 32))?;
        loop {
            self.reap()?;
            for at in std::mem::take(&mut self.to_send) {
                self.send(at)?;
            }
            let timeout = Timespec::from(Duration::from_secs(1));
            let waited = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout));
            match waited {
                Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {
                    return Err(error);
                }
                _ => {}
            }
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        loop {
            let Some(entry) = self.ring.completion().next() else { return Ok(()) };
            let at = (entry.user_data() & u64::from(u32::MAX)) as usize;
            let result = entry.result();
            if result < 0 {
                return Err(io::Error::from_raw_os_error(-result));
            }
            match entry.user_data() >> 32 {
                ACCEPT => self.open(result)?,
                RECEIVE if result == 0 => {}
                RECEIVE => {
                    let connection = &mut self.connections[at];
                    connection.next.extend_from_slice(&connection.input[..result as usize]);
                    if !connection.sending {
                        connection.sending = true;
                        self.to_send.push(at);
                    }
                    self.receive(at)?;
                }
                _ => {
                    let connection = &mut self.connections[at];
                    assert_eq!(result as usize, connection.output.len(), "a short send");
                    connection.sending = !connection.next.is_empty();
                    if connection.sending {
                        self.to_send.push(at);
                    }
                }
            }
        }
    }

    fn open(&mut self, fd: i32) -> io::Result<()> {
        // SAFETY: the kernel has just given this descriptor to us.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let stream = std::net::TcpStream::from(socket);
        stream.set_nodelay(true)?;
        let input = vec![0; INPUT_BYTES];
        let (output, next) = (Vec::new(), Vec::new());
        self.connections.push(Connection { socket: stream.into(), input, output, next, sending: false });
        self.receive(self.connections.len() - 1)
    }

    fn receive(&mut self, at: usize) -> io::Result<()> {
        let connection = &mut self.connections[at];
        let (pointer, room) = (connection.input.as_mut_ptr(), connection.input.len() as u32);
        let entry = opcode::Recv::new(Fd(connection.socket.as_raw_fd()), pointer, room);
        self.push(entry.build().user_data(RECEIVE << 32 | at as u64))
    }

    fn send(&mut self, at: usize) -> io::Result<()> {
        let connection = &mut self.connections[at];
        connection.output.clear();
        std::mem::swap(&mut connection.output, &mut connection.next);
        let (pointer, length) = (connection.output.as_ptr(), connection.output.len() as u32);
        let entry = opcode::Send::new(Fd(connection.socket.as_raw_fd()), pointer, length)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
        self.push(entry.build().user_data(SEND << 32 | at as u64))
    }

    fn push(&mut self, entry: squeue::Entry) -> io::Result<()> {
        if self.ring.submission().is_full() {
            self.ring.submit()?;
        }
        // SAFETY: the entry names a descriptor and a buffer of a connection (or none), which live as long as the ring
        // and stay in place while it is in flight: see the head of this file.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(io::Error::other)
    }
}

const ENTRIES: u32 = 1024;
const INPUT_BYTES: usize = 16 << 10;

const ACCEPT: u64 = 1;
const RECEIVE: u64 = 2;
const SEND: u64 = 3;
