//! What keeps the core pure: no standard library in the crates that decide, and unsafe code only where it is listed.

use std::fs;

use crate::allowances::UNSAFE_FILES;
use crate::tree::Source;
use crate::{report, tree};

/// Crates of state machines and layouts: a clock, a socket or a thread must not compile there.
const PURE_CRATES: [&str; 6] =
    ["engine/wire", "engine/consensus", "engine/node", "shards", "shards/domain", "wal"];
const PURE_ATTRIBUTES: [&str; 2] = ["#![no_std]", "#![forbid(unsafe_code)]"];
/// How far above an unsafe block its reason may begin.
const REASON_LINES_MAX: usize = 12;

#[test]
fn pure_crates_have_no_std_and_no_unsafe() {
    let domains = fs::read_dir(tree::top().join("shards/domains")).expect("the bundled domains");
    let domains = domains.map(|domain| {
        let name = domain.expect("a domain").file_name();
        format!("shards/domains/{}", name.to_string_lossy())
    });
    let mut findings = Vec::new();
    for folder in PURE_CRATES.map(str::to_owned).into_iter().chain(domains) {
        let path = format!("{folder}/src/lib.rs");
        let text =
            fs::read_to_string(tree::top().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        for attribute in PURE_ATTRIBUTES {
            if !text.lines().any(|line| line == attribute) {
                findings.push(format!("{path}: this crate is pure: {attribute}"));
            }
        }
    }
    report(findings);
}

#[test]
fn unsafe_code_is_listed_and_says_why_it_is_sound() {
    let mut findings = Vec::new();
    let mut used = Vec::new();
    let sources = tree::files(".rs");
    for source in sources.iter().filter(|source| !source.path.starts_with("tests/style/")) {
        for line in unsafe_lines(source) {
            let place = format!("{}:{}", source.path, line + 1);
            if !UNSAFE_FILES.contains(&source.path.as_str()) {
                findings
                    .push(format!("{place}: unsafe outside the files listed in tests/style/allowances.rs"));
            }
            if !has_reason(source, line) {
                findings.push(format!("{place}: name the invariant it relies on in a SAFETY: comment"));
            }
            used.push(source.path.as_str());
        }
    }
    for path in UNSAFE_FILES {
        if !used.contains(path) {
            findings.push(format!("{path}: no unsafe left; remove it from UNSAFE_FILES"));
        }
    }
    report(findings);
}

/// Lines, counted from 0, on which `unsafe` stands as a keyword.
fn unsafe_lines(source: &Source) -> Vec<usize> {
    let lines = source.text.lines().enumerate();
    let is_keyword = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        // A string that mentions the word is no code.
        let code: String = code.split('"').step_by(2).collect();
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "unsafe("]
            .iter()
            .any(|keyword| code.contains(keyword))
    };
    lines.filter(|(_, line)| is_keyword(line)).map(|(number, _)| number).collect()
}

fn has_reason(source: &Source, line: usize) -> bool {
    let lines: Vec<_> = source.text.lines().collect();
    lines[line.saturating_sub(REASON_LINES_MAX)..=line]
        .iter()
        .any(|line| line.contains("SAFETY: ") || line.contains("# Safety"))
}
