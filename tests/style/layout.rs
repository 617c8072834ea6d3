//! Where things are: the entries at the top of the tree, and how each source file begins and ends.

use std::fs;

use crate::{report, tree};

/// What may stand at the top beside hidden files. Crates nest below these.
const TOP_ENTRIES: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "engine",
    "shards",
    "wal",
    "bench",
    "tools",
    "tests",
];

#[test]
fn the_top_of_the_tree_has_only_its_fixed_entries() {
    let entries = fs::read_dir(tree::top()).expect("the top of the tree");
    let others = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target" && !TOP_ENTRIES.contains(&name.as_str()))
        .map(|name| format!("{name}: a new entry at the top; put it below one of {}", TOP_ENTRIES.join(" ")));
    report(others.collect());
}

#[test]
fn every_source_file_says_first_what_it_is() {
    let silent = tree::files(".rs")
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}:1: begin with a //! line that says what the file is", source.path));
    report(silent.collect());
}

#[test]
fn files_end_with_one_newline_and_lines_without_blanks() {
    let mut findings = Vec::new();
    for ending in [".rs", ".md", ".toml", ".allium"] {
        for source in tree::files(ending) {
            if !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
                findings.push(format!("{}: end with exactly one newline", source.path));
            }
            for (number, line) in source.text.lines().enumerate() {
                if line.ends_with([' ', '\t', '\r']) {
                    findings.push(format!("{}:{}: blanks at the end of the line", source.path, number + 1));
                }
            }
        }
    }
    report(findings);
}
