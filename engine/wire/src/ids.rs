//! Newtypes for identities and positions, so that no signature takes a bare pair of integers.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u128);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

id128!(
    /// Identity of a cluster, drawn at `format`. A restored backup is a new cluster.
    ClusterId
);
id128!(
    /// The idempotency key under which a client submits an event.
    EventKey
);
id128!(
    /// The id of an entity within its domain.
    EntityId
);
id!(
    /// A voting replica, counted from 0.
    ReplicaId(u8)
);
id!(
    /// One slice of the work. Agreed: `0 .. shard_count`.
    ShardId(u16)
);
id!(
    /// A pinned thread of one replica. Never leaves the process.
    CoreId(u16)
);
id!(
    /// A log of one replica. Logs keep their ids when the core map changes (L1).
    LogId(u16)
);
id!(
    /// A domain's number, agreed at `format`.
    DomainId(u16)
);
id!(
    /// Raised at every start of a replica, durable before anything is appended (L3).
    Incarnation(u64)
);
id!(
    /// A position of the replicated log. The first manifest is at slot 1; slot 0 means "before the log".
    Slot(u64)
);
id!(
    /// The only clock evaluation may see: nanoseconds since the Unix epoch, agreed in manifests, never moving back.
    StreamTime(u64)
);

impl Slot {
    /// Before the first slot.
    pub const ZERO: Slot = Slot(0);

    /// The slot after this one.
    #[must_use]
    pub fn next(self) -> Slot {
        Slot(self.0 + 1)
    }
}

/// A Paxos ballot: (round, replica), ordered by round, then replica. Round 0 is "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot(u64);

impl Ballot {
    /// Below every ballot that a replica may use.
    pub const NONE: Ballot = Ballot(0);

    /// The ballot of `replica` in `round`, which must be below 2^56.
    #[must_use]
    pub fn new(round: u64, replica: ReplicaId) -> Ballot {
        assert!(round < 1 << 56, "ballot round {round} does not fit 56 bits");
        Ballot(round << 8 | u64::from(replica.0))
    }

    /// The round.
    #[must_use]
    pub fn round(self) -> u64 {
        self.0 >> 8
    }

    /// The replica that leads under this ballot.
    #[must_use]
    pub fn replica(self) -> ReplicaId {
        ReplicaId((self.0 & 0xff) as u8)
    }

    /// Its bytes' integer, for a fixed layout.
    #[must_use]
    pub fn to_raw(self) -> u64 {
        self.0
    }

    /// Reads it back from a fixed layout. Every value is a ballot.
    #[must_use]
    pub fn from_raw(raw: u64) -> Ballot {
        Ballot(raw)
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ballot({}.{})", self.round(), self.replica())
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round(), self.replica())
    }
}

impl EventKey {
    /// The key that a text is, wherever keys are texts: the first half of its blake3, which is as good as 128 random
    /// bits where the texts differ.
    #[must_use]
    pub fn of_text(text: &str) -> EventKey {
        let hash = Hash::of(text.as_bytes());
        let (half, _) = hash.0.split_first_chunk().expect("a hash has 32 bytes");
        EventKey(u128::from_le_bytes(*half))
    }
}

/// A blake3 hash of 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash that the first manifest chains to.
    pub const ZERO: Hash = Hash([0; 32]);

    /// blake3 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// What names a stripe: its shard and the blake3 of its bytes, which hold ballot and counter, so no two are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StripeId {
    /// The shard that sealed it.
    pub shard: ShardId,
    /// blake3 of the stripe's bytes.
    pub hash: Hash,
}

/// Where an event stands in the total order: (slot, shard, index), compared in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The slot that ordered its stripe.
    pub slot: Slot,
    /// The shard of its stripe.
    pub shard: ShardId,
    /// Its index in the stripe.
    pub index: u32,
}
