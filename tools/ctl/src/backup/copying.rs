//! A running replica's files, copied as they are at one moment: such that the replica could have crashed then.
//!
//! Logs are copied one after the other while all of them are written. A mark in one that was copied late may then speak
//! of accepts that were not there yet when another one was copied, which a start would take for a loss (L5):
//!
//! 1. The superblock is read, and every segment is pinned: what the superblock names is not recycled any more. If
//!    another checkpoint became active meanwhile, this begins again.
//! 2. The pinned logs are read, and the highest mark in them is remembered. It is not below any in the checkpoint's
//!    records, and what it calls accepted is durable in the files by now, stripes and all (P8).
//! 3. Every segment that came since is pinned as well, and all logs are copied, each up to its first record that speaks
//!    of more than that mark: so every accept that any copied record speaks of is copied, and so are its stripes.
//!
//! Should something be missing all the same, because a segment came and went between two looks, recovery of the copy
//! finds that out (L5), and it is done once more; what is there already is not copied again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use assize_device::{Place, ReadOnlyDirectory};
use assize_node::agreed::Agreed;
use assize_node::boot::peers_of;
use assize_wal::header::{Mark, RecordHeader};
use assize_wal::operation::DeviceError;
use assize_wal::recovery::{LogScan, Recovered, RecoveryError, flush_logs, scan_log};
use assize_wal::superblock::Superblock;
use assize_wal::{Entry, SegmentId, SegmentReader};
use assize_wire::LogId;
use zerocopy::IntoBytes;

use super::BackupError;
use super::pins::Pins;
use super::segment::{Copier, Wanted, private};
use super::signals::Signals;
use crate::exit::Ended;
use crate::stopped::{Lacking, Replica};
use crate::superblock::superblock_in;

/// Why copying does not go on.
pub(super) enum Interrupted {
    /// A file is gone: its checkpoint was replaced meanwhile.
    Gone,
    /// For good.
    Failed(Box<Ended>),
}

impl Interrupted {
    pub(super) fn of(path: &Path, error: io::Error) -> Interrupted {
        match error.kind() {
            io::ErrorKind::NotFound => Interrupted::Gone,
            _ => Interrupted::from(Ended::Io(format!("reading {}", path.display()), error)),
        }
    }
}

impl From<Ended> for Interrupted {
    fn from(error: Ended) -> Interrupted {
        Interrupted::Failed(Box::new(error))
    }
}

impl From<DeviceError> for Interrupted {
    fn from(error: DeviceError) -> Interrupted {
        match error {
            DeviceError::Io { code: NOT_FOUND, .. } => Interrupted::Gone,
            error => Ended::from(error).into(),
        }
    }
}

impl From<RecoveryError> for Interrupted {
    fn from(error: RecoveryError) -> Interrupted {
        match error {
            RecoveryError::Device(error) => error.into(),
            error => Ended::from(error).into(),
        }
    }
}

/// How far copying is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The logs are read for what is to be copied.
    Reading,
    /// So many bytes, of so many.
    Copied { done: u64, all: u64 },
    /// The copy is read as a start would read it.
    Recovering,
    /// All begins again, for another checkpoint became active.
    Again,
}

/// What was copied.
pub(super) struct Copied {
    pub(super) bytes: u64,
    pub(super) shared_bytes: u64,
    pub(super) copied_bytes: u64,
}

/// Copies the replica's directory into `into`, as a backup that can be recovered. `earlier` are backups of the same
/// replica; `progress` is told each step.
pub(super) fn copy(
    from: &ReadOnlyDirectory,
    into: &Path,
    earlier: &[PathBuf],
    signals: &Signals,
    progress: &mut dyn FnMut(Step) -> Result<(), Ended>,
) -> Result<(Copied, Replica, Recovered), Ended> {
    let mut copier = Copier::new(into.to_owned(), earlier.to_vec());
    let mut lost = None;
    for _ in 0..ATTEMPTS_MAX {
        // Nobody recycles anything where nobody writes, and what does not run is left as it is. The lock is not kept: a
        // replica that starts again must not find it held.
        let runs = ReadOnlyDirectory::stopped(from.root()).is_err();
        let mut pins = if runs { Some(Pins::new(from)?) } else { None };
        copier.copy_from(pins.as_ref().map_or_else(|| from.clone(), Pins::directory));
        let before = superblock_in(from.root())?;
        if let Some(quarantine) = before.quarantine {
            return Err(BackupError::Quarantined(quarantine).into());
        }
        if before.rejoins {
            return Err(BackupError::Rejoining.into());
        }
        let bytes = match of_one_moment(from, &before, pins.as_mut(), &mut copier, signals, progress) {
            Ok(bytes) => bytes,
            Err(Interrupted::Gone) => {
                progress(Step::Again)?;
                continue;
            }
            Err(Interrupted::Failed(error)) => return Err(*error),
        };
        if !runs && is_superseded(&before, &superblock_in(from.root())?) {
            progress(Step::Again)?;
            continue;
        }
        // What is copied stays as it is, whatever is recycled from here on.
        drop(pins);
        write_superblock(into, &before)?;
        progress(Step::Recovering)?;
        let copy = Replica::open(into)?;
        match copy.recover() {
            Ok(recovered) => {
                // With peers what is missing is no loss, but damage: without this the backup would end below it.
                if let Some(Lacking { first, last }) = Lacking::of(&recovered, &copy.agreed) {
                    let damaged = BackupError::Damaged { data: from.root().to_owned(), first, last }.into();
                    if runs {
                        lost = Some(damaged);
                        continue;
                    }
                    return Err(damaged);
                }
                let Copier { shared_bytes, copied_bytes, .. } = copier;
                return Ok((Copied { bytes, shared_bytes, copied_bytes }, copy, recovered));
            }
            // It may be the replica itself that has lost something: then it is lost each time.
            Err(error @ Ended::Recovery(RecoveryError::Lost { .. } | RecoveryError::Rebuild { .. }))
                if runs =>
            {
                lost = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(lost.unwrap_or(BackupError::NeverStill { attempts: ATTEMPTS_MAX }.into()))
}

/// Whether segments that `before` names may have been given up since.
fn is_superseded(before: &Superblock, after: &Superblock) -> bool {
    (before.checkpoint, before.incarnation) != (after.checkpoint, after.incarnation)
}

fn of_one_moment(
    data: &ReadOnlyDirectory,
    before: &Superblock,
    mut pins: Option<&mut Pins>,
    copier: &mut Copier,
    signals: &Signals,
    progress: &mut dyn FnMut(Step) -> Result<(), Ended>,
) -> Result<u64, Interrupted> {
    if let Some(pins) = &mut pins {
        pins.clear()?;
        pins.add()?;
        if is_superseded(before, &superblock_in(data.root())?) {
            return Err(Interrupted::Gone);
        }
    }
    progress(Step::Reading)?;
    let mut from = copier.source();
    let mut through = Mark::default();
    let logs = flush_logs(&mut from, before)?;
    for log in &logs {
        signals.check()?;
        let scan = scan(&mut from, before, *log)?;
        let highest = scan.records.iter().map(|record| record.header.mark).max();
        through = through.max(highest.unwrap_or_default());
        if let Some(pins) = &mut pins {
            pins.add()?;
        }
    }
    let mut wanted = Vec::with_capacity(logs.len());
    for log in flush_logs(&mut from, before)? {
        signals.check()?;
        let scan = scan(&mut from, before, log)?;
        let sizes = from.segments(log)?;
        let headers = scan.records.iter().map(|record| &record.header);
        let kept = kept_through(headers, scan.end.offset, through);
        wanted.push((log, wanted_of(&scan, &sizes, kept)));
    }
    let all: u64 = wanted.iter().flat_map(|(_, wanted)| wanted).map(|wanted| wanted.kept).sum();
    copier.make_sure_of_space(wanted.iter().flat_map(|(_, wanted)| wanted).copied())?;
    let mut done = 0;
    for wanted in wanted.iter().flat_map(|(_, wanted)| wanted) {
        let mut piece = |bytes| {
            signals.check()?;
            done += bytes;
            progress(Step::Copied { done, all })
        };
        copier.copy(*wanted, &mut piece)?;
    }
    for (log, wanted) in &wanted {
        let segments: Vec<_> = wanted.iter().map(|wanted| wanted.segment).collect();
        copier.keep_only(*log, &segments)?;
    }
    Ok(all)
}

fn scan(from: &mut ReadOnlyDirectory, superblock: &Superblock, log: LogId) -> Result<LogScan, Interrupted> {
    let agreed = Agreed::decode(&superblock.parameters).map_err(Ended::from)?;
    Ok(scan_log(from, superblock, log, peers_of(agreed.replicas.into()))?)
}

/// The logical offset up to which a log of these records, in their order, says nothing of what was accepted beyond a
/// mark.
fn kept_through<'a>(records: impl IntoIterator<Item = &'a RecordHeader>, end: u64, through: Mark) -> u64 {
    let is_beyond = |header: &&RecordHeader| {
        let own = match header.entry {
            Entry::Accept { slot, ballot, .. } => Mark { ballot, slot },
            _ => Mark::default(),
        };
        header.mark > through || own > through
    };
    records.into_iter().find(is_beyond).map_or(end, |header| header.offset)
}

/// The segments that hold a log up to an offset.
fn wanted_of(scan: &LogScan, sizes: &[(SegmentId, u64)], through: u64) -> Vec<Wanted> {
    let log = scan.identity.log;
    let wanted = sizes.iter().filter(|(segment, _)| *segment >= scan.first_segment);
    let wanted = wanted.filter_map(|&(segment, bytes)| {
        let kept = through.saturating_sub(scan.identity.start_of(segment)).min(bytes);
        (kept > 0).then_some(Wanted { log, segment, bytes, kept })
    });
    wanted.collect()
}

fn write_superblock(into: &Path, superblock: &Superblock) -> Result<(), Ended> {
    let write = || {
        private().open(into.join("lock"))?;
        for copy in 0..2 {
            let mut file = private().open(Place::Superblock(copy).path(into))?;
            file.write_all(superblock.encode().as_bytes())?;
            file.sync_all()?;
        }
        for entry in fs::read_dir(into)? {
            let path = entry?.path();
            if path.is_dir() {
                File::open(path)?.sync_all()?;
            }
        }
        File::open(into)?.sync_all()
    };
    write().map_err(|error| Ended::Io(format!("writing {}", into.display()), error))
}

/// How often it is tried.
const ATTEMPTS_MAX: u32 = 20;

/// What the operating system says of a file that is not there.
const NOT_FOUND: i32 = 2;

#[cfg(test)]
mod tests {
    use assize_wire::{Ballot, Hash, Incarnation, ReplicaId, Slot};

    use super::*;

    fn mark(slot: u64) -> Mark {
        Mark { ballot: Ballot::new(1, ReplicaId(0)), slot: Slot(slot) }
    }

    fn accept(slot: u64) -> Entry {
        let Mark { ballot, slot } = mark(slot);
        Entry::Accept { slot, ballot, manifest: Hash([0; 32]) }
    }

    /// A log of entries and marks, one block each.
    fn log(records: &[(Entry, u64)]) -> Vec<RecordHeader> {
        let header = |(place, &(entry, marked)): (usize, &(Entry, u64))| RecordHeader {
            entry,
            copy: 0,
            checksum: 0,
            previous: 0,
            offset: place as u64 * 4_096,
            segment: SegmentId(0),
            incarnation: Incarnation(1),
            payload_bytes: 0,
            mark: mark(marked),
            group_blocks: 0,
            durable_through: 0,
        };
        records.iter().enumerate().map(header).collect()
    }

    /// BackupOfOneMoment: a log that was copied late speaks of no accept that another one, copied early, has not.
    #[test]
    fn a_log_is_cut_before_the_first_record_that_speaks_of_more() {
        let kept = |records: &[(Entry, u64)], through| {
            kept_through(&log(records), records.len() as u64 * 4_096, mark(through)) / 4_096
        };
        let whole = [(Entry::Start, 0), (accept(1), 0), (accept(2), 1), (Entry::Idle, 2)];
        assert_eq!(kept(&whole, 2), 4, "it speaks of nothing beyond 2");
        assert_eq!(kept(&whole, 1), 2, "an accept is itself of more than the mark");
        // The mark alone tells as much, whatever the record is about; and what stands behind it goes with it.
        assert_eq!(kept(&[(accept(1), 0), (Entry::Idle, 3), (accept(2), 1)], 2), 1);
        assert_eq!(kept(&[], 2), 0);
    }
}
