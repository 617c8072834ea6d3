//! Bounds of one core's composition.

use assize_wal::BLOCK_BYTES;
use assize_wal::limits::{PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES};
use assize_wire::accept::ACCEPT_HEADER_BYTES;
use assize_wire::limits::{
    PEER_COPIES_MAX, PEER_PART_BYTES_MAX, PEER_PAYLOAD_BYTES_MAX, RESPONSE_BYTES_MAX, SHARDS_MAX,
    STRIPE_EVENTS_MAX, padded,
};
use assize_wire::outcome::OUTCOME_HEADER_BYTES;
use assize_wire::peer::PEER_FRAME_HEADER_BYTES;
use assize_wire::published::PUBLISHED_HEADER_BYTES;
use assize_wire::stripe::STRIPE_HEADER_BYTES;

/// The outcome stream is appended to its log in chunks of about this many bytes; fewer where segments are small, or
/// when it falls idle.
pub(crate) const OUTCOME_CHUNK_BYTES: u64 = 1 << 20;

/// The most bytes that the outcome of one event takes.
pub(crate) const OUTCOME_BYTES_MAX: u64 = (OUTCOME_HEADER_BYTES + padded(RESPONSE_BYTES_MAX)) as u64;

/// The most that a record of a stripe, or of its outcomes, takes beside the events or outcomes: headers and padding.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 =
    (RECORD_HEADER_BYTES + PUBLISHED_HEADER_BYTES + BLOCK_BYTES) as u64;

/// The most blocks that a slot takes of the Docket's log for each stripe it names: two copies of its accept record.
pub(crate) const SLOT_BLOCKS: u64 = 2;

/// Blocks kept back in each log beside what is counted: what one step appends before the room is measured again, and
/// empty records with the mark.
pub(crate) const SPARE_BLOCKS: u64 = 64;

/// An open chunk of outcomes is appended after this long at the latest, in nanoseconds.
pub(crate) const OUTCOME_CHUNK_AGE_NS: u64 = 50_000_000;

/// A log that was silent this long writes one empty record with its mark (L5), in nanoseconds.
pub(crate) const IDLE_MARK_NS: u64 = 5_000_000;

/// A peer that was behind and is not connected any more is likely to be back within this time, in nanoseconds: it
/// starts again.
pub(crate) const CATCHING_UP_NS: u64 = 10_000_000_000;

/// While a peer is behind, a checkpoint is flagged only after so many times as many log bytes: `log.bytes_max` is at
/// least four times those.
pub(crate) const FLAG_PUT_OFF: u64 = 3;

/// So often at most that is doubled, one checkpoint after the other: the room of the log is the bound that counts.
pub(crate) const FLAG_DOUBLED_MAX: u32 = 20;

/// A core that refuses events for want of room says so to the control core this often at most, in nanoseconds: each
/// time a checkpoint is taken for it.
pub(crate) const SHORT_OF_ROOM_NS: u64 = 5_000_000_000;

/// The operator is told this often, in nanoseconds, while the disk has no space for another segment, or a shard none
/// for another key.
pub(crate) const FULL_AGAIN_NS: u64 = 60_000_000_000;

/// A connection that sent part of a frame and nothing more for this long is closed, in nanoseconds.
pub(crate) const PARTIAL_FRAME_NS: u64 = 10_000_000_000;

/// A connection that did not say `Hello` for this long is closed, in nanoseconds.
pub(crate) const HELLO_NS: u64 = 10_000_000_000;

/// What a client that is told `busy` is asked to wait, in microseconds.
pub(crate) const RETRY_AFTER_US: u32 = 2_000;

/// Answer bytes that may wait for one slow reader before its connection is closed.
pub(crate) const UNSENT_BYTES_MAX: usize = 64 << 20;

/// Bytes that may wait for one slow peer on one lane: two stripes of the largest kind. As many may be in the kernel's
/// hands.
pub(crate) const LINK_UNSENT_BYTES_MAX: usize = 9 << 20;

/// Connections from peers, on one core, that have proved nothing yet.
pub(crate) const LINKS_UNPROVED_MAX: usize = 64;

/// A handshake between replicas that is not over after this long is refused, in nanoseconds.
pub(crate) const LINK_HANDSHAKE_NS: u64 = 5_000_000_000;

/// A connection to a peer on which nothing was sent this long carries a sign of life, in nanoseconds.
pub(crate) const LINK_QUIET_NS: u64 = 500_000_000;

/// A connection to a peer on which nothing came this long is closed, in nanoseconds. A large frame counts when it is
/// there.
pub(crate) const LINK_SILENCE_NS: u64 = 5_000_000_000;

/// A refused peer has this long to read why, in nanoseconds.
pub(crate) const LINK_FAREWELL_NS: u64 = 1_000_000_000;

/// The pause before a peer is dialed again: at least, and, doubling, at most this, in nanoseconds.
pub(crate) const DIAL_PAUSE_NS_MIN: u64 = 50_000_000;
pub(crate) const DIAL_PAUSE_NS_MAX: u64 = 1_000_000_000;

/// Redirects in a row, from core to core of one peer, before the lane is dialed anew.
pub(crate) const REDIRECTS_MAX: u32 = 4;

/// An operator is told the same reason again after this long, in nanoseconds, while it lasts.
pub(crate) const REFUSAL_AGAIN_NS: u64 = 60_000_000_000;

/// An operator is told of refusals of one peer this often at most, in nanoseconds.
pub(crate) const REFUSAL_PAUSE_NS: u64 = 1_000_000_000;

/// A stripe that a manifest names and that is not here is asked for after this long, in nanoseconds: its leader has
/// pushed it, and mostly it is on its way.
pub(crate) const STRIPE_PUSH_NS: u64 = 5_000_000;

/// Of what a peer says of its clock within this long, in nanoseconds, the latest counts: it was under way for the least
/// time (P13).
pub(crate) const CLOCK_PERIOD_NS: u64 = 1_000_000_000;

/// A stripe that was asked for and did not come is asked for again, of the next peer, after this long, in nanoseconds.
pub(crate) const STRIPE_ASK_AGAIN_NS: u64 = 40_000_000;

/// Stripes that one core has asked its peers for and that have not come: so many, with so many bytes, at most. What a
/// lane holds for a slow peer has room for them beside what is new.
pub(crate) const STRIPES_ASKED_MAX: usize = 64;
pub(crate) const STRIPES_ASKED_BYTES_MAX: u64 = 4 << 20;

/// Stripes of one shard that no chosen slot names and that a replica takes from its peers unasked. What it does not
/// take it asks for when a manifest names it.
pub(crate) const UNNAMED_STRIPES_MAX: usize = 64;

/// Copies that are missing for a stripe that has run here are asked for after this long, and again after as long, in
/// nanoseconds.
pub(crate) const COPIES_ASK_NS: u64 = 20_000_000;

/// Digests of slots published long ago that peers may wait for at once, of one shard.
pub(crate) const OLD_DIGESTS_WANTED_MAX: usize = 2048;

/// Replicas that have not reported their checkpoint are asked for it again after this long, in nanoseconds.
pub(crate) const CHECKPOINT_ASK_NS: u64 = 50_000_000;

/// A replica whose published slot stands still for this long below the checkpoint of a peer takes it over, in
/// nanoseconds: what it lacks is gone from that peer's log.
pub(crate) const STRANDED_NS: u64 = 500_000_000;

/// One that could not take over a checkpoint tries again after so long, in nanoseconds, and after twice as long each
/// time that it cannot again: for lack of space as a rule.
pub(crate) const TAKE_OVER_AGAIN_NS: u64 = 2_000_000_000;

/// It is doubled so often at most.
pub(crate) const TAKE_OVER_DOUBLED_MAX: u32 = 5;

/// A record of a checkpoint that was asked for and did not come is asked for again after this long, in nanoseconds.
pub(crate) const PART_ASK_AGAIN_NS: u64 = 200_000_000;

/// A peer that asks for no record of a checkpoint for this long is sent it no more, and what only it needed is given
/// up, in nanoseconds.
pub(crate) const SENDING_IDLE_NS: u64 = 5_000_000_000;

/// How long a leader that stops waits for another replica to take over, in nanoseconds.
pub(crate) const HAND_OVER_NS: u64 = 1_000_000_000;

/// A replica that was told to take over is expected to be heard as the leader within so many election timeouts: one
/// passes before others stand for election in its place, and an election may fail.
pub(crate) const TAKEN_OVER_TIMEOUTS: u64 = 8;

/// How often an operator is told that a peer's log does not reach back to what is missing here.
pub(crate) const CHECKPOINT_NEEDED_TOLD_NS: u64 = 60_000_000_000;

const _: () = assert!(2 * STRIPES_ASKED_BYTES_MAX <= LINK_UNSENT_BYTES_MAX as u64, "asked for, and new");
const _: () =
    assert!(OLD_DIGESTS_WANTED_MAX <= PEER_COPIES_MAX, "one message answers all that one peer asked");
const _: () =
    assert!(STRIPE_HEADER_BYTES <= PUBLISHED_HEADER_BYTES, "one overhead serves both kinds of record");
const _: () = assert!(
    OUTCOME_CHUNK_BYTES + STRIPE_EVENTS_MAX as u64 * OUTCOME_BYTES_MAX + RECORD_OVERHEAD_BYTES
        <= PAYLOAD_BYTES_MAX as u64,
    "a chunk that lacks one byte, and then the outcomes of the largest stripe, fit a record"
);
const _: () = assert!(
    OUTCOME_CHUNK_BYTES + STRIPE_EVENTS_MAX as u64 * OUTCOME_BYTES_MAX + RECORD_OVERHEAD_BYTES
        <= PEER_PART_BYTES_MAX as u64,
    "the largest chunk of outcomes fits a message to a peer"
);
const _: () = assert!(
    RECORD_HEADER_BYTES + ACCEPT_HEADER_BYTES + 64 + 64 * 32 <= BLOCK_BYTES && SHARDS_MAX <= 64,
    "an accept record that names n stripes takes at most n blocks"
);
const _: () = assert!(
    LINK_UNSENT_BYTES_MAX >= 2 * (PEER_FRAME_HEADER_BYTES + PEER_PAYLOAD_BYTES_MAX),
    "while one message of the largest kind waits for a peer there is room for another"
);
const _: () = assert!(
    LINK_SILENCE_NS >= 4 * LINK_QUIET_NS,
    "a peer that is alive and has nothing to say is heard in time, even if it is held up"
);
