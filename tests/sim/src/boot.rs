//! What the engine's boot does: it recovers, writes the superblock, builds the cores and gives them slots to replay.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use assize_node::{CoreMessage, ReplayedSlot, StripePayload};
use assize_shards::StripeBytes;
use assize_wal::recovery::{Recovered, RecoveredSlot, RecoveryError};
use assize_wal::superblock::{SuperblockStore, find};
use assize_wal::{BlockBuffer, DeviceError, SegmentReader};
use assize_wire::accept::Accept;
use assize_wire::manifest::Ordered;
use assize_wire::published::PublishedStripe;
use assize_wire::{Ballot, Hash, LogId, ReplicaId, Slot};

use crate::disk::Down;
use crate::left::{read, recover_logs};
use crate::power::ShortPower;
use crate::replica::Replica;
use crate::shape::build_core;

/// What the boot thread still has to give to the Docket.
#[derive(Default)]
pub(crate) struct Boot {
    pub(crate) slots: VecDeque<ReplayedSlot>,
    pub(crate) ballot: Option<Ballot>,
    pub(crate) published: u64,
}

impl Replica {
    /// Recovers as the engine's boot does, and begins to replay.
    pub fn start(&mut self) -> Result<(), RecoveryError> {
        assert!(self.cores.is_empty(), "it runs");
        let (recovered, ballot) = loop {
            let device = &mut self.disk.device;
            let copies = [0, 1].map(|copy| device.read_superblock(copy).unwrap());
            let found = find(copies).unwrap();
            let lasts = self.random.below(100) >= self.faults.in_recovery_percent;
            let mut power = ShortPower::new(device, (!lasts).then(|| self.random.below(60)));
            let recovered = recover_logs(&mut power, &found.superblock);
            if power.failed() {
                // Whatever it made of what it could read: nobody is there to go on.
                let seed = self.random.next_u64();
                self.disk.down(Down::Power, seed);
                self.seen.recoveries_cut += 1;
                continue;
            }
            let recovered = recovered?;
            let device = &mut self.disk.device;
            let ballot = recovered.next_ballot(ReplicaId(0));
            let opened: Vec<LogId> = (0..2 * self.shape.cores() as u16).map(LogId).collect();
            let mut store = SuperblockStore::new(found);
            store.handle_update(|superblock| {
                superblock.incarnation = recovered.incarnation;
                superblock.cuts = recovered.cuts(&opened);
                superblock.promised = ballot;
            });
            // Sometimes the power fails between the two copies (L7).
            let halved = self.random.below(16) == 0;
            let mut written = 0;
            let ended = store.drive(|copy, blocks| {
                if halved && written == 1 {
                    return Err(DeviceError::Io { code: 0, place: "no power".to_owned() });
                }
                written += 1;
                device.write_superblock(copy, blocks)
            });
            if ended.is_ok() {
                break (recovered, ballot);
            }
            self.seen.superblocks_halved += 1;
        };
        let slots = recovered.accepted.iter().map(|slot| self.replayed(slot, &recovered)).collect();
        self.disk.recorder.note_recovered(&recovered, &slots);
        self.boot = Boot { slots, ballot: Some(ballot), published: 0 };
        let cores = self.shape.cores();
        self.cores = (0..cores).map(|core| build_core(&self.shape, core, &recovered)).collect();
        self.channels = (0..=cores).map(|_| (0..cores).map(|_| VecDeque::new()).collect()).collect();
        (self.serving, self.halted) = (vec![false; cores], vec![false; cores]);
        self.failed = false;
        self.give_slots();
        for core in 0..cores {
            self.run_core(core);
        }
        Ok(())
    }

    pub(crate) fn give_slots(&mut self) {
        let control = usize::from(self.shape.layout().control.0);
        let to_control = &mut self.channels[self.cores.len().max(self.shape.cores())][control];
        let ahead = 4 * self.shape.window as u64;
        while let Some(next) = self.boot.slots.front() {
            if next.ordered.manifest.slot.0 > self.boot.published + ahead {
                return;
            }
            self.seen.replayed += 1;
            self.seen.digests_compared += next.digests.len() as u64;
            to_control.extend(self.boot.slots.pop_front().map(CoreMessage::Replay));
        }
        to_control.extend(self.boot.ballot.take().map(CoreMessage::ReplayEnd));
    }

    fn replayed(&mut self, slot: &RecoveredSlot, recovered: &Recovered) -> ReplayedSlot {
        let device = &mut self.disk.device;
        let manifest = Accept::parse(&slot.payload).unwrap().manifest;
        let mut stripes = Vec::new();
        let mut digests = Vec::new();
        for (id, location) in &slot.stripes {
            let payload = StripePayload(Arc::new(read(&self.shape, device, *location)));
            stripes.push((id.shard, Arc::new(payload) as StripeBytes));
            if let Some(location) = recovered.outcomes.locate(id.shard, slot.slot) {
                let chunk = digests_of(&read(&self.shape, device, location));
                let digest = chunk.get(&slot.slot).copied();
                digests.extend(digest.map(|Hash(mut digest)| {
                    digest[31] ^= u8::from(self.falsify_digests);
                    (id.shard, Hash(digest))
                }));
            }
        }
        ReplayedSlot { ordered: Ordered { manifest, hash: slot.manifest }, stripes, digests }
    }
}

fn digests_of(chunk: &BlockBuffer) -> HashMap<Slot, Hash> {
    let mut rest = chunk.payload();
    let mut digests = HashMap::new();
    while !rest.is_empty() {
        let (stripe, after) = PublishedStripe::parse(rest).unwrap();
        digests.insert(stripe.slot, stripe.digest);
        rest = after;
    }
    digests
}
