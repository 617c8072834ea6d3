//! The superblock of a directory on which a replica may be running.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use assize_device::{DirectoryError, read_superblocks};
use assize_wal::superblock::{Superblock, SuperblockError, find};

use crate::exit::Ended;

/// As the replica had it at some moment of the call.
pub(crate) fn superblock_in(data: &Path) -> Result<Superblock, Ended> {
    find_directory(data)?;
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

/// Whether what the command line names is a directory at all: a name that is misspelled is told apart from a directory
/// that holds no replica.
pub(crate) fn find_directory(data: &Path) -> Result<(), Ended> {
    match fs::metadata(data) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Ended::NoDirectory(data.to_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(Ended::NotThere(data.to_owned()))
        }
        Err(error) => {
            Err(Ended::Directory(DirectoryError::Io { doing: "opening", root: data.to_owned(), error }))
        }
    }
}

const READ_MAX: u32 = 5;
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::stopped::Replica;

    #[test]
    fn what_is_not_there_and_what_is_a_file_are_told_apart_from_what_holds_no_replica() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("file");
        fs::write(&file, []).expect("a file");
        let cases = [
            (folder.path().join("nowhere"), "is not there"),
            (file.join("below"), "is not there"),
            (file, "is a file"),
            (folder.path().to_owned(), "is not a replica's data directory"),
        ];
        for (path, words) in cases {
            for refused in [superblock_in(&path).map(drop), Replica::open(&path).map(drop)] {
                let refused = refused.expect_err("there is no replica");
                assert_eq!(refused.exit(), Exit::DataDirectory, "{refused}");
                let told = format!("{} {words}", path.display());
                assert!(refused.to_string().starts_with(&told), "{refused}");
            }
        }
    }
}
