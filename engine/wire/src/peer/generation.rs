//! Which disk of a replica somebody speaks of: a disk that was lost took promises and accepts with it, and what was
//! answered from it must not be counted together with what is answered from the next one (R3).

use core::fmt;

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ReplicaId;
use crate::limits::REPLICAS_MAX;

/// One disk of a replica: when it was formatted, by the wall clock there, and whether that was said to be in place of
/// another one.
///
/// What is known of a replica's disks only rises, in this order: nothing; the first disk that was met; that two were
/// met of which neither was said to replace the other; a disk in place of others; a later one of those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// No disk was met.
    pub const NONE: Generation = Generation(0);
    /// Two were met, and none says that it replaces the other: nobody knows which of them forgot what.
    pub const CONTRADICTED: Generation = Generation(1 << 62);

    /// A disk that was formatted then, in nanoseconds since the Unix epoch, for a replica that is new.
    #[must_use]
    pub fn first(formatted_ns: u64) -> Generation {
        Generation(formatted_ns.clamp(1, FORMATTED_NS_MAX))
    }

    /// A disk that was formatted then in place of one that was lost.
    #[must_use]
    pub fn rejoined(formatted_ns: u64) -> Generation {
        Generation(REJOINED | formatted_ns.clamp(1, FORMATTED_NS_MAX))
    }

    /// Whether it is in place of one that was lost.
    #[must_use]
    pub fn is_rejoined(self) -> bool {
        self.0 & REJOINED != 0
    }

    /// When it was formatted.
    #[must_use]
    pub fn formatted_ns(self) -> u64 {
        self.0 & FORMATTED_NS_MAX
    }

    /// What is known of a replica's disks when this is, and the other, too. The order in which it was learned does not
    /// matter.
    #[must_use]
    pub fn with(self, other: Generation) -> Generation {
        let higher = self.max(other);
        let both_first = |one: Generation| one != Generation::NONE && one < Generation::CONTRADICTED;
        if self != other && both_first(self) && both_first(other) { Generation::CONTRADICTED } else { higher }
    }

    /// As it is stored.
    #[must_use]
    pub fn to_raw(self) -> u64 {
        self.0
    }

    /// As it was stored.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Generation {
        Generation(raw)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Generation::NONE => f.write_str("none"),
            Generation::CONTRADICTED => f.write_str("contradicted"),
            Generation(_) => {
                let how = if self.is_rejoined() { " to rejoin" } else { "" };
                write!(f, "formatted at {} ns{how}", self.formatted_ns())
            }
        }
    }
}

/// What is known of the disks of every replica, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generations([Generation; REPLICAS_MAX]);

impl Generations {
    /// Bytes of them.
    pub const BYTES: usize = 8 * REPLICAS_MAX;

    /// What is known of one replica's disks.
    #[must_use]
    pub fn of(&self, replica: ReplicaId) -> Generation {
        self.0.get(usize::from(replica.0)).copied().unwrap_or_default()
    }

    /// A disk of a replica was met. Says whether that is new.
    pub fn learn(&mut self, replica: ReplicaId, generation: Generation) -> bool {
        let Some(known) = self.0.get_mut(usize::from(replica.0)) else { return false };
        let before = *known;
        *known = before.with(generation);
        *known != before
    }

    /// As they are stored.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Generations::BYTES] {
        let mut bytes = [0; Generations::BYTES];
        for (generation, at) in self.0.iter().zip(bytes.chunks_exact_mut(8)) {
            at.copy_from_slice(&generation.0.to_le_bytes());
        }
        bytes
    }

    /// As they were stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Generations::BYTES]) -> Generations {
        let mut generations = Generations::default();
        for (generation, at) in generations.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *generation = Generation(u64::from_le_bytes(*at));
        }
        generations
    }
}

/// [`Generations`] within a message.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct GenerationsBytes([U64; REPLICAS_MAX]);

impl GenerationsBytes {
    pub(super) fn of(generations: &Generations) -> GenerationsBytes {
        GenerationsBytes(generations.0.map(|generation| U64::new(generation.0)))
    }

    pub(super) fn read(&self) -> Generations {
        Generations(self.0.map(|raw| Generation(raw.get())))
    }
}

const REJOINED: u64 = 1 << 63;
/// The year 2116.
const FORMATTED_NS_MAX: u64 = (1 << 62) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known rises only, whatever comes first.
    #[test]
    fn what_is_known_of_disks_does_not_depend_on_the_order() {
        let all = [
            Generation::NONE,
            Generation::first(5),
            Generation::first(7),
            Generation::CONTRADICTED,
            Generation::rejoined(3),
            Generation::rejoined(9),
        ];
        for one in all {
            assert_eq!(one.with(one), one);
            assert_eq!(one.with(Generation::NONE), one);
            for other in all {
                let both = one.with(other);
                assert_eq!(both, other.with(one));
                assert!(both >= one && both >= other, "{one}, {other}: {both}");
                for third in all {
                    assert_eq!(both.with(third), one.with(other.with(third)));
                }
            }
        }
        assert_eq!(Generation::first(5).with(Generation::first(7)), Generation::CONTRADICTED);
        assert_eq!(Generation::first(9).with(Generation::rejoined(3)), Generation::rejoined(3));
    }

    #[test]
    fn generations_read_back_as_they_were_stored() {
        let mut generations = Generations::default();
        assert!(generations.learn(ReplicaId(4), Generation::rejoined(6)));
        assert!(generations.learn(ReplicaId(0), Generation::first(5)));
        assert!(!generations.learn(ReplicaId(0), Generation::first(5)));
        assert!(!generations.learn(ReplicaId(9), Generation::first(5)), "no such replica");
        assert_eq!(Generations::from_bytes(&generations.to_bytes()), generations);
        assert_eq!(GenerationsBytes::of(&generations).read(), generations);
    }
}
