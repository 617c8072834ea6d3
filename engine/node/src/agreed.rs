//! The agreed parameters: everything that evaluation can see (design D2), the same on all replicas.
//!
//! They are made by `format`, stored in the superblock as bytes, and hashed into every handshake. The bytes are
//! a fixed little-endian layout; the blob is opaque to whoever stores it. All integers, in this order:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `AGRE` |
//! | 2 | layout version, 1 |
//! | 2 | shard count |
//! | 1, 1 | replicas, copies |
//! | 2 | number of domain versions |
//! | 4 | error of clock rates, parts per million |
//! | 16 | cluster id |
//! | 8 × 3 | Warden TTL (ns), Warden capacity, entity capacity |
//! | 8 × 4 | clock skew (ns), routing seed, body seed, largest stripe (bytes) |
//! | 4 × 6 | largest payload (bytes), entities of an event, events of a stripe, window, capacity window, zero |
//! | each domain: 2, 2, 2, n | id, version, length n of the name, the name in UTF-8 |

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use assize_shards::ShardConfig;
use assize_wire::limits::{self, DOMAINS_MAX};
use assize_wire::routing::Routing;
use assize_wire::{ClusterId, DomainId, Hash, LogicVersion, LogicVersions, ReplicaId, ShardId};

const MAGIC: [u8; 4] = *b"AGRE";
const LAYOUT_VERSION: u16 = 1;

/// Voting replicas that a cluster may have.
const REPLICAS_ACCEPTED: [u8; 3] = [1, 3, 5];

/// Entries of one shard's Warden or Registrar: a table that is preallocated must stay addressable.
const CAPACITY_MAX: u64 = 1 << 32;

/// Everything that can change an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Identity of the cluster.
    pub cluster: ClusterId,
    /// Voting replicas: 1, 3 or 5.
    pub replicas: u8,
    /// Equal digests that release an outcome (rule C1): `1 ..= replicas`.
    pub copies: u8,
    /// Shards, `1 ..= 64`, the same on all replicas.
    pub shard_count: u16,
    /// How long a key is remembered, in nanoseconds of stream time (W1).
    pub warden_ttl_ns: u64,
    /// Keys that one shard remembers; beyond them the outcome is `full`, and no live key is evicted (W3).
    pub warden_capacity: u64,
    /// Entities that one shard is home to (D5).
    pub entity_capacity: u64,
    /// The largest event payload.
    pub event_payload_bytes_max: u32,
    /// Entities that one event may touch (X6).
    pub event_entities_max: u32,
    /// The largest stripe in bytes, header included.
    pub stripe_bytes_max: u64,
    /// The largest stripe in events.
    pub stripe_events_max: u32,
    /// The largest pipeline window in slots.
    pub window_max: u32,
    /// Slots by which a home shard's room is decided in advance (D5): room in slot n is fixed after slot n - this.
    /// At least `window_max`.
    pub capacity_window: u32,
    /// How far the clocks of a majority may be from a proposed stream time, in nanoseconds (P13).
    pub clock_skew_ns_max: u64,
    /// How far clock *rates* may be off, in parts per million, which leases rely on (P11).
    pub clock_rate_error_ppm_max: u32,
    /// Key of the hash that routes keys and entities to shards.
    pub routing_seed: u64,
    /// Key of the hash that tells one event body from another under the same key.
    pub body_seed: u64,
    /// The logic version of each domain with which the cluster began, ascending by id. It may have switched since (R5).
    pub domains: Vec<DomainVersion>,
}

/// Which version of a domain's logic evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainVersion {
    /// The domain.
    pub id: DomainId,
    /// Its logic version.
    pub version: u16,
    /// Its name, for people.
    pub name: String,
}

/// Agreed parameters that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgreedError {
    /// The bytes end before the parameters do.
    Truncated {
        /// Bytes that were there.
        found: usize,
    },
    /// There are bytes after the parameters.
    TrailingBytes {
        /// How many.
        found: usize,
    },
    /// The bytes do not begin with the magic: something else is stored there.
    Magic {
        /// What they begin with.
        found: [u8; 4],
    },
    /// Written by another program version.
    LayoutVersion {
        /// The version found; this program reads version 1.
        found: u16,
    },
    /// A domain's name is not UTF-8.
    DomainName {
        /// The domain.
        id: DomainId,
    },
    /// A value out of its bounds.
    Value {
        /// The parameter, as the option of `format` names it.
        name: &'static str,
        /// What was found.
        found: String,
        /// What is accepted.
        accepted: String,
    },
}

impl fmt::Display for AgreedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgreedError::Truncated { found } => {
                write!(f, "the agreed parameters end early, after {found} bytes")
            }
            AgreedError::TrailingBytes { found } => {
                write!(f, "{found} bytes follow the agreed parameters")
            }
            AgreedError::Magic { found } => {
                write!(f, "the agreed parameters begin with {found:02x?} instead of {MAGIC:02x?}")
            }
            AgreedError::LayoutVersion { found } => write!(
                f,
                "the agreed parameters have layout version {found}, this program reads {LAYOUT_VERSION}"
            ),
            AgreedError::DomainName { id } => write!(f, "the name of domain {id} is not UTF-8"),
            AgreedError::Value { name, found, accepted } => {
                write!(f, "{name}: found {found}, accepted is {accepted}")
            }
        }
    }
}

impl core::error::Error for AgreedError {}

/// The default of `copies` (rule C1): 1 for a single replica, else a majority and at least 2.
#[must_use]
pub fn default_copies(replicas: u8) -> u8 {
    if replicas <= 1 { 1 } else { (replicas / 2 + 1).max(2) }
}

impl Agreed {
    /// blake3 of the bytes: what replicas compare in the handshake.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// Their bytes. Every value is written, so equal bytes mean equal parameters.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(MAGIC);
        bytes.extend(LAYOUT_VERSION.to_le_bytes());
        bytes.extend(self.shard_count.to_le_bytes());
        bytes.extend([self.replicas, self.copies]);
        let domains = u16::try_from(self.domains.len()).expect("checked: fewer domains than ids");
        bytes.extend(domains.to_le_bytes());
        bytes.extend(self.clock_rate_error_ppm_max.to_le_bytes());
        bytes.extend(self.cluster.0.to_le_bytes());
        for value in [
            self.warden_ttl_ns,
            self.warden_capacity,
            self.entity_capacity,
            self.clock_skew_ns_max,
            self.routing_seed,
            self.body_seed,
            self.stripe_bytes_max,
        ] {
            bytes.extend(value.to_le_bytes());
        }
        for value in [
            self.event_payload_bytes_max,
            self.event_entities_max,
            self.stripe_events_max,
            self.window_max,
            self.capacity_window,
            0,
        ] {
            bytes.extend(value.to_le_bytes());
        }
        for domain in &self.domains {
            bytes.extend(domain.id.0.to_le_bytes());
            bytes.extend(domain.version.to_le_bytes());
            let length = u16::try_from(domain.name.len()).expect("checked: names are short");
            bytes.extend(length.to_le_bytes());
            bytes.extend(domain.name.as_bytes());
        }
        bytes
    }

    /// Reads them back and checks them as [`Agreed::check`] did before they were written.
    ///
    /// # Errors
    /// Bytes that are not a whole set of parameters, of another layout version, or out of bounds.
    pub fn decode(bytes: &[u8]) -> Result<Agreed, AgreedError> {
        let mut from = Reader { bytes, at: 0 };
        let magic = from.array::<4>()?;
        if magic != MAGIC {
            return Err(AgreedError::Magic { found: magic });
        }
        let layout = from.u16()?;
        if layout != LAYOUT_VERSION {
            return Err(AgreedError::LayoutVersion { found: layout });
        }
        let shard_count = from.u16()?;
        let [replicas, copies] = from.array()?;
        let domain_count = from.u16()?;
        let clock_rate_error_ppm_max = from.u32()?;
        let cluster = ClusterId(u128::from_le_bytes(from.array()?));
        let mut agreed = Agreed {
            cluster,
            replicas,
            copies,
            shard_count,
            clock_rate_error_ppm_max,
            warden_ttl_ns: from.u64()?,
            warden_capacity: from.u64()?,
            entity_capacity: from.u64()?,
            clock_skew_ns_max: from.u64()?,
            routing_seed: from.u64()?,
            body_seed: from.u64()?,
            stripe_bytes_max: from.u64()?,
            event_payload_bytes_max: from.u32()?,
            event_entities_max: from.u32()?,
            stripe_events_max: from.u32()?,
            window_max: from.u32()?,
            capacity_window: from.u32()?,
            domains: Vec::new(),
        };
        let reserved = from.u32()?;
        bounded("reserved", u64::from(reserved), 0, 0)?;
        for _ in 0..domain_count {
            let id = DomainId(from.u16()?);
            let version = from.u16()?;
            let length = usize::from(from.u16()?);
            let name =
                String::from_utf8(from.take(length)?.to_vec()).map_err(|_| AgreedError::DomainName { id })?;
            agreed.domains.push(DomainVersion { id, version, name });
        }
        if from.at != bytes.len() {
            return Err(AgreedError::TrailingBytes { found: bytes.len() - from.at });
        }
        agreed.check()?;
        Ok(agreed)
    }

    /// Checks every value against its bounds and the others.
    ///
    /// # Errors
    /// The first parameter out of bounds.
    pub fn check(&self) -> Result<(), AgreedError> {
        const SECOND: u64 = 1_000_000_000;
        if !REPLICAS_ACCEPTED.contains(&self.replicas) {
            return Err(refused("replicas", self.replicas, "1, 3 or 5"));
        }
        bounded("copies", u64::from(self.copies), 1, u64::from(self.replicas))?;
        bounded("shards", u64::from(self.shard_count), 1, limits::SHARDS_MAX as u64)?;
        bounded("warden-ttl (ns)", self.warden_ttl_ns, SECOND, 366 * 86_400 * SECOND)?;
        bounded("warden-capacity", self.warden_capacity, 1, CAPACITY_MAX)?;
        bounded("entity-capacity", self.entity_capacity, 1, CAPACITY_MAX)?;
        let payload = u64::from(self.event_payload_bytes_max);
        bounded("event-payload-bytes-max", payload, 16, limits::EVENT_PAYLOAD_BYTES_MAX as u64)?;
        let entities = u64::from(self.event_entities_max);
        bounded("event-entities-max", entities, 1, limits::EVENT_ENTITIES_MAX as u64)?;
        // Stripe header, event header and the padded payload: a stripe always has room for one event.
        let stripe_least = 64 + 32 + limits::padded(self.event_payload_bytes_max as usize) as u64;
        bounded("stripe-bytes-max", self.stripe_bytes_max, stripe_least, limits::STRIPE_BYTES_MAX as u64)?;
        let events = u64::from(self.stripe_events_max);
        bounded("stripe-events-max", events, 1, limits::STRIPE_EVENTS_MAX as u64)?;
        bounded("window-max", u64::from(self.window_max), 1, 256)?;
        let capacity_window = u64::from(self.capacity_window);
        bounded("capacity-window", capacity_window, u64::from(self.window_max), 4096)?;
        bounded("clock-skew (ns)", self.clock_skew_ns_max, 1_000_000, 60 * SECOND)?;
        bounded("clock-rate-error-ppm", u64::from(self.clock_rate_error_ppm_max), 1, 100_000)?;
        self.check_domains()
    }

    /// What is allowed but weakens a promise, for the operator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let usual = default_copies(self.replicas);
        let mut warnings = Vec::new();
        if self.copies < usual {
            warnings.push(format!(
                "copies = {} releases outcomes that fewer than {usual} replicas computed alike: a single wrong \
                 computation may reach clients",
                self.copies
            ));
        }
        if self.copies > self.replicas / 2 + 1 {
            warnings.push(format!(
                "copies = {} needs more replicas than a majority: nothing is published while {} of {} are up",
                self.copies,
                self.copies - 1,
                self.replicas
            ));
        }
        warnings
    }

    /// What evaluates the first slot.
    #[must_use]
    pub fn logic(&self) -> LogicVersions {
        let logic = |domain: &DomainVersion| LogicVersion { domain: domain.id, version: domain.version };
        self.domains.iter().map(logic).collect()
    }

    /// Where keys and entities belong.
    #[must_use]
    pub fn routing(&self) -> Routing {
        Routing { seed: self.routing_seed, shards: self.shard_count }
    }

    /// What a replica's shard is started with, whose first slot `logic` evaluates.
    #[must_use]
    pub fn shard_config(&self, shard: ShardId, replica: ReplicaId, logic: LogicVersions) -> ShardConfig {
        ShardConfig {
            shard,
            replica,
            replicas: self.replicas,
            routing: self.routing(),
            body_seed: self.body_seed,
            ttl_ns: self.warden_ttl_ns,
            warden_capacity: u32::try_from(self.warden_capacity).unwrap_or(u32::MAX),
            entity_capacity: u32::try_from(self.entity_capacity).unwrap_or(u32::MAX),
            copies: self.copies,
            logic,
        }
    }

    fn check_domains(&self) -> Result<(), AgreedError> {
        if self.domains.len() > DOMAINS_MAX {
            return Err(refused("domains", self.domains.len(), &format!("{DOMAINS_MAX} at most")));
        }
        for pair in self.domains.windows(2) {
            if pair[0].id >= pair[1].id {
                let found = format!("{} before {}", pair[0].id, pair[1].id);
                return Err(refused("domains", found, "each domain once, ascending by id"));
            }
        }
        for domain in &self.domains {
            let plain = domain.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if domain.name.is_empty() || domain.name.len() > 64 || !plain {
                let found = format!("\"{}\"", domain.name);
                return Err(refused("domains", found, "names of 1 to 64 letters, digits, - and _"));
            }
        }
        Ok(())
    }
}

fn refused(name: &'static str, found: impl fmt::Display, accepted: &str) -> AgreedError {
    AgreedError::Value { name, found: found.to_string(), accepted: accepted.to_owned() }
}

fn bounded(name: &'static str, found: u64, least: u64, most: u64) -> Result<(), AgreedError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(refused(name, found, &format!("{least} to {most}")))
    }
}

/// A position in the bytes; each read fails as `Truncated` rather than past the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], AgreedError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(AgreedError::Truncated { found: self.bytes.len() })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AgreedError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, AgreedError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, AgreedError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, AgreedError> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests;
