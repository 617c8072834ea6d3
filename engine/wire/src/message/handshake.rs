//! `Hello` and `Welcome`: the first frames on a connection.

use alloc::vec::Vec;

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MessageError, leader_byte, leader_of_byte};
use crate::limits::{SHARDS_MAX, padded};
use crate::{ClusterId, ReplicaId, StreamTime};

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
        Ok(Hello { cluster: ClusterId(u128::from_le_bytes(bytes)) })
    }
}

/// `Welcome`: all that a client must know to route, to set deadlines and to stay within its credit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The cluster.
    pub cluster: ClusterId,
    /// The replica that answers.
    pub replica: ReplicaId,
    /// The replica that leads, as far as this one knows; itself only while it leads.
    pub leader: Option<ReplicaId>,
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
            leader: leader_byte(self.leader),
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
            return Err(MessageError::BadCount { found: shards, max: SHARDS_MAX });
        }
        if rest.len() != padded(shards * 2) {
            return Err(MessageError::Truncated);
        }
        Ok(Welcome {
            cluster: ClusterId(header.cluster.get()),
            replica: ReplicaId(header.replica),
            leader: leader_of_byte(header.leader),
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

const _: () = assert!(size_of::<WelcomeHeader>() == 64);
