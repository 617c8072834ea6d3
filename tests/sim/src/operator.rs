//! What an operator does to a replica that is down.

use assize_node::RejoinNotice;
use assize_wal::superblock::{FoundSuperblock, Superblock, SuperblockStore, find};
use assize_wal::{Quarantine, SegmentReader};
use assize_wire::peer::{Generation, Generations};

use crate::checkers::hold;
use crate::disk::Disk;
use crate::replica::Replica;
use crate::seeds::trace;
use crate::shape::{CLUSTER, Shape};

impl Replica {
    /// An operator has its state rebuilt from the next start on, as `assize rebuild` does.
    ///
    /// # Panics
    /// While it runs.
    pub fn rebuild(&mut self) {
        assert!(self.cores.is_empty(), "it runs");
        let mut store = SuperblockStore::new(self.find_superblock());
        let device = &mut self.disk.device;
        store.handle_update(|superblock| superblock.quarantine = Some(Quarantine::REBUILD));
        store.drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
    }

    /// What its superblock says.
    pub(crate) fn superblock(&mut self) -> Superblock {
        self.find_superblock().superblock
    }

    fn find_superblock(&mut self) -> FoundSuperblock {
        let device = &mut self.disk.device;
        find([0, 1].map(|copy| device.read_superblock(copy).unwrap())).unwrap()
    }

    /// Its disk is lost with all that was on it, and an operator gives it another one, formatted then, as
    /// `assize format --rejoin` does.
    ///
    /// # Panics
    /// While it runs.
    pub fn lose_disk(&mut self, formatted_ns: u64) {
        assert!(self.cores.is_empty(), "it runs");
        trace!("replica {} has lost its disk", self.shape.replica);
        self.disk = Disk::new(self.random.next_u64(), self.disk.honesty(), self.disk.habits);
        self.set_segments_left(self.segments_left());
        let first = first_superblock(&self.shape, Generation::rejoined(formatted_ns), true);
        let device = &mut self.disk.device;
        SuperblockStore::format(first).drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        self.rejoins = true;
    }

    /// Segments that its disk has space for, if it may be full.
    #[must_use]
    pub fn segments_left(&self) -> Option<u64> {
        self.faults.segments_left
    }

    /// From now on its disk has space for so many segments more; for any number with `None`.
    pub fn set_segments_left(&mut self, left: Option<u64>) {
        trace!("replica {}: its disk has space for {left:?} segments", self.shape.replica);
        self.faults.segments_left = left;
        self.has_been_full |= left.is_some();
        self.disk.device.set_segments_left(left.unwrap_or(u64::MAX));
    }

    /// It says how far it is with an empty disk.
    pub(crate) fn told_rejoin(&mut self, notice: &RejoinNotice) {
        hold!("outputs", self.rejoins, "R3: replica {} rejoins: {notice}", self.shape.replica);
        trace!("replica {}: {notice}", self.shape.replica);
        if *notice == RejoinNotice::Ended {
            self.rejoins = false;
            self.seen.rejoined += 1;
        }
    }
}

/// What `format` writes.
pub(crate) fn first_superblock(shape: &Shape, disk: Generation, rejoins: bool) -> Superblock {
    let mut generations = Generations::default();
    generations.learn(shape.replica, disk);
    Superblock {
        generations,
        rejoins,
        ..Superblock::first(CLUSTER, shape.replica, shape.record_key(), shape.segment_bytes)
    }
}
