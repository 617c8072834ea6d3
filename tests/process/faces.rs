//! What a replica says of itself by HTTP, and that it says it while it works.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use assize_domain::Notation;
use assize_inventory::{INVENTORY, InventoryDomain, ItemState, VERSION};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::engine::{DEADLINE, Engine};
use crate::load::{adjust, item_of, quantities_of};
use crate::site::{Settings, Site};

/// An answer: its status, its head in small letters, and its body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Its body.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn ask(engine: &Engine, method: &str, path: &str) -> Answer {
    ask_with(engine, method, path, "", "")
}

pub fn ask_with(engine: &Engine, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(engine.http()).expect("connecting");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: assize\r\nconnection: close\r\n{headers}");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").expect("asking");
    read_answer(&mut stream)
}

/// What comes until the other side closes.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// Asks until it is so: what a core writes comes at the end of its turn.
pub fn ask_until(engine: &Engine, path: &str, so: impl Fn(&Answer) -> bool) -> Answer {
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
    let answer = ask(&engine, "GET", "/assets/%FF");
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    engine.stop();
}

pub fn post(engine: &Engine, key: Option<&str>, body: &Value) -> Answer {
    let key = key.map_or_else(String::new, |key| format!("idempotency-key: \"{key}\"\r\n"));
    let headers = format!("{key}content-type: application/json\r\n");
    ask_with(engine, "POST", "/v1/events", &headers, &body.to_string())
}

/// Adds `delta` to the quantity of an item.
pub fn adjust_body(item: u64, delta: i64) -> Value {
    let payload = STANDARD.encode(adjust(item, delta).payload);
    json!({ "domain": INVENTORY.0, "version": VERSION, "payload": payload })
}

/// W2: what is sent again under its key takes effect once, and gets the first outcome.
#[test]
fn events_that_come_by_http_take_effect_once_under_their_keys() {
    let site = Site::formatted(Settings { cores: vec![vec![0], vec![1]], ..Settings::small() });
    let engine = site.start();
    ask_until(&engine, "/v1/status", |answer| answer.json()["leads"] == true);
    let first = post(&engine, Some("order 7"), &adjust_body(1, 5));
    assert_eq!(first.status, 200, "{}", first.body);
    let (first, again) = (first.json(), post(&engine, Some("order 7"), &adjust_body(1, 5)).json());
    assert_eq!((first["status"].as_str(), first["duplicate"].as_bool()), (Some("applied"), Some(false)));
    assert_eq!(again["duplicate"].as_bool(), Some(true));
    for field in ["key", "status", "slot", "response", "response_bytes"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    let other = post(&engine, Some("order 7"), &adjust_body(1, 6));
    assert_eq!(
        (other.status, other.json()["title"].as_str().map(str::to_owned)),
        (422, Some("Key in use".to_owned()))
    );
    let mut keyed = adjust_body(2, 3);
    keyed["key"] = json!("order 8");
    let several = post(&engine, None, &json!([keyed, keyed, adjust_body(3, 1)]));
    assert_eq!(several.status, 200, "{}", several.body);
    let statuses: Vec<bool> = several
        .json()
        .as_array()
        .expect("answers")
        .iter()
        .filter_map(|one| one["duplicate"].as_bool())
        .collect();
    assert_eq!(statuses.iter().filter(|duplicate| **duplicate).count(), 1, "{}", several.body);
    assert_eq!(quantities_of(&mut engine.client(), &[1, 2, 3]), [5, 3, 1]);
    engine.stop();
}

#[test]
fn events_that_cannot_be_are_refused_and_nothing_of_them_is_submitted() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    ask_until(&engine, "/v1/status", |answer| answer.json()["leads"] == true);
    let mut garbled = adjust_body(1, 1);
    garbled["payload"] = json!("not base64");
    let mut long = adjust_body(1, 1);
    long["payload"] = json!(STANDARD.encode([0; 5000]));
    let mut unread = adjust_body(1, 1);
    unread["payload"] = json!(STANDARD.encode([0xff; 16]));
    let mut without_key = adjust_body(1, 1);
    without_key["key"] = json!("");
    let cases = [
        (post(&engine, None, &json!({ "domain": 1 })), 400),
        (post(&engine, None, &garbled), 400),
        (post(&engine, None, &long), 400),
        (post(&engine, None, &unread), 422),
        (post(&engine, None, &json!({ "domain": "inventry", "event": {} })), 400),
        (
            post(
                &engine,
                None,
                &json!({ "domain": "inventory", "event": { "adjust": { "item": "item:1:1" } } }),
            ),
            400,
        ),
        (post(&engine, Some("of all"), &json!([adjust_body(1, 1)])), 400),
        (post(&engine, Some(""), &adjust_body(1, 1)), 400),
        (post(&engine, Some("of one"), &without_key), 400),
        (ask_with(&engine, "POST", "/v1/events", "content-type: application/json\r\n", "{"), 400),
    ];
    for (answer, status) in cases {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    }
    assert_eq!(post(&engine, None, &adjust_body(1, 5)).status, 200);
    assert_eq!(quantities_of(&mut engine.client(), &[1]), [5]);
    engine.stop();
}

/// C8: what is read was published, and the answer says at which slot.
#[test]
fn an_entity_is_read_as_of_a_published_slot() {
    let site = Site::formatted(Settings { cores: vec![vec![0], vec![1]], ..Settings::small() });
    let engine = site.start();
    let answered = post(&engine, None, &adjust_body(1, 5)).json();
    let path = format!("/v1/entities/{}/{:032x}", INVENTORY.0, item_of(1).0);
    for consistency in ["", "?consistency=linearizable", "?consistency=local", "?consistency=verified"] {
        let read = ask(&engine, "GET", &format!("{path}{consistency}"));
        assert_eq!(read.status, 200, "{}", read.body);
        let read = read.json();
        assert!(read["slot"].as_u64() >= answered["slot"].as_u64(), "{read} after {answered}");
        let state = STANDARD.decode(read["state_bytes"].as_str().expect("a state")).expect("base64");
        assert_eq!(ItemState::parse(&state).map(|item| item.quantity), Some(5));
        // By name it is the same; only a verified read takes a slot.
        let (domain, entity) =
            (read["domain"].as_str().expect("a name"), read["entity"].as_str().expect("a name"));
        let named = ask(&engine, "GET", &format!("/v1/entities/{domain}/{entity}{consistency}")).json();
        assert_eq!((&named["state"], &named["entity"]), (&read["state"], &read["entity"]));
        assert_eq!(read["state"]["quantity"], 5, "{read}");
    }
    for consistency in ["linearizable", "local", "verified"] {
        let path = format!("/v1/entities/inventory/item:7:7?consistency={consistency}");
        let absent = ask(&engine, "GET", &path);
        assert_eq!(absent.status, 404, "{}", absent.body);
        // Its shard may have had no part in any slot yet; only an event of its own has a place after all others.
        let slot = absent.json()["slot"].as_u64().expect("a slot");
        let at_least =
            if consistency == "verified" { answered["slot"].as_u64().expect("a slot") + 1 } else { 0 };
        assert!(slot >= at_least, "{}", absent.body);
    }
    for path in [
        "/v1/entities/x/1",
        "/v1/entities/1/xyz",
        "/v1/entities/1/1?consistency=some",
        "/v1/entities/1/1?a=b",
    ] {
        assert_eq!(ask(&engine, "GET", path).status, 400, "{path}");
    }
    engine.stop();
}

#[test]
fn an_event_that_is_only_to_be_accepted_is_decided_all_the_same() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let headers = "idempotency-key: \"later\"\r\ncontent-type: application/json\r\n";
    let body = adjust_body(1, 5).to_string();
    let accepted = ask_with(&engine, "POST", "/v1/events?wait=accepted", headers, &body);
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let mut again = adjust_body(1, 5);
    again["deadline_ns"] = accepted.json()["deadline_ns"].clone();
    let decided = post(&engine, Some("later"), &again).json();
    assert_eq!((decided["status"].as_str(), &decided["key"]), (Some("applied"), &accepted.json()["key"]));
    assert_eq!(quantities_of(&mut engine.client(), &[1]), [5]);
    assert_eq!(ask_with(&engine, "POST", "/v1/events?wait=for_ever", headers, &body).status, 400);
    engine.stop();
}

/// AskAfterDeadline, W1: who was not there at the deadline is told all the same what became of the event; and a new one
/// is not evaluated any more.
#[test]
fn what_became_of_an_event_is_told_after_its_deadline_too() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut late = adjust_body(1, 5);
    late["deadline_ns"] = json!(1);
    let refused = post(&engine, Some("in time"), &late);
    assert_eq!((refused.status, refused.json()["title"].as_str()), (422, Some("Deadline passed")));
    let first = post(&engine, Some("in time"), &adjust_body(1, 5)).json();
    assert_eq!((first["status"].as_str(), first["duplicate"].as_bool()), (Some("applied"), Some(false)));
    let again = post(&engine, Some("in time"), &late).json();
    assert_eq!((again["duplicate"].as_bool(), &again["slot"]), (Some(true), &first["slot"]), "{again}");
    assert_eq!(quantities_of(&mut engine.client(), &[1]), [5]);
    engine.stop();
}

/// An event in its domain's own words is the same event as its bytes.
#[test]
fn an_event_may_be_written_in_the_words_of_its_domain() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let event = json!({ "adjust": { "item": "item:1:1001", "delta": 5, "reason": 0 } });
    let answer = post(&engine, Some("in words"), &json!({ "domain": "inventory", "event": event }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (first, payload) = (answer.json(), InventoryDomain.event_from_json(&event).expect("an event"));
    let same = json!({
        "domain": INVENTORY.0, "version": payload.version, "payload": STANDARD.encode(payload.bytes),
    });
    let again = post(&engine, Some("in words"), &same).json();
    assert_eq!((again["duplicate"].as_bool(), &again["response"]), (Some(true), &first["response"]));
    let taken = json!({ "adjust": { "item": "item:1:1001", "delta": -6, "reason": 0 } });
    let refused = post(&engine, None, &json!({ "domain": "inventory", "event": taken })).json();
    assert_eq!(refused["status"], "rejected", "{refused}");
    assert!(refused["reason_text"].is_string(), "{refused}");
    engine.stop();
}
