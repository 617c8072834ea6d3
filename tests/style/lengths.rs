//! How wide lines, and how long functions and files may be.

use crate::allowances::{LONG_FILES, LONG_FUNCTIONS};
use crate::tree::Source;
use crate::{report, tree};

/// rustfmt keeps code within 110, but leaves comments alone, and lines whose strings or tables it cannot break.
const COMMENT_CHARACTERS_MAX: usize = 120;
const CODE_CHARACTERS_MAX: usize = 140;
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 100;
/// How far a file may shrink below its allowance before the allowance must follow.
const SLACK_LINES: usize = 30;

#[test]
fn lines_are_not_too_wide() {
    let mut findings = Vec::new();
    for source in tree::files(".rs") {
        for (number, line) in source.text.lines().enumerate() {
            let characters = line.chars().count();
            let accepted = match line.trim_start().starts_with("//") {
                true => COMMENT_CHARACTERS_MAX,
                false => CODE_CHARACTERS_MAX,
            };
            if characters > accepted {
                findings.push(format!(
                    "{}:{}: {characters} characters; accepted are {accepted}",
                    source.path,
                    number + 1
                ));
            }
        }
    }
    report(findings);
}

#[test]
fn files_are_short_or_on_a_list_that_only_shrinks() {
    let lengths: Vec<_> =
        tree::files(".rs").iter().map(|source| (source.path.clone(), source.text.lines().count())).collect();
    report(ratchet(&lengths, LONG_FILES, FILE_LINES_MAX, "LONG_FILES"));
}

#[test]
fn functions_are_short_or_on_a_list_that_only_shrinks() {
    let lengths: Vec<_> = tree::files(".rs").iter().flat_map(functions).collect();
    report(ratchet(&lengths, LONG_FUNCTIONS, FUNCTION_LINES_MAX, "LONG_FUNCTIONS"));
}

/// Compares lengths with the limit, or with the allowance of those that have one.
fn ratchet(
    lengths: &[(String, usize)],
    allowances: &[(&str, usize)],
    limit: usize,
    list: &str,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, lines) in lengths {
        let allowed =
            allowances.iter().find(|(known, _)| known == name).map_or(limit, |(_, allowed)| *allowed);
        if *lines > allowed {
            findings.push(format!("{name}: {lines} lines; accepted are {allowed}: split it by concept"));
        }
    }
    for (name, allowed) in allowances {
        let lines = lengths.iter().filter(|(known, _)| known == name).map(|(_, lines)| *lines).max();
        match lines {
            None => findings.push(format!("{name}: gone; remove it from {list}")),
            Some(lines) if lines <= limit => {
                findings.push(format!("{name}: {lines} lines; remove it from {list}"))
            }
            Some(lines) if lines + SLACK_LINES < *allowed => {
                findings.push(format!("{name}: {lines} lines; lower its {allowed} in {list}"));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Each function's `path::name` and its lines. rustfmt puts the closing brace under the first letter of the item.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<_> = source.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let one_line = line.ends_with('}') || line.ends_with(';');
        if let Some(length) = lines[start..].iter().position(|line| *line == close).filter(|_| !one_line) {
            found.push((format!("{}::{name}", source.path), length + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for modifier in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(modifier).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn functions_are_found_with_their_lengths() {
    let source = Source {
        path: "a.rs".into(),
        text:
            "impl A {\n    pub const fn b(\n        c: u8,\n    ) {\n        d();\n    }\n    fn e() {}\n}\n"
                .into(),
    };
    assert_eq!(functions(&source), [("a.rs::b".to_owned(), 5)]);
}
