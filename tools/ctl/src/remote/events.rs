//! `assizectl submit`: events as `POST /v1/events` takes them, in pieces that it takes.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;

use serde_json::{Value, json};

use super::{Cluster, shown};
use crate::cli::SubmitCommand;
use crate::exit::{Ended, Exit};
use crate::print::{Printer, utc};

/// An event, and the line on which it was given.
struct Given {
    event: Value,
    line: usize,
}

/// Whether all took effect is the exit code.
pub(crate) fn submit(command: &SubmitCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let (source, text) = read(&command.events)?;
    let mut events = parse(&source, &text)?;
    if let Some(key) = &command.key {
        let [Given { event, .. }] = &mut events[..] else {
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
    let texts: Vec<String> = events.iter().map(|given| given.event.to_string()).collect();
    let mut applied = true;
    for piece in pieces(&texts) {
        let body = match &texts[..] {
            [one] => one.clone(),
            _ => format!("[{}]", texts[piece.clone()].join(",")),
        };
        let answers = match cluster.post(path, body.as_bytes()) {
            Ok(Value::Array(answers)) => answers,
            Ok(answer) => vec![answer],
            Err(ended) => return Err(stopped(ended, &events, piece)),
        };
        for answer in &answers {
            // An accepted event has no status yet.
            applied &= answer["status"].is_null() || answer["status"] == "applied";
            printer.answer(answer, || text_of(answer))?;
        }
        // Whatever becomes of the next piece, these are known to be answered.
        printer.finish()?;
    }
    Ok(if applied { Exit::Success } else { Exit::No })
}

/// What goes in one request, in order: far less than a replica takes unless it is configured to take little.
fn pieces(texts: &[String]) -> Vec<Range<usize>> {
    let (mut pieces, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, text) in texts.iter().enumerate() {
        if at > begin && (bytes + text.len() > PIECE_BYTES || at - begin == PIECE_EVENTS) {
            pieces.push(begin..at);
            (begin, bytes) = (at, 0);
        }
        bytes += text.len();
    }
    pieces.push(begin..texts.len());
    pieces
}

/// A piece got no answers: the event that it is about is named as it was given, and what went before is told.
fn stopped(ended: Ended, events: &[Given], piece: Range<usize>) -> Ended {
    let ended = match ended {
        Ended::Problem { status, text, document } => {
            let text = with_line(&text, events, &piece).unwrap_or(text);
            Ended::Problem { status, text, document }
        }
        other => other,
    };
    if piece.len() == events.len() {
        return ended;
    }
    let of = |range: Range<usize>| match (events.get(range.start), events.get(range.end.wrapping_sub(1))) {
        (Some(first), Some(last)) => {
            format!("events {} to {} (lines {} to {})", range.start + 1, range.end, first.line, last.line)
        }
        _ => "no events".to_owned(),
    };
    let answered = match piece.start {
        0 => "nothing was answered before".to_owned(),
        start => format!("{} were answered", of(0..start)),
    };
    let done = format!(
        "{answered}; {} got no answers, and nothing after them was sent. Whatever has a key of its own may be sent again",
        of(piece)
    );
    Ended::Partly { done, why: Box::new(ended) }
}

/// `event 7: ...` counts within a request, from 0.
fn with_line(text: &str, events: &[Given], piece: &Range<usize>) -> Option<String> {
    let (head, rest) = text.split_once(": event ")?;
    let (number, detail) = rest.split_once(": ")?;
    let at = piece.start + number.parse::<usize>().ok()?;
    let line = events.get(at)?.line;
    Some(format!("{head}: event {} (line {line}): {detail}", at + 1))
}

/// What the argument says: the JSON itself, a file, or standard input; and what to call it.
fn read(argument: &str) -> Result<(String, String), Ended> {
    if argument.trim_start().starts_with(['{', '[']) {
        return Ok(("what is submitted".to_owned(), argument.to_owned()));
    }
    let mut text = String::new();
    match argument {
        "" => Err(Ended::Usage(
            "there is nothing to submit: accepted are JSON, a file's name, or - for standard input"
                .to_owned(),
        )),
        "-" => match io::stdin().read_to_string(&mut text) {
            Ok(_) => Ok(("standard input".to_owned(), text)),
            Err(error) => Err(Ended::Io("reading standard input".to_owned(), error)),
        },
        path => match fs::read_to_string(path) {
            Ok(text) => Ok((path.to_owned(), text)),
            Err(error) => Err(Ended::Usage(format!("reading {path}: {error}"))),
        },
    }
}

/// One event, an array of them, or one to a line.
fn parse(source: &str, text: &str) -> Result<Vec<Given>, Ended> {
    let mut events = Vec::new();
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let (mut counted, mut line) = (0, 1);
    loop {
        let rest = &text[documents.byte_offset()..];
        let begin = text.len() - rest.trim_start().len();
        line += text[counted..begin].matches('\n').count();
        counted = begin;
        let document = match documents.next() {
            None => break,
            Some(Ok(document)) => document,
            Some(Err(error)) => {
                let why = format!("{source}, line {}: this is no JSON: {error}", error.line().max(line));
                return Err(Ended::Usage(why));
            }
        };
        let several = match document {
            Value::Array(several) => several,
            one => vec![one],
        };
        for event in several {
            if !event.is_object() {
                let why = format!("{source}, line {line}: an event is an object; found {event}");
                return Err(Ended::Usage(why));
            }
            events.push(Given { event, line });
        }
    }
    if events.is_empty() {
        return Err(Ended::Usage(format!("{source}: there is no event in it")));
    }
    Ok(events)
}

fn text_of(answer: &Value) -> String {
    let key = shown(&answer["key"]);
    if answer["status"].is_null() {
        let until = answer["deadline_ns"].as_u64().map_or_else(|| "?".to_owned(), |ns| utc(ns / 1_000_000));
        return format!("{key}  accepted; its outcome comes under the same key until {until}");
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

/// A replica takes 4 MiB unless `[http] body_bytes_max` says less, and JSON of half of that.
const PIECE_BYTES: usize = 256 << 10;

/// All of them are waited for at once: `[http] waiting_max` is 16384 unless it is configured.
const PIECE_EVENTS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Given>, Ended> {
        parse("f.json", text)
    }

    #[test]
    fn events_come_alone_in_an_array_or_in_lines() {
        let lines = |text: &str| -> Vec<usize> {
            parsed(text).expect("events").iter().map(|given| given.line).collect()
        };
        assert_eq!(lines("{\"a\": 1}"), [1]);
        assert_eq!(lines("[{}, {}]"), [1, 1]);
        assert_eq!(lines("{}\n{}\n\n[{}]\n"), [1, 2, 4]);
        assert_eq!(lines("\n{\n}\n{}"), [2, 4]);
        for (text, line) in [("7", 1), ("{", 1), ("{}\n[1]", 2), ("{}\n\n{]", 3), ("{}\n{\n\"a\": ü}", 3)] {
            let Err(Ended::Usage(said)) = parsed(text) else { panic!("{text:?}") };
            assert!(said.starts_with(&format!("f.json, line {line}: ")), "{text:?}: {said}");
        }
        for text in ["", "[]"] {
            assert!(matches!(parsed(text), Err(Ended::Usage(_))), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_a_wrong_command_line() {
        for (argument, words) in [("", "accepted are JSON"), ("/nowhere/at all", "reading /nowhere/at all: ")]
        {
            let Err(Ended::Usage(said)) = read(argument) else { panic!("{argument:?}") };
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn many_go_in_pieces_in_their_order() {
        let texts = |events: usize, bytes: usize| vec!["x".repeat(bytes); events];
        assert_eq!(pieces(&texts(1, PIECE_BYTES + 1)), [Range { start: 0, end: 1 }]);
        assert_eq!(pieces(&texts(2500, 10)), [0..1000, 1000..2000, 2000..2500]);
        assert_eq!(pieces(&texts(3, PIECE_BYTES / 2)), [0..2, 2..3]);
    }

    // PieceRefused, PieceAnswered, SubmissionDone: nothing is sent behind a piece without answers.
    #[test]
    fn a_piece_that_is_refused_is_told_with_what_went_before() {
        let events: Vec<Given> = (1..=30).map(|line| Given { event: json!({}), line: 2 * line }).collect();
        let problem = || {
            let text = "Malformed request: event 3: no domain stocks".to_owned();
            Ended::Problem { status: 400, text, document: Value::Null }
        };
        let ended = stopped(problem(), &events, 10..20);
        assert_eq!(ended.exit(), Exit::Usage);
        assert_eq!(
            ended.to_string(),
            "Malformed request: event 14 (line 28): no domain stocks\n\
             events 1 to 10 (lines 2 to 20) were answered; events 11 to 20 (lines 22 to 40) got no answers, and nothing after \
             them was sent. Whatever has a key of its own may be sent again"
        );
        let all = stopped(problem(), &events, 0..30).to_string();
        assert_eq!(all, "Malformed request: event 4 (line 8): no domain stocks");
    }

    #[test]
    fn an_answer_is_a_line() {
        let applied = json!({"key": "k", "status": "applied", "duplicate": false, "slot": 3, "response": {"quantity": 5}});
        assert_eq!(text_of(&applied), "k  applied in slot 3  {\"quantity\":5}");
        let rejected = json!({"key": "k", "status": "rejected", "duplicate": true, "slot": 3, "reason": 2,
            "reason_text": "too little", "response": null});
        assert_eq!(text_of(&rejected), "k  rejected before in slot 3: too little (reason 2)");
        let accepted = json!({"key": "k", "deadline_ns": 1_795_786_486_506_360_621_u64});
        let told = "k  accepted; its outcome comes under the same key until 2026-11-27T13:34:46Z";
        assert_eq!(text_of(&accepted), told);
    }
}
