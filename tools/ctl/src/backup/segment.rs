//! One segment, copied.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use assize_device::{Place, ReadOnlyDirectory};
use assize_wal::{BLOCK_BYTES, Block, SegmentId, SegmentReader};
use assize_wire::LogId;
use zerocopy::IntoBytes;

use super::copying::Interrupted;
use super::{BackupError, make_folder};
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
    /// What is still to be written, as it was found before copying.
    left_bytes: u64,
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

/// How the copy of a segment comes to be.
enum Origin {
    /// It is there.
    There,
    /// An earlier backup has it.
    Earlier(PathBuf),
    /// It is copied, and gets this time of change.
    Copied(SystemTime),
}

impl Copier {
    /// Into a folder, from nowhere yet.
    pub(super) fn new(into: PathBuf, earlier: Vec<PathBuf>) -> Copier {
        let from = ReadOnlyDirectory::unlocked(&into);
        Copier { from, into, earlier, left_bytes: 0, copied_bytes: 0, shared_bytes: 0 }
    }

    /// From these segments.
    pub(super) fn copy_from(&mut self, from: ReadOnlyDirectory) {
        self.from = from;
    }

    /// What it copies from.
    pub(super) fn source(&self) -> ReadOnlyDirectory {
        self.from.clone()
    }

    /// Whether there is space for what is to be copied of these: known before anything is.
    pub(super) fn make_sure_of_space(
        &mut self,
        wanted: impl Iterator<Item = Wanted>,
    ) -> Result<(), Interrupted> {
        self.left_bytes = 0;
        for wanted in wanted {
            if let Origin::Copied(_) = self.origin(wanted)? {
                // What was copied of it before takes its space already.
                let copy = Place::Segment(wanted.log, wanted.segment).path(&self.into);
                let taken = fs::metadata(copy).map_or(0, |found| found.blocks() * UNIX_BLOCK_BYTES);
                self.left_bytes += wanted.kept.saturating_sub(taken);
            }
        }
        match missing_bytes(&self.into, self.left_bytes) {
            0 => Ok(()),
            missing_bytes => Err(no_space(&self.into, missing_bytes)),
        }
    }

    fn origin(&self, wanted: Wanted) -> Result<Origin, Interrupted> {
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
            return Ok(Origin::There);
        }
        let mut earlier = self.earlier.iter().map(|earlier| place.path(earlier)).filter(|_| whole);
        let earlier = earlier.find(|earlier| is_same(earlier));
        Ok(earlier.map_or(Origin::Copied(changed), Origin::Earlier))
    }

    /// Sees to it that the copy is there. `progress` is told of each piece.
    pub(super) fn copy(
        &mut self,
        wanted: Wanted,
        progress: &mut dyn FnMut(u64) -> Result<(), Ended>,
    ) -> Result<(), Interrupted> {
        let copy = Place::Segment(wanted.log, wanted.segment).path(&self.into);
        let whole = wanted.kept == wanted.bytes;
        let (into, left_bytes) = (self.into.clone(), self.left_bytes);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                no_space(&into, missing_bytes(&into, left_bytes))
            }
            _ => Interrupted::from(Ended::Io(format!("writing {}", copy.display()), error)),
        };
        let changed = match self.origin(wanted)? {
            Origin::There => return Ok(progress(wanted.kept)?),
            Origin::Earlier(earlier) => {
                make_folder(copy.parent().unwrap_or(&self.into))?;
                unless_absent(fs::remove_file(&copy)).map_err(failed)?;
                fs::hard_link(&earlier, &copy).map_err(failed)?;
                self.shared_bytes += wanted.bytes;
                return Ok(progress(wanted.kept)?);
            }
            Origin::Copied(changed) => changed,
        };
        make_folder(copy.parent().unwrap_or(&self.into))?;
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
            progress(piece as u64)?;
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
        self.left_bytes = self.left_bytes.saturating_sub(wanted.kept);
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

/// How much more space there would have to be on a folder's filesystem for so many bytes.
fn missing_bytes(folder: &Path, bytes: u64) -> u64 {
    // Where nobody says how much is free, it shows when it is full.
    let free =
        rustix::fs::statvfs(folder).map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize));
    bytes.saturating_sub(free)
}

fn no_space(into: &Path, missing_bytes: u64) -> Interrupted {
    let (incomplete, copied_bytes) = (into.to_owned(), bytes_below(into));
    Ended::from(BackupError::NoSpace { incomplete, copied_bytes, missing_bytes }).into()
}

/// What the files below a folder take; of what cannot be looked at, nothing.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let taken = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.blocks() * UNIX_BLOCK_BYTES,
        Err(_) => 0,
    });
    taken.sum()
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

/// In which a file's space is counted, whatever the filesystem's blocks are.
const UNIX_BLOCK_BYTES: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_known_before_it_is_copied() {
        let folder = tempfile::tempdir().expect("a directory");
        assert_eq!(missing_bytes(folder.path(), 1), 0);
        let free = u64::MAX / 2 - missing_bytes(folder.path(), u64::MAX / 2);
        assert!(free > 0 && free < u64::MAX / 2, "{free}");
        let (log, segment) = (LogId(0), SegmentId(0));
        let data = folder.path().join("data");
        let source = Place::Segment(log, segment).path(&data);
        fs::create_dir_all(source.parent().expect("a folder")).expect("a folder");
        File::create(source).expect("a file");
        let into = folder.path().join("incomplete");
        fs::create_dir(&into).expect("a folder");
        let mut copier = Copier::new(into.clone(), Vec::new());
        copier.copy_from(ReadOnlyDirectory::unlocked(&data));
        let wanted = |kept| [Wanted { log, segment, bytes: 1 << 50, kept }].into_iter();
        assert!(copier.make_sure_of_space(wanted(4_096)).is_ok());
        for words in ["nothing was copied to", "what was copied stays in"] {
            let Err(Interrupted::Failed(refused)) = copier.make_sure_of_space(wanted(1 << 50)) else {
                panic!("there is space for a pebibyte");
            };
            assert!(refused.to_string().contains(words), "{refused}");
            // What the second answer is about.
            fs::write(into.join("segment"), vec![7; 1 << 20]).expect("a file");
        }
    }
}
