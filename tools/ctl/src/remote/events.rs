//! `assizectl submit`: events as `POST /v1/events` takes them.

use std::fs;
use std::io::{self, Read};

use serde_json::{Value, json};

use super::{Cluster, shown};
use crate::cli::SubmitCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// Whether all took effect is the exit code.
pub(crate) fn submit(command: &SubmitCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let mut events = parse(&read(&command.events)?)?;
    if let Some(key) = &command.key {
        let [event] = &mut events[..] else {
            let why =
                format!("--key is for one event, and there are {}: give each its own \"key\"", events.len());
            return Err(Ended::Usage(why));
        };
        if event.get("key").is_some_and(|known| known != key) {
            return Err(Ended::Usage("the event has another \"key\" than --key".to_owned()));
        }
        event["key"] = json!(key);
    }
    let cluster = Cluster::at(&command.at)?;
    let path = if command.accepted { "/v1/events?wait=accepted" } else { "/v1/events" };
    let alone = events.len() == 1;
    let body = if alone { events.remove(0) } else { Value::Array(events) };
    let answer = cluster.post(path, body.to_string().as_bytes())?;
    let answers = if alone { vec![answer] } else { answer.as_array().cloned().unwrap_or_default() };
    let mut applied = true;
    for answer in &answers {
        // An accepted event has no status yet.
        applied &= answer["status"].is_null() || answer["status"] == "applied";
        printer.answer(answer, || text(answer))?;
    }
    Ok(if applied { Exit::Success } else { Exit::No })
}

/// What the argument says: the JSON itself, a file, or standard input.
fn read(argument: &str) -> Result<String, Ended> {
    if argument.trim_start().starts_with(['{', '[']) {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = match argument {
        "-" => io::stdin().read_to_string(&mut text).map(|_| text),
        path => fs::read_to_string(path),
    };
    read.map_err(|error| Ended::Io(format!("reading {argument}"), error))
}

/// One event, an array of them, or one to a line.
fn parse(text: &str) -> Result<Vec<Value>, Ended> {
    let mut events = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let document =
            document.map_err(|error| Ended::Usage(format!("what is submitted is no JSON: {error}")))?;
        match document {
            Value::Array(several) => events.extend(several),
            one => events.push(one),
        }
    }
    if events.is_empty() {
        return Err(Ended::Usage("there is no event in what is submitted".to_owned()));
    }
    if let Some(other) = events.iter().find(|event| !event.is_object()) {
        return Err(Ended::Usage(format!("an event is an object; found {other}")));
    }
    Ok(events)
}

fn text(answer: &Value) -> String {
    let key = shown(&answer["key"]);
    if answer["status"].is_null() {
        return format!(
            "{key}  accepted; its outcome comes under the same key until {}",
            shown(&answer["deadline_ns"])
        );
    }
    let mut text = format!("{key}  {}", shown(&answer["status"]));
    if answer["duplicate"] == true {
        text.push_str(" before");
    }
    if !answer["slot"].is_null() {
        text.push_str(&format!(" in slot {}", shown(&answer["slot"])));
    }
    if let Some(reason) = answer.get("reason") {
        text.push_str(&format!(": {} (reason {reason})", shown(&answer["reason_text"])));
    }
    if !answer["response"].is_null() {
        text.push_str(&format!("  {}", answer["response"]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_alone_in_an_array_or_in_lines() {
        assert_eq!(parse("{\"a\": 1}").expect("one").len(), 1);
        assert_eq!(parse("[{}, {}]").expect("two").len(), 2);
        assert_eq!(parse("{}\n{}\n\n[{}]\n").expect("three").len(), 3);
        for text in ["", "[]", "7", "{", "[1]"] {
            assert!(matches!(parse(text), Err(Ended::Usage(_))), "{text:?}");
        }
    }

    #[test]
    fn an_answer_is_a_line() {
        let applied = json!({"key": "k", "status": "applied", "duplicate": false, "slot": 3, "response": {"quantity": 5}});
        assert_eq!(text(&applied), "k  applied in slot 3  {\"quantity\":5}");
        let rejected = json!({"key": "k", "status": "rejected", "duplicate": true, "slot": 3, "reason": 2,
            "reason_text": "too little", "response": null});
        assert_eq!(text(&rejected), "k  rejected before in slot 3: too little (reason 2)");
    }
}
