//! Why a replica is quarantined, as the superblock keeps it (C5).

use alloc::format;
use core::fmt;

use assize_wire::{Hash, ShardId, Slot};

/// What put a replica into quarantine: its arithmetic, memory or disk is in doubt. Durable; it ends only by rebuilding
/// (R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// What was found.
    pub kind: QuarantineKind,
    /// In which slot.
    pub slot: Slot,
    /// In whose stripe; none where it is the state of the whole replica.
    pub shard: Option<ShardId>,
    /// The digest that others agree on, or that was published.
    pub expected: Hash,
    /// The digest found here.
    pub found: Hash,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum QuarantineKind {
    /// Others agree on other outcomes.
    Outcomes = 1,
    /// Two groups of replicas agree, each on other outcomes: nobody knows which are right.
    SplitBrain = 2,
    /// A replay came to other outcomes than were published before the restart.
    Replay = 3,
    /// Others agree on another state after a slot.
    State = 4,
    /// An operator has decided that what was evaluated here is replaced by a checkpoint of the others (R3). Promises
    /// and accepted records stay.
    Rebuild = 5,
}

impl QuarantineKind {
    /// All of them.
    pub const ALL: [QuarantineKind; 5] = [
        QuarantineKind::Outcomes,
        QuarantineKind::SplitBrain,
        QuarantineKind::Replay,
        QuarantineKind::State,
        QuarantineKind::Rebuild,
    ];
}

impl Quarantine {
    /// What is evaluated here is to be replaced (R3): what `assize rebuild` writes.
    pub const REBUILD: Quarantine = Quarantine {
        kind: QuarantineKind::Rebuild,
        slot: Slot::ZERO,
        shard: None,
        expected: Hash::ZERO,
        found: Hash::ZERO,
    };

    /// Whether what is evaluated here is to be replaced.
    #[must_use]
    pub fn is_rebuild(&self) -> bool {
        self.kind == QuarantineKind::Rebuild
    }

    /// As the superblock keeps it.
    pub(super) fn to_bytes(self) -> [u8; QUARANTINE_BYTES] {
        let mut bytes = [0; QUARANTINE_BYTES];
        bytes[..8].copy_from_slice(&self.slot.0.to_le_bytes());
        let shard = self.shard.map_or(NO_SHARD, |shard| shard.0);
        bytes[8..10].copy_from_slice(&shard.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.expected.0);
        bytes[48..].copy_from_slice(&self.found.0);
        bytes
    }

    /// Reads it; `kind` is 0 where there is none.
    pub(super) fn of_bytes(kind: u8, bytes: &[u8; QUARANTINE_BYTES]) -> Option<Quarantine> {
        let kind = QuarantineKind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        let hash = |at: usize| Hash(bytes[at..at + 32].try_into().expect("32 bytes"));
        let shard = u16::from_le_bytes([bytes[8], bytes[9]]);
        Some(Quarantine {
            kind,
            slot: Slot(u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))),
            shard: (shard != NO_SHARD).then_some(ShardId(shard)),
            expected: hash(16),
            found: hash(48),
        })
    }
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quarantine { kind, slot, shard, expected, found } = self;
        let place = match shard {
            Some(shard) => format!("slot {slot}, shard {shard}"),
            None => format!("slot {slot}"),
        };
        match kind {
            QuarantineKind::Outcomes => write!(
                f,
                "{place}: the other replicas agree on outcomes with digest {expected}, this one computed {found}"
            ),
            QuarantineKind::SplitBrain => write!(
                f,
                "{place}: replicas agree on two different digests, {expected} and {found}: nobody knows which is right"
            ),
            QuarantineKind::Replay => write!(
                f,
                "{place}: outcomes with digest {expected} were published before the restart, and the same stripe now gives \
                 {found}"
            ),
            QuarantineKind::State => write!(
                f,
                "{place}: the other replicas agree on a state with digest {expected} after it, this one has {found}"
            ),
            // Of no slot.
            QuarantineKind::Rebuild => {
                f.write_str("what was evaluated here is replaced by a checkpoint of the others")
            }
        }
    }
}

/// Bytes of it in the superblock, beside its kind.
pub(super) const QUARANTINE_BYTES: usize = 80;

/// In place of a shard.
const NO_SHARD: u16 = u16::MAX;
