//! `Refused`: a typed error and a sentence for a person.

use alloc::string::String;
use alloc::vec::Vec;

use super::{MessageError, leader_byte, leader_of_byte};
use crate::ReplicaId;

/// Why a request, or the connection (request 0), is refused. The numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedCode {
    /// The stream is not one of frames of this protocol. The connection is closed.
    BadFrame,
    /// The frame's content is malformed. The connection is closed.
    BadMessage,
    /// `Hello` must come first. The connection is closed.
    HelloExpected,
    /// The client means another cluster. The connection is closed.
    OtherCluster,
    /// Too many connections. The connection is closed.
    TooManyConnections,
    /// The replica is not ready, or is stopping; the fate of what was sent before is open.
    NotServing,
    /// No room for the request now; nothing of it was admitted.
    Busy,
    /// Nothing whole came for too long. The connection is closed.
    TimedOut,
    /// The replica does not lead; nothing of the request was admitted, the fate of what was sent before is open.
    NotLeader {
        /// Who leads, as far as this replica knows; itself never.
        leader: Option<ReplicaId>,
    },
}

impl RefusedCode {
    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            RefusedCode::BadFrame => 1,
            RefusedCode::BadMessage => 2,
            RefusedCode::HelloExpected => 3,
            RefusedCode::OtherCluster => 4,
            RefusedCode::TooManyConnections => 5,
            RefusedCode::NotServing => 6,
            RefusedCode::Busy => 7,
            RefusedCode::TimedOut => 8,
            RefusedCode::NotLeader { .. } => 9,
        }
    }

    fn parse(number: u16, leader: u8) -> Result<RefusedCode, MessageError> {
        Ok(match number {
            1 => RefusedCode::BadFrame,
            2 => RefusedCode::BadMessage,
            3 => RefusedCode::HelloExpected,
            4 => RefusedCode::OtherCluster,
            5 => RefusedCode::TooManyConnections,
            6 => RefusedCode::NotServing,
            7 => RefusedCode::Busy,
            8 => RefusedCode::TimedOut,
            9 => RefusedCode::NotLeader { leader: leader_of_byte(leader) },
            found => return Err(MessageError::UnknownCode { found }),
        })
    }
}

/// `Refused`: a code and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub code: RefusedCode,
    /// With `Busy`, `NotServing` and a `NotLeader` that knows no leader: when to try again, in microseconds.
    pub retry_after_us: u32,
    /// What happened and what to do, at most 512 bytes of UTF-8.
    pub text: String,
}

impl Refused {
    /// Appends the payload; a longer text is cut at a character.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = &self.text[..self.text.floor_char_boundary(REFUSED_TEXT_BYTES_MAX)];
        let mut header = [0; 16];
        header[..2].copy_from_slice(&self.code.number().to_le_bytes());
        header[2..4].copy_from_slice(&(text.len() as u16).to_le_bytes());
        header[4..8].copy_from_slice(&self.retry_after_us.to_le_bytes());
        if let RefusedCode::NotLeader { leader } = self.code {
            header[LEADER_AT] = leader_byte(leader);
        }
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
        let code = RefusedCode::parse(number, header[LEADER_AT])?;
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let text = rest.get(..length).ok_or(MessageError::Truncated)?;
        Ok(Refused {
            code,
            retry_after_us: u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
            text: String::from_utf8_lossy(text).into_owned(),
        })
    }
}

/// Where the header says who leads; 0 with every code but `NotLeader`.
const LEADER_AT: usize = 8;

const REFUSED_TEXT_BYTES_MAX: usize = 512;
