//! The Allium specs beside the components: each one parses, holds together, and is bound to the tests. Every rule
//! and every invariant is named by at least one test, so a rule that nobody checks is found here.
//!
//! A spec's warning that must stay is listed, with its reason, in `accepted.rs`.

mod accepted;
mod names;
#[path = "../tree.rs"]
mod tree;

use std::collections::BTreeSet;

use accepted::ACCEPTED;
use allium_parser::diagnostic::{Diagnostic, Severity};
use tree::Source;

/// How a spec begins.
const FIRST_LINE: &str = "-- allium: 3";

#[test]
fn every_spec_says_its_version_in_its_first_line() {
    let wrong: Vec<_> = specs()
        .iter()
        .filter(|spec| spec.text.lines().next() != Some(FIRST_LINE))
        .map(|spec| format!("{}:1: the first line must be '{FIRST_LINE}'", spec.path))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_spec_parses_without_diagnostics() {
    let mut wrong = Vec::new();
    for spec in specs() {
        let parsed = allium_parser::parse(&spec.text);
        wrong.extend(parsed.diagnostics.iter().map(|found| describe(&spec, found)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_the_analysis_says_of_a_spec_is_nothing_or_accepted_with_a_reason() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for spec in specs() {
        let parsed = allium_parser::parse(&spec.text);
        let notable = allium_parser::analyze(&parsed.module, &spec.text).into_iter();
        for found in notable.filter(|found| found.severity != Severity::Info) {
            let code = found.code.unwrap_or("none");
            let accepted =
                ACCEPTED.iter().position(|accepted| accepted.file == spec.path && accepted.code == code);
            match accepted {
                Some(at) if found.severity != Severity::Error => {
                    used.insert(at);
                }
                _ => wrong.push(describe(&spec, &found)),
            }
        }
    }
    for (at, accepted) in ACCEPTED.iter().enumerate() {
        assert!(
            accepted.reason.split_whitespace().count() > 2,
            "{}: why is {} accepted?",
            accepted.file,
            accepted.code
        );
        if !used.contains(&at) {
            wrong.push(format!(
                "{}: {} is accepted in tests/specs/accepted.rs and no longer there: remove the entry",
                accepted.file, accepted.code
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{}\nMend the spec, or list the warning with its reason in tests/specs/accepted.rs.",
        wrong.join("\n")
    );
}

#[test]
fn no_spec_silences_the_analysis_from_within() {
    for spec in specs() {
        assert!(
            !spec.text.contains("allium-ignore"),
            "{}: list the warning with its reason in tests/specs/accepted.rs instead",
            spec.path
        );
    }
}

#[test]
fn every_rule_and_invariant_is_named_by_a_test() {
    let tests = test_text();
    let mut missing = Vec::new();
    for spec in specs() {
        let parsed = allium_parser::parse(&spec.text);
        for named in names::of(&parsed.module) {
            if !names::is_mentioned(&named.name, &tests) {
                missing.push(format!(
                    "{}: {} {} is named by no test: write '{}' in the name or the comment of the test that shows it",
                    spec.place(named.span.start),
                    named.kind,
                    named.name,
                    named.name
                ));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn there_are_specs_and_tests_to_compare() {
    assert!(!specs().is_empty(), "no .allium file was found");
    assert!(!test_text().is_empty(), "no test source was found");
}

fn describe(spec: &Source, found: &Diagnostic) -> String {
    format!(
        "{}: {:?} {}: {}",
        spec.place(found.span.start),
        found.severity,
        found.code.unwrap_or("none"),
        found.message
    )
}

fn specs() -> Vec<Source> {
    tree::files(".allium")
}

/// All tests, one after the other, but not the words of these tests about rules: they check none.
fn test_text() -> String {
    let tests = tree::tests_of(&tree::files(".rs"));
    tests
        .iter()
        .filter(|source| !source.path.starts_with("tests/specs/"))
        .map(|source| source.text.as_str())
        .collect()
}
