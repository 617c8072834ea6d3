//! One segment, copied.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use assize_device::{Place, ReadOnlyDirectory};
use assize_wal::{BLOCK_BYTES, Block, SegmentId, SegmentReader};
use assize_wire::LogId;
use zerocopy::IntoBytes;

use super::copying::Interrupted;
use crate::exit::Ended;

/// Copies segments into a folder.
///
/// A segment is done with once its log goes on in the next one: until its file is recycled, under another name, its
/// bytes stay. So a copy of one that has the length and the time of change of its source is as good as the source. It
/// gets that time when it is whole and durable; all others are copied anew.
pub(super) struct Copier {
    from: ReadOnlyDirectory,
    into: PathBuf,
    /// Earlier backups of the same replica.
    earlier: Vec<PathBuf>,
    pub(super) copied_bytes: u64,
    pub(super) shared_bytes: u64,
}

/// What is to be copied of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) log: LogId,
    pub(super) segment: SegmentId,
    /// Its file's length.
    pub(super) bytes: u64,
    /// Bytes from its beginning that count; zeros follow.
    pub(super) kept: u64,
}

impl Copier {
    /// Into a folder, from nowhere yet.
    pub(super) fn new(into: PathBuf, earlier: Vec<PathBuf>) -> Copier {
        let from = ReadOnlyDirectory::unlocked(&into);
        Copier { from, into, earlier, copied_bytes: 0, shared_bytes: 0 }
    }

    /// From these segments.
    pub(super) fn copy_from(&mut self, from: ReadOnlyDirectory) {
        self.from = from;
    }

    /// What it copies from.
    pub(super) fn source(&self) -> ReadOnlyDirectory {
        self.from.clone()
    }

    /// Sees to it that the copy is there. `progress` is told of each piece.
    pub(super) fn copy(&mut self, wanted: Wanted, progress: &mut dyn FnMut(u64)) -> Result<(), Interrupted> {
        let place = Place::Segment(wanted.log, wanted.segment);
        let (source, copy) = (place.path(self.from.root()), place.path(&self.into));
        let meta = fs::metadata(&source).map_err(|error| Interrupted::of(&source, error))?;
        let changed = meta.modified().map_err(|error| Interrupted::of(&source, error))?;
        let is_same = |path: &Path| {
            let found = fs::metadata(path);
            found.is_ok_and(|found| found.len() == meta.len() && found.modified().ok() == Some(changed))
        };
        let whole = wanted.kept == wanted.bytes;
        if whole && is_same(&copy) {
            progress(wanted.kept);
            return Ok(());
        }
        let failed = |error| Interrupted::from(Ended::Io(format!("writing {}", copy.display()), error));
        let folder = copy.parent().unwrap_or(&self.into);
        fs::create_dir_all(folder).map_err(failed)?;
        let earlier = self.earlier.iter().map(|earlier| place.path(earlier));
        if whole && let Some(earlier) = earlier.into_iter().find(|earlier| is_same(earlier)) {
            unless_absent(fs::remove_file(&copy)).map_err(failed)?;
            fs::hard_link(&earlier, &copy).map_err(failed)?;
            self.shared_bytes += wanted.bytes;
            progress(wanted.kept);
            return Ok(());
        }
        let unfinished = copy.with_extension("unfinished");
        let mut file = private().open(&unfinished).map_err(failed)?;
        let mut blocks = vec![Block::ZERO; PIECE_BYTES / BLOCK_BYTES];
        let mut done = 0;
        while done < wanted.kept {
            let piece = PIECE_BYTES.min((wanted.kept - done) as usize);
            let blocks = &mut blocks[..piece / BLOCK_BYTES];
            self.from.read(wanted.log, wanted.segment, done, blocks)?;
            file.write_all(blocks.as_bytes()).map_err(failed)?;
            done += piece as u64;
            progress(piece as u64);
        }
        let finish = |file: File| {
            file.set_len(wanted.bytes)?;
            file.sync_all()?;
            if whole {
                file.set_modified(changed)?;
            }
            fs::rename(&unfinished, &copy)
        };
        finish(file).map_err(failed)?;
        self.copied_bytes += wanted.kept;
        Ok(())
    }

    /// Removes every copy that is not among these, which lie in the log's folder, ascending.
    pub(super) fn keep_only(&self, log: LogId, wanted: &[SegmentId]) -> Result<(), Ended> {
        let sample = Place::Segment(log, SegmentId(0)).path(&self.into);
        let Some(folder) = sample.parent() else { return Ok(()) };
        let failed = |error| Ended::Io(format!("listing {}", folder.display()), error);
        let Some(entries) = unless_absent(fs::read_dir(folder)).map_err(failed)? else { return Ok(()) };
        let kept: Vec<PathBuf> =
            wanted.iter().map(|segment| Place::Segment(log, *segment).path(&self.into)).collect();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if !kept.contains(&path) {
                fs::remove_file(&path)
                    .map_err(|error| Ended::Io(format!("removing {}", path.display()), error))?;
            }
        }
        Ok(())
    }
}

/// A file that only its owner reads: it has the events, and the key that the replica's records are checked with.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
}

fn unless_absent<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;
