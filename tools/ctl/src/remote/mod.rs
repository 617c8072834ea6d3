//! Commands that ask a running cluster, by the HTTP interface of `engine/http`: whatever a replica answers there,
//! `curl` gets, too.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | which replica is asked, and what became of it |
//! | `status.rs` | `status` |
//! | `events.rs` | `submit` |
//! | `entity.rs` | `get` |
//! | `outcomes.rs` | `tail` |
//! | `leadership.rs` | `transfer-leadership` |
//! | `latency.rs` | `latency` |
//! | `divergence.rs` | `divergence show` |
//! | `alarms.rs` | what an operator was told, on lines |

mod alarms;
mod divergence;
mod entity;
mod events;
mod latency;
mod leadership;
mod outcomes;
mod status;

use std::cell::Cell;
use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

pub(crate) use divergence::divergence;
pub(crate) use entity::get;
pub(crate) use events::submit;
pub(crate) use latency::latency;
pub(crate) use leadership::transfer_leadership;
pub(crate) use outcomes::tail;
pub(crate) use status::status;

use crate::cli::Where;
use crate::exit::Ended;

/// Replicas, in the order in which they are asked.
pub(crate) struct Cluster {
    agent: Agent,
    addresses: Vec<String>,
    /// Asking begins with the one that answered last: whoever hangs is waited for once.
    first: Cell<usize>,
    /// How long a replica may leave unanswered what it knows by itself.
    within: Duration,
}

/// Why a replica that was asked gave no answer that is of use.
enum Failure {
    /// In words. It has taken nothing in, so another one may be asked.
    PassedOver(String),
    /// In words. It may have taken in what it was given.
    Final(String),
    /// It cannot answer now (503), and took nothing in. If nobody can, this is what the command ends with.
    NotNow(Box<Ended>),
    /// Its answer ends the command.
    Ended(Box<Ended>),
}

impl Cluster {
    /// Any of those that the command line names.
    pub(crate) fn at(at: &Where) -> Result<Cluster, Ended> {
        if let Some(address) = at.http.iter().find(|address| !is_address(address)) {
            return Err(Ended::Usage(format!(
                "--http {address}: accepted is HOST:PORT, such as localhost:7600"
            )));
        }
        let config = Agent::config_builder()
            // What a replica says is told in its words, whatever its status.
            .http_status_as_error(false)
            // No replica sends anybody elsewhere.
            .max_redirects(0)
            .timeout_resolve(Some(at.timeout))
            .timeout_connect(Some(at.timeout))
            .user_agent(concat!("assizectl/", env!("CARGO_PKG_VERSION")));
        Ok(Cluster {
            agent: config.build().new_agent(),
            addresses: at.http.clone(),
            first: Cell::new(0),
            within: at.timeout,
        })
    }

    /// The first answer that is of use, or what each of them said.
    fn ask<T>(&self, ask: impl Fn(&str) -> Result<T, Failure>) -> Result<T, Ended> {
        let (mut said, mut not_now, first) = (Vec::new(), None, self.first.get());
        for at in (0..self.addresses.len()).map(|step| (first + step) % self.addresses.len()) {
            let address = &self.addresses[at];
            match ask(address) {
                Ok(answer) => {
                    self.first.set(at);
                    return Ok(answer);
                }
                Err(Failure::PassedOver(words)) => said.push((address.clone(), words)),
                Err(Failure::NotNow(ended)) => not_now = Some(*ended),
                Err(Failure::Final(words)) => {
                    said.push((address.clone(), words));
                    break;
                }
                Err(Failure::Ended(ended)) => return Err(*ended),
            }
        }
        Err(not_now.unwrap_or(Ended::Unanswered(said)))
    }

    /// Where the last answer came from.
    fn answered(&self) -> &str {
        &self.addresses[self.first.get()]
    }

    /// Whoever answered last is asked last.
    fn turn(&self) {
        self.first.set((self.first.get() + 1) % self.addresses.len());
    }

    /// The JSON document at a path, of what a replica knows by itself.
    pub(crate) fn document(&self, path: &str) -> Result<Value, Ended> {
        self.ask(|address| self.document_of(address, path, self.within))
    }

    /// The JSON document at a path, of what others may have to be asked for first. Only who shows that it answers is
    /// given so much time.
    fn document_in_time(&self, path: &str) -> Result<Value, Ended> {
        self.ask(|address| {
            self.check_that_it_answers(address)?;
            self.document_of(address, path, ANSWERED_WITHIN)
        })
    }

    /// The JSON document that a POST of JSON is answered with.
    fn post(&self, path: &str, body: &[u8]) -> Result<Value, Ended> {
        self.ask(|address| self.post_to(address, path, body))
    }

    fn check_that_it_answers(&self, address: &str) -> Result<(), Failure> {
        match self.document_of(address, "/v1/status", self.within)?["replica"].is_u64() {
            true => Ok(()),
            false => Err(Failure::PassedOver("it answers HTTP, but is no Assize replica".to_owned())),
        }
    }

    fn document_of(&self, address: &str, path: &str, within: Duration) -> Result<Value, Failure> {
        let asked = self.agent.get(format!("http://{address}{path}")).config();
        let asked = asked.timeout_recv_response(Some(within)).timeout_recv_body(Some(within)).build();
        read_document(asked.call().map_err(|error| Failure::PassedOver(in_words(&error, within)))?)
    }

    /// The head of what a GET of a stream is answered with. Its body may take for ever, but something has to come all
    /// the time.
    fn stream(&self, path: &str) -> Result<Response<Body>, Ended> {
        self.ask(|address| {
            let asked = self.agent.get(format!("http://{address}{path}")).header("accept", EVENTS).config();
            let asked = asked.timeout_recv_response(Some(self.within)).timeout_per_read(Some(HEARD_WITHIN));
            let response =
                asked.build().call().map_err(|error| Failure::PassedOver(in_words(&error, self.within)))?;
            match response.status().is_success() && media_type(&response) == EVENTS {
                true => Ok(response),
                // A problem, or whatever else is no stream.
                false => match read_document(response) {
                    Ok(_) => Err(Failure::PassedOver("it answers no stream of outcomes".to_owned())),
                    Err(failure) => Err(failure),
                },
            }
        })
    }

    /// The same of one replica. What may have been taken in is not given to another, so whoever hangs, or is no
    /// replica, is to be found out before.
    fn post_to(&self, address: &str, path: &str, body: &[u8]) -> Result<Value, Failure> {
        self.check_that_it_answers(address)?;
        let asked = self.agent.post(format!("http://{address}{path}")).content_type("application/json");
        let answer = asked.config().timeout_global(Some(ANSWERED_WITHIN)).build().send(body);
        let answer = answer.map_err(|error| match is_reached(&error) {
            true => Failure::Final(in_words(&error, ANSWERED_WITHIN)),
            false => Failure::PassedOver(in_words(&error, self.within)),
        });
        read_document(answer?).map_err(|failure| match failure {
            Failure::PassedOver(words) => Failure::Final(words),
            Failure::NotNow(ended) => Failure::Ended(ended),
            other => other,
        })
    }
}

/// The JSON document of an answer; a problem document is the error that it tells of. Whoever answers something else is
/// no replica.
fn read_document(mut response: Response<Body>) -> Result<Value, Failure> {
    let status = response.status();
    let expected = if status.is_success() { "application/json" } else { "application/problem+json" };
    if media_type(&response) != expected {
        let words = format!("it answers HTTP, but is no Assize replica (status {})", status.as_u16());
        return Err(Failure::PassedOver(words));
    }
    let body = response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX).reader();
    match serde_json::from_reader::<_, Value>(body) {
        Ok(document) if status.is_success() => Ok(document),
        Ok(problem) => {
            let ended = Box::new(problem_of(status.as_u16(), problem));
            let not_now = status == StatusCode::SERVICE_UNAVAILABLE;
            Err(if not_now { Failure::NotNow(ended) } else { Failure::Ended(ended) })
        }
        Err(error) if error.is_io() => {
            Err(Failure::PassedOver(format!("its answer did not come whole: {error}")))
        }
        Err(error) => Err(Failure::PassedOver(format!("what it answers is no JSON: {error}"))),
    }
}

fn media_type(response: &Response<Body>) -> &str {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// RFC 9457: what it is, and what to do.
fn problem_of(status: u16, problem: Value) -> Ended {
    let member = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let mut text = format!("{}: {}", member("title"), member("detail"));
    if !problem["oldest"].is_null() {
        text.push_str(&format!(" (oldest {})", shown(&problem["oldest"])));
    }
    Ended::Problem { status, text, document: problem }
}

/// A value as people read it: a text without quotes.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as part of a path.
fn in_path(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !text.contains('/')
}

/// Whether the replica may have taken something in.
fn is_reached(error: &ureq::Error) -> bool {
    !matches!(error, ureq::Error::ConnectionFailed | ureq::Error::HostNotFound) && !is_refused(error)
}

fn is_refused(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
        || matches!(error, ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve))
}

/// Why there is no answer, so that an operator knows where to look.
fn in_words(error: &ureq::Error, within: Duration) -> String {
    let within = within.as_secs_f64();
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve) => {
            format!("its name was not resolved within {within} s")
        }
        ureq::Error::Timeout(ureq::Timeout::Connect) => format!("no connection within {within} s"),
        ureq::Error::Timeout(_) => format!("connected, and no answer within {within} s"),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Protocol(_) => {
            "it answers, but not in HTTP: give the port of its `[listen] http`".to_owned()
        }
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                format!(
                    "connected, and closed without an answer ({error}); is it the port of its `[listen] http`?"
                )
            }
            _ => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// Whoever takes something in answers within its `[http] request_timeout`, or says that it could not.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// A replica that has nothing new to tell says so every 15 seconds.
const HEARD_WITHIN: Duration = Duration::from_secs(45);

/// A stream in this form tells where it stands, and that it lives.
const EVENTS: &str = "text/event-stream";

/// A status of 64 shards with all their buckets has less than a megabyte.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, is) in
            [("a:1", true), ("[::1]:7600", true), (":1", false), ("a", false), ("http://a:1", false)]
        {
            assert_eq!(is_address(text), is, "{text}");
        }
    }

    #[test]
    fn a_name_stays_one_part_of_a_path() {
        assert_eq!(in_path("item:1:7"), "item:1:7");
        assert_eq!(in_path("a/b?c=ü"), "a%2Fb%3Fc%3D%C3%BC");
    }

    /// Serves what the path of a request is answered with; nothing is left unanswered, and for nothing at all the
    /// connection is closed. Returns where, and what was asked.
    fn stub(answers: Vec<(&'static str, &'static str)>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut line = String::new();
                let mut head = BufReader::new(stream.try_clone().expect("the same"));
                head.read_line(&mut line).expect("a request");
                // What is left unread of it would take the answer with it.
                let rest = head.lines().take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
                assert!(rest.count() > 0, "{line}");
                let answer = answers.iter().find(|(path, _)| line.contains(path)).map(|(_, answer)| *answer);
                let _ = sender.send(line);
                let _ = stream.write_all(answer.unwrap_or_default().as_bytes());
            }
        });
        (address, asked)
    }

    /// Takes connections and never answers.
    fn silent() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        (listener, address)
    }

    fn at(http: &[&str], timeout: Duration) -> Cluster {
        let at = Where { http: http.iter().map(ToString::to_string).collect(), timeout };
        Cluster::at(&at).expect("addresses")
    }

    fn said<T: std::fmt::Debug>(ended: Result<T, Ended>) -> Vec<(String, String)> {
        let Err(Ended::Unanswered(said)) = ended else { panic!("{ended:?}") };
        said
    }

    const STATUS: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
        content-length: 13\r\n\r\n{\"replica\":0}";
    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(100);

    // UnreachedPassedOver, SilenceIsNoAnswer.
    #[test]
    fn an_event_that_was_sent_is_given_to_nobody_else() {
        // It answers whether it is there, takes the event in and goes away without a word.
        let (taken_in, asked) = stub(vec![("/v1/status", STATUS)]);
        let nobody = "127.0.0.1:1";
        let ended = at(&[nobody, &taken_in, nobody], LONG).post("/v1/events", b"{}");
        let said = said(ended);
        let of: Vec<&str> = said.iter().map(|(address, _)| address.as_str()).collect();
        assert_eq!(of, [nobody, &taken_in], "{said:?}");
        assert!(asked.iter().take(2).last().is_some_and(|line| line.starts_with("POST /v1/events")));
    }

    // SilentPassedOver.
    #[test]
    fn whoever_hangs_is_passed_over_before_it_is_given_anything() {
        let (_listener, hangs) = silent();
        for ended in [
            at(&[&hangs], SHORT).document("/v1/cluster"),
            at(&[&hangs], SHORT).document_in_time("/v1/entities/inventory/item:1:1"),
            at(&[&hangs], SHORT).post("/v1/events", b"{}"),
            at(&[&hangs], SHORT).stream("/v1/outcomes").map(|_| Value::Null),
        ] {
            assert_eq!(said(ended), [(hangs.clone(), "connected, and no answer within 0.1 s".to_owned())]);
        }
        // Who answers is asked first from then on.
        let (answers, asked) = stub(vec![("/v1/status", STATUS)]);
        let cluster = at(&[&hangs, &answers], Duration::from_secs(2));
        for _ in 0..2 {
            assert_eq!(cluster.document("/v1/status").expect("a status")["replica"], 0);
        }
        assert_eq!((asked.iter().take(2).count(), cluster.first.get()), (2, 1));
    }

    // StrangerPassedOver.
    #[test]
    fn whoever_is_no_replica_is_passed_over() {
        let not_found =
            "HTTP/1.1 404 File not found\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>";
        let (pages, _asked) = stub(vec![("/", not_found)]);
        let (binary, _asked_too) = stub(vec![("/", "\x07\x00\x00\x00ASSZ")]);
        let (replica, asked) = stub(vec![("/v1/status", STATUS)]);
        let nobody = [pages.as_str(), &binary];
        let said = said(at(&nobody, LONG).document("/v1/status"));
        assert_eq!(said[0].1, "it answers HTTP, but is no Assize replica (status 404)");
        assert!(said[1].1.contains("`[listen] http`"), "{said:?}");
        let both = at(&[&pages, &binary, &replica], LONG).document("/v1/status");
        assert_eq!(both.expect("a status")["replica"], 0);
        assert!(asked.recv().is_ok());
    }

    // UnreadyPassedOver.
    #[test]
    fn whoever_cannot_answer_now_is_passed_over_and_heard_if_nobody_can() {
        let not_ready = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
            connection: close\r\n\r\n{\"title\":\"Not ready\",\"detail\":\"it starts\"}";
        let (starts, asked) = stub(vec![("/v1/status", STATUS), ("/", not_ready)]);
        let entity = "/v1/entities/inventory/item:1:1";
        let (ready, _asked_too) = stub(vec![("/v1/status", STATUS), (entity, STATUS)]);
        let document = at(&[&starts, &ready], LONG).document_in_time(entity);
        assert_eq!(document.expect("the second one's")["replica"], 0);
        let nobody = "127.0.0.1:1";
        let ended = at(&[&starts, nobody], LONG).document_in_time(entity).expect_err("nobody can");
        assert_eq!(ended.to_string(), "Not ready: it starts");
        let ended = at(&[&starts, &ready], LONG).post("/v1/events", b"{}").expect_err("it had the event");
        assert_eq!(ended.to_string(), "Not ready: it starts");
        assert!(asked.try_iter().any(|line| line.starts_with("POST /v1/events")));
    }

    #[test]
    fn a_problem_is_told_in_its_words() {
        let problem = serde_json::json!({"status": 410, "title": "Outcomes gone", "detail": "later", "oldest": "7.0.0"});
        let ended = problem_of(410, problem.clone());
        assert_eq!(ended.to_string(), "Outcomes gone: later (oldest 7.0.0)");
        assert_eq!(ended.exit(), crate::exit::Exit::No);
        assert_eq!(ended.document()["problem"], problem);
    }
}
