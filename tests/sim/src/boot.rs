//! What the engine's boot does: it recovers, writes the superblock, builds the cores and gives them slots to replay.

use std::collections::VecDeque;

use assize_node::boot::{SlotReader, begin_incarnation};
use assize_node::{CoreMessage, ReplayedSlot};
use assize_wal::recovery::{RecoveredSlot, RecoveryError};
use assize_wal::superblock::{SuperblockStore, find};
use assize_wal::{DeviceError, SegmentReader};
use assize_wire::{CoreId, LogId};

use crate::disk::Down;
use crate::left::{LeftCheckpoint, recover_logs};
use crate::power::ShortPower;
use crate::replica::Replica;
use crate::shape::build_core;

/// What the boot thread still has to give to the Docket.
#[derive(Default)]
pub(crate) struct Boot {
    pub(crate) slots: VecDeque<ReplayedSlot>,
    pub(crate) published: u64,
}

impl Replica {
    /// Recovers as the engine's boot does, and begins to replay.
    pub fn start(&mut self) -> Result<(), RecoveryError> {
        assert!(self.cores.is_empty(), "it runs");
        // A disk that is full has no log for a new core.
        let may_be_full = self.may_be_full();
        let remaps = self.faults.remap_percent > 0 && !may_be_full;
        if remaps && self.random.below(100) < self.faults.remap_percent {
            self.shape.remap(&mut self.random);
            self.seen.remapped += 1;
        }
        let (recovered, superblock) = loop {
            let device = &mut self.disk.device;
            let copies = [0, 1].map(|copy| device.read_superblock(copy).unwrap());
            let found = find(copies).unwrap();
            let lasts = self.random.below(100) >= self.faults.in_recovery_percent;
            let mut power = ShortPower::new(device, (!lasts).then(|| self.random.below(60)));
            let recovered = recover_logs(&mut power, &found.superblock, self.shape.replicas);
            if power.failed() {
                // Whatever it made of what it could read: nobody is there to go on.
                let seed = self.random.next_u64();
                self.disk.down(Down::Power, seed);
                self.seen.recoveries_cut += 1;
                continue;
            }
            let recovered = recovered?;
            let device = &mut self.disk.device;
            let cores = (0..self.shape.cores() as u16).map(CoreId);
            let mut store = SuperblockStore::new(found);
            store.handle_update(|superblock| begin_incarnation(superblock, &recovered, cores));
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
                break (recovered, store.current().clone());
            }
            self.seen.superblocks_halved += 1;
        };
        if std::mem::replace(&mut self.rejoins, superblock.rejoins) && !self.rejoins {
            // It was written that it has its vote again, and it went down before it said so.
            self.seen.rejoined += 1;
        }
        let mut reader = SlotReader::new(self.shape.identity(LogId(0)), recovered.outcomes.clone());
        let slots: VecDeque<_> =
            recovered.accepted.iter().map(|slot| self.replayed(slot, &mut reader)).collect();
        self.disk.recorder.note_recovered(&recovered, &slots);
        let published = recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.at.slot.0);
        self.seen.from_checkpoint += u64::from(published > 0);
        let rebuilds = superblock.quarantine.is_some_and(|quarantine| quarantine.is_rebuild());
        let found = (!rebuilds).then(|| LeftCheckpoint::of(&self.shape, &mut self.disk.device, &recovered));
        self.found = found;
        self.boot = Boot { slots, published };
        let cores = self.shape.cores();
        let device = &mut self.disk.device;
        let build = |core| build_core(&self.shape, core, &recovered, &superblock, device);
        self.cores = (0..cores).map(build).collect();
        self.channels = (0..=cores).map(|_| (0..cores).map(|_| VecDeque::new()).collect()).collect();
        self.listening = vec![false; cores];
        (self.serving, self.halted) = (vec![false; cores], vec![false; cores]);
        self.starts += 1;
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
    }

    fn replayed(&mut self, slot: &RecoveredSlot, reader: &mut SlotReader) -> ReplayedSlot {
        let mut replayed = reader.slot(&mut self.disk.device, slot).unwrap();
        for (_, digest) in &mut replayed.digests {
            digest.0[31] ^= u8::from(self.falsify_digests);
        }
        replayed
    }
}
