//! Reading ahead: slots are replayed in the order in which their records lie in the logs, and where slots are small a
//! read of its own for each would cost the disk's latency each time.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use assize_wal::{BLOCK_BYTES, Block, DeviceError, RecordLocation, SegmentId, SegmentReader};
use assize_wire::LogId;

/// Reads records that do not change any more, and whatever follows them as well.
///
/// What follows may be written later: only what was durable before the first read may be asked for.
pub(super) struct ReadAhead {
    segment_bytes: u64,
    windows: BTreeMap<LogId, Window>,
}

/// What was read of a log last.
struct Window {
    segment: SegmentId,
    /// Where in the segment it begins, in bytes.
    offset: u64,
    blocks: Vec<Block>,
}

impl ReadAhead {
    /// Of logs with segments of so many bytes.
    pub(super) fn new(segment_bytes: u64) -> ReadAhead {
        ReadAhead { segment_bytes, windows: BTreeMap::new() }
    }

    /// The blocks of a record.
    pub(super) fn read(
        &mut self,
        reader: &mut dyn SegmentReader,
        location: RecordLocation,
    ) -> Result<Vec<Block>, DeviceError> {
        let RecordLocation { log, segment, offset, bytes } = location;
        let bytes = u64::from(bytes);
        if bytes <= WINDOW_BYTES / 4 {
            if let Some(found) = self.windows.get(&log).and_then(|window| window.cut(segment, offset, bytes))
            {
                return Ok(found);
            }
            let mut blocks = match self.windows.remove(&log) {
                Some(window) => window.blocks,
                None => Vec::new(),
            };
            let whole = self.segment_bytes.saturating_sub(offset).min(WINDOW_BYTES).max(bytes);
            blocks.resize(whole as usize / BLOCK_BYTES, Block::ZERO);
            // A block that cannot be read is no concern of a record before it: then that is read by itself.
            if reader.read(log, segment, offset, &mut blocks).is_ok() {
                let window = Window { segment, offset, blocks };
                let found = window.cut(segment, offset, bytes).expect("a window holds what it was read for");
                self.windows.insert(log, window);
                return Ok(found);
            }
        }
        let mut blocks = vec![Block::ZERO; bytes as usize / BLOCK_BYTES];
        reader.read(log, segment, offset, &mut blocks).map(|()| blocks)
    }
}

impl Window {
    /// So many bytes from there, if they are all here.
    fn cut(&self, segment: SegmentId, offset: u64, bytes: u64) -> Option<Vec<Block>> {
        let from = offset.checked_sub(self.offset).filter(|_| segment == self.segment)?;
        let [from, count] = [from, bytes].map(|bytes| bytes as usize / BLOCK_BYTES);
        self.blocks.get(from..from + count).map(<[Block]>::to_vec)
    }
}

/// Read at once, of each log. A record of more than a quarter of it is worth a read of its own.
const WINDOW_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_BYTES: u64 = 3 << 20;

    /// Segments whose blocks say where they are.
    #[derive(Default)]
    struct Disk {
        reads: usize,
        /// A block that cannot be read, by its offset in each segment.
        bad: Option<u64>,
    }

    fn block_at(log: LogId, segment: SegmentId, offset: u64) -> Block {
        let mut block = Block::ZERO;
        block.0[..2].copy_from_slice(&log.0.to_le_bytes());
        block.0[2..10].copy_from_slice(&segment.0.to_le_bytes());
        block.0[10..18].copy_from_slice(&offset.to_le_bytes());
        block
    }

    impl SegmentReader for Disk {
        fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
            unreachable!("nobody lists logs to read a record")
        }

        fn segments(&mut self, _: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
            unreachable!("nobody lists segments to read a record")
        }

        fn read(
            &mut self,
            log: LogId,
            segment: SegmentId,
            offset: u64,
            into: &mut [Block],
        ) -> Result<(), DeviceError> {
            self.reads += 1;
            let end = offset + (into.len() * BLOCK_BYTES) as u64;
            assert!(end <= SEGMENT_BYTES, "read through {end}, behind the segment's end");
            if self.bad.is_some_and(|bad| (offset..end).contains(&bad)) {
                return Err(DeviceError::Io { code: 5, place: "reading a segment".into() });
            }
            for (place, block) in into.iter_mut().enumerate() {
                *block = block_at(log, segment, offset + (place * BLOCK_BYTES) as u64);
            }
            Ok(())
        }

        fn flush(&mut self, _: LogId) -> Result<(), DeviceError> {
            unreachable!("nobody flushes to read a record")
        }

        fn read_superblock(&mut self, _: u8) -> Result<Option<Vec<Block>>, DeviceError> {
            unreachable!("nobody reads a superblock to read a record")
        }
    }

    fn location(log: u16, segment: u64, offset: u64, blocks: u32) -> RecordLocation {
        let bytes = blocks * BLOCK_BYTES as u32;
        RecordLocation { log: LogId(log), segment: SegmentId(segment), offset, bytes }
    }

    /// Whether each block is the one from there.
    fn is_whole(blocks: &[Block], location: RecordLocation) -> bool {
        let at = |place: usize| location.offset + (place * BLOCK_BYTES) as u64;
        let mut blocks_at = blocks.iter().enumerate();
        blocks.len() == location.bytes as usize / BLOCK_BYTES
            && blocks_at
                .all(|(place, block)| block.0 == block_at(location.log, location.segment, at(place)).0)
    }

    #[test]
    fn records_are_what_the_disk_has_of_whichever_log_and_segment() {
        let (mut disk, mut ahead) = (Disk::default(), ReadAhead::new(SEGMENT_BYTES));
        let block = BLOCK_BYTES as u64;
        let records = (0..SEGMENT_BYTES / block)
            .flat_map(|at| [(0, 0), (1, 0)].map(|(log, segment)| location(log, segment, at * block, 1)));
        for record in records {
            assert!(is_whole(&ahead.read(&mut disk, record).expect("read"), record), "{record:?}");
        }
        assert_eq!(disk.reads, 6, "of two logs of three windows each");
        for record in [
            // Across a window's end, in the next segment, back again, to the end, and too long to be ahead of.
            location(0, 0, WINDOW_BYTES - block, 4),
            location(0, 1, WINDOW_BYTES - block, 4),
            location(0, 0, 0, 4),
            location(0, 0, SEGMENT_BYTES - 2 * block, 2),
            location(0, 0, block, 512),
        ] {
            assert!(is_whole(&ahead.read(&mut disk, record).expect("read"), record), "{record:?}");
        }
    }

    #[test]
    fn a_block_that_cannot_be_read_is_no_concern_of_the_records_before_it() {
        let block = BLOCK_BYTES as u64;
        let mut disk = Disk { bad: Some(8 * block), ..Disk::default() };
        let mut ahead = ReadAhead::new(SEGMENT_BYTES);
        for at in 0..8 {
            let record = location(0, 0, at * block, 1);
            assert!(is_whole(&ahead.read(&mut disk, record).expect("read"), record), "{record:?}");
        }
        assert!(ahead.read(&mut disk, location(0, 0, 8 * block, 1)).is_err());
        let record = location(0, 0, 9 * block, 1);
        assert!(is_whole(&ahead.read(&mut disk, record).expect("read"), record));
    }
}
