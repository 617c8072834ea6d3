//! The files of the tree, for the tests that read sources: which there are, and which parts of them are tests.
#![allow(dead_code, reason = "each test that includes this module uses its own part of it")]

use std::fs;
use std::path::{Path, PathBuf};

/// One text file.
pub struct Source {
    /// From the top of the tree, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// `path:line` of a byte offset.
    pub fn place(&self, offset: usize) -> String {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// The top of the tree.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file whose name ends so, by path. Hidden folders and build outputs are not part of the tree.
pub fn files(ending: &str) -> Vec<Source> {
    let top = top();
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder's entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(read(&top, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The tests among these sources: what lies in a `tests` folder, test modules in files of their own, and what
/// follows `#[cfg(test)]` within a file.
pub fn tests_of(sources: &[Source]) -> Vec<Source> {
    let outlined: Vec<_> = sources.iter().flat_map(outlined_test_modules).collect();
    let is_test = |path: &str| {
        path.split('/').any(|part| part == "tests" || part == "tests.rs")
            || outlined
                .iter()
                .any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
    };
    sources
        .iter()
        .filter_map(|source| {
            let start = match is_test(&source.path) {
                true => 0,
                false => source.text.find(TEST_ONLY)?,
            };
            Some(Source { path: source.path.clone(), text: source.text[start..].to_owned() })
        })
        .collect()
}

/// Paths, without `.rs`, of the modules that a file declares by `#[cfg(test)] mod name;`.
fn outlined_test_modules(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let folder = match file.trim_end_matches(".rs") {
        "lib" | "main" | "mod" => folder.to_owned(),
        stem => format!("{folder}/{stem}"),
    };
    source
        .text
        .split(TEST_ONLY)
        .skip(1)
        .filter_map(|after| {
            let name = after.trim_start().strip_prefix("mod ")?.split_once(';')?.0;
            let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_name.then(|| format!("{folder}/{name}"))
        })
        .collect()
}

fn read(top: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = path.strip_prefix(top).expect("below the top");
    Source { path: path.to_string_lossy().into_owned(), text }
}

const TEST_ONLY: &str = "#[cfg(test)]";
