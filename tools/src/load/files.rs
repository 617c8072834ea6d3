//! Files that a run ends with: whether they can be written is known before it begins.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that cannot be written.
#[derive(Debug)]
pub struct NotWritable {
    /// Which one.
    pub path: PathBuf,
    /// What the operating system said.
    pub error: io::Error,
}

impl fmt::Display for NotWritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be written: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for NotWritable {}

/// Files that can be written. What was made to find that out is removed again where nothing was written to it.
#[derive(Debug, Default)]
pub struct Reserved {
    made: Vec<PathBuf>,
}

impl Reserved {
    /// Tries to open them all; what one holds already stays until it is written anew.
    ///
    /// # Errors
    /// [`NotWritable`]: which one is not.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Reserved, NotWritable> {
        let mut reserved = Reserved::default();
        for path in paths {
            match make(path) {
                Ok(true) => reserved.made.push(path.to_owned()),
                Ok(false) => {}
                Err(error) => return Err(NotWritable { path: path.to_owned(), error }),
            }
        }
        Ok(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        for path in &self.made {
            if fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0) {
                // An empty file is in nobody's way.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether there is a file now that was not there before.
fn make(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().append(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made.map(|_| true),
    }
    // Whoever reads a pipe takes its first closing for the end, so only a file is opened, or what never can be written.
    let kind = fs::metadata(path)?;
    if kind.is_file() || kind.is_dir() {
        OpenOptions::new().append(true).open(path)?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_named_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good"), "a report").unwrap();
        for cannot in [at("nowhere/report"), folder.path().to_owned(), at("good/report")] {
            let said = Reserved::new([at("good"), at("new"), cannot.clone()].iter().map(PathBuf::as_path));
            let said = said.unwrap_err().to_string();
            assert!(said.starts_with(&format!("{} cannot be written: ", cannot.display())), "{said}");
            assert_eq!(fs::read(at("good")).unwrap(), b"a report");
            assert!(!at("new").exists(), "it was left behind");
        }
        let reserved = Reserved::new([at("new"), at("unused")].iter().map(PathBuf::as_path)).unwrap();
        fs::write(at("new"), "another report").unwrap();
        drop(reserved);
        assert!(at("new").exists() && !at("unused").exists());
        Reserved::new([Path::new("/dev/null")]).unwrap();
    }
}
