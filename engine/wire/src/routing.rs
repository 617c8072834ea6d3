//! Which shard owns a key, and which is the home of an entity: fixed hashes, keyed per cluster (D3).

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::Event;
use crate::{DomainId, EntityId, EventKey, ShardId};

/// The agreed part of routing: equal on every replica and told to every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Keys the hash, so that two clusters spread the same keys differently.
    pub seed: u64,
    /// How many shards there are, at least 1.
    pub shards: u16,
}

impl Routing {
    /// The shard whose Warden slice owns `key`.
    #[must_use]
    pub fn shard_of_key(&self, key: EventKey) -> ShardId {
        self.reduce(xxh3_64_with_seed(&key.0.to_le_bytes(), self.seed))
    }

    /// The home shard of an entity.
    #[must_use]
    pub fn home_of(&self, domain: DomainId, entity: EntityId) -> ShardId {
        let mut bytes = [0; 18];
        bytes[..16].copy_from_slice(&entity.0.to_le_bytes());
        bytes[16..].copy_from_slice(&domain.0.to_le_bytes());
        self.reduce(xxh3_64_with_seed(&bytes, self.seed))
    }

    /// A number below `shards`, by the high bits of the product (Lemire's reduction), so no modulus on the hot path.
    fn reduce(&self, hash: u64) -> ShardId {
        ShardId(((u128::from(hash) * u128::from(self.shards)) >> 64) as u16)
    }
}

/// The hash by which the Warden tells another body under a live key (W2), keyed by the agreed `seed`, so that a
/// client cannot prepare two bodies that look alike.
#[must_use]
pub fn body_hash(event: &Event<'_>, seed: u64) -> u64 {
    xxh3_64_with_seed(event.body(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_entities_reach_every_shard_about_equally() {
        for shards in [1u16, 2, 3, 8, 64] {
            let routing = Routing { seed: 42, shards };
            let mut keys = [0u32; 64];
            let mut homes = [0u32; 64];
            for n in 0..6400u128 {
                keys[routing.shard_of_key(EventKey(n)).0 as usize] += 1;
                homes[routing.home_of(DomainId(1), EntityId(n)).0 as usize] += 1;
            }
            let fair = 6400 / u32::from(shards);
            for counts in [keys, homes] {
                assert!(counts[..shards as usize].iter().all(|n| (fair / 2..=fair * 2).contains(n)));
                assert!(counts[shards as usize..].iter().all(|n| *n == 0));
            }
        }
    }

    #[test]
    fn the_hash_is_pinned() {
        let routing = Routing { seed: 1, shards: 64 };
        let spread = [0u128, 1, 1 << 127].map(|key| routing.shard_of_key(EventKey(key)).0);
        assert_eq!(spread, PINNED, "another hash would route the keys of existing clusters elsewhere");
    }

    const PINNED: [u16; 3] = [16, 36, 24];
}
