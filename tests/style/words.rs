//! Words that must not stay: leftovers of work in progress, traces of one person's machine, and sleeps in tests.

use crate::allowances::SLEEPING_TESTS;
use crate::{report, tree};

/// This test's own files name what they forbid.
const OWN: &str = "tests/style/";

const LEFTOVERS: [(&str, &str); 9] = [
    ("todo!(", "write it, or open an issue"),
    ("unimplemented!(", "write it, or return an error"),
    ("dbg!(", "remove it"),
    ("FIXME", "mend it, or open an issue"),
    ("TODO", "do it, or open an issue"),
    ("XXX", "say what is meant"),
    ("<<<<<<<", "a merge was not finished"),
    ("#[ignore", "a test that never runs shows nothing"),
    ("lorem ipsum", "write the text"),
];

const LOCAL: [(&str, &str); 4] = [
    ("/work/", "a path of one machine"),
    ("/home/", "a path of one machine"),
    ("/root/", "a path of one machine"),
    ("/Users/", "a path of one machine"),
];

#[test]
fn nothing_is_left_over() {
    report(find(&[".rs", ".md", ".toml", ".allium"], &LEFTOVERS));
}

#[test]
fn nothing_tells_of_one_machine() {
    report(find(&[".rs", ".md", ".toml", ".allium"], &LOCAL));
}

#[test]
fn tests_wait_for_what_happens_not_for_time_to_pass() {
    let mut findings = Vec::new();
    for source in tree::tests_of(&tree::files(".rs")) {
        let allowed = SLEEPING_TESTS.iter().any(|(path, _)| *path == source.path);
        if !allowed && !source.path.starts_with(OWN) && source.text.contains("thread::sleep") {
            findings
                .push(format!("{}: a test sleeps: wait for the event itself, with a deadline", source.path));
        }
    }
    for (path, reason) in SLEEPING_TESTS {
        let sleeps = tree::files(".rs")
            .iter()
            .any(|source| source.path == *path && source.text.contains("thread::sleep"));
        if !sleeps || reason.split_whitespace().count() < 3 {
            findings.push(format!("{path}: remove it from SLEEPING_TESTS, or say why it sleeps"));
        }
    }
    report(findings);
}

fn find(endings: &[&str], words: &[(&str, &str)]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in endings.iter().flat_map(|ending| tree::files(ending)) {
        if source.path.starts_with(OWN) {
            continue;
        }
        for (word, advice) in words {
            for (at, _) in source.text.match_indices(word) {
                findings.push(format!("{}: '{word}': {advice}", source.place(at)));
            }
        }
    }
    findings
}
