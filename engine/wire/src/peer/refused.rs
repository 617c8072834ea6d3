//! `Refused` and `Redirect` between replicas: why a connection is closed, in a form that both operators can read.

use alloc::string::String;
use alloc::vec::Vec;

use super::hello::zero;
use super::{PeerKind, PeerMessageError};
use crate::CoreId;
use crate::limits::{PEER_REFUSED_TEXT_BYTES_MAX, padded};

/// Why a replica does not talk to another. The numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum PeerRefusal {
    /// The stream is not one of frames of this protocol.
    BadFrame = 1,
    /// Another version of this protocol.
    OtherVersion = 2,
    /// A frame's content is malformed, or comes where it has no place.
    BadMessage = 3,
    /// Nothing came for too long.
    TimedOut = 4,
    /// Another cluster.
    OtherCluster = 5,
    /// Another number of replicas.
    OtherReplicas = 6,
    /// Another number of shards.
    OtherShards = 7,
    /// Other agreed parameters, domain versions included.
    OtherAgreed = 8,
    /// Not a replica of this cluster, or the number of the one that is asked.
    BadReplica = 9,
    /// Another replica than the one that was meant: an address in the wrong place.
    OtherReplica = 10,
    /// The replica with the higher number dials.
    WrongDirection = 11,
    /// A proof that is not made with this cluster's secret.
    WrongSecret = 12,
    /// A newer connection of the same replica for the same lane is there.
    Superseded = 13,
    /// Too many connections that have not proved anything.
    TooMany = 14,
    /// A disk of that replica that is not the last one, or that was not said to replace the one before (R3).
    OtherDisk = 15,
}

impl PeerRefusal {
    /// All of them.
    pub const ALL: [PeerRefusal; 15] = [
        PeerRefusal::BadFrame,
        PeerRefusal::OtherVersion,
        PeerRefusal::BadMessage,
        PeerRefusal::TimedOut,
        PeerRefusal::OtherCluster,
        PeerRefusal::OtherReplicas,
        PeerRefusal::OtherShards,
        PeerRefusal::OtherAgreed,
        PeerRefusal::BadReplica,
        PeerRefusal::OtherReplica,
        PeerRefusal::WrongDirection,
        PeerRefusal::WrongSecret,
        PeerRefusal::Superseded,
        PeerRefusal::TooMany,
        PeerRefusal::OtherDisk,
    ];
}

/// `Refused`: a code and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRefused {
    /// Why.
    pub code: PeerRefusal,
    /// What happened and what to do, at most 384 bytes of UTF-8.
    pub text: String,
}

impl PeerRefused {
    /// Appends the payload; a longer text is cut at a character.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = &self.text[..self.text.floor_char_boundary(PEER_REFUSED_TEXT_BYTES_MAX)];
        let mut header = [0; 16];
        header[..2].copy_from_slice(&(self.code as u16).to_le_bytes());
        header[2..4].copy_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(text.as_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`PeerMessageError`]
    pub fn parse(payload: &[u8]) -> Result<PeerRefused, PeerMessageError> {
        let length = PeerMessageError::Length { kind: PeerKind::Refused, bytes: payload.len() };
        let (header, rest) = payload.split_first_chunk::<16>().ok_or(length)?;
        let number = u16::from_le_bytes([header[0], header[1]]);
        let code = PeerRefusal::ALL
            .into_iter()
            .find(|code| *code as u16 == number)
            .ok_or(PeerMessageError::BadValue { field: "refusal", found: number.into() })?;
        zero("reserved", &header[4..])?;
        let text_bytes = usize::from(u16::from_le_bytes([header[2], header[3]]));
        if text_bytes > PEER_REFUSED_TEXT_BYTES_MAX {
            return Err(PeerMessageError::BadCount { found: text_bytes, max: PEER_REFUSED_TEXT_BYTES_MAX });
        }
        if rest.len() != padded(text_bytes) {
            return Err(length);
        }
        zero("padding", &rest[text_bytes..])?;
        let text = core::str::from_utf8(&rest[..text_bytes])
            .map_err(|_| PeerMessageError::BadValue { field: "text", found: number.into() })?;
        Ok(PeerRefused { code, text: text.into() })
    }
}

/// `Redirect`: the lane is owned by another core of the acceptor, which listens on the base port plus its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRedirect {
    /// The core.
    pub core: CoreId,
}

impl PeerRedirect {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u128::from(self.core.0).to_le_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`PeerMessageError`]
    pub fn parse(payload: &[u8]) -> Result<PeerRedirect, PeerMessageError> {
        let bytes = <[u8; 16]>::try_from(payload)
            .map_err(|_| PeerMessageError::Length { kind: PeerKind::Redirect, bytes: payload.len() })?;
        zero("reserved", &bytes[2..])?;
        Ok(PeerRedirect { core: CoreId(u16::from_le_bytes([bytes[0], bytes[1]])) })
    }
}
