//! The specs beside the components parse without diagnostics, and each of their rules is named by a test.

use std::collections::{BTreeMap, BTreeSet};

use allium_parser::ast::{BlockKind, Decl};
use allium_parser::diagnostic::Severity;

const SPECS: [(&str, &str); 6] = [
    ("checkpoint", include_str!("../src/checkpoint/checkpoint.allium")),
    ("warden", include_str!("../src/warden/warden.allium")),
    ("lending", include_str!("../src/exchange/lending.allium")),
    ("arbiter", include_str!("../src/arbiter/arbiter.allium")),
    ("clerk", include_str!("../src/clerk/clerk.allium")),
    ("partitioner", include_str!("../src/partitioner/partitioner.allium")),
];

/// Where tests name rules: each in the comment above the test that fails without it.
const TESTS: [(&str, &str); 6] = [
    ("warden/tests.rs", include_str!("../src/warden/tests.rs")),
    ("partitioner/tests.rs", include_str!("../src/partitioner/tests.rs")),
    ("clerk/tests.rs", include_str!("../src/clerk/tests.rs")),
    ("lending.rs", include_str!("shard/lending.rs")),
    ("requests.rs", include_str!("shard/requests.rs")),
    ("serial.rs", include_str!("shard/serial.rs")),
];

#[test]
fn the_specs_parse_without_diagnostics() {
    for (name, spec) in SPECS {
        let parsed = allium_parser::parse(spec);
        assert!(parsed.diagnostics.is_empty(), "{name}: {:?}", parsed.diagnostics);
        assert_eq!(parsed.module.version, Some(3), "{name}");
        let found = allium_parser::analyze(&parsed.module, spec);
        for diagnostic in found {
            let accepted = ACCEPTED_WARNINGS.iter().any(|(known, _)| diagnostic.code == Some(known));
            assert!(
                diagnostic.severity == Severity::Info
                    || (diagnostic.severity == Severity::Warning && accepted),
                "{name}: {diagnostic:?}"
            );
        }
    }
}

#[test]
fn every_rule_and_invariant_is_named_by_a_test() {
    let mut unnamed = BTreeMap::new();
    for (spec, text) in SPECS {
        for declaration in &allium_parser::parse(text).module.declarations {
            let name = match declaration {
                Decl::Block(block) if block.kind == BlockKind::Rule => {
                    block.name.as_ref().expect("a rule has a name")
                }
                Decl::Invariant(invariant) => &invariant.name,
                _ => continue,
            };
            let words = |text: &'static str| {
                let words = text.split(|c: char| !c.is_alphanumeric());
                words.collect::<BTreeSet<_>>()
            };
            if !TESTS.iter().any(|(_, test)| words(test).contains(name.name.as_str())) {
                unnamed.insert(name.name.clone(), spec);
            }
        }
    }
    assert!(unnamed.is_empty(), "no test names {unnamed:?}");
}

/// Codes of warnings that stay, each with its reason.
const ACCEPTED_WARNINGS: &[(&str, &str)] = &[
    (
        "allium.externalEntity.missingSourceHint",
        "what stands outside has no spec to import: another component's, or a plug-in author's",
    ),
    (
        "allium.entity.unused",
        "rules get their instances as parameters of a trigger, which the analysis does not count as a reference",
    ),
    (
        "allium.status.unreachableValue",
        "the first status of an entity is given by what is outside: the log, or another replica",
    ),
    ("allium.status.noExit", "the exit is taken by a rule that names several statuses at once"),
];
