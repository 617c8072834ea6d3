//! The files of a data directory at a moment of the record, and what a power cut at that moment leaves of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use assize_device::{DiskEvent, Place};
use assize_wal::{Block, DeviceError, OperationId, SegmentId, SegmentReader};
use assize_wire::LogId;
use zerocopy::IntoBytes;

use crate::rng::Rng;

/// What a disk writes atomically.
const SECTOR_BYTES: usize = 512;

/// Operations of a killed process are numbered anew from here on.
const OF_THE_DEAD: u64 = 1 << 62;

/// The files that are there after a cut. Copies share what is the same.
#[derive(Clone, Debug, Default)]
pub struct Image {
    files: BTreeMap<Place, Arc<Vec<u8>>>,
}

impl Image {
    /// Makes a data directory of it.
    pub fn write(&self, root: &Path) {
        for (place, bytes) in &self.files {
            let path = place.path(root);
            fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("making a folder");
            fs::write(&path, bytes.as_slice()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// A write that no completed flush covers.
#[derive(Clone, Debug)]
struct Write {
    id: OperationId,
    place: Place,
    offset: u64,
    bytes: Arc<Vec<u8>>,
    completed: bool,
}

/// The files while the record goes on.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What survives a power cut, if the file's name does.
    durable: Image,
    /// Files whose names may not survive it, and what they were called before, if they were there.
    names: BTreeMap<Place, Option<Place>>,
    /// In the order of their submission.
    writes: Vec<Write>,
    /// Flushes under way, and what they cover.
    flushes: BTreeMap<OperationId, Vec<OperationId>>,
}

impl Disk {
    /// A disk that holds this, all of it durable.
    pub fn of(durable: Image) -> Disk {
        Disk { durable, ..Disk::default() }
    }

    /// All that was written: what is read while the power lasts.
    pub fn visible(&self) -> Image {
        let mut image = self.durable.clone();
        for write in &self.writes {
            put(&mut image, write, 0..write.bytes.len().div_ceil(SECTOR_BYTES));
        }
        image
    }

    /// The process is killed, and the power stays: of what was submitted any part is there, and none of it is durable
    /// that was not. What comes next is told by another process, which counts its operations anew.
    pub fn kill(&self, rng: &mut Rng) -> Disk {
        let mut disk = Disk { flushes: BTreeMap::new(), ..self.clone() };
        disk.writes.retain(|write| write.completed || rng.below(2) == 0);
        for (number, write) in (OF_THE_DEAD..).zip(&mut disk.writes) {
            write.id.number = number;
            write.completed = true;
        }
        disk
    }

    /// Goes on by one event.
    pub fn apply(&mut self, event: &DiskEvent) {
        match event {
            DiskEvent::Named { place, bytes } => {
                self.names.insert(*place, None);
                self.durable.files.insert(*place, Arc::new(vec![0; *bytes as usize]));
            }
            DiskEvent::Renamed { from, place } => {
                // What is not flushed goes with the file.
                self.writes.iter_mut().filter(|w| w.place == *from).for_each(|write| write.place = *place);
                self.names.insert(*place, Some(*from));
                let file = self.durable.files.remove(from);
                let file = file.unwrap_or_else(|| panic!("{from:?} is not there"));
                self.durable.files.insert(*place, file);
            }
            DiskEvent::NameDurable { place } => {
                self.names.remove(place);
            }
            DiskEvent::WriteSubmitted { id, place, offset, bytes } => self.writes.push(Write {
                id: *id,
                place: *place,
                offset: *offset,
                bytes: Arc::new(bytes.clone()),
                completed: false,
            }),
            DiskEvent::WriteCompleted { id, durable } => {
                let write = self.writes.iter_mut().find(|write| write.id == *id);
                write.unwrap_or_else(|| panic!("{id:?} completed and was never submitted")).completed = true;
                if *durable {
                    self.cover(&[*id]);
                }
            }
            DiskEvent::FlushSubmitted { id, place } => {
                let covered = self.writes.iter().filter(|write| write.place == *place);
                let covered = covered.filter(|write| write.completed || write.id == *id);
                self.flushes.insert(*id, covered.map(|write| write.id).collect());
            }
            DiskEvent::FlushCompleted { id } => {
                let covered = self.flushes.remove(id);
                let covered = covered.unwrap_or_else(|| panic!("{id:?} was flushed and never submitted"));
                self.cover(&covered);
            }
        }
    }

    fn cover(&mut self, covered: &[OperationId]) {
        for write in self.writes.extract_if(.., |write| covered.contains(&write.id)) {
            assert!(write.completed, "{:?} is flushed and has not completed", write.id);
            let sectors = 0..write.bytes.len().div_ceil(SECTOR_BYTES);
            put(&mut self.durable, &write, sectors);
        }
    }

    /// What a power cut now may leave. Some cuts take all that they can, some nothing; most decide for each write.
    pub fn cut(&self, rng: &mut Rng) -> Image {
        let mut image = self.durable.clone();
        let harshness = rng.below(6);
        for write in &self.writes {
            let sectors = 0..write.bytes.len().div_ceil(SECTOR_BYTES);
            let fate = match harshness {
                0 => Fate::Nothing,
                1 => Fate::All,
                _ => [Fate::Nothing, Fate::All, Fate::Torn][rng.below(3) as usize],
            };
            match fate {
                Fate::Nothing => {}
                Fate::All => put(&mut image, write, sectors),
                Fate::Torn => put(&mut image, write, sectors.filter(|_| rng.below(2) == 0)),
            }
        }
        for (name, before) in &self.names {
            if rng.below(2) == 0 {
                let file = image.files.remove(name);
                image.files.extend(before.zip(file));
            }
        }
        image
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Nothing,
    All,
    Torn,
}

fn put(image: &mut Image, write: &Write, sectors: impl Iterator<Item = usize>) {
    let file = image.files.get_mut(&write.place);
    let file = Arc::make_mut(file.unwrap_or_else(|| panic!("{:?} is written and has no name", write.place)));
    for sector in sectors {
        let from = sector * SECTOR_BYTES;
        let piece = &write.bytes[from..write.bytes.len().min(from + SECTOR_BYTES)];
        let at = write.offset as usize + from;
        if file.len() < at + piece.len() {
            file.resize(at + piece.len(), 0);
        }
        file[at..at + piece.len()].copy_from_slice(piece);
    }
}

/// So that the production code recovers an image without a disk.
impl SegmentReader for Image {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        let logs: BTreeSet<LogId> = self.files.keys().filter_map(|place| Some(segment(*place)?.0)).collect();
        Ok(logs.into_iter().collect())
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        let of_log = self.files.iter().filter_map(|(place, bytes)| match segment(*place) {
            Some((of, number)) if of == log => Some((number, bytes.len() as u64)),
            _ => None,
        });
        Ok(of_log.collect())
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        let bytes = into.as_mut_bytes();
        let file = self.files.get(&Place::Segment(log, segment));
        let found = file.and_then(|file| file.get(offset as usize..offset as usize + bytes.len()));
        let place = || format!("reading segment {segment} of log {log} at {offset}");
        bytes.copy_from_slice(found.ok_or_else(|| DeviceError::Io { code: 0, place: place() })?);
        Ok(())
    }

    fn flush(&mut self, _: LogId) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        Ok(self.files.get(&Place::Superblock(copy)).map(|file| {
            let bytes = assize_wal::limits::SUPERBLOCK_COPY_BYTES;
            let mut blocks = vec![Block::ZERO; bytes / assize_wal::BLOCK_BYTES];
            let whole = file.len().min(bytes) / assize_wal::BLOCK_BYTES * assize_wal::BLOCK_BYTES;
            blocks.as_mut_slice().as_mut_bytes()[..whole].copy_from_slice(&file[..whole]);
            blocks
        }))
    }
}

fn segment(place: Place) -> Option<(LogId, SegmentId)> {
    match place {
        Place::Segment(log, segment) => Some((log, segment)),
        Place::Superblock(_) => None,
    }
}
