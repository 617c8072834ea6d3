//! Sockets and a clock around [`Core`]: it connects, reads and writes where the core says so, and decides nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::clock::Tick;
use super::core::{Core, LaneAction, LaneId};
use super::error::{ClientError, SessionError};

/// The I/O of one client.
#[derive(Debug)]
pub(super) struct Shell {
    poll: Poll,
    events: Events,
    streams: Vec<Option<TcpStream>>,
    names: Vec<String>,
    addresses: Vec<SocketAddr>,
    at: usize,
    start: Instant,
    /// What the last failed attempt met, for people.
    pub last: String,
    /// Set when a replica refused us for good.
    pub refused: Option<SessionError>,
}

impl Shell {
    pub(super) fn new(names: Vec<String>) -> Result<Shell, ClientError> {
        let mut shell = Shell {
            poll: Poll::new().map_err(ClientError::Poll)?,
            events: Events::with_capacity(64),
            streams: Vec::new(),
            names,
            addresses: Vec::new(),
            at: 0,
            start: Instant::now(),
            last: String::new(),
            refused: None,
        };
        shell.resolve()?;
        Ok(shell)
    }

    pub(super) fn now(&self) -> Tick {
        Tick(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// One turn: does what is due, waits at most until `until` for something to happen, and takes it in.
    pub(super) fn turn(&mut self, core: &mut Core, until: Tick) -> Result<(), ClientError> {
        let now = self.now();
        core.handle_timeout(now);
        if core.take_not_leader() && self.addresses.len() > 1 {
            self.move_on(core, now);
        }
        self.streams.resize_with(core.lanes(), || None);
        for lane in (0..core.lanes()).map(LaneId) {
            match core.poll_lane(lane, now) {
                LaneAction::None => {}
                LaneAction::Connect(port) => self.connect(core, lane, port, now),
                LaneAction::Close => self.lose(core, lane, "the connection fell silent".into()),
            }
            self.write(core, lane);
        }
        let wake = core.next_timeout().min(until);
        // Rounded up by epoll to its milliseconds; a wait that is over is not waited for.
        let wait = wake.since(self.now());
        match self.poll.poll(&mut self.events, Some(wait.min(Duration::from_secs(60)))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(ClientError::Poll(error)),
            _ => {}
        }
        let ready: Vec<LaneId> = self.events.iter().map(|event| LaneId(event.token().0)).collect();
        for lane in ready {
            self.read(core, lane);
            self.write(core, lane);
        }
        core.handle_timeout(self.now());
        for lane in (0..self.streams.len()).map(LaneId) {
            self.write(core, lane);
        }
        Ok(())
    }

    fn connect(&mut self, core: &mut Core, lane: LaneId, port: Option<u16>, now: Tick) {
        let mut address = self.addresses[self.at];
        if let Some(port) = port {
            address.set_port(port);
        }
        let connected = TcpStream::connect(address).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(lane.0), interest)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => {
                // Small requests must not wait for the acknowledgement of earlier ones; a socket that cannot be told
                // so still works.
                let _ = stream.set_nodelay(true);
                self.streams[lane.0] = Some(stream);
                core.handle_connected(lane, now);
            }
            Err(error) => self.lose(core, lane, format!("{address}: {error}")),
        }
    }

    fn read(&mut self, core: &mut Core, lane: LaneId) {
        loop {
            let Some(stream) = self.streams.get_mut(lane.0).and_then(Option::as_mut) else {
                return;
            };
            match stream.read(core.space(lane)) {
                Ok(0) => return self.lose(core, lane, "the replica closed the connection".into()),
                Ok(count) => {
                    if let Err(error) = core.handle_received(lane, count, self.now()) {
                        let why = error.to_string();
                        self.note_refusal(error);
                        return self.lose(core, lane, why);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
                Err(error) => return self.lose(core, lane, error.to_string()),
            }
        }
    }

    fn write(&mut self, core: &mut Core, lane: LaneId) {
        while !core.output(lane).is_empty() {
            let Some(stream) = self.streams.get_mut(lane.0).and_then(Option::as_mut) else {
                return;
            };
            match stream.write(core.output(lane)) {
                Ok(count) => core.handle_written(lane, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A connection still being made says one of these; epoll tells when it is there.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                {
                    return;
                }
                Err(error) => return self.lose(core, lane, error.to_string()),
            }
        }
    }

    /// Closes a lane and tells the core; the entry lane's loss moves on to the next address.
    fn lose(&mut self, core: &mut Core, lane: LaneId, why: String) {
        self.streams[lane.0] = None;
        self.last = why;
        let now = self.now();
        core.handle_lost(lane, now);
        if lane == LaneId(0) && self.addresses.len() > 1 {
            self.move_on(core, now);
        }
    }

    fn move_on(&mut self, core: &mut Core, now: Tick) {
        self.at += 1;
        if self.at == self.addresses.len() {
            // Names may point elsewhere by now; if they cannot be resolved, the old addresses stay.
            if let Err(error) = self.resolve() {
                self.last = error.to_string();
            }
            self.at = 0;
        }
        self.streams.iter_mut().for_each(|stream| *stream = None);
        core.handle_moved(now);
    }

    fn note_refusal(&mut self, error: SessionError) {
        use assize_wire::message::RefusedCode::{BadFrame, OtherCluster};
        let for_good = match &error {
            SessionError::OtherCluster => true,
            SessionError::Refused(refused) => matches!(refused.code, OtherCluster | BadFrame),
            _ => false,
        };
        if for_good {
            self.refused = Some(error);
        }
    }

    fn resolve(&mut self) -> Result<(), ClientError> {
        let mut addresses = Vec::new();
        let mut failure = None;
        for name in &self.names {
            match name.to_socket_addrs() {
                Ok(found) => addresses.extend(found),
                Err(source) => {
                    failure = Some(ClientError::Address { address: name.clone(), source });
                }
            }
        }
        if addresses.is_empty() {
            return Err(failure.unwrap_or_else(|| ClientError::Address {
                address: self.names.join(", "),
                source: io::Error::new(io::ErrorKind::InvalidInput, "no address"),
            }));
        }
        self.addresses = addresses;
        Ok(())
    }
}
