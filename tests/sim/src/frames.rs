//! The client protocol as these clients speak it: frames and events as bytes, and what a replica says in return.

use assize_wire::event::encode_event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{
    Answers, Consistency, EntityRef, Hello, Read, Refused, RefusedCode, States, Submit,
};
use assize_wire::{ClusterId, EntityId, EventKey, Slot, StreamTime};

use crate::bank::{BANK, Op, VERSION};
use crate::model::Ended;

/// A frame as a client sends it.
pub fn frame(kind: FrameKind, request: u64, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = FrameWriter::begin(&mut bytes, kind, request);
    payload(&mut bytes);
    writer.finish(&mut bytes);
    bytes
}

/// How a client begins.
pub fn hello() -> Vec<u8> {
    frame(FrameKind::Hello, 0, |out| Hello { cluster: ClusterId(0) }.encode(out))
}

/// A request with these events, each as its bytes.
pub fn submit(request: u64, events: &[Vec<u8>]) -> Vec<u8> {
    frame(FrameKind::Submit, request, |out| {
        out.extend_from_slice(&Submit::header(events.len() as u32));
        events.iter().for_each(|event| out.extend_from_slice(event));
    })
}

/// A request for the states of these accounts.
pub fn read(request: u64, accounts: &[u128]) -> Vec<u8> {
    let entities: Vec<_> = accounts.iter().map(|account| EntityRef::new(BANK, EntityId(*account))).collect();
    let consistency = Consistency::Linearizable;
    frame(FrameKind::Read, request, |out| Read { consistency, entities: &entities }.encode(out))
}

/// An event of the bank.
pub fn event(key: u128, deadline: u64, op: &Op) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(&mut bytes, EventKey(key), StreamTime(deadline), BANK, VERSION, &op.encode()).unwrap();
    bytes
}

/// What a replica said in one frame.
#[derive(Debug)]
pub enum Said {
    /// The answer to Hello.
    Welcome,
    /// How events of a request ended.
    Answers {
        /// The request.
        request: u64,
        /// By their place in the request.
        answers: Vec<(u32, Ended)>,
    },
    /// States that a read asked for.
    States {
        /// The read.
        request: u64,
        /// As of this slot.
        slot: Slot,
        /// By their place in the read.
        states: Vec<(u32, Option<Vec<u8>>)>,
    },
    /// What was not taken.
    Refused {
        /// The request, or 0.
        request: u64,
        /// Why.
        code: RefusedCode,
    },
    /// The answer to Ping.
    Pong,
}

/// Takes whole frames off what a client received.
pub fn parse_frames(received: &mut Vec<u8>) -> Vec<Said> {
    let mut said = Vec::new();
    let mut at = 0;
    while let Parsed::Whole { frame, bytes } = Frame::parse(&received[at..]).expect("a replica sends frames")
    {
        at += bytes;
        let request = frame.request;
        said.push(match frame.kind {
            FrameKind::Welcome => Said::Welcome,
            FrameKind::Pong => Said::Pong,
            FrameKind::Refused => {
                Said::Refused { request, code: Refused::parse(frame.payload).unwrap().code }
            }
            FrameKind::Answers => {
                let answers = Answers::parse(frame.payload).unwrap().map(Result::unwrap);
                let answers = answers.map(|answer| {
                    let ended = Ended {
                        key: 0,
                        status: answer.status,
                        first_status: answer.first_status,
                        reason: answer.reason,
                        position: answer.position,
                        response: answer.response.to_vec(),
                    };
                    (answer.index, ended)
                });
                Said::Answers { request, answers: answers.collect() }
            }
            FrameKind::States => {
                let states = States::parse(frame.payload).unwrap();
                let slot = states.slot;
                let states = states.map(Result::unwrap);
                let states = states.map(|state| (state.index, state.state.map(<[u8]>::to_vec)));
                Said::States { request, slot, states: states.collect() }
            }
            kind => panic!("a replica says {kind:?}"),
        });
    }
    received.drain(..at);
    said
}
