//! One connection's side of the protocol, without I/O: handshake, requests in flight, credit, frames in and out.
//!
//! Call order: [`Session::output`] holds `Hello` from the start; give received bytes with [`Session::space`] and
//! [`Session::handle_received`], then call [`Session::poll_event`] until it has nothing; after `Welcome` use
//! [`Session::submit`] and [`Session::read`]. After an error the connection must be closed.

use std::collections::VecDeque;

use assize_wire::frame::{Frame, FrameKind, FrameWriter};
use assize_wire::limits::STRIPE_EVENTS_MAX;
use assize_wire::message::{
    Answers, Consistency, EntityRef, Hello, Read, Refused, RefusedCode, States, Submit, Welcome,
};
use assize_wire::{ClusterId, StreamTime};

use super::error::SessionError;
use super::inbox::Inbox;

/// One connection.
#[derive(Debug)]
pub struct Session {
    welcomed: bool,
    inbox: Inbox,
    output: Vec<u8>,
    written: usize,
    /// Requests in flight; the one at the front has the number `first_request`.
    requests: VecDeque<Outstanding>,
    first_request: u64,
    /// Events that the replica allows unanswered; `unanswered <= credit` at every submit.
    credit: u32,
    unanswered: u32,
}

/// What a connection reported.
#[derive(Debug)]
pub enum SessionEvent<'a> {
    /// The handshake is done.
    Welcome(Welcome),
    /// Answers to some or all events of the request submitted with `tag`.
    Answers {
        /// The caller's own number for the request.
        tag: u64,
        /// Whether every event of the request is answered now.
        whole: bool,
        /// The answers, checked as they are read.
        answers: Answers<'a>,
    },
    /// States of some or all entities of the read with `tag`.
    States {
        /// The caller's own number for the request.
        tag: u64,
        /// Whether the read is whole now.
        whole: bool,
        /// The states, checked as they are read.
        states: States<'a>,
    },
    /// Nothing of the request was admitted; the same keys again after the hint.
    Refused {
        /// The caller's own number for the request.
        tag: u64,
        /// Why, and when to try again.
        refused: Refused,
    },
    /// The answer to a ping.
    Pong,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    tag: u64,
    kind: FrameKind,
    /// Events or entities without an answer; 0 when done.
    open: u32,
}

impl Session {
    /// A connection just made; `ClusterId(0)` accepts any cluster.
    #[must_use]
    pub fn new(cluster: ClusterId) -> Session {
        let mut session = Session {
            welcomed: false,
            inbox: Inbox::default(),
            output: Vec::new(),
            written: 0,
            requests: VecDeque::new(),
            first_request: 1,
            credit: 0,
            unanswered: 0,
        };
        let writer = FrameWriter::begin(&mut session.output, FrameKind::Hello, 0);
        Hello { cluster }.encode(&mut session.output);
        writer.finish(&mut session.output);
        session
    }

    /// Where to receive bytes; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// `count` bytes were received into [`Session::space`].
    pub fn handle_received(&mut self, count: usize) {
        self.inbox.handle_received(count);
    }

    /// Bytes to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// The first `count` bytes of [`Session::output`] were sent.
    pub fn handle_written(&mut self, count: usize) {
        self.written += count;
        assert!(self.written <= self.output.len(), "{count} bytes too many written");
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    /// Whether the handshake is done.
    #[must_use]
    pub fn is_welcomed(&self) -> bool {
        self.welcomed
    }

    /// How many events may be unanswered; 0 before the handshake.
    #[must_use]
    pub fn credit(&self) -> u32 {
        self.credit
    }

    /// How many more events may be submitted now.
    #[must_use]
    pub fn credit_left(&self) -> u32 {
        self.credit.saturating_sub(self.unanswered)
    }

    /// Whether anything waits for the replica, the handshake included.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.welcomed || !self.requests.is_empty()
    }

    /// Submits `count` encoded events as one request. The answers come with `tag`.
    ///
    /// # Panics
    /// Before the handshake, without credit for all of them, or with a count that no request may have: the caller
    /// asks [`Session::credit_left`] first.
    pub fn submit<'e>(&mut self, tag: u64, count: u32, events: impl Iterator<Item = &'e [u8]>) {
        assert!(self.welcomed && count <= self.credit_left(), "{count} events over the credit");
        assert!(count > 0 && count as usize <= STRIPE_EVENTS_MAX);
        let number = self.open_request(tag, FrameKind::Submit, count);
        self.unanswered += count;
        let writer = FrameWriter::begin(&mut self.output, FrameKind::Submit, number);
        self.output.extend_from_slice(&Submit::header(count));
        for event in events {
            self.output.extend_from_slice(event);
        }
        writer.finish(&mut self.output);
    }

    /// Asks for the states of `entities`. They come with `tag`.
    ///
    /// # Panics
    /// Before the handshake.
    pub fn read(&mut self, tag: u64, consistency: Consistency, entities: &[EntityRef]) {
        assert!(self.welcomed, "a read before the handshake");
        let number = self.open_request(tag, FrameKind::Read, entities.len() as u32);
        let writer = FrameWriter::begin(&mut self.output, FrameKind::Read, number);
        Read { consistency, entities }.encode(&mut self.output);
        writer.finish(&mut self.output);
    }

    /// Asks for a sign of life. The answer is [`SessionEvent::Pong`].
    ///
    /// # Panics
    /// Before the handshake.
    pub fn ping(&mut self) {
        assert!(self.welcomed, "a ping before the handshake");
        FrameWriter::begin(&mut self.output, FrameKind::Ping, PING_REQUEST).finish(&mut self.output);
    }

    /// The next thing that the received bytes say.
    ///
    /// # Errors
    /// [`SessionError`]: the connection must be closed; everything unanswered is open.
    pub fn poll_event(&mut self) -> Result<Option<SessionEvent<'_>>, SessionError> {
        let Some(frame) = self.inbox.next_frame().map_err(SessionError::Frame)? else {
            return Ok(None);
        };
        let mut requests = Requests {
            queue: &mut self.requests,
            first: &mut self.first_request,
            unanswered: &mut self.unanswered,
        };
        let event = match frame.kind {
            FrameKind::Welcome if !self.welcomed => {
                let welcome = Welcome::parse(frame.payload).map_err(SessionError::Message)?;
                self.welcomed = true;
                // A credit of nothing would be a connection on which nothing can ever be sent.
                self.credit = welcome.credit_events.max(1);
                SessionEvent::Welcome(welcome)
            }
            FrameKind::Refused => requests.refused(&frame)?,
            kind if !self.welcomed => return Err(SessionError::UnexpectedFrame { kind }),
            FrameKind::Answers => {
                let answers = Answers::parse(frame.payload).map_err(SessionError::Message)?;
                let (tag, whole) = requests.answered(&frame, FrameKind::Submit)?;
                SessionEvent::Answers { tag, whole, answers }
            }
            FrameKind::States => {
                let states = States::parse(frame.payload).map_err(SessionError::Message)?;
                let (tag, whole) = requests.answered(&frame, FrameKind::Read)?;
                SessionEvent::States { tag, whole, states }
            }
            FrameKind::Pong => SessionEvent::Pong,
            kind => return Err(SessionError::UnexpectedFrame { kind }),
        };
        Ok(Some(event))
    }

    fn open_request(&mut self, tag: u64, kind: FrameKind, open: u32) -> u64 {
        self.requests.push_back(Outstanding { tag, kind, open });
        self.first_request + self.requests.len() as u64 - 1
    }
}

/// The number of every ping: no other request comes so far, and it does not matter which of two is answered.
const PING_REQUEST: u64 = u64::MAX;

/// The requests in flight, apart from the buffer that the frame is read from.
struct Requests<'a> {
    queue: &'a mut VecDeque<Outstanding>,
    first: &'a mut u64,
    unanswered: &'a mut u32,
}

impl Requests<'_> {
    fn find(&mut self, number: u64) -> Result<&mut Outstanding, SessionError> {
        let at = number.checked_sub(*self.first).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.queue.get_mut(at))
            .filter(|request| request.open > 0)
            .ok_or(SessionError::UnknownRequest { number })
    }

    /// Counts the answers of a frame against its request, and says whether the request is whole.
    fn answered(&mut self, frame: &Frame<'_>, kind: FrameKind) -> Result<(u64, bool), SessionError> {
        // The message's own parser has checked that these four bytes are there and in range.
        let count =
            u32::from_le_bytes([frame.payload[0], frame.payload[1], frame.payload[2], frame.payload[3]]);
        let request = self.find(frame.request)?;
        if request.kind != kind || count > request.open {
            return Err(SessionError::TooManyAnswers { number: frame.request });
        }
        request.open -= count;
        let (tag, whole) = (request.tag, request.open == 0);
        if kind == FrameKind::Submit {
            *self.unanswered -= count;
        }
        self.retire();
        Ok((tag, whole))
    }

    fn refused<'f>(&mut self, frame: &Frame<'_>) -> Result<SessionEvent<'f>, SessionError> {
        let refused = Refused::parse(frame.payload).map_err(SessionError::Message)?;
        let whole_request = matches!(
            refused.code,
            RefusedCode::Busy | RefusedCode::NotServing | RefusedCode::NotLeader { .. }
        );
        if frame.request == 0 || !whole_request {
            return Err(SessionError::Refused(refused));
        }
        let request = self.find(frame.request)?;
        let (tag, kind, open) = (request.tag, request.kind, request.open);
        request.open = 0;
        if kind == FrameKind::Submit {
            *self.unanswered -= open;
        }
        self.retire();
        Ok(SessionEvent::Refused { tag, refused })
    }

    fn retire(&mut self) {
        while self.queue.front().is_some_and(|request| request.open == 0) {
            self.queue.pop_front();
            *self.first += 1;
        }
    }
}

impl SessionEvent<'_> {
    /// Stream time, where the frame tells it.
    #[must_use]
    pub fn stream_time(&self) -> Option<StreamTime> {
        match self {
            SessionEvent::Welcome(welcome) => Some(welcome.stream_time),
            SessionEvent::Answers { answers, .. } => Some(answers.stream_time),
            _ => None,
        }
    }
}
