//! `assizectl tail`: the published outcomes as they come, each once.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use super::{Cluster, in_path, problem_of, read_document, shown, stream};
use crate::cli::TailCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// Follows a replica; when it goes, the next one from the same place on.
pub(crate) fn tail(command: &TailCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let mut cluster = Cluster::at(&command.at, None)?;
    let (mut from, mut left) = (command.from.clone(), command.limit);
    loop {
        if left == Some(0) {
            return Ok(Exit::Success);
        }
        let limit = left.map_or(String::new(), |left| format!("&limit={left}"));
        let follow = !command.no_follow;
        let path = format!("/v1/outcomes?from={}&follow={follow}{limit}", in_path(&from));
        let response = cluster.get(&path)?;
        if response.status().as_u16() >= 300 {
            return read_document(response).map(|_| Exit::Success);
        }
        let mut lines = BufReader::new(stream(response));
        let mut line = String::new();
        let broken = loop {
            line.clear();
            match lines.read_line(&mut line) {
                Ok(0) if command.no_follow => return Ok(Exit::Success),
                // A line that is cut off was not told.
                Ok(_) if !line.ends_with('\n') => break "the connection was closed".to_owned(),
                Ok(_) => {
                    if let Some(at) = tell(&line, printer)? {
                        from = at;
                        left = left.map(|left| left - 1);
                    }
                }
                Err(error) => break error.to_string(),
            }
        };
        if left != Some(0) {
            // Where that came from, nothing more comes for now: the others are asked first.
            cluster.addresses.rotate_left(1);
            eprintln!("assizectl: {broken}; going on behind {from}");
        }
    }
}

/// Tells one, and returns its position; nothing for a line that keeps the connection alive.
fn tell(line: &str, printer: &mut Printer<'_>) -> Result<Option<String>, Ended> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let parsed: Result<Value, _> = serde_json::from_str(line);
    let outcome = parsed.map_err(|error| {
        let text = format!("no outcome: {error}: {line}");
        Ended::Problem { status: 502, text, document: Value::Null }
    })?;
    if let Some(problem) = outcome.get("problem") {
        return Err(problem_of(410, problem));
    }
    printer.answer(&outcome, || text(&outcome))?;
    // Whoever follows wants to see it now.
    printer.finish()?;
    Ok(outcome["position"].as_str().map(str::to_owned))
}

fn text(outcome: &Value) -> String {
    let mut text =
        format!("{}  {}  {}", shown(&outcome["position"]), shown(&outcome["key"]), shown(&outcome["status"]));
    if let Some(original) = outcome.get("original") {
        text.push_str(&format!(" of {} ({})", shown(original), shown(&outcome["first_status"])));
    }
    if let Some(reason) = outcome.get("reason") {
        text.push_str(&format!(", reason {reason}"));
    }
    if outcome["response"].as_str().is_some_and(|response| !response.is_empty()) {
        text.push_str(&format!("  {}", shown(&outcome["response"])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_a_line_and_a_problem_ends_it() {
        let mut out = Vec::new();
        let duplicate = r#"{"position":"2.0.0","key":"k","status":"duplicate","first_status":"applied","original":"1.0.0","response":""}"#;
        {
            let mut printer = Printer::new(&mut out, false);
            assert_eq!(tell(duplicate, &mut printer).expect("an outcome").as_deref(), Some("2.0.0"));
            assert_eq!(tell("\n", &mut printer).expect("nothing"), None);
            let gone = tell(r#"{"problem": {"title": "Outcomes gone", "detail": "d"}}"#, &mut printer);
            assert_eq!(gone.expect_err("a problem").exit(), Exit::No);
            assert!(tell("{", &mut printer).is_err());
        }
        assert_eq!(String::from_utf8(out).expect("text"), "2.0.0  k  duplicate of 1.0.0 (applied)\n");
    }
}
