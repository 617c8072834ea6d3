//! The layout of a manifest, the value of one slot: a 64-byte header, then 64 bytes for each stripe it orders,
//! then 16 bytes for each control event.
//!
//! The ballot is not part of it: a new leader re-proposes the same bytes. Manifests form a hash chain.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::control::{CONTROL_BYTES, RawControl};
use crate::limits::{DOMAINS_MAX, SHARDS_MAX, STRIPE_BYTES_MAX, STRIPE_EVENTS_MAX};
use crate::{Control, Hash, ShardId, Slot, StreamTime, StripeId};

/// One stripe as a manifest orders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StripeRef {
    /// Its identity.
    pub id: StripeId,
    /// The homes that its events may touch (X6).
    pub home_mask: u64,
    /// Its events.
    pub events: u32,
    /// Its bytes, header included.
    pub bytes: u32,
}

/// The value of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// Its position in the replicated log.
    pub slot: Slot,
    /// Stream time of everything it orders; never below the manifest before it.
    pub time: StreamTime,
    /// Hash of the manifest before it; [`Hash::ZERO`] at slot 1.
    pub previous: Hash,
    /// Whether every shard takes its part of a checkpoint after this slot (L6).
    pub checkpoint: bool,
    /// At most one a shard, by shard ascending: that is the order of evaluation.
    pub stripes: Vec<StripeRef>,
    /// What else it orders, in this order; at most [`DOMAINS_MAX`]. Takes effect at the next slot (P12).
    pub controls: Vec<Control>,
}

impl Manifest {
    /// The stripe of `shard`, if it has one here.
    #[must_use]
    pub fn stripe_of(&self, shard: ShardId) -> Option<&StripeRef> {
        self.stripes.iter().find(|stripe| stripe.id.shard == shard)
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        MANIFEST_HEADER_BYTES
            + self.stripes.len() * MANIFEST_STRIPE_BYTES
            + self.controls.len() * CONTROL_BYTES
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When the stripes are not ascending by shard, or there are too many control events: the caller's own broken
    /// promise.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let ascending = self.stripes.windows(2).all(|pair| pair[0].id.shard < pair[1].id.shard);
        assert!(ascending, "stripes of {} are not ascending by shard: {:?}", self.slot, self.stripes);
        let controls = self.controls.len();
        assert!(controls <= DOMAINS_MAX, "{controls} control events in {}", self.slot);
        let header = ManifestHeader {
            magic: U32::new(MAGIC),
            version: U16::new(VERSION),
            flags: U16::new(if self.checkpoint { FLAG_CHECKPOINT } else { 0 }),
            slot: U64::new(self.slot.0),
            time: U64::new(self.time.0),
            previous: self.previous.0,
            stripes: U16::new(self.stripes.len() as u16),
            controls: U16::new(controls as u16),
            zero: [0; 4],
        };
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        bytes.extend_from_slice(header.as_bytes());
        for stripe in &self.stripes {
            let entry = StripeEntry {
                hash: stripe.id.hash.0,
                home_mask: U64::new(stripe.home_mask),
                shard: U16::new(stripe.id.shard.0),
                reserved_a: [0; 2],
                events: U32::new(stripe.events),
                bytes: U32::new(stripe.bytes),
                reserved_b: [0; 12],
            };
            bytes.extend_from_slice(entry.as_bytes());
        }
        for control in &self.controls {
            bytes.extend_from_slice(control.to_raw().as_bytes());
        }
        bytes
    }

    /// Reads a manifest that fills `bytes`.
    ///
    /// # Errors
    /// [`ManifestError`]; every accepted manifest encodes to the same bytes again, so that its hash is one.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let (header, rest) = ManifestHeader::ref_from_prefix(bytes)
            .map_err(|_| ManifestError::Truncated { bytes: bytes.len() })?;
        if header.magic.get() != MAGIC || header.version.get() != VERSION {
            return Err(ManifestError::NotAManifest {
                magic: header.magic.get(),
                version: header.version.get(),
            });
        }
        let unknown = ManifestError::UnknownContent { flags: header.flags.get() };
        let count = usize::from(header.controls.get());
        if header.flags.get() & !FLAG_CHECKPOINT != 0 || count > DOMAINS_MAX || header.zero != [0; 4] {
            return Err(unknown);
        }
        let length = ManifestError::LengthMismatch {
            bytes: bytes.len(),
            stripes: header.stripes.get(),
            controls: count,
        };
        let (entries, rest) = <[StripeEntry]>::ref_from_prefix_with_elems(rest, header.stripes.get().into())
            .map_err(|_| length)?;
        let controls = <[RawControl]>::ref_from_bytes_with_elems(rest, count).map_err(|_| length)?;
        let controls: Option<Vec<Control>> = controls.iter().map(Control::from_raw).collect();
        let mut stripes = Vec::with_capacity(entries.len());
        let mut above = None;
        for entry in entries {
            let shard = ShardId(entry.shard.get());
            let in_range = (shard.0 as usize) < SHARDS_MAX
                && entry.events.get() as usize <= STRIPE_EVENTS_MAX
                && entry.bytes.get() as usize <= STRIPE_BYTES_MAX
                && entry.reserved_a == [0; 2]
                && entry.reserved_b == [0; 12];
            if !in_range || above.is_some_and(|above| shard <= above) {
                return Err(ManifestError::BadStripe { shard });
            }
            above = Some(shard);
            stripes.push(StripeRef {
                id: StripeId { shard, hash: Hash(entry.hash) },
                home_mask: entry.home_mask.get(),
                events: entry.events.get(),
                bytes: entry.bytes.get(),
            });
        }
        Ok(Manifest {
            slot: Slot(header.slot.get()),
            time: StreamTime(header.time.get()),
            previous: Hash(header.previous),
            checkpoint: header.flags.get() & FLAG_CHECKPOINT != 0,
            stripes,
            controls: controls.ok_or(unknown)?,
        })
    }
}

/// A manifest in its place of the log: with the hash of its bytes, which the next one chains to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ordered {
    /// The slot's value.
    pub manifest: Manifest,
    /// blake3 of its bytes.
    pub hash: Hash,
}

/// What is wrong with a manifest's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// Fewer bytes than a header.
    Truncated {
        /// Bytes that are there.
        bytes: usize,
    },
    /// The magic or the version is not a manifest's.
    NotAManifest {
        /// Magic found.
        magic: u32,
        /// Version found.
        version: u16,
    },
    /// A flag or a control event that this version does not know.
    UnknownContent {
        /// Flags found.
        flags: u16,
    },
    /// The bytes are not as long as the number of stripes and control events makes them.
    LengthMismatch {
        /// Bytes that are there.
        bytes: usize,
        /// Stripes that the header names.
        stripes: u16,
        /// Control events that it names.
        controls: usize,
    },
    /// A stripe out of order or out of range.
    BadStripe {
        /// Its shard.
        shard: ShardId,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::Truncated { bytes } => {
                write!(f, "a manifest of {bytes} bytes is shorter than its header of {MANIFEST_HEADER_BYTES}")
            }
            ManifestError::NotAManifest { magic, version } => {
                write!(f, "not a manifest of version {VERSION}: magic {magic:08x}, version {version}")
            }
            ManifestError::UnknownContent { flags } => {
                write!(f, "a manifest with flags {flags:04x} or control events, unknown to version {VERSION}")
            }
            ManifestError::LengthMismatch { bytes, stripes, controls } => write!(
                f,
                "a manifest of {bytes} bytes cannot hold the {stripes} stripes and {controls} control events it names"
            ),
            ManifestError::BadStripe { shard } => {
                write!(f, "the manifest's stripe of shard {shard} is out of order or out of range")
            }
        }
    }
}

impl core::error::Error for ManifestError {}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ManifestHeader {
    magic: U32,
    version: U16,
    flags: U16,
    slot: U64,
    time: U64,
    previous: [u8; 32],
    stripes: U16,
    controls: U16,
    zero: [u8; 4],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StripeEntry {
    hash: [u8; 32],
    home_mask: U64,
    shard: U16,
    reserved_a: [u8; 2],
    events: U32,
    bytes: U32,
    reserved_b: [u8; 12],
}

/// Bytes before the first stripe's entry.
pub const MANIFEST_HEADER_BYTES: usize = size_of::<ManifestHeader>();

/// Bytes of each stripe that a manifest names.
pub const MANIFEST_STRIPE_BYTES: usize = size_of::<StripeEntry>();

/// Bytes of all the control events that a manifest may have.
pub const MANIFEST_CONTROLS_BYTES_MAX: usize = DOMAINS_MAX * CONTROL_BYTES;

const MAGIC: u32 = u32::from_le_bytes(*b"MNFT");
const VERSION: u16 = 1;
const FLAG_CHECKPOINT: u16 = 1;

const _: () = assert!(MANIFEST_HEADER_BYTES == 64 && MANIFEST_STRIPE_BYTES == 64);

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{DomainId, LogicVersion};

    fn manifest() -> Manifest {
        let entry = |shard: u16| StripeRef {
            id: StripeId { shard: ShardId(shard), hash: Hash([shard as u8; 32]) },
            home_mask: 3,
            events: 10,
            bytes: 1000,
        };
        Manifest {
            slot: Slot(9),
            time: StreamTime(77),
            previous: Hash([8; 32]),
            checkpoint: true,
            stripes: vec![entry(0), entry(2)],
            controls: vec![Control::SwitchLogic(LogicVersion { domain: DomainId(4), version: 2 })],
        }
    }

    #[test]
    fn a_manifest_reads_back_and_every_accepted_byte_counts() {
        let bytes = manifest().encode();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest());
        for length in 0..bytes.len() {
            assert!(Manifest::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            if let Ok(read) = Manifest::parse(&flipped) {
                assert_eq!(read.encode(), flipped, "byte {at} is not part of the value");
            }
        }
    }
}
