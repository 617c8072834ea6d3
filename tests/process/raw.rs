//! A connection on which anything can be said: the protocol by hand, without the client library's manners.

use std::io::{ErrorKind, Read as _, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use assize_inventory::INVENTORY;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{
    Answer, Answers, Consistency, EntityRef, Hello, Read, Refused, RefusedCode, Submit, Welcome,
};
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, EntityId};

use crate::engine::DEADLINE;

/// One TCP connection.
pub struct Raw {
    pub stream: TcpStream,
    received: Vec<u8>,
}

/// A frame that came.
#[derive(Debug)]
pub struct Received {
    pub kind: FrameKind,
    pub request: u64,
    pub payload: Vec<u8>,
}

/// How one event was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief {
    pub status: Status,
    pub reason: u16,
    pub slot: u64,
    pub retry_after_us: u32,
}

impl Raw {
    pub fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
        stream.set_write_timeout(Some(DEADLINE)).expect("a time limit");
        Raw { stream, received: Vec::new() }
    }

    /// Connected, and welcomed.
    pub fn welcomed(address: &str) -> Raw {
        let mut raw = Raw::connect(address);
        raw.send(&hello(ClusterId(0)));
        raw.read_welcome();
        raw
    }

    pub fn read_welcome(&mut self) -> Welcome {
        let frame = self.read().expect("a welcome, not the end");
        assert_eq!(frame.kind, FrameKind::Welcome);
        Welcome::parse(&frame.payload).expect("a welcome")
    }

    /// Sends bytes. The other side may close while they are on the way.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if !is_closed(error.kind()) => panic!("sending {} bytes: {error}", bytes.len()),
            _ => {}
        }
    }

    /// Sends no more.
    pub fn end(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Whether the other side has closed it, though nothing was read.
    pub fn is_reset(&mut self) -> bool {
        // A few bytes at a time: what is refused anyway may be sent on.
        self.stream.write(&[0]).is_err_and(|error| is_closed(error.kind()))
    }

    /// The next frame; nothing when the connection is closed.
    pub fn read(&mut self) -> Option<Received> {
        loop {
            if let Parsed::Whole { frame, bytes } =
                Frame::parse(&self.received).expect("a replica sends frames")
            {
                let received =
                    Received { kind: frame.kind, request: frame.request, payload: frame.payload.to_vec() };
                self.received.drain(..bytes);
                return Some(received);
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if is_closed(error.kind()) => return None,
                Err(error) => panic!("neither a frame nor the connection's end within {DEADLINE:?}: {error}"),
            }
        }
    }

    /// Reads a refusal, and then the connection's end.
    pub fn read_refusal(&mut self) -> RefusedCode {
        let frame = self.read().expect("a refusal before the end");
        assert_eq!(frame.kind, FrameKind::Refused, "{frame:?}");
        let refused = Refused::parse(&frame.payload).expect("a refusal");
        assert!(refused.text.len() > 10, "it says too little: {refused:?}");
        assert!(self.read().is_none(), "it is refused and not closed");
        refused.code
    }

    /// Reads an item's state of this replica alone: with which code that is refused; nothing if the connection ends.
    pub fn read_locally(&mut self, entity: EntityId) -> Option<RefusedCode> {
        let entities = [EntityRef::new(INVENTORY, entity)];
        let mut payload = Vec::new();
        Read { consistency: Consistency::Local, entities: &entities }.encode(&mut payload);
        self.send(&frame(FrameKind::Read, 7, &payload));
        let frame = self.read()?;
        assert_eq!((frame.kind, frame.request), (FrameKind::Refused, 7), "{frame:?}");
        Some(Refused::parse(&frame.payload).expect("a refusal").code)
    }

    /// Submits events and reads all their answers, in the events' order.
    pub fn submit(&mut self, request: u64, events: &[Vec<u8>]) -> Vec<Brief> {
        self.send(&submit(request, events.len() as u32, &events.concat()));
        let mut answered = vec![None; events.len()];
        while answered.contains(&None) {
            let frame = self.read().expect("answers, not the end");
            assert_eq!((frame.kind, frame.request), (FrameKind::Answers, request));
            for answer in Answers::parse(&frame.payload).expect("answers") {
                let Answer { index, status, reason, position, retry_after_us, .. } =
                    answer.expect("an answer");
                let brief = Brief { status, reason, slot: position.slot.0, retry_after_us };
                assert_eq!(answered[index as usize].replace(brief), None, "event {index} is answered twice");
            }
        }
        answered.into_iter().flatten().collect()
    }

    /// Submits events again while they are told `busy`: a replica that has just started prepares its first segments.
    pub fn submit_admitted(&mut self, request: u64, events: &[Vec<u8>]) -> Vec<Brief> {
        let until = Instant::now() + DEADLINE;
        loop {
            let answers = self.submit(request, events);
            if answers.iter().all(|answer| answer.status != Status::Busy) {
                return answers;
            }
            assert!(Instant::now() < until, "busy for {DEADLINE:?}");
        }
    }
}

pub fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

/// A whole frame.
pub fn frame(kind: FrameKind, request: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = FrameWriter::begin(&mut bytes, kind, request);
    bytes.extend_from_slice(payload);
    writer.finish(&mut bytes);
    bytes
}

pub fn hello(cluster: ClusterId) -> Vec<u8> {
    let mut payload = Vec::new();
    Hello { cluster }.encode(&mut payload);
    frame(FrameKind::Hello, 0, &payload)
}

/// A submission that says it has `count` events.
pub fn submit(request: u64, count: u32, events: &[u8]) -> Vec<u8> {
    let mut payload = Submit::header(count).to_vec();
    payload.extend_from_slice(events);
    frame(FrameKind::Submit, request, &payload)
}
