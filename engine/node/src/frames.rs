//! Clients' frames: each is taken in, answered at once, or refused with a reason.

use alloc::string::ToString;

use assize_wire::frame::{Frame, FrameKind, FrameWriter};
use assize_wire::message::{Hello, Read, Refused, RefusedCode, Submit};
use assize_wire::{ClusterId, StreamTime};

use crate::connections::ConnectionId;
use crate::core::Core;
use crate::output::Output;

impl Core {
    /// A whole frame of a client.
    pub(crate) fn handle_frame(&mut self, id: ConnectionId, frame: &Frame<'_>) {
        let greeted = self.connections.get(id).is_some_and(|connection| connection.greeted);
        match frame.kind {
            FrameKind::Hello => self.greet(id, frame),
            _ if !greeted => {
                let text = "the first frame on a connection must be Hello".into();
                self.refuse_and_close(id, frame.request, RefusedCode::HelloExpected, text);
            }
            FrameKind::Submit => match Submit::parse(frame.payload) {
                Ok(submit) => {
                    let (time, now) = (self.stream_time, self.now.monotonic_ns);
                    self.usher.submit(&mut self.connections, id, frame.request, &submit, time, now);
                }
                Err(error) => {
                    self.refuse_and_close(id, frame.request, RefusedCode::BadMessage, error.to_string())
                }
            },
            FrameKind::Read => match Read::parse(frame.payload) {
                Ok(read) => self.read(id, frame.request, &read),
                Err(error) => {
                    self.refuse_and_close(id, frame.request, RefusedCode::BadMessage, error.to_string())
                }
            },
            FrameKind::Ping => self.connections.write(id, |out| {
                FrameWriter::begin(out, FrameKind::Pong, frame.request).finish(out);
            }),
            kind @ (FrameKind::Welcome
            | FrameKind::Answers
            | FrameKind::States
            | FrameKind::Refused
            | FrameKind::Pong) => {
                let text = alloc::format!("{kind:?} is what a replica sends, not a client");
                self.refuse_and_close(id, frame.request, RefusedCode::BadMessage, text);
            }
        }
    }

    fn greet(&mut self, id: ConnectionId, frame: &Frame<'_>) {
        let hello = match Hello::parse(frame.payload) {
            Ok(hello) => hello,
            Err(error) => {
                self.refuse_and_close(id, frame.request, RefusedCode::BadMessage, error.to_string());
                return;
            }
        };
        let cluster = self.greeting.cluster;
        if hello.cluster != ClusterId(0) && hello.cluster != cluster {
            let text = alloc::format!("this is cluster {cluster}, not {}: check the address", hello.cluster);
            self.refuse_and_close(id, frame.request, RefusedCode::OtherCluster, text);
            return;
        }
        // Stream time stands still while nothing is ordered, and deadlines are judged at the time of a slot to come.
        let time = self.stream_time.max(StreamTime(self.now.wall_ns));
        let own = self.usher.is_admitting().then_some(self.greeting.replica);
        let leader = own.or(self.usher.leader);
        let credit_events = self.usher.limits.credit_events;
        let welcome = self.greeting.welcome(leader, self.routing.seed, credit_events, time);
        if let Some(connection) = self.connections.get(id) {
            connection.greeted = true;
        }
        self.connections.write(id, |out| {
            let writer = FrameWriter::begin(out, FrameKind::Welcome, frame.request);
            welcome.encode(out);
            writer.finish(out);
        });
    }

    /// Says why, to the client and to the operator, and closes the connection.
    pub(crate) fn refuse_and_close(
        &mut self,
        id: ConnectionId,
        request: u64,
        code: RefusedCode,
        text: alloc::string::String,
    ) {
        let refused = Refused { code, retry_after_us: 0, text };
        self.connections.refuse(id, request, &refused, true);
        self.outputs.push_back(Output::Refused(refused));
    }
}
