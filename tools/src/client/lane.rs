//! A lane: the way to one port of one replica, up or down, with what waits for it and what is under way on it.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Tick;
use super::finder::SiteId;
use super::options::Options;
use super::pending::Job;
use super::session::Session;

/// The way to one port of a replica. Events queue here while it is down or has no credit.
#[derive(Debug)]
pub(super) struct Lane {
    pub site: SiteId,
    /// The port at the replica's host.
    pub port: u16,
    pub part: Part,
    pub session: Option<Session>,
    /// Tickets to be sent; none unless the lane is [`Part::Current`].
    pub queue: VecDeque<u64>,
    pub in_flight: Vec<Option<InFlight>>,
    /// Places in `in_flight` to be used again.
    free: Vec<usize>,
    /// While down: not to connect before.
    pub connect_at: Tick,
    /// While down: since when. A lane is connected again only after the leader was heard of later than that.
    pub lost_at: Tick,
    pub backoff: Duration,
    /// When anything came, a pong included; or when it began to owe something.
    pub last_heard: Tick,
    /// When an answer came, or when it began to owe something.
    pub answered_at: Tick,
    /// The same, or when its silence was last found strange.
    pub progress_at: Tick,
    /// The shell has been told to connect and has not yet said how it went.
    pub connecting: bool,
}

/// What a lane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It leads to the leader.
    Current,
    /// It led to the leader before, until then. What was under way goes again elsewhere; answers still count.
    Former(Tick),
    /// It leads to the leader again, but still owes what went elsewhere since: it begins with a new connection.
    Renewed,
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
    pub(super) fn new(site: SiteId, port: u16, now: Tick) -> Lane {
        Lane {
            site,
            port,
            part: Part::Current,
            session: None,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            free: Vec::new(),
            connect_at: now,
            lost_at: Tick::default(),
            backoff: Duration::ZERO,
            last_heard: Tick::default(),
            answered_at: Tick::default(),
            progress_at: Tick::default(),
            connecting: false,
        }
    }

    /// The session, if events may be sent on it.
    pub(super) fn ready(&mut self) -> Option<&mut Session> {
        self.session.as_mut().filter(|session| session.is_welcomed() && self.part == Part::Current)
    }

    /// Keeps a request and returns its tag.
    pub(super) fn track(&mut self, request: InFlight, now: Tick) -> u64 {
        if !self.is_owed() {
            self.handle_owed(now);
        }
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

    /// The connection is gone. One that is only to be renewed is made again at once: nothing was met that would speak
    /// against the leader, which has just been heard of.
    pub(super) fn handle_lost(&mut self, now: Tick, options: &Options) {
        self.session = None;
        self.connecting = false;
        self.in_flight.clear();
        self.free.clear();
        if self.part == Part::Renewed {
            self.part = Part::Current;
            self.connect_at = now;
            self.lost_at = Tick::default();
        } else {
            self.lost_at = now;
            self.backoff = (self.backoff * 2).clamp(options.backoff_min, options.backoff_max);
            self.connect_at = now.after(self.backoff);
        }
    }

    /// Everything that waits here or is under way, each event once, in the order in which the caller enqueued.
    pub(super) fn jobs(&mut self) -> Vec<Job> {
        let mut jobs: Vec<Job> = self.queue.drain(..).map(Job::Event).collect();
        if self.part == Part::Current {
            for request in self.in_flight.iter().flatten() {
                match request {
                    InFlight::Events(tickets) => {
                        let open = tickets.iter().filter(|ticket| **ticket != ANSWERED);
                        jobs.extend(open.map(|ticket| Job::Event(*ticket)));
                    }
                    InFlight::Read(number) => jobs.push(Job::Read(*number)),
                }
            }
        }
        jobs.sort_unstable();
        jobs
    }

    /// Another replica leads, or none is known to.
    pub(super) fn retire(&mut self, now: Tick) {
        assert!(self.queue.is_empty(), "events wait for a replica that does not lead");
        if !matches!(self.part, Part::Former(_)) {
            self.part = Part::Former(now);
        }
    }

    /// The replica leads, perhaps again.
    pub(super) fn revive(&mut self, now: Tick) {
        self.part = match (&self.session, self.part) {
            (Some(session), Part::Former(_)) if session.is_waiting() => Part::Renewed,
            (_, Part::Renewed) => Part::Renewed,
            _ => Part::Current,
        };
        if self.session.is_none() {
            self.connect_at = now;
            self.lost_at = Tick::default();
        }
    }

    /// Whether it is to be connected and is not.
    pub(super) fn is_down(&self) -> bool {
        self.part == Part::Current && self.session.is_none() && !self.connecting
    }

    /// From now on the replica owes something.
    pub(super) fn handle_owed(&mut self, now: Tick) {
        self.last_heard = now;
        self.answered_at = now;
        self.progress_at = now;
    }

    /// Whether the replica owes something here, a welcome included.
    pub(super) fn is_owed(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_waiting)
    }

    /// From when on it is strange that nothing was answered.
    pub(super) fn stalled_at(&self, options: &Options) -> Tick {
        match self.part {
            Part::Current if self.is_owed() => self.progress_at.after(options.request_timeout),
            _ => Tick::NEVER,
        }
    }

    /// When the connection is to be closed.
    pub(super) fn close_at(&self, options: &Options) -> Tick {
        match (&self.session, self.part) {
            (None, _) => Tick::NEVER,
            (Some(_), Part::Renewed) => Tick::default(),
            (Some(session), Part::Former(_)) if !session.is_waiting() => Tick::default(),
            (Some(_), Part::Former(since)) => since.after(options.silence_timeout),
            (Some(session), Part::Current) if session.is_waiting() => {
                let unheard = self.last_heard.after(options.silence_timeout);
                unheard.min(self.answered_at.after(options.answer_timeout))
            }
            (Some(_), Part::Current) => Tick::NEVER,
        }
    }
}
