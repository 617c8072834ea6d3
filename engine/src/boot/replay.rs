//! The thread that reads recovered slots back and gives them to the Docket, a bounded number ahead of what the cores
//! have published.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use assize_device::DataDirectory;
use assize_node::{CoreMessage, ReplayedSlot, StripePayload};
use assize_shards::StripeBytes;
use assize_wal::recovery::{Recovered, RecoveredSlot};
use assize_wal::{
    BLOCK_BYTES, Block, BlockBuffer, DeviceError, LogIdentity, OutcomeIndex, RecordHeader, RecordLocation,
    SegmentReader,
};
use assize_wire::accept::Accept;
use assize_wire::manifest::Ordered;
use assize_wire::published::PublishedStripe;
use assize_wire::{Ballot, Hash, ShardId, Slot};
use crossbeam_channel::{Receiver, Sender, unbounded};
use zerocopy::IntoBytes;

use super::BootError;
use crate::reactor::{Failure, Mailbox, Notice};

/// The replay thread, seen from the process.
pub(super) struct Replayer {
    published: Sender<Slot>,
}

impl Replayer {
    pub(super) fn start(
        directory: Arc<Mutex<DataDirectory>>,
        identity: LogIdentity,
        recovered: Recovered,
        control: Mailbox,
        ballot: Ballot,
        window: u64,
        notices: Sender<Notice>,
    ) -> Result<Replayer, BootError> {
        let (published, inbox) = unbounded();
        let run = move || {
            if let Err(error) = replay(&directory, identity, &recovered, &control, &inbox, window) {
                drop(notices.send(Notice::Failed(assize_wire::CoreId(0), Failure::Replay(error))));
                return;
            }
            control.post(CoreMessage::ReplayEnd(ballot));
            control.wake();
        };
        let thread = thread::Builder::new().name("replay".to_owned()).spawn(run);
        thread.map_err(|error| BootError::Io("starting the replay thread", error))?;
        Ok(Replayer { published })
    }

    pub(super) fn handle_published(&self, slot: Slot) {
        // The thread has ended once everything was given; what is published after that is of no use to it.
        let _ = self.published.send(slot);
    }
}

fn replay(
    directory: &Mutex<DataDirectory>,
    identity: LogIdentity,
    recovered: &Recovered,
    control: &Mailbox,
    published: &Receiver<Slot>,
    window: u64,
) -> Result<(), ReplayError> {
    let mut reader = Reader { directory, identity, outcomes: &recovered.outcomes, digests: HashMap::new() };
    let mut through = recovered.accepted.first().map_or(0, |slot| slot.slot.0 - 1);
    for slot in &recovered.accepted {
        while slot.slot.0 - through > window * AHEAD {
            match published.recv() {
                Ok(slot) => through = slot.0,
                // The process is ending.
                Err(_) => return Ok(()),
            }
        }
        control.post(CoreMessage::Replay(reader.slot(slot)?));
        control.wake();
    }
    Ok(())
}

struct Reader<'a> {
    directory: &'a Mutex<DataDirectory>,
    /// Of any of the replica's logs.
    identity: LogIdentity,
    outcomes: &'a OutcomeIndex,
    /// For each shard the chunk of the outcome stream that was read last: where it lies, and its digests by slot.
    digests: HashMap<ShardId, (RecordLocation, HashMap<Slot, Hash>)>,
}

impl Reader<'_> {
    fn slot(&mut self, slot: &RecoveredSlot) -> Result<ReplayedSlot, ReplayError> {
        let accept = Accept::parse(&slot.payload).map_err(|_| ReplayError::Changed(slot.location))?;
        let mut stripes = Vec::with_capacity(slot.stripes.len());
        let mut digests = Vec::new();
        for (id, location) in &slot.stripes {
            let payload = accept.manifest.stripe_of(id.shard).map_or(0, |stripe| stripe.bytes as usize);
            let buffer = self.record(*location, Some(payload))?;
            stripes.push((id.shard, Arc::new(StripePayload(Arc::new(buffer))) as StripeBytes));
            if let Some(digest) = self.digest(id.shard, slot.slot)? {
                digests.push((id.shard, digest));
            }
        }
        Ok(ReplayedSlot {
            ordered: Ordered { manifest: accept.manifest, hash: slot.manifest },
            stripes,
            digests,
        })
    }

    /// The digest that was published for a shard's stripe, if the outcome stream holds it.
    fn digest(&mut self, shard: ShardId, slot: Slot) -> Result<Option<Hash>, ReplayError> {
        let Some(location) = self.outcomes.locate(shard, slot) else { return Ok(None) };
        if self.digests.get(&shard).is_none_or(|(read, _)| *read != location) {
            let buffer = self.record(location, None)?;
            let mut chunk = HashMap::new();
            let mut rest = buffer.payload();
            while !rest.is_empty() {
                let (stripe, after) =
                    PublishedStripe::parse(rest).map_err(|_| ReplayError::Changed(location))?;
                chunk.insert(stripe.slot, stripe.digest);
                rest = after;
            }
            self.digests.insert(shard, (location, chunk));
        }
        Ok(self.digests.get(&shard).and_then(|(_, chunk)| chunk.get(&slot).copied()))
    }

    /// A record's payload; its length is in its header unless it is known.
    fn record(&self, location: RecordLocation, payload: Option<usize>) -> Result<BlockBuffer, ReplayError> {
        let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        directory
            .read(location.log, location.segment, location.offset, &mut blocks)
            .map_err(ReplayError::Device)?;
        // The same check as when recovery read it: the disk may have changed its mind.
        let identity = LogIdentity { log: location.log, ..self.identity };
        let offset = identity.start_of(location.segment) + location.offset;
        let header = RecordHeader::decode(&identity, offset, &blocks[0].0)
            .and_then(|header| header.check(&identity, blocks.as_bytes()).map(|()| header));
        let Ok(header) = header else { return Err(ReplayError::Changed(location)) };
        let found = header.payload_bytes as usize;
        if payload.is_some_and(|payload| payload != found) {
            return Err(ReplayError::Changed(location));
        }
        Ok(BlockBuffer::from_blocks(blocks, found))
    }
}

/// Why a slot that recovery found cannot be run again.
#[derive(Debug)]
pub enum ReplayError {
    /// The device failed.
    Device(DeviceError),
    /// A record was whole when recovery read it and is another one now.
    Changed(RecordLocation),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Device(error) => error.fmt(f),
            ReplayError::Changed(location) => {
                write!(
                    f,
                    "the record at {location} changed since recovery read it: check the disk (dmesg, SMART)"
                )
            }
        }
    }
}

impl std::error::Error for ReplayError {}

/// How many windows are read ahead of what is published.
const AHEAD: u64 = 4;
