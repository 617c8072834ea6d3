//! `assizectl agreed`: what a cluster agreed on when it was formatted. A replica that comes back with an empty disk has
//! to be formatted with the same.
//!
//! It never changes, so a replica may run on the directory: where one disk of three is lost nobody has to stop another
//! replica for this. The seed of the hash that compares bodies leaves no machine else, so no replica tells it by HTTP.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use assize_device::{DirectoryError, read_superblocks};
use assize_node::agreed::Agreed;
use assize_setup::{AgreedFile, format_options};
use assize_wal::superblock::{Superblock, SuperblockError, find};

use crate::cli::AgreedCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// One line of options for people, to be put behind `assize format`; the file that [`AgreedFile`] reads for programs.
pub(crate) fn agreed(command: &AgreedCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let agreed = agreed_in(&command.data)?;
    printer.answer(&AgreedFile::of(&agreed), || options(&agreed))?;
    Ok(Exit::Success)
}

/// What the replica of a directory agreed on.
pub(crate) fn agreed_in(data: &Path) -> Result<Agreed, Ended> {
    let superblock = superblock_in(data)?;
    Ok(Agreed::decode(&superblock.parameters)?)
}

/// In one line, as a shell takes it.
fn options(agreed: &Agreed) -> String {
    let options = format_options(agreed).into_iter();
    options.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" ")
}

fn superblock_in(data: &Path) -> Result<Superblock, Ended> {
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
