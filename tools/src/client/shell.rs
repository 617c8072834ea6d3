//! Sockets and a clock around [`Core`]: it connects, reads and writes where the core says so, and decides nothing.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::clock::Tick;
use super::core::{Core, LaneAction, LaneId};
use super::error::{ClientError, SessionError};
use super::finder::SiteId;
use super::sites::Sites;

/// The I/O of one client.
#[derive(Debug)]
pub(super) struct Shell {
    poll: Poll,
    /// Somebody else's word ended the last wait.
    pub woken: bool,
    events: Events,
    streams: Vec<Option<TcpStream>>,
    sites: Sites,
    start: Instant,
    /// What the last failed attempt met, for people.
    pub last: String,
    /// For each site why it refused us for good, if it did.
    refused: Vec<Option<SessionError>>,
}

impl Shell {
    pub(super) fn new(sites: Sites) -> Result<Shell, ClientError> {
        Ok(Shell {
            poll: Poll::new().map_err(ClientError::Poll)?,
            woken: false,
            events: Events::with_capacity(64),
            streams: Vec::new(),
            start: Instant::now(),
            last: String::new(),
            refused: vec![None; sites.len()],
            sites,
        })
    }

    /// Ends a wait from another thread.
    pub(super) fn waker(&self) -> Result<Waker, ClientError> {
        mio::Waker::new(self.poll.registry(), WAKE).map(Waker).map_err(ClientError::Poll)
    }

    /// A replica is there from now on.
    pub(super) fn set_address(&mut self, site: SiteId, address: SocketAddr) {
        self.sites.set_address(site, address);
    }

    /// Addresses there are.
    pub(super) fn sites(&self) -> usize {
        self.sites.len()
    }

    /// Why no replica will ever serve us, if all have refused us for good.
    pub(super) fn refused(&self) -> Option<&SessionError> {
        self.refused.iter().all(Option::is_some).then(|| self.refused.first()?.as_ref()).flatten()
    }

    pub(super) fn now(&self) -> Tick {
        Tick(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// One turn: does what is due, waits at most until `until` for something to happen, and takes it in.
    pub(super) fn turn(&mut self, core: &mut Core, until: Tick) -> Result<(), ClientError> {
        let now = self.now();
        core.handle_timeout(now);
        self.streams.resize_with(core.lanes(), || None);
        for lane in (0..core.lanes()).map(LaneId) {
            match core.poll_lane(lane, now) {
                LaneAction::None => {}
                LaneAction::Connect(site, port) => self.connect(core, lane, (site, port), now),
                LaneAction::Close => self.close(core, lane),
            }
            self.write(core, lane);
        }
        let now = self.now();
        // Rounded up by epoll to its milliseconds; a wait that is over is not waited for.
        let wait = core.next_timeout(now).min(until).since(now);
        match self.poll.poll(&mut self.events, Some(wait.min(Duration::from_secs(60)))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(ClientError::Poll(error)),
            _ => {}
        }
        self.woken |= self.events.iter().any(|event| event.token() == WAKE);
        let lanes = self.events.iter().map(mio::event::Event::token).filter(|token| *token != WAKE);
        let ready: Vec<LaneId> = lanes.map(|token| LaneId(token.0)).collect();
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

    fn connect(&mut self, core: &mut Core, lane: LaneId, to: (SiteId, Option<u16>), now: Tick) {
        let address = self.sites.address(to.0, to.1);
        let connected = address.and_then(TcpStream::connect).and_then(|mut stream| {
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
            Err(error) => self.lose(core, lane, error.to_string()),
        }
    }

    /// The core wants it: it is not needed, or is silent.
    fn close(&mut self, core: &mut Core, lane: LaneId) {
        if core.is_silent(lane) {
            self.last = "the connection fell silent".into();
        }
        self.streams[lane.0] = None;
        core.handle_lost(lane, self.now());
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
                        self.note_refusal(lane, error);
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

    /// A lane's connection failed.
    fn lose(&mut self, core: &mut Core, lane: LaneId, why: String) {
        self.streams[lane.0] = None;
        self.last = why;
        core.handle_lost(lane, self.now());
        if lane.0 < self.sites.len() {
            self.sites.handle_unreachable();
        }
    }

    fn note_refusal(&mut self, lane: LaneId, error: SessionError) {
        use assize_wire::message::RefusedCode::{BadFrame, OtherCluster};
        let for_good = match &error {
            SessionError::OtherCluster => true,
            SessionError::Refused(refused) => matches!(refused.code, OtherCluster | BadFrame),
            _ => false,
        };
        if for_good && let Some(refused) = self.refused.get_mut(lane.0) {
            *refused = Some(error);
        }
    }
}

/// Ends a wait of a [`super::Client`] from another thread.
#[derive(Debug)]
pub struct Waker(mio::Waker);

impl Waker {
    /// Ends the wait that is under way, or else the next one.
    pub fn wake(&self) {
        if let Err(error) = self.0.wake() {
            panic!("an eventfd of one's own cannot be written: {error}");
        }
    }
}

/// No lane has this number.
const WAKE: Token = Token(usize::MAX);
