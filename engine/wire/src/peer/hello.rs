//! The handshake between two replicas: `Hello`, `Welcome`, `Proof`; or `Redirect`.
//!
//! 1. The dialer says who it is, which lane it wants, and a nonce.
//! 2. The acceptor answers with who it is, a nonce, and the first proof.
//! 3. The dialer answers with the second proof.
//!
//! A proof is blake3, keyed with the cluster's secret, over the name of the prover's role, the `Hello`'s payload, and
//! the `Welcome`'s payload without its proof: so over both identities, the lane and both nonces. The roles keep a proof
//! from being sent back to whom it came from; the fresh nonce of the one who checks keeps it from being used again.

use alloc::string::String;
use alloc::vec::Vec;

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Generation, PeerKind, PeerMessageError};
use crate::limits::{PEER_DOMAINS_BYTES_MAX, PEER_LOGIC_MAX, SHARDS_MAX, padded};
use crate::{ClusterId, DomainId, Hash, Incarnation, LogicVersion, ReplicaId, ShardId};

/// One of the connections between two replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Between the two Dockets.
    Control,
    /// Between the same shard of both.
    Shard(ShardId),
}

impl Lane {
    fn to_raw(self) -> u16 {
        match self {
            Lane::Control => CONTROL_LANE,
            Lane::Shard(shard) => shard.0,
        }
    }

    fn from_raw(raw: u16) -> Result<Lane, PeerMessageError> {
        match raw {
            CONTROL_LANE => Ok(Lane::Control),
            shard if usize::from(shard) < SHARDS_MAX => Ok(Lane::Shard(ShardId(shard))),
            found => Err(PeerMessageError::BadValue { field: "lane", found: found.into() }),
        }
    }
}

impl core::fmt::Display for Lane {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Lane::Control => f.write_str("control"),
            Lane::Shard(shard) => write!(f, "shard {shard}"),
        }
    }
}

/// What a replica says of itself. Everything but the replica's number, its disk and its failure domain must be the same
/// on all (D2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The replica.
    pub replica: ReplicaId,
    /// Voting replicas.
    pub replicas: u8,
    /// Shards.
    pub shards: u16,
    /// Hash of everything that is agreed, domain versions included.
    pub agreed: Hash,
    /// Its disk (R3).
    pub generation: Generation,
    /// What it shares with others when it fails, as [`PeerIdentity::failure_domain_of`] its name (C1).
    pub failure_domain: u64,
    /// Where others than its peers reach it. May differ from one start to the next.
    pub ports: PeerPorts,
    /// The domains and the versions with which the cluster was formatted, for people: compared by `agreed` only.
    pub domains: String,
    /// The versions of the domains' logic that its program has, at most [`PEER_LOGIC_MAX`], ascending (R5). May differ.
    pub logic: Vec<LogicVersion>,
}

/// Ports of a replica, on the host at which its peers reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerPorts {
    /// Where clients connect to its first core.
    pub client: u16,
    /// Where it is asked by HTTP; 0 if it is not.
    pub http: u16,
}

/// `Hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// Who dials.
    pub identity: PeerIdentity,
    /// Raised at every start of the dialer: tells its newer connections from older ones.
    pub incarnation: Incarnation,
    /// Which replica it means to reach.
    pub to: ReplicaId,
    /// What the connection is for.
    pub lane: Lane,
    /// Drawn for this connection.
    pub nonce: [u8; 32],
}

/// `Welcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerWelcome {
    /// Who accepts.
    pub identity: PeerIdentity,
    /// Raised at every start of the acceptor.
    pub incarnation: Incarnation,
    /// Drawn for this connection.
    pub nonce: [u8; 32],
    /// That the acceptor has the secret.
    pub proof: PeerProof,
}

/// That its maker has the cluster's secret, bound to one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProof(pub [u8; 32]);

impl PeerProof {
    /// The acceptor's, which goes into the `Welcome`.
    #[must_use]
    pub fn of_acceptor(secret: &[u8; 32], hello: &PeerHello, welcome: &PeerWelcome) -> PeerProof {
        PeerProof::make(secret, b"assize acceptor ", hello, welcome)
    }

    /// The dialer's.
    #[must_use]
    pub fn of_dialer(secret: &[u8; 32], hello: &PeerHello, welcome: &PeerWelcome) -> PeerProof {
        PeerProof::make(secret, b"assize dialer   ", hello, welcome)
    }

    /// Whether this is the proof expected, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn matches(&self, expected: &PeerProof) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(expected.0)
    }

    fn make(secret: &[u8; 32], role: &[u8; 16], hello: &PeerHello, welcome: &PeerWelcome) -> PeerProof {
        let mut said = Vec::from(&role[..]);
        hello.encode(&mut said);
        // The proof is not under itself.
        let unproved = PeerWelcome { proof: PeerProof([0; 32]), ..welcome.clone() };
        unproved.encode(&mut said);
        PeerProof(*blake3::keyed_hash(secret, &said).as_bytes())
    }
}

impl PeerHello {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = HelloHeader {
            nonce: self.nonce,
            incarnation: U64::new(self.incarnation.0),
            lane: U16::new(self.lane.to_raw()),
            to: self.to.0,
            reserved: [0; 5],
        };
        out.extend_from_slice(header.as_bytes());
        self.identity.encode(out);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`PeerMessageError`]
    pub fn parse(payload: &[u8]) -> Result<PeerHello, PeerMessageError> {
        let kind = PeerKind::Hello;
        let (header, rest) = HelloHeader::ref_from_prefix(payload)
            .map_err(|_| PeerMessageError::Length { kind, bytes: payload.len() })?;
        zero("reserved", &header.reserved)?;
        Ok(PeerHello {
            identity: PeerIdentity::parse(kind, rest)?,
            incarnation: Incarnation(header.incarnation.get()),
            to: ReplicaId(header.to),
            lane: Lane::from_raw(header.lane.get())?,
            nonce: header.nonce,
        })
    }
}

impl PeerWelcome {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = WelcomeHeader {
            nonce: self.nonce,
            proof: self.proof.0,
            incarnation: U64::new(self.incarnation.0),
            reserved: [0; 8],
        };
        out.extend_from_slice(header.as_bytes());
        self.identity.encode(out);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`PeerMessageError`]
    pub fn parse(payload: &[u8]) -> Result<PeerWelcome, PeerMessageError> {
        let kind = PeerKind::Welcome;
        let (header, rest) = WelcomeHeader::ref_from_prefix(payload)
            .map_err(|_| PeerMessageError::Length { kind, bytes: payload.len() })?;
        zero("reserved", &header.reserved)?;
        Ok(PeerWelcome {
            identity: PeerIdentity::parse(kind, rest)?,
            incarnation: Incarnation(header.incarnation.get()),
            nonce: header.nonce,
            proof: PeerProof(header.proof),
        })
    }
}

impl PeerProof {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`PeerMessageError::Length`]
    pub fn parse(payload: &[u8]) -> Result<PeerProof, PeerMessageError> {
        <[u8; 32]>::try_from(payload)
            .map(PeerProof)
            .map_err(|_| PeerMessageError::Length { kind: PeerKind::Proof, bytes: payload.len() })
    }
}

impl PeerIdentity {
    /// A failure domain as it is told: the first eight bytes of the blake3 of its name.
    #[must_use]
    pub fn failure_domain_of(name: &str) -> u64 {
        Hash::of(name.as_bytes()).0.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let domains = &self.domains[..self.domains.floor_char_boundary(PEER_DOMAINS_BYTES_MAX)];
        let header = IdentityHeader {
            cluster: U128::new(self.cluster.0),
            agreed: self.agreed.0,
            replica: self.replica.0,
            replicas: self.replicas,
            shards: U16::new(self.shards),
            domains_bytes: U32::new(domains.len() as u32),
            failure_domain: U64::new(self.failure_domain),
            generation: U64::new(self.generation.to_raw()),
            logic: U16::new(self.logic.len() as u16),
            client_port: U16::new(self.ports.client),
            http_port: U16::new(self.ports.http),
            reserved: [0; 2],
        };
        assert!(self.logic.len() <= PEER_LOGIC_MAX, "{} versions of domains are told", self.logic.len());
        out.extend_from_slice(header.as_bytes());
        let from = out.len();
        for version in &self.logic {
            out.extend_from_slice(&version.domain.0.to_le_bytes());
            out.extend_from_slice(&version.version.to_le_bytes());
        }
        out.extend_from_slice(domains.as_bytes());
        out.resize(from + padded(out.len() - from), 0);
    }

    fn parse(kind: PeerKind, payload: &[u8]) -> Result<PeerIdentity, PeerMessageError> {
        let length = || PeerMessageError::Length { kind, bytes: payload.len() };
        let (header, rest) = IdentityHeader::ref_from_prefix(payload).map_err(|_| length())?;
        zero("reserved", &header.reserved)?;
        let domains_bytes = header.domains_bytes.get() as usize;
        if domains_bytes > PEER_DOMAINS_BYTES_MAX {
            return Err(PeerMessageError::BadCount { found: domains_bytes, max: PEER_DOMAINS_BYTES_MAX });
        }
        let versions = usize::from(header.logic.get());
        if versions > PEER_LOGIC_MAX {
            return Err(PeerMessageError::BadCount { found: versions, max: PEER_LOGIC_MAX });
        }
        if rest.len() != padded(versions * LOGIC_BYTES + domains_bytes) {
            return Err(length());
        }
        zero("reserved", &header.reserved)?;
        let (logic, rest) = rest.split_at(versions * LOGIC_BYTES);
        let logic: Vec<LogicVersion> = logic.chunks_exact(LOGIC_BYTES).map(logic_version).collect();
        if !logic.is_sorted_by(|below, above| below < above) {
            return Err(PeerMessageError::BadValue { field: "logic", found: header.logic.get().into() });
        }
        zero("padding", &rest[domains_bytes..])?;
        let domains = core::str::from_utf8(&rest[..domains_bytes])
            .map_err(|_| PeerMessageError::BadValue { field: "domains", found: rest[0].into() })?;
        Ok(PeerIdentity {
            cluster: ClusterId(header.cluster.get()),
            replica: ReplicaId(header.replica),
            replicas: header.replicas,
            shards: header.shards.get(),
            agreed: Hash(header.agreed),
            failure_domain: header.failure_domain.get(),
            logic,
            ports: PeerPorts { client: header.client_port.get(), http: header.http_port.get() },
            generation: Generation::from_raw(header.generation.get()),
            domains: domains.into(),
        })
    }
}

/// Reserved bytes must be zero, so that what is proved has one way to be written.
pub(super) fn zero(field: &'static str, bytes: &[u8]) -> Result<(), PeerMessageError> {
    match bytes.iter().find(|byte| **byte != 0) {
        Some(byte) => Err(PeerMessageError::BadValue { field, found: (*byte).into() }),
        None => Ok(()),
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HelloHeader {
    nonce: [u8; 32],
    incarnation: U64,
    lane: U16,
    to: u8,
    reserved: [u8; 5],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WelcomeHeader {
    nonce: [u8; 32],
    proof: [u8; 32],
    incarnation: U64,
    reserved: [u8; 8],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct IdentityHeader {
    cluster: U128,
    agreed: [u8; 32],
    replica: u8,
    replicas: u8,
    shards: U16,
    domains_bytes: U32,
    failure_domain: U64,
    generation: U64,
    logic: U16,
    client_port: U16,
    http_port: U16,
    reserved: [u8; 2],
}

fn logic_version(bytes: &[u8]) -> LogicVersion {
    let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    LogicVersion { domain: DomainId(field(0)), version: field(2) }
}

/// Bytes of a version of a domain's logic.
const LOGIC_BYTES: usize = 4;

/// The control lane's number; a shard's lane has the shard's.
const CONTROL_LANE: u16 = 0xffff;

const _: () = assert!(size_of::<HelloHeader>() == 48 && size_of::<WelcomeHeader>() == 80);
const _: () = assert!(size_of::<IdentityHeader>() == 80);
const _: () = assert!(
    size_of::<WelcomeHeader>()
        + size_of::<IdentityHeader>()
        + PEER_LOGIC_MAX * LOGIC_BYTES
        + PEER_DOMAINS_BYTES_MAX
        <= crate::limits::PEER_HANDSHAKE_BYTES_MAX,
    "the longest handshake message fits its frame"
);
