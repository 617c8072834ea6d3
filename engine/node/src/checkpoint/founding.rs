//! What a restored replica begins from: a checkpoint of states that were evaluated elsewhere, and the outcomes that
//! answer its live keys (W2), written to a device that holds nothing yet. Nothing was promised or accepted there, so it
//! belongs to a cluster of its own.
//!
//! Everything goes into the logs of core 0, whichever core is to have a shard: a start finds it there.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use assize_consensus::LogTip;
use assize_shards::Shard;
use assize_wal::log::{FlushPolicy, LogConfig};
use assize_wal::operation::Device;
use assize_wal::superblock::CheckpointRef;
use assize_wal::{
    BlockBuffer, Durable, Entry, Log, LogCut, LogFailure, LogFull, LogIdentity, LogSpace, LogStart, SegmentId,
};
use assize_wire::checkpoint::{PartHead, digest_of};
use assize_wire::{Ballot, CoreId, Incarnation, ShardId, Slot, StreamTime};

use super::part::{Part, PartFault, Progress};
use crate::logs::LogIds;

/// Writes it.
pub struct Founding<'a> {
    device: &'a mut dyn Device,
    outcomes: Log,
    parts: Log,
    keys: Log,
    /// Bytes of outcomes that were appended since all were durable.
    unflushed_bytes: usize,
}

/// What the superblock is to say of what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    /// The start that wrote it.
    pub incarnation: Incarnation,
    /// The checkpoint.
    pub checkpoint: CheckpointRef,
    /// One of each log that has something.
    pub cuts: Vec<LogCut>,
}

impl<'a> Founding<'a> {
    /// On a device that holds nothing. `identity` is that of any log of the new replica.
    #[must_use]
    pub fn new(device: &'a mut dyn Device, identity: LogIdentity) -> Founding<'a> {
        let config = LogConfig {
            prepare_ahead: 0,
            on_demand: true,
            segments_max: u32::MAX.into(),
            reserve_bytes: 0,
            flush: FlushPolicy::OnRequest,
            ..LogConfig::default()
        };
        let open = |log| Log::new(LogIdentity { log, ..identity }, config, LogStart::fresh(INCARNATION));
        let ids = LogIds::of(CoreId(0));
        let (outcomes, parts, keys) = (open(ids.outcomes), open(ids.parts), open(ids.keys));
        Founding { device, outcomes, parts, keys, unflushed_bytes: 0 }
    }

    /// Outcomes of a shard for the slots `first ..= last`, of which the last one has this time; in slot order for each
    /// shard ([`assize_wire::published`]).
    ///
    /// # Errors
    /// [`FoundingError`]: the device has failed or is full.
    pub fn outcomes(
        &mut self,
        shard: ShardId,
        slots: (Slot, Slot),
        time: StreamTime,
        payload: &[u8],
    ) -> Result<(), FoundingError> {
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(payload);
        let bytes = buffer.as_blocks_bytes().len();
        loop {
            match self.outcomes.space_for(bytes) {
                LogSpace::Prepared => break,
                LogSpace::Unprepared => self.outcomes.demand(bytes),
                LogSpace::None => return Err(FoundingError::Full),
            }
            self.turn(&mut Part::default())?;
            self.device.wait();
        }
        let entry = Entry::Outcomes { shard, first: slots.0, last: slots.1, time };
        if let Err(LogFull { entry, .. }) = self.outcomes.append(entry, buffer) {
            panic!("no space for {entry:?}, which was looked for before");
        }
        self.unflushed_bytes += bytes;
        if self.unflushed_bytes >= UNFLUSHED_BYTES_MAX {
            self.settle()?;
        }
        Ok(())
    }

    /// The checkpoint of all shards, which have executed through `tip` and nothing above it. `ballot` is the one under
    /// which its slot was accepted where it was chosen.
    ///
    /// # Errors
    /// [`FoundingError`]
    pub fn finish(
        mut self,
        shards: &mut [Shard],
        tip: LogTip,
        ballot: Ballot,
    ) -> Result<Founded, FoundingError> {
        self.settle()?;
        let mut heads: Vec<PartHead> = Vec::new();
        for shard in shards {
            assert!(shard.executed() == tip.slot, "shard {} is not at slot {}", shard.id(), tip.slot);
            shard.begin_whole_checkpoint(tip.time);
            heads.push(self.write_part(shard, tip.slot)?);
        }
        self.settle()?;
        let digest = digest_of(tip.time, tip.hash, &heads);
        let cuts = [&self.outcomes, &self.parts, &self.keys].into_iter();
        let cuts = cuts.filter(|log| log.durable_through() > 0).map(|log| log.cut(SegmentId(0))).collect();
        let LogTip { slot, time, hash: manifest } = tip;
        let checkpoint = CheckpointRef { slot, time, ballot, manifest, digest };
        Ok(Founded { incarnation: INCARNATION, checkpoint, cuts })
    }

    /// A shard's part: written, made durable, read back and compared.
    fn write_part(&mut self, shard: &mut Shard, slot: Slot) -> Result<PartHead, FoundingError> {
        let mut part = Part::default();
        loop {
            match part.step(shard, slot, false, &mut self.parts, &mut self.keys)? {
                Progress::Complete => return Ok(part.head()),
                Progress::Moved => self.turn(&mut part)?,
                Progress::Waits => {
                    if !self.turn_moved(&mut part)? {
                        self.device.wait();
                    }
                }
            }
        }
    }

    /// Everything that was appended is durable afterwards.
    fn settle(&mut self) -> Result<(), FoundingError> {
        for log in self.logs() {
            log.request_flush();
        }
        while !self.logs().into_iter().all(|log| log.is_idle()) {
            if !self.turn_moved(&mut Part::default())? {
                self.device.wait();
            }
        }
        self.unflushed_bytes = 0;
        Ok(())
    }

    fn turn(&mut self, part: &mut Part) -> Result<(), FoundingError> {
        self.turn_moved(part).map(drop)
    }

    /// Hands the device what the logs want of it, and takes in what it did. False if it had done nothing.
    fn turn_moved(&mut self, part: &mut Part) -> Result<bool, FoundingError> {
        let Founding { device, outcomes, parts, keys, .. } = self;
        for log in [&mut *outcomes, &mut *parts, &mut *keys] {
            while let Some(operation) = log.poll_operation() {
                device.submit(operation);
            }
        }
        let mut moved = false;
        while let Some(completion) = device.poll() {
            moved = true;
            let of = completion.id.log;
            let logs = [&mut *outcomes, &mut *parts, &mut *keys];
            let log = logs.into_iter().find(|log| log.identity().log == of);
            let log = log.unwrap_or_else(|| panic!("a completion of log {of}, which is not written here"));
            log.handle_completion(completion).map_err(FoundingError::Device)?;
        }
        while outcomes.poll_durable().is_some() {}
        for (of_keys, log) in [(false, &mut *parts), (true, &mut *keys)] {
            while let Some(Durable { sequence, location, .. }) = log.poll_durable() {
                moved = true;
                part.handle_durable(of_keys, sequence, location);
            }
            while let Some((id, read)) = log.poll_read() {
                moved = true;
                part.handle_read(id, read)?;
            }
        }
        for log in [&*outcomes, &*parts, &*keys] {
            if log.has_no_space() {
                return Err(FoundingError::Full);
            }
        }
        Ok(moved)
    }

    fn logs(&mut self) -> [&mut Log; 3] {
        [&mut self.outcomes, &mut self.parts, &mut self.keys]
    }
}

/// Why it cannot be written.
#[derive(Debug)]
pub enum FoundingError {
    /// There is no space.
    Full,
    /// The device failed.
    Device(LogFailure),
    /// What was written was read back and is something else, or cannot be read.
    ReadBack(String),
}

impl From<PartFault> for FoundingError {
    fn from(fault: PartFault) -> FoundingError {
        match fault {
            PartFault::Full(_) => FoundingError::Full,
            fault => FoundingError::ReadBack(fault.failure(false).reason),
        }
    }
}

impl fmt::Display for FoundingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoundingError::Full => {
                f.write_str("no space is left: free some on this filesystem, and begin again")
            }
            FoundingError::Device(failure) => failure.fmt(f),
            FoundingError::ReadBack(reason) => f.write_str(reason),
        }
    }
}

impl core::error::Error for FoundingError {}

/// What a replica's first start goes on from.
const INCARNATION: Incarnation = Incarnation(1);

/// Bytes of outcomes that may be appended and not durable.
const UNFLUSHED_BYTES_MAX: usize = 4 << 20;
