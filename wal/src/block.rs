//! Buffers of whole, 4096-aligned blocks: what the Usher fills is what the device writes and the Arbiter reads.
//!
//! Invariants of a [`BlockBuffer`]:
//! 1. its memory is 4096-aligned and its length on the device a whole number of blocks;
//! 2. the bytes from its end to the end of its last block are zero;
//! 3. `end >= RECORD_HEADER_BYTES`: the record's header always has room in front.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::{BLOCK_BYTES, RECORD_HEADER_BYTES};

/// One aligned block of the device.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
pub struct Block(pub [u8; BLOCK_BYTES]);

impl Block {
    /// A block of zeros.
    pub const ZERO: Block = Block([0; BLOCK_BYTES]);
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({})", if self.0.iter().all(|byte| *byte == 0) { "zero" } else { "data" })
    }
}

/// A growable record: room for its header, then its payload, then zeros to the end of the last block.
///
/// Only blocks that bytes reach are touched, so a large capacity costs nothing until it is used.
pub struct BlockBuffer {
    /// Initialized blocks. Those past `end` may hold an earlier use's bytes; invariant 2 is kept as `end` moves.
    blocks: Vec<Block>,
    /// Header and payload bytes in use.
    end: usize,
}

impl BlockBuffer {
    /// An empty record with room for `payload_capacity` bytes before it must grow.
    #[must_use]
    pub fn for_record(payload_capacity: usize) -> BlockBuffer {
        let blocks = Vec::with_capacity(blocks_for(RECORD_HEADER_BYTES + payload_capacity));
        let mut buffer = BlockBuffer { blocks, end: 0 };
        buffer.advance_to(RECORD_HEADER_BYTES);
        buffer
    }

    /// A record read back or received whole: `blocks` hold the header and `payload_bytes` of payload.
    /// Bytes past the payload are cleared.
    #[must_use]
    pub fn from_blocks(mut blocks: Vec<Block>, payload_bytes: usize) -> BlockBuffer {
        let end = RECORD_HEADER_BYTES + payload_bytes;
        assert!(blocks.len() >= blocks_for(end), "{payload_bytes} payload bytes in {} blocks", blocks.len());
        let tail = end..blocks_for(end) * BLOCK_BYTES;
        blocks.as_mut_slice().as_mut_bytes()[tail].fill(0);
        BlockBuffer { blocks, end }
    }

    /// The bytes that a record of `payload_bytes` takes on the device, header and padding included.
    #[must_use]
    pub const fn record_bytes(payload_bytes: usize) -> usize {
        blocks_for(RECORD_HEADER_BYTES + payload_bytes) * BLOCK_BYTES
    }

    /// Appends to the payload.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let start = self.end;
        self.advance_to(start + bytes.len());
        self.blocks.as_mut_slice().as_mut_bytes()[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Appends `bytes` zeros to the payload and gives them to fill in place.
    pub fn extend_zeroed(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.end;
        self.advance_to(start + bytes);
        let added = &mut self.blocks.as_mut_slice().as_mut_bytes()[start..start + bytes];
        added.fill(0);
        added
    }

    /// Drops payload bytes past `payload_bytes`.
    pub fn truncate(&mut self, payload_bytes: usize) {
        let end = RECORD_HEADER_BYTES + payload_bytes;
        if end < self.end {
            self.end = end;
            self.clear_tail();
        }
    }

    /// Empties the payload and the header, keeping the memory for the next use.
    pub fn clear(&mut self) {
        self.end = 0;
        self.advance_to(RECORD_HEADER_BYTES);
        self.header_mut().fill(0);
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.blocks.as_slice().as_bytes()[RECORD_HEADER_BYTES..self.end]
    }

    /// The payload, to be changed in place.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.end;
        &mut self.blocks.as_mut_slice().as_mut_bytes()[RECORD_HEADER_BYTES..end]
    }

    /// Bytes of payload.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.end - RECORD_HEADER_BYTES
    }

    /// Payload bytes that fit without growing.
    #[must_use]
    pub fn payload_capacity(&self) -> usize {
        (self.blocks.capacity() * BLOCK_BYTES).saturating_sub(RECORD_HEADER_BYTES)
    }

    /// What goes to the device: whole blocks, header, payload and zero padding.
    #[must_use]
    pub fn as_blocks_bytes(&self) -> &[u8] {
        self.as_blocks().as_bytes()
    }

    /// The same as blocks.
    #[must_use]
    pub fn as_blocks(&self) -> &[Block] {
        &self.blocks[..blocks_for(self.end)]
    }

    pub(crate) fn header_mut(&mut self) -> &mut [u8] {
        &mut self.blocks.as_mut_slice().as_mut_bytes()[..RECORD_HEADER_BYTES]
    }

    /// Moves `end` forward, clearing whatever an earlier use left in blocks that are entered.
    fn advance_to(&mut self, end: usize) {
        let entered = blocks_for(self.end) < blocks_for(end);
        if blocks_for(end) > self.blocks.len() {
            self.blocks.resize(blocks_for(end), Block::ZERO);
        }
        self.end = end;
        if entered {
            self.clear_tail();
        }
    }

    fn clear_tail(&mut self) {
        let tail = self.end..blocks_for(self.end) * BLOCK_BYTES;
        self.blocks.as_mut_slice().as_mut_bytes()[tail].fill(0);
    }
}

impl Clone for BlockBuffer {
    /// Copies the blocks in use only.
    fn clone(&self) -> BlockBuffer {
        BlockBuffer { blocks: self.as_blocks().to_vec(), end: self.end }
    }
}

impl fmt::Debug for BlockBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockBuffer({} payload bytes)", self.payload_len())
    }
}

/// Buffers waiting to be used again, so that a busy shard neither allocates nor zeroes per stripe.
#[derive(Debug)]
pub struct BufferPool {
    free: Vec<BlockBuffer>,
    /// Buffers beyond this many are given back to the allocator.
    keep: usize,
}

impl BufferPool {
    /// A pool that keeps at most `keep` buffers.
    #[must_use]
    pub fn new(keep: usize) -> BufferPool {
        BufferPool { free: Vec::with_capacity(keep), keep }
    }

    /// An empty buffer, a used one where one is waiting.
    #[must_use]
    pub fn take(&mut self, payload_capacity: usize) -> BlockBuffer {
        match self.free.pop() {
            Some(mut buffer) => {
                buffer.clear();
                buffer
            }
            None => BlockBuffer::for_record(payload_capacity),
        }
    }

    /// Takes a buffer back. One that is still shared is dropped as usual.
    pub fn give(&mut self, buffer: Arc<BlockBuffer>) {
        if self.free.len() < self.keep
            && let Ok(buffer) = Arc::try_unwrap(buffer)
        {
            self.free.push(buffer);
        }
    }
}

const fn blocks_for(bytes: usize) -> usize {
    bytes.div_ceil(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_the_tail_is_zero() {
        let mut buffer = BlockBuffer::for_record(10);
        buffer.extend_from_slice(&[7; 5000]);
        assert_eq!(buffer.as_blocks_bytes().as_ptr().align_offset(BLOCK_BYTES), 0);
        assert_eq!(buffer.as_blocks_bytes().len(), 2 * BLOCK_BYTES);
        assert_eq!(buffer.payload(), [7; 5000]);
        assert!(buffer.as_blocks_bytes()[128 + 5000..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_used_buffer_shows_nothing_of_its_earlier_use() {
        let mut pool = BufferPool::new(1);
        let mut first = pool.take(0);
        first.extend_from_slice(&[0xff; 20_000]);
        pool.give(Arc::new(first));
        let mut second = pool.take(0);
        assert_eq!(second.payload_len(), 0);
        for step in [1_usize, 3967, 1, 4096, 100] {
            second.extend_from_slice(&vec![1; step]);
            let used = 128 + second.payload_len();
            assert!(second.as_blocks_bytes()[used..].iter().all(|byte| *byte == 0), "after {step}");
        }
        second.extend_zeroed(6000);
        assert!(second.payload()[second.payload_len() - 6000..].iter().all(|byte| *byte == 0));
        second.truncate(1);
        assert_eq!(second.as_blocks_bytes()[128], 1);
        assert!(second.as_blocks_bytes()[129..].iter().all(|byte| *byte == 0));
    }

    use alloc::vec;
}
