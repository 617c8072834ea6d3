//! What the client protocol's frames carry, one type a kind. All integers are little-endian.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{
    ENTITY_STATE_BYTES_MAX, READ_ENTITIES_MAX, RESPONSE_BYTES_MAX, SHARDS_MAX, STRIPE_EVENTS_MAX, padded,
};
use crate::outcome::Status;
use crate::{ClusterId, DomainId, EntityId, Position, ReplicaId, ShardId, Slot, StreamTime};

/// `Hello`: which cluster the client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The cluster it expects, or `ClusterId(0)` for any.
    pub cluster: ClusterId,
}

impl Hello {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cluster.0.to_le_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &[u8]) -> Result<Hello, MessageError> {
        let bytes = <[u8; 16]>::try_from(payload).map_err(|_| MessageError::Truncated)?;
        Ok(Hello {
            cluster: ClusterId(u128::from_le_bytes(bytes)),
        })
    }
}

/// `Welcome`: all that a client must know to route, to set deadlines and to stay within its credit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The cluster.
    pub cluster: ClusterId,
    /// The replica that answers.
    pub replica: ReplicaId,
    /// The replica that leads, as far as this one knows.
    pub leader: ReplicaId,
    /// Keys the routing hash (see [`crate::routing::Routing`]).
    pub routing_seed: u64,
    /// Stream time now: deadlines lie above it and at most `warden_ttl_ns` ahead.
    pub stream_time: StreamTime,
    /// How long a key stays live, in nanoseconds of stream time.
    pub warden_ttl_ns: u64,
    /// Events that may be unanswered on this connection; more get `busy`.
    pub credit_events: u32,
    /// Voting replicas.
    pub replicas: u8,
    /// Equal digests that publishing needs.
    pub copies: u8,
    /// Whether answers survive a power cut (false on a memory filesystem).
    pub durable: bool,
    /// For each shard the TCP port on which its core listens, at the address the client used.
    pub ports: Vec<u16>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WelcomeHeader {
    cluster: U128,
    routing_seed: U64,
    stream_time: U64,
    warden_ttl_ns: U64,
    credit_events: U32,
    replica: u8,
    leader: u8,
    replicas: u8,
    copies: u8,
    durable: u8,
    reserved_a: u8,
    shards: U16,
    reserved_b: [u8; 12],
}

impl Welcome {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = WelcomeHeader {
            cluster: U128::new(self.cluster.0),
            routing_seed: U64::new(self.routing_seed),
            stream_time: U64::new(self.stream_time.0),
            warden_ttl_ns: U64::new(self.warden_ttl_ns),
            credit_events: U32::new(self.credit_events),
            replica: self.replica.0,
            leader: self.leader.0,
            replicas: self.replicas,
            copies: self.copies,
            durable: self.durable.into(),
            reserved_a: 0,
            shards: U16::new(self.ports.len() as u16),
            reserved_b: [0; 12],
        };
        out.extend_from_slice(header.as_bytes());
        for port in &self.ports {
            out.extend_from_slice(&port.to_le_bytes());
        }
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &[u8]) -> Result<Welcome, MessageError> {
        let (header, rest) = WelcomeHeader::ref_from_prefix(payload).map_err(|_| MessageError::Truncated)?;
        let shards = header.shards.get() as usize;
        if shards == 0 || shards > SHARDS_MAX {
            return Err(MessageError::BadCount {
                found: shards,
                max: SHARDS_MAX,
            });
        }
        if rest.len() != padded(shards * 2) {
            return Err(MessageError::Truncated);
        }
        Ok(Welcome {
            cluster: ClusterId(header.cluster.get()),
            replica: ReplicaId(header.replica),
            leader: ReplicaId(header.leader),
            routing_seed: header.routing_seed.get(),
            stream_time: StreamTime(header.stream_time.get()),
            warden_ttl_ns: header.warden_ttl_ns.get(),
            credit_events: header.credit_events.get(),
            replicas: header.replicas,
            copies: header.copies,
            durable: header.durable == 1,
            ports: rest[..shards * 2]
                .as_chunks::<2>()
                .0
                .iter()
                .map(|port| u16::from_le_bytes(*port))
                .collect(),
        })
    }
}

/// `Submit`: a 16-byte header with the number of events, then the events (see [`crate::event`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit<'a> {
    /// Events that follow, at least 1.
    pub count: u32,
    /// Their bytes, one event after the other. Not yet checked.
    pub events: &'a [u8],
}

impl<'a> Submit<'a> {
    /// The payload's header, to be followed by the events' bytes.
    #[must_use]
    pub fn header(count: u32) -> [u8; SUBMIT_HEADER_BYTES] {
        let mut bytes = [0; SUBMIT_HEADER_BYTES];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<Submit<'a>, MessageError> {
        let (count, events) = count_header(payload, STRIPE_EVENTS_MAX)?;
        Ok(Submit { count, events })
    }
}

/// One entry of `Answers`: a 32-byte header, then the response, padded to a multiple of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Which event of the request.
    pub index: u32,
    /// How it ended.
    pub status: Status,
    /// For a duplicate how the first submission ended; else equal to `status`.
    pub first_status: Status,
    /// The reason for a rejection or for `invalid`; else 0.
    pub reason: u16,
    /// Where the log has it; for a duplicate where it has the first submission. Slot 0 where it has no place.
    pub position: Position,
    /// With `busy`: when to try again, in microseconds.
    pub retry_after_us: u32,
    /// What the domain returned; for a duplicate what it returned to the first.
    pub response: &'a [u8],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AnswerHeader {
    index: U32,
    status: u8,
    first_status: u8,
    reason: U16,
    slot: U64,
    stripe_index: U32,
    shard: U16,
    response_bytes: U16,
    retry_after_us: U32,
    reserved: [u8; 4],
}

impl<'a> Answer<'a> {
    /// Appends it to `out`, padded.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = self.response.len();
        assert!(length <= RESPONSE_BYTES_MAX, "a response of {length} bytes");
        let header = AnswerHeader {
            index: U32::new(self.index),
            status: self.status as u8,
            first_status: self.first_status as u8,
            reason: U16::new(self.reason),
            slot: U64::new(self.position.slot.0),
            stripe_index: U32::new(self.position.index),
            shard: U16::new(self.position.shard.0),
            response_bytes: U16::new(length as u16),
            retry_after_us: U32::new(self.retry_after_us),
            reserved: [0; 4],
        };
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(self.response);
        out.resize(out.len() + padded(length) - length, 0);
    }

    fn parse(bytes: &'a [u8]) -> Result<(Answer<'a>, &'a [u8]), MessageError> {
        let (header, rest) = AnswerHeader::ref_from_prefix(bytes).map_err(|_| MessageError::Truncated)?;
        let length = header.response_bytes.get() as usize;
        if length > RESPONSE_BYTES_MAX {
            return Err(MessageError::BadCount {
                found: length,
                max: RESPONSE_BYTES_MAX,
            });
        }
        if rest.len() < padded(length) {
            return Err(MessageError::Truncated);
        }
        let (body, after) = rest.split_at(padded(length));
        let status =
            |number| Status::from_number(number).ok_or(MessageError::UnknownStatus { found: number });
        let answer = Answer {
            index: header.index.get(),
            status: status(header.status)?,
            first_status: status(header.first_status)?,
            reason: header.reason.get(),
            position: Position {
                slot: Slot(header.slot.get()),
                shard: ShardId(header.shard.get()),
                index: header.stripe_index.get(),
            },
            retry_after_us: header.retry_after_us.get(),
            response: &body[..length],
        };
        Ok((answer, after))
    }
}

/// `Answers`: a 16-byte header with the number of answers and stream time, then the answers. A request may be
/// answered by several frames; each of its events is answered in exactly one.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// Stream time as this replica knows it.
    pub stream_time: StreamTime,
    count: u32,
    rest: &'a [u8],
}

impl<'a> Answers<'a> {
    /// The payload's header, to be followed by `count` encoded answers.
    #[must_use]
    pub fn header(count: u32, stream_time: StreamTime) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes[8..].copy_from_slice(&stream_time.0.to_le_bytes());
        bytes
    }

    /// Reads the payload's header; the answers are checked as they are read.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<Answers<'a>, MessageError> {
        let (count, rest) = count_header(payload, STRIPE_EVENTS_MAX)?;
        let time = payload[8..16].try_into().map_err(|_| MessageError::Truncated)?;
        Ok(Answers {
            stream_time: StreamTime(u64::from_le_bytes(time)),
            count,
            rest,
        })
    }
}

impl<'a> Iterator for Answers<'a> {
    type Item = Result<Answer<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let read = Answer::parse(self.rest);
        match &read {
            Ok((_, after)) => self.rest = after,
            Err(_) => self.count = 0,
        }
        Some(read.map(|(answer, _)| answer))
    }
}

/// How fresh a read must be (C8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Consistency {
    /// The state at a published slot of whatever replica answers.
    Local = 1,
    /// Every event answered before the read was sent is seen.
    Linearizable = 2,
}

/// One entity of a `Read`: 32 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
pub struct EntityRef {
    entity: U128,
    domain: U16,
    reserved: [u8; 14],
}

impl EntityRef {
    /// Names an entity of a domain.
    #[must_use]
    pub fn new(domain: DomainId, entity: EntityId) -> EntityRef {
        EntityRef {
            entity: U128::new(entity.0),
            domain: U16::new(domain.0),
            reserved: [0; 14],
        }
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> EntityId {
        EntityId(self.entity.get())
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        DomainId(self.domain.get())
    }
}

/// `Read`: a 16-byte header with the number of entities and the consistency, then the entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// What to read, at least 1.
    pub entities: &'a [EntityRef],
}

impl<'a> Read<'a> {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&(self.entities.len() as u32).to_le_bytes());
        header[4] = self.consistency as u8;
        out.extend_from_slice(&header);
        out.extend_from_slice(self.entities.as_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<Read<'a>, MessageError> {
        let (count, rest) = count_header(payload, READ_ENTITIES_MAX)?;
        let consistency = match payload[4] {
            1 => Consistency::Local,
            2 => Consistency::Linearizable,
            found => return Err(MessageError::UnknownConsistency { found }),
        };
        let entities = <[EntityRef]>::ref_from_bytes(rest).map_err(|_| MessageError::Truncated)?;
        if entities.len() != count as usize {
            return Err(MessageError::BadCount {
                found: count as usize,
                max: entities.len(),
            });
        }
        Ok(Read {
            consistency,
            entities,
        })
    }
}

/// One entry of `States`: a 16-byte header, then the state, padded to a multiple of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityState<'a> {
    /// Which entity of the request.
    pub index: u32,
    /// Its state, or nothing if it is absent.
    pub state: Option<&'a [u8]>,
}

impl<'a> EntityState<'a> {
    /// Appends it to `out`, padded.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.state.unwrap_or(&[]);
        assert!(
            bytes.len() <= ENTITY_STATE_BYTES_MAX,
            "a state of {} bytes",
            bytes.len()
        );
        let mut header = [0; 16];
        header[..4].copy_from_slice(&self.index.to_le_bytes());
        header[4..6].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        header[6] = self.state.is_some().into();
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len() + padded(bytes.len()) - bytes.len(), 0);
    }

    fn parse(bytes: &'a [u8]) -> Result<(EntityState<'a>, &'a [u8]), MessageError> {
        let (header, rest) = bytes.split_first_chunk::<16>().ok_or(MessageError::Truncated)?;
        let index = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        if length > ENTITY_STATE_BYTES_MAX {
            return Err(MessageError::BadCount {
                found: length,
                max: ENTITY_STATE_BYTES_MAX,
            });
        }
        if rest.len() < padded(length) {
            return Err(MessageError::Truncated);
        }
        let (body, after) = rest.split_at(padded(length));
        let state = (header[6] == 1).then_some(&body[..length]);
        Ok((EntityState { index, state }, after))
    }
}

/// `States`: a 16-byte header with the number of states and the slot at which they hold, then the states.
#[derive(Clone, Copy, Debug)]
pub struct States<'a> {
    /// A published slot at which these states hold.
    pub slot: Slot,
    count: u32,
    rest: &'a [u8],
}

impl<'a> States<'a> {
    /// The payload's header, to be followed by `count` encoded states.
    #[must_use]
    pub fn header(count: u32, slot: Slot) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes[8..].copy_from_slice(&slot.0.to_le_bytes());
        bytes
    }

    /// Reads the payload's header; the states are checked as they are read.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &'a [u8]) -> Result<States<'a>, MessageError> {
        let (count, rest) = count_header(payload, READ_ENTITIES_MAX)?;
        let slot = payload[8..16].try_into().map_err(|_| MessageError::Truncated)?;
        Ok(States {
            slot: Slot(u64::from_le_bytes(slot)),
            count,
            rest,
        })
    }
}

impl<'a> Iterator for States<'a> {
    type Item = Result<EntityState<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let read = EntityState::parse(self.rest);
        match &read {
            Ok((_, after)) => self.rest = after,
            Err(_) => self.count = 0,
        }
        Some(read.map(|(state, _)| state))
    }
}

/// Why a request, or the connection (request 0), is refused. The numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RefusedCode {
    /// The stream is not one of frames of this protocol. The connection is closed.
    BadFrame = 1,
    /// The frame's content is malformed. The connection is closed.
    BadMessage = 2,
    /// `Hello` must come first. The connection is closed.
    HelloExpected = 3,
    /// The client means another cluster. The connection is closed.
    OtherCluster = 4,
    /// Too many connections. The connection is closed.
    TooManyConnections = 5,
    /// The replica is not ready, or is stopping; the fate of what was sent before is open.
    NotServing = 6,
    /// No room for the request now; nothing of it was admitted.
    Busy = 7,
    /// Nothing whole came for too long. The connection is closed.
    TimedOut = 8,
}

impl RefusedCode {
    const ALL: [RefusedCode; 8] = [
        RefusedCode::BadFrame,
        RefusedCode::BadMessage,
        RefusedCode::HelloExpected,
        RefusedCode::OtherCluster,
        RefusedCode::TooManyConnections,
        RefusedCode::NotServing,
        RefusedCode::Busy,
        RefusedCode::TimedOut,
    ];
}

/// `Refused`: a code and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub code: RefusedCode,
    /// With `Busy` and `NotServing`: when to try again, in microseconds.
    pub retry_after_us: u32,
    /// What happened and what to do, at most 512 bytes of UTF-8.
    pub text: String,
}

impl Refused {
    /// Appends the payload; a longer text is cut at a character.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = &self.text[..self.text.floor_char_boundary(REFUSED_TEXT_BYTES_MAX)];
        let mut header = [0; 16];
        header[..2].copy_from_slice(&(self.code as u16).to_le_bytes());
        header[2..4].copy_from_slice(&(text.len() as u16).to_le_bytes());
        header[4..8].copy_from_slice(&self.retry_after_us.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(text.as_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]
    pub fn parse(payload: &[u8]) -> Result<Refused, MessageError> {
        let (header, rest) = payload.split_first_chunk::<16>().ok_or(MessageError::Truncated)?;
        let number = u16::from_le_bytes([header[0], header[1]]);
        let code = RefusedCode::ALL
            .into_iter()
            .find(|code| *code as u16 == number)
            .ok_or(MessageError::UnknownCode { found: number })?;
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let text = rest.get(..length).ok_or(MessageError::Truncated)?;
        Ok(Refused {
            code,
            retry_after_us: u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
            text: String::from_utf8_lossy(text).into_owned(),
        })
    }
}

/// A count in the first four bytes of a 16-byte header: between 1 and `max`.
fn count_header(payload: &[u8], max: usize) -> Result<(u32, &[u8]), MessageError> {
    let (header, rest) = payload.split_first_chunk::<16>().ok_or(MessageError::Truncated)?;
    let count = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if count == 0 || count as usize > max {
        return Err(MessageError::BadCount {
            found: count as usize,
            max,
        });
    }
    Ok((count, rest))
}

/// What is wrong with a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// It ends before what it names does, or goes on after it.
    Truncated,
    /// A count or a length out of range.
    BadCount {
        /// What was found.
        found: usize,
        /// The most that is accepted; the least is 1.
        max: usize,
    },
    /// No such status.
    UnknownStatus {
        /// Its number.
        found: u8,
    },
    /// No such refusal.
    UnknownCode {
        /// Its number.
        found: u16,
    },
    /// No such consistency.
    UnknownConsistency {
        /// Its number.
        found: u8,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Truncated => f.write_str("the payload's length is not that of what it names"),
            MessageError::BadCount { found, max } => {
                write!(f, "a count or length of {found}; accepted are 1 to {max}")
            }
            MessageError::UnknownStatus { found } => write!(f, "status {found} is unknown"),
            MessageError::UnknownCode { found } => write!(f, "refusal {found} is unknown"),
            MessageError::UnknownConsistency { found } => {
                write!(f, "consistency {found} is unknown; 1 is local, 2 linearizable")
            }
        }
    }
}

impl core::error::Error for MessageError {}

/// Bytes of a `Submit` before its events.
pub const SUBMIT_HEADER_BYTES: usize = 16;

const REFUSED_TEXT_BYTES_MAX: usize = 512;

const _: () = assert!(size_of::<WelcomeHeader>() == 64);
const _: () = assert!(size_of::<AnswerHeader>() == 32);
const _: () = assert!(size_of::<EntityRef>() == 32);

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn messages_read_back_as_they_were_written() {
        let mut out = Vec::new();
        let welcome = Welcome {
            cluster: ClusterId(3),
            replica: ReplicaId(1),
            leader: ReplicaId(2),
            routing_seed: 9,
            stream_time: StreamTime(8),
            warden_ttl_ns: 7,
            credit_events: 6,
            replicas: 3,
            copies: 2,
            durable: true,
            ports: vec![7000, 7001, 7001],
        };
        let writer = crate::frame::FrameWriter::begin(&mut out, crate::frame::FrameKind::Welcome, 0);
        welcome.encode(&mut out);
        let start = writer.payload_start();
        writer.finish(&mut out);
        assert_eq!(Welcome::parse(&out[start..]).unwrap(), welcome);

        let answer = Answer {
            index: 4,
            status: Status::Duplicate,
            first_status: Status::Applied,
            reason: 0,
            position: Position {
                slot: Slot(5),
                shard: ShardId(1),
                index: 3,
            },
            retry_after_us: 0,
            response: &[1, 2, 3],
        };
        let mut out = Answers::header(2, StreamTime(77)).to_vec();
        answer.encode(&mut out);
        answer.encode(&mut out);
        let read = Answers::parse(&out).unwrap();
        assert_eq!(read.stream_time, StreamTime(77));
        assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), [answer, answer]);
        for length in 0..out.len() {
            let read = Answers::parse(&out[..length]).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            assert!(read.is_err(), "{length} bytes");
        }

        let entities = [
            EntityRef::new(DomainId(1), EntityId(2)),
            EntityRef::new(DomainId(3), EntityId(4)),
        ];
        let read = Read {
            consistency: Consistency::Linearizable,
            entities: &entities,
        };
        let mut out = Vec::new();
        read.encode(&mut out);
        assert_eq!(Read::parse(&out).unwrap(), read);
        assert!(Read::parse(&out[..out.len() - 1]).is_err());

        let mut out = States::header(2, Slot(6)).to_vec();
        let states = [
            EntityState {
                index: 0,
                state: None,
            },
            EntityState {
                index: 1,
                state: Some(&[5; 20]),
            },
        ];
        states.iter().for_each(|state| state.encode(&mut out));
        assert_eq!(
            States::parse(&out)
                .unwrap()
                .collect::<Result<Vec<_>, _>>()
                .unwrap(),
            states
        );

        let refused = Refused {
            code: RefusedCode::Busy,
            retry_after_us: 5,
            text: "é".repeat(400),
        };
        let mut out = Vec::new();
        refused.encode(&mut out);
        assert_eq!(Refused::parse(&out).unwrap().text.len(), 512);
    }

    #[test]
    fn absurd_counts_are_refused() {
        for count in [0, 8191, u32::MAX] {
            assert!(matches!(
                Submit::parse(&Submit::header(count)),
                Err(MessageError::BadCount { .. })
            ));
        }
    }
}
