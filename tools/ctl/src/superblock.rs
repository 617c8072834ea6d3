//! The superblock of a directory on which a replica may be running.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use assize_device::{DirectoryError, read_superblocks};
use assize_wal::superblock::{Superblock, SuperblockError, find};

use crate::exit::Ended;

/// As the replica had it at some moment of the call.
pub(crate) fn superblock_in(data: &Path) -> Result<Superblock, Ended> {
    if !data.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Err(Ended::Directory(DirectoryError::Io { doing: "opening", root: data.to_owned(), error }));
    }
    let mut read = 1;
    loop {
        match find(read_superblocks(data)?) {
            Ok(found) => return Ok(found.superblock),
            Err(SuperblockError::NotFormatted) => return Err(Ended::NotFormatted(data.to_owned())),
            Err(error) if read == READ_MAX => return Err(Ended::Superblock(data.to_owned(), error)),
            // Whoever runs there may just be writing them.
            Err(_) => {
                read += 1;
                thread::sleep(READ_AGAIN_AFTER);
            }
        }
    }
}

const READ_MAX: u32 = 5;
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);
