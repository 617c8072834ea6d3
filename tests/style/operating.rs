//! What the engine says to an operator is in the operator's guide, with what to do, and the guide quotes nothing that
//! the engine does not say.

use std::fs;

use crate::{report, tree};

const GUIDE: &str = "engine/OPERATING.md";

/// Where what is said is put into words, beside the messages of the log.
const WORDED: [&str; 5] = [
    "engine/src/boot/error.rs",
    "engine/setup/src/format.rs",
    "engine/src/reactor/alarms.rs",
    "engine/consensus/src/effect.rs",
    "engine/node/src/rejoin.rs",
];

/// Where a text has so many words it is a message, and not a part of one.
const MESSAGE_WORDS: usize = 12;

#[test]
fn every_message_is_in_the_guide() {
    let guide =
        fs::read_to_string(tree::top().join(GUIDE)).unwrap_or_else(|error| panic!("{GUIDE}: {error}"));
    let quoted = quoted(&guide);
    let sources: Vec<_> = tree::files(".rs")
        .into_iter()
        .filter(|source| ["engine/", "wal/"].iter().any(|part| source.path.starts_with(part)))
        .map(|source| (source.path, spoken(&source.text)))
        .collect();
    let mut findings = Vec::new();
    for text in &quoted {
        let is_said =
            |(_, spoken): &(String, String)| literals(spoken).iter().any(|said| said.contains(text));
        if !sources.iter().any(is_said) {
            findings.push(format!("{GUIDE}: nothing says '{text}'"));
        }
    }
    for (path, spoken) in &sources {
        let worded = if WORDED.contains(&path.as_str()) { literals(spoken) } else { Vec::new() };
        let worded = worded.into_iter().filter(|said| said.split_whitespace().count() >= MESSAGE_WORDS);
        for said in worded.chain(logged(spoken)) {
            if !quoted.iter().any(|text| said.contains(text)) {
                findings.push(format!("{GUIDE}: say what to do about '{said}', of {path}"));
            }
        }
    }
    report(findings);
}

/// What stands in backticks in the first column of the tables that are headed *it says*.
fn quoted(guide: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in guide.lines() {
        match line.strip_prefix("| `") {
            _ if !line.starts_with('|') => inside = false,
            _ if line.starts_with("| it says |") => inside = true,
            Some(row) if inside => found.extend(row.split('`').next().map(str::to_owned)),
            _ => {}
        }
    }
    found
}

/// A source without comments, attributes and tests, and its broken texts in one piece.
fn spoken(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines =
        source.lines().filter(|line| !["//", "#["].iter().any(|begin| line.trim_start().starts_with(begin)));
    let mut joined = String::new();
    let mut goes_on = false;
    for line in lines {
        let line = if goes_on { line.trim_start() } else { line };
        goes_on = line.ends_with('\\');
        joined.push_str(line.trim_end_matches('\\'));
        joined.push_str(if goes_on { "" } else { "\n" });
    }
    joined
}

/// The texts in quotes.
fn literals(source: &str) -> Vec<String> {
    let plain = source.replace("\\\"", "'").replace("'\"'", "' '");
    plain.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The messages of warnings and errors that are more than what another text says.
fn logged(source: &str) -> Vec<String> {
    let calls = ["tracing::error!(", "tracing::warn!("];
    let begins = calls.iter().flat_map(|call| source.match_indices(call));
    let message = |(at, _): (usize, &str)| {
        let call = source[at..].split(");").next().unwrap_or_default();
        literals(&format!("{call}\"")).into_iter().rfind(|text| text.contains(' '))
    };
    begins.filter_map(message).collect()
}

#[test]
fn messages_are_found_in_sources() {
    let source = "// \"no\"\nf(\"a \\\n   b {c}\", '\"');\ntracing::warn!(%x, \"it is gone: d\");\n#[cfg(test)]\nmod tests { \"no\" }";
    let spoken = spoken(source);
    assert_eq!(literals(&spoken), ["a b {c}", "it is gone: d"]);
    assert_eq!(logged(&spoken), ["it is gone: d"]);
    assert_eq!(quoted("| it says | b |\n|---|---|\n| `x y` | z |\n\n| c |\n| `d` |\n"), ["x y"]);
}
