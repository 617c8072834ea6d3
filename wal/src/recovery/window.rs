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

    /// `bytes` at a logical offset, whole blocks within one segment. What is held of them is not read again.
    pub(super) fn get(
        &mut self,
        reader: &mut dyn SegmentReader,
        offset: u64,
        bytes: usize,
    ) -> Result<&[u8], RecordFault> {
        let segment = self.identity.segment_of(offset);
        let within = offset - self.identity.start_of(segment);
        let held = self.offset..self.offset + (self.blocks.len() * BLOCK_BYTES) as u64;
        let holds = segment == self.segment && held.contains(&within);
        if !holds || within + bytes as u64 > held.end {
            let passed =
                if holds { (within - self.offset) as usize / BLOCK_BYTES } else { self.blocks.len() };
            self.blocks.drain(..passed);
            (self.segment, self.offset) = (segment, within);
            let held_bytes = self.blocks.len() * BLOCK_BYTES;
            let missing = bytes - held_bytes;
            let rest = (self.identity.segment_bytes - within) as usize - held_bytes;
            let read = self
                .read_on(reader, missing.max(SCAN_CHUNK_BYTES).min(rest))
                .or_else(|_| self.read_on(reader, missing));
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
        let first = { blocks }.find(|at| {
            self.blocks.clear();
            (self.segment, self.offset) = (segment, *at);
            self.read_on(reader, BLOCK_BYTES).is_err()
        });
        let start = self.identity.start_of(segment);
        RecordFault::Unreadable {
            block: self.identity.location(start + first.unwrap_or(offset), BLOCK_BYTES as u32),
        }
    }

    /// Reads so many bytes behind what is held.
    fn read_on(&mut self, reader: &mut dyn SegmentReader, bytes: usize) -> Result<(), DeviceError> {
        let held = self.blocks.len();
        self.blocks.resize(held + bytes / BLOCK_BYTES, Block::ZERO);
        let offset = self.offset + (held * BLOCK_BYTES) as u64;
        let read = reader.read(self.identity.log, self.segment, offset, &mut self.blocks[held..]);
        if read.is_err() {
            self.blocks.truncate(held);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use assize_wire::{ClusterId, LogId, ReplicaId};

    use super::*;

    const BLOCKS: u64 = 2048;

    /// One segment, whose blocks begin with their number; of these one cannot be read.
    struct Numbered {
        bad: u64,
        blocks_read: u64,
    }

    impl SegmentReader for Numbered {
        fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
            Ok(vec![LogId(0)])
        }

        fn segments(&mut self, _: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
            Ok(vec![(SegmentId(0), BLOCKS * BLOCK_BYTES as u64)])
        }

        fn read(
            &mut self,
            _: LogId,
            _: SegmentId,
            offset: u64,
            into: &mut [Block],
        ) -> Result<(), DeviceError> {
            let first = offset / BLOCK_BYTES as u64;
            assert!(first + into.len() as u64 <= BLOCKS, "a read beyond the segment");
            if (first..first + into.len() as u64).contains(&self.bad) {
                return Err(DeviceError::Io { code: 5, place: "a bad block".to_string() });
            }
            for (number, block) in (first..).zip(&mut *into) {
                block.as_mut_bytes()[..8].copy_from_slice(&number.to_le_bytes());
            }
            self.blocks_read += into.len() as u64;
            Ok(())
        }

        fn flush(&mut self, _: LogId) -> Result<(), DeviceError> {
            Ok(())
        }

        fn read_superblock(&mut self, _: u8) -> Result<Option<Vec<Block>>, DeviceError> {
            Ok(None)
        }
    }

    /// Looks at every record of so many blocks as the scan does: at its first block, then at all of it. Returns the
    /// records that were whole.
    fn read_records(reader: &mut Numbered, blocks: u64) -> u64 {
        let segment_bytes = BLOCKS * BLOCK_BYTES as u64;
        let (cluster, replica) = (ClusterId(1), ReplicaId(0));
        let identity = LogIdentity { cluster, record_key: 1, replica, log: LogId(0), segment_bytes };
        let mut window = Window::new(identity, SegmentId(0));
        let mut whole = 0;
        for record in 0..BLOCKS / blocks {
            let offset = record * blocks * BLOCK_BYTES as u64;
            let bytes = blocks as usize * BLOCK_BYTES;
            let first = window.get(reader, offset, BLOCK_BYTES).map(<[u8]>::to_vec);
            match first.and_then(|_| window.get(reader, offset, bytes).map(<[u8]>::to_vec)) {
                Ok(found) => {
                    let numbers = found.chunks(BLOCK_BYTES).map(|block| block[0..8].try_into().unwrap());
                    let numbers: Vec<u64> = numbers.map(u64::from_le_bytes).collect();
                    assert!(numbers.into_iter().eq(record * blocks..(record + 1) * blocks));
                    whole += 1;
                }
                Err(fault) => {
                    let block = identity.location(reader.bad * BLOCK_BYTES as u64, BLOCK_BYTES as u32);
                    assert_eq!(fault, RecordFault::Unreadable { block });
                }
            }
        }
        whole
    }

    #[test]
    fn what_is_held_is_not_read_again() {
        for blocks in [1, 7, 200, 300] {
            let mut reader = Numbered { bad: u64::MAX, blocks_read: 0 };
            assert_eq!(read_records(&mut reader, blocks), BLOCKS / blocks);
            assert!(reader.blocks_read <= BLOCKS, "{} blocks were read", reader.blocks_read);
        }
    }

    #[test]
    fn l5_a_block_that_cannot_be_read_is_named_and_only_its_record_is_lost() {
        for (bad, blocks) in [(0, 3), (1000, 7), (1001, 200), (2047, 1)] {
            let mut reader = Numbered { bad, blocks_read: 0 };
            assert_eq!(read_records(&mut reader, blocks), BLOCKS / blocks - 1, "block {bad} of {blocks}");
        }
    }
}
