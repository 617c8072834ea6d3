//! `assizectl tail`: the published outcomes as they come, each once.

use std::io::{BufRead, BufReader, ErrorKind};

use assize_tools::aside;
use serde_json::Value;

use super::{Cluster, HEARD_WITHIN, in_path, problem_of, shown};
use crate::cli::TailCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// Follows a replica; when it goes, or says nothing any more, the next one from the same place on.
pub(crate) fn tail(command: &TailCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let cluster = Cluster::at(&command.at)?;
    let status = cluster.document("/v1/status")?;
    if let Some(ahead) = ahead(&command.from, &status, command.no_follow) {
        aside::say(format_args!("assizectl: {ahead}"));
    }
    let (mut from, mut left) = (command.from.clone(), command.limit);
    loop {
        if left == Some(0) {
            return Ok(Exit::Success);
        }
        let limit = left.map_or(String::new(), |left| format!("&limit={left}"));
        let follow = !command.no_follow;
        let path = format!("/v1/outcomes?from={}&follow={follow}{limit}", in_path(&from));
        let mut lines = BufReader::new(cluster.stream(&path)?.into_body().into_reader());
        let (mut reader, mut line) = (Reader::default(), String::new());
        let broken = loop {
            line.clear();
            match lines.read_line(&mut line) {
                Ok(0) if command.no_follow => return Ok(Exit::Success),
                // A line that is cut off was not told.
                Ok(_) if !line.ends_with('\n') => break "the connection was closed".to_owned(),
                Ok(_) => match reader.take(line.trim_end())? {
                    Came::Nothing => {}
                    Came::Place(at) => from = at,
                    Came::Outcome(outcome) => {
                        printer.answer(&outcome, || text(&outcome))?;
                        // Whoever follows wants to see it now.
                        printer.finish()?;
                        if let Some(at) = outcome["position"].as_str() {
                            from = at.to_owned();
                        }
                        left = left.map(|left| left - 1);
                    }
                },
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    break format!("nothing was heard for {} s", HEARD_WITHIN.as_secs());
                }
                Err(error) => break error.to_string(),
            }
        };
        if left != Some(0) {
            // Where that came from, nothing more comes for now: the others are asked first.
            let left = cluster.answered().to_owned();
            cluster.turn();
            aside::say(format_args!("assizectl: {}", left_for(&left, &broken, cluster.answered(), &from)));
        }
    }
}

/// Which replica is left and why, and which one is asked next, in words.
fn left_for(left: &str, why: &str, next: &str, from: &str) -> String {
    let next = if next == left { "it is asked again".to_owned() } else { format!("{next} is asked next") };
    format!("{left}: {why}; {next}, behind {from}")
}

/// That there is nothing behind this place yet, in words, if it is so.
fn ahead(from: &str, status: &Value, no_follow: bool) -> Option<String> {
    let slot: u64 = from.split('.').next()?.parse().ok()?;
    let published = status["slots"]["published"].as_u64().filter(|published| slot > *published)?;
    let then = if no_follow { "there is nothing behind it" } else { "waiting" };
    Some(format!("slot {slot} is not published yet, the last is {published}; {then}"))
}

/// What a line of the stream comes to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    /// All that lies before it was told.
    Place(String),
    Outcome(Value),
}

/// Reads server-sent events, as far as a replica sends them: `id`, `event`, `data` of one line, and comments.
#[derive(Default)]
struct Reader {
    place: Option<String>,
    is_problem: bool,
}

impl Reader {
    fn take(&mut self, line: &str) -> Result<Came, Ended> {
        match line.split_once(": ") {
            Some(("id", place)) => self.place = Some(place.to_owned()),
            Some(("event", kind)) => self.is_problem = kind == "problem",
            Some(("data", json)) => {
                let value: Value = serde_json::from_str(json).map_err(|error| no_outcome(&error, json))?;
                if self.is_problem {
                    let status = value["status"].as_u64().and_then(|status| status.try_into().ok());
                    return Err(problem_of(status.unwrap_or(410), value));
                }
                return Ok(Came::Outcome(value));
            }
            // The end of an event: now its id counts.
            None if line.is_empty() => return Ok(self.place.take().map_or(Came::Nothing, Came::Place)),
            _ => {}
        }
        Ok(Came::Nothing)
    }
}

fn no_outcome(error: &serde_json::Error, line: &str) -> Ended {
    let text = format!("no outcome: {error}: {line}");
    Ended::Problem { status: 502, text, document: Value::Null }
}

fn text(outcome: &Value) -> String {
    let [position, key, domain, status] =
        ["position", "key", "domain", "status"].map(|of| shown(&outcome[of]));
    let mut text = format!("{position}  {key}  {domain}  {status}");
    if let Some(original) = outcome.get("original") {
        text.push_str(&format!(" of {} ({})", shown(original), shown(&outcome["first_status"])));
    }
    match (outcome.get("reason"), outcome.get("reason_text")) {
        (Some(reason), Some(words)) => text.push_str(&format!(", {} (reason {reason})", shown(words))),
        (Some(reason), None) => text.push_str(&format!(", reason {reason}")),
        (None, _) => {}
    }
    let response = Some(&outcome["response"]).filter(|response| !response.is_null());
    // Where its domain has no notation, the bytes are shown.
    let bytes = outcome["response_bytes"].as_str().filter(|bytes| !bytes.is_empty());
    if let Some(response) = response.map(Value::to_string).or_else(|| bytes.map(str::to_owned)) {
        text.push_str(&format!("  {response}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_is_a_line_and_a_problem_ends_it() {
        let mut reader = Reader::default();
        let mut take = |line: &str| reader.take(line);
        // Where it begins, and that nothing is new.
        for line in [": nothing new", "id: 1"] {
            assert_eq!(take(line).expect("nothing"), Came::Nothing);
        }
        assert_eq!(take("").expect("a place"), Came::Place("1".to_owned()));
        let duplicate = json!({"position": "2.0.0", "key": "k", "domain": "bank", "status": "duplicate",
            "first_status": "applied", "original": "1.0.0", "response": null, "response_bytes": ""});
        assert_eq!(take("id: 2.0.0").expect("nothing"), Came::Nothing);
        let came = take(&format!("data: {duplicate}")).expect("an outcome");
        assert_eq!(came, Came::Outcome(duplicate.clone()));
        assert_eq!(take("").expect("a place"), Came::Place("2.0.0".to_owned()));
        assert_eq!(text(&duplicate), "2.0.0  k  bank  duplicate of 1.0.0 (applied)");
        let full = json!({"position": "3.0.0", "key": "k", "domain": "7", "status": "rejected", "reason": 7,
            "response": null, "response_bytes": "AA=="});
        assert_eq!(text(&full), "3.0.0  k  7  rejected, reason 7  AA==");
        let invalid = json!({"position": "4.0.0", "key": "k", "status": "invalid", "reason": 65000,
            "reason_text": "it cannot be read", "response": null, "response_bytes": ""});
        assert_eq!(text(&invalid), "4.0.0  k  -  invalid, it cannot be read (reason 65000)");
        let applied = json!({"position": "5.0.0", "key": "k", "domain": "bank", "status": "applied",
            "response": {"balance": 5}, "response_bytes": "BQ=="});
        assert_eq!(text(&applied), r#"5.0.0  k  bank  applied  {"balance":5}"#);
        assert!(take("data: {").is_err());
        assert_eq!(take("event: problem").expect("nothing"), Came::Nothing);
        let gone = take(r#"data: {"status": 410, "title": "Outcomes gone", "detail": "d"}"#);
        assert_eq!(gone.expect_err("a problem").exit(), Exit::No);
    }

    #[test]
    fn who_is_left_and_who_is_next_is_told_by_name() {
        let told = left_for("a:1", "the connection was closed", "b:1", "7.0.2");
        assert_eq!(told, "a:1: the connection was closed; b:1 is asked next, behind 7.0.2");
        let told = left_for("a:1", "nothing was heard for 45 s", "a:1", "oldest");
        assert_eq!(told, "a:1: nothing was heard for 45 s; it is asked again, behind oldest");
    }

    #[test]
    fn a_place_that_is_not_there_yet_is_told_of() {
        let status = json!({"slots": {"published": 7}});
        let waiting = "slot 8 is not published yet, the last is 7; waiting";
        assert_eq!(ahead("8", &status, false).as_deref(), Some(waiting));
        assert!(ahead("8.0.1", &status, true).is_some_and(|told| told.ends_with("nothing behind it")));
        for from in ["7", "7.0.3", "oldest", "now", "x"] {
            assert_eq!(ahead(from, &status, false), None, "{from}");
        }
    }
}
