//! `Refused`: a typed error and a sentence for a person.

use alloc::string::String;
use alloc::vec::Vec;

use super::MessageError;

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

const REFUSED_TEXT_BYTES_MAX: usize = 512;
