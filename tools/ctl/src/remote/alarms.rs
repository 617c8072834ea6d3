//! What an operator was told by a replica, on lines that a terminal takes.

use serde_json::Value;

use crate::print::utc;

/// An alarm: when, and what, in lines.
pub(super) fn shown(alarm: &Value) -> String {
    let at = alarm["at_ms"].as_u64().map_or_else(|| "?".to_owned(), utc);
    let text = alarm["text"].as_str().unwrap_or_default();
    format!("{at}  {}", wrapped(&with_difference(text)))
}

/// `found` and what was `expected`, with only those members that differ.
fn with_difference(text: &str) -> String {
    let split = || {
        let (head, rest) = text.split_once(": expected ")?;
        let (expected, found) = rest.split_once(", found ")?;
        let (expected, found) = (members(expected)?, members(found)?);
        (expected.len() == found.len() && expected != found).then_some((head, expected, found))
    };
    let Some((head, expected, found)) = split() else { return text.to_owned() };
    let differing = expected.iter().zip(&found).filter(|(expected, found)| expected != found);
    let of = |side: Vec<&str>| side.join(", ");
    let (expected, found) = differing.map(|(expected, found)| (*expected, *found)).unzip();
    format!("{head}: expected {}, found {}", of(expected), of(found))
}

/// The members of `status (first status, reason 0, first at slot 0 index 0, response 0x)`, nothing of another text.
fn members(outcome: &str) -> Option<Vec<&str>> {
    let (status, rest) = outcome.split_once(" (")?;
    let rest = rest.strip_suffix(')')?;
    Some([status].into_iter().chain(rest.split(", ")).collect())
}

/// On lines of which the later ones are set in.
fn wrapped(text: &str) -> String {
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > LINE_CHARS {
            out.push_str("\n    ");
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out
}

const LINE_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_difference_the_members_that_differ_are_told() {
        let text = "replica 2 differs from replica 0 first in slot 7, shard 0 (core 0 here), event 3: key 9, its outcome: expected \
            applied (applied, reason 0, first at slot 7 index 3, response 0x64), found applied (applied, reason 1, first at slot 7 \
            index 3, response 0x64)";
        let shown = shown(&json!({"at_ms": 0, "text": text}));
        let expected = "1970-01-01T00:00:00Z  replica 2 differs from replica 0 first in slot 7, shard 0 (core 0 here), event 3: key \
            9, its outcome:\n    expected reason 0, found reason 1";
        assert_eq!(shown.replace("\n    ", " "), expected.replace("\n    ", " "));
        assert!(shown.lines().all(|line| line.len() <= LINE_CHARS + 24), "{shown}");
        for other in ["a: expected 0x01, found absent", "expected", "x: expected a (b), found a (b, c)"] {
            assert_eq!(with_difference(other), other);
        }
    }
}
