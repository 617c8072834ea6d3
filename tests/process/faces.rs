//! What a replica says of itself by HTTP, and that it says it while it works.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;

use crate::engine::{DEADLINE, Engine};
use crate::load::adjust;
use crate::site::{Settings, Site};

/// An answer: its status, its head in small letters, and its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn ask(engine: &Engine, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(engine.http()).expect("connecting");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: assize\r\nconnection: close\r\n\r\n").expect("asking");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// Asks until it is so: what a core writes comes at the end of its turn.
fn ask_until(engine: &Engine, path: &str, so: impl Fn(&Answer) -> bool) -> Answer {
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = ask(engine, "GET", path);
        if so(&answer) {
            return answer;
        }
        assert!(Instant::now() < until, "it never came; the last answer was {}", answer.body);
    }
}

#[test]
fn what_was_done_shows_in_the_status_and_in_the_metrics() {
    let site = Site::formatted(Settings { cores: vec![vec![0], vec![1]], ..Settings::small() });
    let engine = site.start();
    ask_until(&engine, "/readyz", |answer| answer.status == 200);
    assert_eq!(ask(&engine, "GET", "/healthz").status, 200);
    let mut client = engine.client();
    let events: Vec<_> = (1..=40).map(|account| adjust(account, 1)).collect();
    client.submit(&events).expect("answers");
    client.submit(&events[..3]).expect("answers");
    let sum = |status: &Value, field: &str| -> u64 {
        status["shards"].as_array().expect("shards").iter().filter_map(|shard| shard[field].as_u64()).sum()
    };
    let answer = ask_until(&engine, "/v1/status", |answer| sum(&answer.json(), "events") == 43);
    let status = answer.json();
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert_eq!(
        (sum(&status, "entities"), status["leads"].as_bool(), status["replica"].as_u64()),
        (40, Some(true), Some(0))
    );
    assert!(status["slots"]["published"].as_u64() >= Some(2), "{status}");
    let metrics = ask_until(&engine, "/metrics", |answer| {
        answer.body.contains("assize_stage_seconds_count{stage=\"accepted_to_published\"} 43\n")
    });
    assert!(metrics.head.contains("application/openmetrics-text"), "{}", metrics.head);
    for line in ["assize_ready 1\n", "assize_leads 1\n", "assize_connections{core=\"0\"} ", "# EOF\n"] {
        assert!(metrics.body.contains(line), "{line} in {}", metrics.body);
    }
    engine.stop();
}

#[test]
fn what_is_not_there_is_a_problem_document() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    for (method, path, status) in [("GET", "/v2/status", 404), ("DELETE", "/v1/status", 405)] {
        let answer = ask(&engine, method, path);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        assert_eq!(answer.json()["status"].as_u64(), Some(status.into()));
        assert!(
            answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(path)),
            "{}",
            answer.body
        );
    }
    engine.stop();
}
