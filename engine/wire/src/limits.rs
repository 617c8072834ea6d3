//! Every bound of the byte layouts, each relation between them checked at compile time.

/// Shards that a cluster may have: a stripe's homes are a mask of 64 bits.
pub const SHARDS_MAX: usize = 64;

/// Domains of a cluster, and control events of one manifest.
pub const DOMAINS_MAX: usize = 8;

/// Voting replicas of a cluster.
pub const REPLICAS_MAX: usize = 5;

/// Entities that one event may touch (X6).
pub const EVENT_ENTITIES_MAX: usize = 16;

/// Payload bytes of one event, before padding.
pub const EVENT_PAYLOAD_BYTES_MAX: usize = 4096;

/// Events in one stripe, and in one request.
pub const STRIPE_EVENTS_MAX: usize = 8190;

/// Bytes of one stripe, header included.
pub const STRIPE_BYTES_MAX: usize = 4 << 20;

/// Response bytes that a domain may return for one event.
pub const RESPONSE_BYTES_MAX: usize = 256;

/// A response up to this size is kept in the Warden's entry; a longer one is found in the outcome stream (W2).
pub const RESPONSE_INLINE_BYTES_MAX: usize = 16;

/// State bytes of one entity.
pub const ENTITY_STATE_BYTES_MAX: usize = 128;

/// Entities in one read request.
pub const READ_ENTITIES_MAX: usize = 8190;

/// Payload bytes of one client frame.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Payload bytes of one frame between replicas: the largest stripe and its length.
pub const PEER_PAYLOAD_BYTES_MAX: usize = (4 << 20) + 16;

/// Payload bytes of a frame between replicas that have not proved themselves to each other, and of any short one.
pub const PEER_HANDSHAKE_BYTES_MAX: usize = 640;

/// Bytes of the text that names the domains in a handshake, cut there.
pub const PEER_DOMAINS_BYTES_MAX: usize = 256;

/// Bytes of the sentence with which a replica refuses another.
pub const PEER_REFUSED_TEXT_BYTES_MAX: usize = 384;

/// Versions of domains' logic that a replica tells of in a handshake.
pub const PEER_LOGIC_MAX: usize = 32;

/// Slots that one message of the Docket holds.
pub const PEER_SLOTS_MAX: usize = 512;

/// Bytes of one record of a checkpoint in a message.
pub const PEER_PART_BYTES_MAX: usize = STRIPE_BYTES_MAX - 48;

/// Digests in one message of copies.
pub const PEER_COPIES_MAX: usize = 4096;

/// Bytes of one event's outcome and of the entities that it changed, as digests cover them.
pub const EVENT_PIECE_BYTES_MAX: usize =
    48 + padded(RESPONSE_BYTES_MAX) + 1 + EVENT_ENTITIES_MAX * (20 + ENTITY_STATE_BYTES_MAX);

/// Every header and every padded body is a multiple of this, so that what follows can be read in place.
pub const ALIGN_BYTES: usize = 16;

/// `bytes` rounded up to [`ALIGN_BYTES`].
#[must_use]
pub const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN_BYTES)
}

const _: () = assert!(SHARDS_MAX <= 64, "the home mask of a stripe is a u64");
const _: () = assert!(STRIPE_EVENTS_MAX < 1 << 13, "the Warden's entry keeps an event's index in 13 bits");
const _: () = assert!(
    RESPONSE_INLINE_BYTES_MAX < 31,
    "the Warden's entry keeps a response's length in 5 bits, 31 meaning: in the outcome stream"
);
const _: () =
    assert!(STRIPE_BYTES_MAX >= 64 + 32 + EVENT_PAYLOAD_BYTES_MAX, "the largest event must fit a stripe");
const _: () = assert!(
    READ_ENTITIES_MAX * (16 + padded(ENTITY_STATE_BYTES_MAX)) + 32 <= FRAME_PAYLOAD_BYTES_MAX,
    "the answer to the largest read must fit a frame"
);
const _: () = assert!(
    STRIPE_EVENTS_MAX * (32 + padded(RESPONSE_BYTES_MAX)) + 16 <= FRAME_PAYLOAD_BYTES_MAX,
    "the answer to the largest request must fit a frame"
);
const _: () = assert!(
    16 + padded(STRIPE_BYTES_MAX) <= PEER_PAYLOAD_BYTES_MAX,
    "the largest stripe and its length fit a frame between replicas"
);
const _: () = assert!(
    16 + padded(PEER_REFUSED_TEXT_BYTES_MAX) <= PEER_HANDSHAKE_BYTES_MAX,
    "a refusal fits a frame before anything is proved"
);
