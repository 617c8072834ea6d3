//! The bounds of this crate and how they depend on each other.

use assize_wire::checkpoint::ENTITY_HEAD_BYTES;
use assize_wire::limits::{ENTITY_STATE_BYTES_MAX, SHARDS_MAX, STRIPE_EVENTS_MAX};

/// Slots that a shard has under way at most. A slot waits until the one this many below it is finished here, so that
/// its room for new entities is fixed by the count after that slot (D5). Agreed: a window must not be larger.
pub const WINDOW_SLOTS_MAX: u64 = 8;

/// Entries that the ring of a Warden of `capacity` live keys has beyond these. A stripe that was checked and has
/// not run refers to entries that were live when it was checked; at most this many are added before it runs, so
/// they are still
/// there: a stripe adds as many as it has events, and no more than may live at once.
#[must_use]
pub const fn warden_reserve(capacity: u32) -> usize {
    let stripe = if (capacity as usize) < STRIPE_EVENTS_MAX { capacity as usize } else { STRIPE_EVENTS_MAX };
    WINDOW_SLOTS_MAX as usize * stripe
}

/// Records of entities that one step of a checkpoint looks at at most: below a millisecond even where each is a cache
/// miss.
pub const CHECKPOINT_STEP_ENTITIES: u32 = 1024;

/// Bytes of pre-images that one step of a checkpoint writes, and one entity more.
pub const CHECKPOINT_STEP_PRE_IMAGE_BYTES: usize = 32 << 10;

/// The records that a checkpoint is written in are at least this large.
pub const CHECKPOINT_RECORD_BYTES_MIN: usize = 48 << 10;

/// Keys that one step of a checkpoint writes at most.
pub const CHECKPOINT_STEP_KEYS: u64 = 2048;

/// Slots above the one last published for which the Clerk holds other replicas' copies; those above are asked for
/// again (C4).
pub const COPIES_AHEAD_MAX: u64 = 2 * WINDOW_SLOTS_MAX;

const _: () = assert!(
    ENTITY_STATE_BYTES_MAX < 254,
    "a state list keeps a length in a byte, two values of which mean absent and unchanged"
);
const _: () = assert!(SHARDS_MAX <= 64, "the homes with room for new entities are a mask of 64 bits");
const _: () = assert!(
    CHECKPOINT_STEP_PRE_IMAGE_BYTES + ENTITY_HEAD_BYTES + ENTITY_STATE_BYTES_MAX
        <= CHECKPOINT_RECORD_BYTES_MIN,
    "the pre-images of a step fit a record"
);

/// Digests of published stripes that a shard keeps in memory for peers that are late: 40 bytes each.
pub const SETTLED_DIGESTS: usize = 1 << 16;

/// Slots of which a shard remembers that others computed something else than was published: whoever does so is
/// quarantined soon after, so there are few.
pub const OUTSIDE_SLOTS_MAX: usize = 256;

/// Of the stripes that it published last a shard keeps event by event what they came to, for a peer that differs (C6):
/// in so many bytes of memory, and of so many stripes, at most.
pub const PIECES_BYTES_MAX: usize = 8 << 20;

/// See [`PIECES_BYTES_MAX`].
pub const STRIPES_IN_PIECES_MAX: usize = 4096;
