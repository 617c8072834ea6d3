//! Segments of a running replica, kept from being recycled while they are copied.
//!
//! A **pin** is a second name of a segment's file, in `pinned` below the data directory. The replica overwrites no file
//! that has one: where it would recycle it, it makes a new one. So pins take the space of what a checkpoint gives up
//! meanwhile, until they are removed: by whoever made them, also if it is interrupted, or, if that was killed, by the
//! next backup or the replica's next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use assize_device::directory::PINNED_FOLDER;
use assize_device::{Place, ReadOnlyDirectory};
use assize_wal::SegmentReader;

use super::copying::Interrupted;
use super::{make_folder, remove_folder};
use crate::exit::Ended;

/// All segments that were there when [`Pins::add`] was called, each time.
pub(super) struct Pins {
    data: ReadOnlyDirectory,
    folder: PathBuf,
}

impl Pins {
    /// None yet; what an earlier one left is removed.
    pub(super) fn new(data: &ReadOnlyDirectory) -> Result<Pins, Ended> {
        let folder = data.root().join(PINNED_FOLDER);
        remove_folder(&folder)?;
        Ok(Pins { data: data.clone(), folder })
    }

    /// The pinned segments, laid out as in a data directory.
    pub(super) fn directory(&self) -> ReadOnlyDirectory {
        ReadOnlyDirectory::unlocked(&self.folder)
    }

    /// Pins every segment that is there now.
    pub(super) fn add(&mut self) -> Result<(), Interrupted> {
        let failed = |path: &Path, error| {
            Interrupted::from(Ended::Io(
                format!("keeping {} (it takes the rights of the replica's own user)", path.display()),
                error,
            ))
        };
        let mut data = self.data.clone();
        for log in data.logs()? {
            for (segment, _) in data.segments(log)? {
                let place = Place::Segment(log, segment);
                let (from, pin) = (place.path(self.data.root()), place.path(&self.folder));
                if pin.exists() {
                    continue;
                }
                let folder = pin.parent().unwrap_or(&self.folder);
                make_folder(folder)?;
                match fs::hard_link(&from, &pin) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Interrupted::Gone),
                    Err(error) => return Err(failed(&from, error)),
                }
            }
        }
        Ok(())
    }

    /// Removes all.
    pub(super) fn clear(&mut self) -> Result<(), Ended> {
        remove_folder(&self.folder)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // The next backup removes what cannot be removed now.
        let _ = self.clear();
    }
}
