//! Whoever asks by HTTP for more than the configuration allows is told so, and the others are served.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use crate::engine::{DEADLINE, Engine};
use crate::faces::{Answer, adjust_body, ask, ask_until, ask_with, post, read_answer};
use crate::load::adjust;
use crate::site::{Settings, Site};

/// A replica with this section.
fn limited(http: &str) -> Site {
    Site::formatted(Settings { http: http.to_owned(), ..Settings::small() })
}

fn connect(engine: &Engine) -> TcpStream {
    let stream = TcpStream::connect(engine.http()).expect("connecting");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    stream
}

fn send(engine: &Engine, text: &str) -> Answer {
    let mut stream = connect(engine);
    stream.write_all(text.as_bytes()).expect("asking");
    read_answer(&mut stream)
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let site = limited("body_bytes_max = 2000");
    let engine = site.start();
    let long = post(&engine, None, &json!((0..100).map(|item| adjust_body(item, 1)).collect::<Vec<_>>()));
    assert_eq!(long.status, 413, "{}", long.body);
    assert!(
        long.json()["detail"].as_str().is_some_and(|detail| detail.contains("body_bytes_max")),
        "{}",
        long.body
    );
    assert_eq!(post(&engine, None, &adjust_body(1, 1)).status, 200);
    engine.stop();
}

/// The configuration says what is too long, and no library.
#[test]
fn a_body_within_the_limit_is_taken_however_long() {
    let site = limited("body_bytes_max = \"8MiB\"");
    let engine = site.start();
    let body = format!("{}{}", " ".repeat(7 << 20), adjust_body(1, 1));
    let answer = ask_with(&engine, "POST", "/v1/events", "content-type: application/json\r\n", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    engine.stop();
}

#[test]
fn a_head_with_too_much_in_it_is_refused() {
    let site = limited("headers_max = 10\nhead_bytes_max = 8192");
    let engine = site.start();
    let many: String = (0..20).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(10_000));
    for headers in [many, long] {
        let answer = send(&engine, &format!("GET /healthz HTTP/1.1\r\nhost: assize\r\n{headers}\r\n"));
        assert_eq!(answer.status, 431, "{}", answer.head);
    }
    assert_eq!(ask(&engine, "GET", "/healthz").status, 200);
    engine.stop();
}

#[test]
fn one_connection_too_many_is_turned_away_until_another_ends() {
    let site = limited("connections_max = 2");
    let engine = site.start();
    let open: Vec<TcpStream> = (0..2).map(|_| held_open(&engine)).collect();
    let turned_away = read_answer(&mut connect(&engine));
    assert_eq!(turned_away.status, 503, "{}", turned_away.body);
    let detail = turned_away.json()["detail"].clone();
    assert!(detail.as_str().is_some_and(|detail| detail.contains("connections_max")), "{detail}");
    drop(open);
    // Their ends are seen in a while.
    assert_eq!(ask_until(&engine, "/healthz", |answer| answer.status == 200).body, "ok\n");
    engine.stop();
}

/// A connection that was answered, so that it is known to be counted, and goes on.
fn held_open(engine: &Engine) -> TcpStream {
    let mut stream = connect(engine);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: assize\r\n\r\n").expect("asking");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
    stream
}

#[test]
fn whoever_is_too_slow_is_not_waited_for() {
    let site = limited("request_timeout = \"300ms\"");
    let engine = site.start();
    let body = "POST /v1/events HTTP/1.1\r\nhost: assize\r\ncontent-type: application/json\r\nconnection: close\r\n\
                content-length: 100\r\n\r\n{";
    let slow = send(&engine, body);
    assert_eq!(slow.status, 408, "{}", slow.body);
    // Half a head, and a connection that was used once: both are closed.
    let mut half = connect(&engine);
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost: ass").expect("asking");
    for mut stream in [half, held_open(&engine)] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it is closed");
    }
    engine.stop();
}

/// A subscriber that reads nothing keeps its place for no longer than any other.
#[test]
fn whoever_takes_nothing_of_an_answer_is_not_waited_for() {
    let site = limited("request_timeout = \"300ms\"\nconnections_max = 1");
    let engine = site.start();
    let events: Vec<_> = (0..2_000).map(|item| adjust(item, 1)).collect();
    engine.client().submit(&events).expect("answers");
    let mut deaf = connect(&engine);
    // Less than there is to be read.
    set_socket_recv_buffer_size(&deaf, 4_096).expect("a small buffer");
    deaf.write_all(b"GET /v1/outcomes?from=oldest HTTP/1.1\r\nhost: assize\r\n\r\n").expect("asking");
    // Its place was taken when the first bytes come.
    deaf.read_exact(&mut [0; 12]).expect("the beginning of an answer");
    assert_eq!(ask_until(&engine, "/healthz", |answer| answer.status == 200).body, "ok\n");
    engine.stop();
}

#[test]
fn more_events_than_may_wait_are_refused_as_a_whole() {
    let site = limited("waiting_max = 3");
    let engine = site.start();
    let four = json!((0..4).map(|item| adjust_body(item, 1)).collect::<Vec<_>>());
    let refused = post(&engine, None, &four);
    assert_eq!(refused.status, 503, "{}", refused.body);
    let detail = refused.json()["detail"].clone();
    assert!(detail.as_str().is_some_and(|detail| detail.contains("waiting_max")), "{detail}");
    let three = json!((0..3).map(|item| adjust_body(item, 1)).collect::<Vec<_>>());
    for _ in 0..3 {
        let answer = post(&engine, None, &three);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    engine.stop();
}
