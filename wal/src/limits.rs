//! Every limit of this crate, and the relations between them.

use assize_wire::limits::SHARDS_MAX;

/// The unit of alignment and of atomic replacement: everything on the device starts and ends at a multiple.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes of the header at the front of every record.
pub const RECORD_HEADER_BYTES: usize = 128;

/// The largest record, header and padding included. A segment's rest smaller than the next record stays unused.
pub const RECORD_BYTES_MAX: usize = 8 << 20;

/// The largest payload of one record.
pub const PAYLOAD_BYTES_MAX: usize = RECORD_BYTES_MAX - RECORD_HEADER_BYTES;

/// The most bytes that one group commit writes, unless a single record is larger.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// The most buffers in one group commit: one vectored write takes them all.
pub const GROUP_RECORDS_MAX: usize = 512;

/// The most group commits in flight in one log.
pub const WRITES_IN_FLIGHT_MAX: usize = 64;

/// The smallest segment, so that a record of the smallest size and its twin fit with room to spare.
pub const SEGMENT_BYTES_MIN: u64 = 16 * BLOCK_BYTES as u64;

/// Recovery reads the device in pieces of this size.
pub const SCAN_CHUNK_BYTES: usize = 1 << 20;

/// The agreed parameters in a superblock.
pub const PARAMETERS_BYTES_MAX: usize = 8 << 10;

/// The logs that a superblock can list: four for each core, of which there are at most one a shard and one more.
pub const LOGS_MAX: usize = 4 * (SHARDS_MAX + 1);

/// One copy of the superblock.
pub const SUPERBLOCK_COPY_BYTES: usize = 32 << 10;

const _: () = assert!(BLOCK_BYTES.is_power_of_two(), "offsets are masked with it");
const _: () = assert!(RECORD_HEADER_BYTES.is_multiple_of(16), "what follows a header is read in place");
const _: () = assert!(RECORD_BYTES_MAX.is_multiple_of(BLOCK_BYTES), "a record is whole blocks");
const _: () = assert!(RECORD_BYTES_MAX < u32::MAX as usize, "a payload's length is a u32");
const _: () = assert!(GROUP_RECORDS_MAX <= 1024, "Linux takes at most 1024 buffers in one vectored write");
const _: () = assert!(SUPERBLOCK_COPY_BYTES.is_multiple_of(BLOCK_BYTES), "a copy is whole blocks");
const _: () = assert!(
    576 + LOGS_MAX * 32 + PARAMETERS_BYTES_MAX <= SUPERBLOCK_COPY_BYTES,
    "a superblock's fixed part, its logs and its parameters fit one copy"
);
const _: () = assert!(SCAN_CHUNK_BYTES.is_multiple_of(BLOCK_BYTES), "reads are whole blocks");
