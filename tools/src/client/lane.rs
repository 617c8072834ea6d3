//! A lane: the way to one port, up or down, with what waits for it and what is under way on it.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Tick;
use super::options::Options;
use super::pending::Job;
use super::session::Session;

/// The way to one port. Events queue here while it is down or has no credit.
#[derive(Debug)]
pub(super) struct Lane {
    /// The port at the replica's host; `None` for that of the address as given.
    pub port: Option<u16>,
    pub session: Option<Session>,
    pub queue: VecDeque<u64>,
    pub in_flight: Vec<Option<InFlight>>,
    /// Places in `in_flight` to be used again.
    free: Vec<usize>,
    /// While down: when to connect. While up: unused.
    pub connect_at: Tick,
    pub backoff: Duration,
    pub last_heard: Tick,
    /// The shell has been told to connect and has not yet said how it went.
    pub connecting: bool,
}

/// A request under way.
#[derive(Debug)]
pub(super) enum InFlight {
    /// The tickets by index in the request; [`ANSWERED`] where the answer came.
    Events(Vec<u64>),
    Read(u64),
}

/// Stands for the ticket of an event that was answered.
pub(super) const ANSWERED: u64 = u64::MAX;

impl Lane {
    pub(super) fn new(port: Option<u16>, connect_at: Tick) -> Lane {
        Lane {
            port,
            session: None,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            free: Vec::new(),
            connect_at,
            backoff: Duration::ZERO,
            last_heard: Tick::default(),
            connecting: false,
        }
    }

    /// The session, if the handshake is done.
    pub(super) fn ready(&mut self) -> Option<&mut Session> {
        self.session.as_mut().filter(|session| session.is_welcomed())
    }

    /// Keeps a request and returns its tag.
    pub(super) fn track(&mut self, request: InFlight) -> u64 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.in_flight.push(None);
            self.in_flight.len() - 1
        });
        self.in_flight[at] = Some(request);
        at as u64
    }

    /// The request is over: its tag may be used again.
    pub(super) fn finish(&mut self, tag: u64) -> Option<InFlight> {
        let request = self.in_flight[tag as usize].take();
        if request.is_some() {
            self.free.push(tag as usize);
        }
        request
    }

    /// The connection is gone: everything under way is to be sent again. Events go back to this lane's queue, ahead
    /// of what waits there; reads are returned, for any lane.
    pub(super) fn handle_lost(&mut self, now: Tick, options: &Options) -> Vec<Job> {
        self.session = None;
        self.connecting = false;
        self.backoff = (self.backoff * 2).clamp(options.backoff_min, options.backoff_max);
        self.connect_at = now.after(self.backoff);
        let mut reads = Vec::new();
        self.free.clear();
        for request in std::mem::take(&mut self.in_flight).into_iter().flatten().rev() {
            match request {
                InFlight::Events(tickets) => {
                    for ticket in tickets.into_iter().rev().filter(|ticket| *ticket != ANSWERED) {
                        self.queue.push_front(ticket);
                    }
                }
                InFlight::Read(read) => reads.push(Job::Read(read)),
            }
        }
        reads
    }

    /// When this lane next needs attention by itself.
    pub(super) fn next_timeout(&self, options: &Options) -> Tick {
        match &self.session {
            Some(session) if session.is_waiting() => self.last_heard.after(options.silence_timeout),
            Some(_) => Tick::NEVER,
            None if self.connecting => Tick::NEVER,
            None => self.connect_at,
        }
    }
}
