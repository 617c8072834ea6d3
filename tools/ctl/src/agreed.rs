//! `assizectl agreed`: what a cluster agreed on when it was formatted. A replica that comes back with an empty disk has
//! to be formatted with the same.
//!
//! It never changes, so a replica may run on the directory: where one disk of three is lost nobody has to stop another
//! replica for this. The seed of the hash that compares bodies leaves no machine else, so no replica tells it by HTTP.

use std::path::Path;

use assize_node::agreed::Agreed;
use assize_setup::{AgreedFile, format_options};

use crate::cli::AgreedCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;
use crate::superblock::superblock_in;

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
