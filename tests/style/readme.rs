//! The README's two tables: which component lives where, and where a task begins. Every path in them exists.

use std::fs;
use std::process::Command;

use crate::{report, tree};

#[test]
fn every_path_in_the_tables_exists() {
    let text = fs::read_to_string(tree::top().join("README.md")).expect("README.md at the top of the tree");
    let mut findings = Vec::new();
    for heading in ["component", "task"] {
        let rows = table(&text, heading);
        if rows.is_empty() {
            findings.push(format!("README.md: no table whose first column is '{heading}'"));
        }
        for row in rows {
            let paths = paths(row);
            if paths.is_empty() {
                findings.push(format!("README.md: a row names no path in backticks or as a link: {row}"));
            }
            for path in paths.iter().filter(|path| !tree::top().join(path).exists()) {
                findings.push(format!("README.md: '{path}' does not exist: {row}"));
            }
        }
    }
    report(findings);
}

/// `cargo run`, with which the README begins, means the engine, of all binaries of the workspace.
#[test]
fn cargo_run_runs_the_engine() {
    let run = ["run", "--offline", "--quiet", "--", "--help"];
    let output = Command::new(env!("CARGO")).args(run).current_dir(tree::top()).output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("demo"), "{said}{complained}");
}

/// The rows of every table whose first column has this heading.
fn table<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if inside {
            rows.extend((!line.starts_with("|-") && !line.starts_with("| -")).then_some(line));
        } else {
            let first = line.split('|').nth(1).unwrap_or_default();
            inside = first.trim().trim_matches('*').to_lowercase().starts_with(heading);
        }
    }
    rows
}

/// What a row names as a path: link targets, and words in backticks that look like one.
fn paths(row: &str) -> Vec<String> {
    let links = row.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|link| !link.contains("://") && !link.is_empty());
    let ticked = row.split('`').skip(1).step_by(2).filter(|word| {
        let is_file = [".rs", ".md", ".toml", ".allium"].iter().any(|ending| word.ends_with(ending));
        !word.contains([' ', '<', '*', ':', '{']) && !word.starts_with('/') && (word.contains('/') || is_file)
    });
    links.chain(ticked).map(str::to_owned).collect()
}

#[test]
fn paths_are_read_from_links_and_backticks() {
    let text = "| Component | where |\n|---|---|\n| [Usher](engine/node/README.md#a) | `engine/node/`, `cargo run` |\n\nx\n";
    let rows = table(text, "component");
    assert_eq!(rows.len(), 1);
    assert_eq!(paths(rows[0]), ["engine/node/README.md", "engine/node/"]);
    assert!(table(text, "task").is_empty());
}
