//! `ledger.allium` parses without diagnostics, and each of its rules and invariants is named by a test.

use allium_parser::ast::{BlockKind, Decl};
use allium_parser::diagnostic::Severity;

const SPEC: &str = include_str!("../ledger.allium");
/// Where tests name rules: in their names or in their comments.
const TESTS: [&str; 10] = [
    include_str!("follow.rs"),
    include_str!("peers.rs"),
    include_str!("damaged.rs"),
    include_str!("checkpoint.rs"),
    include_str!("crash.rs"),
    include_str!("rules.rs"),
    include_str!("format.rs"),
    include_str!("flips.rs"),
    include_str!("../src/superblock.rs"),
    include_str!("../src/outcome_index.rs"),
];

#[test]
fn the_spec_parses_without_diagnostics() {
    let parsed = allium_parser::parse(SPEC);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    assert_eq!(parsed.module.version, Some(3));
    let found = allium_parser::analyze(&parsed.module, SPEC);
    let errors: Vec<_> = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let unexplained: Vec<_> = found
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Warning)
        .filter(|warning| {
            !ACCEPTED_WARNINGS
                .iter()
                .any(|(code, about, _reason)| warning.code == Some(code) && warning.message.contains(about))
        })
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}

#[test]
fn every_rule_is_named_by_a_test() {
    let parsed = allium_parser::parse(SPEC);
    for declaration in &parsed.module.declarations {
        let name = match declaration {
            Decl::Block(block) if block.kind == BlockKind::Rule => {
                block.name.as_ref().expect("a rule has a name")
            }
            Decl::Invariant(invariant) => &invariant.name,
            _ => continue,
        };
        assert!(TESTS.iter().any(|test| test.contains(&name.name)), "no test names {}", name.name);
    }
}

/// Warnings that stay: code, what they are about, reason.
const ACCEPTED_WARNINGS: &[(&str, &str, &str)] = &[
    (
        "allium.externalEntity.missingSourceHint",
        "'Device'",
        "the device is the host's; no other spec governs it",
    ),
    (NEVER_ASSIGNED, "'wanted'", "a segment begins wanted, before any rule here"),
    (NEVER_ASSIGNED, "'writing'", "a group begins writing, when the device takes it"),
    (NEVER_ASSIGNED, "'recovering'", "a replica's logs begin recovering, at its start"),
    (NEVER_ASSIGNED, "'asked'", "an update begins asked, by the engine"),
    (NEVER_ASSIGNED, "'unwritten'", "a format begins unwritten, on an empty directory"),
    (NEVER_ASSIGNED, "'unknown'", "a slot begins unknown, when a start looks for it"),
    (UNREFERENCED, "'LogSlot'", "triggers carry it; the analysis does not follow their arguments"),
    (UNREFERENCED, "'Format'", "triggers carry it; the analysis does not follow their arguments"),
    (UNREFERENCED, "'Ledger'", "triggers carry it; the analysis does not follow their arguments"),
    (UNREFERENCED, "'SuperblockUpdate'", "triggers carry it; the analysis does not follow their arguments"),
    ("allium.surface.unusedBinding", "'device'", "the surface says only who answers"),
];

const NEVER_ASSIGNED: &str = "allium.status.unreachableValue";
const UNREFERENCED: &str = "allium.entity.unused";
