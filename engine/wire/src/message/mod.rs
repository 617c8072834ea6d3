//! What the client protocol's frames carry, one type a kind. All integers are little-endian.

mod handshake;
mod read;
mod refused;
mod submit;

use core::fmt;

use crate::ReplicaId;

pub use handshake::{Hello, Welcome};
pub use read::{Consistency, EntityRef, EntityState, Read, States};
pub use refused::{Refused, RefusedCode};
pub use submit::{Answer, Answers, SUBMIT_HEADER_BYTES, Submit};

/// A count in the first four bytes of a 16-byte header: between 1 and `max`.
fn count_header(payload: &[u8], max: usize) -> Result<(u32, &[u8]), MessageError> {
    let (header, rest) = payload.split_first_chunk::<16>().ok_or(MessageError::Truncated)?;
    let count = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if count == 0 || count as usize > max {
        return Err(MessageError::BadCount { found: count as usize, max });
    }
    Ok((count, rest))
}

/// Stands in a byte for "no leader is known". Replicas are numbered from 0 to 4.
const LEADER_UNKNOWN: u8 = 255;

/// Who leads, as one byte has it.
fn leader_byte(leader: Option<ReplicaId>) -> u8 {
    leader.map_or(LEADER_UNKNOWN, |leader| leader.0)
}

/// What a byte says of who leads.
fn leader_of_byte(byte: u8) -> Option<ReplicaId> {
    (byte != LEADER_UNKNOWN).then_some(ReplicaId(byte))
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

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::outcome::Status;
    use crate::{ClusterId, DomainId, EntityId, Position, ReplicaId, ShardId, Slot, StreamTime};

    fn welcome() -> Welcome {
        Welcome {
            cluster: ClusterId(3),
            replica: ReplicaId(1),
            leader: Some(ReplicaId(2)),
            routing_seed: 9,
            stream_time: StreamTime(8),
            warden_ttl_ns: 7,
            credit_events: 6,
            replicas: 3,
            copies: 2,
            durable: true,
            ports: vec![7000, 7001, 7001],
        }
    }

    #[test]
    fn messages_read_back_as_they_were_written() {
        let mut out = Vec::new();
        let welcome = welcome();
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
            position: Position { slot: Slot(5), shard: ShardId(1), index: 3 },
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

        let entities = [EntityRef::new(DomainId(1), EntityId(2)), EntityRef::new(DomainId(3), EntityId(4))];
        let read = Read { consistency: Consistency::Linearizable, entities: &entities };
        let mut out = Vec::new();
        read.encode(&mut out);
        assert_eq!(Read::parse(&out).unwrap(), read);
        assert!(Read::parse(&out[..out.len() - 1]).is_err());

        let mut out = States::header(2, Slot(6)).to_vec();
        let states = [EntityState { index: 0, state: None }, EntityState { index: 1, state: Some(&[5; 20]) }];
        states.iter().for_each(|state| state.encode(&mut out));
        assert_eq!(States::parse(&out).unwrap().collect::<Result<Vec<_>, _>>().unwrap(), states);

        let refused = Refused { code: RefusedCode::Busy, retry_after_us: 5, text: "é".repeat(400) };
        let mut out = Vec::new();
        refused.encode(&mut out);
        assert_eq!(Refused::parse(&out).unwrap().text.len(), 512);
    }

    #[test]
    fn who_leads_reads_back_as_it_was_written_known_or_not() {
        for leader in [None, Some(ReplicaId(0)), Some(ReplicaId(4))] {
            let code = RefusedCode::NotLeader { leader };
            let refused = Refused { code, retry_after_us: 7, text: "elsewhere".into() };
            let mut out = Vec::new();
            refused.encode(&mut out);
            assert_eq!(Refused::parse(&out).unwrap(), refused);
            let mut out = Vec::new();
            let welcome = Welcome { leader, ..welcome() };
            welcome.encode(&mut out);
            out.resize(crate::limits::padded(out.len()), 0);
            assert_eq!(Welcome::parse(&out).unwrap(), welcome);
        }
        let other = Refused { code: RefusedCode::Busy, retry_after_us: 7, text: String::new() };
        let mut out = Vec::new();
        other.encode(&mut out);
        assert_eq!(out[8..16], [0; 8], "only NotLeader says who leads");
        assert!(matches!(Refused::parse(&[10; 16]), Err(MessageError::UnknownCode { found: 0x0a0a })));
    }

    #[test]
    fn absurd_counts_are_refused() {
        for count in [0, 8191, u32::MAX] {
            assert!(matches!(Submit::parse(&Submit::header(count)), Err(MessageError::BadCount { .. })));
        }
    }
}
