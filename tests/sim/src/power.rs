//! A disk whose power fails while a start reads it.

use assize_wal::memory::MemoryDevice;
use assize_wal::{Block, DeviceError, SegmentId, SegmentReader};
use assize_wire::LogId;

/// Reads through, until there is no power.
pub(crate) struct ShortPower<'a> {
    device: &'a mut MemoryDevice,
    /// Operations until it fails, if it does.
    left: Option<u64>,
}

impl<'a> ShortPower<'a> {
    pub(crate) fn new(device: &'a mut MemoryDevice, left: Option<u64>) -> ShortPower<'a> {
        ShortPower { device, left }
    }

    /// Whether the power has failed.
    pub(crate) fn failed(&self) -> bool {
        self.left == Some(0)
    }

    fn spend(&mut self) -> Result<(), DeviceError> {
        if self.failed() {
            return Err(DeviceError::Io { code: 0, place: "no power".to_owned() });
        }
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }
}

impl SegmentReader for ShortPower<'_> {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        self.spend()?;
        self.device.logs()
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        self.spend()?;
        self.device.segments(log)
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        self.spend()?;
        self.device.read(log, segment, offset, into)
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        self.spend()?;
        self.device.flush(log)
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        self.spend()?;
        self.device.read_superblock(copy)
    }
}
