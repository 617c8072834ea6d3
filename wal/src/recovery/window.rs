//! A log read in pieces, each block at most a few times, and the block named that cannot be read.

use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::block::Block;
use crate::header::{LogIdentity, RecordFault};
use crate::limits::{BLOCK_BYTES, SCAN_CHUNK_BYTES};
use crate::operation::{DeviceError, SegmentId, SegmentReader};

/// A piece of a segment, read ahead.
pub(super) struct Window {
    pub(super) identity: LogIdentity,
    segment: SegmentId,
    /// Of the first block, from the segment's start.
    offset: u64,
    blocks: Vec<Block>,
}

impl Window {
    pub(super) fn new(identity: LogIdentity, segment: SegmentId) -> Window {
        Window { identity, segment, offset: 0, blocks: Vec::new() }
    }

    /// `bytes` at a logical offset, whole blocks within one segment.
    pub(super) fn get(
        &mut self,
        reader: &mut dyn SegmentReader,
        offset: u64,
        bytes: usize,
    ) -> Result<&[u8], RecordFault> {
        let segment = self.identity.segment_of(offset);
        let within = offset - self.identity.start_of(segment);
        let held = self.offset..self.offset + (self.blocks.len() * BLOCK_BYTES) as u64;
        if segment != self.segment || !held.contains(&within) || within + bytes as u64 > held.end {
            let rest = (self.identity.segment_bytes - within) as usize;
            let read = self
                .read(reader, segment, within, bytes.max(SCAN_CHUNK_BYTES).min(rest))
                .or_else(|_| self.read(reader, segment, within, bytes));
            if read.is_err() {
                return Err(self.unreadable(reader, segment, within, bytes));
            }
        }
        let start = (within - self.offset) as usize;
        Ok(&self.blocks.as_slice().as_bytes()[start..start + bytes])
    }

    /// Names the first block of a piece that cannot be read.
    fn unreadable(
        &mut self,
        reader: &mut dyn SegmentReader,
        segment: SegmentId,
        offset: u64,
        bytes: usize,
    ) -> RecordFault {
        let blocks = (offset..offset + bytes as u64).step_by(BLOCK_BYTES);
        let first = { blocks }.find(|at| self.read(reader, segment, *at, BLOCK_BYTES).is_err());
        let start = self.identity.start_of(segment);
        RecordFault::Unreadable {
            block: self.identity.location(start + first.unwrap_or(offset), BLOCK_BYTES as u32),
        }
    }

    fn read(
        &mut self,
        reader: &mut dyn SegmentReader,
        segment: SegmentId,
        offset: u64,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        let mut blocks = core::mem::take(&mut self.blocks);
        blocks.resize(bytes / BLOCK_BYTES, Block::ZERO);
        reader.read(self.identity.log, segment, offset, &mut blocks)?;
        (self.segment, self.offset, self.blocks) = (segment, offset, blocks);
        Ok(())
    }
}
